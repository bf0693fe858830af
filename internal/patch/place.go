package patch

import "fmt"

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

// mergedError tells that a key is there only because of a merge key.
type mergedError struct {
	in    *node
	depth int // of the key in the path
	err   error
}

func (e *mergedError) Error() string { return e.err.Error() }
func (e *mergedError) Unwrap() error { return e.err }

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
