package detect

import (
	"errors"
	"strconv"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
)

// expression is a compiled expression. Most are only ever run as closures, so
// that cel-go plans its own program when it is first asked.
type expression struct {
	fast evaluator
	env  *cel.Env
	ast  *cel.Ast
	once sync.Once
	prog cel.Program
	err  error
}

// evaluator evaluates an expression.
type evaluator func(f *frame) value

// frame is what an expression is evaluated on. An engine has one, for one event
// after another.
type frame struct {
	rule  *rule
	event *seawall.Event
	// steps are the earlier events of a sequence, as far as they have come.
	steps [check.MaxSteps]*seawall.Event
	vars  [maxVars]value
	turns int

	joinedOf    *seawall.Process
	joined      string
	addresses   [4]addressText
	nextAddress int
	slow        uint64 // how often cel-go was asked
}

// ResolveName implements cel.Activation.
func (f *frame) ResolveName(name string) (any, bool) {
	if name == "params" && f.rule.params != nil {
		return f.celValue(value{kind: kindObject, o: f.rule.params}, objectType("params")), true
	}
	for i, step := range f.rule.names {
		if step == name {
			return f.celValue(value{kind: kindObject, o: f.steps[i]}, objectType("event")), true
		}
	}
	if fd, found := objects["seawall.event"].fields[name]; found {
		return f.celValue(fd.get(f, f.event), fd.typ), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (*frame) Parent() cel.Activation { return nil }

func compileExpression(env *cel.Env, r *rule, text string, want ...*cel.Type) (*expression, error) {
	ast, err := check.Checked(env, text, want...)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says which expression
	}
	return &expression{fast: compileFast(ast, r), env: env, ast: ast}, nil
}

// errFailed stands for an error of CEL whose words are known already.
var errFailed = errors.New("the expression yields an error")

// judge evaluates a condition. An error says why it cannot be decided; in words
// only where they are asked for, since finding them is slow.
func (x *expression) judge(f *frame, words bool) (bool, error) {
	f.turns = 0
	v := x.fast(f)
	switch {
	case v.kind == kindBool:
		return v.i != 0, nil
	case v.kind == failed && !words:
		return false, errFailed
	}
	out, err := x.interpret(f)
	return out == types.True, err
}

// interpret evaluates an expression by cel-go.
func (x *expression) interpret(f *frame) (ref.Val, error) {
	f.slow++
	x.once.Do(func() { x.prog, x.err = x.env.Program(x.ast) })
	if x.err != nil {
		return nil, x.err
	}
	out, _, err := x.prog.Eval(f)
	return out, err //nolint:wrapcheck // the caller says what was judged
}

// text evaluates an expression and returns its value as a text.
func (x *expression) text(f *frame) (string, error) {
	f.turns = 0
	v := x.fast(f)
	if s, ok := f.text(v); ok {
		return s, nil
	}
	if v.kind == kindInt {
		return strconv.FormatInt(v.i, 10), nil
	}
	out, err := x.interpret(f)
	if err != nil {
		return "", err
	}
	if s, ok := out.(types.String); ok {
		return string(s), nil
	}
	return celText(out), nil
}
