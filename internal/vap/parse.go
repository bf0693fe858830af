// Package vap reads ValidatingAdmissionPolicies with their bindings as checks,
// as they are: the same expressions judge files and live objects that the API
// server would judge on create (k8s.io/api/admissionregistration/v1). What the
// API server knows and a scan cannot, who asks and what may the authorizer
// allow, is reported as not judged.
package vap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// File is a YAML or JSON text that may hold policies, bindings and parameters.
type File struct {
	Name string
	Text []byte
}

// policy is one ValidatingAdmissionPolicy with its bindings.
type policy struct {
	object      *cluster.Object
	constraints constraints
	paramKind   *document.Node
	conditions  []expression
	variables   []expression
	validations []validation
	bindings    []binding
}

// expression is a named CEL expression.
type expression struct {
	name string
	prog cel.Program
}

type validation struct {
	text    string
	prog    cel.Program
	message string
	dynamic cel.Program // messageExpression
	path    string      // of the value that the expression looks at
}

// binding says where a policy is in effect.
type binding struct {
	constraints constraints
	paramRef    *document.Node
	actions     []string
}

// Parse reads the policies in the files. Each becomes a rule whose ID is the
// policy's name; one without a binding is in effect nowhere, and so is reported
// as not evaluated. Other objects in the files serve as parameters.
func Parse(files []File) ([]*check.Rule, map[string]check.Func, error) {
	var objects []*cluster.Object
	for _, f := range files {
		for _, d := range document.Parse(f.Text, document.Limits{}) {
			if d.Err != nil {
				return nil, nil, fmt.Errorf("%s: %w", f.Name, d.Err)
			}
			if o, ok := cluster.New(d.Root); ok {
				o.File = f.Name
				objects = append(objects, o)
			}
		}
	}
	env, err := newEnv()
	if err != nil {
		return nil, nil, err
	}
	var rules []*check.Rule
	funcs := map[string]check.Func{}
	for _, o := range objects {
		if o.Kind != "ValidatingAdmissionPolicy" || o.Group() != "admissionregistration.k8s.io" {
			continue
		}
		p, err := parsePolicy(env, o)
		if err != nil {
			return nil, nil, err
		}
		if err := p.bind(objects); err != nil {
			return nil, nil, err
		}
		r := p.rule()
		rules = append(rules, r)
		if r.Func != "" {
			funcs[r.Func] = func(in *check.Input) { p.judge(in, objects) }
		}
	}
	return rules, funcs, nil
}

func parsePolicy(env *cel.Env, o *cluster.Object) (*policy, error) {
	spec := o.Root.Get("spec")
	p := &policy{object: o, paramKind: spec.Get("paramKind")}
	var err error
	if p.constraints, err = parseConstraints(spec.Get("matchConstraints")); err != nil {
		return nil, wrap(o, "spec.matchConstraints", err)
	}
	if p.conditions, err = parseExpressions(env, o, "spec.matchConditions", cel.BoolType); err != nil {
		return nil, err
	}
	if p.variables, err = parseExpressions(env, o, "spec.variables", cel.DynType); err != nil {
		return nil, err
	}
	for i, n := range spec.Get("validations").List() {
		path := document.Index("spec.validations", i)
		v := validation{text: n.Get("expression").Str(), message: n.Get("message").Str()}
		ast, prog, err := compile(env, v.text, cel.BoolType)
		if err != nil {
			return nil, wrap(o, path+".expression", err)
		}
		v.prog, v.path = prog, objectPath(ast)
		if text := n.Get("messageExpression").Str(); text != "" {
			if _, v.dynamic, err = compile(env, text, cel.StringType); err != nil {
				return nil, wrap(o, path+".messageExpression", err)
			}
		}
		p.validations = append(p.validations, v)
	}
	return p, nil
}

// wrap says where in which file a policy is wrong.
func wrap(o *cluster.Object, path string, err error) error {
	return fmt.Errorf("%s: %s %s: %s: %w", o.Locate(path), o.Kind, o.Name, path, err)
}

func parseExpressions(env *cel.Env, o *cluster.Object, path string, want *cel.Type) ([]expression, error) {
	list, _ := o.Root.Find(path)
	var out []expression
	for i, n := range list.List() {
		_, prog, err := compile(env, n.Get("expression").Str(), want)
		if err != nil {
			return nil, wrap(o, document.Index(path, i)+".expression", err)
		}
		out = append(out, expression{n.Get("name").Str(), prog})
	}
	return out, nil
}

// bind finds the bindings of a policy.
func (p *policy) bind(objects []*cluster.Object) error {
	for _, o := range objects {
		spec := o.Root.Get("spec")
		if o.Kind != "ValidatingAdmissionPolicyBinding" || spec.Get("policyName").Str() != p.object.Name {
			continue
		}
		b := binding{paramRef: spec.Get("paramRef")}
		var err error
		if b.constraints, err = parseConstraints(spec.Get("matchResources")); err != nil {
			return wrap(o, "spec.matchResources", err)
		}
		for _, a := range spec.Get("validationActions").List() {
			b.actions = append(b.actions, a.Str())
		}
		p.bindings = append(p.bindings, b)
	}
	return nil
}

// severityAnnotation lets a policy say how bad a violation is.
const severityAnnotation = "seawall.io/severity"

// rule describes the policy as a check.
func (p *policy) rule() *check.Rule {
	r := &check.Rule{
		ID: ruleID(p.object.Name), Topic: "policy", File: p.object.File,
		Title:    "Object violates the policy " + p.object.Name,
		Why:      p.object.Annotation("kubernetes.io/description"),
		Fix:      "Change the object so that it meets the policy " + p.object.Name + ".",
		Severity: p.severity(),
		Phase:    seawall.Deploy, Layer: seawall.ClusterLayer,
		Match: p.constraints.kinds(),
	}
	if r.Why == "" {
		r.Why = "The API server refuses, or warns of, objects that violate this policy."
	}
	if len(p.bindings) == 0 {
		r.Needs = "a ValidatingAdmissionPolicyBinding for the policy " + p.object.Name
		return r
	}
	r.Func = "policy:" + p.object.Name
	return r
}

// severity is high where a binding denies, medium where all only warn or audit.
func (p *policy) severity() seawall.Severity {
	if s, err := seawall.ParseSeverity(p.object.Annotation(severityAnnotation)); err == nil && s != seawall.None {
		return s
	}
	for _, b := range p.bindings {
		if slices.Contains(b.actions, "Deny") {
			return seawall.High
		}
	}
	return seawall.Medium
}

// ruleID turns the name of a policy, in which dots may stand, into an ID.
func ruleID(name string) string { return strings.ReplaceAll(name, ".", "-") }
