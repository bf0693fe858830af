package patch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// editor changes the text of one document.
type editor struct {
	text  []byte
	start int32 // line of the file on which text begins
	// value is what text must read as, by the reference implementation.
	value   any
	newline string
	// layout is that of text, nil if it is not known yet.
	layout *layout
}

// edit carries out operations, one after the other, and verifies the result.
// After an error the editor is as before.
func (e *editor) edit(ops []seawall.PatchOp) *Refusal {
	if len(ops) > 1 {
		// Reading the text again for each operation is slow in a large document.
		fast := *e
		if fast.editTogether(ops) == nil && fast.verify() == nil {
			*e = fast
			return nil
		}
	}
	sure := *e
	for _, op := range ops {
		if r := sure.apply(op); r != nil {
			return r
		}
	}
	if err := sure.verify(); err != nil {
		return &Refusal{Line: int(e.start), Ops: ops, Err: err}
	}
	*e = sure
	return nil
}

// apply carries out one operation. After an error the editor is of no use.
func (e *editor) apply(op seawall.PatchOp) *Refusal {
	steps, err := e.plan(op)
	for i := 0; err == nil && i < len(steps); i++ {
		err = e.take(steps[i : i+1])
	}
	if err != nil {
		return &Refusal{Line: e.lineOf(err), Ops: []seawall.PatchOp{op}, Err: err}
	}
	return nil
}

// plan breaks an operation down into steps and takes it as done.
func (e *editor) plan(op seawall.PatchOp) ([]step, error) {
	after, err := reference(e.value, op)
	if err != nil {
		return nil, err
	}
	steps, err := e.steps(op)
	e.value = after
	return steps, err
}

// editTogether carries out operations in as few rounds as possible. In a round
// no step changes a map or list in or around the one that another changes.
func (e *editor) editTogether(ops []seawall.PatchOp) error {
	var todo []step
	for _, op := range ops {
		steps, err := e.plan(op)
		if err != nil {
			return err
		}
		todo = append(todo, steps...)
	}
	for len(todo) > 0 {
		var now []step
		now, todo = independent(todo)
		if err := e.take(now); err != nil {
			return err
		}
	}
	return nil
}

// independent divides steps into those that can be taken together and those
// that have to wait for them, in order.
func independent(steps []step) (now, later []step) {
	parents, above := map[string]bool{}, map[string]bool{}
	for _, s := range steps {
		parent := s.path[:max(len(s.path)-1, 0)]
		free := !above[joinPointer(parent)]
		for i := range len(parent) + 1 {
			free = free && !parents[joinPointer(parent[:i])]
		}
		if free {
			now = append(now, s)
		} else {
			later = append(later, s)
		}
		parents[joinPointer(parent)] = true
		for i := range len(parent) {
			above[joinPointer(parent[:i])] = true
		}
	}
	return now, later
}

// take changes the text by steps that do not depend on each other.
func (e *editor) take(steps []step) error {
	l, err := e.read()
	if err != nil {
		return err
	}
	var changes []change
	for _, s := range steps {
		c, err := s.do(l)
		if err != nil {
			return err
		}
		changes = append(changes, c...)
	}
	text, err := splice(e.text, changes)
	if err == nil {
		e.text, e.layout = text, nil
	}
	return err
}

// read returns the layout of the text.
func (e *editor) read() (*layout, error) {
	if e.layout == nil {
		l, err := newLayout(e.text, int(e.start), e.newline)
		if err != nil {
			return nil, err
		}
		e.layout = l
	}
	return e.layout, nil
}

// lineOf returns the line of the file that an error speaks of.
func (e *editor) lineOf(err error) int {
	var at *located
	if e.layout == nil || !errors.As(err, &at) {
		return int(e.start)
	}
	return e.layout.fileLine(at.at)
}

// verify reads the text of the document alone.
func (e *editor) verify() error {
	docs := document.Parse(e.text, document.Limits{})
	if len(docs) != 1 {
		return fmt.Errorf("%w (it reads as %d documents)", ErrVerify, len(docs))
	}
	return e.compare(&docs[0])
}

func (e *editor) compare(d *document.Doc) error {
	if d.Err != nil {
		return fmt.Errorf("%w (%w)", ErrVerify, d.Err)
	}
	if !same(d.Root.Value(), e.value) {
		return ErrVerify
	}
	return nil
}

// change replaces text[from:to].
type change struct {
	from, to int
	text     string
}

// splice carries out changes that do not overlap.
func splice(text []byte, changes []change) ([]byte, error) {
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].from < changes[j].from })
	var out []byte
	last := 0
	for _, c := range changes {
		if c.from < last || c.to < c.from || c.to > len(text) {
			return nil, fmt.Errorf("%w: the parts to change overlap", ErrLayout)
		}
		out = append(append(out, text[last:c.from]...), c.text...)
		last = c.to
	}
	return append(out, text[last:]...), nil
}

// step is a change of one place, to which operations are broken down.
type step struct {
	path []string
	verb verb
	// value is absent for drop.
	value any
}

type verb uint8

const (
	put    verb = iota // give a place that exists another value
	create             // add a key or item
	drop               // remove a key or item
)

// do finds the changes of the text.
func (s step) do(l *layout) ([]change, error) {
	if s.verb == create {
		parent, err := l.find(s.path[:len(s.path)-1])
		if err != nil {
			return nil, err
		}
		return l.create(parent, s.path[len(s.path)-1], s.value)
	}
	n, err := l.find(s.path)
	if err != nil {
		if over, ok := l.overrides(s, err); ok {
			return l.create(over, s.path[len(s.path)-1], s.value)
		}
		return nil, err
	}
	if err := l.unshared(n); err != nil {
		return nil, err
	}
	if s.verb == drop {
		return l.drop(n)
	}
	return l.put(n, s.value)
}

// overrides says whether a step gives another value to a key that a merge key
// brings, and returns the map in which to write it.
func (l *layout) overrides(s step, err error) (*node, bool) {
	var m *mergedError
	if s.verb != put || !errors.As(err, &m) || m.depth != len(s.path)-1 {
		return nil, false
	}
	return m.in, true
}

// steps breaks an operation down so that maps and lists that exist are changed
// where they differ and otherwise left alone.
func (e *editor) steps(op seawall.PatchOp) ([]step, error) {
	path, err := splitPointer(op.Path)
	if err != nil {
		return nil, err
	}
	value, err := normal(op.Value)
	if err != nil {
		return nil, err
	}
	switch op.Op {
	case opRemove:
		return []step{{path: path, verb: drop}}, nil
	case opReplace:
		return e.replace(path, e.at(path), value), nil
	}
	return e.add(path, value), nil
}

// at returns the value at a path that exists.
func (e *editor) at(path []string) any {
	v := e.value
	for _, s := range path {
		switch n := v.(type) {
		case map[string]any:
			v = n[s]
		case []any:
			i, _ := itemIndex(s, len(n), false)
			v = n[i]
		}
	}
	return v
}

func (e *editor) add(path []string, value any) []step {
	v := e.value
	for i, s := range path {
		switch n := v.(type) {
		case nil:
			return []step{{path: path[:i], verb: put, value: nest(path[i:], value)}}
		case map[string]any:
			child, found := n[s]
			if !found {
				return []step{{path: path[:i+1], verb: create, value: nest(path[i+1:], value)}}
			}
			v = child
		case []any:
			if i == len(path)-1 {
				return []step{{path: path, verb: create, value: value}}
			}
			at, _ := itemIndex(s, len(n), false)
			v = n[at]
		}
	}
	return e.replace(path, v, value)
}

func (e *editor) replace(path []string, old, value any) []step {
	if same(old, value) {
		return nil
	}
	switch o := old.(type) {
	case map[string]any:
		if n, ok := value.(map[string]any); ok && len(o) > 0 && len(n) > 0 && !e.isAlias(path) {
			return e.replaceMap(path, o, n)
		}
	case []any:
		if n, ok := value.([]any); ok && len(o) > 0 && len(n) > 0 && !e.isAlias(path) {
			return e.replaceList(path, o, n)
		}
	}
	return []step{{path: path, verb: put, value: value}}
}

// isAlias says whether the value is written as *name, and so can only be
// replaced as a whole.
func (e *editor) isAlias(path []string) bool {
	l, err := e.read()
	if err != nil {
		return false
	}
	n, err := l.find(path)
	return err == nil && n.kind == alias
}

func (e *editor) replaceMap(path []string, old, value map[string]any) []step {
	var out []step
	for _, k := range sortedKeys(value) {
		if o, found := old[k]; found {
			out = append(out, e.replace(below(path, k), o, value[k])...)
		} else {
			out = append(out, step{path: below(path, k), verb: create, value: value[k]})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(old)) {
		if _, found := value[k]; !found {
			out = append(out, step{path: below(path, k), verb: drop})
		}
	}
	return out
}

// replaceList leaves the equal items at both ends alone and replaces those
// between them one by one.
func (e *editor) replaceList(path []string, old, value []any) []step {
	head := 0
	for head < min(len(old), len(value)) && same(old[head], value[head]) {
		head++
	}
	tail := 0
	for tail < min(len(old), len(value))-head && same(old[len(old)-1-tail], value[len(value)-1-tail]) {
		tail++
	}
	oldEnd, newEnd := len(old)-tail, len(value)-tail
	var out []step
	i := head
	for ; i < min(oldEnd, newEnd); i++ {
		out = append(out, e.replace(below(path, fmt.Sprint(i)), old[i], value[i])...)
	}
	for j := oldEnd - 1; j >= i; j-- {
		out = append(out, step{path: below(path, fmt.Sprint(j)), verb: drop})
	}
	for ; i < newEnd; i++ {
		out = append(out, step{path: below(path, fmt.Sprint(i)), verb: create, value: value[i]})
	}
	return out
}

func below(path []string, step string) []string {
	return append(slices.Clip(path), step)
}

// mergedError tells that a key is there only because of a merge key.
type mergedError struct {
	in    *node
	depth int // of the key in the path
	err   error
}

func (e *mergedError) Error() string { return e.err.Error() }
func (e *mergedError) Unwrap() error { return e.err }

// find returns the node of a path that exists. It refuses to go through values
// that appear in other places too.
func (l *layout) find(path []string) (*node, error) {
	n := l.root
	for i, s := range path {
		if err := l.own(n); err != nil {
			return nil, err
		}
		next := n.child(s)
		if next == nil {
			return nil, l.missing(n, i, s)
		}
		n = next
	}
	return n, nil
}

// child returns the value of a key or an item, nil if there is none.
func (n *node) child(s string) *node {
	if n.kind == sequence {
		if i, err := itemIndex(s, len(n.entries), false); err == nil {
			return n.entries[i].value
		}
		return nil
	}
	for i := range n.entries {
		if n.entries[i].name == s && !n.entries[i].merge {
			return n.entries[i].value
		}
	}
	return nil
}

// missing explains why a key that the document has is not in the text.
func (l *layout) missing(n *node, depth int, s string) error {
	for i := range n.entries {
		if n.entries[i].merge {
			at := n.entries[i].start()
			err := fmt.Errorf("%w: the key %q comes from the merge key on line %d: change the map it names, or write the key here by hand", ErrShared, s, l.fileLine(at))
			return &mergedError{in: n, depth: depth, err: &located{at: at, err: err}}
		}
	}
	return &located{at: n.start, err: fmt.Errorf("%w: the key %q is written in another form: make the change by hand", ErrLayout, s)}
}

// fileLine returns the line of the file, counted from 1, that an offset is on.
func (l *layout) fileLine(p int) int { return l.first + l.line(p) }

// own refuses to change n, a map or a list, if that would show elsewhere.
func (l *layout) own(n *node) error {
	switch {
	case n.kind == alias:
		name := l.text[n.body:n.end]
		return &located{at: n.start, err: fmt.Errorf("%w: it is %s, the value of the anchor &%s: change it there, or write the value out", ErrShared, name, name[1:])}
	case n.again > 0:
		return &located{at: n.start, err: fmt.Errorf("%w: *%s on line %d repeats the value of &%s, which would change too: change it by hand, or write the value out in both places", ErrShared, n.anchor, l.fileLine(n.again), n.anchor)}
	}
	return nil
}

// unshared refuses to replace or drop n if it holds an anchor that is used.
func (l *layout) unshared(n *node) error {
	if n.kind != alias {
		if err := l.own(n); err != nil {
			return err
		}
	}
	for i := range n.entries {
		e := &n.entries[i]
		if e.key != nil && e.key.kind != alias {
			if err := l.own(e.key); err != nil {
				return err
			}
		}
		if err := l.unshared(e.value); err != nil {
			return err
		}
	}
	return nil
}

// create adds a key to a map or an item to a list.
func (l *layout) create(parent *node, name string, value any) ([]change, error) {
	if err := l.own(parent); err != nil {
		return nil, err
	}
	if err := l.even(parent); err != nil {
		return nil, err
	}
	switch parent.kind {
	case mapping:
		if len(parent.entries) == 0 {
			return l.put(parent, map[string]any{name: value})
		}
		if parent.flow {
			return l.createInFlow(parent, len(parent.entries), name, value)
		}
		return l.createKey(parent, name, value)
	case sequence:
		i, err := itemIndex(name, len(parent.entries), true)
		switch {
		case err != nil:
			return nil, err
		case len(parent.entries) == 0:
			return l.put(parent, []any{value})
		case parent.flow:
			return l.createInFlow(parent, i, "", value)
		}
		return l.createItem(parent, i, value)
	}
	return nil, &located{at: parent.start, err: fmt.Errorf("%w: the parent is not written as a map or a list", ErrLayout)}
}

// even refuses maps whose keys do not begin in one column, and maps without
// braces in a list in brackets.
func (l *layout) even(n *node) error {
	if n != nil && n.odd {
		return &located{at: n.start, err: fmt.Errorf("%w: the map has keys after question marks or anchors, or no braces: make the change by hand", ErrLayout)}
	}
	return nil
}

// put gives n another value.
func (l *layout) put(n *node, value any) ([]change, error) {
	if err := l.even(n.parent); err != nil {
		return nil, err
	}
	switch {
	case n.parent == nil:
		return l.putRoot(n, value)
	case n.parent.flow:
		return l.putInFlow(n, value), nil
	case isBlock(value):
		return l.putBlock(n, value), nil
	}
	return l.putInline(n, value), nil
}

// putRoot fills an empty root.
func (l *layout) putRoot(n *node, value any) ([]change, error) {
	if !n.flow || len(n.entries) > 0 {
		return nil, &located{at: n.start, err: fmt.Errorf("%w: the whole document would be replaced", ErrLayout)}
	}
	style := flowStyle{json: l.json, colon: ": ", comma: ", ", newline: l.newline}
	return []change{{n.body, n.end, style.value(value, "")}}, nil
}

// drop removes a key or an item.
func (l *layout) drop(n *node) ([]change, error) {
	switch p := n.parent; {
	case p == nil:
		return nil, &located{at: n.start, err: fmt.Errorf("%w: the whole document would be removed", ErrLayout)}
	case p.odd:
		return nil, l.even(p)
	case p.flow:
		return l.dropFromFlow(n), nil
	case len(p.entries) == 1:
		return l.dropLast(p), nil
	}
	return l.dropLines(n), nil
}
