package attack

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/rbac"
)

// match is what one rule gives of a permission of the table: the ability, or the
// part of a combination, that it stands for.
type match struct {
	ability *ability
	part    part
	rule    *rbac.Rule
	what    string
}

// table is all permissions that lead to something, found by the resources that
// rules name.
type table struct {
	rows  []row
	exact map[string][]int // by resource, or resource/subresource
	sub   map[string][]int // by subresource
}

// row is a permission, with the ability or the part of a combination that it is.
type row struct {
	needs   permission
	ability *ability
	part    part
}

func newTable(abilities []ability, parts []partOf) *table {
	t := &table{exact: map[string][]int{}, sub: map[string][]int{}}
	for i := range abilities {
		t.rows = append(t.rows, row{needs: abilities[i].permission, ability: &abilities[i]})
	}
	for _, p := range parts {
		t.rows = append(t.rows, row{needs: p.permission, part: p.part})
	}
	for i := range t.rows {
		for _, resource := range t.rows[i].needs.resources {
			t.exact[resource] = append(t.exact[resource], i)
			if _, sub, ok := strings.Cut(resource, "/"); ok {
				t.sub[sub] = append(t.sub[sub], i)
			}
		}
	}
	return t
}

// matches is what the rules of a role give, in the order of the table and of the
// rules, found once for each role.
func (b *builder) matches(r *rbac.Role) []match {
	if out, ok := b.matched[r]; ok {
		return out
	}
	var out []match
	for _, rule := range r.Rules {
		for _, i := range b.table.candidates(rule) {
			x := &b.table.rows[i]
			if what, ok := x.needs.in(rule); ok {
				out = append(out, match{ability: x.ability, part: x.part, rule: rule, what: what})
			}
		}
	}
	b.matched[r] = out
	return out
}

// candidates are the rows whose resources a rule may mean.
func (t *table) candidates(r *rbac.Rule) []int {
	var out []int
	for _, entry := range r.Resources {
		if entry == "*" {
			out = out[:0]
			for i := range t.rows {
				out = append(out, i)
			}
			return out
		}
		if sub, ok := strings.CutPrefix(entry, "*/"); ok {
			out = append(out, t.sub[sub]...)
			continue
		}
		out = append(out, t.exact[entry]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
