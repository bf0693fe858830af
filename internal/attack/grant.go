package attack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// permission is what a request needs: any of the verbs on any of the resources
// of an API group.
type permission struct {
	verbs     []string
	group     string
	resources []string
}

// may makes a permission of verbs with commas between them.
func may(verbs, group string, resources ...string) permission {
	return permission{strings.Split(verbs, ","), group, resources}
}

// in returns what a rule gives of a permission, in words: create pods.
func (p *permission) in(r *rbac.Rule) (what string, ok bool) {
	for _, verb := range p.verbs {
		for _, resource := range p.resources {
			if r.Grants(verb, p.group, resource) {
				return verb + " " + resource, true
			}
		}
	}
	return "", false
}

// scope is a role where it is bound: in a namespace, or everywhere where that is
// empty.
type scope struct {
	role      *rbac.Role
	namespace string
}

// grant is a rule by which somebody holds a permission.
type grant struct {
	*bound // nil for what somebody would hold who came to be bound to the role
	rule   *rbac.Rule
	what   string
	// namespace is where it holds: everywhere if it is empty.
	namespace string
}

// String says what the grant gives whom.
func (g *grant) String() string { return g.by() + " " + g.what }

// by says who allows what to whom.
func (g *grant) by() string {
	switch {
	case g.bound != nil:
		return fmt.Sprintf("%s lets %s", g.Binding, g.subject)
	case g.rule.Origin == nil:
		return "it allows to"
	}
	return fmt.Sprintf("%s allows to", g.rule.Origin)
}

// evidence is where a grant stands: the subject in the binding, and the rule.
func (g *grant) evidence() []Evidence {
	if g.bound == nil {
		return ruleEvidence(nil, g.rule)
	}
	return ruleEvidence(subjectEvidence(g.Binding, g.at[0]), g.rule)
}

// evidenceOf is that for a decision.
func evidenceOf(by rbac.Grant) []Evidence {
	return ruleEvidence(subjectEvidence(by.Binding, slices.Index(by.Binding.Subjects, by.Subject)), by.Rule)
}

func subjectEvidence(binding *rbac.Binding, i int) []Evidence {
	if binding.Object == nil {
		return nil
	}
	path := "subjects"
	if i >= 0 {
		path = document.Index(path, i)
	}
	return []Evidence{{binding.Object, path}}
}

func ruleEvidence(out []Evidence, r *rbac.Rule) []Evidence {
	if r != nil && r.Origin != nil && r.Origin.Object != nil {
		out = append(out, Evidence{r.Origin.Object, document.Index("rules", r.Index)})
	}
	return out
}

// gain is what one rule of a role brings its holder to.
type gain struct {
	*Primitive
	to         int32
	rule       *rbac.Rule
	what       string
	conditions []Condition
	likelihood float64 // 0 for that of the primitive
	shared     bool    // another rule of the role leads there too
}

// ability is a permission that is enough by itself to come to something.
type ability struct {
	*Primitive
	permission
	likelihood float64 // 0 for that of the primitive
	// to is what it leads to in a namespace, in all where that is empty; -1 is
	// nothing.
	to func(b *builder, ns string) int32
	// named is what it leads to where it is restricted to an object: nil where a
	// request carries no name, so that such a rule gives nothing.
	named func(b *builder, ns, name string) []int32
	// cluster says that the objects stand in no namespace: only a
	// ClusterRoleBinding gives anything.
	cluster bool
	// until is the minor version from which on it is not enough any more.
	until int
	// when is what it rests on beside, and whether that may hold at all.
	when func(b *builder, ns string) ([]Condition, bool)
}

// prepare makes what bindings are judged by.
func (b *builder) prepare() {
	b.table, b.products = newTable(abilities(), partsOf()), b.market()
	b.own, b.narrowed = map[int32]*held{}, map[*rbac.Rule]int{}
	b.matched, b.gained, b.shared = map[*rbac.Role][]match{}, map[scope][]gain{}, map[stepKey]int32{}
	b.everything = &rbac.Role{Kind: rbac.ClusterRoleKind, Name: "cluster-admin", Rules: []*rbac.Rule{{
		Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"},
	}}}
}

// grants adds what the bindings of the cluster give.
func (b *builder) grants() {
	b.all(b.admin())
	for i, binding := range b.rbac.Bindings {
		if !b.gives(binding) {
			continue
		}
		gains := b.gains(scope{binding.Role, binding.Namespace})
		for _, x := range b.bound[i] {
			for _, g := range gains {
				b.edge(x.vertex, g.to, b.granted(&grant{bound: x, rule: g.rule, what: g.what, namespace: binding.Namespace}, &g))
			}
		}
	}
	b.combinations()
}

// all adds what cluster-admin includes.
func (b *builder) all(admin int32) {
	b.always(all, admin, b.insidePods(""))
	b.always(all, admin, b.podMaker(""))
	b.always(all, admin, b.secretsOf(""))
	b.always(all, admin, b.tokens(""))
	b.later(func() { b.always(all, admin, b.nodes()) })
}

// gives says whether a binding gives anything that is known. What it gives that
// is not known is noted.
func (b *builder) gives(binding *rbac.Binding) bool {
	switch {
	case binding.Malformed != "":
		b.unknown(fmt.Sprintf("what %s grants: it is malformed: %s", binding, binding.Malformed))
	case len(binding.Subjects) == 0:
	case binding.Role == nil:
		resource := "clusterroles"
		if binding.RoleKind == rbac.RoleKind {
			resource = "roles"
		}
		if !b.listed(resource) {
			b.unknown(fmt.Sprintf("what %s grants: %s is not among the objects", binding, binding.RoleRef()))
		}
	case binding.Role.Malformed != "":
		b.unknown(fmt.Sprintf("what %s grants: %s is malformed: %s", binding, binding.Role, binding.Role.Malformed))
	default:
		return true
	}
	return false
}

// gains is what a role leads to where it is bound, found once.
func (b *builder) gains(in scope) []gain {
	if out, ok := b.gained[in]; ok {
		return out
	}
	var out []gain
	if r := whole(in.role); r != nil && in.role != b.everything {
		out = []gain{{Primitive: wildcard, to: b.holder(scope{b.everything, in.namespace}), rule: r, what: "do everything"}}
	} else {
		for _, m := range b.matches(in.role) {
			if a := m.ability; a != nil {
				out = append(out, b.gain(a, &m, in.namespace)...)
			}
		}
		for _, f := range []func(*builder, scope) []gain{
			(*builder).configMaps, (*builder).customResources, (*builder).debugEndpoints,
		} {
			out = append(out, f(b, in)...)
		}
		out = best(out)
	}
	b.gained[in] = out
	return out
}

// whole returns a rule that grants all verbs on all resources of all groups.
func whole(r *rbac.Role) *rbac.Rule {
	for _, rule := range r.Rules {
		if rule.Unnamed() && rule.Grants("*", "*", "*") {
			return rule
		}
	}
	return nil
}

// gain is what a match leads to in a namespace.
func (b *builder) gain(a *ability, m *match, ns string) []gain {
	if a.cluster && ns != "" || a.until > 0 && b.minor() >= a.until {
		return nil
	}
	var conditions []Condition
	if a.when != nil {
		c, ok := a.when(b, ns)
		if !ok {
			return nil
		}
		conditions = c
	}
	var to []int32
	switch {
	case m.rule.Unnamed():
		to = []int32{a.to(b, ns)}
	case a.named != nil:
		for _, name := range m.rule.ResourceNames {
			to = append(to, a.named(b, ns, name)...)
		}
	}
	out := make([]gain, 0, len(to))
	for _, v := range to {
		if v >= 0 {
			out = append(out, gain{Primitive: a.Primitive, to: v, rule: m.rule, what: m.what, conditions: conditions, likelihood: a.likelihood})
		}
	}
	return out
}

// best leaves, of gains by the same primitive of the same thing, the likeliest.
func best(gains []gain) []gain {
	type key struct {
		*Primitive
		to int32
	}
	at := map[key]int{}
	out := gains[:0]
	for _, g := range gains {
		k := key{g.Primitive, g.to}
		i, ok := at[k]
		if ok && out[i].rule != g.rule {
			out[i].shared, g.shared = true, true
		}
		switch {
		case !ok:
			at[k] = len(out)
			out = append(out, g)
		case cmp.Or(g.likelihood, g.Likelihood) > cmp.Or(out[i].likelihood, out[i].Likelihood):
			out[i] = g
		}
	}
	return out
}

// holder is the place of whoever is bound to a role.
func (b *builder) holder(in scope) int32 {
	name := "role:" + in.role.Kind + "/" + in.role.Name
	if whole(in.role) != nil {
		if in.namespace == "" {
			return b.admin()
		}
		in.role, name = b.everything, "admin"
	}
	if v := b.have(Power, in.namespace, name); v >= 0 {
		return v
	}
	v := b.power(name, in.namespace)
	b.later(func() {
		for _, g := range b.gains(in) {
			b.edge(v, g.to, b.granted(&grant{rule: g.rule, what: g.what, namespace: in.namespace}, &g))
		}
		b.combine(v, b.ofRole(in))
	})
	return v
}

// granted is the step that a grant allows.
func (b *builder) granted(by *grant, g *gain) int32 {
	s := Step{Primitive: g.Primitive, Conditions: g.conditions, Likelihood: g.likelihood, Evidence: by.evidence(), Text: by.String()}
	if by.bound != nil {
		s.Changes = b.revoke(by.bound)
		if c, ok := b.narrow(by, g); ok {
			s.Changes = append(s.Changes, c)
		}
	}
	return b.step(s)
}

// narrow is the change that takes a rule out of its role, which all who are bound
// to it lose. It is not offered where the rule is not all that leads to the gain.
func (b *builder) narrow(by *grant, g *gain) (int, bool) {
	if g.shared || b.needed(by.bound) || by.rule.Origin == nil {
		return 0, false
	}
	c, ok := b.narrowed[by.rule]
	if !ok {
		c = b.removal(by.rule)
		b.narrowed[by.rule] = c
	}
	return c, c >= 0
}

// removal is the change that takes a rule out of its role, -1 for a role that
// Kubernetes fills itself.
func (b *builder) removal(r *rbac.Rule) int {
	role := r.Origin
	if role.Object == nil || role.Aggregated || rbac.SystemName(role.Name) || systemNamespace(role.Namespace) ||
		role.Object.Root.At("metadata", "labels", "kubernetes.io/bootstrapping") != nil {
		return -1
	}
	path := document.Index("rules", r.Index)
	return b.change(role.Object, path, Change{
		Text: fmt.Sprintf("remove the rule %s from %s", r, nameOfRole(role)), Cost: ruleCost,
		Ops: []seawall.PatchOp{{Op: "remove", Path: document.Pointer(path)}},
	})
}

// ruleCost is more than that of taking a binding from two subjects.
const ruleCost = 3

// nameOfRole names a role as bindings are named: Role shop/dev.
func nameOfRole(r *rbac.Role) string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// revoke is the changes that take a binding from a subject: the subject out of
// it, or the binding altogether. Nothing takes away what Kubernetes itself needs.
func (b *builder) revoke(x *bound) []int {
	if !x.judged {
		x.judged, x.changes = true, b.revocation(x)
	}
	return slices.Clone(x.changes)
}

func (b *builder) revocation(x *bound) []int {
	o := x.Object
	if o == nil || b.needed(x) {
		return nil
	}
	// Each place in the list is named by its index, the last first.
	var ops []seawall.PatchOp
	for _, i := range slices.Backward(x.at) {
		ops = append(ops, seawall.PatchOp{Op: "remove", Path: document.Pointer(document.Index("subjects", i))})
	}
	cost := 1
	if ns, _, ok := x.subject.Account(); ok && systemNamespace(ns) {
		cost = 3 // what a distribution runs there may rest on it
	}
	remove := Change{Text: fmt.Sprintf("delete %s", x.Binding), Cost: cost * len(x.Subjects)}
	if len(x.at) == len(x.Subjects) {
		return []int{b.change(o, "", remove)}
	}
	one := b.change(o, document.Index("subjects", x.at[0]), Change{
		Text: fmt.Sprintf("remove %s from %s", x.subject, x.Binding), Ops: ops, Cost: cost,
	})
	if ofKubernetes(x.Binding) {
		return []int{one} // its own subjects need it
	}
	return []int{one, b.change(o, "", remove)}
}

// needed says that a binding is one that Kubernetes makes, and the subject one
// that it makes it for.
func (b *builder) needed(x *bound) bool {
	if !ofKubernetes(x.Binding) {
		return x.subject.System() && rbac.SystemName(x.RoleName)
	}
	ns, _, account := x.subject.Account()
	return x.subject.System() || account && systemNamespace(ns)
}

// ofKubernetes says that a binding is one that Kubernetes makes itself.
func ofKubernetes(x *rbac.Binding) bool { return rbac.SystemName(x.Name) || x.Name == "cluster-admin" }
