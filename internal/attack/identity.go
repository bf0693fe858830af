package attack

import (
	"slices"

	"seawall.io/seawall/internal/rbac"
)

// systemNamespaces hold what Kubernetes itself and its distributions run.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// identities adds who there is: the subjects of bindings and all service
// accounts, with the groups that the API server puts them in.
func (b *builder) identities() {
	for _, binding := range b.rbac.Bindings {
		for _, s := range binding.Subjects {
			b.subject(s)
		}
	}
	for _, o := range b.snap.Kind("ServiceAccount") {
		v := b.account(or(o.Namespace, "default"), o.Name)
		b.g.Vertices[v].Object = o
	}
	for _, t := range b.snap.Templates() {
		b.account(t.Namespace(), t.ServiceAccount())
	}
	for i := range b.g.Vertices {
		v := &b.g.Vertices[i]
		if v.Cluster != b.cluster {
			continue
		}
		switch v.Kind {
		case ServiceAccount:
			for _, group := range rbac.Account(v.Namespace, v.Name).Groups {
				b.memberOf(int32(i), group) //nolint:gosec // an index
			}
		case User:
			groups := []string{rbac.Authenticated}
			if v.Name == rbac.Anonymous {
				groups = []string{rbac.Unauthenticated}
			}
			for _, group := range groups {
				b.memberOf(int32(i), group) //nolint:gosec // an index
			}
		case Group:
			if v.Name != rbac.Unauthenticated && v.Name != rbac.Authenticated {
				b.memberOf(int32(i), rbac.Authenticated) //nolint:gosec // an index
			}
		default:
		}
	}
	for _, who := range []int32{b.have(User, "", rbac.Anonymous), b.have(Group, "", rbac.Unauthenticated)} {
		b.always(anybody, b.internet(), who)
	}
}

// memberOf puts an identity into a group that something is granted to.
func (b *builder) memberOf(v int32, group string) {
	if g := b.have(Group, "", group); g >= 0 {
		b.always(member, v, g)
	}
}

// subject is the vertex of a subject of a binding, -1 for one that means nobody.
func (b *builder) subject(s rbac.Subject) int32 {
	if ns, name, ok := s.Account(); ok {
		return b.account(ns, name)
	}
	var v int32
	switch s.Kind {
	case rbac.UserKind:
		v = b.vertex(User, "", s.Name)
	case rbac.GroupKind:
		v = b.vertex(Group, "", s.Name)
	default:
		return -1
	}
	b.g.Vertices[v].System = rbac.SystemName(s.Name) && !s.Open()
	return v
}

func (b *builder) account(namespace, name string) int32 {
	v := b.vertex(ServiceAccount, namespace, name)
	b.g.Vertices[v].System = slices.Contains(systemNamespaces, namespace)
	return v
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
