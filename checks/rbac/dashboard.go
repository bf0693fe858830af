package rbacchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// dashboard reports who borrows the rights of Kubernetes Dashboard: workloads
// other than it that run as one of its service accounts, and subjects other
// than those that are bound to its roles. The parameter names says what
// accounts, roles and workloads of the Dashboard are called or begin with.
func dashboard(in *check.Input) {
	prefixes := in.Strings("names")
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		if !called(prefixes, t.ServiceAccount()) || isDashboard(prefixes, t) {
			continue
		}
		in.Report(check.Hit{
			Object: t.Object, Path: t.SpecPath + ".serviceAccountName", Cause: t.ServiceAccount(),
			Message: fmt.Sprintf("runs as ServiceAccount %s/%s, which is the Dashboard's", t.Namespace(), t.ServiceAccount()),
		})
	}
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		if b.Object == nil || !called(prefixes, b.RoleName) {
			continue
		}
		others := slices.DeleteFunc(concerned(b), func(s rbac.Subject) bool {
			_, name, ok := s.Account()
			return ok && called(prefixes, name)
		})
		if len(others) > 0 {
			in.Report(check.Hit{
				Object: b.Object, Path: "roleRef",
				Message: fmt.Sprintf("%s bound to the Dashboard's %s %s", names(others), b.RoleRef(), where(b)),
			})
		}
	}
}

// called says whether a name is one of the prefixes, or begins with one and a
// dash.
func called(prefixes []string, name string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return name == p || strings.HasPrefix(name, p+"-") })
}

// isDashboard tells the Dashboard's own workloads by their names, or by images
// all of which have dashboard in their names.
func isDashboard(prefixes []string, t *cluster.PodTemplate) bool {
	if called(prefixes, t.Object.Name) || strings.HasPrefix(t.Object.Name, "dashboard-metrics-scraper") {
		return true
	}
	for i := range t.Containers {
		if !strings.Contains(t.Containers[i].Image(), "dashboard") {
			return false
		}
	}
	return len(t.Containers) > 0
}
