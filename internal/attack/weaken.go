package attack

import (
	"cmp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// guardKind is a kind of object that keeps pods of certain shapes out, or by which
// what does so goes.
type guardKind struct {
	kind, group, resource string
	// judged says that what it decides is known, so that podPower has asked it.
	judged bool
}

// constraintGroup is that of Gatekeeper's constraints. Those that guard nodes are of
// kinds that its library gives; a constraint's resource is its kind in small letters.
const constraintGroup = "constraints.gatekeeper.sh"

var guardKinds = []guardKind{
	{"ValidatingAdmissionPolicy", admission, "validatingadmissionpolicies", true},
	{"ValidatingAdmissionPolicyBinding", admission, "validatingadmissionpolicybindings", true},
	{"ValidatingWebhookConfiguration", admission, "validatingwebhookconfigurations", false},
	{"ClusterPolicy", "kyverno.io", "clusterpolicies", false},
	{"Policy", "kyverno.io", "policies", false},
	{"ValidatingPolicy", "policies.kyverno.io", "validatingpolicies", false},
	{"K8sPSPPrivilegedContainer", constraintGroup, "k8spspprivilegedcontainer", false},
	{"K8sPSPHostFilesystem", constraintGroup, "k8spsphostfilesystem", false},
	{"K8sPSPHostNamespace", constraintGroup, "k8spsphostnamespace", false},
	{"K8sPSPCapabilities", constraintGroup, "k8spspcapabilities", false},
	{"ConstraintTemplate", "templates.gatekeeper.sh", "constrainttemplates", false},
	{"Config", "config.gatekeeper.sh", "configs", false},
	{"ClusterAdmissionPolicy", "policies.kubewarden.io", "clusteradmissionpolicies", false},
}

// weakening is P31: removing what a policy has against pods that give their node.
// Where no policy is, there is nothing to remove.
func (b *builder) weakening(v int32, h *holdings, ns string, pods []grant) {
	past := func(weak []grant, likelihood float64, conditions ...Condition) {
		if here(ns, weak, pods) {
			b.lead(v, b.past("admission policies", ns, policyGuard), both{
				Primitive: weakenGuard, needs: [][]grant{weak, pods}, conditions: conditions, likelihood: likelihood,
			})
		}
	}
	if h.has(weakens) {
		if weak, left := b.weakened(h); left {
			past(weak, 0.4, Condition{Text: "no other policy or webhook denies such a pod"})
		} else {
			past(weak, 0)
		}
	}
	if h.has(excepts) {
		if weak, c := b.exceptions(h); len(weak) > 0 {
			past(weak, 0.5, c)
		}
	}
	for _, p := range b.parameters() {
		past(h.changing(p, ns), 0.5, Condition{Text: "the parameters decide whether the policy denies such a pod"})
	}
}

// exceptions returns the grants to make exceptions from policies of Kyverno that
// refuse pods, as far as its flags let it heed those, and what is not told of that.
func (b *builder) exceptions(h *holdings) ([]grant, Condition) {
	if !slices.ContainsFunc(b.enginePolicies(), func(o *cluster.Object) bool { return strings.HasSuffix(o.Group(), "kyverno.io") }) {
		return nil, Condition{}
	}
	c := Condition{Text: "Kyverno heeds exceptions, and those of the namespace where one may make them"}
	weak := h.anywhere(excepts)
	for _, name := range []string{"kyverno-admission-controller", "kyverno"} {
		for _, t := range b.called(name) {
			if on, ok := flag(t, "--enablePolicyException"); ok && on == "false" {
				return nil, c
			}
			if only, ok := flag(t, "--exceptionNamespace"); ok && only != "" && only != "*" {
				c.Text = "Kyverno heeds the exceptions of namespace " + only
				c.Holds = Yes
				weak = slices.DeleteFunc(weak, func(g grant) bool { return g.namespace != "" && g.namespace != only })
				return weak, c
			}
		}
	}
	return weak, c
}

// weakened returns the grants to change or delete guards that are there, and
// whether one is left that the identity cannot touch.
func (b *builder) weakened(h *holdings) (weak []grant, left bool) {
	for i := range guardKinds {
		k := &guardKinds[i]
		for _, o := range b.snap.Kind(k.kind) {
			if o.Group() != k.group || !b.guarding(o) {
				continue
			}
			own := h.in(o.Namespace, weakens, func(g *grant) bool {
				return naming(o.Name)(g) && strings.HasSuffix(g.what, " "+k.resource)
			})
			left = left || len(own) == 0 && !k.judged
			weak = append(weak, own...)
		}
	}
	return weak, left
}

// guarding says whether an object of an engine has a part in refusing pods that give
// their node: a policy that only warns has none.
func (b *builder) guarding(o *cluster.Object) bool {
	switch o.Group() {
	case "templates.gatekeeper.sh", "config.gatekeeper.sh":
		return slices.ContainsFunc(b.enginePolicies(), func(p *cluster.Object) bool { return p.Group() == constraintGroup })
	case admission:
		return true // what it refuses is asked for elsewhere
	}
	return slices.Contains(b.enginePolicies(), o)
}

// parameter is what a ValidatingAdmissionPolicy goes by, where a binding says so.
type parameter struct {
	group, resource, namespace, name string
	// absent says that the policy lets everything pass where it is not there.
	absent bool
}

// parameters are those that bindings of policies name. One without a namespace of
// its own is taken from that of the pod.
func (b *builder) parameters() []parameter {
	if b.params != nil {
		return b.params
	}
	b.params = []parameter{}
	for _, o := range b.snap.Kind("ValidatingAdmissionPolicyBinding") {
		ref := o.Root.At("spec", "paramRef")
		policy := b.snap.Get(admission, "ValidatingAdmissionPolicy", "", o.Root.At("spec", "policyName").Str())
		if ref.IsNull() || policy == nil {
			continue
		}
		if group, resource, ok := b.resourceOf(policy.Root.At("spec", "paramKind")); ok {
			b.params = append(b.params, parameter{
				group, resource, ref.Get("namespace").Str(), ref.Get("name").Str(), ref.Get("parameterNotFoundAction").Str() == "Allow",
			})
		}
	}
	return b.params
}

// resourceOf finds the resource of a kind: {apiVersion: v1, kind: ConfigMap}.
func (b *builder) resourceOf(n *document.Node) (group, resource string, ok bool) {
	if g, _, named := strings.Cut(n.Get("apiVersion").Str(), "/"); named {
		group = g
	}
	all := rbac.Resources(b.snap)
	i := slices.IndexFunc(all, func(r rbac.Resource) bool { return r.Group == group && r.Kind == n.Get("kind").Str() && !r.Virtual })
	if i < 0 {
		return "", "", false
	}
	return group, all[i].Name, true
}

// changing returns the grants to change a parameter of pods in a namespace.
func (h *holdings) changing(p parameter, ns string) []grant {
	verbs := []string{"update", "patch"}
	if p.absent {
		verbs = append(verbs, "delete")
	}
	need := permission{verbs, p.group, []string{p.resource}}
	at := cmp.Or(p.namespace, ns)
	var out []grant
	h.bound(func(x *bound) {
		if x.Namespace != "" && x.Namespace != at || x.Namespace == "" && whole(x.Role) != nil {
			return
		}
		for _, r := range x.Role.Rules {
			if what, ok := need.in(r); ok && (p.name == "" || r.Unnamed() || r.Named(p.name)) {
				out = append(out, grant{bound: x, rule: r, what: what, namespace: x.Namespace})
				return
			}
		}
	})
	return out
}
