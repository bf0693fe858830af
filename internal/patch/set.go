package patch

import (
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// Set returns the operations, relative to root, after which the value at path
// is value: none if it is already, a replace if there is another, and
// otherwise an add of the highest parent that is missing, with the rest in it.
// Path is written as for document.Node.Find; the index after the last item of a
// list, or -, appends. A null on the way counts as missing. The result is nil, too, if
// path leads through a value that has no entries.
func Set(root *document.Node, path string, value any) []seawall.PatchOp {
	steps := parsePath(path)
	if len(steps) == 0 || root == nil {
		return nil
	}
	n := root
	for i, s := range steps {
		if n.IsNull() && i > 0 {
			return []seawall.PatchOp{{Op: opAdd, Path: pointerTo(steps[:i]), Value: nestSteps(steps[i:], value)}}
		}
		next, possible := s.from(n)
		switch {
		case !possible:
			return nil
		case next == nil:
			if n.Kind() == document.List {
				s.name = "-"
			}
			at := append(append([]pathStep{}, steps[:i]...), s)
			return []seawall.PatchOp{{Op: opAdd, Path: pointerTo(at), Value: nestSteps(steps[i+1:], value)}}
		}
		n = next
	}
	if v, err := normal(value); err == nil && same(n.Value(), v) {
		return nil
	}
	return []seawall.PatchOp{{Op: opReplace, Path: pointerTo(steps), Value: value}}
}

// Remove returns the operation, relative to root, that removes the value at
// path, nil if there is none.
func Remove(root *document.Node, path string) []seawall.PatchOp {
	steps := parsePath(path)
	n := root
	for _, s := range steps {
		if n, _ = s.from(n); n == nil {
			return nil
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return []seawall.PatchOp{{Op: opRemove, Path: pointerTo(steps)}}
}

// Below returns operations, which are relative to a value, as operations that
// are relative to the document in which the JSON pointer leads to the value: an
// object that is an item of a List, for example.
func Below(pointer string, ops []seawall.PatchOp) []seawall.PatchOp {
	out := make([]seawall.PatchOp, len(ops))
	for i, op := range ops {
		op.Path = pointer + op.Path
		out[i] = op
	}
	return out
}

// pathStep is a key or an index.
type pathStep struct {
	name  string
	index bool
}

// from returns the value that a step leads to, nil if it is absent, and whether
// it could be added.
func (s pathStep) from(n *document.Node) (next *document.Node, possible bool) {
	if n == nil {
		return nil, false
	}
	if !s.index {
		return n.Get(s.name), n.Kind() == document.Map
	}
	if s.name == "-" && n.Kind() == document.List {
		return nil, true
	}
	i, err := strconv.Atoi(s.name)
	if err != nil || n.Kind() != document.List || i < 0 || i > len(n.List()) {
		return nil, false
	}
	if i == len(n.List()) {
		return nil, true
	}
	return n.List()[i], true
}

// parsePath takes a path such as spec.containers[0].image or
// labels["app.kubernetes.io/name"] apart.
func parsePath(path string) []pathStep {
	var steps []pathStep
	for path != "" {
		var s pathStep
		switch quoteEnd, end := strings.Index(path, `"]`), strings.IndexByte(path, ']'); {
		case strings.HasPrefix(path, `["`) && quoteEnd > 0:
			s.name, path = path[2:quoteEnd], path[quoteEnd+2:]
		case path[0] == '[' && end > 0:
			s, path = pathStep{path[1:end], true}, path[end+1:]
		default:
			cut := strings.IndexAny(path, ".[")
			if cut <= 0 {
				cut = len(path)
			}
			s.name, path = path[:cut], path[cut:]
		}
		path = strings.TrimPrefix(path, ".")
		steps = append(steps, s)
	}
	return steps
}

func pointerTo(steps []pathStep) string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return joinPointer(names)
}

// nestSteps wraps v into the maps and lists that steps lead through.
func nestSteps(steps []pathStep, v any) any {
	for _, step := range slices.Backward(steps) {
		if step.index {
			v = []any{v}
		} else {
			v = map[string]any{step.name: v}
		}
	}
	return v
}
