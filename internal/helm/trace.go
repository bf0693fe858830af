package helm

import (
	"maps"
	"slices"
	"strconv"
	"text/template/parse"
)

// ref is a value of the chart that something depends on.
type ref struct {
	scope *scope
	path  valuePath // in the values of the scope's chart
	// exact says that the thing is this value, so that a part of the one is a
	// part of the other.
	exact bool
}

// symbol is what is known of an expression without evaluating it.
type symbol struct {
	// refs are the values it is or depends on, the most decisive first.
	refs []ref
	// root is set for the root of a chart's templates, $.
	root *scope
	// fields are those of a dict made in the template.
	fields map[string]symbol
}

const (
	maxEval = 40   // expressions within expressions
	maxRefs = 16   // values that one expression may depend on
	maxWork = 5000 // expressions looked at for one place
)

// evaluator finds the chart values that expressions depend on.
type evaluator struct {
	program *program
	depth   int
	work    int
}

// node returns the symbol of a template's expression at a moment.
func (e *evaluator) node(m *moment, n parse.Node) symbol {
	e.depth++
	e.work++
	defer func() { e.depth-- }()
	if e.depth > maxEval || e.work > maxWork {
		return symbol{}
	}
	switch n := n.(type) {
	case *parse.ActionNode:
		return e.node(m, n.Pipe)
	case *parse.PipeNode:
		return e.pipe(m, n)
	case *parse.CommandNode:
		return e.command(m, n, nil)
	case *parse.DotNode:
		return e.dot(m, m.site.dot)
	case *parse.FieldNode:
		return e.fields(e.dot(m, m.site.dot), n.Ident)
	case *parse.VariableNode:
		return e.fields(e.variable(m, n.Ident[0]), n.Ident[1:])
	case *parse.ChainNode:
		return e.fields(e.node(m, n.Node), n.Field)
	}
	return symbol{}
}

func (e *evaluator) pipe(m *moment, n *parse.PipeNode) symbol {
	if n == nil {
		return symbol{}
	}
	var last *symbol
	for _, c := range n.Cmds {
		s := e.command(m, c, last)
		last = &s
	}
	if last == nil {
		return symbol{}
	}
	return *last
}

// dot returns what . is.
func (e *evaluator) dot(m *moment, d *dotScope) symbol {
	if d == nil || e.depth > maxEval {
		return symbol{}
	}
	if d.define != nil {
		return e.root(m)
	}
	outer := e.in(m, d.parent, d.vars)
	s := e.node(outer, d.pipe)
	if d.rangeID >= 0 {
		return e.element(s, m.iteration(d.rangeID))
	}
	return s
}

// in returns the moment as seen from an enclosing place of the same template.
func (e *evaluator) in(m *moment, dot *dotScope, vars *binding) *moment {
	s := *m.site
	s.dot, s.vars = dot, vars
	return &moment{site: &s, nth: m.nth, caller: m.caller}
}

func (m *moment) iteration(rangeID int) int {
	if i := slices.Index(m.site.ranges, rangeID); i >= 0 && i < len(m.nth) {
		return m.nth[i]
	}
	return 0
}

// root returns what a template was called with.
func (e *evaluator) root(m *moment) symbol {
	if m.caller == nil { // a file, or a helper whose caller is unknown and mostly hands on the root
		return symbol{root: m.site.define.src.scope}
	}
	switch n := m.caller.site.node.(type) {
	case *parse.TemplateNode:
		return e.node(m.caller, n.Pipe)
	case *parse.CommandNode:
		if len(n.Args) > 2 {
			return e.node(m.caller, n.Args[2])
		}
	}
	return symbol{}
}

func (e *evaluator) variable(m *moment, name string) symbol {
	e.depth++
	defer func() { e.depth-- }()
	if e.depth > maxEval {
		return symbol{}
	}
	if name == "$" {
		return e.root(m)
	}
	for b := m.site.vars; b != nil; b = b.next {
		if b.name != name {
			continue
		}
		var out symbol
		for _, a := range slices.Backward(b.assigned) {
			out = union(out, e.node(e.in(m, a.dot, a.vars), a.pipe))
		}
		return union(out, e.bound(m, b))
	}
	return symbol{}
}

func (e *evaluator) bound(m *moment, b *binding) symbol {
	s := e.node(e.in(m, b.dot, b.vars), b.pipe)
	if b.rangeID < 0 {
		return s
	}
	s = e.element(s, m.iteration(b.rangeID))
	if b.key {
		return inexact(s)
	}
	return s
}

// element returns item n of what a range goes over: of a list, or of a map in
// the order of its keys.
func (e *evaluator) element(s symbol, n int) symbol {
	if s.fields != nil {
		keys := slices.Sorted(maps.Keys(s.fields))
		if n < len(keys) {
			return s.fields[keys[n]]
		}
		return symbol{}
	}
	var out symbol
	for _, r := range s.refs {
		if !r.exact {
			out.refs = append(out.refs, r)
			continue
		}
		step := valueStep{index: n, kind: stepIndex}
		if m, ok := e.value(r).(map[string]any); ok {
			keys := slices.Sorted(maps.Keys(m))
			if n >= len(keys) {
				continue
			}
			step = valueStep{key: keys[n]}
		}
		out.refs = append(out.refs, r.step(step))
	}
	return out
}

func (r ref) step(s valueStep) ref {
	r.path = append(slices.Clone(r.path), s)
	return r
}

// value returns what the user's and the chart's values hold for r.
func (e *evaluator) value(r ref) any {
	v, _ := lookup(e.program.values.top["Values"], r.scope.absolute(r.path))
	return v
}

func (e *evaluator) fields(s symbol, names []string) symbol {
	for _, name := range names {
		s = e.field(s, name)
	}
	return s
}

func (e *evaluator) field(s symbol, name string) symbol {
	switch {
	case s.root != nil:
		if name == "Values" {
			return symbol{refs: []ref{{scope: s.root, exact: true}}}
		}
		return symbol{}
	case s.fields != nil:
		return s.fields[name]
	}
	var out symbol
	for _, r := range s.refs {
		if r.exact {
			r = r.step(valueStep{key: name})
		}
		out.refs = append(out.refs, r)
	}
	return out
}

// union joins what two expressions depend on. A root or a dict wins over refs,
// since only one of them can be followed.
func union(a, b symbol) symbol {
	out := symbol{root: a.root, fields: a.fields, refs: slices.Clone(a.refs)}
	if out.root == nil {
		out.root = b.root
	}
	if out.fields == nil {
		out.fields = b.fields
	}
	for _, r := range b.refs {
		if len(out.refs) >= maxRefs {
			break
		}
		if !slices.ContainsFunc(out.refs, r.equal) {
			out.refs = append(out.refs, r)
		}
	}
	return out
}

func (r ref) equal(o ref) bool {
	return r.scope == o.scope && r.exact == o.exact && slices.Equal(r.path, o.path)
}

// exactly says whether o is the same value as r, known exactly.
func (r ref) exactly(o ref) bool {
	r.exact = true
	return r.equal(o)
}

// inexact keeps the dependence but not the identity.
func inexact(s symbol) symbol {
	out := symbol{refs: slices.Clone(s.refs)}
	for i := range out.refs {
		out.refs[i].exact = false
	}
	for _, key := range slices.Sorted(maps.Keys(s.fields)) {
		out = union(out, inexact(s.fields[key]))
	}
	// The whole of .Values says nothing about what decides.
	out.refs = slices.DeleteFunc(out.refs, func(r ref) bool { return len(r.path) == 0 })
	return out
}

// command returns the symbol of one command of a pipeline; piped is the result
// of the one before.
func (e *evaluator) command(m *moment, c *parse.CommandNode, piped *symbol) symbol {
	id, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok {
		return e.node(m, c.Args[0])
	}
	args := make([]symbol, 0, len(c.Args))
	for _, a := range c.Args[1:] {
		args = append(args, e.node(m, a))
	}
	if piped != nil {
		args = append(args, *piped)
	}
	return e.call(m, id.Ident, c, args)
}

// call knows what the functions of Helm do with their arguments.
func (e *evaluator) call(m *moment, name string, c *parse.CommandNode, args []symbol) symbol {
	arg := func(i int) symbol {
		if i >= 0 && i < len(args) {
			return args[i]
		}
		return symbol{}
	}
	switch name {
	case "include":
		return e.included(m, c)
	case "tpl", "omit", "pick", "first", "mustFirst":
		s := arg(0)
		if name == "first" || name == "mustFirst" {
			s = e.element(s, 0)
		}
		return s
	case "toYaml", "mustToYaml", "toYamlPretty", "toJson", "toPrettyJson", "toRawJson", "mustToJson",
		"fromYaml", "fromJson", "fromYamlArray", "fromJsonArray", "quote", "squote", "toString", "trim",
		"trimSuffix", "trimPrefix", "trimAll", "nindent", "indent", "int", "int64", "float64", "lower", "upper",
		"trunc", "required", "deepCopy", "mustDeepCopy", "print", "replace", "compact", "uniq", "title", "abs",
		"ceil", "floor", "round", "html", "toDecimal", "b64dec":
		return arg(len(args) - 1)
	case "default":
		return union(arg(1), arg(0))
	case "coalesce", "or", "merge", "mustMerge":
		return unionAll(args)
	case "mergeOverwrite", "mustMergeOverwrite", "and", "concat":
		slices.Reverse(args)
		return unionAll(args)
	case "ternary":
		return union(union(arg(0), arg(1)), inexact(arg(2)))
	case "dict":
		return dictSymbol(c, args)
	case "list", "tuple":
		s := symbol{fields: make(map[string]symbol)}
		for i, a := range args {
			s.fields[strconv.Itoa(i)] = a
		}
		return s
	case "index", "get":
		return e.indexed(c, args)
	case "dig":
		return e.dug(c, args)
	case "lookup", "until", "untilStep", "seq", "now":
		return symbol{}
	}
	slices.Reverse(args) // "repository:tag" is decided by the tag first
	out := symbol{}
	for _, a := range args {
		out = union(out, inexact(a))
	}
	return out
}

func unionAll(args []symbol) symbol {
	var out symbol
	for _, a := range args {
		out = union(out, a)
	}
	return out
}

func dictSymbol(c *parse.CommandNode, args []symbol) symbol {
	s := symbol{fields: make(map[string]symbol)}
	for i := 0; i+1 < len(args); i += 2 {
		if key, ok := constString(c, i+1); ok {
			s.fields[key] = args[i+1]
		}
	}
	return s
}

// indexed follows index X "a" 0 and get X "a".
func (e *evaluator) indexed(c *parse.CommandNode, args []symbol) symbol {
	if len(args) == 0 {
		return symbol{}
	}
	s := args[0]
	for i := 2; i < len(c.Args); i++ {
		switch k := c.Args[i].(type) {
		case *parse.StringNode:
			s = e.field(s, k.Text)
		case *parse.NumberNode:
			if s.fields != nil {
				s = s.fields[k.Text]
				continue
			}
			s = e.element(s, int(k.Int64))
		default:
			return inexact(s)
		}
	}
	return s
}

// dug follows dig "a" "b" default X.
func (e *evaluator) dug(c *parse.CommandNode, args []symbol) symbol {
	if len(args) < 3 {
		return symbol{}
	}
	s := args[len(args)-1]
	for i := 1; i < len(args)-1; i++ {
		key, ok := constString(c, i)
		if !ok {
			return inexact(s)
		}
		s = e.field(s, key)
	}
	return union(s, args[len(args)-2])
}

// included returns what a named template's output depends on.
func (e *evaluator) included(m *moment, c *parse.CommandNode) symbol {
	name, ok := constString(c, 1)
	d := e.program.marked().defines[name]
	if !ok || d == nil || e.depth > maxEval {
		return symbol{}
	}
	site := *m.site
	site.node = c
	caller := &moment{site: &site, nth: m.nth, caller: m.caller}
	var out symbol
	for _, s := range d.outputs {
		inner := e.node(&moment{site: s, nth: make([]int, len(s.ranges)), caller: caller}, s.node)
		out = union(out, symbol{refs: inner.refs, fields: inner.fields})
		if len(out.refs) >= maxRefs {
			break
		}
	}
	out.root = nil
	return out
}
