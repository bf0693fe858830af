package check

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"seawall.io/seawall/internal/document"
)

// CEL reads a document tree in place through the types below, which behave as
// the maps and lists that the API server's unstructured objects become, but
// copy nothing. Operations that rules seldom use (equality of whole maps,
// conversion) go through the copies.

type (
	mapValue  document.Node
	listValue document.Node
)

// value returns a node as CEL sees it.
func value(n *document.Node) ref.Val {
	if n == nil {
		return types.NullValue
	}
	switch n.Kind() {
	case document.Map:
		return (*mapValue)(n)
	case document.List:
		return (*listValue)(n)
	case document.String:
		return types.String(n.Str())
	case document.Bool:
		b, _ := n.Bool()
		return types.Bool(b)
	case document.Int:
		i, _ := n.Int()
		return types.Int(i)
	case document.Float:
		f, _ := n.Float()
		return types.Double(f)
	case document.Null:
	}
	return types.NullValue
}

// native returns the value as cel-go's own map or list.
func native(n *document.Node) ref.Val { return types.DefaultTypeAdapter.NativeToValue(n.Value()) }

// plain turns our own values into cel-go's, so that the two compare.
func plain(v ref.Val) ref.Val {
	switch v := v.(type) {
	case *mapValue:
		return native(v.node())
	case *listValue:
		return native(v.node())
	case effValue:
		return native(v.merge())
	}
	return v
}

func (m *mapValue) node() *document.Node { return (*document.Node)(m) }

func (m *mapValue) ConvertToNative(t reflect.Type) (any, error) {
	return native(m.node()).ConvertToNative(t)
}
func (m *mapValue) ConvertToType(t ref.Type) ref.Val { return native(m.node()).ConvertToType(t) }
func (m *mapValue) Equal(other ref.Val) ref.Val      { return native(m.node()).Equal(plain(other)) }
func (m *mapValue) Type() ref.Type                   { return types.MapType }
func (m *mapValue) Value() any                       { return m.node().Value() }
func (m *mapValue) Size() ref.Val                    { return types.Int(length(m.node())) }

// Find treats a null as absent, as the API server does when it decodes a field
// of a built-in type.
func (m *mapValue) Find(key ref.Val) (ref.Val, bool) {
	k, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	if v := m.node().Get(string(k)); !v.IsNull() {
		return value(v), true
	}
	return nil, false
}

func (m *mapValue) Contains(key ref.Val) ref.Val {
	_, found := m.Find(key)
	return types.Bool(found)
}

func (m *mapValue) Get(key ref.Val) ref.Val {
	if v, found := m.Find(key); found {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

func (m *mapValue) Iterator() traits.Iterator { return &keyIterator{fields: present(m.node().Map())} }

// present leaves out the entries that are null, which count as absent. Hardly
// any map has one, so that nothing is copied.
func present(fields []document.Field) []document.Field {
	for i := range fields {
		if !fields[i].Value.IsNull() {
			continue
		}
		out := slices.Clone(fields[:i])
		for _, f := range fields[i+1:] {
			if !f.Value.IsNull() {
				out = append(out, f)
			}
		}
		return out
	}
	return fields
}

// length counts the items of a list or the present entries of a map.
func length(n *document.Node) int { return len(n.List()) + len(present(n.Map())) }

type keyIterator struct {
	iterator
	fields []document.Field
	next   int
}

func (it *keyIterator) HasNext() ref.Val { return types.Bool(it.next < len(it.fields)) }

func (it *keyIterator) Next() ref.Val {
	it.next++
	return types.String(it.fields[it.next-1].Key)
}

func (l *listValue) node() *document.Node { return (*document.Node)(l) }

func (l *listValue) ConvertToNative(t reflect.Type) (any, error) {
	return native(l.node()).ConvertToNative(t)
}
func (l *listValue) ConvertToType(t ref.Type) ref.Val { return native(l.node()).ConvertToType(t) }
func (l *listValue) Equal(other ref.Val) ref.Val      { return native(l.node()).Equal(plain(other)) }
func (l *listValue) Type() ref.Type                   { return types.ListType }
func (l *listValue) Value() any                       { return l.node().Value() }
func (l *listValue) Size() ref.Val                    { return types.Int(l.node().Len()) }
func (l *listValue) Add(other ref.Val) ref.Val {
	return native(l.node()).(traits.Adder).Add(plain(other)) // cel-go's lists add
}

func (l *listValue) Contains(v ref.Val) ref.Val {
	for _, item := range l.node().List() {
		if eq, ok := value(item).Equal(plain(v)).(types.Bool); ok && bool(eq) {
			return types.True
		}
	}
	return types.False
}

func (l *listValue) Get(index ref.Val) ref.Val {
	i, err := types.IndexOrError(index)
	if err != nil {
		return types.ValOrErr(index, "%v", err)
	}
	items := l.node().List()
	if i < 0 || i >= len(items) {
		return types.NewErr("index %d out of bounds: the list has %d items", i, len(items))
	}
	return value(items[i])
}

func (l *listValue) Iterator() traits.Iterator { return &itemIterator{items: l.node().List()} }

type itemIterator struct {
	iterator
	items []*document.Node
	next  int
}

func (it *itemIterator) HasNext() ref.Val { return types.Bool(it.next < len(it.items)) }

func (it *itemIterator) Next() ref.Val {
	it.next++
	return value(it.items[it.next-1])
}

// iterator supplies what CEL demands of every value and never asks of an
// iterator.
type iterator struct{}

func (iterator) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an iterator is no %v", t)
}

func (iterator) ConvertToType(ref.Type) ref.Val { return types.NewErr("an iterator has no other type") }
func (iterator) Equal(ref.Val) ref.Val          { return types.False }
func (iterator) Type() ref.Type                 { return types.IteratorType }
func (iterator) Value() any                     { return nil }

// inherited are the fields of a container's security context that default to
// the pod's (PodSecurityContext in k8s.io/api/core/v1).
var inherited = [...]string{
	"runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions",
	"seccompProfile", "appArmorProfile", "windowsOptions",
}

// effValue is a container's security context over its pod's.
type effValue struct{ container, pod *document.Node }

func (e effValue) merge() *document.Node {
	var out []document.Field
	for _, f := range e.container.Map() {
		if !f.Value.IsNull() {
			out = append(out, f)
		}
	}
	for _, f := range e.pod.Map() {
		if isInherited(f.Key) && !f.Value.IsNull() && e.container.Get(f.Key).IsNull() {
			out = append(out, f)
		}
	}
	return document.NewMap(document.Pos{}, out)
}

func isInherited(key string) bool {
	for _, k := range inherited {
		if k == key {
			return true
		}
	}
	return false
}

func (e effValue) Find(key ref.Val) (ref.Val, bool) {
	k, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v := e.container.Get(string(k))
	if v.IsNull() && isInherited(string(k)) {
		v = e.pod.Get(string(k))
	}
	if v.IsNull() {
		return nil, false
	}
	return value(v), true
}

func (e effValue) Contains(key ref.Val) ref.Val {
	_, found := e.Find(key)
	return types.Bool(found)
}

func (e effValue) Get(key ref.Val) ref.Val {
	if v, found := e.Find(key); found {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

func (e effValue) ConvertToNative(t reflect.Type) (any, error) {
	return native(e.merge()).ConvertToNative(t)
}
func (e effValue) ConvertToType(t ref.Type) ref.Val { return native(e.merge()).ConvertToType(t) }
func (e effValue) Equal(other ref.Val) ref.Val      { return native(e.merge()).Equal(plain(other)) }
func (e effValue) Type() ref.Type                   { return types.MapType }
func (e effValue) Value() any                       { return e.merge().Value() }
func (e effValue) Size() ref.Val                    { return types.Int(len(e.merge().Map())) }
func (e effValue) Iterator() traits.Iterator        { return &keyIterator{fields: e.merge().Map()} }

// Value returns a tree as CEL sees it, for other evaluators of Kubernetes' CEL.
func Value(n *document.Node) ref.Val { return value(n) }
