package rbacchecks

import (
	"fmt"

	"seawall.io/seawall/internal/check"
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

// unresolved says whether it cannot be known what a binding grants. A role that
// is missing is a finding of rbac-binding-missing-role, or of a list that could
// not be read, and not of every other check again; one that is malformed is
// reported here.
func unresolved(in *check.Input, b *rbac.Binding) bool {
	var reason string
	switch {
	case b.Malformed != "":
		reason = fmt.Sprintf("%s is malformed: %s", b, b.Malformed)
	case b.Role != nil && b.Role.Malformed != "":
		reason = fmt.Sprintf("what %s grants is unknown: %s is malformed: %s", b, b.Role, b.Role.Malformed)
	default:
		return b.Role == nil
	}
	in.Unknown(b.Object, reason)
	return true
}
