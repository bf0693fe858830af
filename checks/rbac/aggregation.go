package rbacchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/rbac"
)

// aggregation reports ClusterRoles that add, by label, one of the permissions
// of the parameter anyOf to a built-in role that does not have it as Kubernetes
// ships it.
func aggregation(in *check.Input) {
	q, err := readQuery(in.Params)
	if err != nil {
		in.Unknown(nil, "parameters of the check: "+err.Error())
		return
	}
	shipped := rbac.Defaults()
	for _, r := range rbac.Of(in.Snapshot).Roles {
		if r.Object == nil || rbac.SystemName(r.Name) {
			continue
		}
		targets := slices.DeleteFunc(r.AggregatesTo(), func(name string) bool {
			return name == r.Name || shipped.Role(rbac.ClusterRoleKind, "", name) == nil
		})
		if len(targets) == 0 {
			continue
		}
		if r.Malformed != "" {
			in.Unknown(r.Object, fmt.Sprintf("what %s adds to %s is unknown: it is malformed: %s", r, strings.Join(targets, ", "), r.Malformed))
			continue
		}
		for _, target := range targets {
			q.reportAdded(in, r, shipped.Role(rbac.ClusterRoleKind, "", target))
		}
	}
}

func (q *query) reportAdded(in *check.Input, r, target *rbac.Role) {
	var added []string
	for i := range q.anyOf {
		for _, rule := range r.Rules {
			if m, ok := q.anyOf[i].newIn(rule, target, in); ok {
				added = append(added, m.phrase(r))
			}
		}
	}
	if len(added) > 0 {
		in.Report(check.Hit{
			Object: r.Object, Path: fmt.Sprintf(`metadata.labels["rbac.authorization.k8s.io/aggregate-to-%s"]`, target.Name),
			Message: fmt.Sprintf("everybody bound to ClusterRole %q gains: %s", target.Name, list(added, "; ")),
		})
	}
}

// newIn is matches without what the target has already.
func (n *need) newIn(rule *rbac.Rule, target *rbac.Role, in *check.Input) (match, bool) {
	m := match{need: n, rule: rule}
	for _, verb := range n.verbs {
		for _, group := range n.groups {
			for _, resource := range n.resources {
				one := need{verbs: []string{verb}, groups: []string{group}, resources: []string{resource}, names: n.names, anyName: n.anyName}
				_, gives := one.matches(rule, in)
				has := slices.ContainsFunc(target.Rules, func(have *rbac.Rule) bool {
					return have.Unnamed() && have.Grants(verb, group, resource)
				})
				if gives && !has {
					m.add(verb, resource)
				}
			}
		}
	}
	return m, len(m.verbs) > 0
}
