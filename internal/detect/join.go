package detect

import (
	"slices"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// join is a part of a condition that says that a field of the event is that of the
// step before: process.program.inode == drop.file.inode. Sequences are kept by that
// value, so that an event meets only those it can complete, however many there are.
type join struct {
	event, step evaluator
}

// joinValue is what is joined on: a number or a text. Without a join it is zero.
type joinValue struct {
	i int64
	s string
}

// joinOn finds a join of a condition with the step of a name; nil where there is
// none. Only plain fields are joined on: they have a value in every event.
func joinOn(x *expression, r *rule, name string) *join {
	if x == nil || name == "" {
		return nil
	}
	c := &compiler{ast: x.ast.NativeRep(), rule: r}
	for _, e := range operands(operators.LogicalAnd, c.ast.Expr(), nil) {
		if !isCall(e, operators.Equals) {
			continue
		}
		a, b := e.AsCall().Args()[0], e.AsCall().Args()[1]
		rootA, rootB := c.fieldOf(a), c.fieldOf(b)
		if rootB != name {
			a, b, rootA, rootB = b, a, rootB, rootA
		}
		if rootB == name && rootA != "" && !slices.Contains(r.names, rootA) {
			return &join{event: c.expr(a), step: c.expr(b)}
		}
	}
	return nil
}

// operands appends the operands of a chain of && or ||.
func operands(operator string, e celast.Expr, out []celast.Expr) []celast.Expr {
	if !isCall(e, operator) {
		return append(out, e)
	}
	for _, arg := range e.AsCall().Args() {
		out = operands(operator, arg, out)
	}
	return out
}

// fieldOf returns the variable that an expression is a field of, a number or text;
// empty for all else.
func (c *compiler) fieldOf(e celast.Expr) string {
	typ := c.ast.GetType(e.ID())
	if !typ.IsExactType(cel.IntType) && !typ.IsExactType(cel.StringType) {
		return ""
	}
	for e.Kind() == celast.SelectKind {
		if e.AsSelect().IsTestOnly() {
			return ""
		}
		e = e.AsSelect().Operand()
	}
	if e.Kind() != celast.IdentKind || e.AsIdent() == "params" {
		return ""
	}
	return e.AsIdent()
}

// joinValue evaluates one side of a join.
func (f *frame) joinValue(j *join, side func(*join) evaluator) joinValue {
	if j == nil {
		return joinValue{}
	}
	v := side(j)(f)
	if s, ok := f.text(v); ok {
		return joinValue{s: s}
	}
	return joinValue{i: v.i}
}

func ofEvent(j *join) evaluator { return j.event }
func ofStep(j *join) evaluator  { return j.step }
