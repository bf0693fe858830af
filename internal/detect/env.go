package detect

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
)

// newEnv returns Kubernetes' CEL environment with an event's parts as variables.
func newEnv() (*cel.Env, error) {
	base, err := check.Environment()
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}
	event := objects["seawall.event"]
	opts := []cel.EnvOption{cel.CustomTypeProvider(&provider{Provider: base.CELTypeProvider()})}
	for _, name := range event.names {
		opts = append(opts, cel.Variable(name, event.fields[name].typ))
	}
	env, err := base.Extend(opts...)
	if err != nil {
		return nil, fmt.Errorf("preparing the CEL environment of events: %w", err)
	}
	return env, nil
}

// withParams adds the parameters of a rule to an environment.
func withParams(env *cel.Env, params map[string]any) (*cel.Env, *object, error) {
	fields := make([]field, 0, len(params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		v := constantOf(params[name])
		fields = append(fields, field{name, typeOf(params[name]), func(*frame, any) value { return v }})
	}
	o := newObject("params", fields...)
	env, err := env.Extend(
		cel.CustomTypeProvider(&provider{Provider: env.CELTypeProvider(), params: o}),
		cel.Variable("params", objectType("params")),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing parameters: %w", err)
	}
	return env, o, nil
}

// typeOf is the CEL type of a parameter.
func typeOf(v any) *cel.Type {
	switch v := v.(type) {
	case string:
		return cel.StringType
	case int64:
		return cel.IntType
	case bool:
		return cel.BoolType
	case []any:
		if len(v) == 0 {
			break
		}
		first := typeOf(v[0])
		for _, item := range v[1:] {
			if !typeOf(item).IsExactType(first) {
				return cel.ListType(cel.DynType)
			}
		}
		return cel.ListType(first)
	}
	return cel.DynType
}

// constantOf returns a parameter as a value.
func constantOf(v any) value {
	switch v := v.(type) {
	case string:
		return value{kind: kindString, s: v}
	case int64:
		return value{kind: kindInt, i: v}
	case bool:
		return truth(v)
	case []any:
		items := make([]value, len(v))
		for i := range v {
			if items[i] = constantOf(v[i]); items[i].kind == kindAny {
				return value{kind: kindAny, o: v}
			}
		}
		return value{kind: kindList, o: &items}
	}
	return value{kind: kindAny, o: v}
}

// provider tells cel-go the types of the objects.
type provider struct {
	types.Provider
	params *object // nil where the rule has none
}

func (p *provider) object(name string) *object {
	if p.params != nil && name == "seawall.params" {
		return p.params
	}
	return objects[name]
}

func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if p.object(name) != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if o := p.object(name); o != nil {
		return o.names, true
	}
	return p.Provider.FindStructFieldNames(name)
}

func (p *provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	o := p.object(name)
	if o == nil {
		return p.Provider.FindStructFieldType(name, fieldName)
	}
	f, found := o.fields[fieldName]
	return &types.FieldType{Type: f.typ}, found
}

func (p *provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if p.object(name) != nil {
		return types.NewErr("a check cannot make a %s", name)
	}
	return p.Provider.NewValue(name, fields)
}

// celValue returns a value as CEL's.
func (f *frame) celValue(v value, typ *cel.Type) ref.Val {
	switch v.kind {
	case kindBool:
		return types.Bool(v.i != 0)
	case kindInt:
		return types.Int(v.i)
	case kindString, kindAddr:
		s, _ := f.text(v)
		return types.String(s)
	case kindObject:
		return &celObject{f: f, typ: typ, object: f.rule.object(typ.TypeName()), o: v.o}
	case kindCaps, kindList:
		var item *cel.Type
		if params := typ.Parameters(); len(params) == 1 {
			item = params[0]
		}
		items := make([]ref.Val, v.size())
		for i := range items {
			items[i] = f.celValue(v.at(i), item)
		}
		return types.NewRefValList(types.DefaultTypeAdapter, items)
	case kindMap:
		return types.NewStringStringMap(types.DefaultTypeAdapter, *v.o.(*map[string]string))
	case kindAny:
		return types.DefaultTypeAdapter.NativeToValue(v.o)
	case unsure, failed:
	}
	return types.NewErr("no value")
}

// celObject is an object as cel-go's interpreter reads it.
type celObject struct {
	f   *frame
	typ *cel.Type
	*object
	o any
}

func (c *celObject) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	fd, found := c.fields[string(name)]
	if !found {
		return types.NewErr("no such field: %s", name)
	}
	return c.f.celValue(fd.get(c.f, c.o), fd.typ)
}

// IsSet implements has(): a part that is there, or a value that is not zero.
func (c *celObject) IsSet(name ref.Val) ref.Val {
	text, ok := name.(types.String)
	fd, found := c.fields[string(text)]
	if !ok || !found {
		return types.NewErr("no such field: %v", name)
	}
	return types.Bool(fd.get(c.f, c.o).set())
}

func (v value) set() bool {
	switch v.kind {
	case kindBool, kindInt, kindCaps:
		return v.i != 0
	case kindString:
		return v.s != ""
	case kindAddr, kindAny:
		return true
	case kindObject:
		return !reflect.ValueOf(v.o).IsNil()
	case kindList, kindMap:
		return v.size() > 0
	case unsure, failed:
	}
	return false
}

// Equal compares processes by what names them; other objects have no names.
func (c *celObject) Equal(other ref.Val) ref.Val {
	o, ok := other.(*celObject)
	if !ok {
		return types.False
	}
	if same, known := sameObject(c.o, o.o); known {
		return types.Bool(same)
	}
	return types.NewErr("only processes can be compared as a whole")
}

func sameObject(a, b any) (same, known bool) {
	p, ok1 := a.(*seawall.Process)
	q, ok2 := b.(*seawall.Process)
	if !ok1 || !ok2 {
		return false, false
	}
	if p == nil || q == nil {
		return p == q, true
	}
	return p.PID == q.PID && p.Start == q.Start, true
}

func (c *celObject) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s does not become a %s", c.name, t)
}

func (c *celObject) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return c.typ
	}
	return types.NewErr("a %s does not become a %s", c.name, t.TypeName())
}

func (c *celObject) Type() ref.Type { return c.typ }
func (c *celObject) Value() any     { return c.o }
