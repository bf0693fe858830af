package patch

import (
	"errors"
	"fmt"
	"sort"
)

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
	case plain, single, double, literal, alias:
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
