package netpol

import (
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Answer is what is known of a question.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

// Finds says whether a selector finds pods in a namespace. Beyond the templates
// of workloads it looks at the pods of a cluster themselves, and at custom
// objects whose labels, or the labels that they have for pods, it selects:
// their operators make the pods. In a snapshot of files it is unknown where the
// files hold no workload of the namespace at all, and where the selector asks
// for labels that only controllers give.
func Finds(s *cluster.Snapshot, namespace string, sel cluster.Selector) Answer {
	namespace = orDefault(namespace)
	if len(s.Selected(namespace, sel)) > 0 {
		return Yes
	}
	x := placesOf(s)
	for _, o := range x.others[namespace] {
		if sel.Matches(otherLabels(o)) {
			return Yes
		}
	}
	if s.Whole {
		return No
	}
	for key := range sel.Equalities() {
		if IsGenerated(key) {
			return Unknown
		}
	}
	if !x.workloads[namespace] {
		return Unknown
	}
	return No
}

// IsGenerated says that controllers of Kubernetes give pods a label, which is
// then in no template.
func IsGenerated(key string) bool {
	switch key {
	case "job-name", "controller-uid", "pod-template-hash", "pod-template-generation", "controller-revision-hash":
		return true
	}
	return strings.HasPrefix(key, "batch.kubernetes.io/") || strings.HasPrefix(key, "apps.kubernetes.io/") ||
		strings.HasPrefix(key, "statefulset.kubernetes.io/") || strings.HasPrefix(key, "jobset.sigs.k8s.io/") ||
		strings.HasPrefix(key, "leaderworkerset.sigs.k8s.io/")
}

type places struct {
	// workloads are the namespaces that hold a pod template.
	workloads map[string]bool
	// others are pods of controllers and custom objects, by namespace.
	others map[string][]*cluster.Object
}

func placesOf(s *cluster.Snapshot) *places {
	type key struct{}
	return cluster.Derive(s, key{}, func() *places {
		x := &places{workloads: map[string]bool{}, others: map[string][]*cluster.Object{}}
		templates := s.Templates()
		for i := range templates {
			x.workloads[templates[i].Namespace()] = true
		}
		for _, o := range s.Objects {
			ns := orDefault(o.Namespace)
			switch {
			case o.Kind == "Pod" && o.Group() == "" && s.Controller(o) != nil, isCustom(o):
				x.others[ns] = append(x.others[ns], o)
			}
		}
		return x
	})
}

// isCustom says that an object is of a kind that an operator may make pods for.
func isCustom(o *cluster.Object) bool {
	g := o.Group()
	if g == "monitoring.coreos.com" {
		switch o.Kind {
		case "ServiceMonitor", "PodMonitor", "PrometheusRule", "Probe", "ScrapeConfig":
			return false
		}
	}
	return strings.Contains(g, ".") && !strings.HasSuffix(g, ".k8s.io") && g != "cilium.io" &&
		!strings.HasSuffix(g, "projectcalico.org") && g != "traefik.io" && g != "projectcontour.io" &&
		g != "cert-manager.io" && !strings.HasSuffix(g, ".istio.io") && g != "bitnami.com"
}

// otherLabels joins the labels that an object has with those that it has for
// its pods, where operators commonly take them from.
func otherLabels(o *cluster.Object) *document.Node {
	own := o.Root.At("metadata", "labels")
	pods := o.Root.At("spec", "podMetadata", "labels")
	if o.Kind == "Pod" || pods == nil {
		return own
	}
	var out []document.Field
	for _, f := range own.Map() {
		if pods.Get(f.Key) == nil {
			out = append(out, f)
		}
	}
	return document.NewMap(document.Pos{}, append(out, pods.Map()...))
}

// Unlisted says that the snapshot of a cluster lacks objects of a resource,
// named as kubectl names it, because they could not be listed.
func Unlisted(s *cluster.Snapshot, resource string) bool {
	for _, hole := range s.Incomplete {
		if strings.HasPrefix(hole.Reason, "list "+resource) {
			return true
		}
	}
	return false
}
