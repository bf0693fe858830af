package vap

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// newEnv returns the environment of ValidatingAdmissionPolicies.
func newEnv() (*cel.Env, error) {
	set, err := environment.MustBaseEnvSet(version.MajorMinor(1, check.NewestMinor)).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("object", cel.DynType),
			cel.Variable("oldObject", cel.DynType),
			cel.Variable("request", cel.DynType),
			cel.Variable("params", cel.DynType),
			cel.Variable("namespaceObject", cel.DynType),
			cel.Variable("variables", cel.DynType),
			cel.Variable("authorizer", library.AuthorizerType),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the CEL environment of policies: %w", err)
	}
	return set.StoredExpressionsEnv(), nil
}

func compile(env *cel.Env, text string, want *cel.Type) (*cel.Ast, cel.Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil, errors.New("the expression is empty")
	}
	ast, issues := env.Compile(text)
	if issues != nil && issues.Err() != nil {
		return nil, nil, fmt.Errorf("does not compile: %w", issues.Err())
	}
	got := ast.OutputType()
	if !want.IsExactType(cel.DynType) && !got.IsExactType(cel.DynType) && !got.IsExactType(want) {
		return nil, nil, fmt.Errorf("yields %s, want %s", got, want)
	}
	prog, err := env.Program(ast)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot be evaluated: %w", err)
	}
	return ast, prog, nil
}

// objectPath returns the longest chain of fields of object that an expression
// looks at: the place to show when it fails.
func objectPath(a *cel.Ast) string {
	longest := ""
	celast.PostOrderVisit(a.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if path, ok := chain(e); ok && len(path) > len(longest) {
			longest = path
		}
	}))
	return longest
}

// chain returns the path of object.a.b.
func chain(e celast.Expr) (string, bool) {
	switch e.Kind() {
	case celast.IdentKind:
		return "", e.AsIdent() == "object"
	case celast.SelectKind:
		prefix, ok := chain(e.AsSelect().Operand())
		return document.Key(prefix, e.AsSelect().FieldName()), ok
	case celast.CallKind, celast.ComprehensionKind, celast.ListKind, celast.LiteralKind,
		celast.MapKind, celast.StructKind, celast.UnspecifiedExprKind:
	}
	return "", false
}

// activation gives the expressions of a policy their variables.
type activation struct {
	policy   *policy
	review   *review
	params   *document.Node
	snapshot *cluster.Snapshot
	values   map[string]ref.Val // of variables.NAME, once evaluated
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation. request has what is known of the
// request; the user who asks is not.
func (a *activation) ResolveName(name string) (any, bool) {
	r := a.review
	switch name {
	case "object":
		return check.Value(r.root), true
	case "oldObject":
		return types.NullValue, true
	case "params":
		return check.Value(a.params), true
	case "namespaceObject":
		if ns := a.snapshot.Get("", "Namespace", "", r.ns); ns != nil {
			return check.Value(ns.Root), true
		}
		return types.NullValue, true
	case "variables":
		return variables{a}, true
	case "request":
		return map[string]any{
			"kind":      map[string]any{"group": r.res.group, "version": r.res.version, "kind": r.res.kind},
			"resource":  map[string]any{"group": r.res.group, "version": r.res.version, "resource": r.res.name},
			"name":      r.name,
			"namespace": r.ns,
			"operation": "CREATE",
			"dryRun":    false,
		}, true
	}
	return nil, false
}

// variables is the map of a policy's variables. Each is evaluated when it is
// first asked for, as the API server does; one may use those before it.
type variables struct{ a *activation }

// Get implements traits.Indexer.
func (v variables) Get(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key)
	}
	if known, ok := v.a.values[string(name)]; ok {
		return known
	}
	for _, e := range v.a.policy.variables {
		if e.name != string(name) {
			continue
		}
		if v.a.values == nil {
			v.a.values = map[string]ref.Val{}
		}
		// A variable that uses itself meets this instead of going round for ever.
		v.a.values[e.name] = types.NewErr("variable %q uses itself", e.name)
		out, _, err := e.prog.Eval(v.a)
		if err != nil {
			out = types.WrapErr(fmt.Errorf("variable %q: %w", e.name, err))
		}
		v.a.values[e.name] = out
		return out
	}
	return types.NewErr("no such variable: %s", name)
}

// ConvertToNative implements ref.Val.
func (v variables) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("the variables of a policy are no %v", t)
}

// ConvertToType implements ref.Val.
func (v variables) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("the variables of a policy are no %s", t.TypeName())
}

// Equal implements ref.Val.
func (v variables) Equal(ref.Val) ref.Val { return types.False }

// Type implements ref.Val. They are no map: one can look a name up, no more.
func (v variables) Type() ref.Type { return variablesType }

// Value implements ref.Val.
func (v variables) Value() any { return v }

var variablesType = cel.ObjectType("seawall.variables", traits.IndexerType) //nolint:gochecknoglobals // a constant
