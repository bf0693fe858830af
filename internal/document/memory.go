package document

import (
	"math"
	"unsafe"
)

// This file is the only one of the package that uses unsafe, for two things
// that a scan of many manifests is made of: nodes and strings.
//
// A Node is a sum of six types, and no interface: a struct with a field for
// each takes 88 bytes, and most of the live heap. A string, a list and a map
// all are a place in memory and a length, so one pointer and one word hold any
// of them, and a Node takes 32 bytes. What makes that sound:
//
//   - kind, start and word are set together, by the set methods below and
//     nowhere else, from a string or slice that Go itself made. kind therefore
//     always tells the type behind start and whether there is anything at all.
//   - start is an unsafe.Pointer, which the garbage collector follows like any
//     other pointer, and keeps alive what it points to, or into.
//   - A list is never appended to in place: List and Map return slices without
//     room at their end.

// Node is one value. A nil *Node is an absent value, and all methods take it.
// Nodes are read-only once made and may be shared between goroutines. The zero
// Node is a null.
type Node struct {
	// Pos is where the value begins. The value of a block mapping begins at its
	// first key.
	Pos  Pos
	kind Kind
	// start points to the bytes of a String, the first item (*Node) of a List or
	// the first Field of a Map.
	start unsafe.Pointer
	// word is the length of what is at start; of a Bool 0 or 1, of an Int the two's
	// complement and of a Float math.Float64bits.
	word uint64
}

// NewNull returns a null. Here and below, pos is where the value stands; the
// zero Pos is that of a value which stands nowhere.
func NewNull(pos Pos) *Node { return &Node{Pos: pos} }

// NewBool returns a Bool.
func NewBool(pos Pos, b bool) *Node {
	n := &Node{Pos: pos}
	n.setScalar(boolScalar(b))
	return n
}

// NewInt returns an Int.
func NewInt(pos Pos, i int64) *Node {
	n := &Node{Pos: pos}
	n.setScalar(intScalar(i))
	return n
}

// NewFloat returns a Float.
func NewFloat(pos Pos, f float64) *Node {
	n := &Node{Pos: pos}
	n.setScalar(floatScalar(f))
	return n
}

// NewString returns a String.
func NewString(pos Pos, s string) *Node {
	n := &Node{Pos: pos}
	n.setString(s)
	return n
}

// NewList returns a List of items, which must not change any more.
func NewList(pos Pos, items []*Node) *Node {
	n := &Node{Pos: pos}
	n.setList(items)
	return n
}

// NewMap returns a Map of fields, which must not change any more and have no
// key twice.
func NewMap(pos Pos, fields []Field) *Node {
	n := &Node{Pos: pos}
	n.setMap(fields)
	return n
}

func (n *Node) setString(s string) {
	n.kind, n.start, n.word = String, unsafe.Pointer(unsafe.StringData(s)), uint64(len(s))
}

func (n *Node) setList(items []*Node) {
	n.kind, n.start, n.word = List, unsafe.Pointer(unsafe.SliceData(items)), uint64(len(items))
}

func (n *Node) setMap(fields []Field) {
	n.kind, n.start, n.word = Map, unsafe.Pointer(unsafe.SliceData(fields)), uint64(len(fields))
}

func (n *Node) setScalar(s scalar) {
	if s.kind == String {
		n.setString(s.text)
		return
	}
	n.kind, n.start, n.word = s.kind, nil, s.bits
}

// Kind returns the type of the value, Null for an absent one.
func (n *Node) Kind() Kind {
	if n == nil {
		return Null
	}
	return n.kind
}

// Str returns the text of a String and "" for anything else.
func (n *Node) Str() string {
	if n == nil || n.kind != String {
		return ""
	}
	return unsafe.String((*byte)(n.start), int(n.word)) //nolint:gosec // the length of a string
}

// List returns the items of a List, nil for anything else.
func (n *Node) List() []*Node {
	if n == nil || n.kind != List {
		return nil
	}
	return unsafe.Slice((**Node)(n.start), int(n.word)) //nolint:gosec // the length of a slice
}

// Map returns the entries of a Map in the order of the text, nil for anything
// else.
func (n *Node) Map() []Field {
	if n == nil || n.kind != Map {
		return nil
	}
	return unsafe.Slice((*Field)(n.start), int(n.word)) //nolint:gosec // the length of a slice
}

// Bool returns the value of a Bool and whether it is one.
func (n *Node) Bool() (value, ok bool) {
	if n == nil || n.kind != Bool {
		return false, false
	}
	return n.word != 0, true
}

// Int returns the value of an Int and whether it is one.
func (n *Node) Int() (value int64, ok bool) {
	if n == nil || n.kind != Int {
		return 0, false
	}
	return int64(n.word), true //nolint:gosec // two's complement by definition of word
}

// Float returns the value of a Float and whether it is one.
func (n *Node) Float() (value float64, ok bool) {
	if n == nil || n.kind != Float {
		return 0, false
	}
	return math.Float64frombits(n.word), true
}

// Len counts a List's items or a Map's entries.
func (n *Node) Len() int {
	if n == nil || n.kind != List && n.kind != Map {
		return 0
	}
	return int(n.word) //nolint:gosec // the length of a slice
}

// sameScalar compares two values without lists and maps in them.
func sameScalar(a, b *Node) bool {
	return a.kind == b.kind && a.Str() == b.Str() && (a.kind == String || a.word == b.word)
}

// view returns b as a string without a copy; b must never change again.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}
