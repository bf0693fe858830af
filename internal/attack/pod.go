package attack

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// workloads adds what runs: each template of pods is one vertex, since an
// attacker who is in one of its pods holds what all of them hold.
func (b *builder) workloads() {
	templates := b.snap.Templates()
	for i := range templates {
		t := &templates[i]
		b.workload(t)
	}
}

// inside adds what an attacker in a pod holds: its token, its Secrets and, where
// the container has the means, the node.
func (b *builder) inside() {
	templates := b.snap.Templates()
	for i := range templates {
		t := &templates[i]
		v := b.have(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name)
		b.mountedTokens(v, t)
		b.mountedSecrets(v, t)
		b.escapes(v, t)
		b.nodeFlaws(v, t)
	}
}

// workload is the vertex of a template.
func (b *builder) workload(t *cluster.PodTemplate) int32 {
	v := b.vertex(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name)
	b.g.Vertices[v].Object = t.Object
	b.g.Vertices[v].System = systemNamespace(t.Namespace())
	return v
}

// systemNamespace says that Kubernetes itself or a distribution runs there, so
// that nothing is offered to be changed.
func systemNamespace(ns string) bool {
	return slices.Contains(systemNamespaces, ns) || strings.HasPrefix(ns, "openshift-")
}

// namespaces are all that objects stand in, sorted.
func (b *builder) namespaces() []string {
	return cluster.Derive(b.snap, namespacesKey{}, func() []string {
		seen := map[string]bool{}
		for _, o := range b.snap.Objects {
			if o.Namespace != "" {
				seen[o.Namespace] = true
			}
			if o.Kind == "Namespace" && o.Group() == "" {
				seen[o.Name] = true
			}
		}
		for _, t := range b.snap.Templates() {
			seen[t.Namespace()] = true
		}
		if !b.snap.Whole { // each cluster has these, whatever the files say
			seen["default"], seen["kube-system"] = true, true
		}
		out := make([]string, 0, len(seen))
		for ns := range seen {
			out = append(out, ns)
		}
		slices.Sort(out)
		return out
	})
}

type namespacesKey struct{}
