package helm

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"text/template/parse"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// markTimeout bounds the second rendering, which only runs for a chart that
// has findings and did not take longer the first time.
const markTimeout = time.Minute

// renderMarked renders the chart again, with marks.
func (p *program) renderMarked() map[*source]markedText {
	ctx, cancel := context.WithTimeout(context.Background(), markTimeout)
	defer cancel()
	rec := newRecorder(p.marked())
	r := p.newRun(ctx, rec)
	out := make(map[*source]markedText, len(p.sources))
	for _, src := range p.sources {
		if !src.runs() {
			continue
		}
		rec.reset()
		text, err := r.execute(src)
		if err != nil {
			continue // lines are aligned instead
		}
		out[src] = decode(text, rec.marks)
	}
	return out
}

// tracer finds the places that wrote one rendered file.
type tracer struct {
	program *program
	src     *source
	clean   string

	mu      sync.Mutex
	found   bool
	points  []point // nil when the marks could not be used
	aligned []int   // for each rendered line, that of the template
}

// prepare makes what places are looked up in.
func (t *tracer) prepare() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found {
		return
	}
	t.found = true
	if m, ok := t.program.markedOutput()[t.src]; ok && m.text == t.clean {
		t.points = m.points
		return
	}
	t.aligned = align(t.src.text, t.clean)
}

// governing returns the mark that the text at pos belongs to: the last one
// that stands before it.
func (t *tracer) governing(pos document.Pos) *point {
	i := sort.Search(len(t.points), func(i int) bool { return after(t.points[i], pos) })
	if i == 0 {
		return nil
	}
	return &t.points[i-1]
}

func after(p point, pos document.Pos) bool {
	return p.line > pos.Line || (p.line == pos.Line && p.column > pos.Column)
}

// placePos returns the place of the template that wrote the text at pos.
func (t *tracer) placePos(pos document.Pos) seawall.Location {
	t.prepare()
	if t.points == nil {
		loc := seawall.Location{File: t.src.name}
		if i := int(pos.Line) - 1; i >= 0 && i < len(t.aligned) {
			loc.Line = t.aligned[i]
		}
		return loc
	}
	p := t.governing(pos)
	if p == nil {
		return seawall.Location{File: t.src.name, Line: 1}
	}
	src := p.mark.moment.site.define.src
	offset := p.mark.offset
	if !p.mark.action() && p.line == pos.Line {
		offset += runeBytes(src.text, offset, int(pos.Column-p.column))
	}
	loc := seawall.Location{File: src.name}
	loc.Line, loc.Column = src.position(offset)
	return loc
}

// runeBytes returns how many bytes n characters after offset take, not going
// beyond the line.
func runeBytes(text string, offset, n int) int {
	count := 0
	for i, c := range text[min(offset, len(text)):] {
		if count == n || c == '\n' {
			return i
		}
		count++
	}
	return 0
}

// placer returns the function that an object's Place is.
func (t *tracer) placer(o *cluster.Object) func(string, document.Pos) seawall.Location {
	return func(path string, pos document.Pos) seawall.Location {
		loc := t.placePos(pos)
		loc.Path = path
		if t.points == nil {
			loc.Value = t.alignedValue(loc.Line)
		} else {
			loc.Value = t.value(o.Root, path)
		}
		return loc
	}
}

// step is one step of a path through an object, with what it leads to.
type step struct {
	name  valueStep
	value *document.Node
	pos   document.Pos // of the key, or of the item
}

// follow returns the steps of a path that exist, and those that do not.
func follow(root *document.Node, path string) (there []step, missing valuePath) {
	n := root
	for _, s := range splitPath(path) {
		value, pos := s.in(n)
		if len(missing) > 0 || value == nil {
			missing = append(missing, s)
			continue
		}
		there = append(there, step{name: s, value: value, pos: pos})
		n = value
	}
	return there, missing
}

// splitPath reads a path such as spec.containers[0].image.
func splitPath(path string) valuePath {
	var out valuePath
	for path != "" {
		parent, last, index := document.Parent(path)
		if parent == path {
			return nil
		}
		s := valueStep{key: last}
		if index {
			s = valueStep{kind: stepIndex}
			for _, c := range last {
				s.index = s.index*10 + int(c-'0')
			}
		}
		out = append(out, s)
		path = parent
	}
	slices.Reverse(out)
	return out
}

// value returns the chart value that decides the field at path.
func (t *tracer) value(root *document.Node, path string) *seawall.ChartValue {
	there, missing := follow(root, path)
	if len(missing) > 0 {
		return t.missingValue(root, there, missing)
	}
	if len(there) == 0 {
		return nil
	}
	last := there[len(there)-1]
	// The key itself comes out of an action.
	if p := t.governing(last.pos); p != nil && p.mark.action() && p.line == last.pos.Line {
		return t.choose(p.mark.moment, t.remainder(there, p.mark.emit))
	}
	// The key is written in the template, its value comes out of one.
	moments := t.within(root, last)
	for _, m := range slices.Backward(moments) {
		if v := t.choose(m, nil); v != nil {
			return v
		}
	}
	return nil
}

// remainder returns the end of a path that one output of an action wrote.
func (t *tracer) remainder(there []step, emit int) valuePath {
	first := len(there)
	for i, s := range slices.Backward(there) {
		p := t.governing(s.pos)
		if p == nil || p.mark.emit != emit {
			break
		}
		first = i
	}
	var out valuePath
	for _, s := range there[first:] {
		out = append(out, s.name)
	}
	return out
}

// within returns the actions that wrote the value of a field. For a map or a
// list only the one that wrote all of it counts.
func (t *tracer) within(root *document.Node, s step) []*moment {
	if s.value.Kind() == document.Map || s.value.Kind() == document.List {
		if p := t.governing(s.value.Pos); p != nil && p.mark.action() && !before(p, s.pos) {
			return []*moment{p.mark.moment}
		}
		return nil
	}
	end := nextPos(root, s.value.Pos)
	if end == (document.Pos{}) || end.Line > s.value.Pos.Line+1 && !strings.Contains(s.value.Str(), "\n") {
		end = document.Pos{Line: s.value.Pos.Line + 1, Column: 0}
	}
	var out []*moment
	start := sort.Search(len(t.points), func(i int) bool { return after(t.points[i], s.pos) })
	for _, p := range t.points[start:] {
		if p.line > end.Line || (p.line == end.Line && p.column >= end.Column) {
			break
		}
		if p.mark.action() && (len(out) == 0 || out[len(out)-1] != p.mark.moment) {
			out = append(out, p.mark.moment)
		}
	}
	return out
}

func before(p *point, pos document.Pos) bool {
	return p.line < pos.Line || (p.line == pos.Line && p.column < pos.Column)
}

// nextPos returns the first position of a tree that is after pos.
func nextPos(n *document.Node, pos document.Pos) document.Pos {
	var best document.Pos
	consider := func(p document.Pos) {
		if later(p, pos) && (best == document.Pos{} || later(best, p)) {
			best = p
		}
	}
	var walk func(n *document.Node)
	walk = func(n *document.Node) {
		for _, f := range n.Map() {
			consider(f.Pos)
			if v := f.Value; v != nil {
				walk(v)
			}
		}
		for _, v := range n.List() {
			if v != nil {
				consider(v.Pos)
				walk(v)
			}
		}
	}
	walk(n)
	return best
}

func later(a, b document.Pos) bool {
	return a.Line > b.Line || (a.Line == b.Line && a.Column > b.Column)
}

// choose names the value that decides what an action wrote, of which rest is
// the part in question.
func (t *tracer) choose(m *moment, rest valuePath) *seawall.ChartValue {
	ev := &evaluator{program: t.program}
	return t.best(ev, ev.node(m, m.site.node), rest)
}

// best takes of the candidates the first that is set to something, else the
// first.
func (t *tracer) best(ev *evaluator, s symbol, rest valuePath) *seawall.ChartValue {
	var first *ref
	for _, r := range s.refs {
		if !r.exact && slices.ContainsFunc(s.refs, r.exactly) {
			continue // the exact one can be followed further
		}
		if r.exact && divisible(ev.value(r)) {
			r.path = append(slices.Clone(r.path), rest...)
		}
		if len(r.path) == 0 {
			continue
		}
		if first == nil {
			first = &r
		}
		if truthy(ev.value(r)) {
			first = &r
			break
		}
	}
	if first == nil {
		return nil
	}
	v := t.program.find(first.scope, first.scope.absolute(first.path))
	return &v
}

// divisible says whether a value has, or could have, parts of its own. Text
// that becomes YAML when it is rendered has none.
func divisible(v any) bool {
	switch v.(type) {
	case string, bool, float64, int64, int:
		return false
	}
	return true
}

func truthy(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case string:
		return x != ""
	case map[string]any:
		return len(x) > 0
	case []any:
		return len(x) > 0
	}
	return true // false and 0 are settings like any other
}

// missingValue names the value that would add a field that is not there.
func (t *tracer) missingValue(root *document.Node, there []step, missing valuePath) *seawall.ChartValue {
	pos, value := root.Pos, root
	if len(there) > 0 {
		last := there[len(there)-1]
		pos, value = last.pos, last.value
		// The parent comes out of an action, so the field would too.
		if p := t.governing(value.Pos); p != nil && p.mark.action() && !before(p, pos) {
			rest := append(t.remainder(there, p.mark.emit), missing...)
			return t.choose(p.mark.moment, rest)
		}
	}
	p := t.governing(pos)
	if p == nil || missing[0].kind != stepKey {
		return nil
	}
	return t.guarded(p, gap{end: t.endLine(p, root, value), column: t.column(p, value)}, missing)
}

// gap is where in a template a missing key would be written.
type gap struct {
	end    int // before this line, if not 0
	column int // in this column, if not 0
}

// column returns the column of the template in which the keys of a map are
// written, 0 when that cannot be told.
func (t *tracer) column(parent *point, value *document.Node) int {
	for _, f := range value.Map() {
		p := t.governing(f.Pos)
		if p == nil || p.mark.action() || p.line != f.Pos.Line ||
			p.mark.moment.site.define != parent.mark.moment.site.define {
			continue
		}
		return t.placePos(f.Pos).Column
	}
	return 0
}

// endLine returns the template line that wrote what comes after a value, if
// it is further down in the same template, else 0.
func (t *tracer) endLine(parent *point, root, value *document.Node) int {
	next := t.governing(nextPos(root, lastPos(value)))
	if next == nil || next.mark.moment.site.define != parent.mark.moment.site.define {
		return 0
	}
	src := parent.mark.moment.site.define.src
	from, _ := src.position(parent.mark.offset)
	to, _ := src.position(next.mark.offset)
	if to <= from {
		return 0
	}
	return to
}

// lastPos returns the last position within a value.
func lastPos(n *document.Node) document.Pos {
	last := n.Pos
	for _, f := range n.Map() {
		for _, p := range []document.Pos{f.Pos, lastPos(f.Value)} {
			if later(p, last) {
				last = p
			}
		}
	}
	for _, item := range n.List() {
		if p := lastPos(item); later(p, last) {
			last = p
		}
	}
	return last
}

// guarded looks for a with or an if that was not taken and whose body writes
// the missing key, in the template that wrote the parent.
func (t *tracer) guarded(parent *point, where gap, missing valuePath) *seawall.ChartValue {
	site := parent.mark.moment.site
	src := site.define.src
	line, _ := src.position(parent.mark.offset)
	for _, b := range t.program.marked().branches[src] {
		if b.line < line || (where.end > 0 && b.line >= where.end) || b.site.define != site.define {
			continue
		}
		at, found := writesKey(src, b.body, missing[0].key, where.column)
		if !found {
			continue
		}
		m := &moment{site: b.site, nth: make([]int, len(b.site.ranges)), caller: parent.mark.moment.caller}
		if same := parent.mark.moment; slices.Equal(same.site.ranges, b.site.ranges) {
			m.nth = same.nth
		}
		return t.guardValue(m, b, at, missing[1:])
	}
	return nil
}

// writesKey says whether a body writes a key in a column, or in any if that is
// 0, and which action follows it.
func writesKey(src *source, body *parse.ListNode, key string, column int) (next *parse.ActionNode, found bool) {
	for i, n := range body.Nodes {
		text, ok := n.(*parse.TextNode)
		if !ok {
			continue
		}
		at := keyOffset(string(text.Text), key)
		if at < 0 {
			continue
		}
		if _, col := src.position(int(text.Pos) + at); column > 0 && col != column {
			continue
		}
		if i+1 < len(body.Nodes) {
			next, _ = body.Nodes[i+1].(*parse.ActionNode)
		}
		return next, true
	}
	return nil, false
}

// keyOffset returns where a text writes a key, -1 when it does not.
func keyOffset(text, key string) int {
	at := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		rest := strings.TrimLeft(line, " \t-")
		if strings.HasPrefix(rest, key+":") {
			return at + len(line) - len(rest)
		}
		at += len(line)
	}
	return -1
}

// guardValue names the value that a body, were it written, would take rest
// from: that of the action after the key, else the one it is conditional on.
func (t *tracer) guardValue(m *moment, b *branch, next *parse.ActionNode, rest valuePath) *seawall.ChartValue {
	ev := &evaluator{program: t.program}
	cond := ev.node(m, b.pipe)
	if next == nil {
		return t.best(ev, cond, nil)
	}
	inner := *m.site
	inner.node = next
	if b.with {
		inner.dot = &dotScope{parent: m.site.dot, pipe: b.pipe, vars: m.site.vars, rangeID: -1}
	}
	for _, v := range b.pipe.Decl {
		inner.vars = &binding{next: inner.vars, name: v.Ident[0], pipe: b.pipe, dot: m.site.dot, vars: m.site.vars, rangeID: -1}
	}
	if v := t.best(ev, ev.node(&moment{site: &inner, nth: m.nth, caller: m.caller}, next), rest); v != nil {
		return v
	}
	return t.best(ev, cond, nil)
}
