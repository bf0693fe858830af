package vap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// review is one object as the API server would be asked to admit it.
type review struct {
	object *cluster.Object // what findings are about
	root   *document.Node  // what is judged: the object, or the pod it makes
	path   string          // from object to root
	res    resource
	name   string
	ns     string
}

// judge judges all objects by the policy. Pods that a workload will make are
// judged with the workload.
func (p *policy) judge(in *check.Input, own []*cluster.Object) {
	for _, o := range in.Snapshot.Objects {
		if in.Snapshot.Controller(o) != nil {
			continue
		}
		p.judgeReview(in, own, newReview(in.Snapshot, o))
		for _, t := range cluster.PodTemplates(o) {
			if t.Path != "" || o.Kind != "Pod" {
				p.judgeReview(in, own, podReview(o, &t))
			}
		}
	}
}

func newReview(s *cluster.Snapshot, o *cluster.Object) *review {
	r := &review{object: o, root: o.Root, res: resourceOf(s, o), name: o.Name, ns: o.Namespace}
	if r.res.namespaced && r.ns == "" {
		r.ns = "default"
	}
	return r
}

// podReview makes the pod that a template will become.
func podReview(o *cluster.Object, t *cluster.PodTemplate) *review {
	str := func(s string) *document.Node { return &document.Node{Kind: document.String, Text: s} }
	meta := &document.Node{Kind: document.Map, Fields: []document.Field{
		{Key: "namespace", Value: str(t.Namespace())},
		{Key: "generateName", Value: str(o.Name + "-")},
	}}
	for _, f := range t.Root.Get("metadata").Map() {
		if f.Key != "namespace" {
			meta.Fields = append(meta.Fields, f)
		}
	}
	root := &document.Node{Kind: document.Map, Fields: []document.Field{
		{Key: "apiVersion", Value: str("v1")}, {Key: "kind", Value: str("Pod")},
		{Key: "metadata", Value: meta}, {Key: "spec", Value: t.Spec()},
	}}
	path := strings.TrimSuffix(strings.TrimSuffix(t.SpecPath, "spec"), ".")
	return &review{object: o, root: root, path: path, res: builtin[0], ns: t.Namespace()}
}

func (p *policy) judgeReview(in *check.Input, own []*cluster.Object, r *review) {
	if !p.constraints.resources(r.res, r.name) {
		return
	}
	for i := range p.bindings {
		b := &p.bindings[i]
		if !b.constraints.resources(r.res, r.name) {
			continue
		}
		applies, reason := r.selected(in.Snapshot, &p.constraints)
		if applies && reason == "" {
			applies, reason = r.selected(in.Snapshot, &b.constraints)
		}
		if reason != "" {
			in.Unknown(r.object, reason)
			return
		}
		if !applies {
			continue
		}
		params, reason := p.params(in.Snapshot, own, b, r)
		if reason != "" {
			in.Unknown(r.object, reason)
			continue
		}
		for _, param := range params {
			p.evaluate(in, b, r, param)
		}
	}
}

const nameLabel = "kubernetes.io/metadata.name"

// selected says whether the selectors of constraints choose the object. reason
// is set where that cannot be known.
func (r *review) selected(s *cluster.Snapshot, c *constraints) (yes bool, reason string) {
	if c.byLabels && !c.objects.Matches(r.root.At("metadata", "labels")) {
		return false, ""
	}
	if !c.byNamespace || c.namespaces.Everything() {
		return true, ""
	}
	if r.res.kind == "Namespace" && r.res.group == "" {
		return c.namespaces.Matches(r.root.At("metadata", "labels")), ""
	}
	if !r.res.namespaced {
		return true, ""
	}
	if ns := s.Get("", "Namespace", "", r.ns); ns != nil {
		return c.namespaces.Matches(withName(ns.Root.At("metadata", "labels"), r.ns)), ""
	}
	if slices.ContainsFunc(c.namespaceKeys, func(k string) bool { return k != nameLabel }) {
		return false, fmt.Sprintf("the policy selects namespaces by labels, and the namespace %s is not among what is scanned: add it", r.ns)
	}
	return c.namespaces.Matches(withName(nil, r.ns)), ""
}

// withName adds the label that the API server gives every namespace.
func withName(labels *document.Node, name string) *document.Node {
	out := &document.Node{Kind: document.Map, Fields: []document.Field{
		{Key: nameLabel, Value: &document.Node{Kind: document.String, Text: name}},
	}}
	for _, f := range labels.Map() {
		if f.Key != nameLabel {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// params returns the parameters that a binding refers to: one nil where it
// refers to none.
func (p *policy) params(s *cluster.Snapshot, own []*cluster.Object, b *binding, r *review) (list []*document.Node, reason string) {
	if p.paramKind.IsNull() || b.paramRef.IsNull() {
		return []*document.Node{nil}, ""
	}
	apiVersion, kind := p.paramKind.Get("apiVersion").Str(), p.paramKind.Get("kind").Str()
	selector, err := cluster.LabelSelector(b.paramRef.Get("selector"))
	if err != nil {
		return nil, fmt.Sprintf("paramRef.selector: %v", err)
	}
	name, ns := b.paramRef.Get("name").Str(), b.paramRef.Get("namespace").Str()
	for _, o := range slices.Concat(own, s.Kind(kind)) {
		if o.APIVersion != apiVersion || o.Kind != kind {
			continue
		}
		if o.Namespace != "" && o.Namespace != ns && (ns != "" || o.Namespace != r.ns) {
			continue
		}
		if o.Name == name || (name == "" && selector.Matches(o.Root.At("metadata", "labels"))) {
			list = append(list, o.Root)
		}
	}
	if len(list) == 0 && b.paramRef.Get("parameterNotFoundAction").Str() != "Allow" {
		return nil, fmt.Sprintf("the parameters of the policy, %s %s, are not among what is scanned: add them to the folder of checks", kind, name)
	}
	return list, ""
}

// evaluate judges one object with one set of parameters.
func (p *policy) evaluate(in *check.Input, b *binding, r *review, params *document.Node) {
	act := &activation{policy: p, review: r, params: params, snapshot: in.Snapshot}
	for _, c := range p.conditions {
		v, err := eval(c.prog, act)
		if err != nil {
			in.Unknown(r.object, fmt.Sprintf("match condition %s could not be judged: %v", c.name, err))
			return
		}
		if v != types.True {
			return
		}
	}
	for i := range p.validations {
		val := &p.validations[i]
		v, err := eval(val.prog, act)
		if err != nil {
			in.Unknown(r.object, fmt.Sprintf("policy %s could not be judged: %v", p.object.Name, err))
			continue
		}
		if v == types.True {
			continue
		}
		path := val.path
		if r.path != "" && path != "" {
			path = r.path + "." + path
		}
		in.Report(check.Hit{
			Object: r.object, Path: path, Message: val.describe(act) + consequence(b),
			Cause: fmt.Sprintf("%d %s", i, r.path),
		})
	}
}

// consequence says what the API server does, where it does not deny.
func consequence(b *binding) string {
	if len(b.actions) == 0 || slices.Contains(b.actions, "Deny") {
		return ""
	}
	return " (the API server admits it: " + strings.ToLower(strings.Join(b.actions, ", ")) + " only)"
}

func (v *validation) describe(act *activation) string {
	if v.dynamic != nil {
		if out, err := eval(v.dynamic, act); err == nil {
			if s, ok := out.(types.String); ok && strings.TrimSpace(string(s)) != "" {
				return string(s)
			}
		}
	}
	if v.message != "" {
		return v.message
	}
	return "failed expression: " + v.text
}

func eval(prog cel.Program, act *activation) (ref.Val, error) {
	v, _, err := prog.Eval(act)
	return v, err //nolint:wrapcheck // the callers say what was judged
}
