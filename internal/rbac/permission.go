package rbac

import (
	"slices"

	"seawall.io/seawall/internal/cluster"
)

// Permission is a grant to somebody, with why it allows nothing if it does not.
type Permission struct {
	Grant
	Idle string
}

// Permissions returns all that an identity is granted, first in the whole
// cluster, then in each namespace, by name, what comes on top there.
func (m *Model) Permissions(s *cluster.Snapshot, id Identity) []Permission {
	var out []Permission
	for _, namespace := range m.places(id) {
		for _, b := range m.BindingsIn(id, namespace) {
			subject, _ := b.Applies(id)
			for _, g := range b.grants(subject) {
				out = append(out, Permission{g, g.Idle(s)})
			}
		}
	}
	return out
}

// places returns where an identity is bound: "", the whole cluster, and
// namespaces, sorted.
func (m *Model) places(id Identity) []string {
	var out []string
	for _, b := range m.AllBindingsFor(id) {
		out = append(out, b.Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Gain is what somebody has in one place by being in a group alone.
type Gain struct {
	Group     string
	Namespace string // "" is the whole cluster
	Rules     []Rule
}

// Gains returns what each of the identity's groups gives it that it would not
// have by its own name; for a Group that was asked for, that one is its name.
// What a group gives in the whole cluster is not said again of a namespace.
func (m *Model) Gains(s *cluster.Snapshot, id Identity, own Subject) []Gain {
	self := Identity{User: id.User}
	if own.Kind == GroupKind {
		self = Identity{Groups: []string{own.Name}}
	}
	mine := m.effective(s, self, "")
	var out []Gain
	for _, group := range id.Groups {
		if slices.Contains(self.Groups, group) {
			continue
		}
		member := Identity{Groups: []string{group}}
		everywhere := m.effective(s, member, "")
		for _, namespace := range m.places(member) {
			have := mine
			if namespace != "" {
				have = slices.Concat(mine, everywhere, m.effective(s, self, namespace))
			}
			if rules := Beyond(have, m.effective(s, member, namespace)); len(rules) > 0 {
				out = append(out, Gain{group, namespace, rules})
			}
		}
	}
	return out
}

// effective returns the rules that an identity has by the bindings of one
// place, but for those that allow nothing.
func (m *Model) effective(s *cluster.Snapshot, id Identity, namespace string) []*Rule {
	var out []*Rule
	for _, b := range m.BindingsIn(id, namespace) {
		for _, g := range b.grants(Subject{}) {
			if g.Idle(s) == "" {
				out = append(out, g.Rule)
			}
		}
	}
	return out
}
