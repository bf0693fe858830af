package rbacchecks

import (
	"fmt"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

func inScope(scope string, b *rbac.Binding) bool {
	switch scope {
	case "cluster":
		return b.Cluster()
	case "namespace":
		return !b.Cluster()
	}
	return true
}

// concerned returns the subjects of a binding outside the control plane. Users
// and groups that Kubernetes and kubeadm name are left out, and so are, where
// the binding itself has such a name, the accounts of kube-system.
func concerned(b *rbac.Binding) []rbac.Subject {
	shipped := rbac.SystemName(b.Name)
	var out []rbac.Subject
	for _, s := range b.Subjects {
		ns, _, account := s.Account()
		if s.System() || shipped && account && ns == "kube-system" {
			continue
		}
		out = append(out, s)
	}
	return out
}

// unresolved reports a binding of which it cannot be known what it grants.
func unresolved(in *check.Input, b *rbac.Binding) bool {
	var reason string
	switch {
	case b.Malformed != "":
		reason = fmt.Sprintf("%s is malformed: %s", b, b.Malformed)
	case b.Role == nil && partial(in.Snapshot):
		reason = fmt.Sprintf("what %s grants is unknown: %s is not among the objects", b, b.RoleRef())
	case b.Role != nil && b.Role.Malformed != "":
		reason = fmt.Sprintf("what %s grants is unknown: %s is malformed: %s", b, b.Role, b.Role.Malformed)
	default:
		return b.Role == nil
	}
	in.Unknown(b.Object, reason)
	return true
}

// partial says that an object which is not in the snapshot may exist all the
// same.
func partial(s *cluster.Snapshot) bool { return !s.Whole || len(s.Incomplete) > 0 }
