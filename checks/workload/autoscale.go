package workloadchecks

import (
	"fmt"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// autoscaler is a HorizontalPodAutoscaler, or a ScaledObject of KEDA, which
// makes one.
type autoscaler struct {
	object   *cluster.Object
	target   scaled
	min, max int64
}

// scaled names what an autoscaler scales.
type scaled struct{ group, kind, namespace, name string }

func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

func workloadOf(o *cluster.Object) scaled {
	group := o.Group()
	if group == "extensions" {
		group = "apps"
	}
	return scaled{group, o.Kind, namespace(o), o.Name}
}

// autoscalers returns all of a snapshot, by what they scale.
func autoscalers(s *cluster.Snapshot) map[scaled][]autoscaler {
	type key struct{}
	return cluster.Derive(s, key{}, func() map[scaled][]autoscaler {
		out := map[scaled][]autoscaler{}
		for _, kind := range [...]string{"HorizontalPodAutoscaler", "ScaledObject"} {
			for _, o := range s.Kind(kind) {
				if a, ok := readAutoscaler(o); ok {
					out[a.target] = append(out[a.target], a)
				}
			}
		}
		return out
	})
}

func readAutoscaler(o *cluster.Object) (a autoscaler, ok bool) {
	spec := o.Root.Get("spec")
	ref := spec.Get("scaleTargetRef")
	a = autoscaler{object: o, target: scaled{groupOf(ref.Get("apiVersion").Str()), ref.Get("kind").Str(), namespace(o), ref.Get("name").Str()}}
	switch {
	case o.Kind == "HorizontalPodAutoscaler" && o.Group() == "autoscaling":
		a.min, a.max = integer(spec.Get("minReplicas"), 1), integer(spec.Get("maxReplicas"), 1)
	case o.Kind == "ScaledObject" && o.Group() == "keda.sh":
		a.min, a.max = integer(spec.Get("minReplicaCount"), 0), integer(spec.Get("maxReplicaCount"), 100)
		if a.target.kind == "" {
			a.target.kind = "Deployment"
		}
		if a.target.group == "" {
			a.target.group = "apps"
		}
	default:
		return a, false
	}
	if a.target.group == "extensions" {
		a.target.group = "apps"
	}
	return a, true
}

func integer(n *document.Node, fallback int64) int64 {
	if i, ok := n.Int(); ok {
		return i
	}
	return fallback
}

// replicas is the number of pods that a workload asks for; absent is 1.
func replicas(o *cluster.Object) int64 { return integer(o.Root.At("spec", "replicas"), 1) }

// replicaRange is between how many pods a workload has: its replicas, or what
// its autoscaler allows.
func replicaRange(s *cluster.Snapshot, o *cluster.Object) (least, most int64) {
	list := autoscalers(s)[workloadOf(o)]
	if len(list) == 0 {
		return replicas(o), replicas(o)
	}
	return list[0].min, list[0].max
}

// ofApps says that an object is of the API group of workloads, or of the one in
// which they began.
func ofApps(o *cluster.Object) bool { return o.Group() == "apps" || o.Group() == "extensions" }

// replicasPath is where the number of replicas stands, or would stand.
func replicasPath(o *cluster.Object) string {
	if o.Root.At("spec", "replicas") != nil {
		return "spec.replicas"
	}
	return "spec"
}

// singleReplica reports Deployments with fewer replicas than the parameter min
// that nothing scales. One that is scaled to 0 is switched off.
func singleReplica(in *check.Input) {
	least := int64(in.Int("min", 2))
	for _, o := range in.Snapshot.Kind("Deployment") {
		n := replicas(o)
		if !ofApps(o) || n == 0 || n >= least || len(autoscalers(in.Snapshot)[workloadOf(o)]) > 0 {
			continue
		}
		message := fmt.Sprintf("replicas is %d, and no autoscaler targets it", n)
		if o.Root.At("spec", "replicas").IsNull() {
			message = "replicas is absent, which is 1, and no autoscaler targets it"
		}
		in.Report(check.Hit{Object: o, Path: replicasPath(o), Message: message})
	}
}

// autoscalerDangling reports autoscalers whose target does not exist. Kinds
// that the snapshot holds no object of may not have been read, so that only
// Kubernetes' own count then.
func autoscalerDangling(in *check.Input) {
	s := in.Snapshot
	busy := map[string]bool{}
	if !s.Whole {
		for _, t := range s.Templates() {
			busy[t.Namespace()] = true
		}
	}
	for _, o := range s.Kind("HorizontalPodAutoscaler") {
		a, ok := readAutoscaler(o)
		if !ok || exists(s, a) || !s.Whole && !busy[namespace(o)] {
			continue
		}
		own := a.target.group == "apps" || a.target.group == ""
		if !own && len(s.Kind(a.target.kind)) == 0 || s.Whole && len(s.Incomplete) > 0 {
			continue
		}
		in.Report(check.Hit{
			Object: o, Path: "spec.scaleTargetRef",
			Message: fmt.Sprintf("%s %q does not exist in namespace %s", a.target.kind, a.target.name, namespace(o)),
		})
	}
}

// exists says whether what an autoscaler targets is in the snapshot.
func exists(s *cluster.Snapshot, a autoscaler) bool {
	for _, ns := range [...]string{a.target.namespace, a.object.Namespace} {
		for _, group := range [...]string{a.target.group, "extensions"} {
			if s.Get(group, a.target.kind, ns, a.target.name) != nil {
				return true
			}
		}
	}
	return a.target.namespace == "default" && s.Get(a.target.group, a.target.kind, "", a.target.name) != nil
}

// staticReplicas reports workloads that an autoscaler scales and whose manifest
// fixes the number of replicas. In a live cluster spec.replicas is always set,
// by the autoscaler at the latest, so that it says nothing there.
func staticReplicas(in *check.Input) {
	if in.Snapshot.Whole {
		return
	}
	for _, kind := range [...]string{"Deployment", "StatefulSet", "ReplicaSet"} {
		for _, o := range in.Snapshot.Kind(kind) {
			list := autoscalers(in.Snapshot)[workloadOf(o)]
			if !ofApps(o) || len(list) == 0 || o.Root.At("spec", "replicas").IsNull() {
				continue
			}
			by := list[0].object
			in.Report(check.Hit{
				Object: o, Path: "spec.replicas", Fix: patch.Remove(o.Root, "spec.replicas"),
				Message: fmt.Sprintf("replicas is %d, which undoes what %s %q chose each time it is applied", replicas(o), by.Kind, by.Name),
			})
		}
	}
}
