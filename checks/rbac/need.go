package rbacchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/rbac"
)

// need is one permission that a question is about. Verbs, groups and resources
// are alternatives; "*" asks for a literal "*".
type need struct {
	groups, resources, verbs []string
	// scope is cluster where only a ClusterRoleBinding gives the permission:
	// requests for cluster-scoped resources have no namespace, so that a
	// RoleBinding never applies to them.
	scope string
	// names are those to which a rule may be restricted and still count;
	// anyName takes any restriction. Without either, a rule with resourceNames
	// does not count: it speaks of objects that somebody chose.
	names   []string
	anyName bool
	// before is the Kubernetes minor version from which on the permission no
	// longer has the effect; 0 is none.
	before int
	// severity replaces the check's.
	severity seawall.Severity
	// with are permissions that the same subject must hold too, by whatever
	// binding, in the same namespace.
	with []need
}

// match is what one rule gives of one need.
type match struct {
	need             *need
	rule             *rbac.Rule
	verbs, resources []string
}

// matches says which of the verbs and resources of the need a rule gives.
func (n *need) matches(rule *rbac.Rule, in *check.Input) (match, bool) {
	m := match{need: n, rule: rule}
	if !n.allowsNames(rule) || n.before > 0 && minor(in) >= n.before {
		return m, false
	}
	for _, verb := range n.verbs {
		for _, group := range n.groups {
			for _, resource := range n.resources {
				if rule.Grants(verb, group, resource) {
					m.add(verb, resource)
				}
			}
		}
	}
	return m, len(m.verbs) > 0
}

func (m *match) add(verb, resource string) {
	if !slices.Contains(m.verbs, verb) {
		m.verbs = append(m.verbs, verb)
	}
	if !slices.Contains(m.resources, resource) {
		m.resources = append(m.resources, resource)
	}
}

func (n *need) allowsNames(rule *rbac.Rule) bool {
	return rule.Unnamed() || n.anyName || slices.ContainsFunc(n.names, rule.Named)
}

// minor is the minor version to judge for: the cluster's own where it is known.
func minor(in *check.Input) int {
	parts := strings.SplitN(strings.TrimPrefix(in.Snapshot.Version, "v"), ".", 3)
	if len(parts) > 1 {
		n := 0
		if _, err := fmt.Sscanf(parts[1], "%d", &n); err == nil {
			return n
		}
	}
	return in.Minor
}
