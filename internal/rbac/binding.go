package rbac

import (
	"slices"
	"strconv"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// The kinds of binding.
const (
	RoleBindingKind        = "RoleBinding"
	ClusterRoleBindingKind = "ClusterRoleBinding"
)

// Binding is a RoleBinding or a ClusterRoleBinding.
type Binding struct {
	// Object is nil for a default binding that the snapshot does not hold.
	Object *cluster.Object
	Kind   string
	// Namespace is where the binding grants: "" is the whole cluster.
	Namespace string
	Name      string
	RoleKind  string
	RoleName  string
	Subjects  []Subject
	// Role is nil where the role is neither in the snapshot nor a default.
	Role *Role
	// Malformed says why the API server would refuse the binding; it has then
	// no subjects.
	Malformed string

	order int // in Model.Bindings
}

// String names the binding for people: RoleBinding shop/readers.
func (b *Binding) String() string {
	if b.Namespace == "" {
		return b.Kind + " " + b.Name
	}
	return b.Kind + " " + b.Namespace + "/" + b.Name
}

// RoleRef names the role that the binding refers to: ClusterRole "edit".
func (b *Binding) RoleRef() string { return b.RoleKind + " " + strconv.Quote(b.RoleName) }

// Cluster says that the binding grants in the whole cluster.
func (b *Binding) Cluster() bool { return b.Namespace == "" }

// Applies returns the first subject that means the identity.
func (b *Binding) Applies(id Identity) (Subject, bool) {
	for _, s := range b.Subjects {
		if s.means(id) {
			return s, true
		}
	}
	return Subject{}, false
}

// means is appliesToUser of pkg/registry/rbac/validation, Kubernetes 1.36.
func (s Subject) means(id Identity) bool {
	key, ok := s.key()
	if !ok {
		return false
	}
	if !key.group {
		return key.name == id.User
	}
	return slices.Contains(id.Groups, key.name)
}

// principal is a user or group name as requests carry it.
type principal struct {
	group bool
	name  string
}

// key returns the user or group that the subject means; ok is false where it
// means nobody, such as a service account without a namespace.
func (s Subject) key() (p principal, ok bool) {
	switch s.Kind {
	case UserKind:
		return principal{name: s.Name}, true
	case GroupKind:
		return principal{group: true, name: s.Name}, true
	case ServiceAccountKind:
		return principal{name: accountUserPrefix + s.Namespace + ":" + s.Name}, s.Namespace != ""
	}
	return principal{}, false
}

// decodeBinding reads a binding. ok is false for objects of another API group.
func decodeBinding(o *cluster.Object) (b *Binding, ok bool) {
	if o.Group() != group {
		return nil, false
	}
	b = &Binding{Object: o, Kind: o.Kind, Name: o.Name}
	if o.Kind == RoleBindingKind {
		b.Namespace = namespaceOf(o)
	}
	d := decoder{}
	d.labels(o.Root.At("metadata", "labels"))
	ref := o.Root.Get("roleRef")
	b.RoleKind = d.text(ref.Get("kind"), "roleRef.kind")
	b.RoleName = d.text(ref.Get("name"), "roleRef.name")
	b.Subjects = d.subjects(o.Root.Get("subjects"), b.Namespace)
	b.checkRef(&d)
	if b.Malformed = d.problem; b.Malformed != "" {
		b.Subjects = nil
	}
	return b, true
}

// checkRef refuses what the API server's validation of roleRef refuses.
func (b *Binding) checkRef(d *decoder) {
	known := b.RoleKind == ClusterRoleKind || b.RoleKind == RoleKind && b.Kind == RoleBindingKind
	if !known {
		d.refuse("roleRef.kind", "a kind of role that a "+b.Kind+" can refer to")
	}
	if b.RoleName == "" {
		d.refuse("roleRef.name", "the name of a role")
	}
}

func (d *decoder) subjects(n *document.Node, namespace string) []Subject {
	list := d.list(n, "subjects")
	out := make([]Subject, 0, len(list))
	for i, v := range list {
		path := document.Index("subjects", i)
		d.object(v, path)
		s := Subject{
			Kind:      d.text(v.Get("kind"), path+".kind"),
			Name:      d.text(v.Get("name"), path+".name"),
			Namespace: d.text(v.Get("namespace"), path+".namespace"),
		}
		switch {
		case s.Kind != ServiceAccountKind:
			s.Namespace = ""
		case s.Namespace == "":
			s.Namespace = namespace
		}
		out = append(out, s)
	}
	return out
}

// Grant is one rule of one binding: the smallest thing that gives anybody
// anything.
type Grant struct {
	Binding *Binding
	Role    *Role
	Rule    *Rule
	// Subject is the one of Binding.Subjects that was asked for. It is the zero
	// Subject where the question was not about one.
	Subject Subject
}

// Namespace is where the grant holds: "" is the whole cluster.
func (g Grant) Namespace() string { return g.Binding.Namespace }
