package script

import (
	"fmt"
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// maxTexts bounds scripts within scripts: sh -c 'sh -c "..."'.
const maxTexts = 3

// wrappers run the program that follows their options. The number says how many
// words stand before it: gosu USER PROGRAM.
//
//nolint:gochecknoglobals // a constant table
var wrappers = map[string]int{
	"exec": 0, "command": 0, "env": 0, "nohup": 0, "nice": 0, "setsid": 0, "time": 0, "stdbuf": 0, "ionice": 0,
	"tini": 0, "dumb-init": 0, "catatonit": 0, "docker-init": 0, "builtin": 0, "setpriv": 0, "unshare": 0,
	"gosu": 1, "su-exec": 1, "timeout": 1, "chroot": 1, "runuser": 0, "sudo": 0, "xargs": 0, "chpst": 0, "s6-setuidgid": 1,
}

// Wraps says whether a program runs another that its arguments name, and how many
// words stand before that.
func Wraps(program string) (words int, ok bool) {
	words, ok = wrappers[path.Base(program)]
	return words, ok
}

// builtins are what the shells do themselves.
//
//nolint:gochecknoglobals // a constant table
var builtins = words(`: [ alias bg bind break caller cd command compgen complete compopt continue declare dirs
	disown echo enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile
	popd printf pushd pwd read readarray readonly return set shift shopt source suspend test times trap true type
	typeset ulimit umask unalias unset wait . [[`)

func words(text string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		out[w] = true
	}
	return out
}

// shell reads a script. One that is malformed tells what stands before the fault.
func (n *needs) shell(text string, depth int) {
	if depth > maxTexts {
		n.add(Unknown, "scripts within scripts")
		return
	}
	if len(text) > maxParsed || opened(text) > maxOpened {
		n.anyWord(text)
		return
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		n.add(Unknown, "a shell script that cannot be parsed")
	}
	if file == nil {
		return
	}
	s := shellScript{needs: n, depth: depth, functions: map[string]bool{}}
	syntax.Walk(file, func(node syntax.Node) bool {
		if f, ok := node.(*syntax.FuncDecl); ok && f.Name != nil {
			s.functions[f.Name.Value] = true
		}
		return true
	})
	syntax.Walk(file, func(node syntax.Node) bool {
		switch x := node.(type) {
		case *syntax.CallExpr:
			s.call(x.Args)
		case *syntax.Word:
			if lit, ok := literal(x); ok {
				n.mention(lit)
			}
		}
		return true
	})
}

// opened counts the characters that may begin something within something.
func opened(text string) int {
	count := 0
	for i := range len(text) {
		if strings.IndexByte("({[`$!-+~<>", text[i]) >= 0 {
			count++
		}
	}
	return count
}

// anyWord takes every word of a script that is too large to be parsed for a
// command.
func (n *needs) anyWord(text string) {
	n.add(Unknown, "a shell script too large to be parsed")
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'`$(){}[];|&<>=", r) }) {
		if len(word) <= 64 && identifier(word[0]) && !builtins[word] {
			n.add(Run, word)
		}
		n.mention(word)
	}
}

type shellScript struct {
	*needs

	depth     int
	functions map[string]bool
}

// call takes one simple command.
func (s *shellScript) call(args []*syntax.Word) {
	for len(args) > 0 {
		name, known := literal(args[0])
		if !known {
			if !passesOn(args[0]) {
				s.add(Unknown, fmt.Sprintf("line %d runs what a variable names", args[0].Pos().Line()))
			}
			return
		}
		if s.functions[name] {
			return
		}
		if !builtins[name] || name == "[" || name == "test" || name == "echo" || name == "printf" || name == "kill" {
			s.add(Run, name)
		}
		rest := args[1:]
		switch base := path.Base(name); base {
		case ".", "source":
			s.source(rest)
			return
		case "eval":
			s.add(Unknown, fmt.Sprintf("line %d evaluates a text", args[0].Pos().Line()))
			return
		case "trap":
			s.text(rest)
			return
		case "sh", "bash", "dash", "ash":
			s.subshell(rest)
			return
		case "find":
			s.find(rest)
			return
		default:
			skip, wraps := wrappers[base]
			if !wraps {
				return
			}
			args = after(rest, skip)
		}
	}
}

// after passes over options, assignments and so many words.
func after(args []*syntax.Word, skip int) []*syntax.Word {
	for len(args) > 0 {
		w, ok := literal(args[0])
		switch {
		case ok && (strings.HasPrefix(w, "-") || strings.Contains(w, "=")):
		case skip > 0:
			skip--
		default:
			return args
		}
		args = args[1:]
	}
	return nil
}

func (s *shellScript) source(args []*syntax.Word) {
	if len(args) == 0 {
		return
	}
	if name, ok := literal(args[0]); ok {
		s.add(Source, name)
		return
	}
	s.add(Unknown, fmt.Sprintf("line %d reads in what a variable names", args[0].Pos().Line()))
}

// subshell takes the arguments of a shell: -c TEXT, or a script.
func (s *shellScript) subshell(args []*syntax.Word) {
	for i, a := range args {
		w, ok := literal(a)
		switch {
		case ok && strings.HasPrefix(w, "-") && strings.HasSuffix(w, "c"):
			s.text(args[i+1:])
			return
		case ok && (strings.HasPrefix(w, "-") || strings.HasPrefix(w, "+")):
		case ok:
			s.add(Source, w)
			return
		default:
			if !passesOn(a) {
				s.add(Unknown, fmt.Sprintf("line %d runs a script that a variable names", a.Pos().Line()))
			}
			return
		}
	}
}

// text takes an argument that is a script itself.
func (s *shellScript) text(args []*syntax.Word) {
	if len(args) == 0 {
		return
	}
	if text, ok := literal(args[0]); ok {
		s.shell(text, s.depth+1)
		return
	}
	s.add(Unknown, fmt.Sprintf("line %d runs a text that is made at run time", args[0].Pos().Line()))
}

func (s *shellScript) find(args []*syntax.Word) {
	for i, a := range args {
		if w, ok := literal(a); ok && (w == "-exec" || w == "-execdir" || w == "-ok") {
			s.call(args[i+1:])
		}
	}
}

// literal returns the text of a word in which nothing is expanded.
func literal(w *syntax.Word) (string, bool) {
	var b strings.Builder
	for _, part := range w.Parts {
		switch x := part.(type) {
		case *syntax.Lit:
			b.WriteString(x.Value)
		case *syntax.SglQuoted:
			b.WriteString(x.Value)
		case *syntax.DblQuoted:
			for _, p := range x.Parts {
				lit, ok := p.(*syntax.Lit)
				if !ok {
					return "", false
				}
				b.WriteString(lit.Value)
			}
		default:
			return "", false
		}
	}
	return b.String(), true
}

// passesOn says that a word is the script's own arguments ("$@"), which whoever
// starts it knows.
func passesOn(w *syntax.Word) bool {
	parts := w.Parts
	if len(parts) == 1 {
		if q, ok := parts[0].(*syntax.DblQuoted); ok {
			parts = q.Parts
		}
	}
	if len(parts) != 1 {
		return false
	}
	p, ok := parts[0].(*syntax.ParamExp)
	return ok && p.Param != nil && (p.Param.Value == "@" || p.Param.Value == "*" || p.Param.Value == "1")
}
