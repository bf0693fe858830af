package namespacechecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
)

// noNetworkPolicy reports namespaces in which no network policy holds.
func noNetworkPolicy(in *check.Input) {
	if unlisted(in, "networkpolicies", "network policies") {
		return
	}
	m := netpol.Of(in.Snapshot)
	for _, o := range namespaces(in) {
		if !m.Holds(o.Name) {
			in.Report(check.Hit{Object: o, Path: "metadata.name"})
		}
	}
}

// noLimitRange reports namespaces with workloads that have no LimitRange.
func noLimitRange(in *check.Input) { lacks(in, "LimitRange", "limitranges") }

// noResourceQuota reports namespaces with workloads that have no ResourceQuota.
func noResourceQuota(in *check.Input) { lacks(in, "ResourceQuota", "resourcequotas") }

func lacks(in *check.Input, kind, resource string) {
	if unlisted(in, resource, kind+"s") {
		return
	}
	have := map[string]bool{}
	for _, o := range in.Snapshot.Kind(kind) {
		have[namespaceOf(o)] = true
	}
	for _, o := range namespaces(in) {
		if !have[o.Name] && peopled(in.Snapshot)[o.Name] {
			in.Report(check.Hit{Object: o, Path: "metadata.name"})
		}
	}
}

// noOwnAccount reports namespaces with workloads and with no ServiceAccount but
// the one that Kubernetes makes.
func noOwnAccount(in *check.Input) {
	if unlisted(in, "serviceaccounts", "service accounts") {
		return
	}
	have := map[string]bool{}
	for _, o := range in.Snapshot.Kind("ServiceAccount") {
		if o.Name != "default" {
			have[namespaceOf(o)] = true
		}
	}
	for _, o := range namespaces(in) {
		if !have[o.Name] && peopled(in.Snapshot)[o.Name] {
			in.Report(check.Hit{Object: o, Path: "metadata.name"})
		}
	}
}

// unlisted says, and reports once, that a cluster's objects could not be listed
// whose absence is to be judged.
func unlisted(in *check.Input, resource, what string) bool {
	if !in.Snapshot.Whole || !netpol.Unlisted(in.Snapshot, resource) {
		return false
	}
	in.Unknown(nil, what+" could not be listed: it is not known which namespaces lack them")
	return true
}

// incompleteQuota reports namespaces whose quotas, taken together, leave requests
// or limits of CPU or memory unbounded, on the first quota of the namespace.
func incompleteQuota(in *check.Input) {
	first := map[string]*cluster.Object{}
	bounded := map[string]map[string]bool{}
	var order []string
	for _, o := range in.Snapshot.Kind("ResourceQuota") {
		ns := namespaceOf(o)
		if first[ns] == nil {
			first[ns], bounded[ns] = o, map[string]bool{}
			order = append(order, ns)
		}
		for _, f := range o.Root.At("spec", "hard").Map() {
			name := f.Key
			if name == "cpu" || name == "memory" {
				name = "requests." + name // an older name of the same
			}
			bounded[ns][name] = true
		}
	}
	for _, ns := range order {
		missing := slices.DeleteFunc([]string{"requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}, func(name string) bool {
			return bounded[ns][name]
		})
		if len(missing) > 0 {
			in.Report(check.Hit{
				Object: first[ns], Path: "spec.hard",
				Message: fmt.Sprintf("nothing bounds %s in namespace %s", strings.Join(missing, ", "), ns),
			})
		}
	}
}

// defaultUsed reports objects in the namespace default, and workloads in plain
// files that name none: what goes with them would only repeat it.
func defaultUsed(in *check.Input) {
	for _, o := range in.Snapshot.Objects {
		switch {
		case !livesInNamespace(o), o.Namespace != "" && o.Namespace != "default", isKubernetesOwn(o), in.Snapshot.Controller(o) != nil:
		case o.Namespace == "default":
			in.Report(check.Hit{Object: o, Path: "metadata.namespace", Message: "lives in the namespace default"})
		case o.Place == nil && !in.Snapshot.Whole && len(cluster.PodTemplates(o)) > 0:
			in.Report(check.Hit{Object: o, Path: "metadata", Message: "names no namespace: it goes to default unless whoever applies it says otherwise"})
		}
	}
}

// livesInNamespace says that an object is of one of Kubernetes' own kinds that
// people write and that live in namespaces.
func livesInNamespace(o *cluster.Object) bool {
	switch o.Group() + "/" + o.Kind {
	case "/Pod", "/Service", "/ConfigMap", "/Secret", "/ServiceAccount", "/PersistentVolumeClaim", "/ReplicationController",
		"/ResourceQuota", "/LimitRange", "/PodTemplate",
		"apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job", "batch/CronJob",
		"autoscaling/HorizontalPodAutoscaler", "policy/PodDisruptionBudget",
		"networking.k8s.io/Ingress", "networking.k8s.io/NetworkPolicy",
		"rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/RoleBinding":
		return true
	}
	return false
}

// isKubernetesOwn says that Kubernetes makes an object in every namespace, or in
// default.
func isKubernetesOwn(o *cluster.Object) bool {
	switch o.Kind + "/" + o.Name {
	case "Service/kubernetes", "ServiceAccount/default", "ConfigMap/kube-root-ca.crt":
		return true
	}
	return false
}
