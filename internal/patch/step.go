package patch

import (
	"maps"
	"slices"
	"strconv"

	"seawall.io/seawall"
)

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
		out = append(out, e.replace(below(path, strconv.Itoa(i)), old[i], value[i])...)
	}
	for j := oldEnd - 1; j >= i; j-- {
		out = append(out, step{path: below(path, strconv.Itoa(j)), verb: drop})
	}
	for ; i < newEnd; i++ {
		out = append(out, step{path: below(path, strconv.Itoa(i)), verb: create, value: value[i]})
	}
	return out
}

func below(path []string, step string) []string {
	return append(slices.Clip(path), step)
}
