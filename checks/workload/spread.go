package workloadchecks

import (
	"fmt"
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// replicated calls f for the templates of workloads that have two pods or more.
func replicated(s *cluster.Snapshot, f func(t *cluster.PodTemplate)) {
	templates := s.Templates()
	for i := range templates {
		t := &templates[i]
		switch t.Object.Kind {
		case "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController":
			least, _ := replicaRange(s, t.Object)
			if max(least, replicas(t.Object)) >= 2 && (ofApps(t.Object) || t.Object.Group() == "") {
				f(t)
			}
		}
	}
}

const hostname = "kubernetes.io/hostname"

// antiAffinity reports replicated workloads that nothing keeps from landing on
// one node: no podAntiAffinity and no spread constraint over one of the
// parameter topologyKeys that selects their own pods.
func antiAffinity(in *check.Input) {
	keys := in.Strings("topologyKeys")
	replicated(in.Snapshot, func(t *cluster.PodTemplate) {
		anti := t.Spec().At("affinity", "podAntiAffinity")
		for _, term := range anti.Get("requiredDuringSchedulingIgnoredDuringExecution").List() {
			if keepsApart(t, term, keys) {
				return
			}
		}
		for _, term := range anti.Get("preferredDuringSchedulingIgnoredDuringExecution").List() {
			if keepsApart(t, term.Get("podAffinityTerm"), keys) {
				return
			}
		}
		for _, c := range t.Spec().Get("topologySpreadConstraints").List() {
			if slices.Contains(keys, c.Get("topologyKey").Str()) && selectsOwn(t, c.Get("labelSelector")) {
				return
			}
		}
		in.Report(check.Hit{
			Object: t.Object, Path: t.SpecPath + ".affinity.podAntiAffinity", Fix: keepApart(t),
			Message: "nothing keeps its replicas on different nodes",
		})
	})
}

// keepsApart says whether an affinity term is about the workload's own pods.
func keepsApart(t *cluster.PodTemplate, term *document.Node, keys []string) bool {
	if !slices.Contains(keys, term.Get("topologyKey").Str()) || !selectsOwn(t, term.Get("labelSelector")) {
		return false
	}
	namespaces := term.Get("namespaces").List()
	if len(namespaces) == 0 {
		return true // its own namespace, or those that a selector selects
	}
	return slices.ContainsFunc(namespaces, func(n *document.Node) bool { return n.Str() == t.Namespace() })
}

func selectsOwn(t *cluster.PodTemplate, selector *document.Node) bool {
	sel, err := cluster.LabelSelector(selector)
	return err == nil && sel.MatchesPods(t)
}

// ownLabels are the labels by which a workload knows its pods: its selector's,
// or else all of the template. nil where there are none.
func ownLabels(t *cluster.PodTemplate) map[string]any {
	selector := t.Object.Root.At("spec", "selector")
	labels := selector.Get("matchLabels")
	if t.Object.Kind == "ReplicationController" {
		labels = selector
	}
	have := t.Root.At("metadata", "labels")
	if labels.Len() == 0 {
		labels = have
	}
	out := map[string]any{}
	for _, f := range labels.Map() {
		if v := have.Get(f.Key); v == nil || v.Str() != f.Value.Str() {
			return nil
		}
		out[f.Key] = f.Value.Str()
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// keepApart adds a preferred term, which never keeps a pod from running.
func keepApart(t *cluster.PodTemplate) []seawall.PatchOp {
	labels := ownLabels(t)
	if labels == nil {
		return nil
	}
	path := t.SpecPath + ".affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution"
	list, _ := t.Object.Root.Find(path)
	return patch.Set(t.Object.Root, document.Index(path, list.Len()), map[string]any{
		"weight": int64(100),
		"podAffinityTerm": map[string]any{
			"topologyKey":   hostname,
			"labelSelector": map[string]any{"matchLabels": labels},
		},
	})
}

// topologySpread reports replicated workloads without a valid spread constraint
// over their own pods.
func topologySpread(in *check.Input) {
	replicated(in.Snapshot, func(t *cluster.PodTemplate) {
		path := t.SpecPath + ".topologySpreadConstraints"
		list := t.Spec().Get("topologySpreadConstraints").List()
		for i, c := range list {
			if problem := spreadProblem(t, c); problem != "" {
				in.Report(check.Hit{Object: t.Object, Path: document.Index(path, i), Message: problem})
			}
		}
		if len(list) > 0 {
			return
		}
		hit := check.Hit{Object: t.Object, Path: path, Message: "no topologySpreadConstraints"}
		if labels := ownLabels(t); labels != nil {
			hit.Fix = patch.Set(t.Object.Root, path, []any{map[string]any{
				"maxSkew": int64(1), "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
				"labelSelector": map[string]any{"matchLabels": labels},
			}})
		}
		in.Report(hit)
	})
}

func spreadProblem(t *cluster.PodTemplate, c *document.Node) string {
	when := c.Get("whenUnsatisfiable").Str()
	switch {
	case integer(c.Get("maxSkew"), 0) < 1:
		return "maxSkew must be 1 or more"
	case c.Get("topologyKey").Str() == "":
		return "topologyKey is missing"
	case when != "DoNotSchedule" && when != "ScheduleAnyway":
		return fmt.Sprintf("whenUnsatisfiable is %q: want DoNotSchedule or ScheduleAnyway", when)
	case !selectsOwn(t, c.Get("labelSelector")):
		return "the labelSelector does not select the workload's own pods"
	}
	return ""
}
