package netpol

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

const adminGroup = "policy.networking.k8s.io"

// read returns the policies that an object is or holds: none where it is no
// policy.
func read(o *cluster.Object) []*Policy {
	switch group := o.Group(); group {
	case "networking.k8s.io", "extensions":
		if o.Kind == "NetworkPolicy" {
			return []*Policy{readNetworkPolicy(o)}
		}
	case adminGroup:
		switch o.Kind {
		case "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy":
			return []*Policy{readAdminPolicy(o)}
		}
	case "cilium.io":
		switch o.Kind {
		case "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy":
			return readCilium(o)
		}
	case "projectcalico.org", "crd.projectcalico.org", "crd.antrea.io":
		switch o.Kind {
		case "NetworkPolicy":
			return []*Policy{{Object: o, Path: "spec", namespace: orDefault(o.Namespace), tier: NetworkTier, unread: true, isolates: [2]bool{true, true}}}
		case "GlobalNetworkPolicy", "ClusterNetworkPolicy":
			return []*Policy{{Object: o, Path: "spec", tier: NetworkTier, unread: true, isolates: [2]bool{true, true}}}
		}
	}
	return nil
}

// IsNetworkPolicy says whether an object is a NetworkPolicy of Kubernetes: other
// projects use the name too.
func IsNetworkPolicy(o *cluster.Object) bool {
	return o.Kind == "NetworkPolicy" && (o.Group() == "networking.k8s.io" || o.Group() == "extensions")
}

// Directions returns those in which a NetworkPolicy isolates the pods that it
// selects. Without policyTypes that is ingress, and egress where there are
// egress rules.
func Directions(o *cluster.Object) [2]bool {
	spec := o.Root.Get("spec")
	types := spec.Get("policyTypes").List()
	if len(types) == 0 {
		return [2]bool{Ingress: true, Egress: spec.Get("egress").Len() > 0}
	}
	var out [2]bool
	for _, t := range types {
		switch t.Str() {
		case "Ingress":
			out[Ingress] = true
		case "Egress":
			out[Egress] = true
		}
	}
	return out
}

// readNetworkPolicy reads the API's own. An absent podSelector is the empty
// one: the field is a struct there, and selects every pod.
func readNetworkPolicy(o *cluster.Object) *Policy {
	p := &Policy{Object: o, Path: "spec", namespace: orDefault(o.Namespace), isolates: Directions(o), tier: NetworkTier}
	spec := o.Root.Get("spec")
	p.pods, p.Err = selectorOrAll(spec.Get("podSelector"))
	p.selector(spec.Get("podSelector"), "spec.podSelector", true)
	p.readRules(spec)
	return p
}

func selectorOrAll(n *document.Node) (cluster.Selector, error) {
	if n.IsNull() {
		n = document.NewMap(document.Pos{}, nil)
	}
	return cluster.LabelSelector(n) //nolint:wrapcheck // it says what is wrong
}

// readAdminPolicy reads a policy of the cluster's administrator. It isolates
// nothing by itself; where a rule denies all, the pods are as good as isolated.
func readAdminPolicy(o *cluster.Object) *Policy {
	p := &Policy{Object: o, Path: "spec"}
	subject := o.Root.At("spec", "subject")
	if pods := subject.Get("pods"); pods != nil {
		if p.namespaces, p.Err = selectorOrAll(pods.Get("namespaceSelector")); p.Err == nil {
			p.pods, p.Err = selectorOrAll(pods.Get("podSelector"))
		}
	} else if p.namespaces, p.Err = cluster.LabelSelector(subject.Get("namespaces")); p.Err == nil {
		p.pods, p.Err = selectorOrAll(nil)
	}
	p.isolates[Ingress] = deniesAll(o.Root.At("spec", "ingress"), "from")
	p.isolates[Egress] = deniesAll(o.Root.At("spec", "egress"), "to")
	p.readAdminRules(o.Root.Get("spec"))
	return p
}

// deniesAll says whether rules hold one that denies all peers on all ports: all
// namespaces, all pods, or every address.
func deniesAll(rules *document.Node, peers string) bool {
	for _, r := range rules.List() {
		if r.Get("action").Str() != "Deny" || r.Get("ports").Len() > 0 || r.Get("protocols").Len() > 0 {
			continue
		}
		for _, peer := range r.Get(peers).List() {
			pods := peer.Get("pods") // v1alpha2 takes an absent selector of namespaces for all
			if isEmpty(peer.Get("namespaces")) ||
				pods.Get("namespaceSelector").Len() == 0 && isEmpty(pods.Get("podSelector")) {
				return true
			}
			for _, n := range peer.Get("networks").List() {
				if n.Str() == "0.0.0.0/0" || n.Str() == "::/0" {
					return true
				}
			}
		}
	}
	return false
}

func isEmpty(n *document.Node) bool { return n != nil && n.Kind() == document.Map && len(n.Map()) == 0 }

// readCilium reads the specs of a Cilium policy that select pods. A direction
// is isolated where the spec has rules for it, unless enableDefaultDeny says
// otherwise (pkg/policy/api/rule.go of Cilium).
func readCilium(o *cluster.Object) []*Policy {
	var out []*Policy
	add := func(path string, spec *document.Node) {
		selector := spec.Get("endpointSelector")
		if selector == nil {
			return // of nodes
		}
		p := &Policy{Object: o, Path: path, tier: NetworkTier, cilium: true}
		if o.Kind == "CiliumNetworkPolicy" {
			p.namespace = orDefault(o.Namespace)
		}
		p.pods, p.Err = cluster.LabelSelector(ciliumSelector(selector))
		p.isolates[Ingress] = ciliumDenies(spec, "ingress")
		p.isolates[Egress] = ciliumDenies(spec, "egress")
		out = append(out, p)
	}
	if spec := o.Root.Get("spec"); !spec.IsNull() {
		add("spec", spec)
	}
	for i, spec := range o.Root.Get("specs").List() {
		add(document.Index("specs", i), spec)
	}
	return out
}

func ciliumDenies(spec *document.Node, direction string) bool {
	if set, ok := spec.At("enableDefaultDeny", direction).Bool(); ok {
		return set
	}
	return spec.Get(direction).Len() > 0 || spec.Get(direction+"Deny").Len() > 0
}

// The labels of a pod's namespace, as Cilium shows them to its selectors.
const (
	ciliumNamespace       = "io.kubernetes.pod.namespace"
	ciliumNamespaceLabels = "io.cilium.k8s.namespace.labels."
)

// ciliumSelector takes the sources off the keys of a selector: k8s:app and
// any:app are the pod's label app.
func ciliumSelector(n *document.Node) *document.Node {
	return withFields(n, func(f document.Field) document.Field {
		switch f.Key {
		case "matchLabels":
			f.Value = withFields(f.Value, func(label document.Field) document.Field {
				label.Key = ciliumKey(label.Key)
				return label
			})
		case "matchExpressions":
			if f.Value.Kind() == document.List {
				f.Value = document.NewList(f.Value.Pos, ciliumExpressions(f.Value.List()))
			}
		}
		return f
	})
}

func ciliumExpressions(list []*document.Node) []*document.Node {
	out := make([]*document.Node, len(list))
	for i, e := range list {
		out[i] = withFields(e, func(part document.Field) document.Field {
			if part.Key == "key" {
				part.Value = text(ciliumKey(part.Value.Str()))
			}
			return part
		})
	}
	return out
}

// withFields returns a Map with all its fields changed. What is no Map stays, for
// the reader of selectors to refuse.
func withFields(n *document.Node, change func(document.Field) document.Field) *document.Node {
	if n.Kind() != document.Map {
		return n
	}
	out := make([]document.Field, n.Len())
	for i, f := range n.Map() {
		out[i] = change(f)
	}
	return document.NewMap(n.Pos, out)
}

func ciliumKey(key string) string {
	for _, source := range [...]string{"k8s:", "any:", "k8s.", "any."} {
		if rest, ok := strings.CutPrefix(key, source); ok {
			return rest
		}
	}
	return key
}

// ciliumLabels returns the labels of a template's pods as Cilium sees them.
func (m *Model) ciliumLabels(t *cluster.PodTemplate) *document.Node {
	out := slices.Clone(t.Root.At("metadata", "labels").Map())
	out = append(out, document.Field{Key: ciliumNamespace, Value: text(t.Namespace())})
	labels := m.namespaces[t.Namespace()]
	if labels == nil {
		labels = namespaceLabels(t.Namespace(), nil)
	}
	for _, f := range labels.Map() {
		out = append(out, document.Field{Key: ciliumNamespaceLabels + f.Key, Value: f.Value})
	}
	return document.NewMap(document.Pos{}, out)
}
