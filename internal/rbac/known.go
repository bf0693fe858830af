package rbac

import (
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
)

// The resources of the group, as kubectl names them and internal/kube does in
// what it could not list.
const (
	roles               = "roles." + group
	clusterRoles        = "clusterroles." + group
	roleBindings        = "rolebindings." + group
	clusterRoleBindings = "clusterrolebindings." + group
)

// Concerns says whether something that could not be read may have been a role
// or a binding, so that answers about permissions lack what it grants. A list
// of some other resource of a cluster does not concern them.
func Concerns(hole seawall.Incomplete) bool {
	if hole.Location.File != "" {
		return true
	}
	verb, rest, _ := strings.Cut(hole.Reason, " ")
	what, _, _ := strings.Cut(rest, " ")
	what = strings.TrimSuffix(what, ":")
	switch verb {
	case "list":
		return strings.HasSuffix(what, "."+group)
	case "discover":
		return what == "/apis" || strings.HasPrefix(what, group+"/")
	}
	return !strings.HasPrefix(hole.Reason, "read /version:")
}

// listed says whether a snapshot is of a cluster and has all objects of a
// resource. Snapshots of one namespace have all that is in none.
func listed(s *cluster.Snapshot, resource string) bool {
	if s.Whole {
		return true
	}
	if s.Version == "" || resource == roles || resource == roleBindings {
		return false
	}
	for _, hole := range s.Incomplete {
		ofAnother := strings.HasPrefix(hole.Reason, "list ") && !strings.HasPrefix(hole.Reason, "list "+resource)
		if Concerns(hole) && !ofAnother {
			return false
		}
	}
	return true
}
