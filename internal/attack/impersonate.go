package attack

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/rbac"
)

// impersonation is P20 with groups, which a request names beside a user or an
// account and never alone.
func (b *builder) impersonation(v int32, h *holdings) {
	group := h.all("", actsAsGroup)
	who := append(h.in("", actsAsUser, whatever), h.anywhere(actsAsAccount)...)
	if len(group) == 0 || len(who) == 0 {
		return
	}
	names := map[string][]grant{}
	for _, g := range group {
		if g.rule.Unnamed() {
			for i := range b.g.Vertices {
				if x := &b.g.Vertices[i]; x.Kind == Group && x.Cluster == b.cluster && x.Name != rbac.Masters {
					names[x.Name] = append(names[x.Name], g)
				}
			}
			names[rbac.Masters] = append(names[rbac.Masters], g)
		}
		for _, name := range g.rule.ResourceNames {
			names[name] = append(names[name], g)
		}
	}
	for i := range b.g.Vertices {
		if x := &b.g.Vertices[i]; x.Kind == Group && x.Cluster == b.cluster && x.Name != rbac.Masters {
			b.lead(v, int32(i), both{Primitive: impersonate, needs: [][]grant{names[x.Name], who}})
		}
	}
	b.lead(v, b.admin(), both{Primitive: impersonate, needs: [][]grant{names[rbac.Masters], who}})
}

// constraint is a mode of constrained impersonation (KEP-5284): who may take what
// identities.
type constraint struct {
	mode string
	part
	kind Kind
}

var constraints = []constraint{
	{"serviceaccount", actsAsAccountFor, ServiceAccount},
	{"user-info", actsAsUserFor, User},
}

// maxActed is how many identities somebody may take by constrained impersonation
// that are looked at one by one.
const maxActed = 1000

// constrained is P21: acting as another, but only for the verbs that a second
// permission names: what both it and the other's permissions allow. Nodes are left
// out: what they may do is not up to RBAC.
func (b *builder) constrained(v int32, h *holdings) {
	var when []Condition
	switch m := b.minor(); {
	case m < 35:
		return
	case m == 35:
		when = []Condition{{Text: "the feature ConstrainedImpersonation is on, as it is not by default before Kubernetes 1.36"}}
	}
	for _, c := range constraints {
		if !h.has(c.part) {
			continue
		}
		on := h.on(c.mode)
		acted := 0
		for i := 0; i < len(b.g.Vertices) && len(on) > 0; i++ {
			x := b.g.Vertices[i]
			if x.Kind != c.kind || x.Cluster != b.cluster || int32(i) == v || len(b.holds[int32(i)]) == 0 {
				continue
			}
			take := h.in(x.Namespace, c.part, naming(x.Name))
			if len(take) == 0 {
				continue
			}
			if acted++; acted > maxActed {
				b.unknown(fmt.Sprintf("what %s gains by acting as each of more than %d identities", b.g.Name(int(v)), maxActed))
				break
			}
			b.actsFor(v, int32(i), take, on, when)
		}
	}
}

// on returns the grants for what may be done as another, with the verbs as the
// other's permissions have them.
func (h *holdings) on(mode string) []grant {
	prefix := "impersonate-on:" + mode + ":"
	var out []grant
	h.bound(func(x *bound) {
		for _, r := range x.Role.Rules {
			var verbs []string
			for _, verb := range r.Verbs {
				if own, ok := strings.CutPrefix(verb, prefix); ok {
					verbs = append(verbs, own)
				}
			}
			if len(verbs) > 0 {
				own := *r
				own.Verbs = verbs
				out = append(out, grant{bound: x, rule: &own, what: strings.Join(verbs, ",") + " as another", namespace: x.Namespace})
			}
		}
	})
	return out
}

// actsFor adds what one gains as another identity.
func (b *builder) actsFor(v, other int32, take, on []grant, when []Condition) {
	b.holdingsOf(other).bound(func(x *bound) {
		for _, r := range x.Role.Rules {
			for i := range on {
				ns, ok := meet(on[i].namespace, x.Namespace)
				if !ok {
					continue
				}
				common, ok := intersect(on[i].rule, r)
				if !ok {
					continue
				}
				as := func(to int32, what string, conditions []Condition) {
					b.lead(v, to, both{
						Primitive: constrained, needs: [][]grant{take, {on[i]}, {grant{bound: x, rule: r, what: what, namespace: ns}}},
						conditions: append(slices.Clip(when), conditions...),
					})
				}
				for _, g := range b.gains(scope{&rbac.Role{Rules: []*rbac.Rule{common}}, ns}) {
					as(g.to, g.what, g.conditions)
				}
				b.donations(other, common, ns, as)
			}
		}
	})
}

// donations are what somebody gains who may write bindings as another, though that
// has not the verb bind: whatever the other is bound to, since the API server lets
// everybody hand out what he holds. For the other himself this is no gain (P18).
func (b *builder) donations(other int32, r *rbac.Rule, ns string, gains func(to int32, what string, conditions []Condition)) {
	for _, way := range []struct {
		permission
		named bool // a request carries the name of the binding
		kind  string
	}{
		{may("create", rbacGroup, "clusterrolebindings"), false, rbac.ClusterRoleBindingKind},
		{may("patch,update", rbacGroup, "clusterrolebindings"), true, rbac.ClusterRoleBindingKind},
		{may("create", rbacGroup, "rolebindings"), false, rbac.RoleBindingKind},
		{may("patch,update", rbacGroup, "rolebindings"), true, rbac.RoleBindingKind},
	} {
		what, ok := way.in(r)
		if !ok || !way.named && !r.Unnamed() || way.kind == rbac.ClusterRoleBindingKind && ns != "" {
			continue
		}
		b.holdingsOf(other).bound(func(x *bound) {
			switch {
			case way.named && (x.Kind != way.kind || !r.Unnamed() && !r.Named(x.Name)):
			case way.kind == rbac.ClusterRoleBindingKind && x.Namespace == "":
				gains(b.holder(scope{x.Role, ""}), what, nil)
			case way.kind == rbac.ClusterRoleBindingKind, ns != "" && x.Namespace != "" && x.Namespace != ns:
			case x.Namespace != "":
				gains(b.holder(scope{x.Role, x.Namespace}), what, nil)
			case !way.named:
				gains(b.heldIn(x.Role, ns), what, nil)
			}
		})
	}
}

// meet is where two grants both hold.
func meet(a, b string) (ns string, ok bool) {
	if a == "" || a == b {
		return b, true
	}
	return a, b == ""
}

// intersect is what two rules both allow.
func intersect(a, b *rbac.Rule) (*rbac.Rule, bool) {
	out := &rbac.Rule{
		Verbs: common(a.Verbs, b.Verbs), APIGroups: common(a.APIGroups, b.APIGroups), Resources: common(a.Resources, b.Resources),
		Origin: a.Origin, Index: a.Index,
	}
	switch {
	case a.Unnamed():
		out.ResourceNames = b.ResourceNames
	case b.Unnamed():
		out.ResourceNames = a.ResourceNames
	default:
		if out.ResourceNames = common(a.ResourceNames, b.ResourceNames); len(out.ResourceNames) == 0 {
			return nil, false
		}
	}
	return out, len(out.Verbs) > 0 && len(out.APIGroups) > 0 && len(out.Resources) > 0
}

// common is what two lists of a rule both mean, where * means everything.
func common(a, b []string) []string {
	switch {
	case slices.Contains(a, "*"):
		return b
	case slices.Contains(b, "*"):
		return a
	}
	var out []string
	for _, x := range a {
		for _, y := range b {
			switch {
			case x == y, wholeOf(y, x):
				out = append(out, x)
			case wholeOf(x, y):
				out = append(out, y)
			}
		}
	}
	return out
}

// wholeOf says that one entry of resources, */exec, means another, pods/exec.
func wholeOf(entry, other string) bool {
	sub, ok := strings.CutPrefix(entry, "*")
	return ok && strings.HasPrefix(sub, "/") && strings.HasSuffix(other, sub)
}
