package isolation

import (
	"fmt"
	"maps"
	"slices"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// clusterWide are service accounts of the namespace that are bound in the whole
// cluster.
func (v *viewer) clusterWide(ns string, _ *cluster.Object) Row {
	var names []string
	var evidence []Evidence
	for _, b := range v.rbac.Bindings {
		if !b.Cluster() || b.Object == nil {
			continue
		}
		for _, s := range b.Subjects {
			if at, name, ok := s.Account(); ok && at == ns {
				names = append(names, fmt.Sprintf("%s (%s)", name, b.RoleRef()))
				evidence = append(evidence, Evidence{b.Object, "subjects"})
			}
		}
	}
	if len(names) == 0 {
		return row("cluster-wide-accounts", Good, "none of its service accounts is bound in the whole cluster")
	}
	return row("cluster-wide-accounts", Weak, "bound in the whole cluster: "+few(distinct(names)), evidence...)
}

// foreign are bindings here of service accounts from elsewhere.
func (v *viewer) foreign(ns string, _ *cluster.Object) Row {
	var names []string
	var evidence []Evidence
	for _, b := range v.rbac.Bindings {
		if b.Namespace != ns || b.Object == nil {
			continue
		}
		for _, s := range b.Subjects {
			at, name, ok := s.Account()
			group, all := s.AccountGroup()
			switch {
			case ok && at != ns && at != "kube-system":
				names = append(names, fmt.Sprintf("%s/%s (%s)", at, name, b.RoleRef()))
			case all && group != ns:
				names = append(names, fmt.Sprintf("all service accounts of %s (%s)", group, b.RoleRef()))
			case s.Open():
				names = append(names, fmt.Sprintf("%s (%s)", s.Name, b.RoleRef()))
			default:
				continue
			}
			evidence = append(evidence, Evidence{b.Object, "subjects"})
		}
	}
	if len(names) == 0 {
		return row("foreign-subjects", Good, "no service account of another namespace is bound here")
	}
	return row("foreign-subjects", Weak, "bound here from elsewhere: "+few(distinct(names)), evidence...)
}

// changing is what makes a subject one of those who run a namespace.
var changing = []rbac.Attributes{
	{Verb: "create", Resource: "pods"},
	{Verb: "create", Group: "apps", Resource: "deployments"},
	{Verb: "list", Resource: "secrets"},
}

// findWriters finds who runs which namespaces.
func (v *viewer) findWriters() {
	v.writers = map[rbac.Subject][]string{}
	runs := map[*rbac.Role]bool{}
	for _, b := range v.rbac.Bindings {
		if b.Cluster() || b.Role == nil || b.Object == nil {
			continue
		}
		run, known := runs[b.Role]
		if !known {
			run = slices.ContainsFunc(changing, func(a rbac.Attributes) bool {
				_, ok := b.Role.Allows(a)
				return ok
			})
			runs[b.Role] = run
		}
		if !run {
			continue
		}
		for _, s := range b.Subjects {
			if !ownSystem(s) {
				v.writers[s] = append(v.writers[s], b.Namespace)
			}
		}
	}
	for s, list := range v.writers {
		v.writers[s] = distinct(list)
	}
}

// shared are those who run this namespace and others: duties are separate as far
// as these are meant to be one team.
func (v *viewer) shared(ns string, _ *cluster.Object) Row {
	others := map[string]bool{}
	var names []string
	for s, list := range v.writers {
		if len(list) < 2 || !slices.Contains(list, ns) {
			continue
		}
		names = append(names, subjectName(s))
		for _, other := range list {
			if other != ns {
				others[other] = true
			}
		}
	}
	if len(names) == 0 {
		return row("shared-subjects", Good, "who runs it by a RoleBinding runs no other namespace")
	}
	return row("shared-subjects", Weak, fmt.Sprintf("%s also run %s", few(distinct(names)), few(slices.Sorted(maps.Keys(others)))))
}
