package probe

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/checks/runtime"
)

// unwatched are the names that checks on open look for and that are not watched: the
// first process of a cgroup that opens such a file is reported all the same, but the
// next is folded into it for a minute, and a storm of files can hide it.
var unwatched = map[string]string{
	"root":    "as a name without its folder it is that of every home directory of root; /dev/root is one name of many for the node's disk",
	"modules": "as a name without its folder it is that of many directories",
}

// nameless are the checks on open that look for no name.
var nameless = map[string]string{
	"file-access-unlearnt":    "judges every file",
	"mounted-secret-unlearnt": "the keys of a Secret have any name",
}

var (
	pathPattern = regexp.MustCompile(`file\.path\)?\.matches\((?:"([^"]*)"|'([^']*)')\)`)
	pathEnd     = regexp.MustCompile(`file\.(path\.endsWith\(|name == )"([^"]*)"`)
)

// TestChecksFindTheirFilesWatched holds the list of watched names to the names that the
// checks on open look for. Patterns and folders cannot be watched.
func TestChecksFindTheirFilesWatched(t *testing.T) {
	rules, err := runtime.Rules()
	if err != nil {
		t.Fatal(err)
	}
	watched, used := WatchedFiles(), map[string]bool{}
	for _, r := range rules {
		if !slices.Contains(r.Match, "open") {
			continue
		}
		paths := pathsOf(t, r.When+" "+r.Deny)
		if _, said := nameless[r.ID]; said != (len(paths) == 0) {
			t.Errorf("%s looks for %q, and is said to look for none: %v", r.ID, paths, said)
		}
		for _, p := range paths {
			parts := strings.Split(p, "/")
			if len(parts) < 2 {
				continue // the end of a name
			}
			dir, name := parts[len(parts)-2], parts[len(parts)-1]
			if name == "" || strings.Contains(name, "*") || slices.Contains(watched, name) || slices.Contains(watched, dir+"/"+name) {
				continue
			}
			if used[name] = true; unwatched[name] == "" {
				t.Errorf("%s looks for %s (%s), which is not watched", r.ID, name, p)
			}
		}
	}
	for name := range unwatched {
		if !used[name] {
			t.Errorf("no check looks for %s: it needs no reason", name)
		}
	}
}

// pathsOf returns what a condition compares the path of a file with, * standing for
// what it leaves open.
func pathsOf(t *testing.T, condition string) []string {
	t.Helper()
	var out []string
	for _, m := range pathEnd.FindAllStringSubmatch(condition, -1) {
		if m[1] == "name == " {
			m[2] = "/" + m[2]
		}
		out = append(out, m[2])
	}
	for _, m := range pathPattern.FindAllStringSubmatch(condition, -1) {
		re, err := syntax.Parse(m[1]+m[2], syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range spellings(t, re) {
			p, whole := strings.CutSuffix(p, "$")
			if !whole {
				p += "*"
			}
			out = append(out, p)
		}
	}
	return out
}

// spellings returns what an expression matches, with an * for what it leaves open and a
// $ at the end of the text.
func spellings(t *testing.T, re *syntax.Regexp) []string {
	t.Helper()
	var out []string
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpEmptyMatch, syntax.OpBeginText:
		return []string{""}
	case syntax.OpEndText:
		return []string{"$"}
	case syntax.OpCapture:
		return spellings(t, re.Sub[0])
	case syntax.OpQuest:
		return append([]string{""}, spellings(t, re.Sub[0])...)
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			out = append(out, spellings(t, sub)...)
		}
	case syntax.OpConcat:
		out = []string{""}
		for _, sub := range re.Sub {
			var longer []string
			for _, a := range out {
				for _, b := range spellings(t, sub) {
					longer = append(longer, a+b)
				}
			}
			out = longer
		}
	default:
		if re.Op == syntax.OpCharClass && len(re.Rune) == 2 && re.Rune[0] == re.Rune[1] {
			return []string{string(re.Rune[0])}
		}
		return []string{"*"}
	}
	return out
}
