package vap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/document"
)

// compiler compiles the expressions of one policy. The types are those of
// k8s.io/apiserver/pkg/admission/plugin/cel, so that what does not compile here
// does not there.
type compiler struct {
	env *cel.Env
	// messages is env without the authorizer.
	messages *cel.Env
	// variables is the type of the variable of that name; it grows as variables
	// are compiled, so that each sees those before it.
	variables *apiservercel.DeclType
	// paths are where in the object variables look.
	paths map[string]string
}

func newCompiler(hasParams bool) (*compiler, error) {
	c := &compiler{variables: apiservercel.NewObjectType("kubernetes.variables", map[string]*apiservercel.DeclField{}), paths: map[string]string{}}
	var err error
	if c.env, err = c.newEnv(hasParams, true); err == nil {
		c.messages, err = c.newEnv(hasParams, false)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the CEL environment of policies: %w", err)
	}
	return c, nil
}

func (c *compiler) newEnv(hasParams, hasAuthorizer bool) (*cel.Env, error) {
	request, namespace := requestType(), namespaceType()
	opts := []cel.EnvOption{
		cel.Variable("object", cel.DynType),
		cel.Variable("oldObject", cel.DynType),
		cel.Variable("namespaceObject", namespace.CelType()),
		cel.Variable("request", request.CelType()),
		cel.Variable("variables", c.variables.CelType()),
	}
	if hasParams {
		opts = append(opts, cel.Variable("params", cel.DynType))
	}
	if hasAuthorizer {
		opts = append(opts, cel.Variable("authorizer", library.AuthorizerType),
			cel.Variable("authorizer.requestResource", library.ResourceCheckType))
	}
	set, err := environment.MustBaseEnvSet(version.MajorMinor(1, check.NewestMinor)).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        opts,
		DeclTypes:         []*apiservercel.DeclType{namespace, request, c.variables},
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what it was for
	}
	return set.StoredExpressionsEnv(), nil
}

// code is a compiled expression.
type code struct {
	text string
	prog cel.Program
	// path is the longest chain of fields of the object that the expression looks
	// at: the place to show when it fails.
	path string
}

// compile compiles an expression that yields one of some types; none is any.
func (c *compiler) compile(env *cel.Env, text string, want ...*cel.Type) (*code, *cel.Type, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil, errors.New("the expression is empty")
	}
	ast, issues := env.Compile(text)
	if issues != nil && issues.Err() != nil {
		return nil, nil, fmt.Errorf("does not compile: %w", issues.Err())
	}
	got := ast.OutputType()
	ok := len(want) == 0
	for _, w := range want {
		ok = ok || got.IsExactType(w)
	}
	if !ok {
		return nil, nil, fmt.Errorf("must evaluate to %s but got %s: compare it, or convert it with %s(...)", want[0], got, want[0])
	}
	prog, err := env.Program(ast)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot be evaluated: %w", err)
	}
	return &code{text: strings.TrimSpace(text), prog: prog, path: c.objectPath(ast)}, got, nil
}

// variable compiles a variable and lets later expressions use it.
func (c *compiler) variable(name, text string) (*code, error) {
	out, typ, err := c.compile(c.env, text)
	if err != nil {
		return nil, err
	}
	c.variables.Fields[name] = apiservercel.NewDeclField(name, declType(typ), true, nil, nil)
	c.paths[name] = out.path
	return out, nil
}

// declType returns a type as declarations have it, as the API server converts
// the types of variables.
func declType(t *cel.Type) *apiservercel.DeclType {
	for _, simple := range [...]*apiservercel.DeclType{
		apiservercel.AnyType, apiservercel.BoolType, apiservercel.BytesType, apiservercel.DoubleType,
		apiservercel.DurationType, apiservercel.IntType, apiservercel.NullType, apiservercel.StringType,
		apiservercel.TimestampType, apiservercel.UintType,
	} {
		if t == simple.CelType() {
			return simple
		}
	}
	if t.HasTrait(traits.ContainerType) && t.HasTrait(traits.IndexerType) {
		switch p := t.Parameters(); len(p) {
		case 1:
			return apiservercel.NewListType(declType(p[0]), -1)
		case 2:
			return apiservercel.NewMapType(declType(p[0]), declType(p[1]), -1)
		}
	}
	return apiservercel.DynType
}

func (c *compiler) objectPath(a *cel.Ast) string {
	longest, steps := "", 0
	celast.PostOrderVisit(a.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		path, ok := c.chain(e)
		if n := 1 + strings.Count(path, "."); ok && path != "" && n > steps {
			longest, steps = path, n
		}
	}))
	return longest
}

// chain returns the path of object.a.b, of object.?a.b, and of what a variable
// looks at.
func (c *compiler) chain(e celast.Expr) (path string, ok bool) {
	switch e.Kind() {
	case celast.IdentKind:
		return "", e.AsIdent() == "object"
	case celast.SelectKind:
		of, field := e.AsSelect().Operand(), e.AsSelect().FieldName()
		if of.Kind() == celast.IdentKind && of.AsIdent() == "variables" {
			path, ok = c.paths[field]
			return path, ok
		}
		path, ok = c.chain(of)
		return document.Key(path, field), ok
	case celast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.OptSelect || len(call.Args()) != 2 || call.Args()[1].Kind() != celast.LiteralKind {
			return "", false
		}
		field, isString := call.Args()[1].AsLiteral().Value().(string)
		path, ok = c.chain(call.Args()[0])
		return document.Key(path, field), ok && isString
	case celast.ComprehensionKind, celast.ListKind, celast.LiteralKind,
		celast.MapKind, celast.StructKind, celast.UnspecifiedExprKind:
	}
	return "", false
}

// fields makes the fields of a type, all present.
func fields(types map[string]*apiservercel.DeclType) map[string]*apiservercel.DeclField {
	out := make(map[string]*apiservercel.DeclField, len(types))
	for name, t := range types {
		out[name] = apiservercel.NewDeclField(name, t, true, nil, nil)
	}
	return out
}

// requestType is the type of request.
func requestType() *apiservercel.DeclType {
	text := apiservercel.StringType
	texts := apiservercel.NewListType(text, -1)
	kind := apiservercel.NewObjectType("kubernetes.GroupVersionKind",
		fields(map[string]*apiservercel.DeclType{"group": text, "version": text, "kind": text}))
	res := apiservercel.NewObjectType("kubernetes.GroupVersionResource",
		fields(map[string]*apiservercel.DeclType{"group": text, "version": text, "resource": text}))
	user := apiservercel.NewObjectType("kubernetes.UserInfo", fields(map[string]*apiservercel.DeclType{
		"username": text, "uid": text, "groups": texts, "extra": apiservercel.NewMapType(text, texts, -1),
	}))
	return apiservercel.NewObjectType("kubernetes.AdmissionRequest", fields(map[string]*apiservercel.DeclType{
		"kind": kind, "resource": res, "subResource": text,
		"requestKind": kind, "requestResource": res, "requestSubResource": text,
		"name": text, "namespace": text, "operation": text, "userInfo": user,
		"dryRun": apiservercel.BoolType, "options": apiservercel.DynType,
	}))
}

// namespaceType is the type of namespaceObject.
func namespaceType() *apiservercel.DeclType {
	text, when := apiservercel.StringType, apiservercel.TimestampType
	texts := apiservercel.NewListType(text, -1)
	labels := apiservercel.NewMapType(text, text, -1)
	condition := apiservercel.NewObjectType("kubernetes.NamespaceCondition", fields(map[string]*apiservercel.DeclType{
		"status": text, "type": text, "lastTransitionTime": when, "message": text, "reason": text,
	}))
	return apiservercel.NewObjectType("kubernetes.Namespace", fields(map[string]*apiservercel.DeclType{
		"metadata": apiservercel.NewObjectType("kubernetes.NamespaceMetadata", fields(map[string]*apiservercel.DeclType{
			"name": text, "generateName": text, "namespace": text, "labels": labels, "annotations": labels, "UID": text,
			"creationTimestamp": when, "deletionGracePeriodSeconds": apiservercel.IntType, "deletionTimestamp": when,
			"generation": apiservercel.IntType, "resourceVersion": text, "finalizers": texts,
		})),
		"spec": apiservercel.NewObjectType("kubernetes.NamespaceSpec", fields(map[string]*apiservercel.DeclType{"finalizers": texts})),
		"status": apiservercel.NewObjectType("kubernetes.NamespaceStatus", fields(map[string]*apiservercel.DeclType{
			"conditions": apiservercel.NewListType(condition, -1), "phase": text,
		})),
	}))
}
