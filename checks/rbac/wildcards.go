package rbacchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/rbac"
)

// wildcards reports bindings to roles, but for those that the parameter
// exceptRoles names, of which a rule has a * among its verbs, resources or API
// groups.
func wildcards(in *check.Input) {
	except := in.Strings("exceptRoles")
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		if b.Object == nil || slices.Contains(except, b.RoleName) && b.RoleKind == rbac.ClusterRoleKind {
			continue
		}
		who := concerned(b)
		if b.Malformed == "" && len(who) == 0 || unresolved(in, b) {
			continue
		}
		if found := wildRules(b.Role); len(found) > 0 {
			in.Report(check.Hit{
				Object: b.Object, Path: "roleRef",
				Message: fmt.Sprintf("%s bound %s to %s with wildcards: %s", names(who), where(b), b.Role, list(found, "; ")),
			})
		}
	}
}

// wildRules names the wildcards of a role: rules[0] verbs, resources.
func wildRules(r *rbac.Role) []string {
	var out []string
	for _, rule := range r.Rules {
		var fields []string
		if slices.Contains(rule.Verbs, "*") {
			fields = append(fields, "verbs")
		}
		if slices.ContainsFunc(rule.Resources, isWild) {
			fields = append(fields, "resources")
		}
		if slices.Contains(rule.APIGroups, "*") {
			fields = append(fields, "apiGroups")
		}
		if len(fields) == 0 {
			continue
		}
		at := fmt.Sprintf("rules[%d]", rule.Index)
		if rule.Origin != r {
			at += " of " + rule.Origin.String()
		}
		out = append(out, at+" "+strings.Join(fields, ", "))
	}
	return out
}

// isWild takes * and */subresource. pods/* is no wildcard to Kubernetes.
func isWild(resource string) bool { return resource == "*" || strings.HasPrefix(resource, "*/") }
