// Package isolation tells, for each namespace of a cluster, what separates it from
// the others: what Pod Security admits, who can take that away, which connections
// policies stop, what is bound beyond the namespace, and what its pods can reach in
// the end. Teams that share a cluster are separate as far as their namespaces are.
package isolation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
	"seawall.io/seawall/internal/reach"
)

// State is how well one aspect separates a namespace.
type State string

// The states, worst first. Unknown is no praise.
const (
	Open    State = "open"
	Weak    State = "weak"
	Unknown State = "unknown"
	Good    State = "good"
)

// Aspects are what is looked at, in the order of rows.
var Aspects = []string{
	"pod-security", "relabel", "ingress", "egress", "enforcement", "metadata", "api-server", "quota",
	"cluster-wide-accounts", "foreign-subjects", "shared-subjects", "host-access", "services", "references", "neighbours",
}

// Evidence is a place that shows something.
type Evidence struct {
	Object *cluster.Object
	Path   string
}

// Row is one aspect of a namespace.
type Row struct {
	Aspect   string
	State    State
	Text     string
	Evidence []Evidence
}

// View is what separates one namespace from the others.
type View struct {
	Namespace string
	Object    *cluster.Object // nil where it is not among the objects
	// System says that Kubernetes itself lives there.
	System bool
	Rows   []Row
	// Reaches are the namespaces that an attacker in its pods comes to, and
	// ReachedBy those from whose pods one comes here.
	Reaches, ReachedBy []string
}

// Of looks at all namespaces of a snapshot, sorted by name. The separation is that
// of the graph of attack paths.
func Of(s *cluster.Snapshot, separation *attack.Separation) []View {
	v := &viewer{snap: s, rbac: rbac.Of(s), reach: reach.Of(s), templates: map[string][]*cluster.PodTemplate{}, outside: map[int][]reach.Exit{}}
	names := map[string]bool{}
	templates := s.Templates()
	for i := range templates {
		t := &templates[i]
		v.templates[t.Namespace()] = append(v.templates[t.Namespace()], t)
		names[t.Namespace()] = true
	}
	for _, o := range s.Objects {
		switch {
		case o.Kind == "Namespace" && o.Group() == "":
			names[o.Name] = true
		case o.Namespace != "":
			names[o.Namespace] = true
		}
	}
	v.all = slices.Sorted(maps.Keys(names))
	v.findWriters()
	v.findNeighbours()
	var out []View
	for _, ns := range v.all {
		view := View{Namespace: ns, Object: s.Get("", "Namespace", "", ns), System: system(ns)}
		for _, look := range []func(string, *cluster.Object) Row{
			v.podSecurity, v.relabel, v.ingress, v.egress, v.enforcement, v.metadata, v.apiServer, v.quota,
			v.clusterWide, v.foreign, v.shared, v.hostAccess, v.services, v.references, v.neighbours,
		} {
			view.Rows = append(view.Rows, look(ns, view.Object))
		}
		for _, other := range separation.Namespaces {
			if separation.Reaches(ns, other) {
				view.Reaches = append(view.Reaches, other)
			}
			if separation.Reaches(other, ns) {
				view.ReachedBy = append(view.ReachedBy, other)
			}
		}
		out = append(out, view)
	}
	return out
}

func system(ns string) bool { return strings.HasPrefix(ns, "kube-") }

// viewer answers for one snapshot.
type viewer struct {
	snap      *cluster.Snapshot
	rbac      *rbac.Model
	reach     *reach.Model
	all       []string
	templates map[string][]*cluster.PodTemplate
	// outside is what the pods of each class reach outside.
	outside map[int][]reach.Exit
	// writers are the namespaces in which a subject may change workloads or read
	// Secrets by a binding of the namespace, by subject.
	writers map[rbac.Subject][]string
	// escapable are the nodes that a pod of a namespace can take, with the pod.
	escapable map[string]map[string]*cluster.Object
	nodes     map[string]map[string]bool // namespace: the nodes of its pods
}

// row makes a row. Of several states the worst counts.
func row(aspect string, state State, text string, evidence ...Evidence) Row {
	return Row{Aspect: aspect, State: state, Text: text, Evidence: evidence}
}

// few lists names, and says how many more there are.
func few(names []string) string {
	const shown = 4
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

const enforceLabel = "pod-security.kubernetes.io/enforce"

// podSecurity is the level that the built-in admission enforces.
func (v *viewer) podSecurity(_ string, o *cluster.Object) Row {
	const aspect = "pod-security"
	if o == nil {
		return row(aspect, Unknown, "the Namespace is not among the objects")
	}
	labels := o.Labels()
	level, version := labels[enforceLabel], cmp.Or(labels[enforceLabel+"-version"], "latest")
	at := Evidence{o, `metadata.labels["` + enforceLabel + `"]`}
	switch level {
	case "restricted":
		return row(aspect, Good, "restricted is enforced, version "+version, at)
	case "baseline":
		return row(aspect, Weak, "baseline is enforced, version "+version+": pods may run as root, with default capabilities", at)
	case "privileged":
		return row(aspect, Open, "privileged is enforced: pods may own their node", at)
	case "":
	default:
		return row(aspect, Open, fmt.Sprintf("%q is no level: privileged holds", level), at)
	}
	for _, mode := range []string{"warn", "audit"} {
		key := "pod-security.kubernetes.io/" + mode
		if labels[key] == "baseline" || labels[key] == "restricted" {
			return row(aspect, Open, fmt.Sprintf("nothing is enforced: %s only %ss", labels[key], mode), Evidence{o, `metadata.labels["` + key + `"]`})
		}
	}
	return row(aspect, Open, "no level is enforced: pods may own their node", Evidence{o, "metadata"})
}

// relabel is who may take the labels of the namespace away.
func (v *viewer) relabel(ns string, _ *cluster.Object) Row {
	who := map[string]bool{}
	var evidence []Evidence
	for _, verb := range []string{"patch", "update"} {
		for _, g := range v.rbac.WhoCan(rbac.Attributes{Verb: verb, Resource: "namespaces", Name: ns, Namespace: ns}) {
			if ownSystem(g.Subject) {
				continue
			}
			if name := subjectName(g.Subject); !who[name] {
				who[name] = true
				if g.Binding.Object != nil {
					evidence = append(evidence, Evidence{g.Binding.Object, "subjects"})
				}
			}
		}
	}
	names := slices.Sorted(maps.Keys(who))
	switch {
	case len(names) == 0:
		return row("relabel", Good, "nobody but Kubernetes itself may change its labels")
	case slices.ContainsFunc(v.accountsOf(ns), func(a string) bool { return who[a] }):
		return row("relabel", Open, "its own service accounts may change its labels: "+few(names), evidence...)
	}
	return row("relabel", Weak, "may change its labels: "+few(names), evidence...)
}

// ownSystem says that a subject is Kubernetes itself, and not what it calls
// everybody.
func ownSystem(s rbac.Subject) bool {
	if s.Open() {
		return false
	}
	if ns, _, ok := s.Account(); ok {
		return ns == "kube-system"
	}
	return rbac.SystemName(s.Name)
}

func subjectName(s rbac.Subject) string {
	if ns, name, ok := s.Account(); ok {
		return "service account " + ns + "/" + name
	}
	return strings.ToLower(s.Kind) + " " + s.Name
}

func (v *viewer) accountsOf(ns string) []string {
	var out []string
	for _, t := range v.templates[ns] {
		out = append(out, "service account "+ns+"/"+t.ServiceAccount())
	}
	return distinct(out)
}
