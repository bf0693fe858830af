package attack

import (
	"cmp"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// systemNamespaces hold what Kubernetes itself and its distributions run.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// bound is a subject of a binding, with its places in the list of them.
type bound struct {
	*rbac.Binding
	vertex  int32
	subject rbac.Subject
	at      []int
	changes []int // that take it away, once judged
	judged  bool
}

// identities adds who there is: the subjects of bindings and all service
// accounts, with the groups that the API server puts them in. What groups people
// are in is known to nobody but whoever signs them in.
func (b *builder) identities() {
	b.bound = make([][]*bound, len(b.rbac.Bindings))
	b.holds = map[int32][]*bound{}
	for i, binding := range b.rbac.Bindings {
		b.bound[i] = b.subjects(binding)
		for _, x := range b.bound[i] {
			b.holds[x.vertex] = append(b.holds[x.vertex], x)
		}
	}
	for _, o := range b.snap.Kind("ServiceAccount") {
		v := b.account(cmp.Or(o.Namespace, "default"), o.Name)
		b.g.Vertices[v].Object = o
	}
	for _, t := range b.snap.Templates() {
		b.account(t.Namespace(), t.ServiceAccount())
	}
	for i := range b.g.Vertices {
		if b.g.Vertices[i].Cluster == b.cluster {
			b.groups(int32(i))
		}
	}
	b.strangers()
	if v := b.have(Group, "", rbac.Masters); v >= 0 {
		b.edge(v, b.admin(), b.step(Step{Primitive: wildcard, Text: "no authorizer is asked about group " + rbac.Masters}))
	}
}

// subjects are those of a binding, each once: the API server takes one that is
// listed twice.
func (b *builder) subjects(binding *rbac.Binding) []*bound {
	out := make([]*bound, 0, len(binding.Subjects))
	index := map[int32]*bound{}
	for i, s := range binding.Subjects {
		v := b.subject(s)
		if v < 0 {
			continue
		}
		if x := index[v]; x != nil {
			x.at = append(x.at, i)
			continue
		}
		x := &bound{Binding: binding, vertex: v, subject: s, at: []int{i}}
		index[v] = x
		out = append(out, x)
	}
	return out
}

// groups puts an identity into those groups that the API server puts it in,
// where something is granted to them.
func (b *builder) groups(v int32) {
	for _, name := range certainGroups(b.g.Vertices[v].Key) {
		if g := b.have(Group, "", name); g >= 0 && g != v {
			b.always(member, v, g)
			b.in(v, g)
		}
	}
}

// in notes that an identity is in a group.
func (b *builder) in(v, group int32) {
	if b.memberships == nil {
		b.memberships = map[int32][]int32{}
	}
	b.memberships[v] = append(b.memberships[v], group)
}

// certainGroups are the groups that an identity is in whoever signed it in.
func certainGroups(k Key) []string {
	switch k.Kind {
	case ServiceAccount:
		return rbac.Account(k.Namespace, k.Name).Groups
	case User:
		if k.Name == rbac.Anonymous {
			return []string{rbac.Unauthenticated}
		}
		return []string{rbac.Authenticated}
	case Group:
		if k.Name == rbac.Unauthenticated {
			return nil
		}
		return rbac.Subject{Kind: rbac.GroupKind, Name: k.Name}.Identity().Groups
	default:
		return nil
	}
}

// strangers adds who everybody is that reaches the API server (P47): anonymous,
// unless it refuses such requests, and on GKE, where any Google account is
// authenticated, that too.
func (b *builder) strangers() {
	reach := Condition{Text: "strangers reach the API server"}
	if c, ok := b.anonymous(); ok {
		i := int32(-1)
		for _, who := range []int32{b.have(User, "", rbac.Anonymous), b.have(Group, "", rbac.Unauthenticated)} {
			if who >= 0 && i < 0 {
				i = b.step(Step{Primitive: anybody, Conditions: []Condition{c, reach}})
			}
			b.edge(b.internet(), who, i)
		}
	}
	if who := b.have(Group, "", rbac.Authenticated); who >= 0 && strings.Contains(b.snap.Version, "-gke.") {
		b.edge(b.internet(), who, b.step(Step{
			Primitive: anybody, Text: "any Google account is authenticated on GKE",
			Conditions: []Condition{{Text: "the cluster is of GKE", Holds: Yes}, reach},
		}))
	}
}

// anonymous says whether the API server takes requests without credentials: by
// its flags, where its pod shows them, else by default.
func (b *builder) anonymous() (Condition, bool) {
	c := Condition{Text: "the API server takes anonymous requests, as it does by default"}
	for _, pod := range b.apiServers() {
		for _, container := range pod.Root.At("spec", "containers").List() {
			flags := append(texts(container.Get("command")), texts(container.Get("args"))...)
			if !slices.ContainsFunc(flags, func(f string) bool { return strings.HasPrefix(f, "--etcd-servers") }) {
				continue // etcd itself
			}
			switch {
			case slices.Contains(flags, "--anonymous-auth=false"):
				return c, false
			case !slices.ContainsFunc(flags, func(f string) bool { return strings.HasPrefix(f, "--authentication-config") }):
				c.Holds = Yes
			}
		}
	}
	return c, true
}

func texts(n *document.Node) []string {
	out := make([]string, 0, n.Len())
	for _, v := range n.List() {
		out = append(out, v.Str())
	}
	return out
}

// subject is the vertex of a subject of a binding, -1 for one that means nobody.
func (b *builder) subject(s rbac.Subject) int32 {
	if ns, name, ok := s.Account(); ok {
		return b.account(ns, name)
	}
	var v int32
	switch {
	case s.Name == "":
		return -1
	case s.Kind == rbac.UserKind:
		v = b.vertex(User, "", s.Name)
	case s.Kind == rbac.GroupKind:
		v = b.vertex(Group, "", s.Name)
	default:
		return -1
	}
	// A group of service accounts is not where somebody begins: its members are.
	_, accounts := s.AccountGroup()
	b.g.Vertices[v].System = s.System() || accounts || s.Name == rbac.AllServiceAccounts
	return v
}

func (b *builder) account(namespace, name string) int32 {
	v := b.vertex(ServiceAccount, namespace, name)
	b.g.Vertices[v].System = slices.Contains(systemNamespaces, namespace)
	return v
}

// dangling says that a service account is bound and known not to exist: who makes
// one of its name has what is bound to it (P48).
func (b *builder) dangling(v int32) bool {
	x := &b.g.Vertices[v]
	return b.listed("serviceaccounts") && x.Object == nil && x.Name != "default" && len(b.holds[v]) > 0
}

// listed says that a snapshot has all objects of a resource.
func (b *builder) listed(resource string) bool {
	return b.snap.Whole && !slices.ContainsFunc(b.snap.Incomplete, func(hole seawall.Incomplete) bool {
		return strings.HasPrefix(hole.Reason, "list "+resource)
	})
}
