// Package script reads what programs and scripts say that they load: the commands
// that a shell script runs, the modules that JavaScript and Python files name, the
// absolute paths in the strings of an ELF file and in settings. Only the
// reduction of images asks for it: its parser looks into far more files than a
// scan needs to.
//
// It reads each file by itself and looks nothing up, so that a name that it tells
// may exist nowhere. It rather tells too much than too little, and where a file
// chooses at run time what it loads it says so with a [Need] of the kind Unknown.
package script

import (
	"bytes"
	"io/fs"
	"path"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// Kind is how a file names what it needs.
type Kind string

// The kinds.
const (
	// Run is a program, by name or path.
	Run Kind = "run"
	// Source is a file that a shell script reads in.
	Source Kind = "source"
	// Module is what JavaScript requires or imports, as written.
	Module Kind = "module"
	// Import is a Python module with its packages, as written, dots in front for
	// relative ones.
	Import Kind = "import"
	// Entry is a file that package.json names as a way in, Depends a package that
	// it asks for when it runs.
	Entry   Kind = "entry"
	Depends Kind = "depends"
	// Path is an absolute path that is mentioned; it may hold * and end with /.
	Path Kind = "path"
	// Calls is a function of the C library that starts programs or loads files:
	// popen, system, iconv_open.
	Calls Kind = "calls"
	// Unknown says that what is loaded or run is chosen at run time; the name says
	// by what.
	Unknown Kind = "unknown"
)

// Need is one thing that a file asks for.
type Need struct {
	Kind Kind
	Name string
}

// String writes a need as it stands in [inventory.Facts].
func (n Need) String() string { return string(n.Kind) + " " + n.Name }

// ParseNeed reads what String wrote.
func ParseNeed(text string) Need {
	kind, name, _ := strings.Cut(text, " ")
	return Need{Kind(kind), name}
}

// Limits on what one file may tell.
const (
	maxNeeds  = 8192
	maxName   = 512      // bytes of a name
	maxScript = 4 << 20  // of JavaScript and Python files
	maxShell  = 1 << 20  // of shell scripts
	maxParsed = 48 << 10 // of shell scripts that are parsed
	maxOpened = 12_000   // characters in those that may open a level: the parser recurses, at some 4 KB each
	maxText   = 1 << 20  // of settings
	maxFile   = 96 << 20 // of ELF files
)

// Parsers returns the one parser of this package.
func Parsers() []inventory.Parser {
	return []inventory.Parser{{Name: "needs/1", Wants: wants, Limit: maxFile, Parse: parse}}
}

func wants(name string, mode fs.FileMode, _ int64) bool {
	switch path.Ext(name) {
	case ".js", ".cjs", ".mjs", ".py", ".sh", ".bash", ".rb", ".pl", ".php", ".lua", ".tcl":
		return true
	case ".png", ".jpg", ".gif", ".svg", ".html", ".css", ".md", ".gz", ".h", ".map":
		return false
	}
	return mode&0o111 != 0 || path.Base(name) == "package.json" || strings.Contains(path.Base(name), ".so") ||
		path.Ext(name) == ".node" || isSetting(name)
}

// isSetting says whether a file is text below /etc in which programs look up
// paths. What lists users and shells names programs that nothing runs.
func isSetting(name string) bool {
	if !strings.HasPrefix(name, "etc/") {
		return false
	}
	for _, other := range []string{"passwd", "group", "shadow", "shells", "alternatives/", "ssl/", "apt/", "init.d/", "cron"} {
		if strings.HasPrefix(name[len("etc/"):], other) {
			return false
		}
	}
	return true
}

func parse(f inventory.File, facts *inventory.Facts) error {
	needs := newNeeds()
	switch {
	case bytes.HasPrefix(f.Body, []byte("\x7fELF")):
		elf(f.Body, needs)
	case bytes.HasPrefix(f.Body, []byte("#!")):
		line, _, _ := bytes.Cut(f.Body[2:], []byte("\n"))
		_, program, _ := Interpreter(string(line))
		read(languageOf(program), f, needs)
	case path.Base(f.Path) == "package.json":
		packageJSON(f.Body, needs)
	case isSetting(f.Path):
		settings(f.Body, needs)
	default:
		read(languages[path.Ext(f.Path)], f, needs)
	}
	facts.Requires = append(facts.Requires, needs.list...)
	return nil
}

// language is one that is read.
type language uint8

const (
	none language = iota
	shell
	javaScript
	python
	// other is Perl, Ruby, PHP and the like, of which only paths are read, and
	// whether they start anything.
	other
)

//nolint:gochecknoglobals // a constant table
var languages = map[string]language{
	".sh": shell, ".bash": shell, ".js": javaScript, ".cjs": javaScript, ".mjs": javaScript, ".py": python,
	".rb": other, ".pl": other, ".php": other, ".lua": other, ".tcl": other,
}

func read(l language, f inventory.File, needs *needs) {
	limit := maxScript
	if l == shell {
		limit = maxShell
	}
	if l != none && len(f.Body) > limit {
		needs.add(Unknown, "a script too large to be read")
		return
	}
	switch l {
	case shell:
		needs.shell(string(f.Body), 0)
	case javaScript:
		needs.javaScript(f.Body)
	case python:
		needs.python(string(f.Body))
	case other:
		needs.other(f.Body)
	case none:
	}
}

// languageOf tells the language by the name of its interpreter.
func languageOf(program string) language {
	switch base := path.Base(program); {
	case strings.HasPrefix(base, "python"):
		return python
	case base == "node" || base == "nodejs" || base == "bun":
		return javaScript
	case base == "sh" || base == "bash" || base == "dash" || base == "ash" || base == "ksh" || base == "mksh":
		return shell
	case strings.HasPrefix(base, "perl"), strings.HasPrefix(base, "ruby"), strings.HasPrefix(base, "php"), strings.HasPrefix(base, "lua"), strings.HasPrefix(base, "tclsh"):
		return other
	}
	return none
}

// Interpreter takes the line after #! apart: the file that the kernel starts, and
// the program that runs the script in the end, which is another where the line
// goes over env. exact says that program is a path.
func Interpreter(shebang string) (first, program string, exact bool) {
	words := strings.Fields(shebang)
	if len(words) == 0 {
		return "", "", false
	}
	if path.Base(words[0]) != "env" {
		return words[0], words[0], true
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") {
			return words[0], w, false
		}
	}
	return words[0], "", false
}

// Shell reads the text of a shell command line.
func Shell(text string) []Need {
	n := newNeeds()
	n.shell(text[:min(len(text), maxShell)], 0)
	out := make([]Need, len(n.list))
	for i, s := range n.list {
		out[i] = ParseNeed(s)
	}
	return out
}

// needs gathers what one file asks for, each once.
type needs struct {
	list []string
	seen map[string]bool
}

func newNeeds() *needs { return &needs{seen: map[string]bool{}} }

func (n *needs) add(kind Kind, name string) {
	if name == "" || len(name) > maxName || len(n.list) > maxNeeds || strings.ContainsAny(name, "\n\x00") {
		return
	}
	if len(n.list) == maxNeeds {
		kind, name = Unknown, "more names than are read of one file"
	}
	if text := (Need{kind, name}).String(); !n.seen[text] {
		n.seen[text] = true
		n.list = append(n.list, text)
	}
}

// mention adds an absolute path that stands in a text.
func (n *needs) mention(text string) {
	if len(text) > 3 && text[0] == '/' && text[1] != '/' && text[1] != '*' {
		n.add(Path, text)
	}
}
