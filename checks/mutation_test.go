package checks_test

import (
	"slices"
	"testing"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"

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
			// The copy's fields are changed one at a time; its steps are its own.
			changed := *r
			changed.After = slices.Clone(r.After)
			fields := []*string{&changed.Deny, &changed.When}
			for i := range changed.After {
				fields = append(fields, &changed.After[i].Deny, &changed.After[i].When)
			}
			for _, field := range fields {
				original := *field
				for _, mutant := range mutants(t, original) {
					*field = mutant.text
					if slices.Equal(want, outcomes(t, &changed)) {
						t.Errorf("no example notices that %s", mutant.what)
					}
				}
				*field = original
			}
			for _, m := range windowMutants(r) {
				if slices.Equal(want, outcomes(t, &m.rule)) {
					t.Errorf("no example notices %s", m.what)
				}
			}
		})
	}
}

type windowMutant struct {
	rule check.Rule
	what string
}

// windowMutants changes what a rule on events counts, and how far it looks back.
func windowMutants(r *check.Rule) []windowMutant {
	var out []windowMutant
	change := func(what string, apply func(*check.Rule)) {
		m := windowMutant{*r, what}
		m.rule.After = slices.Clone(r.After)
		apply(&m.rule)
		out = append(out, m)
	}
	if r.Count > 0 {
		change("that one more is needed", func(r *check.Rule) { r.Count++ })
		change("that one less is enough", func(r *check.Rule) { r.Count-- })
	}
	if r.Distinct != "" {
		change("that values must differ", func(r *check.Rule) { r.Distinct = "" })
	}
	if r.Within > 0 {
		change("that the window is a hundred times longer", func(r *check.Rule) {
			for i := range r.After {
				if r.After[i].Within == r.Within {
					r.After[i].Within *= 100
				}
			}
			r.Within *= 100
		})
	}
	return out
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
