package lang

import (
	"io/fs"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// requirements wants the files of pip: requirements.txt, requirements-dev.txt,
// test_requirements.txt, requirements/prod.txt.
func requirements(path string, mode fs.FileMode, size int64) bool {
	if !strings.HasSuffix(path, ".txt") {
		return false
	}
	slash := strings.LastIndexByte(path, '/')
	base := path[slash+1:]
	folder := ""
	if slash > 0 {
		folder = path[strings.LastIndexByte(path[:slash], '/')+1 : slash]
	}
	named := strings.HasPrefix(base, "requirements") || strings.HasSuffix(base, "requirements.txt")
	return (named || folder == "requirements") && project(base)(path, mode, size)
}

// parseRequirements reads a file of pip's requirements. Those with == and one
// version are told; of others the file does not say which version there is.
func parseRequirements(f inventory.File, facts *inventory.Facts) error {
	l := newListing(f, facts, inventory.PyPI, inventory.Declared)
	defer l.close()
	folder, base := f.Path[:strings.LastIndexByte(f.Path, '/')+1], f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	dev := forDevelopment(base) || forDevelopment(folder[strings.LastIndexByte(strings.TrimSuffix(folder, "/"), '/')+1:])
	var included []string
	for number, line := range logicalLines(string(text(f.Body))) {
		if line == "" {
			continue
		}
		if line[0] == '-' {
			if file, ok := option(line, "-r", "--requirement"); ok && !requirements(folder+file, 0, 0) {
				if len(included) < maxNames {
					included = append(included, clip(file))
				}
			}
			if address, ok := option(line, "-e", "--editable"); ok {
				l.addFrom(requirementOrigin(address), inventory.Package{Name: address})
			}
			continue
		}
		if from := requirementOrigin(line); from != registry {
			l.addFrom(from, inventory.Package{Name: line})
			continue
		}
		l.addRequirement(line, number, dev)
	}
	if included != nil {
		facts.Problems = append(facts.Problems, "includes files that are not read as requirements: "+strings.Join(included, ", "))
	}
	return nil
}

// addRequirement tells of one requirement:
//
//	name[extra] == 1.0 ; python_version > "3" --hash=sha256:...
func (l *listing) addRequirement(line string, number int, dev bool) {
	end := 0
	for end < len(line) && (isLetter(line[end]) || isDigit(line[end]) || strings.IndexByte("-_.", line[end]) >= 0) {
		end++
	}
	name, rest := line[:end], strings.TrimSpace(line[end:])
	if name == "" {
		l.malformed.note(line)
		return
	}
	if strings.HasPrefix(rest, "[") {
		_, rest, _ = strings.Cut(rest, "]")
		rest = strings.TrimSpace(rest)
	}
	rest, _, _ = strings.Cut(rest, ";")
	rest, _, _ = strings.Cut(rest, " --")
	rest = strings.Trim(strings.TrimSpace(rest), "()")
	if address, ok := strings.CutPrefix(rest, "@"); ok {
		l.addFrom(versionless(strings.TrimSpace(address)), inventory.Package{Name: name})
		return
	}
	version, pinned := strings.CutPrefix(rest, "==")
	version = strings.TrimSpace(strings.TrimPrefix(version, "=")) // === compares as text
	if !pinned || version == "" || strings.ContainsAny(version, "*,${") {
		l.open.note(name)
		return
	}
	l.add(inventory.Package{Name: normalPyPI(name), Version: version, Dev: dev, Line: number})
}

// requirementOrigin tells where a requirement leads that is a path or an
// address, and says registry for one that begins with a name.
func requirementOrigin(line string) origin {
	if line == "." || strings.HasPrefix(line, ".[") || strings.HasPrefix(line, `.\`) {
		return local
	}
	if from := originOf(line); from != registry {
		return from
	}
	first, _, _ := strings.Cut(line, " ")
	if before, _, ok := strings.Cut(first, "://"); ok && !strings.ContainsAny(before, "=@<>~!;[") {
		return elsewhere
	}
	if strings.HasSuffix(first, ".whl") || strings.HasSuffix(first, ".tar.gz") || strings.HasSuffix(first, ".zip") {
		return local
	}
	return registry
}

// option returns the value of a line that is one of pip's options.
func option(line, short, long string) (string, bool) {
	for _, name := range [...]string{long, short} {
		if rest, ok := strings.CutPrefix(line, name); ok && rest != "" && (rest[0] == ' ' || rest[0] == '=' || name == short && rest[0] != '-') {
			return strings.TrimSpace(strings.TrimPrefix(rest, "=")), true
		}
	}
	return "", false
}

// logicalLines yields lines with the number of the first, where a backslash at
// the end joins the next line, and without comments and space around them.
func logicalLines(body string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		var joined strings.Builder
		number, start := 0, 0
		for line := range strings.Lines(body) {
			number++
			if joined.Len() == 0 {
				start = number
			}
			line = strings.TrimRight(line, "\r\n")
			head, continues := strings.CutSuffix(line, `\`)
			joined.WriteString(head)
			if continues {
				joined.WriteByte(' ')
				continue
			}
			if !yield(start, withoutComment(joined.String())) {
				return
			}
			joined.Reset()
		}
		if joined.Len() > 0 {
			yield(start, withoutComment(joined.String()))
		}
	}
}

// withoutComment cuts a comment off: # at the start or after white space.
func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}
