package netpol

import (
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// InNamespace says whether a selector selects a namespace, "" being default. Of
// a namespace that the snapshot lacks, and may lack, only the name is known.
func (m *Model) InNamespace(sel cluster.Selector, namespace string) Answer {
	namespace = orDefault(namespace)
	labels := m.namespaces[namespace]
	if labels == nil {
		labels = namespaceLabels(namespace, nil)
	}
	if m.KnowsNamespace(namespace) {
		return answer(sel.Matches(labels))
	}
	return m.partly(sel, labels, func(key string) bool { return key == nameLabel })
}

// KnowsNamespace says whether the labels of a namespace are known.
func (m *Model) KnowsNamespace(namespace string) bool {
	return m.known[orDefault(namespace)] || m.snapshot.Whole && !Unlisted(m.snapshot, "namespaces")
}

// MatchesPods says whether a selector selects the pods of a template. It is
// Unknown where the selector asks for labels that a controller or operator may
// give the pods beside those of the template, and where it selects some pods of
// a StatefulSet by their names.
func (m *Model) MatchesPods(sel cluster.Selector, t *cluster.PodTemplate) Answer {
	labels := t.Root.At("metadata", "labels")
	if t.Object.Kind == "StatefulSet" && !sel.MatchesPods(t) {
		if part, _ := sel.Only(func(key string) bool { return !GivenBy(t.Object, key) || isMember(key) }); !part.MatchesPods(t) {
			return No
		}
	}
	return m.partly(sel, labels, func(key string) bool { return labels.Get(key) != nil || !GivenBy(t.Object, key) })
}

func isMember(key string) bool {
	return key == "statefulset.kubernetes.io/pod-name" || key == "apps.kubernetes.io/pod-index"
}

// Applies says whether a policy holds for the pods of a template.
func (m *Model) Applies(p *Policy, t *cluster.PodTemplate) Answer {
	ns := t.Namespace()
	switch {
	case p.namespace != "" && p.namespace != ns:
		return No
	case p.unread:
		return Yes
	case p.Err != nil:
		return Unknown
	case p.cilium:
		labels := m.ciliumLabels(t)
		return m.partly(p.pods, labels, func(key string) bool {
			ofNamespace := strings.HasPrefix(key, ciliumNamespaceLabels) && key != ciliumNamespaceLabels+nameLabel
			return labels.Get(key) != nil || !GivenBy(t.Object, key) && (!ofNamespace || m.KnowsNamespace(ns))
		})
	}
	out := Yes
	if p.namespace == "" {
		out = m.InNamespace(p.namespaces, ns)
	}
	if out != No {
		if pods := m.MatchesPods(p.pods, t); pods != Yes {
			return pods
		}
	}
	return out
}

// partly matches a selector against labels of which only those with known keys
// are known.
func (*Model) partly(sel cluster.Selector, labels *document.Node, known func(key string) bool) Answer {
	part, whole := sel.Only(known)
	switch {
	case !part.Matches(labels):
		return No
	case !whole:
		return Unknown
	}
	return Yes
}

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// GivenBy says whether the pods of an object may carry a label that is not in
// its template: one that the controller of its kind adds, or any where the
// controller is somebody's operator.
func GivenBy(o *cluster.Object, key string) bool {
	switch o.Kind {
	case "Pod", "ReplicationController", "PodTemplate":
		return false
	case "Deployment", "ReplicaSet":
		return key == "pod-template-hash"
	case "DaemonSet":
		return key == "controller-revision-hash" || key == "pod-template-generation"
	case "StatefulSet":
		return key == "controller-revision-hash" || isMember(key) || strings.HasPrefix(key, "leaderworkerset.sigs.k8s.io/")
	case "Job", "CronJob":
		return key == "job-name" || key == "controller-uid" || strings.HasPrefix(key, "batch.kubernetes.io/") ||
			strings.HasPrefix(key, "jobset.sigs.k8s.io/")
	}
	return true
}
