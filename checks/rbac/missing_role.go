package rbacchecks

import (
	"fmt"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/rbac"
)

// missingRole reports bindings whose role does not exist. In files, a role
// that is neither among them nor made by Kubernetes itself counts as missing:
// what the files do not bring must be there before them.
func missingRole(in *check.Input) {
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		switch {
		case b.Object == nil || b.Role != nil:
		case b.Malformed != "":
			in.Report(check.Hit{Object: b.Object, Path: "roleRef", Message: fmt.Sprintf("the binding is malformed: %s", b.Malformed)})
		case in.Snapshot.Whole && len(in.Snapshot.Incomplete) > 0:
			unresolved(in, b)
		case in.Snapshot.Whole:
			in.Report(check.Hit{Object: b.Object, Path: "roleRef", Message: fmt.Sprintf("%s does not exist", target(b))})
		default:
			in.Report(check.Hit{
				Object: b.Object, Path: "roleRef",
				Message: fmt.Sprintf("%s is neither in the files nor a default of Kubernetes", target(b)),
			})
		}
	}
}

// target names the role of a binding with its namespace.
func target(b *rbac.Binding) string {
	if b.RoleKind == rbac.RoleKind {
		return fmt.Sprintf("%s in namespace %s", b.RoleRef(), b.Namespace)
	}
	return b.RoleRef()
}
