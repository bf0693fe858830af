package netgen

import (
	"maps"
	"slices"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
)

// group is the pods of a namespace that one selector tells from all others.
// Workloads whose pods carry the same labels are one.
type group struct {
	namespace string
	pods      []*cluster.PodTemplate
	labels    map[string]string
	absent    []string // labels that others have beside these
}

type place struct {
	object *cluster.Object
	path   string
}

func placeOf(t *cluster.PodTemplate) place { return place{t.Object, t.SpecPath} }

// groups finds the selectors of pods.
type groups struct {
	list []*group
	of   map[place]*group
}

// groupsOf makes a group of each workload. Pods on their node's network have
// none: no selector holds for them.
func groupsOf(pods []*cluster.PodTemplate) *groups {
	g := &groups{of: map[place]*group{}}
	byNamespace := map[string][]*cluster.PodTemplate{}
	for _, t := range pods {
		if !onHost(t) {
			byNamespace[t.Namespace()] = append(byNamespace[t.Namespace()], t)
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(byNamespace)) {
		g.divide(ns, byNamespace[ns])
	}
	return g
}

func (g *groups) divide(namespace string, pods []*cluster.PodTemplate) {
	labels := make([]map[string]string, len(pods))
	var mine []*group
	var first []map[string]string
	for i, t := range pods {
		labels[i] = lasting(t)
		at := slices.IndexFunc(first, func(m map[string]string) bool { return maps.Equal(m, labels[i]) })
		if at < 0 {
			at = len(mine)
			mine = append(mine, &group{namespace: namespace, labels: chosen(t, labels[i])})
			first = append(first, labels[i])
		}
		mine[at].pods = append(mine[at].pods, t)
		g.of[placeOf(t)] = mine[at]
	}
	for i, own := range mine {
		for j, other := range first {
			if i != j && own.matches(other) {
				own.exclude(first[i], other)
			}
		}
	}
	g.list = append(g.list, mine...)
}

// group returns the group of a template; of one that has none, made for it.
func (g *groups) group(t *cluster.PodTemplate) *group {
	if have := g.of[placeOf(t)]; have != nil {
		return have
	}
	return &group{namespace: t.Namespace(), pods: []*cluster.PodTemplate{t}, labels: lasting(t)}
}

func (g *group) matches(labels map[string]string) bool {
	for k, v := range g.labels {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return !slices.ContainsFunc(g.absent, func(k string) bool { _, has := labels[k]; return has })
}

// exclude narrows the selector of pods with own labels so that it does not select
// those with other labels: by a label of their own, or one that the others have.
func (g *group) exclude(own, other map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(own)) {
		if have, ok := other[k]; !ok || have != own[k] {
			g.labels[k] = own[k]
			return
		}
	}
	for _, k := range slices.Sorted(maps.Keys(other)) {
		if _, ok := own[k]; !ok {
			g.absent = append(g.absent, k)
			return
		}
	}
}

// lasting returns the labels of pods that the next release and the next pod
// still have.
func lasting(t *cluster.PodTemplate) map[string]string {
	out := map[string]string{}
	for k, v := range t.Labels() {
		switch k {
		case "helm.sh/chart", "chart", "heritage", "version", "app.kubernetes.io/version", "app.kubernetes.io/managed-by":
		default:
			if !netpol.IsGenerated(k) {
				out[k] = v
			}
		}
	}
	return out
}

// chosen returns the labels by which a workload selects its own pods, which
// cannot change while it lives, or all that last.
func chosen(t *cluster.PodTemplate, labels map[string]string) map[string]string {
	out := map[string]string{}
	selector := t.Object.Root.At("spec", "selector")
	for _, fields := range [...]*document.Node{selector.Get("matchLabels"), selector} {
		for _, f := range fields.Map() {
			if v, ok := labels[f.Key]; ok && v == f.Value.Str() {
				out[f.Key] = v
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return maps.Clone(labels)
}
