// Package document reads YAML and JSON into trees that know where each value
// stands in the text. It reads what the Kubernetes API server reads, the way
// the API server reads it (YAML 1.1 booleans, duplicate keys refused), and
// refuses what would cost more than its limits. It knows nothing of Kubernetes
// objects; that is package cluster.
package document

import (
	"slices"
	"strconv"
	"strings"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of value that JSON knows, with numbers told apart as the API
// server does.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	List
	Map
)

// Pos is a place in the text, counted from 1. The zero Pos is unknown.
type Pos struct{ Line, Column int32 }

// Field is one entry of a Map.
type Field struct {
	Key   string
	Pos   Pos // of the key
	Value *Node
}

// Get returns the value of a Map's key, or nil.
func (n *Node) Get(key string) *Node {
	fields := n.Map()
	for i := range fields {
		if fields[i].Key == key {
			return fields[i].Value
		}
	}
	return nil
}

// At follows keys from map to map, and returns nil where one is absent.
func (n *Node) At(keys ...string) *Node {
	for _, k := range keys {
		n = n.Get(k)
	}
	return n
}

// IsNull says whether the value is absent or null.
func (n *Node) IsNull() bool { return n.Kind() == Null }

// Equal compares two values with all that is in them, the order of keys
// included and positions left out.
func Equal(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	switch {
	case a.kind != b.kind:
		return false
	case a.kind == List:
		return slices.EqualFunc(a.List(), b.List(), Equal)
	case a.kind == Map:
		return slices.EqualFunc(a.Map(), b.Map(), func(f, g Field) bool { return f.Key == g.Key && Equal(f.Value, g.Value) })
	}
	return sameScalar(a, b)
}

// Value returns what encoding/json would decode into an any, with integers as
// int64: the form that Kubernetes calls unstructured.
func (n *Node) Value() any {
	switch n.Kind() {
	case Bool:
		b, _ := n.Bool()
		return b
	case Int:
		i, _ := n.Int()
		return i
	case Float:
		f, _ := n.Float()
		return f
	case String:
		return n.Str()
	case List:
		out := make([]any, n.Len())
		for i, v := range n.List() {
			out[i] = v.Value()
		}
		return out
	case Map:
		out := make(map[string]any, n.Len())
		for _, f := range n.Map() {
			out[f.Key] = f.Value.Value()
		}
		return out
	case Null:
	}
	return nil
}

// Find follows a path such as spec.containers[0].image or
// metadata.labels["app.kubernetes.io/name"] and returns the value, nil when it
// is absent, and the position of the deepest part of the path that exists:
// the key of the value itself when it exists, the list item for an index.
func (n *Node) Find(path string) (*Node, Pos) {
	pos := Pos{}
	if n != nil {
		pos = n.Pos
	}
	for path != "" && n != nil {
		var step string
		var index bool
		step, index, path = nextStep(path)
		if index {
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.List()) {
				return nil, pos
			}
			n = n.List()[i]
			pos = n.Pos
			continue
		}
		fields := n.Map()
		n = nil
		for i := range fields {
			if fields[i].Key == step {
				n, pos = fields[i].Value, fields[i].Pos
				break
			}
		}
	}
	return n, pos
}

// Depth follows a path and returns how many of its steps lead to a value, the
// last value on the way, and whether that is the one at the path's end. A null
// ends the way.
func (n *Node) Depth(path string) (depth int, last *Node, found bool) {
	for last = n; path != ""; depth++ {
		var step string
		var index bool
		var next *Node
		step, index, path = nextStep(path)
		if index {
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(last.List()) {
				next = last.List()[i]
			}
		} else {
			next = last.Get(step)
		}
		if next == nil {
			return depth, last, false
		}
		last = next
		if last.Kind() == Null && path != "" {
			return depth + 1, last, false
		}
	}
	return depth, last, true
}

// nextStep cuts the first step off a path: a key, ["quoted key"] or [index].
func nextStep(path string) (step string, index bool, rest string) {
	if strings.HasPrefix(path, `["`) {
		if end := strings.Index(path, `"]`); end > 0 {
			return path[2:end], false, strings.TrimPrefix(path[end+2:], ".")
		}
	}
	if path[0] == '[' {
		if end := strings.IndexByte(path, ']'); end > 0 {
			return path[1:end], true, strings.TrimPrefix(path[end+1:], ".")
		}
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return path, false, ""
	}
	return path[:end], false, strings.TrimPrefix(path[end:], ".")
}

// Key returns key as a step of a path after prefix: prefix.key, or
// prefix["key"] when the key has a dot or a bracket in it.
func Key(prefix, key string) string {
	if strings.ContainsAny(key, `.["]`) {
		return prefix + `["` + key + `"]`
	}
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// Index returns the path of item i of the list at prefix.
func Index(prefix string, i int) string {
	return prefix + "[" + strconv.Itoa(i) + "]"
}

// Pointer turns a path into a JSON pointer (RFC 6901).
func Pointer(path string) string {
	var b strings.Builder
	for path != "" {
		var step string
		step, _, path = nextStep(path)
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(step, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// Parent splits the last step off a path and says whether it is an index. The
// parent of a single step is "".
func Parent(path string) (parent, last string, index bool) {
	rest := path
	for rest != "" {
		before := len(path) - len(rest)
		last, index, rest = nextStep(rest)
		if rest == "" {
			parent = path[:before]
		}
	}
	if n := len(parent); n > 0 && parent[n-1] == '.' {
		parent = parent[:n-1]
	}
	return parent, last, index
}
