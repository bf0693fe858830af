package check

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"seawall.io/seawall/internal/document"
)

// The fast path: an expression that cel-go has parsed and type-checked is
// turned into Go closures over the document tree, which evaluate some twenty
// times faster than cel-go's interpreter and allocate nothing. It knows only
// the part of CEL that rules commonly use, and whenever a value is not exactly
// of the type it expects, a field is absent or a limit is near, it answers that
// it is not sure. cel-go then decides, with its own errors and cost limits. So
// the fast path can only be faster, never different; the tests compare the two
// over all examples and over damaged ones.

// fastKind tells what a fast value is.
type fastKind uint8

const (
	notSure  fastKind = iota
	fastNone          // an empty optional
	fastNull
	fastBool
	fastInt
	fastString
	fastNode // a map or a list
	fastEff  // the effective security context of the container
)

// fastValue is a value. Booleans are 0 or 1 in i.
type fastValue struct {
	kind fastKind
	i    int64
	s    string
	n    *document.Node
}

// fastFunc evaluates an expression on a target.
type fastFunc func(t *target) fastValue

// maxFastVars is how many comprehension variables may be in scope.
const maxFastVars = 8

// maxFastSteps is how many turns the loops of one evaluation take before
// cel-go, which counts the cost of what it does, takes over.
const maxFastSteps = 1 << 16

// maxFastMade is the size of the largest text that the fast path makes out of
// others: loops that double a text grow faster than they turn.
const maxFastMade = 64 << 10

func fastOf(n *document.Node) fastValue {
	if n == nil {
		return fastValue{}
	}
	switch n.Kind() {
	case document.Map, document.List:
		return fastValue{kind: fastNode, n: n}
	case document.String:
		return fastValue{kind: fastString, s: n.Str()}
	case document.Bool:
		b, _ := n.Bool()
		return fastTruth(b)
	case document.Int:
		i, _ := n.Int()
		return fastValue{kind: fastInt, i: i}
	case document.Null:
		return fastValue{kind: fastNull}
	case document.Float:
	}
	return fastValue{}
}

// fastText is a text that an expression made.
func fastText(s string) fastValue {
	if len(s) > maxFastMade {
		return fastValue{}
	}
	return fastValue{kind: fastString, s: s}
}

func fastList(items []*document.Node) fastValue {
	return fastValue{kind: fastNode, n: document.NewList(document.Pos{}, items)}
}

func fastTruth(b bool) fastValue {
	if b {
		return fastValue{kind: fastBool, i: 1}
	}
	return fastValue{kind: fastBool}
}

// val returns a fast value as CEL's.
func (v fastValue) val() ref.Val {
	switch v.kind {
	case fastBool:
		return types.Bool(v.i != 0)
	case fastInt:
		return types.Int(v.i)
	case fastString:
		return types.String(v.s)
	case fastNode:
		return value(v.n)
	case fastNull:
		return types.NullValue
	case notSure, fastNone, fastEff:
	}
	return nil
}

// fastCompiler turns one checked expression into closures.
type fastCompiler struct {
	ast  *celast.AST
	vars []string
}

func compileFast(a *cel.Ast) fastFunc {
	c := &fastCompiler{ast: a.NativeRep()}
	return c.plain(c.ast.Expr())
}

// unknown stands for a part that the fast path does not know. The rest of the
// expression may decide without it.
func (*fastCompiler) unknown() fastFunc {
	return func(*target) fastValue { return fastValue{} }
}

func (c *fastCompiler) expr(e celast.Expr) fastFunc {
	switch e.Kind() {
	case celast.LiteralKind:
		return c.literal(e.AsLiteral())
	case celast.IdentKind:
		return c.ident(e.AsIdent())
	case celast.SelectKind:
		return c.selection(e.AsSelect())
	case celast.CallKind:
		return c.call(e.AsCall())
	case celast.ListKind:
		return c.list(e.AsList())
	case celast.ComprehensionKind:
		return c.comprehension(e.AsComprehension())
	case celast.MapKind:
		if e.AsMap().Size() == 0 {
			return func(*target) fastValue { return fastValue{kind: fastNode, n: emptyMap} }
		}
	case celast.StructKind, celast.UnspecifiedExprKind:
	}
	return c.unknown()
}

func (c *fastCompiler) literal(v ref.Val) fastFunc {
	out := fastLiteral(v)
	if out.kind == notSure {
		return c.unknown()
	}
	return func(*target) fastValue { return out }
}

func fastLiteral(v ref.Val) fastValue {
	switch v := v.(type) {
	case types.Bool:
		return fastTruth(bool(v))
	case types.Int:
		return fastValue{kind: fastInt, i: int64(v)}
	case types.String:
		return fastValue{kind: fastString, s: string(v)}
	case types.Null:
		return fastValue{kind: fastNull}
	}
	return fastValue{}
}

func (c *fastCompiler) ident(name string) fastFunc {
	for i, v := range slices.Backward(c.vars) {
		if v == name {
			return func(t *target) fastValue { return t.vars[i] }
		}
	}
	switch name {
	case "object":
		return func(t *target) fastValue { return fastOf(t.object.Root) }
	case "pod":
		return func(t *target) fastValue {
			if t.pod == nil {
				return fastValue{}
			}
			return fastOf(t.pod.Root)
		}
	case "container":
		return func(t *target) fastValue {
			if t.container == nil {
				return fastValue{}
			}
			return fastOf(t.container.Root)
		}
	case "containerType":
		return func(t *target) fastValue {
			if t.container == nil {
				return fastValue{}
			}
			return fastValue{kind: fastString, s: string(t.container.Type)}
		}
	case "eff":
		return func(t *target) fastValue {
			if t.container == nil {
				return fastValue{}
			}
			return fastValue{kind: fastEff}
		}
	case "image":
		return func(t *target) fastValue { return fastOf(t.imageParts()) }
	case "item":
		return func(t *target) fastValue { return fastOf(t.item) }
	case "minor":
		return func(t *target) fastValue { return fastValue{kind: fastInt, i: t.minor} }
	case "params":
		return func(t *target) fastValue { return fastOf(t.params) }
	}
	return c.unknown()
}

// field looks a field up as mapValue.Find does: null is absent. found is false
// where v is no map.
func (t *target) field(v fastValue, name string) (n *document.Node, isMap bool) {
	switch v.kind {
	case fastNode:
		if v.n.Kind() == document.Map {
			n = v.n.Get(name)
			break
		}
		return nil, false
	case fastEff:
		n = t.container.Root.Get("securityContext").Get(name)
		if n.IsNull() && isInherited(name) {
			n = t.pod.Spec().Get("securityContext").Get(name)
		}
	default:
		return nil, false
	}
	if n.IsNull() {
		return nil, true
	}
	return n, true
}

// plain compiles an expression whose value is used as such. Inside, a present
// optional is the value itself, which only selections and orValue may take for
// it: to all else an optional is a value of another type.
func (c *fastCompiler) plain(e celast.Expr) fastFunc {
	if c.isOptional(e) {
		return c.unknown()
	}
	return c.expr(e)
}

func (c *fastCompiler) selection(s celast.SelectExpr) fastFunc {
	operand, name := c.expr(s.Operand()), s.FieldName()
	if s.IsTestOnly() {
		if c.isOptional(s.Operand()) {
			return c.unknown()
		}
		return func(t *target) fastValue {
			n, isMap := t.field(operand(t), name)
			if !isMap {
				return fastValue{}
			}
			return fastTruth(n != nil)
		}
	}
	optional := c.isOptional(s.Operand())
	return func(t *target) fastValue {
		v := operand(t)
		if optional && v.kind == fastNone {
			return v
		}
		n, isMap := t.field(v, name)
		if n == nil && isMap && optional {
			return fastValue{kind: fastNone}
		}
		return fastOf(n)
	}
}

// isOptional says whether an expression yields an optional.
func (c *fastCompiler) isOptional(e celast.Expr) bool {
	return c.ast.GetType(e.ID()).TypeName() == "optional_type"
}

func (c *fastCompiler) list(l celast.ListExpr) fastFunc {
	if len(l.OptionalIndices()) > 0 {
		return c.unknown()
	}
	constant := true
	items := make([]fastFunc, 0, l.Size())
	for _, e := range l.Elements() {
		constant = constant && e.Kind() == celast.LiteralKind
		items = append(items, c.plain(e))
	}
	build := func(t *target) fastValue {
		list := make([]*document.Node, 0, len(items))
		for _, f := range items {
			n := f(t).node()
			if n == nil {
				return fastValue{}
			}
			list = append(list, n)
		}
		return fastList(list)
	}
	if !constant {
		return build
	}
	once := build(nil)
	return func(*target) fastValue { return once }
}

// node returns a value as a tree, nil where it has none.
func (v fastValue) node() *document.Node {
	switch v.kind {
	case fastString:
		return document.NewString(document.Pos{}, v.s)
	case fastInt:
		return document.NewInt(document.Pos{}, v.i)
	case fastBool:
		return document.NewBool(document.Pos{}, v.i != 0)
	case fastNode:
		return v.n
	case notSure, fastNone, fastNull, fastEff:
	}
	return nil
}

func (c *fastCompiler) call(call celast.CallExpr) fastFunc {
	args := call.Args()
	if call.IsMemberFunction() {
		return c.member(call.FunctionName(), call.Target(), args)
	}
	switch name := call.FunctionName(); name {
	case operators.LogicalAnd:
		return fastAnd(c.plain(args[0]), c.plain(args[1]))
	case operators.LogicalOr:
		return fastOr(c.plain(args[0]), c.plain(args[1]))
	case operators.LogicalNot:
		return fastNot(c.plain(args[0]))
	case operators.Conditional:
		return c.conditional(args)
	case operators.Equals:
		return fastEquals(c.plain(args[0]), c.plain(args[1]), true)
	case operators.NotEquals:
		return fastEquals(c.plain(args[0]), c.plain(args[1]), false)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return fastCompare(c.plain(args[0]), c.plain(args[1]), name)
	case operators.In:
		return fastIn(c.plain(args[0]), c.plain(args[1]))
	case operators.OptSelect, operators.OptIndex:
		return c.optSelect(args)
	case operators.Index:
		return c.index(args)
	case operators.Add:
		return fastConcat(c.plain(args[0]), c.plain(args[1]))
	case "size":
		return fastSize(c.plain(args[0]))
	case "dyn":
		return c.plain(args[0])
	case "string":
		return fastStringOf(c.plain(args[0]))
	case cleanPath:
		return fastCleanPath(c.plain(args[0]))
	}
	return c.unknown()
}

func fastAnd(left, right fastFunc) fastFunc {
	return func(t *target) fastValue {
		l := left(t)
		if l.kind != fastBool {
			return fastValue{}
		}
		if l.i == 0 {
			return l
		}
		if r := right(t); r.kind == fastBool {
			return r
		}
		return fastValue{}
	}
}

func fastOr(left, right fastFunc) fastFunc {
	return func(t *target) fastValue {
		l := left(t)
		if l.kind != fastBool {
			return fastValue{}
		}
		if l.i != 0 {
			return l
		}
		if r := right(t); r.kind == fastBool {
			return r
		}
		return fastValue{}
	}
}

func fastNot(f fastFunc) fastFunc {
	return func(t *target) fastValue {
		v := f(t)
		if v.kind != fastBool {
			return fastValue{}
		}
		return fastTruth(v.i == 0)
	}
}

// conditional compiles test ? yes : no. Where one branch alone is an optional
// the whole has no type that would tell.
func (c *fastCompiler) conditional(args []celast.Expr) fastFunc {
	if c.isOptional(args[1]) != c.isOptional(args[2]) {
		return c.unknown()
	}
	return fastConditional(c.plain(args[0]), c.expr(args[1]), c.expr(args[2]))
}

func fastConditional(test, yes, no fastFunc) fastFunc {
	return func(t *target) fastValue {
		v := test(t)
		switch {
		case v.kind != fastBool:
			return fastValue{}
		case v.i != 0:
			return yes(t)
		}
		return no(t)
	}
}

// equal compares two values; sure is false where CEL's answer needs more than
// this knows: maps, lists, and numbers of two types.
func equal(a, b fastValue) (same, sure bool) {
	if !a.scalar() || !b.scalar() {
		return false, false
	}
	if a.kind != b.kind {
		return false, true
	}
	return a.i == b.i && a.s == b.s, true
}

// scalar leaves out null, whose comparison with other types depends on what
// the checker knew.
func (v fastValue) scalar() bool {
	return v.kind == fastBool || v.kind == fastInt || v.kind == fastString
}

func fastEquals(left, right fastFunc, want bool) fastFunc {
	return func(t *target) fastValue {
		same, sure := equal(left(t), right(t))
		if !sure {
			return fastValue{}
		}
		return fastTruth(same == want)
	}
}

func fastCompare(left, right fastFunc, op string) fastFunc {
	return func(t *target) fastValue {
		l, r := left(t), right(t)
		if l.kind != r.kind || (l.kind != fastInt && l.kind != fastString) {
			return fastValue{}
		}
		order := strings.Compare(l.s, r.s)
		if l.kind == fastInt {
			order = 0
			if l.i < r.i {
				order = -1
			} else if l.i > r.i {
				order = 1
			}
		}
		switch op {
		case operators.Less:
			return fastTruth(order < 0)
		case operators.LessEquals:
			return fastTruth(order <= 0)
		case operators.Greater:
			return fastTruth(order > 0)
		}
		return fastTruth(order >= 0)
	}
}

func fastIn(left, right fastFunc) fastFunc {
	return func(t *target) fastValue {
		l, r := left(t), right(t)
		if !l.scalar() {
			return fastValue{}
		}
		if r.kind == fastEff || (r.kind == fastNode && r.n.Kind() == document.Map) {
			if l.kind != fastString {
				return fastValue{}
			}
			n, isMap := t.field(r, l.s)
			if !isMap {
				return fastValue{}
			}
			return fastTruth(n != nil)
		}
		if r.kind != fastNode || r.n.Kind() != document.List {
			return fastValue{}
		}
		if t.steps += len(r.n.List()); t.steps > maxFastSteps {
			return fastValue{}
		}
		for _, item := range r.n.List() {
			v := fastOf(item)
			if !v.scalar() {
				return fastValue{}
			}
			if same, _ := equal(l, v); same {
				return fastTruth(true)
			}
		}
		return fastTruth(false)
	}
}

func (c *fastCompiler) optSelect(args []celast.Expr) fastFunc {
	operand := c.expr(args[0])
	if args[1].Kind() != celast.LiteralKind {
		return c.unknown()
	}
	name, ok := args[1].AsLiteral().(types.String)
	if !ok {
		return c.unknown()
	}
	return func(t *target) fastValue {
		v := operand(t)
		if v.kind == fastNone {
			return v
		}
		n, isMap := t.field(v, string(name))
		switch {
		case !isMap:
			return fastValue{}
		case n == nil:
			return fastValue{kind: fastNone}
		}
		return fastOf(n)
	}
}

func (c *fastCompiler) index(args []celast.Expr) fastFunc {
	operand, key := c.plain(args[0]), c.plain(args[1])
	return func(t *target) fastValue {
		v, k := operand(t), key(t)
		switch k.kind {
		case fastString:
			n, _ := t.field(v, k.s)
			return fastOf(n)
		case fastInt:
			if v.kind == fastNode && v.n.Kind() == document.List && k.i >= 0 && k.i < int64(len(v.n.List())) {
				return fastOf(v.n.List()[k.i])
			}
		case notSure, fastNone, fastNull, fastBool, fastNode, fastEff:
		}
		return fastValue{}
	}
}

func fastConcat(left, right fastFunc) fastFunc {
	return func(t *target) fastValue {
		l, r := left(t), right(t)
		switch {
		case l.kind == fastString && r.kind == fastString:
			return fastText(l.s + r.s)
		case l.isList() && r.isList() && l.n.Len()+r.n.Len() <= maxFastSteps:
			return fastList(slices.Concat(l.n.List(), r.n.List()))
		}
		return fastValue{}
	}
}

func (v fastValue) isList() bool { return v.kind == fastNode && v.n.Kind() == document.List }

func fastSize(f fastFunc) fastFunc {
	return func(t *target) fastValue {
		switch v := f(t); v.kind {
		case fastString:
			return fastValue{kind: fastInt, i: int64(utf8.RuneCountInString(v.s))}
		case fastNode:
			return fastValue{kind: fastInt, i: int64(length(v.n))}
		case notSure, fastNone, fastNull, fastBool, fastInt, fastEff:
		}
		return fastValue{}
	}
}

func fastStringOf(f fastFunc) fastFunc {
	return func(t *target) fastValue {
		v := f(t)
		switch v.kind {
		case fastString:
			return v
		case fastInt, fastBool:
			return fastValue{kind: fastString, s: text(v.val())}
		case notSure, fastNone, fastNull, fastNode, fastEff:
		}
		return fastValue{}
	}
}

// fastDistinct keeps the first of equal items, of lists of plain values.
func fastDistinct(f fastFunc) fastFunc {
	return func(t *target) fastValue {
		v := f(t)
		if !v.isList() {
			return fastValue{}
		}
		seen := make(map[fastValue]bool, len(v.n.List()))
		var out []*document.Node
		for _, item := range v.n.List() {
			key := fastOf(item)
			if !key.scalar() {
				return fastValue{}
			}
			if !seen[key] {
				seen[key] = true
				out = append(out, item)
			}
		}
		return fastList(out)
	}
}

func fastCleanPath(f fastFunc) fastFunc {
	return func(t *target) fastValue {
		v := f(t)
		if v.kind != fastString {
			return fastValue{}
		}
		return fastValue{kind: fastString, s: nodePath(v.s)}
	}
}
