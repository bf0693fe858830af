package detect

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"seawall.io/seawall"
)

// An expression that cel-go has parsed and checked is turned into closures over
// the event, which run some fifty times faster than cel-go's interpreter and
// allocate nothing. They know the part of CEL that checks commonly use. What they
// do not know is unsure, and cel-go decides; what CEL calls an error has failed,
// and the engine asks cel-go for the words. The tests hold both to be equal.

// maxVars is how many variables of loops may be in scope.
const maxVars = 8

// maxTurns is how many turns the loops of one evaluation take before cel-go, which
// counts the cost of what it does, takes over.
const maxTurns = 1 << 14

// compiler turns one checked expression into closures.
type compiler struct {
	ast  *celast.AST
	rule *rule
	vars []string
}

func compileFast(a *cel.Ast, r *rule) evaluator {
	c := &compiler{ast: a.NativeRep(), rule: r}
	return c.expr(c.ast.Expr())
}

func (*compiler) unknown() evaluator { return func(*frame) value { return value{} } }

func always(v value) evaluator { return func(*frame) value { return v } }

func (c *compiler) expr(e celast.Expr) evaluator {
	if v, ok := c.constant(e); ok {
		return always(v)
	}
	switch e.Kind() {
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
	case celast.LiteralKind, celast.MapKind, celast.StructKind, celast.UnspecifiedExprKind:
	}
	return c.unknown()
}

// constant returns the value of what no event changes: literals, lists of them,
// and parameters.
func (c *compiler) constant(e celast.Expr) (value, bool) {
	switch e.Kind() {
	case celast.LiteralKind:
		v := literal(e.AsLiteral())
		return v, v.kind != unsure
	case celast.ListKind:
		l := e.AsList()
		if len(l.OptionalIndices()) > 0 {
			return value{}, false
		}
		items := make([]value, l.Size())
		for i, item := range l.Elements() {
			var ok bool
			if items[i], ok = c.constant(item); !ok {
				return value{}, false
			}
		}
		return value{kind: kindList, o: &items}, true
	case celast.SelectKind:
		s := e.AsSelect()
		if s.IsTestOnly() || c.rule.params == nil || s.Operand().Kind() != celast.IdentKind || s.Operand().AsIdent() != "params" ||
			slices.Contains(c.vars, "params") {
			return value{}, false
		}
		v := c.rule.params.fields[s.FieldName()].get(nil, nil)
		return v, v.kind != kindAny
	default:
		return value{}, false
	}
}

func literal(v ref.Val) value {
	switch v := v.(type) {
	case types.Bool:
		return truth(bool(v))
	case types.Int:
		return value{kind: kindInt, i: int64(v)}
	case types.String:
		return value{kind: kindString, s: string(v)}
	}
	return value{}
}

func (c *compiler) ident(name string) evaluator {
	for i, v := range slices.Backward(c.vars) {
		if v == name {
			return func(f *frame) value { return f.vars[i] }
		}
	}
	for i, step := range c.rule.names {
		if step == name {
			return func(f *frame) value { return value{kind: kindObject, o: f.steps[i]} }
		}
	}
	if fd, found := objects["seawall.event"].fields[name]; found {
		get := fd.get
		return func(f *frame) value { return get(f, f.event) }
	}
	return c.unknown()
}

// objectOf returns the type of objects that an expression yields, nil for all
// else.
func (c *compiler) objectOf(e celast.Expr) *object {
	return c.rule.object(c.ast.GetType(e.ID()).TypeName())
}

func (c *compiler) selection(s celast.SelectExpr) evaluator {
	o := c.objectOf(s.Operand())
	if o == nil {
		return c.unknown()
	}
	fd, found := o.fields[s.FieldName()]
	if !found {
		return c.unknown()
	}
	get, test := fd.get, s.IsTestOnly()
	// Most selections are of a variable or of its part: they need no closure for
	// what they select from.
	if name := s.Operand(); name.Kind() == celast.IdentKind && !test {
		if part, isPart := objects["seawall.event"].fields[name.AsIdent()]; isPart && !c.shadowed(name.AsIdent()) {
			first := part.get
			return func(f *frame) value { return get(f, first(f, f.event).o) }
		}
	}
	operand := c.expr(s.Operand())
	return func(f *frame) value {
		v := operand(f)
		if v.kind != kindObject {
			return v.unusable()
		}
		v = get(f, v.o)
		if test {
			return truth(v.set())
		}
		return v
	}
}

func (c *compiler) shadowed(name string) bool {
	return slices.Contains(c.vars, name) || slices.Contains(c.rule.names, name)
}

// unusable is the result of what takes a value of another kind: an error stays
// one.
func (v value) unusable() value {
	if v.kind == failed {
		return v
	}
	return value{}
}

// unusable2 is the same for two operands.
func unusable2(a, b value) value {
	if a.kind == failed || b.kind == failed {
		return value{kind: failed}
	}
	return value{}
}

func (c *compiler) list(l celast.ListExpr) evaluator {
	if len(l.OptionalIndices()) > 0 {
		return c.unknown()
	}
	items := make([]evaluator, l.Size())
	for i, e := range l.Elements() {
		items[i] = c.expr(e)
	}
	return func(f *frame) value {
		out := make([]value, len(items))
		for i, item := range items {
			if out[i] = item(f); out[i].kind == unsure || out[i].kind == failed {
				return out[i]
			}
		}
		return value{kind: kindList, o: &out}
	}
}

func (c *compiler) call(call celast.CallExpr) evaluator {
	args := call.Args()
	if call.IsMemberFunction() {
		return c.member(call.FunctionName(), call.Target(), args)
	}
	switch name := call.FunctionName(); name {
	case operators.LogicalAnd:
		return both(c.expr(args[0]), c.expr(args[1]), false)
	case operators.LogicalOr:
		return both(c.expr(args[0]), c.expr(args[1]), true)
	case operators.LogicalNot:
		return not(c.expr(args[0]))
	case operators.Conditional:
		return conditional(c.expr(args[0]), c.expr(args[1]), c.expr(args[2]))
	case operators.Equals:
		return c.equals(args[0], args[1], true)
	case operators.NotEquals:
		return c.equals(args[0], args[1], false)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return compare(c.expr(args[0]), c.expr(args[1]), name)
	case operators.In:
		return c.in(args[0], args[1])
	case operators.Index:
		return index(c.expr(args[0]), c.expr(args[1]))
	case operators.Add:
		return add(c.expr(args[0]), c.expr(args[1]))
	case "size":
		return size(c.expr(args[0]))
	case "string":
		return stringOf(c.expr(args[0]))
	}
	return c.unknown()
}

// both is && (decided by false) or || (decided by true). What decides hides an
// error on the other side.
func both(left, right evaluator, decides bool) evaluator {
	return func(f *frame) value {
		l := left(f)
		if l.is(decides) {
			return l
		}
		r := right(f)
		switch {
		case r.is(decides), l.kind == kindBool:
			return r
		case l.kind == failed && (r.kind == kindBool || r.kind == failed):
			return l
		}
		return value{}
	}
}

func not(operand evaluator) evaluator {
	return func(f *frame) value {
		v := operand(f)
		if v.kind != kindBool {
			return v.unusable()
		}
		return truth(v.i == 0)
	}
}

func conditional(test, yes, no evaluator) evaluator {
	return func(f *frame) value {
		v := test(f)
		switch {
		case v.kind != kindBool:
			return v.unusable()
		case v.i != 0:
			return yes(f)
		}
		return no(f)
	}
}

// equals compiles ==, without making a text of an address where it is compared
// with one that stands in the rule.
func (c *compiler) equals(a, b celast.Expr, want bool) evaluator {
	if _, ok := c.constant(a); ok {
		a, b = b, a
	}
	left, right := c.expr(a), c.expr(b)
	if v, ok := c.constant(b); ok && v.kind == kindString {
		s, literal := v.s, addressOf(v.s)
		return func(f *frame) value {
			l := left(f)
			switch l.kind {
			case kindString:
				return truth((l.s == s) == want)
			case kindAddr:
				return truth((l.o.(*netip.AddrPort).Addr().Unmap() == literal) == want)
			default:
				return l.unusable()
			}
		}
	}
	return func(f *frame) value {
		l, r := left(f), right(f)
		same, sure := f.equal(l, r)
		if !sure {
			return unusable2(l, r)
		}
		return truth(same == want)
	}
}

// addressOf returns the address that a text is the usual form of, and the invalid
// one, which equals no address of an event, of other texts.
func addressOf(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.String() != text || a.Is4In6() {
		return netip.Addr{}
	}
	return a
}

func (f *frame) equal(a, b value) (same, sure bool) {
	if s, ok := f.text(a); ok {
		t, ok := f.text(b)
		return ok && s == t, ok
	}
	switch {
	case a.kind != b.kind:
		return false, false
	case a.kind == kindBool, a.kind == kindInt:
		return a.i == b.i, true
	case a.kind == kindObject:
		return sameObject(a.o, b.o)
	}
	return false, false
}

func compare(left, right evaluator, op string) evaluator {
	return func(f *frame) value {
		l, r := left(f), right(f)
		var order int
		switch {
		case l.kind == kindInt && r.kind == kindInt:
			if l.i < r.i {
				order = -1
			} else if l.i > r.i {
				order = 1
			}
		case l.kind == kindString && r.kind == kindString:
			order = strings.Compare(l.s, r.s)
		default:
			return unusable2(l, r)
		}
		switch op {
		case operators.Less:
			return truth(order < 0)
		case operators.LessEquals:
			return truth(order <= 0)
		case operators.Greater:
			return truth(order > 0)
		}
		return truth(order >= 0)
	}
}

// in compiles membership: in a list of the rule by a table, of a capability by
// its bit.
func (c *compiler) in(item, container celast.Expr) evaluator {
	left, right := c.expr(item), c.expr(container)
	if v, ok := c.constant(container); ok {
		if set, ok := newTextSet(v); ok {
			return func(f *frame) value {
				l := left(f)
				switch l.kind {
				case kindString:
					_, found := set.texts[l.s]
					return truth(found)
				case kindAddr:
					_, found := set.addresses[l.o.(*netip.AddrPort).Addr().Unmap()]
					return truth(found)
				default:
					return l.unusable()
				}
			}
		}
	}
	if v, ok := c.constant(item); ok && v.kind == kindString {
		if n := seawall.CapabilityNumber(v.s); n >= 0 && seawall.CapabilityName(n) == v.s {
			return func(f *frame) value {
				r := right(f)
				if r.kind == kindCaps {
					return truth(r.i&(1<<n) != 0)
				}
				return f.among(v, r)
			}
		}
	}
	return func(f *frame) value { return f.among(left(f), right(f)) }
}

// textSet is a list of texts of a rule.
type textSet struct {
	texts     map[string]struct{}
	addresses map[netip.Addr]struct{}
}

func newTextSet(v value) (textSet, bool) {
	set := textSet{map[string]struct{}{}, map[netip.Addr]struct{}{}}
	items, ok := v.o.(*[]value)
	if !ok {
		return set, false
	}
	for _, item := range *items {
		if item.kind != kindString {
			return set, false
		}
		set.texts[item.s] = struct{}{}
		if a := addressOf(item.s); a.IsValid() {
			set.addresses[a] = struct{}{}
		}
	}
	return set, true
}

// among says whether a value is an item of a list, or a key of a map.
func (f *frame) among(item, container value) value {
	if container.kind == kindMap {
		s, ok := f.text(item)
		if !ok {
			return unusable2(item, container)
		}
		_, found := (*container.o.(*map[string]string))[s]
		return truth(found)
	}
	n := container.size()
	if n < 0 || item.kind == unsure || item.kind == failed {
		return unusable2(item, container)
	}
	if f.turns += n; f.turns > maxTurns {
		return value{}
	}
	for i := range n {
		same, sure := f.equal(item, container.at(i))
		if !sure {
			return value{}
		}
		if same {
			return truth(true)
		}
	}
	return truth(false)
}

func index(operand, key evaluator) evaluator {
	return func(f *frame) value {
		v, k := operand(f), key(f)
		switch n := v.size(); {
		case v.kind == kindMap:
			s, ok := f.text(k)
			if !ok {
				return unusable2(v, k)
			}
			if s, ok := (*v.o.(*map[string]string))[s]; ok {
				return value{kind: kindString, s: s}
			}
			return value{kind: failed}
		case n < 0 || k.kind != kindInt:
			return unusable2(v, k)
		case k.i < 0 || k.i >= int64(n):
			return value{kind: failed}
		}
		return v.at(int(k.i))
	}
}

// maxMade is the size of the largest text that closures make out of others: loops
// that double a text grow faster than they turn.
const maxMade = 64 << 10

func add(left, right evaluator) evaluator {
	return func(f *frame) value {
		l, r := left(f), right(f)
		if s, ok := f.text(l); ok {
			if t, ok := f.text(r); ok && len(s)+len(t) <= maxMade {
				return value{kind: kindString, s: s + t}
			}
		}
		const safe = 1 << 60
		if l.kind == kindInt && r.kind == kindInt && max(l.i, r.i) < safe && min(l.i, r.i) > -safe {
			return value{kind: kindInt, i: l.i + r.i}
		}
		return unusable2(l, r)
	}
}

func size(operand evaluator) evaluator {
	return func(f *frame) value {
		v := operand(f)
		if s, ok := f.text(v); ok {
			return value{kind: kindInt, i: int64(utf8.RuneCountInString(s))}
		}
		if n := v.size(); n >= 0 {
			return value{kind: kindInt, i: int64(n)}
		}
		return v.unusable()
	}
}

// stringOf is string(v) of a text or a number.
func stringOf(operand evaluator) evaluator {
	return func(f *frame) value {
		v := operand(f)
		if s, ok := f.text(v); ok {
			return value{kind: kindString, s: s}
		}
		if v.kind == kindInt {
			return value{kind: kindString, s: types.Int(v.i).ConvertToType(types.StringType).Value().(string)}
		}
		return v.unusable()
	}
}

func (c *compiler) member(name string, receiver celast.Expr, args []celast.Expr) evaluator {
	operand := c.expr(receiver)
	switch {
	case name == "size" && len(args) == 0:
		return size(operand)
	case name == "matches" && len(args) == 1:
		return c.matches(operand, args[0])
	case name == "lowerAscii" && len(args) == 0:
		return onText(operand, func(s string) value { return value{kind: kindString, s: lowerASCII(s)} })
	}
	compareWith := textFuncs[name]
	if compareWith == nil || len(args) != 1 {
		return c.unknown()
	}
	if v, ok := c.constant(args[0]); ok && v.kind == kindString {
		return onText(operand, func(s string) value { return truth(compareWith(s, v.s)) })
	}
	if sum := args[0]; isCall(sum, operators.Add) && c.ast.GetType(sum.ID()).IsExactType(cel.StringType) && name != "contains" {
		parts := sum.AsCall().Args()
		return affix(operand, c.expr(parts[0]), c.expr(parts[1]), name == "endsWith")
	}
	arg := c.expr(args[0])
	return func(f *frame) value {
		v, a := operand(f), arg(f)
		s, ok := f.text(v)
		t, ok2 := f.text(a)
		if !ok || !ok2 {
			return unusable2(v, a)
		}
		return truth(compareWith(s, t))
	}
}

// affix compiles s.endsWith(first + second), or startsWith, without making a text:
// lists of domains and folders are tried that way.
func affix(operand, first, second evaluator, atEnd bool) evaluator {
	return func(f *frame) value {
		v, a, b := operand(f), first(f), second(f)
		s, ok := f.text(v)
		x, ok1 := f.text(a)
		y, ok2 := f.text(b)
		switch {
		case !ok || !ok1 || !ok2:
			if v.kind == failed || a.kind == failed || b.kind == failed {
				return value{kind: failed}
			}
			return value{}
		case atEnd:
			rest, found := strings.CutSuffix(s, y)
			return truth(found && strings.HasSuffix(rest, x))
		}
		rest, found := strings.CutPrefix(s, x)
		return truth(found && strings.HasPrefix(rest, y))
	}
}

var textFuncs = map[string]func(s, arg string) bool{
	"startsWith": strings.HasPrefix,
	"endsWith":   strings.HasSuffix,
	"contains":   strings.Contains,
}

// onText applies a function to a text.
func onText(operand evaluator, do func(s string) value) evaluator {
	return func(f *frame) value {
		v := operand(f)
		s, ok := f.text(v)
		if !ok {
			return v.unusable()
		}
		return do(s)
	}
}

// lowerASCII leaves all but the letters of ASCII alone.
func lowerASCII(s string) string {
	isUpper := func(r rune) bool { return r >= 'A' && r <= 'Z' }
	if !strings.ContainsFunc(s, isUpper) {
		return s
	}
	out := []byte(s)
	for i, b := range out {
		if b >= 'A' && b <= 'Z' {
			out[i] = b + 'a' - 'A'
		}
	}
	return string(out)
}

func (c *compiler) matches(operand evaluator, pattern celast.Expr) evaluator {
	v, ok := c.constant(pattern)
	if !ok || v.kind != kindString {
		return c.unknown()
	}
	p, err := newPattern(v.s)
	if err != nil {
		return c.unknown()
	}
	return onText(operand, func(s string) value { return truth(p.matches(s)) })
}
