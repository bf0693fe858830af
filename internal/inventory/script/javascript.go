package script

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// javaScript looks for the words by which modules are loaded, wherever they stand:
// what stands in a comment or a text is told too, since telling too much does no
// harm and a full parser would miss what it cannot parse.
func (n *needs) javaScript(body []byte) {
	for _, word := range []string{"require", "import", "from", "require.resolve", "createRequire"} {
		each(body, word, func(rest []byte) { n.load(word, rest) })
	}
	starts := false
	for _, word := range []string{"spawn", "spawnSync", "exec", "execSync", "execFile", "execFileSync"} {
		each(body, word, func(rest []byte) {
			if arg, ok := bytes.CutPrefix(bytes.TrimLeft(rest, " \t"), []byte("(")); ok {
				if text, ok := quoted(arg); ok && bytes.Contains(body, []byte("child_process")) {
					n.command(word, text)
				} else {
					starts = true
				}
			}
		})
	}
	if bytes.Contains(body, []byte("child_process")) {
		n.add(Calls, "popen")
		if starts {
			n.add(Unknown, "child_process starts a program")
		}
	}
}

// load takes what follows one of the words.
func (n *needs) load(word string, rest []byte) {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	arg, called := bytes.CutPrefix(rest, []byte("("))
	if called {
		rest = bytes.TrimLeft(arg, " \t\r\n")
	}
	switch text, ok := quoted(rest); {
	case ok && (called || word == "import" || word == "from"):
		n.add(Module, text)
	case called && word != "from" && !ok && !bytes.HasPrefix(rest, []byte(")")) && !isParameter(rest):
		n.add(Unknown, word+" of a name that is made at run time")
	}
}

// isParameter says that the parentheses are of a declaration: function
// require(name) {.
func isParameter(rest []byte) bool {
	end := bytes.IndexByte(rest, ')')
	return end >= 0 && end < 64 && bytes.HasPrefix(bytes.TrimLeft(rest[end+1:], " \t"), []byte("{"))
}

// command takes the first argument of a function that starts a program.
func (n *needs) command(word, text string) {
	if word == "exec" || word == "execSync" {
		if len(text) <= maxName {
			n.shell(text, 1)
		}
		return
	}
	n.add(Run, text)
}

// each calls yield with what follows each place where a word stands by itself.
func each(body []byte, word string, yield func(rest []byte)) {
	for at := 0; ; {
		i := bytes.Index(body[at:], []byte(word))
		if i < 0 {
			return
		}
		start, end := at+i, at+i+len(word)
		at = end
		if start > 0 && identifier(body[start-1]) || end < len(body) && identifier(body[end]) {
			continue
		}
		yield(body[end:])
	}
}

func identifier(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$'
}

// quoted returns the text between the quotation marks that b begins with. One
// with expressions in it is none.
func quoted(b []byte) (string, bool) {
	if len(b) == 0 || strings.IndexByte("\"'`", b[0]) < 0 {
		return "", false
	}
	end := bytes.IndexByte(b[1:min(len(b), maxName+2)], b[0])
	if end < 0 {
		return "", false
	}
	text := string(b[1 : end+1])
	if strings.ContainsAny(text, "\n\\") || b[0] == '`' && strings.Contains(text, "${") {
		return "", false
	}
	return text, true
}

// packageJSON reads the ways into a package and what it asks for.
func packageJSON(body []byte, n *needs) {
	if len(body) > maxText {
		n.add(Unknown, "a package.json too large to be read")
		return
	}
	var p struct {
		Main, Module, Exports, Imports                       any
		Dependencies, OptionalDependencies, PeerDependencies map[string]any
	}
	if json.Unmarshal(body, &p) != nil {
		return // not npm's: tests hold broken ones on purpose
	}
	for _, v := range []any{p.Main, p.Module, p.Exports, p.Imports} {
		n.entries(v, 0)
	}
	var names []string
	for _, m := range []map[string]any{p.Dependencies, p.OptionalDependencies, p.PeerDependencies} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		n.add(Depends, name)
	}
}

// entries adds the texts in a value of exports, which may be nested.
func (n *needs) entries(v any, depth int) {
	if depth > 16 {
		return
	}
	switch x := v.(type) {
	case string:
		n.add(Entry, x)
	case []any:
		for _, item := range x {
			n.entries(item, depth+1)
		}
	case map[string]any:
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			n.entries(x[k], depth+1)
		}
	}
}
