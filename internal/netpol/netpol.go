// Package netpol reads network policies: which pods they select, in which
// directions they isolate them, and their rules. It reads NetworkPolicy and the
// policies of the cluster's administrator (ClusterNetworkPolicy and, before it,
// AdminNetworkPolicy and BaselineAdminNetworkPolicy) wholly, of Cilium's own
// policies the selectors, and of those of Calico and Antrea only in which
// namespaces they hold. What follows from the rules is for package reach to say;
// whether a network plugin enforces any of them is not known here.
package netpol

import (
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Direction is that of a connection, seen from the pod.
type Direction uint8

// The directions.
const (
	Ingress Direction = iota
	Egress
)

// String returns the name that policyTypes uses, in lower case.
func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Policy is one policy, or one of the specs of a Cilium policy.
type Policy struct {
	Object *cluster.Object
	// Path leads to the rules: spec, or specs[1].
	Path string
	// Err says why the API server would refuse the policy's selector. Such a
	// policy selects nothing.
	Err error

	isolates [2]bool
	tier     Tier
	priority int
	rules    [2][]Rule
	faults   []Fault
	// badTypes says that policyTypes name what is no direction.
	badTypes bool
	// namespace is the only one that the policy holds in; empty for policies of
	// the whole cluster.
	namespace  string
	namespaces cluster.Selector
	pods       cluster.Selector
	// cilium selectors may ask for labels of the pod's namespace.
	cilium bool
	// unread policies have selectors in a language that is not read here.
	unread bool
}

// Isolates says whether the pods that the policy selects may, in a direction,
// connect only as policies allow. A policy with faults isolates nothing: it cannot
// be applied.
func (p *Policy) Isolates(d Direction) bool { return p.isolates[d] && len(p.faults) == 0 }

// ClusterWide says that the policy is not one of a single namespace.
func (p *Policy) ClusterWide() bool { return p.namespace == "" }

// Model holds the policies of a snapshot.
type Model struct {
	snapshot    *cluster.Snapshot
	policies    []*Policy
	byNamespace map[string][]*Policy
	wide        []*Policy
	namespaces  map[string]*document.Node // labels
	known       map[string]bool           // namespaces that are in the snapshot
	isolated    map[*cluster.PodTemplate][2]bool
}

// Of returns the model of a snapshot, made once.
//
// In a snapshot of files, the labels of a namespace that is not among them are
// not known: a policy of the whole cluster that asks for them is taken to hold
// there. So is one whose selector is not read.
func Of(s *cluster.Snapshot) *Model {
	type key struct{}
	return cluster.Derive(s, key{}, func() *Model { return newModel(s) })
}

// Policies returns all policies in reading order.
func (m *Model) Policies() []*Policy { return m.policies }

// Holds says whether any policy holds in a namespace, "" being default.
func (m *Model) Holds(namespace string) bool {
	namespace = orDefault(namespace)
	if len(m.byNamespace[namespace]) > 0 {
		return true
	}
	for _, p := range m.wide {
		if m.selectsNamespace(p, namespace) {
			return true
		}
	}
	return false
}

// Isolated says whether some policy isolates the pods of a template, one of
// those that Snapshot.Templates returns, in a direction.
func (m *Model) Isolated(t *cluster.PodTemplate, d Direction) bool { return m.isolated[t][d] }

// Selecting returns the policies that select the pods of a template, in reading
// order, those of its namespace first.
func (m *Model) Selecting(t *cluster.PodTemplate) []*Policy {
	var out []*Policy
	for _, list := range [...][]*Policy{m.byNamespace[t.Namespace()], m.wide} {
		for _, p := range list {
			if m.Selects(p, t) {
				out = append(out, p)
			}
		}
	}
	return out
}

// Selects says whether a policy selects the pods of a template, be it valid or
// not.
func (m *Model) Selects(p *Policy, t *cluster.PodTemplate) bool {
	switch {
	case p.namespace != "" && p.namespace != t.Namespace(), p.Err != nil:
		return false
	case p.namespace == "" && !m.selectsNamespace(p, t.Namespace()):
		return false
	case p.unread:
		return true
	case p.cilium:
		return p.pods.Matches(m.ciliumLabels(t))
	}
	return p.pods.MatchesPods(t)
}

func newModel(s *cluster.Snapshot) *Model {
	m := &Model{
		snapshot: s, byNamespace: map[string][]*Policy{}, namespaces: map[string]*document.Node{},
		known: map[string]bool{}, isolated: map[*cluster.PodTemplate][2]bool{},
	}
	for _, o := range s.Kind("Namespace") {
		if o.Group() == "" {
			m.namespaces[o.Name] = namespaceLabels(o.Name, o.Root.At("metadata", "labels"))
			m.known[o.Name] = true
		}
	}
	for _, o := range s.Objects {
		for _, p := range read(o) {
			m.policies = append(m.policies, p)
			switch {
			case len(p.faults) > 0:
			case p.ClusterWide():
				m.wide = append(m.wide, p)
			default:
				m.byNamespace[p.namespace] = append(m.byNamespace[p.namespace], p)
			}
		}
	}
	m.isolate()
	return m
}

// isolate notes what the policies do to each template. Policies that ask for
// labels find the pods by the snapshot's index of them.
func (m *Model) isolate() {
	templates := m.snapshot.Templates()
	byNamespace := map[string][]*cluster.PodTemplate{}
	for i := range templates {
		t := &templates[i]
		byNamespace[t.Namespace()] = append(byNamespace[t.Namespace()], t)
	}
	everywhere := map[string][2]bool{}
	for _, p := range m.policies {
		if p.isolates == [2]bool{} || p.Err != nil || len(p.faults) > 0 {
			continue
		}
		for ns := range byNamespace {
			if p.namespace != "" {
				ns = p.namespace
			}
			switch {
			case p.namespace == "" && !m.selectsNamespace(p, ns):
			case p.unread || p.pods.Everything():
				everywhere[ns] = either(everywhere[ns], p.isolates)
			case p.cilium:
				m.mark(p, byNamespace[ns])
			default:
				for _, t := range m.snapshot.Selected(ns, p.pods) {
					m.isolated[t] = either(m.isolated[t], p.isolates)
				}
			}
			if p.namespace != "" {
				break
			}
		}
	}
	for ns, directions := range everywhere {
		for _, t := range byNamespace[ns] {
			m.isolated[t] = either(m.isolated[t], directions)
		}
	}
}

func (m *Model) mark(p *Policy, templates []*cluster.PodTemplate) {
	for _, t := range templates {
		if have := m.isolated[t]; either(have, p.isolates) != have && m.Selects(p, t) {
			m.isolated[t] = either(have, p.isolates)
		}
	}
}

func either(a, b [2]bool) [2]bool { return [2]bool{a[0] || b[0], a[1] || b[1]} }

// selectsNamespace says whether a policy of the whole cluster holds in a
// namespace.
func (m *Model) selectsNamespace(p *Policy, namespace string) bool {
	if p.cilium || p.unread || p.namespaces.Everything() {
		return true
	}
	labels := m.namespaces[namespace]
	if labels == nil {
		labels = namespaceLabels(namespace, nil)
	}
	if p.namespaces.Matches(labels) {
		return true
	}
	return !m.snapshot.Whole && !m.known[namespace] && !p.namespaces.Nothing() && !onlyByName(p.namespaces)
}

// nameLabel is on every namespace since Kubernetes 1.21.
const nameLabel = "kubernetes.io/metadata.name"

// onlyByName says that a selector asks for nothing but the name of a namespace,
// which is known wherever the namespace is.
func onlyByName(sel cluster.Selector) bool {
	want := sel.Equalities()
	return len(want) == 1 && want[nameLabel] != ""
}

// namespaceLabels returns the labels of a namespace with the one that the API
// server adds.
func namespaceLabels(name string, labels *document.Node) *document.Node {
	out := []document.Field{{Key: nameLabel, Value: text(name)}}
	for _, f := range labels.Map() {
		if f.Key != nameLabel {
			out = append(out, f)
		}
	}
	return document.NewMap(document.Pos{}, out)
}

func text(s string) *document.Node { return document.NewString(document.Pos{}, s) }

func orDefault(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}
