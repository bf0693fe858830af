package helm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"
	"time"

	"seawall.io/seawall/internal/helm/chart"
)

const (
	maxDepth = 1000      // templates that include templates, as Helm allows
	maxSteps = 1_000_000 // iterations and inclusions of one chart
)

var errBudget = errors.New("the templates of the chart wrote more text, or ran longer, than allowed")

// program is a chart ready to be run, as often as needed.
type program struct {
	loaded  *loadedChart
	values  *values
	opts    Options
	now     time.Time
	sources []*source          // in the order in which Helm runs them
	byName  map[string]*source // by the name that templates know them by
	set     *template.Template // all templates, as parsed
	funcs   template.FuncMap
	// plain and marked are made from set once, when first needed.
	plain, marked func() *instrumented
	// markedOutput is the whole chart rendered with marks, made when the first
	// finding asks for its place.
	markedOutput func() map[*source]markedText
}

// source is one template file.
type source struct {
	file     string // templates/deployment.yaml
	full     string // mychart/charts/sub/templates/deployment.yaml, as templates know it
	name     string // as the user named it
	text     string
	scope    *scope
	parseErr error
	failed   bool         // when run
	lines    func() []int // offsets at which lines begin
}

// runs says that a file is to be run by itself.
func (s *source) runs() bool { return !s.partial() && s.parseErr == nil && !s.failed }

// partial says that a file only defines templates for others.
func (s *source) partial() bool { return strings.HasPrefix(path.Base(s.full), "_") }

// position turns an offset into line and column, from 1, in code points.
func (s *source) position(offset int) (line, column int) {
	offset = min(max(offset, 0), len(s.text))
	starts := s.lines()
	line = sort.SearchInts(starts, offset+1)
	return line, len([]rune(s.text[starts[line-1]:offset])) + 1
}

func lineStarts(text string) []int {
	starts := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// scope is a chart within the tree of charts: what its templates see as
// .Values is a part of all values.
type scope struct {
	parent   *scope
	name     string
	chart    *chart.Chart
	defaults valuesFile // the chart's values.yaml, zero when it has none
}

// prefix returns the path of the chart's values from the root of all values.
func (s *scope) prefix() valuePath {
	if s == nil || s.parent == nil {
		return nil
	}
	return append(s.parent.prefix(), valueStep{key: s.name})
}

// fromRoot returns the charts from the root chart to this one.
func (s *scope) fromRoot() []*scope {
	if s == nil {
		return nil
	}
	return append(s.parent.fromRoot(), s)
}

// absolute turns a path in the chart's own values into one from the root.
func (s *scope) absolute(own valuePath) valuePath {
	if len(own) > 0 && own[0].kind == stepKey && own[0].key == chart.GlobalKey {
		return own
	}
	return append(s.prefix(), own...)
}

// relative turns a path from the root of all values into one in the chart's
// own values.yaml.
func (s *scope) relative(path valuePath) (valuePath, bool) {
	if len(path) > 0 && path[0].key == chart.GlobalKey {
		return path, true
	}
	prefix := s.prefix()
	if len(path) < len(prefix) || !slices.Equal(path[:len(prefix)], prefix) {
		return nil, false
	}
	return path[len(prefix):], true
}

func newProgram(l *loadedChart, v *values, opts Options) *program {
	p := &program{loaded: l, values: v, opts: opts, now: time.Now(), byName: make(map[string]*source)}
	p.collect(l.chart, nil)
	slices.SortFunc(p.sources, func(a, b *source) int { return helmOrder(b.full, a.full) })
	p.funcs = functions()
	p.funcs["now"] = func() time.Time { return p.now }
	p.parse()
	p.plain = sync.OnceValue(func() *instrumented { return p.instrument(false) })
	p.marked = sync.OnceValue(func() *instrumented { return p.instrument(true) })
	p.markedOutput = sync.OnceValue(p.renderMarked)
	return p
}

// helmOrder orders templates by depth, then name. Helm runs them in reverse,
// so that what a parent defines replaces what its sub-charts define.
func helmOrder(a, b string) int {
	if d := strings.Count(a, "/") - strings.Count(b, "/"); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

func (p *program) collect(c *chart.Chart, parent *scope) {
	s := &scope{parent: parent, name: c.Name(), chart: c}
	for _, f := range c.Raw {
		if f.Name == "values.yaml" {
			s.defaults = newValuesFile(p.loaded.name(f), f.Data)
		}
	}
	for _, d := range c.Dependencies() {
		p.collect(d, s)
	}
	for _, f := range c.Templates {
		if f == nil || (c.IsLibrary() && !strings.HasPrefix(filepath.Base(f.Name), "_")) {
			continue
		}
		src := &source{
			file: f.Name, full: path.Join(c.FullPath(), f.Name),
			name: p.loaded.name(f), text: string(f.Data), scope: s,
		}
		src.lines = sync.OnceValue(func() []int { return lineStarts(src.text) })
		if old := p.byName[src.full]; old != nil { // two sub-charts of one name: the last one wins, as in Helm
			*old = *src
			continue
		}
		p.byName[src.full] = src
		p.sources = append(p.sources, src)
	}
}

// parse parses all templates. One that does not parse leaves the others.
func (p *program) parse() {
	p.set = template.New("gotpl").Option("missingkey=zero").Funcs(p.funcs).Funcs(template.FuncMap{
		"include": func(string, any) (string, error) { return "", nil },
		"tpl":     func(string, any) (string, error) { return "", nil },
	})
	for _, src := range p.sources {
		if _, err := p.set.New(src.full).Parse(src.text); err != nil {
			src.parseErr = err
		}
	}
}

// context builds what the templates of each chart see as their root. Each run
// needs its own, since templates may change it.
func (p *program) context() map[*scope]map[string]any {
	roots := make(map[*scope]map[string]any)
	scopes := make(map[*chart.Chart]*scope)
	for _, src := range p.sources {
		for s := src.scope; s != nil; s = s.parent {
			scopes[s.chart] = s
		}
	}
	top := map[string]any{}
	maps.Copy(top, p.values.top)
	top["Values"] = chart.Copy(p.values.top["Values"])
	var walk func(c *chart.Chart, parent chart.Values) map[string]any
	walk = func(c *chart.Chart, parent chart.Values) map[string]any {
		root := chartRoot(c, parent)
		subs := root["Subcharts"].(map[string]any)
		for _, d := range c.Dependencies() {
			subs[d.Name()] = walk(d, root)
		}
		if s := scopes[c]; s != nil {
			roots[s] = root
		}
		return root
	}
	walk(p.loaded.chart, top)
	return roots
}

// chartRoot is the root that one chart's templates see.
func chartRoot(c *chart.Chart, parent chart.Values) map[string]any {
	meta := c.Metadata.Map()
	meta["IsRoot"] = c.IsRoot()
	root := map[string]any{
		"Chart":        meta,
		"Files":        newFiles(c.Files),
		"Release":      parent["Release"],
		"Capabilities": parent["Capabilities"],
		"Values":       make(chart.Values),
		"Subcharts":    map[string]any{},
	}
	if c.IsRoot() {
		root["Values"] = parent["Values"]
	} else if vals, err := parent.Table("Values." + c.Name()); err == nil {
		root["Values"] = vals
	}
	return root
}

// run is one execution of a program's templates.
type run struct {
	ctx     context.Context //nolint:containedctx // text/template has no way to hand one through
	program *program
	set     *template.Template
	code    *instrumented
	roots   map[*scope]map[string]any
	marks   *recorder // nil unless places are wanted
	written int
	steps   int
	depth   int
}

func (p *program) newRun(ctx context.Context, marks *recorder) *run {
	r := &run{ctx: ctx, program: p, roots: p.context(), marks: marks, code: p.plain()}
	if marks != nil {
		r.code = p.marked()
	}
	set, err := r.code.set.Clone()
	if err != nil { // only a set that was executed cannot be cloned, and this one never is
		panic(err)
	}
	r.set = set
	r.bind(set)
	return r
}

// bind gives a set of templates the functions that know it.
func (r *run) bind(t *template.Template) {
	t.Option("missingkey=zero").Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) { return r.include(t, name, data) },
		"tpl":     func(text string, data any) (string, error) { return r.tpl(t, text, data) },
		tickFunc:  r.tick,
		enterFunc: r.enter,
		leaveFunc: func() string { r.depth--; return "" },
	})
	if r.marks != nil {
		t.Funcs(r.marks.functions()).Funcs(template.FuncMap{
			includeFunc: func(site int, name string, data any) (string, error) {
				return r.markedInclude(t, site, name, data)
			},
		})
	}
}

// markedInclude includes a template and keeps the marks of what it writes, if
// it writes more than a value.
func (r *run) markedInclude(t *template.Template, site int, name string, data any) (string, error) {
	r.marks.push(site)
	out, err := r.include(t, name, data)
	r.marks.pop()
	if !r.code.writesKeys(name, 0) {
		out = stripMarks(out)
	}
	return out, err
}

// execute runs one template file.
func (r *run) execute(src *source) (out string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the template makes the engine panic: %v", p)
		}
	}()
	r.depth = 0
	root := r.roots[src.scope]
	root["Template"] = chart.Values{
		"Name":     src.full,
		"BasePath": path.Join(src.scope.chart.FullPath(), "templates"),
	}
	w := &limitedText{run: r}
	if err := r.set.ExecuteTemplate(w, src.full, root); err != nil {
		return "", err
	}
	return strings.ReplaceAll(w.String(), "<no value>", ""), nil
}

func (r *run) include(t *template.Template, name string, data any) (string, error) {
	if _, err := r.enter(); err != nil {
		return "", fmt.Errorf("including %q: %w", name, err)
	}
	w := &limitedText{run: r}
	err := t.ExecuteTemplate(w, name, data)
	r.depth--
	return w.String(), err
}

func (r *run) tpl(t *template.Template, text string, data any) (string, error) {
	if !strings.Contains(text, "{{") {
		return strings.ReplaceAll(text, "<no value>", ""), nil
	}
	if _, err := r.enter(); err != nil {
		return "", fmt.Errorf("rendering text from a value: %w", err)
	}
	inner, err := t.Clone()
	if err != nil {
		return "", fmt.Errorf("cannot clone template: %w", err)
	}
	r.bind(inner)
	inner, err = inner.New(t.Name()).Parse(text)
	if err != nil {
		return "", fmt.Errorf("text from a value cannot be parsed as template: %w", err)
	}
	if inner.Tree != nil {
		(&instrumenter{}).list(inner.Root)
	}
	w := &limitedText{run: r}
	err = inner.Execute(w, data)
	r.depth--
	return strings.ReplaceAll(stripMarks(w.String()), "<no value>", ""), err
}

// tick counts an iteration.
func (r *run) tick() (string, error) {
	r.steps++
	if r.steps > maxSteps {
		return "", errBudget
	}
	if r.steps&0xff == 0 && r.ctx.Err() != nil {
		return "", fmt.Errorf("stopped: %w", context.Cause(r.ctx))
	}
	return "", nil
}

// enter counts a template that another one calls.
func (r *run) enter() (string, error) {
	r.depth++
	if r.depth > maxDepth {
		return "", fmt.Errorf("templates include one another more than %d levels deep: one of them includes itself", maxDepth)
	}
	return r.tick()
}

// limitedText collects what a template writes, within the run's limits.
type limitedText struct {
	strings.Builder
	run *run
}

// Write appends text. An error ends the template that writes.
func (w *limitedText) Write(text []byte) (int, error) {
	w.run.written += len(text)
	if limit := w.run.program.opts.OutputBytes; w.run.written > limit && w.run.marks == nil || w.run.written > 2*limit {
		return 0, errBudget
	}
	if w.run.written>>16 != (w.run.written-len(text))>>16 && w.run.ctx.Err() != nil {
		return 0, context.Cause(w.run.ctx)
	}
	return w.Builder.Write(text)
}

// Names of the functions that instrumented templates call. No template can
// name them, since they are not defined when templates are parsed.
const (
	tickFunc    = "_tick"
	enterFunc   = "_enter"
	includeFunc = "_include"
	leaveFunc   = "_leave"
	textFunc    = "_text"
	outFunc     = "_out"
	plainFunc   = "_plain"
	pushFunc    = "_push"
	popFunc     = "_pop"
	resetFunc   = "_reset"
	nextFunc    = "_next"
)

// instrumented is a copy of a program's templates with calls woven in.
type instrumented struct {
	set   *template.Template
	sites []*site
	// branches are the with and if blocks, in the order of the text, by file.
	branches map[*source][]*branch
	// defines are all named templates.
	defines    map[string]*define
	literalKey *regexp.Regexp
}

// instrument copies the templates and weaves in the counting of iterations
// and, with marks, the recording of what writes what.
func (p *program) instrument(marks bool) *instrumented {
	code := &instrumented{branches: make(map[*source][]*branch), defines: make(map[string]*define), literalKey: literalKey()}
	code.set = template.New("gotpl").Funcs(p.funcs)
	for _, t := range p.set.Templates() {
		if t.Tree == nil || t.Root == nil {
			continue
		}
		tree := t.Copy()
		in := &instrumenter{code: code}
		if src := p.byName[tree.ParseName]; src != nil && marks {
			in.define = &define{name: t.Name(), src: src, root: t.Root}
			in.dot = &dotScope{define: in.define}
			code.defines[t.Name()] = in.define
		}
		in.marks = in.define != nil
		in.list(tree.Root)
		if _, err := code.set.AddParseTree(t.Name(), tree); err != nil {
			panic(err) // the same tree was added once before
		}
	}
	for _, b := range code.branches {
		slices.SortStableFunc(b, func(x, y *branch) int { return x.line - y.line })
	}
	return code
}

// call returns an action that calls one of Seawall's functions.
func call(pos parse.Pos, name string, n int) *parse.ActionNode {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: pos, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{command(pos, name, n)},
	}}
}

// command returns a call of one of Seawall's functions, with a number as
// argument unless n is negative.
func command(pos parse.Pos, name string, n int) *parse.CommandNode {
	c := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{parse.NewIdentifier(name).SetPos(pos)}}
	if n >= 0 {
		c.Args = append(c.Args, &parse.NumberNode{
			NodeType: parse.NodeNumber, Pos: pos, IsInt: true, IsUint: true,
			Int64: int64(n), Uint64: uint64(n), Text: strconv.Itoa(n),
		})
	}
	return c
}
