// Package document reads YAML and JSON into trees that know where each value
// stands in the text. It reads what the Kubernetes API server reads, the way
// the API server reads it (YAML 1.1 booleans, duplicate keys refused), and
// refuses what would cost more than its limits. It knows nothing of Kubernetes
// objects; that is package cluster.
package document

import (
	"math"
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

// Node is one value. A nil *Node is an absent value, and all methods take it.
// Nodes are read-only once parsed and may be shared between goroutines.
type Node struct {
	Kind Kind
	// Pos is where the value begins. The value of a block mapping begins at its
	// first key.
	Pos Pos
	// Text is the string of a String.
	Text string
	// Bits holds a Bool (0 or 1), an Int (two's complement) or a Float
	// (math.Float64bits).
	Bits uint64
	// Fields are a Map's entries in the order of the text; Items a List's.
	Fields []Field
	Items  []*Node
}

// Field is one entry of a Map.
type Field struct {
	Key   string
	Pos   Pos // of the key
	Value *Node
}

// Get returns the value of a Map's key, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Key == key {
			return n.Fields[i].Value
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

// Len counts a List's items or a Map's entries.
func (n *Node) Len() int {
	if n == nil {
		return 0
	}
	return len(n.Items) + len(n.Fields)
}

// List returns the items of a List, nil for anything else.
func (n *Node) List() []*Node {
	if n == nil {
		return nil
	}
	return n.Items
}

// Map returns the entries of a Map, nil for anything else.
func (n *Node) Map() []Field {
	if n == nil {
		return nil
	}
	return n.Fields
}

// Str returns the text of a String and "" for anything else.
func (n *Node) Str() string {
	if n == nil || n.Kind != String {
		return ""
	}
	return n.Text
}

// Bool returns the value of a Bool and whether it is one.
func (n *Node) Bool() (value, ok bool) {
	if n == nil || n.Kind != Bool {
		return false, false
	}
	return n.Bits != 0, true
}

// Int returns the value of an Int and whether it is one.
func (n *Node) Int() (value int64, ok bool) {
	if n == nil || n.Kind != Int {
		return 0, false
	}
	return int64(n.Bits), true //nolint:gosec // two's complement by definition of Bits
}

// Float returns the value of a Float and whether it is one.
func (n *Node) Float() (value float64, ok bool) {
	if n == nil || n.Kind != Float {
		return 0, false
	}
	return math.Float64frombits(n.Bits), true
}

// IsNull says whether the value is absent or null.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Null }

// Value returns what encoding/json would decode into an any, with integers as
// int64: the form that Kubernetes calls unstructured.
func (n *Node) Value() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.Bits != 0
	case Int:
		return int64(n.Bits) //nolint:gosec // two's complement by definition of Bits
	case Float:
		return math.Float64frombits(n.Bits)
	case String:
		return n.Text
	case List:
		out := make([]any, len(n.Items))
		for i, v := range n.Items {
			out[i] = v.Value()
		}
		return out
	case Map:
		out := make(map[string]any, len(n.Fields))
		for i := range n.Fields {
			out[n.Fields[i].Key] = n.Fields[i].Value.Value()
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
			if err != nil || i < 0 || i >= len(n.Items) {
				return nil, pos
			}
			n = n.Items[i]
			pos = n.Pos
			continue
		}
		var found *Node
		for i := range n.Fields {
			if n.Fields[i].Key == step {
				found = n.Fields[i].Value
				pos = n.Fields[i].Pos
				break
			}
		}
		n = found
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
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && last.Kind == List && i < len(last.Items) {
				next = last.Items[i]
			}
		} else {
			next = last.Get(step)
		}
		if next == nil {
			return depth, last, false
		}
		last = next
		if last.Kind == Null && path != "" {
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
