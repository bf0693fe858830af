package helm

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"
)

// Places are found by rendering the chart a second time with marks: one
// private-use character before the first visible character of every piece of
// text, saying which piece of which template wrote it. The marks are woven
// into the parsed template, not into its text, so trimming is settled before
// they appear; they stand after leading space, so trimming what a template
// returned does not meet them; and they are removed again before a result
// goes anywhere but straight to the output. Where the marked text, its marks
// taken out, still differs from the plain rendering, it is not used.

// Two planes of Unicode are for private use: so many marks can be told apart
// within one rendered file.
const (
	plane15  = '\U000F0000'
	plane16  = '\U00100000'
	perPlane = 0xFFFE
	maxMarks = 2 * perPlane
)

func markRune(n int) rune {
	if n < perPlane {
		return plane15 + rune(n) //nolint:gosec // below perPlane
	}
	return plane16 + rune(n-perPlane) //nolint:gosec // recorders stop at maxMarks
}

// markNumber is the reverse of markRune, -1 for any other character.
func markNumber(r rune) int {
	switch {
	case r >= plane16 && r < plane16+perPlane:
		return int(r-plane16) + perPlane
	case r >= plane15 && r < plane15+perPlane:
		return int(r - plane15)
	}
	return -1
}

// stripMarks removes all marks.
func stripMarks(s string) string {
	// All marks begin with the bytes F3 B0..BF or F4.
	if strings.IndexByte(s, 0xF3) < 0 && strings.IndexByte(s, 0xF4) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if markNumber(r) >= 0 {
			return -1
		}
		return r
	}, s)
}

// define is one named template, or the body of a file.
type define struct {
	name string
	src  *source
	root *parse.ListNode // as parsed
	// calls are the templates whose results it hands on as they are.
	calls   []string
	literal bool
	outputs []*site
}

// literalKey matches text that writes a key or a list item of YAML, as opposed
// to text that is part of a value.
func literalKey() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|\n)[ \t]*(?:- |-\n|(?:- )?["']?[\w./-]+["']?:(?:[ \t\r\n]|$))`)
}

// writesKeys says whether a named template writes YAML of its own. One that
// does not, such as a helper that prints a name or a rendered value, is a
// function to its caller, and what it returns belongs to the caller's line.
func (c *instrumented) writesKeys(name string, depth int) bool {
	d := c.defines[name]
	if d == nil || depth > 20 {
		return false
	}
	return d.literal || slices.ContainsFunc(d.calls, func(n string) bool { return c.writesKeys(n, depth+1) })
}

// site is one place of a template that writes, or that calls another one.
type site struct {
	define *define
	node   parse.Node // the text, action, command or template node, as parsed
	dot    *dotScope
	vars   *binding
	ranges []int // the ranges around it, outermost first
}

// branch is the body of a with or an if, or of their else.
type branch struct {
	site *site
	pipe *parse.PipeNode
	body *parse.ListNode
	with bool
	line int
}

// dotScope says what the dot is: the root of a define, or what a with or a
// range was given.
type dotScope struct {
	parent  *dotScope
	define  *define
	pipe    *parse.PipeNode
	vars    *binding
	rangeID int // -1 for a with
}

// binding is a variable that is visible at a place.
type binding struct {
	next     *binding
	name     string
	pipe     *parse.PipeNode
	dot      *dotScope
	vars     *binding
	rangeID  int // -1 unless a range declares it
	key      bool
	assigned []*binding
}

// moment is a site at one moment of the run: with the iterations around it
// and the call that led to its template.
type moment struct {
	site   *site
	nth    []int
	caller *moment
}

// mark is one mark of a rendered text.
type mark struct {
	moment *moment
	offset int // in the text of the site's source
	emit   int // the same for all marks of one action's output
}

func (m *mark) action() bool {
	_, ok := m.moment.site.node.(*parse.ActionNode)
	return ok
}

// instrumenter weaves calls into one parse tree.
type instrumenter struct {
	code   *instrumented
	marks  bool
	define *define
	dot    *dotScope
	vars   *binding
	ranges []int
}

func (in *instrumenter) site(n parse.Node) (*site, int) {
	s := &site{define: in.define, node: n, dot: in.dot, vars: in.vars, ranges: slices.Clone(in.ranges)}
	in.code.sites = append(in.code.sites, s)
	return s, len(in.code.sites) - 1
}

// list instruments the nodes of a list and leaves its variables visible.
func (in *instrumenter) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	out := make([]parse.Node, 0, len(l.Nodes)+4)
	for _, n := range l.Nodes {
		out = in.node(out, n)
	}
	l.Nodes = out
}

func (in *instrumenter) node(out []parse.Node, n parse.Node) []parse.Node {
	switch n := n.(type) {
	case *parse.TextNode:
		return append(out, in.text(n))
	case *parse.ActionNode:
		in.action(n)
	case *parse.IfNode:
		in.block(&n.BranchNode, false)
	case *parse.WithNode:
		in.block(&n.BranchNode, true)
	case *parse.RangeNode:
		return in.rangeBlock(out, n)
	case *parse.TemplateNode:
		return in.template(out, n)
	}
	return append(out, n)
}

func (in *instrumenter) text(n *parse.TextNode) parse.Node {
	if !in.marks {
		return n
	}
	if in.code.literalKey.Match(n.Text) {
		in.define.literal = true
	}
	_, id := in.site(n)
	return call(n.Pos, textFunc, id)
}

func (in *instrumenter) action(n *parse.ActionNode) {
	if !in.marks {
		return
	}
	if len(n.Pipe.Decl) > 0 {
		orig, _ := n.Pipe.Copy().(*parse.PipeNode)
		in.pipe(n.Pipe, false)
		in.declare(orig)
		return
	}
	orig, _ := n.Copy().(*parse.ActionNode)
	s, id := in.site(orig)
	in.define.outputs = append(in.define.outputs, s)
	in.pipe(n.Pipe, true)
	n.Pipe.Cmds = append(n.Pipe.Cmds, command(n.Pos, outFunc, id))
}

// declare makes the variables of a pipeline visible, or notes what it assigns.
func (in *instrumenter) declare(pipe *parse.PipeNode) {
	for _, v := range pipe.Decl {
		b := &binding{next: in.vars, name: v.Ident[0], pipe: pipe, dot: in.dot, vars: in.vars, rangeID: -1}
		if !pipe.IsAssign {
			in.vars = b
			continue
		}
		for old := in.vars; old != nil; old = old.next {
			if old.name == b.name {
				old.assigned = append(old.assigned, b)
				break
			}
		}
	}
}

// block instruments an if or a with.
func (in *instrumenter) block(n *parse.BranchNode, with bool) {
	if !in.marks {
		in.list(n.List)
		in.list(n.ElseList)
		return
	}
	vars, dot := in.vars, in.dot
	pipe, _ := n.Pipe.Copy().(*parse.PipeNode)
	s, _ := in.site(pipe)
	body, _ := n.List.Copy().(*parse.ListNode)
	line, _ := in.define.src.position(int(n.Pos))
	in.code.branches[in.define.src] = append(in.code.branches[in.define.src],
		&branch{site: s, pipe: pipe, body: body, with: with, line: line})
	in.pipe(n.Pipe, false)
	in.declare(pipe)
	inner := in.vars
	if with {
		in.dot = &dotScope{parent: dot, pipe: pipe, vars: vars, rangeID: -1}
	}
	in.list(n.List)
	in.vars, in.dot = inner, dot
	in.list(n.ElseList)
	in.vars = vars
}

// rangeBlock instruments a range and counts its iterations.
func (in *instrumenter) rangeBlock(out []parse.Node, n *parse.RangeNode) []parse.Node {
	if !in.marks {
		in.list(n.List)
		in.list(n.ElseList)
		n.List.Nodes = slices.Insert(n.List.Nodes, 0, parse.Node(call(n.Pos, tickFunc, -1)))
		return append(out, n)
	}
	vars, dot, ranges := in.vars, in.dot, in.ranges
	pipe, _ := n.Pipe.Copy().(*parse.PipeNode)
	_, id := in.site(pipe)
	in.pipe(n.Pipe, false)
	for i, v := range pipe.Decl {
		in.vars = &binding{
			next: in.vars, name: v.Ident[0], pipe: pipe, dot: dot, vars: vars,
			rangeID: id, key: len(pipe.Decl) == 2 && i == 0,
		}
	}
	in.dot = &dotScope{parent: dot, pipe: pipe, vars: vars, rangeID: id}
	in.ranges = append(slices.Clone(ranges), id)
	in.list(n.List)
	n.List.Nodes = slices.Insert(n.List.Nodes, 0,
		parse.Node(call(n.Pos, tickFunc, -1)), parse.Node(call(n.Pos, nextFunc, id)))
	in.vars, in.dot, in.ranges = vars, dot, ranges
	in.list(n.ElseList)
	in.vars = vars
	return append(out, call(n.Pos, resetFunc, id), n)
}

// template instruments {{ template "name" }}.
func (in *instrumenter) template(out []parse.Node, n *parse.TemplateNode) []parse.Node {
	if !in.marks {
		return append(out, call(n.Pos, enterFunc, -1), n, call(n.Pos, leaveFunc, -1))
	}
	in.define.calls = append(in.define.calls, n.Name)
	orig, _ := n.Copy().(*parse.TemplateNode)
	_, id := in.site(orig)
	if n.Pipe != nil {
		in.pipe(n.Pipe, false)
	}
	return append(out,
		call(n.Pos, enterFunc, -1), call(n.Pos, pushFunc, id), n,
		call(n.Pos, popFunc, -1), call(n.Pos, leaveFunc, -1))
}

// pipe instruments the calls of include in a pipeline: each is told where it
// stands, and its result keeps its marks only on a straight way to the output.
func (in *instrumenter) pipe(p *parse.PipeNode, output bool) {
	if p == nil {
		return
	}
	cmds := make([]*parse.CommandNode, 0, len(p.Cmds)+2)
	for i, c := range p.Cmds {
		orig, _ := c.Copy().(*parse.CommandNode)
		for _, arg := range c.Args {
			in.argument(arg)
		}
		cmds = append(cmds, c)
		if id, ok := c.Args[0].(*parse.IdentifierNode); !ok || id.Ident != "include" {
			continue
		}
		direct := output && straight(p.Cmds[i+1:])
		if name, ok := constString(orig, 1); ok && direct {
			in.define.calls = append(in.define.calls, name)
		}
		_, at := in.site(orig)
		rewired := command(c.Pos, includeFunc, at)
		rewired.Args = append(rewired.Args, c.Args[1:]...)
		cmds[len(cmds)-1] = rewired
		if !direct {
			cmds = append(cmds, command(c.Pos, plainFunc, -1))
		}
	}
	p.Cmds = cmds
}

func (in *instrumenter) argument(n parse.Node) {
	switch n := n.(type) {
	case *parse.PipeNode:
		in.pipe(n, false)
	case *parse.ChainNode:
		in.argument(n.Node)
	}
}

// straight says whether commands only move lines, so that marks survive them.
func straight(cmds []*parse.CommandNode) bool {
	for _, c := range cmds {
		id, ok := c.Args[0].(*parse.IdentifierNode)
		if !ok || (id.Ident != "indent" && id.Ident != "nindent" && id.Ident != "trim") {
			return false
		}
	}
	return true
}

// constString returns argument i of a call when it is a literal string.
func constString(c *parse.CommandNode, i int) (string, bool) {
	if i >= len(c.Args) {
		return "", false
	}
	s, ok := c.Args[i].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return s.Text, true
}

// recorder makes and remembers the marks of one rendered file.
type recorder struct {
	code   *instrumented
	marks  []mark
	caller *moment
	counts map[int]int
	emits  int
}

func newRecorder(code *instrumented) *recorder {
	return &recorder{code: code, counts: make(map[int]int)}
}

// reset forgets the marks of the file before.
func (r *recorder) reset() {
	r.marks, r.caller, r.emits = nil, nil, 0
	clear(r.counts)
}

func (r *recorder) functions() template.FuncMap {
	return template.FuncMap{
		textFunc:  r.text,
		outFunc:   r.out,
		plainFunc: plain,
		pushFunc:  func(id int) string { r.push(id); return "" },
		popFunc:   func() string { r.pop(); return "" },
		resetFunc: func(id int) string { r.counts[id] = -1; return "" },
		nextFunc:  func(id int) string { r.counts[id]++; return "" },
	}
}

func (r *recorder) push(id int) { r.caller = r.moment(r.code.sites[id]) }

func (r *recorder) pop() {
	if r.caller != nil {
		r.caller = r.caller.caller
	}
}

func (r *recorder) moment(s *site) *moment {
	m := &moment{site: s, caller: r.caller}
	if len(s.ranges) > 0 {
		m.nth = make([]int, len(s.ranges))
		for i, id := range s.ranges {
			m.nth[i] = max(r.counts[id], 0)
		}
	}
	return m
}

// text returns the text of a site with a mark on each line.
func (r *recorder) text(id int) string {
	s := r.code.sites[id]
	n, ok := s.node.(*parse.TextNode)
	if !ok {
		return ""
	}
	m := r.moment(s)
	return r.weave(string(n.Text), func(at int) mark {
		r.emits++
		return mark{moment: m, offset: int(n.Pos) + at, emit: r.emits}
	})
}

// out returns the result of an action with a mark on each line that has none.
func (r *recorder) out(id int, v any) any {
	s, ok := v.(string)
	if !ok {
		if s, ok = printed(v); !ok {
			return v
		}
	}
	m := r.moment(r.code.sites[id])
	offset := actionStart(m.site)
	r.emits++
	emit := r.emits
	return r.weave(s, func(int) mark { return mark{moment: m, offset: offset, emit: emit} })
}

// printed returns what text/template prints for a value, for those kinds of
// which that is certain.
func printed(v any) (string, bool) {
	if v == nil {
		return "", false
	}
	switch reflect.TypeOf(v).Kind() { //nolint:exhaustive // the others are not certain
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return fmt.Sprint(v), true
	}
	return "", false
}

// actionStart returns the offset of the {{ of an action.
func actionStart(s *site) int {
	text, pos := s.define.src.text, int(s.node.Position())
	if pos > len(text) {
		return 0
	}
	if i := strings.LastIndex(text[:pos], "{{"); i >= 0 {
		return i
	}
	return pos
}

// weave puts a mark before the first visible character of each line, unless
// one stands there already.
func (r *recorder) weave(s string, next func(at int) mark) string {
	var b strings.Builder
	fresh := true
	last := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			fresh = true
		case c == ' ' || c == '\t' || c == '\r' || !fresh:
		default:
			fresh = false
			if c, _ := utf8.DecodeRuneInString(s[i:]); markNumber(c) >= 0 || len(r.marks) >= maxMarks {
				continue
			}
			b.WriteString(s[last:i])
			last = i
			b.WriteRune(markRune(len(r.marks)))
			r.marks = append(r.marks, next(i))
		}
	}
	if last == 0 && b.Len() == 0 {
		return s
	}
	b.WriteString(s[last:])
	return b.String()
}

// plain removes the marks of a string.
func plain(v any) any {
	if s, ok := v.(string); ok {
		return stripMarks(s)
	}
	return v
}

// markedText is a rendered text with its marks taken out of it.
type markedText struct {
	text   string
	points []point // in the order of the text
}

// point is a place of a rendered text, from 1, at which a mark stood.
type point struct {
	line, column int32
	mark         mark
}

// decode separates a rendered text from its marks.
func decode(s string, marks []mark) markedText {
	var t markedText
	var b strings.Builder
	line, column := int32(1), int32(1)
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		if n := markNumber(c); n >= 0 && n < len(marks) {
			t.points = append(t.points, point{line: line, column: column, mark: marks[n]})
			i += size
			continue
		}
		b.WriteString(s[i : i+size])
		i += size
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
	}
	t.text = b.String()
	return t
}
