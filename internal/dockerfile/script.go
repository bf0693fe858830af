package dockerfile

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// command is a program that a RUN instruction runs.
type command struct {
	stage *stage
	in    *instruction
	// name is the program's without its folder, args what follows it.
	name     string
	args     []string
	options  []string
	operands []string
	// action is the first operand: install of apt-get -y install.
	action string
	// following are the commands after it in the same instruction.
	following []*command
	alone     bool
	// open says that a variable without a known value may hold options.
	open bool
	// piped says that what it reads comes from another command.
	piped bool
	// plain says that its words stand in the file as they are, not in quotes of
	// another command; chained that another command can follow it with &&.
	plain, chained bool

	at               int // where in the file it begins
	nameAt, actionAt span
	end              int // where in the file it ends, where it is plain
}

// span is a part of the file.
type span struct{ from, to int }

// text is the command without its options.
func (c *command) text() string {
	return strings.Join(append([]string{c.name}, c.operands...), " ")
}

// assignment is a variable that a script sets.
type assignment struct {
	name, value string
	at          int
}

// script gathers the commands of one RUN instruction.
type script struct {
	stage       *stage
	in          *instruction
	vars        map[string]string
	commands    []*command
	assignments []assignment
	holes       []string
	room        int // how many more commands may be listed
}

// shellWord is a word as the shell sees it.
type shellWord struct {
	text     string
	at       span // in the file; from is -1 where it does not stand there as it is
	open     bool
	fromLine int
}

// context is what surrounds a statement.
type context struct {
	piped, chained bool
	text           *joined
	nested         bool
	depth          int
	outer          int // where in the file a nested script begins
}

// run reads a RUN instruction.
func (s *script) run() {
	if s.in.json {
		words := make([]shellWord, len(s.in.words))
		for i, w := range s.in.words {
			words[i] = shellWord{text: w.text, at: span{-1, -1}}
		}
		s.call(words, context{nested: true, outer: s.in.line.offset(s.in.args)}, 0)
	} else {
		s.shellForm()
	}
	for i, c := range s.commands {
		c.following = s.commands[i+1 : min(len(s.commands), i+1+maxFollowing)]
		c.alone = len(s.commands) == 1
	}
}

func (s *script) shellForm() {
	text := s.in.line.part(s.in.args)
	docs := s.in.here
	if len(docs) > 0 && heredocStart.MatchString(strings.TrimSpace(text.text)) {
		// The here-document is the script.
		if interpreter := shebang(docs[0].body); interpreter != "" && !slices.Contains(unixShells, interpreter) {
			return
		}
		text = joined{docs[0].body, []piece{{0, docs[0].offset}}}
		docs = docs[1:]
	}
	for _, h := range docs {
		// The shell reads them after the line.
		text.text += "\n"
		text.pieces = append(text.pieces, piece{len(text.text), h.offset})
		text.text += h.body + h.name
	}
	s.parse(&text, context{chained: true, text: &text})
}

// shebang returns the interpreter that a script names, "" for none.
func shebang(body string) string {
	line, _, _ := strings.Cut(body, "\n")
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "#!")
	if !ok {
		return ""
	}
	fields := strings.Fields(rest)
	for len(fields) > 0 {
		name := path.Base(fields[0])
		if name != "env" && !strings.HasPrefix(name, "-") {
			return name
		}
		fields = fields[1:]
	}
	return ""
}

// parse reads a script.
func (s *script) parse(text *joined, ctx context) {
	if err := parsable(text.text); err != nil {
		s.holes = append(s.holes, err.Error())
		return
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text.text), "")
	if err != nil {
		reason := err.Error()
		if p, ok := errors.AsType[syntax.ParseError](err); ok {
			reason = p.Text
		}
		s.holes = append(s.holes, "the shell script cannot be read: "+reason)
		return
	}
	for _, stmt := range f.Stmts {
		s.statement(stmt, ctx)
	}
}

// parsable refuses scripts that would cost the recursive parser too much.
func parsable(text string) error {
	if len(text) > maxScript {
		return fmt.Errorf("the shell script is longer than %d KiB", maxScript>>10)
	}
	if d := nesting(text); d > maxNesting {
		return fmt.Errorf("the shell script is nested deeper than %d", maxNesting)
	}
	return nil
}

var compound = regexp.MustCompile(`[({\[]|[)}\]]|\b(if|for|while|until|case|select|function|coproc|time)\b|\b(fi|done|esac)\b|[!~]`)

// nesting bounds from above how deep a script is nested, but for what it holds in
// quotes.
func nesting(text string) int {
	depth, deepest, run, last := 0, 0, 0, -1
	for _, m := range compound.FindAllStringIndex(text, -1) {
		switch token := text[m[0]:m[1]]; token {
		case ")", "}", "]", "fi", "done", "esac":
			depth = max(depth-1, 0)
		case "!", "~", "time", "coproc", "function":
			// These nest where they follow one another.
			if strings.Trim(text[max(last, 0):m[0]], " \t") == "" {
				run++
			} else {
				run = 0
			}
			last = m[1]
			deepest = max(deepest, run)
			continue
		default:
			depth++
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

// statement reads one statement.
func (s *script) statement(stmt *syntax.Stmt, ctx context) {
	if stmt == nil || stmt.Cmd == nil {
		return
	}
	if stmt.Negated || stmt.Background || stmt.Coprocess {
		ctx.chained = false
	}
	end := stmt.Cmd.End()
	for _, r := range stmt.Redirs {
		if r.Hdoc != nil {
			ctx.chained = false
		}
		if r.End().After(end) {
			end = r.End()
		}
		s.inside(r, ctx)
	}
	switch cmd := stmt.Cmd.(type) {
	case *syntax.BinaryCmd:
		left, right := ctx, ctx
		switch cmd.Op {
		case syntax.AndStmt:
		case syntax.Pipe, syntax.PipeAll:
			left.chained, right.chained, right.piped = false, false, true
		default:
			left.chained, right.chained = false, false
		}
		s.statement(cmd.X, left)
		s.statement(cmd.Y, right)
	case *syntax.CallExpr:
		s.simple(cmd, ctx, s.endPlace(ctx, end))
	case *syntax.DeclClause:
		for _, a := range cmd.Args {
			s.assign(a, ctx)
		}
		s.inside(cmd, ctx)
	default:
		ctx.chained = false
		s.inside(cmd, ctx)
	}
}

// inside reads the statements anywhere inside of a node.
func (s *script) inside(n syntax.Node, ctx context) {
	ctx.chained = false
	syntax.Walk(n, func(child syntax.Node) bool {
		if stmt, ok := child.(*syntax.Stmt); ok {
			s.statement(stmt, ctx)
			return false
		}
		return true
	})
}

// place returns where in the file a place of the script stands.
func (s *script) place(ctx context, p syntax.Pos) int {
	if ctx.nested {
		return ctx.outer
	}
	return ctx.text.offset(int(p.Offset()))
}

// endPlace returns where in the file what ends at a place of the script ends: on
// the line of its last character.
func (s *script) endPlace(ctx context, p syntax.Pos) int {
	if ctx.nested || p.Offset() == 0 {
		return ctx.outer
	}
	return ctx.text.offset(int(p.Offset())-1) + 1
}

// simple reads a command with its arguments and assignments.
func (s *script) simple(call *syntax.CallExpr, ctx context, end int) {
	for _, a := range call.Assigns {
		s.assign(a, ctx)
	}
	s.inside(call, ctx)
	var words []shellWord
	for _, w := range call.Args {
		words = append(words, s.words(w, ctx)...)
	}
	s.call(words, ctx, end)
}

// call notes a command, and what it runs in turn.
func (s *script) call(words []shellWord, ctx context, end int) {
	for range 8 {
		if len(words) == 0 || s.room <= 0 {
			return
		}
		c := s.note(words, ctx, end)
		if code, at, ok := scriptOf(c.name, words); ok {
			s.nested(code, at, ctx)
			return
		}
		inner := s.wrapped(c.name, words, ctx)
		if len(inner) > 0 {
			c.options, _ = classify(c.name, words[1:len(words)-len(inner)])
		}
		words = inner
		ctx.chained = ctx.chained && c.name != "xargs"
	}
}

// note adds a command.
func (s *script) note(words []shellWord, ctx context, end int) *command {
	s.room--
	c := &command{
		stage: s.stage, in: s.in, name: path.Base(words[0].text), piped: ctx.piped,
		at: ctx.outer, nameAt: words[0].at, actionAt: span{-1, -1},
		plain: !ctx.nested && words[0].at.from >= 0, chained: ctx.chained && !ctx.nested, end: end,
	}
	if !ctx.nested {
		c.at = words[0].fromLine
	}
	for _, w := range words[1:] {
		c.args = append(c.args, w.text)
		c.open = c.open || w.open
	}
	options, operands := classify(c.name, words[1:])
	c.options = options
	for i, at := range operands {
		c.operands = append(c.operands, c.args[at])
		if i == 0 {
			c.action, c.actionAt = c.args[at], words[at+1].at
		}
	}
	c.plain = c.plain && (c.action == "" || c.actionAt.from >= 0)
	s.commands = append(s.commands, c)
	return c
}

// wrapped returns the command that a command such as sudo or env runs, nil for
// others.
func (s *script) wrapped(name string, words []shellWord, ctx context) []shellWord {
	if strings.HasPrefix(name, "python") && len(words) > 2 && words[1].text == "-m" {
		return words[2:]
	}
	w, ok := wrappers[name]
	if !ok {
		return nil
	}
	skip := w.operands
	for i := 1; i < len(words); i++ {
		text := words[i].text
		variable, value, assigns := strings.Cut(text, "=")
		switch {
		case text == "--":
		case isOption(text):
			if w.options.takesNext(text) {
				i++
			}
		case assigns && variable != "" && nameLength(variable) == len(variable):
			s.assignments = append(s.assignments, assignment{variable, value, s.at(words[i], ctx)})
		case skip > 0:
			skip--
		default:
			return words[i:]
		}
	}
	return nil
}

func (s *script) at(w shellWord, ctx context) int {
	if ctx.nested {
		return ctx.outer
	}
	return w.fromLine
}

// scriptOf returns the script that a shell, su or eval is given.
func scriptOf(name string, words []shellWord) (code string, at shellWord, ok bool) {
	switch {
	case name == "eval" && len(words) > 1:
		var parts []string
		for _, w := range words[1:] {
			parts = append(parts, w.text)
		}
		return strings.Join(parts, " "), words[1], true
	case slices.Contains(unixShells, name) || name == "su":
		for i, w := range words[1:] {
			if isOption(w.text) && !strings.HasPrefix(w.text, "--") && strings.HasSuffix(w.text, "c") && i+2 < len(words) {
				return words[i+2].text, words[i+2], true
			}
		}
	}
	return "", shellWord{}, false
}

// maxDepth is how often scripts in scripts are followed.
const maxDepth = 4

// nested reads a script in a word.
func (s *script) nested(code string, at shellWord, ctx context) {
	if ctx.depth >= maxDepth {
		s.holes = append(s.holes, "shell scripts are nested too deep")
		return
	}
	inner := context{nested: true, depth: ctx.depth + 1, outer: s.at(at, ctx), piped: ctx.piped}
	text := joined{text: code}
	inner.text = &text
	s.parse(&text, inner)
}

// assign notes an assignment.
func (s *script) assign(a *syntax.Assign, ctx context) {
	if a.Name == nil || a.Naked || a.Value == nil && a.Array != nil {
		return
	}
	value, known := "", true
	if a.Value != nil {
		value, known = s.literal(a.Value)
	}
	s.assignments = append(s.assignments, assignment{a.Name.Value, value, s.place(ctx, a.Pos())})
	if known && !a.Append && len(value) <= maxExpanded {
		s.vars[a.Name.Value] = value
	}
}

// variable is the value of a variable where it is known.
func (s *script) variable(name string) (string, bool) {
	if v, ok := s.vars[name]; ok {
		return v, true
	}
	return s.stage.variable(name)
}

// words returns a word as the shell sees it: none or several where it is a
// variable without quotes.
func (s *script) words(w *syntax.Word, ctx context) []shellWord {
	at := span{-1, -1}
	start := s.place(ctx, w.Pos())
	if !ctx.nested {
		from, to := start, s.endPlace(ctx, w.End())
		if to-from == int(w.End().Offset()-w.Pos().Offset()) {
			at = span{from, to}
		}
	}
	if len(w.Parts) == 1 {
		if p, ok := w.Parts[0].(*syntax.ParamExp); ok {
			if v, known := s.param(p); known {
				var out []shellWord
				for field := range strings.FieldsSeq(v) {
					out = append(out, shellWord{field, span{-1, -1}, false, start})
				}
				return out
			}
			return []shellWord{{sourceOf(p), span{-1, -1}, p.Param != nil && holdsOptions(p.Param.Value), start}}
		}
	}
	text, _ := s.literal(w)
	if w.Lit() == "" || strings.Contains(text, "$") {
		at = span{-1, -1}
	}
	return []shellWord{{text, at, false, start}}
}

// holdsOptions says whether a variable is called as those that hold options are.
func holdsOptions(name string) bool {
	name = strings.ToUpper(name)
	return strings.Contains(name, "OPT") || strings.Contains(name, "FLAG") || strings.Contains(name, "ARG") || strings.Contains(name, "PARAM")
}

// literal returns the text of a word, and whether all of it is known.
func (s *script) literal(w *syntax.Word) (string, bool) {
	var b strings.Builder
	known := s.parts(&b, w.Parts, false)
	return b.String(), known
}

func (s *script) parts(b *strings.Builder, parts []syntax.WordPart, quoted bool) bool {
	known := true
	for _, part := range parts {
		if b.Len() > maxExpanded {
			return false
		}
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(p.Value, quoted))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			known = s.parts(b, p.Parts, true) && known
		case *syntax.ParamExp:
			v, ok := s.param(p)
			if !ok {
				v, known = sourceOf(p), false
			}
			b.WriteString(v)
		default:
			b.WriteString(unknownValue)
			known = false
		}
	}
	return known
}

// param returns the value of a plain $name or ${name}, or of one with a default.
func (s *script) param(p *syntax.ParamExp) (string, bool) {
	if p.Param == nil || p.Excl || p.Length || p.Index != nil || p.Slice != nil || p.Repl != nil || p.Names != 0 {
		return "", false
	}
	v, known := s.variable(p.Param.Value)
	if p.Exp == nil {
		return v, known
	}
	if p.Exp.Op != syntax.DefaultUnset && p.Exp.Op != syntax.DefaultUnsetOrNull {
		return "", false
	}
	if known && v != "" {
		return v, true
	}
	if p.Exp.Word == nil {
		return "", true
	}
	return s.literal(p.Exp.Word)
}

// unknownValue stands for what only running the script would tell.
const unknownValue = "$_"

func sourceOf(p *syntax.ParamExp) string {
	if p.Param == nil {
		return unknownValue
	}
	return "$" + p.Param.Value
}

// unescape takes the backslashes of a literal away.
func unescape(text string, quoted bool) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (!quoted || strings.IndexByte("$`\"\\\n", text[i+1]) >= 0) {
			i++
			if text[i] == '\n' {
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
