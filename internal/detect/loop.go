package detect

import (
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// comprehension compiles the loops that the macros all, exists, filter and map of
// one variable expand to, told by their shape.
func (c *compiler) comprehension(e celast.ComprehensionExpr) evaluator {
	if e.IterVar2() != "" || len(c.vars) >= maxVars {
		return c.unknown()
	}
	source := c.expr(e.IterRange())
	slot := len(c.vars)
	c.vars = append(c.vars, e.IterVar())
	defer func() { c.vars = c.vars[:slot] }()

	step := e.LoopStep()
	switch {
	case isLiteral(e.AccuInit(), types.True) && isCall(step, operators.LogicalAnd):
		return quantifier(source, slot, c.expr(step.AsCall().Args()[1]), false)
	case isLiteral(e.AccuInit(), types.False) && isCall(step, operators.LogicalOr):
		return quantifier(source, slot, c.expr(step.AsCall().Args()[1]), true)
	case e.AccuInit().Kind() == celast.ListKind && e.AccuInit().AsList().Size() == 0:
		return c.collect(source, slot, step, e.AccuVar())
	}
	return c.unknown()
}

func isLiteral(e celast.Expr, want types.Bool) bool {
	return e.Kind() == celast.LiteralKind && e.AsLiteral() == want
}

func isCall(e celast.Expr, function string) bool {
	return e.Kind() == celast.CallKind && e.AsCall().FunctionName() == function
}

// quantifier is all (decided by false) or exists (decided by true). An item that
// decides hides the errors of others.
func quantifier(source evaluator, slot int, predicate evaluator, decides bool) evaluator {
	return func(f *frame) value {
		list := source(f)
		n := list.size()
		if n < 0 || list.kind == kindMap {
			return list.unusable()
		}
		out := truth(!decides)
		fixed, isFixed := list.o.(*[]value) // of the rule itself, the commonest
		for i := range n {
			if f.turns++; f.turns > maxTurns {
				return value{}
			}
			if isFixed {
				f.vars[slot] = (*fixed)[i]
			} else {
				f.vars[slot] = list.at(i)
			}
			v := predicate(f)
			switch {
			case v.is(decides):
				return v
			case v.kind == kindBool || out.kind == unsure:
			case v.kind == failed:
				out = v
			default:
				out = value{}
			}
		}
		return out
	}
}

// collect compiles filter and map: accu + [x], or test ? accu + [x] : accu.
func (c *compiler) collect(source evaluator, slot int, step celast.Expr, accu string) evaluator {
	test := always(truth(true))
	if isCall(step, operators.Conditional) {
		args := step.AsCall().Args()
		if args[2].Kind() != celast.IdentKind || args[2].AsIdent() != accu {
			return c.unknown()
		}
		test, step = c.expr(args[0]), args[1]
	}
	if !isCall(step, operators.Add) {
		return c.unknown()
	}
	args := step.AsCall().Args()
	if args[0].Kind() != celast.IdentKind || args[0].AsIdent() != accu ||
		args[1].Kind() != celast.ListKind || args[1].AsList().Size() != 1 {
		return c.unknown()
	}
	yield := c.expr(args[1].AsList().Elements()[0])
	return func(f *frame) value {
		list := source(f)
		n := list.size()
		if n < 0 || list.kind == kindMap {
			return list.unusable()
		}
		out := make([]value, 0, n)
		for i := range n {
			if f.turns++; f.turns > maxTurns {
				return value{}
			}
			f.vars[slot] = list.at(i)
			keep := test(f)
			if keep.kind != kindBool {
				return keep.unusable()
			}
			if keep.i == 0 {
				continue
			}
			v := yield(f)
			if v.kind == unsure || v.kind == failed {
				return v
			}
			out = append(out, v)
		}
		return value{kind: kindList, o: &out}
	}
}
