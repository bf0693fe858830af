// Package vap reads ValidatingAdmissionPolicies with their bindings as checks,
// as they are: the same expressions judge files and live objects that the API
// server would judge on create (k8s.io/api/admissionregistration/v1), by the
// same rules (k8s.io/apiserver/pkg/admission/plugin/policy). What the API server
// knows and a scan cannot, who asks and what the authorizer allows them, is
// reported as not judged. It judges no updates and deletions.
package vap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"

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
	object        *cluster.Object
	constraints   constraints
	ignore        bool // failurePolicy: Ignore
	paramKind     groupKind
	conditions    []*code
	variables     []namedCode
	variablesType *apiservercel.DeclType
	validations   []validation
	annotations   []*code
	bindings      []binding
	rated         bool // an annotation says how bad a violation is

	// own are the objects beside the policy, which may be parameters, and
	// ownResources the kinds that they define.
	own          []*cluster.Object
	ownResources resources
}

type namedCode struct {
	name string
	*code
}

type validation struct {
	*code
	message string
	dynamic *code // messageExpression
}

// binding says where a policy is in effect.
type binding struct {
	constraints constraints
	params      *paramRef
	actions     []string
}

const group = "admissionregistration.k8s.io"

// Parse reads the policies in the files. Each becomes a rule whose ID is the
// policy's name; one without a binding is in effect nowhere, and so is reported
// as not evaluated. Other objects in the files serve as parameters.
func Parse(files []File) ([]*check.Rule, map[string]check.Func, error) {
	objects, err := readObjects(files)
	if err != nil {
		return nil, nil, err
	}
	var rules []*check.Rule
	funcs := map[string]check.Func{}
	defined := newResources(objects)
	for _, o := range objects {
		if o.Kind != "ValidatingAdmissionPolicy" || o.Group() != group {
			continue
		}
		p, err := parsePolicy(o)
		if err != nil {
			return nil, nil, err
		}
		if err := p.bind(objects); err != nil {
			return nil, nil, err
		}
		p.own, p.ownResources = objects, defined
		r := p.rule()
		rules = append(rules, r)
		if r.Func != "" {
			funcs[r.Func] = p.judge
		}
	}
	return rules, funcs, nil
}

func readObjects(files []File) ([]*cluster.Object, error) {
	var objects []*cluster.Object
	for _, f := range files {
		for _, d := range document.Parse(f.Text, document.Limits{}) {
			if d.Err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, d.Err)
			}
			objects = appendObjects(objects, f.Name, d.Root)
		}
	}
	return objects, nil
}

// appendObjects adds an object, or those of a List as kubectl writes it.
func appendObjects(objects []*cluster.Object, file string, root *document.Node) []*cluster.Object {
	o, ok := cluster.New(root)
	if !ok {
		return objects
	}
	if o.Kind == "List" && o.APIVersion == "v1" {
		for _, item := range root.Get("items").List() {
			objects = appendObjects(objects, file, item)
		}
		return objects
	}
	o.File = file
	return append(objects, o)
}

func parsePolicy(o *cluster.Object) (*policy, error) {
	spec := o.Root.Get("spec")
	if o.Root.At("metadata", "name").Str() == "" {
		return nil, wrap(o, "metadata", errors.New("the name is missing"))
	}
	p := &policy{object: o}
	kind := cluster.Object{Object: &seawall.Object{APIVersion: spec.At("paramKind", "apiVersion").Str()}}
	p.paramKind = groupKind{kind.Group(), spec.At("paramKind", "kind").Str()}
	var err error
	if p.constraints, err = parseConstraints(spec.Get("matchConstraints")); err == nil && len(p.constraints.include) == 0 {
		err = errors.New("resourceRules are missing: say which resources the policy is about")
	}
	if err != nil {
		return nil, wrap(o, "spec.matchConstraints", err)
	}
	switch action := spec.Get("failurePolicy").Str(); action {
	case "", "Fail":
	case "Ignore":
		p.ignore = true
	default:
		return nil, wrap(o, "spec.failurePolicy", fmt.Errorf("%q: want Fail or Ignore", action))
	}
	return p, p.compile(spec)
}

// compile compiles all expressions of a policy.
func (p *policy) compile(spec *document.Node) error {
	c, err := newCompiler(p.paramKind.kind != "")
	if err != nil {
		return err
	}
	p.variablesType = c.variables
	for i, n := range spec.Get("variables").List() {
		path := document.Index("spec.variables", i)
		name := n.Get("name").Str()
		if name == "" {
			return wrap(p.object, path, errors.New("the name is missing"))
		}
		out, err := c.variable(name, n.Get("expression").Str())
		if err != nil {
			return wrap(p.object, path+".expression", err)
		}
		p.variables = append(p.variables, namedCode{name, out})
	}
	if p.conditions, err = p.expressions(c, spec, "matchConditions", "expression", cel.BoolType); err != nil {
		return err
	}
	if p.annotations, err = p.expressions(c, spec, "auditAnnotations", "valueExpression", cel.StringType, cel.NullType); err != nil {
		return err
	}
	conditions, err := p.expressions(c, spec, "validations", "expression", cel.BoolType)
	if err != nil {
		return err
	}
	for i, n := range spec.Get("validations").List() {
		v := validation{code: conditions[i], message: strings.TrimSpace(n.Get("message").Str())}
		if text := n.Get("messageExpression").Str(); text != "" {
			if v.dynamic, _, err = c.compile(c.messages, text, cel.StringType); err != nil {
				return wrap(p.object, document.Index("spec.validations", i)+".messageExpression", err)
			}
		}
		p.validations = append(p.validations, v)
	}
	if len(p.validations)+len(p.annotations) == 0 {
		return wrap(p.object, "spec", errors.New("validations are missing"))
	}
	return nil
}

// expressions compiles the expressions in the items of a list.
func (p *policy) expressions(c *compiler, spec *document.Node, list, field string, want ...*cel.Type) ([]*code, error) {
	var out []*code
	for i, n := range spec.Get(list).List() {
		one, _, err := c.compile(c.env, n.Get(field).Str(), want...)
		if err != nil {
			return nil, wrap(p.object, document.Index("spec."+list, i)+"."+field, err)
		}
		out = append(out, one)
	}
	return out, nil
}

// wrap says where in which file a policy is wrong.
func wrap(o *cluster.Object, path string, err error) error {
	return fmt.Errorf("%s: %s %s: %s: %w", o.Locate(path), o.Kind, o.Name, path, err)
}

// bind finds the bindings of a policy.
func (p *policy) bind(objects []*cluster.Object) error {
	for _, o := range objects {
		spec := o.Root.Get("spec")
		if o.Kind != "ValidatingAdmissionPolicyBinding" || o.Group() != group || spec.Get("policyName").Str() != p.object.Name {
			continue
		}
		var b binding
		var err error
		if b.constraints, err = parseConstraints(spec.Get("matchResources")); err != nil {
			return wrap(o, "spec.matchResources", err)
		}
		if b.params, err = parseParamRef(spec.Get("paramRef")); err != nil {
			return wrap(o, "spec.paramRef", err)
		}
		for _, a := range spec.Get("validationActions").List() {
			if !slices.Contains([]string{"Deny", "Warn", "Audit"}, a.Str()) {
				return wrap(o, "spec.validationActions", fmt.Errorf("%q: want Deny, Warn or Audit", a.Str()))
			}
			b.actions = append(b.actions, a.Str())
		}
		if len(b.actions) == 0 {
			return wrap(o, "spec.validationActions", errors.New("it is missing: want Deny, Warn or Audit"))
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
		p.rated = true
		return s
	}
	for i := range p.bindings {
		if slices.Contains(p.bindings[i].actions, "Deny") {
			return seawall.High
		}
	}
	return seawall.Medium
}

// ruleID turns the name of a policy, in which dots may stand, into an ID.
func ruleID(name string) string { return strings.ReplaceAll(name, ".", "-") }
