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
		predicate := step.AsCall().Args()[1]
		return c.anyText(e, predicate, quantifier(source, slot, c.expr(predicate), true))
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

// textTest compares a text with those that items of a list make.
type textTest struct {
	subject evaluator
	compare func(text, other string) bool
	others  []string
}

// anyText compiles list.exists(v, x.startsWith(v) || x.endsWith("." + v)) and the like,
// where the list stands in the rule and x is the same for all of it: x is looked up
// once then, not for each item. What is of another shape, or no text, is left to the
// loop.
func (c *compiler) anyText(e celast.ComprehensionExpr, predicate celast.Expr, loop evaluator) evaluator {
	list, ok := c.constant(e.IterRange())
	if !ok {
		return loop
	}
	var tests []textTest
	for _, part := range operands(operators.LogicalOr, predicate, nil) {
		test, ok := c.textTest(part, e.IterVar(), list)
		if !ok {
			return loop
		}
		tests = append(tests, test)
	}
	return func(f *frame) value {
		for i := range tests {
			v := tests[i].subject(f)
			if v.kind != kindString {
				return loop(f)
			}
			for _, other := range tests[i].others {
				if tests[i].compare(v.s, other) {
					return truth(true)
				}
			}
		}
		return truth(false)
	}
}

// textTest reads x == v or x.startsWith(v), where v is the variable of a loop over a
// list or made of it and other texts of the rule, and x has nothing to do with it.
func (c *compiler) textTest(e celast.Expr, v string, list value) (textTest, bool) {
	if e.Kind() != celast.CallKind {
		return textTest{}, false
	}
	call := e.AsCall()
	test := textTest{compare: textFuncs[call.FunctionName()]}
	var subject, other celast.Expr
	switch args := call.Args(); {
	case call.IsMemberFunction() && test.compare != nil && len(args) == 1:
		subject, other = call.Target(), args[0]
	case isCall(e, operators.Equals):
		test.compare = func(text, other string) bool { return text == other }
		if subject, other = args[0], args[1]; mentions(subject, v) {
			subject, other = other, subject
		}
	default:
		return textTest{}, false
	}
	if mentions(subject, v) {
		return textTest{}, false
	}
	test.subject = c.expr(subject)
	for i := range list.size() {
		text, ok := c.madeOf(other, v, list.at(i))
		if !ok {
			return textTest{}, false
		}
		test.others = append(test.others, text)
	}
	return test, true
}

// madeOf returns the text that an expression yields, where nothing but v, which is
// given, and the rule itself tell.
func (c *compiler) madeOf(e celast.Expr, v string, given value) (string, bool) {
	if e.Kind() == celast.IdentKind && e.AsIdent() == v {
		return given.s, given.kind == kindString
	}
	if isCall(e, operators.Add) {
		args := e.AsCall().Args()
		a, ok := c.madeOf(args[0], v, given)
		b, ok2 := c.madeOf(args[1], v, given)
		return a + b, ok && ok2 && len(a)+len(b) <= maxMade
	}
	constant, ok := c.constant(e)
	return constant.s, ok && constant.kind == kindString
}

// mentions says whether an expression has to do with a variable.
func mentions(e celast.Expr, name string) bool {
	found := false
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		found = found || e.Kind() == celast.IdentKind && e.AsIdent() == name
	}))
	return found
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
