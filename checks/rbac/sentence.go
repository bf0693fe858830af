package rbacchecks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/rbac"
)

// shown is how many subjects, or rules, a message names before it counts.
const shown = 4

// sentence says who may do what, where, and by which rules.
func sentence(b *rbac.Binding, who []rbac.Subject, hit []match) string {
	phrases := make([]string, 0, len(hit))
	for _, m := range hit {
		if p := m.phrase(b.Role); !slices.Contains(phrases, p) {
			phrases = append(phrases, p)
		}
	}
	return fmt.Sprintf("%s may %s %s, by %s", names(who), list(phrases, "; "), where(b), b.Role)
}

// names lists subjects.
func names(subjects []rbac.Subject) string {
	out := make([]string, len(subjects))
	for i, s := range subjects {
		out[i] = s.String()
	}
	return list(out, ", ")
}

// list joins items, and counts those that would be too many.
func list(items []string, sep string) string {
	if len(items) <= shown {
		return strings.Join(items, sep)
	}
	return fmt.Sprintf("%s%sand %d more", strings.Join(items[:shown], sep), sep, len(items)-shown)
}

func where(b *rbac.Binding) string {
	if b.Cluster() {
		return "in the whole cluster"
	}
	return "in namespace " + b.Namespace
}

// phrase says what a rule gives: get, list secrets (rules[0]).
func (m *match) phrase(role *rbac.Role) string {
	what := strings.Join(m.resources, ", ")
	if what == "*" {
		what = "every resource"
		if !slices.Contains(m.rule.APIGroups, "*") {
			what += " of the core group"
		}
	}
	verbs := strings.Join(m.verbs, ", ")
	if verbs == "*" {
		verbs = "do anything to"
	}
	if !m.rule.Unnamed() {
		what += " named " + strings.Join(m.rule.ResourceNames, ", ")
	}
	at := fmt.Sprintf("rules[%d]", m.rule.Index)
	if m.rule.Origin != role {
		at += " of " + m.rule.Origin.String()
	}
	if m.throughWildcard() {
		at += ", through *"
	}
	return fmt.Sprintf("%s %s (%s)", verbs, what, at)
}

// throughWildcard says that the rule does not name what it gives.
func (m *match) throughWildcard() bool {
	for _, v := range m.verbs {
		if !slices.Contains(m.rule.Verbs, v) {
			return true
		}
	}
	for _, r := range m.resources {
		if !slices.Contains(m.rule.Resources, r) {
			return true
		}
	}
	return false
}

// remarks says what else the subjects hold that an offence rests on.
func remarks(notes map[string]bool) string {
	if len(notes) == 0 {
		return ""
	}
	return ", and " + list(slices.Sorted(maps.Keys(notes)), "; ")
}
