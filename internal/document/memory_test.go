package document

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// A scan of ten thousand manifests holds a million of each.
func TestSizes(t *testing.T) {
	if size := unsafe.Sizeof(Node{}); unsafe.Sizeof(uintptr(0)) == 8 && size != 32 {
		t.Errorf("a Node has %d bytes, want 32", size)
	}
	if size := unsafe.Sizeof(Field{}); unsafe.Sizeof(uintptr(0)) == 8 && size != 32 {
		t.Errorf("a Field has %d bytes, want 32", size)
	}
}

// TestAccessors holds every accessor to every kind: each answers for its own
// and says nothing of any other, so that none reads memory as what it is not.
func TestAccessors(t *testing.T) {
	at := Pos{3, 4}
	child := NewNull(at)
	for _, tt := range []struct {
		node *Node
		kind Kind
		json string
		len  int
	}{
		{nil, Null, "null", 0},
		{&Node{}, Null, "null", 0},
		{child, Null, "null", 0},
		{NewBool(at, true), Bool, "true", 0},
		{NewBool(at, false), Bool, "false", 0},
		{NewInt(at, -7), Int, "-7", 0},
		{NewFloat(at, -2.5), Float, "-2.5", 0},
		{NewString(at, ""), String, `""`, 0},
		{NewString(at, "seven ways"), String, `"seven ways"`, 0},
		{NewList(at, nil), List, "[]", 0},
		{NewList(at, []*Node{}), List, "[]", 0},
		{NewList(at, make([]*Node, 3, 9)), List, "[null,null,null]", 3},
		{NewMap(at, nil), Map, "{}", 0},
		{NewMap(at, []Field{{Key: "a", Value: child}, {Key: "b"}}), Map, `{"a":null,"b":null}`, 2},
	} {
		n := tt.node
		if got := string(n.AppendJSON(nil)); n.Kind() != tt.kind || got != tt.json || n.Len() != tt.len {
			t.Errorf("got kind %d, %s and length %d, want %d, %s and %d", n.Kind(), got, n.Len(), tt.kind, tt.json, tt.len)
		}
		_, isBool := n.Bool()
		_, isInt := n.Int()
		_, isFloat := n.Float()
		for kind, answers := range map[Kind]bool{
			Bool: isBool, Int: isInt, Float: isFloat, String: n.Str() != "", List: len(n.List()) > 0, Map: len(n.Map()) > 0,
		} {
			if answers && kind != tt.kind {
				t.Errorf("%s of kind %d also answers as kind %d", tt.json, tt.kind, kind)
			}
		}
		if l, m := n.List(), n.Map(); cap(l) != len(l) || cap(m) != len(m) {
			t.Errorf("%s can be appended to in place", tt.json)
		}
	}
}

// TestCollector lets the garbage collector find what only nodes point to.
func TestCollector(t *testing.T) {
	var nodes []*Node
	for range 1000 {
		text := strings.Repeat("text ", 20)
		nodes = append(nodes, NewMap(Pos{}, []Field{{Key: text[5:], Value: NewList(Pos{}, []*Node{NewString(Pos{}, text[7:]), NewInt(Pos{}, 1<<40)})}}))
		if len(nodes)%250 == 0 {
			runtime.GC()
		}
	}
	text := strings.Repeat("text ", 20)
	want := NewMap(Pos{}, []Field{{Key: text[5:], Value: NewList(Pos{}, []*Node{NewString(Pos{}, text[7:]), NewInt(Pos{}, 1<<40)})}})
	for i, n := range nodes {
		if !Equal(n, want) {
			t.Fatalf("node %d is now %s", i, n.AppendJSON(nil))
		}
	}
}

func TestEqual(t *testing.T) {
	values := []*Node{
		nil,
		{},
		NewBool(Pos{}, false), NewBool(Pos{}, true), NewInt(Pos{}, 0), NewInt(Pos{}, 1), NewFloat(Pos{}, 0), NewFloat(Pos{}, 1),
		NewString(Pos{}, ""), NewString(Pos{}, "a"), NewString(Pos{}, "b"),
		NewList(Pos{}, nil), NewList(Pos{}, []*Node{NewInt(Pos{}, 1)}), NewList(Pos{}, []*Node{NewInt(Pos{}, 2)}),
		NewMap(Pos{}, nil), NewMap(Pos{}, []Field{{Key: "a", Value: NewInt(Pos{}, 1)}}), NewMap(Pos{}, []Field{{Key: "b", Value: NewInt(Pos{}, 1)}}),
		NewMap(Pos{}, []Field{{Key: "a", Value: NewInt(Pos{}, 2)}}),
	}
	for i, a := range values {
		for j, b := range values {
			if Equal(a, b) != (i == j) {
				t.Errorf("Equal(%s, %s) is %t", a.AppendJSON(nil), b.AppendJSON(nil), i != j)
			}
		}
	}
	moved := NewString(Pos{9, 9}, strings.Clone("a"))
	if !Equal(moved, NewString(Pos{}, "a")) {
		t.Error("positions and places in memory must not count")
	}
}
