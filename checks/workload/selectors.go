package workloadchecks

import (
	"fmt"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// selectorMismatch reports workloads whose selector does not select the pods
// of their own template.
func selectorMismatch(in *check.Input) {
	for _, kind := range [...]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"} {
		for _, o := range in.Snapshot.Kind(kind) {
			if problem, fix := selectorProblem(o); problem != "" {
				in.Report(check.Hit{Object: o, Path: "spec.selector", Message: problem, Fix: fix})
			}
		}
	}
}

func selectorProblem(o *cluster.Object) (problem string, fix []seawall.PatchOp) {
	selector, labels := o.Root.At("spec", "selector"), o.Root.At("spec", "template", "metadata", "labels")
	var sel cluster.Selector
	switch {
	case o.Kind == "ReplicationController" && o.Group() == "":
		if selector.Len() == 0 {
			return "", nil // defaults to the labels
		}
		sel = cluster.MapSelector(selector)
	case o.Kind == "Job":
		// Without manualSelector the API server makes selector and label.
		if manual, _ := o.Root.At("spec", "manualSelector").Bool(); !manual || o.Group() != "batch" {
			return "", nil
		}
		fallthrough
	case ofApps(o):
		var err error
		if sel, err = cluster.LabelSelector(selector); err != nil {
			return "the selector is invalid: " + err.Error(), nil
		}
	default:
		return "", nil
	}
	switch {
	case selector.IsNull() && (o.APIVersion == "extensions/v1beta1" || o.APIVersion == "apps/v1beta1"):
		return "", nil // defaults to the labels
	case selector.IsNull():
		return "the selector is missing", nil
	case sel.Everything():
		return "the selector is empty", nil
	case !sel.Matches(labels):
		return "the selector does not match the labels of the pod template", adoptLabels(o, sel, labels)
	}
	return "", nil
}

// adoptLabels gives the template the labels that the selector asks for, where
// that is enough. The selector itself cannot be changed once applied.
func adoptLabels(o *cluster.Object, sel cluster.Selector, labels *document.Node) []seawall.PatchOp {
	merged := map[string]any{}
	for _, f := range labels.Map() {
		merged[f.Key] = f.Value.Value()
	}
	for k, v := range sel.Equalities() {
		merged[k] = v
	}
	if !sel.Matches(document.FromValue(merged)) {
		return nil
	}
	return patch.Set(o.Root, "spec.template.metadata.labels", merged)
}

// headlessService reports StatefulSets whose serviceName leads to no headless
// Service that selects their pods.
func headlessService(in *check.Input) {
	for _, o := range in.Snapshot.Kind("StatefulSet") {
		templates := cluster.PodTemplates(o)
		if !ofApps(o) || len(templates) == 0 {
			continue
		}
		if problem := serviceProblem(in.Snapshot, o, &templates[0]); problem != "" {
			in.Report(check.Hit{Object: o, Path: "spec.serviceName", Message: problem})
		}
	}
}

func serviceProblem(s *cluster.Snapshot, o *cluster.Object, t *cluster.PodTemplate) string {
	name := o.Root.At("spec", "serviceName").Str()
	if name == "" {
		return "serviceName is not set"
	}
	e := cluster.Exposures(s).Service(o.Namespace, name)
	switch {
	case e == nil && s.Whole && len(s.Incomplete) > 0:
		return ""
	case e == nil:
		return fmt.Sprintf("Service %q does not exist in namespace %s", name, namespace(o))
	case e.Service.Root.At("spec", "clusterIP").Str() != "None":
		return fmt.Sprintf("Service %q is not headless: its clusterIP is not None", name)
	case !cluster.MapSelector(e.Service.Root.At("spec", "selector")).MatchesPods(t):
		return fmt.Sprintf("Service %q does not select the pods", name)
	}
	return ""
}

// jobTTL reports Jobs that nothing cleans up, and CronJobs that delete the
// Jobs which their history is to keep. The parameter seconds is for the fix.
func jobTTL(in *check.Input) {
	for _, o := range in.Snapshot.Kind("Job") {
		if _, _, _, owned := o.ControllerOwner(); owned || o.Group() != "batch" || isHook(o) {
			continue
		}
		if o.Root.At("spec", "ttlSecondsAfterFinished").IsNull() {
			in.Report(check.Hit{
				Object: o, Path: "spec.ttlSecondsAfterFinished", Message: "ttlSecondsAfterFinished is not set",
				Fix: patch.Set(o.Root, "spec.ttlSecondsAfterFinished", int64(in.Int("seconds", 86400))),
			})
		}
	}
	const path = "spec.jobTemplate.spec.ttlSecondsAfterFinished"
	for _, o := range in.Snapshot.Kind("CronJob") {
		if n, _ := o.Root.Find(path); o.Group() == "batch" && !n.IsNull() {
			in.Report(check.Hit{
				Object: o, Path: path, Fix: patch.Remove(o.Root, path),
				Message: "ttlSecondsAfterFinished deletes Jobs that the history limits would keep",
			})
		}
	}
}

// isHook says that Helm or Argo CD deletes the Job.
func isHook(o *cluster.Object) bool {
	return o.Annotation("helm.sh/hook-delete-policy") != "" || o.Annotation("argocd.argoproj.io/hook-delete-policy") != ""
}
