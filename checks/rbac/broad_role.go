package rbacchecks

import (
	"fmt"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/rbac"
)

// broadRole reports bindings to the built-in ClusterRoles that the parameter
// roles names, each with its severity.
func broadRole(in *check.Input) {
	severities, err := roleSeverities(in.Params["roles"])
	if err != nil {
		in.Unknown(nil, err.Error())
		return
	}
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		severity, named := severities[b.RoleName]
		if b.Object == nil || !named || b.RoleKind != rbac.ClusterRoleKind {
			continue
		}
		if who := concerned(b); len(who) > 0 {
			in.Report(check.Hit{
				Object: b.Object, Path: "roleRef", Severity: severity,
				Message: fmt.Sprintf("%s bound to the built-in %s %s", names(who), b.RoleRef(), where(b)),
			})
		}
	}
}

func roleSeverities(param any) (map[string]seawall.Severity, error) {
	roles, ok := param.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("parameter roles: want a mapping of ClusterRoles to severities")
	}
	out := make(map[string]seawall.Severity, len(roles))
	for name, v := range roles {
		text, _ := v.(string)
		severity, err := seawall.ParseSeverity(text)
		if err != nil {
			return nil, fmt.Errorf("parameter roles: %s: %w", name, err)
		}
		out[name] = severity
	}
	return out, nil
}
