package rbacchecks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// manyRoles reports subjects that are bound to at least as many distinct roles
// as the parameter threshold says.
func manyRoles(in *check.Input) {
	type role struct{ kind, namespace, name string }
	roles := map[rbac.Subject]map[role]bool{}
	first := map[rbac.Subject]*rbac.Binding{}
	var order []rbac.Subject
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		if b.Object == nil {
			continue
		}
		r := role{kind: b.RoleKind, name: b.RoleName}
		if b.RoleKind == rbac.RoleKind {
			r.namespace = b.Namespace
		}
		for _, s := range concerned(b) {
			if roles[s] == nil {
				roles[s], first[s] = map[role]bool{}, b
				order = append(order, s)
			}
			roles[s][r] = true
		}
	}
	threshold := in.Int("threshold", 0)
	for _, s := range order {
		if len(roles[s]) < threshold {
			continue
		}
		var names []string
		for r := range roles[s] {
			names = append(names, strings.TrimPrefix(r.namespace+"/"+r.name, "/"))
		}
		slices.Sort(names)
		in.Report(check.Hit{
			Object: subjectObject(in.Snapshot, s, first[s]), Path: "metadata.name", Cause: s.String(),
			Message: fmt.Sprintf("%s bound to %d roles: %s", s, len(roles[s]), list(names, ", ")),
		})
	}
}

// subjectObject is the object that a finding about a subject is about: the service
// account itself, or the first binding of somebody who is no object.
func subjectObject(s *cluster.Snapshot, subject rbac.Subject, b *rbac.Binding) *cluster.Object {
	if ns, name, ok := subject.Account(); ok {
		if o := s.Get("", "ServiceAccount", ns, name); o != nil {
			return o
		}
	}
	return b.Object
}

// manySubjects reports namespaces in which RoleBindings give at least as many
// subjects something as the parameter threshold says. Who is bound in the whole
// cluster reaches every namespace and is not counted.
func manySubjects(in *check.Input) {
	who := map[string]map[rbac.Subject]bool{}
	first := map[string]*rbac.Binding{}
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		if b.Object == nil || b.Cluster() {
			continue
		}
		for _, s := range concerned(b) {
			if who[b.Namespace] == nil {
				who[b.Namespace], first[b.Namespace] = map[rbac.Subject]bool{}, b
			}
			who[b.Namespace][s] = true
		}
	}
	threshold := in.Int("threshold", 0)
	for _, ns := range slices.Sorted(maps.Keys(who)) {
		if len(who[ns]) < threshold {
			continue
		}
		subjects := slices.SortedFunc(maps.Keys(who[ns]), func(a, b rbac.Subject) int {
			return strings.Compare(a.String(), b.String())
		})
		o := in.Snapshot.Get("", "Namespace", "", ns)
		if o == nil {
			o = first[ns].Object
		}
		in.Report(check.Hit{
			Object: o, Path: "metadata.name", Cause: ns,
			Message: fmt.Sprintf("%d subjects are bound in namespace %s: %s", len(subjects), ns, names(subjects)),
		})
	}
}
