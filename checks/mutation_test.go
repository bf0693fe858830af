package checks_test

import (
	"testing"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
)

// TestExamplesBite takes every condition of every rule away, one at a time: a
// part of an && becomes true, a part of an || false. Some example must notice,
// or the part is not needed, or the examples do not show why it is.
//
// A part whose absence only turns a clean answer into an error (has() before
// the field that it guards) is noticed too, since what cannot be judged is an
// outcome of its own.
func TestExamplesBite(t *testing.T) {
	for _, r := range rules(t) {
		if r.Deny == "" {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			want := outcomes(t, r)
			for _, field := range []*string{&r.Deny, &r.When} {
				for _, mutant := range mutants(t, *field) {
					changed := *r
					if field == &r.Deny {
						changed.Deny = mutant.text
					} else {
						changed.When = mutant.text
					}
					if equalOutcomes(want, outcomes(t, &changed)) {
						t.Errorf("no example notices that %s", mutant.what)
					}
				}
			}
		})
	}
}

func outcomes(t *testing.T, r *check.Rule) []string {
	t.Helper()
	set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: checks.Funcs()})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range r.Examples {
		text, err := set.Outcome(r.ID, &r.Examples[i])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

func equalOutcomes(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

type mutant struct{ text, what string }

// mutants returns an expression with one part of an && or || taken away, for
// each part outside of loops.
func mutants(t *testing.T, text string) []mutant {
	t.Helper()
	if text == "" {
		return nil
	}
	env, err := cel.NewEnv(cel.OptionalTypes(), cel.EnableMacroCallTracking())
	if err != nil {
		t.Fatal(err)
	}
	parse := func() *celast.AST {
		ast, issues := env.Parse(text)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		return ast.NativeRep()
	}
	parts := conditions(parse().Expr())
	var out []mutant
	for i := range parts {
		ast := parse()
		part := conditions(ast.Expr())[i]
		what, err := parser.Unparse(part.expr, ast.SourceInfo())
		if err != nil {
			continue // part of a macro's expansion, which has no text of its own
		}
		ast.SourceInfo().ClearMacroCall(part.expr.ID())
		part.expr.SetKindCase(celast.NewExprFactory().NewLiteral(part.expr.ID(), part.neutral))
		changed, err := parser.Unparse(ast.Expr(), ast.SourceInfo())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, mutant{changed, "`" + what + "` is needed"})
	}
	return out
}

// part is an operand of an && or ||, with the value that takes it away.
type part struct {
	expr    celast.Expr
	neutral types.Bool
}

// conditions returns the operands of all && and || outside of loops.
func conditions(e celast.Expr) []part {
	if e.Kind() != celast.CallKind {
		return nil
	}
	call := e.AsCall()
	var out []part
	if call.IsMemberFunction() {
		out = append(out, conditions(call.Target())...)
	}
	for _, arg := range call.Args() {
		nested := conditions(arg)
		chained := arg.Kind() == celast.CallKind && arg.AsCall().FunctionName() == call.FunctionName()
		switch call.FunctionName() {
		case operators.LogicalAnd:
			if !chained {
				out = append(out, part{arg, types.True})
			}
		case operators.LogicalOr:
			if !chained {
				out = append(out, part{arg, types.False})
			}
		}
		out = append(out, nested...)
	}
	return out
}
