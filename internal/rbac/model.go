// Package rbac answers what the RBAC authorizer of Kubernetes would answer, for
// the roles and bindings of a cluster.Snapshot: may this identity do that, by
// which rule of which binding, and who else may. The checks, the graph of
// attack paths and the rbac commands ask it.
//
// The semantics are those of plugin/pkg/auth/authorizer/rbac and
// pkg/registry/rbac/validation of Kubernetes 1.36. The package knows no other
// authorizer: what webhooks, a cloud's IAM or the Node authorizer allow comes
// on top, so a Model's "no" is a lower bound. It judges nothing as good or bad.
package rbac

import (
	"cmp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// Model is the RBAC state of a snapshot, indexed. It is read-only.
type Model struct {
	// Roles and Bindings are in reading order, the defaults that the snapshot
	// does not hold after them.
	Roles    []*Role
	Bindings []*Binding

	roles   map[objectID]*Role
	byID    map[objectID]*Binding
	byRole  map[*Role][]*Binding
	byWho   map[principal][]*Binding
	byPlace map[place][]*Binding
}

type (
	objectID struct{ kind, namespace, name string }
	// place is where somebody is bound: "" is the whole cluster.
	place struct {
		who       principal
		namespace string
	}
)

// Of returns the Model of a snapshot, made once.
//
// Of a cluster it is exact: what the API server has stored is what its
// authorizer goes by, also in an aggregated role that the controller has not
// come to yet. Of files, and of kinds that could not be listed, the default
// roles and bindings are taken to exist where the snapshot has no object of
// their name, and aggregated roles to gather what their selectors take.
func Of(s *cluster.Snapshot) *Model {
	type key struct{}
	return cluster.Derive(s, key{}, func() *Model { return build(s) })
}

func build(s *cluster.Snapshot) *Model {
	var roles []*Role
	for _, kind := range [...]string{RoleKind, ClusterRoleKind} {
		for _, o := range s.Kind(kind) {
			if r, ok := decodeRole(o); ok {
				roles = append(roles, r)
			}
		}
	}
	var bindings []*Binding
	for _, kind := range [...]string{RoleBindingKind, ClusterRoleBindingKind} {
		for _, o := range s.Kind(kind) {
			if b, ok := decodeBinding(o); ok {
				bindings = append(bindings, b)
			}
		}
	}
	m := newModel(roles, bindings)
	m.addDefaults(readDefaults(), s)
	m.resolve(!listed(s, clusterRoles))
	return m
}

// Defaults returns the Model of the roles and bindings that Kubernetes
// DefaultsVersion itself makes at start.
func Defaults() *Model {
	d := readDefaults()
	m := newModel(d.roles, d.bindings)
	m.resolve(true)
	return m
}

func newModel(roles []*Role, bindings []*Binding) *Model {
	m := &Model{
		roles:   make(map[objectID]*Role, len(roles)),
		byID:    make(map[objectID]*Binding, len(bindings)),
		byRole:  map[*Role][]*Binding{},
		byWho:   map[principal][]*Binding{},
		byPlace: map[place][]*Binding{},
	}
	m.addRoles(roles)
	m.addBindings(bindings)
	return m
}

// addRoles adds the roles of the snapshot. Files may hold several of one name,
// for instance in overlays of which one will be applied: the first stands for
// all, with the rules of all, so that none escapes.
func (m *Model) addRoles(roles []*Role) {
	for _, r := range roles {
		if have := m.roles[r.id()]; have != nil {
			have.own = append(slices.Clip(have.own), r.own...)
			have.Rules = have.own
			have.selectors = append(slices.Clip(have.selectors), r.selectors...)
			have.Malformed = cmp.Or(have.Malformed, r.Malformed)
			continue
		}
		m.roles[r.id()] = r
		m.Roles = append(m.Roles, r)
	}
}

// addBindings adds bindings, those of one name too.
func (m *Model) addBindings(bindings []*Binding) {
	for _, b := range bindings {
		if m.byID[b.id()] == nil {
			m.byID[b.id()] = b
		}
		b.order = len(m.Bindings)
		m.Bindings = append(m.Bindings, b)
	}
}

// addDefaults adds those defaults whose names are not taken, but none of a kind
// of which the snapshot has all.
func (m *Model) addDefaults(d defaults, s *cluster.Snapshot) {
	known := map[string]bool{
		RoleKind: listed(s, roles), ClusterRoleKind: listed(s, clusterRoles),
		RoleBindingKind: listed(s, roleBindings), ClusterRoleBindingKind: listed(s, clusterRoleBindings),
	}
	m.addRoles(slices.DeleteFunc(d.roles, func(r *Role) bool { return known[r.Kind] || m.roles[r.id()] != nil }))
	m.addBindings(slices.DeleteFunc(d.bindings, func(b *Binding) bool { return known[b.Kind] || m.byID[b.id()] != nil }))
}

func (r *Role) id() objectID    { return objectID{r.Kind, r.Namespace, r.Name} }
func (b *Binding) id() objectID { return objectID{b.Kind, b.Namespace, b.Name} }

// resolve finds the role of each binding and indexes the subjects. Before that
// it fills aggregated roles, where no controller has.
func (m *Model) resolve(unfilled bool) {
	if unfilled {
		aggregate(m.Roles)
	}
	for _, b := range m.Bindings {
		if b.Malformed == "" {
			b.Role = m.Role(b.RoleKind, b.Namespace, b.RoleName)
		}
		if b.Role != nil {
			m.byRole[b.Role] = append(m.byRole[b.Role], b)
		}
		m.indexSubjects(b)
	}
}

func (m *Model) indexSubjects(b *Binding) {
	for _, s := range b.Subjects {
		who, ok := s.key()
		if !ok {
			continue
		}
		list := m.byWho[who]
		if len(list) > 0 && list[len(list)-1] == b {
			continue
		}
		m.byWho[who] = append(list, b)
		at := place{who, b.Namespace}
		m.byPlace[at] = append(m.byPlace[at], b)
	}
}

// Role returns a role by kind and name, nil when there is none. The namespace
// is ignored for a ClusterRole.
func (m *Model) Role(kind, namespace, name string) *Role {
	if kind == ClusterRoleKind {
		namespace = ""
	}
	return m.roles[objectID{kind, namespace, name}]
}

// Binding returns a binding by kind and name, nil when there is none.
func (m *Model) Binding(kind, namespace, name string) *Binding {
	return m.byID[objectID{kind, namespace, name}]
}

// BindingsOf returns the bindings that refer to a role.
func (m *Model) BindingsOf(r *Role) []*Binding { return m.byRole[r] }

// Decision is the answer to a request.
type Decision struct {
	Allowed bool
	// Superuser says that the identity is of group system:masters, which the API
	// server lets through before it asks RBAC; there is then no Grant.
	Superuser bool
	// Grant is the first that allows the request.
	Grant Grant
}

// Allows says whether a user with exactly these groups may do it.
func (m *Model) Allows(user string, groups []string, a Attributes) bool {
	return m.Decide(Identity{User: user, Groups: groups}, a).Allowed
}

// Decide says whether an identity may do it, and by what.
func (m *Model) Decide(id Identity, a Attributes) Decision {
	if slices.Contains(id.Groups, Masters) {
		return Decision{Allowed: true, Superuser: true}
	}
	namespace := a.Namespace
	if a.Path != "" {
		namespace = "" // only ClusterRoleBindings grant non-resource URLs
	}
	for _, b := range m.BindingsFor(id, namespace) {
		if b.Role == nil {
			continue
		}
		if rule, ok := b.Role.Allows(a); ok {
			s, _ := b.Applies(id)
			return Decision{Allowed: true, Grant: Grant{Binding: b, Role: b.Role, Rule: rule, Subject: s}}
		}
	}
	return Decision{}
}

// BindingsFor returns the bindings that give an identity something in a
// namespace: those of the whole cluster and, unless namespace is "", those of
// the namespace. They are in the Model's order, each once.
func (m *Model) BindingsFor(id Identity, namespace string) []*Binding {
	if namespace == "" {
		return m.BindingsIn(id, "")
	}
	return m.collect(id, func(who principal) [2][]*Binding {
		return [2][]*Binding{m.byPlace[place{who, ""}], m.byPlace[place{who, namespace}]}
	})
}

// BindingsIn returns the RoleBindings of a namespace that give an identity
// something, or the ClusterRoleBindings that do where namespace is "".
func (m *Model) BindingsIn(id Identity, namespace string) []*Binding {
	return m.collect(id, func(who principal) [2][]*Binding {
		return [2][]*Binding{m.byPlace[place{who, namespace}]}
	})
}

// AllBindingsFor returns the bindings that give an identity something
// anywhere.
func (m *Model) AllBindingsFor(id Identity) []*Binding {
	return m.collect(id, func(who principal) [2][]*Binding {
		return [2][]*Binding{m.byWho[who]}
	})
}

// collect puts together what is found for the user and for each group.
func (m *Model) collect(id Identity, find func(principal) [2][]*Binding) []*Binding {
	var out []*Binding
	if id.User != "" {
		found := find(principal{name: id.User})
		out = append(append(out, found[0]...), found[1]...)
	}
	for _, g := range id.Groups {
		found := find(principal{group: true, name: g})
		out = append(append(out, found[0]...), found[1]...)
	}
	slices.SortFunc(out, func(a, b *Binding) int { return a.order - b.order })
	return slices.Compact(out)
}

// GrantsFor returns the effective rules of an identity in a namespace, or
// cluster-wide where namespace is "", each with the binding that it comes by.
func (m *Model) GrantsFor(id Identity, namespace string) []Grant {
	var out []Grant
	for _, b := range m.BindingsFor(id, namespace) {
		s, _ := b.Applies(id)
		out = append(out, b.grants(s)...)
	}
	return out
}

// Grants returns every rule of every binding.
func (m *Model) Grants() []Grant {
	var out []Grant
	for _, b := range m.Bindings {
		out = append(out, b.grants(Subject{})...)
	}
	return out
}

func (b *Binding) grants(s Subject) []Grant {
	if b.Role == nil {
		return nil
	}
	out := make([]Grant, len(b.Role.Rules))
	for i, rule := range b.Role.Rules {
		out[i] = Grant{Binding: b, Role: b.Role, Rule: rule, Subject: s}
	}
	return out
}

// WhoCan returns, for each subject of each binding that allows a request, the
// grant by which it does. Subjects that mean nobody are left out. Group
// system:masters, which needs none, is not among them unless it is bound.
func (m *Model) WhoCan(a Attributes) []Grant {
	return m.whoCan(allowing(a), func(b *Binding) bool { return b.Cluster() || a.Path == "" && b.Namespace == a.Namespace })
}

// WhoCanAnywhere is WhoCan for the request in whatever namespace.
func (m *Model) WhoCanAnywhere(a Attributes) []Grant {
	return m.whoCan(allowing(a), func(b *Binding) bool { return b.Cluster() || a.Path == "" })
}

// WhoCanSome is WhoCanAnywhere for the request about some object at least,
// whichever a rule may be restricted to by name.
func (m *Model) WhoCanSome(a Attributes) []Grant {
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	some := func(r *Rule) bool { return r.Grants(a.Verb, a.Group, resource) }
	return m.whoCan(some, func(b *Binding) bool { return b.Cluster() || a.Namespace == "" || b.Namespace == a.Namespace })
}

func allowing(a Attributes) func(*Rule) bool {
	return func(r *Rule) bool { return r.Allows(a) }
}

func (m *Model) whoCan(allows func(*Rule) bool, holds func(*Binding) bool) []Grant {
	var out []Grant
	for _, r := range m.Roles {
		i := slices.IndexFunc(r.Rules, allows)
		if i < 0 {
			continue
		}
		rule := r.Rules[i]
		for _, b := range m.byRole[r] {
			if !holds(b) {
				continue
			}
			for _, s := range b.Subjects {
				if _, somebody := s.key(); somebody {
					out = append(out, Grant{Binding: b, Role: r, Rule: rule, Subject: s})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(x, y Grant) int {
		if c := x.Binding.order - y.Binding.order; c != 0 {
			return c
		}
		return strings.Compare(x.Subject.String(), y.Subject.String())
	})
	return out
}
