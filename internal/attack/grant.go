package attack

import (
	"fmt"
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// gain is what one rule of a role brings its holder to.
type gain struct {
	*Primitive
	to         int32
	rule       *rbac.Rule
	conditions []Condition
	likelihood float64 // 0 for that of the primitive
}

// scope is a role where it is bound: in a namespace, or everywhere where that is
// empty.
type scope struct {
	role      *rbac.Role
	namespace string
}

// gainers each know one or some primitives that a single rule is enough for.
// What needs several permissions together is in combined.go.
var gainers = []func(*builder, scope) []gain{
	(*builder).everything,
	(*builder).secrets,
	(*builder).makePods,
}

// grants adds what the bindings of the cluster give.
func (b *builder) grants() {
	known := map[scope][]gain{}
	for _, binding := range b.rbac.Bindings {
		if binding.Role == nil || len(binding.Subjects) == 0 {
			continue
		}
		sc := scope{binding.Role, binding.Namespace}
		gains, ok := known[sc]
		if !ok {
			for _, f := range gainers {
				gains = append(gains, f(b, sc)...)
			}
			known[sc] = gains
		}
		for _, s := range binding.Subjects {
			who := b.subject(s)
			if who < 0 {
				continue
			}
			for _, g := range gains {
				b.edge(who, g.to, b.granted(rbac.Grant{Binding: binding, Role: binding.Role, Rule: g.rule, Subject: s}, g))
			}
		}
	}
}

// granted is the step that a grant allows.
func (b *builder) granted(by rbac.Grant, g gain) int32 {
	s := Step{
		Primitive: g.Primitive, Conditions: g.conditions, Likelihood: g.likelihood,
		Evidence: evidenceOf(by), Changes: b.revoke(by),
		Text: fmt.Sprintf("%s lets %s %s", by.Binding, nameOfSubject(by.Subject), by.Rule),
	}
	return b.step(s)
}

// evidenceOf is where a grant stands: the subject in the binding, and the rule.
func evidenceOf(by rbac.Grant) []Evidence {
	var out []Evidence
	if by.Binding.Object != nil {
		path := "subjects"
		if i := subjectIndex(by.Binding.Object.Root, by.Subject); i >= 0 {
			path = document.Index(path, i)
		}
		out = append(out, Evidence{by.Binding.Object, path})
	}
	if by.Rule != nil && by.Rule.Origin != nil && by.Rule.Origin.Object != nil {
		out = append(out, Evidence{by.Rule.Origin.Object, document.Index("rules", by.Rule.Index)})
	}
	return out
}

func nameOfSubject(s rbac.Subject) string {
	if s.Namespace != "" {
		return s.Kind + " " + s.Namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

// subjectIndex is the place of a subject in a binding's list, -1 if it is not
// there as such.
func subjectIndex(root *document.Node, s rbac.Subject) int {
	return slices.IndexFunc(root.At("subjects").List(), func(n *document.Node) bool {
		return n.At("kind").Str() == s.Kind && n.At("name").Str() == s.Name &&
			(n.At("namespace").Str() == s.Namespace || n.IsNull())
	})
}

// revoke is the changes that take a grant away: the subject out of the binding,
// or the binding altogether. Nothing takes away what Kubernetes itself needs.
func (b *builder) revoke(by rbac.Grant) []int {
	o := by.Binding.Object
	if o == nil || rbac.SystemName(o.Name) && rbac.SystemName(by.Subject.Name) {
		return nil
	}
	if n := len(by.Binding.Subjects); n > 1 {
		i := subjectIndex(o.Root, by.Subject)
		if i < 0 {
			return nil
		}
		path := document.Index("subjects", i)
		return []int{
			b.change(o, path, Change{
				Text: fmt.Sprintf("remove %s from %s", nameOfSubject(by.Subject), by.Binding),
				Ops:  []seawall.PatchOp{{Op: "remove", Path: document.Pointer(path)}},
			}),
			b.change(o, "", Change{Text: fmt.Sprintf("delete %s", by.Binding), Cost: n}),
		}
	}
	return []int{b.change(o, "", Change{Text: fmt.Sprintf("delete %s", by.Binding)})}
}

// everything is P01: a rule that grants all verbs on all resources of all groups.
func (b *builder) everything(in scope) []gain {
	for _, r := range in.role.Rules {
		if !r.Grants("*", "*", "*") || !r.Unnamed() {
			continue
		}
		if in.namespace == "" {
			return []gain{{Primitive: wildcard, to: b.admin(), rule: r}}
		}
		return []gain{{Primitive: wildcard, to: b.namespaceAdmin(in.namespace), rule: r}}
	}
	return nil
}

// namespaceAdmin is everything in one namespace.
func (b *builder) namespaceAdmin(ns string) int32 {
	v := b.power("admin", ns)
	b.always(within, v, b.podMaker(ns))
	b.always(within, v, b.secretsOf(ns))
	return v
}

// secrets is P12.
func (b *builder) secrets(in scope) []gain {
	var out []gain
	for _, r := range in.role.Rules {
		if !r.Grants("get", "", "secrets") && !r.Grants("list", "", "secrets") && !r.Grants("watch", "", "secrets") {
			continue
		}
		if r.Unnamed() {
			if r.Grants("list", "", "secrets") || r.Grants("watch", "", "secrets") {
				out = append(out, gain{Primitive: readSecrets, to: b.secretsOf(in.namespace), rule: r})
			}
			continue
		}
		for _, o := range b.snap.Kind("Secret") {
			if ns := or(o.Namespace, "default"); r.Named(o.Name) && (in.namespace == "" || in.namespace == ns) {
				out = append(out, gain{Primitive: readSecrets, to: b.vertex(Secret, ns, o.Name), rule: r})
			}
		}
	}
	return out
}

// makePods is P02.
func (b *builder) makePods(in scope) []gain {
	for _, r := range in.role.Rules {
		if r.Unnamed() && r.Grants("create", "", "pods") {
			return []gain{{Primitive: createPod, to: b.podMaker(in.namespace), rule: r}}
		}
	}
	return nil
}
