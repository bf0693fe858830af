package workloadchecks

import (
	"fmt"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// budget is a PodDisruptionBudget with the pods that it protects.
type budget struct {
	object    *cluster.Object
	templates []*cluster.PodTemplate
}

func budgets(s *cluster.Snapshot) []budget {
	type key struct{}
	return cluster.Derive(s, key{}, func() []budget {
		var out []budget
		for _, o := range s.Kind("PodDisruptionBudget") {
			if o.Group() != "policy" {
				continue
			}
			sel, err := cluster.LabelSelector(o.Root.At("spec", "selector"))
			// In policy/v1beta1 an empty selector selected nothing.
			if err != nil || sel.Everything() && o.APIVersion == "policy/v1beta1" {
				sel = cluster.Selector{}
			}
			out = append(out, budget{o, s.Selected(o.Namespace, sel)})
		}
		return out
	})
}

// budgetMissing reports Deployments and StatefulSets with more than one pod
// that no PodDisruptionBudget selects.
func budgetMissing(in *check.Input) {
	covered := map[*cluster.Object]bool{}
	for _, b := range budgets(in.Snapshot) {
		for _, t := range b.templates {
			covered[t.Object] = true
		}
	}
	for _, kind := range [...]string{"Deployment", "StatefulSet"} {
		for _, o := range in.Snapshot.Kind(kind) {
			least, _ := replicaRange(in.Snapshot, o)
			n := max(least, replicas(o))
			if !ofApps(o) || n < 2 || covered[o] || len(cluster.PodTemplates(o)) == 0 || in.Snapshot.Controller(o) != nil {
				continue
			}
			in.Report(check.Hit{
				Object: o, Path: replicasPath(o),
				Message: fmt.Sprintf("no PodDisruptionBudget selects its %d replicas", n),
			})
		}
	}
}

// budgetBlocks reports budgets that never allow an eviction.
func budgetBlocks(in *check.Input) {
	for _, b := range budgets(in.Snapshot) {
		spec := b.object.Root.Get("spec")
		if limit := spec.Get("maxUnavailable"); !limit.IsNull() {
			if n, percent, ok := amount(limit); ok && n == 0 {
				in.Report(check.Hit{Object: b.object, Path: "spec.maxUnavailable", Message: fmt.Sprintf("maxUnavailable is 0%s", sign(percent))})
			}
			continue
		}
		n, percent, ok := amount(spec.Get("minAvailable"))
		if !ok {
			continue
		}
		if percent && n >= 100 {
			in.Report(check.Hit{Object: b.object, Path: "spec.minAvailable", Message: fmt.Sprintf("minAvailable is %d%%", n)})
			continue
		}
		_, most, known := b.pods(in.Snapshot)
		if !known || most == 0 {
			continue
		}
		want := n
		if percent {
			want = (n*most + 99) / 100 // rounded up, as the disruption controller does
		}
		if want >= most {
			in.Report(check.Hit{
				Object: b.object, Path: "spec.minAvailable",
				Message: fmt.Sprintf("minAvailable is %d%s of at most %d pods", n, sign(percent), most),
			})
		}
	}
}

// budgetExceedsAutoscaler reports budgets that ask for more pods than the
// autoscaler keeps at its minimum.
func budgetExceedsAutoscaler(in *check.Input) {
	for _, b := range budgets(in.Snapshot) {
		n, percent, ok := amount(b.object.Root.At("spec", "minAvailable"))
		if !ok || percent || !b.autoscaled(in.Snapshot) {
			continue
		}
		least, _, known := b.pods(in.Snapshot)
		if known && n > least {
			in.Report(check.Hit{
				Object: b.object, Path: "spec.minAvailable",
				Message: fmt.Sprintf("minAvailable is %d, but the autoscaler goes down to %d", n, least),
			})
		}
	}
}

// amount reads an int or a percentage.
func amount(n *document.Node) (value int64, percent, ok bool) {
	if i, isInt := n.Int(); isInt {
		return i, false, true
	}
	text, percent := strings.CutSuffix(n.Str(), "%")
	value, err := strconv.ParseInt(text, 10, 64)
	return value, percent, percent && err == nil && value >= 0
}

func sign(percent bool) string {
	if percent {
		return "%"
	}
	return ""
}

// pods is between how many pods a budget protects. known is false where some of
// them have no number, as those of a DaemonSet, or where there are none.
func (b *budget) pods(s *cluster.Snapshot) (least, most int64, known bool) {
	for _, t := range b.templates {
		switch t.Object.Kind {
		case "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController":
			lo, hi := replicaRange(s, t.Object)
			least, most, known = least+lo, most+hi, true
		default:
			return 0, 0, false
		}
	}
	return least, most, known
}

func (b *budget) autoscaled(s *cluster.Snapshot) bool {
	for _, t := range b.templates {
		if len(autoscalers(s)[workloadOf(t.Object)]) > 0 {
			return true
		}
	}
	return false
}
