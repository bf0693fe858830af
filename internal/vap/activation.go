package vap

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/lazy"

	"seawall.io/seawall/internal/document"
)

// The budgets of the API server (k8s.io/apiserver/pkg/apis/cel): for all
// validations of a policy, and for all its match conditions. The limit of a
// single expression is in the environment.
const (
	budget          = 10_000_000
	conditionBudget = 2_500_000
)

var errBudget = errors.New("validation failed due to running out of cost budget, no further validation rules will be run")

// activation gives expressions their variables, for one pass over the match
// conditions or validations of a policy.
type activation struct {
	verdict *verdict
	params  *document.Node
	budget  int64
	// noNamespace hides namespaceObject, as the API server does in match
	// conditions.
	noNamespace bool
	// hidden is set once an expression has asked for something that a scan cannot
	// know: what it is.
	hidden string

	object, request, namespace, variables any
}

func newActivation(v *verdict, params *document.Node, left int64) *activation {
	a := &activation{verdict: v, params: params, budget: left}
	known := lazy.NewMapValue(v.policy.variablesType)
	for _, e := range v.policy.variables {
		known.Append(e.name, func(*lazy.MapValue) ref.Val { return a.variable(e) })
	}
	a.variables = known
	return a
}

// eval evaluates an expression and takes its cost from the budget.
func (a *activation) eval(c *code) (ref.Val, error) {
	out, details, err := c.prog.Eval(a)
	if details == nil || details.ActualCost() == nil {
		return nil, fmt.Errorf("its cost could not be calculated: %w", cmpErr(err))
	}
	cost := *details.ActualCost()
	if a.budget < 0 || cost > uint64(a.budget) {
		return nil, errBudget
	}
	a.budget -= int64(cost) //nolint:gosec // not above the budget
	return out, err         //nolint:wrapcheck // the callers say what was judged
}

func cmpErr(err error) error {
	if err == nil {
		return errBudget
	}
	return err
}

// variable evaluates a variable, when an expression first asks for it.
func (a *activation) variable(e namedCode) ref.Val {
	out, err := a.eval(e.code)
	if err != nil {
		return types.WrapErr(fmt.Errorf("composited variable %q fails to evaluate: %w", e.name, err))
	}
	return out
}

// hide answers for something that a scan cannot know.
func (a *activation) hide(what string) ref.Val {
	a.hidden = what
	return types.NewErr("%s", what)
}

const (
	hiddenUser    = "it depends on who asks, which a scan cannot know"
	hiddenOptions = "it depends on the options of the request, which a scan cannot know"
)

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "object":
		if a.object == nil {
			a.object = types.DefaultTypeAdapter.NativeToValue(a.verdict.review.shown(a.verdict.version))
		}
		return a.object, true
	case "oldObject":
		return types.NullValue, true
	case "params":
		if a.params == nil {
			return types.NullValue, true
		}
		return types.DefaultTypeAdapter.NativeToValue(withoutNulls(a.params)), true
	case "namespaceObject":
		if a.namespace == nil {
			a.namespace = a.namespaceObject()
		}
		return a.namespace, true
	case "request":
		if a.request == nil {
			a.request = a.newRequest()
		}
		return a.request, true
	case "variables":
		return a.variables, true
	case "authorizer", "authorizer.requestResource":
		return a.hide(hiddenUser), true
	}
	return nil, false
}

func (a *activation) newRequest() ref.Val {
	r, version := a.verdict.review, a.verdict.version
	kind := func(version string) object {
		return object{"group": r.res.group, "version": version, "kind": r.res.kind}
	}
	res := func(version string) object {
		return object{"group": r.res.group, "version": version, "resource": r.res.name}
	}
	known := object{
		"kind": kind(version), "resource": res(version), "requestKind": kind(r.res.version), "requestResource": res(r.res.version),
		"operation": "CREATE", "dryRun": false,
	}
	out := lazy.NewMapValue(requestType())
	for name, v := range known {
		out.Append(name, func(*lazy.MapValue) ref.Val { return types.DefaultTypeAdapter.NativeToValue(v) })
	}
	// What is empty is absent, as in JSON.
	for name, v := range map[string]string{"name": r.name, "namespace": r.ns} {
		if v != "" {
			out.Append(name, func(*lazy.MapValue) ref.Val { return types.String(v) })
		}
	}
	out.Append("userInfo", func(*lazy.MapValue) ref.Val { return a.hide(hiddenUser) })
	out.Append("options", func(*lazy.MapValue) ref.Val { return a.hide(hiddenOptions) })
	return out
}

// namespaceObject is the namespace of the object: null where it has none. Of
// one that is not among what is scanned only the name is known.
func (a *activation) namespaceObject() any {
	r := a.verdict.review
	if !r.res.namespaced || a.noNamespace {
		return types.NullValue
	}
	if ns := a.verdict.in.Snapshot.Get("", "Namespace", "", r.ns); ns != nil {
		return types.DefaultTypeAdapter.NativeToValue(servedNamespace(ns))
	}
	hide := func(*lazy.MapValue) ref.Val {
		return a.hide(fmt.Sprintf("it looks at the Namespace %s, which is not among what is scanned: add it", r.ns))
	}
	meta := lazy.NewMapValue(apiservercel.NewObjectType("kubernetes.NamespaceMetadata", nil))
	meta.Append("name", func(*lazy.MapValue) ref.Val { return types.String(r.ns) })
	for _, field := range [...]string{"labels", "annotations", "finalizers", "resourceVersion", "creationTimestamp", "generation"} {
		meta.Append(field, hide)
	}
	out := lazy.NewMapValue(namespaceType())
	out.Append("metadata", func(*lazy.MapValue) ref.Val { return meta })
	out.Append("spec", hide)
	out.Append("status", hide)
	return out
}
