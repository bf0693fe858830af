package rbacchecks

import (
	"fmt"
	"slices"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// openSubjects reports each subject of a binding that the parameters users and
// groups name, unless Kubernetes itself binds it so, or the parameter
// exceptBindings names the binding.
func openSubjects(in *check.Input) {
	users, groups, except := in.Strings("users"), in.Strings("groups"), in.Strings("exceptBindings")
	shipped := rbac.Defaults()
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		if b.Object == nil || slices.Contains(except, b.Name) {
			continue
		}
		if b.Malformed != "" {
			unresolved(in, b)
			continue
		}
		for i, s := range b.Subjects {
			named := s.Kind == rbac.UserKind && slices.Contains(users, s.Name) ||
				s.Kind == rbac.GroupKind && slices.Contains(groups, s.Name)
			if named && !isDefault(shipped, b, s) {
				in.Report(check.Hit{
					Object: b.Object, Path: document.Index("subjects", i), Cause: s.String(),
					Message: fmt.Sprintf("%s bound to %s %s", s, b.RoleRef(), where(b)),
				})
			}
		}
	}
}

// isDefault says that Kubernetes itself binds a subject so.
func isDefault(shipped *rbac.Model, b *rbac.Binding, s rbac.Subject) bool {
	have := shipped.Binding(b.Kind, b.Namespace, b.Name)
	return have != nil && have.RoleName == b.RoleName && slices.Contains(have.Subjects, s)
}
