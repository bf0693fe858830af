package check

import (
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"seawall.io/seawall/internal/document"
)

// comprehension compiles the loops that the macros all, exists, exists_one,
// filter and map of one variable expand to, told by their shape.
func (c *fastCompiler) comprehension(e celast.ComprehensionExpr) fastFunc {
	if e.IterVar2() != "" || len(c.vars) >= maxFastVars-1 {
		return c.unknown()
	}
	source := c.plain(e.IterRange())
	slot := len(c.vars)
	c.vars = append(c.vars, e.IterVar())
	defer func() { c.vars = c.vars[:slot] }()

	step := e.LoopStep()
	switch {
	case isLiteral(e.AccuInit(), types.True) && isCall(step, operators.LogicalAnd):
		return fastQuantifier(source, slot, c.plain(step.AsCall().Args()[1]), false)
	case isLiteral(e.AccuInit(), types.False) && isCall(step, operators.LogicalOr):
		return fastQuantifier(source, slot, c.plain(step.AsCall().Args()[1]), true)
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

// turn counts one turn of a loop and says whether the limit is reached.
func (t *target) turn() bool {
	t.steps++
	return t.steps > maxFastSteps
}

// elements yields what a loop goes through: the items of a list, or the keys of
// a map whose values are not null.
func elements(v fastValue) (items []*document.Node, fields []document.Field, ok bool) {
	if v.kind != fastNode {
		return nil, nil, false
	}
	return v.n.List(), present(v.n.Map()), true
}

// fastQuantifier is all (stop at the first false) or exists (at the first true).
func fastQuantifier(source fastFunc, slot int, predicate fastFunc, stop bool) fastFunc {
	judge := func(t *target, v fastValue) (done, sure bool) {
		t.vars[slot] = v
		p := predicate(t)
		if p.kind != fastBool || t.turn() {
			return false, false
		}
		return (p.i != 0) == stop, true
	}
	return func(t *target) fastValue {
		items, fields, ok := elements(source(t))
		if !ok {
			return fastValue{}
		}
		for _, item := range items {
			if done, sure := judge(t, fastOf(item)); !sure {
				return fastValue{}
			} else if done {
				return fastTruth(stop)
			}
		}
		for i := range fields {
			if done, sure := judge(t, fastValue{kind: fastString, s: fields[i].Key}); !sure {
				return fastValue{}
			} else if done {
				return fastTruth(stop)
			}
		}
		return fastTruth(!stop)
	}
}

// collect compiles filter and map: accu + [x], or test ? accu + [x] : accu.
func (c *fastCompiler) collect(source fastFunc, slot int, step celast.Expr, accu string) fastFunc {
	var test fastFunc
	if isCall(step, operators.Conditional) {
		args := step.AsCall().Args()
		if args[2].Kind() != celast.IdentKind || args[2].AsIdent() != accu {
			return c.unknown()
		}
		test, step = c.plain(args[0]), args[1]
	}
	if !isCall(step, operators.Add) {
		return c.unknown()
	}
	args := step.AsCall().Args()
	if args[0].Kind() != celast.IdentKind || args[0].AsIdent() != accu ||
		args[1].Kind() != celast.ListKind || args[1].AsList().Size() != 1 {
		return c.unknown()
	}
	yield := c.plain(args[1].AsList().Elements()[0])
	return fastCollect(source, slot, test, yield)
}

func fastCollect(source fastFunc, slot int, test, yield fastFunc) fastFunc {
	return func(t *target) fastValue {
		items, fields, ok := elements(source(t))
		if !ok {
			return fastValue{}
		}
		var out []*document.Node
		keep := func(v fastValue) bool {
			t.vars[slot] = v
			if t.turn() {
				return false
			}
			if test != nil {
				p := test(t)
				if p.kind != fastBool {
					return false
				}
				if p.i == 0 {
					return true
				}
			}
			n := yield(t).node()
			if n == nil {
				return false
			}
			out = append(out, n)
			return true
		}
		for _, item := range items {
			if !keep(fastOf(item)) {
				return fastValue{}
			}
		}
		for i := range fields {
			if !keep(fastValue{kind: fastString, s: fields[i].Key}) {
				return fastValue{}
			}
		}
		if out == nil {
			return fastValue{kind: fastNode, n: emptyList}
		}
		return fastList(out)
	}
}

// emptyList and emptyMap are shared by all that yield nothing. They are read
// only, as every tree is.
var (
	emptyList = document.NewList(document.Pos{}, nil)
	emptyMap  = document.NewMap(document.Pos{}, nil)
)
