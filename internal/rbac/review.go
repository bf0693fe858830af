package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// RemarkKind is what a remark is about.
type RemarkKind string

// The kinds of remark.
const (
	// Malformed is a role or binding that the API server would refuse.
	Malformed RemarkKind = "malformed"
	// MissingRole, NoSubjects and IdleRule are bindings, and rules of roles, that
	// grant nothing.
	MissingRole RemarkKind = "missing-role"
	NoSubjects  RemarkKind = "no-subjects"
	IdleRule    RemarkKind = "idle-rule"
	// MissingAccount and NoSubject are subjects of bindings that are not there, and
	// such as no request can come from.
	MissingAccount RemarkKind = "missing-account"
	NoSubject      RemarkKind = "no-subject"
	// UnboundRole, DuplicateBinding and UnusedAccount are what could be deleted.
	UnboundRole      RemarkKind = "unbound-role"
	DuplicateBinding RemarkKind = "duplicate-binding"
	UnusedAccount    RemarkKind = "unused-account"
	// WiderThanName is a role or binding whose name promises less than it gives.
	WiderThanName RemarkKind = "wider-than-name"
)

// Remark is one thing that a Review came upon.
type Remark struct {
	Kind RemarkKind
	// Object is the role, binding or ServiceAccount; Path leads to what of it the
	// remark is about.
	Object  *cluster.Object
	Path    string
	Message string
}

// Unjudged is a kind of remark that the snapshot does not allow to make.
type Unjudged struct {
	Kind   RemarkKind
	Reason string
}

// Review looks for bindings and rules that grant nothing, for what nobody uses,
// and for roles that give more than their name says. What Kubernetes itself
// ships is left out. That something does not exist is said only where the
// snapshot would have it: of files, a role must be among them or a default, and
// a service account where they hold others of its namespace. The remarks are
// sorted by object.
func (m *Model) Review(s *cluster.Snapshot) ([]Remark, []Unjudged) {
	r := &review{model: m, snapshot: s, catalog: catalogOf(s), bindingsListed: listed(s, roleBindings) && listed(s, clusterRoleBindings)}
	for _, role := range m.Roles {
		if role.Object != nil && !isShipped(role.Object) {
			r.role(role)
		}
	}
	for _, b := range m.Bindings {
		if b.Object != nil && !isShipped(b.Object) {
			r.binding(b)
		}
	}
	r.duplicates()
	r.unbound()
	r.unusedAccounts()
	slices.SortStableFunc(r.remarks, func(a, b Remark) int {
		return cmp.Or(
			cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Kind, b.Object.Kind),
			cmp.Compare(a.Object.Name, b.Object.Name), cmp.Compare(a.Object.File, b.Object.File),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message),
		)
	})
	return r.remarks, r.unjudged
}

// isShipped says that Kubernetes itself or kubeadm made an object.
func isShipped(o *cluster.Object) bool {
	return o.Labels()[bootstrapLabel] == "rbac-defaults" || SystemName(o.Name)
}

// review is one Review under way.
type review struct {
	model          *Model
	snapshot       *cluster.Snapshot
	catalog        *catalog
	bindingsListed bool
	remarks        []Remark
	unjudged       []Unjudged
}

func (r *review) remark(kind RemarkKind, o *cluster.Object, path, format string, args ...any) {
	r.remarks = append(r.remarks, Remark{kind, o, path, fmt.Sprintf(format, args...)})
}

func (r *review) leave(kind RemarkKind, reason string) {
	r.unjudged = append(r.unjudged, Unjudged{kind, reason})
}

func (r *review) role(role *Role) {
	if role.Malformed != "" {
		r.remark(Malformed, role.Object, "rules", "the API server refuses it: %s", role.Malformed)
		return
	}
	for i, rule := range role.own {
		path := fmt.Sprintf("rules[%d]", i)
		faults, whole := r.catalog.faults(rule)
		switch {
		case whole:
			r.remark(IdleRule, role.Object, path, "the rule grants nothing: %s", strings.Join(faults, "; "))
		case len(faults) > 0:
			r.remark(IdleRule, role.Object, path, "a part of the rule grants nothing: %s", strings.Join(faults, "; "))
		case role.Kind == RoleKind:
			if why := r.catalog.outOfReach(rule); why != "" {
				r.remark(IdleRule, role.Object, path, "the rule grants nothing: %s", why)
			}
		}
	}
	if surplus := wider(role.Name, role); surplus != "" {
		r.remark(WiderThanName, role.Object, "rules", "by its name it is for %s", surplus)
	}
}

func (r *review) binding(b *Binding) {
	switch {
	case b.Malformed != "":
		r.remark(Malformed, b.Object, "roleRef", "the API server refuses it: %s", b.Malformed)
		return
	case len(b.Subjects) == 0:
		r.remark(NoSubjects, b.Object, "subjects", "it binds nobody to %s", b.RoleRef())
	case b.Role == nil:
		r.missingRole(b)
	case b.Role.Malformed != "":
	case len(b.Role.Rules) == 0:
		r.remark(IdleRule, b.Object, "roleRef", "%s has no rules", b.RoleRef())
	default:
		r.rulesOf(b)
	}
	r.subjects(b)
}

// missingRole remarks on a role that does not exist, unless it may have been
// left unread.
func (r *review) missingRole(b *Binding) {
	resource := map[string]string{RoleKind: roles, ClusterRoleKind: clusterRoles}[b.RoleKind]
	switch {
	case listed(r.snapshot, resource):
		r.remark(MissingRole, b.Object, "roleRef", "%s does not exist", b.RoleRef())
	case r.snapshot.Version == "":
		r.remark(MissingRole, b.Object, "roleRef", "%s is neither in the files nor a default of Kubernetes", b.RoleRef())
	default:
		r.leave(MissingRole, fmt.Sprintf("%s refers to %s, which may be among those that could not be read", b, b.RoleRef()))
	}
}

// rulesOf remarks on what the binding, and not the role alone, makes idle or
// wide.
func (r *review) rulesOf(b *Binding) {
	if !b.Cluster() && b.RoleKind == ClusterRoleKind {
		idle, why := 0, ""
		for _, rule := range b.Role.Rules {
			if reason := r.catalog.outOfReach(rule); reason != "" {
				idle, why = idle+1, reason
			}
		}
		if idle == len(b.Role.Rules) {
			r.remark(IdleRule, b.Object, "roleRef", "it grants nothing of %s: %s", b.RoleRef(), why)
		}
	}
	if surplus := wider(b.Name, b.Role); surplus != "" && wider(b.RoleName, b.Role) == "" {
		r.remark(WiderThanName, b.Object, "roleRef", "by its name it is for %s, by %s", surplus, b.RoleRef())
	}
	if namespace, wide := oneNamespace(b); wide {
		r.remark(WiderThanName, b.Object, "roleRef", "by its name %s is for one thing, and only service accounts of namespace %s are bound to it, but in the whole cluster: a RoleBinding in %[2]s would do if they need no other", b.RoleRef(), namespace)
	}
}

func (r *review) subjects(b *Binding) {
	for i, s := range b.Subjects {
		path := fmt.Sprintf("subjects[%d]", i)
		if why := s.nobody(); why != "" {
			r.remark(NoSubject, b.Object, path, "%s is nobody: %s", s, why)
			continue
		}
		namespace, name, account := s.Account()
		if account && r.lacks(namespace, name) {
			r.remark(MissingAccount, b.Object, path, "service account %s/%s does not exist: whoever may create it gets what the binding gives", namespace, name)
		}
	}
}

// nobody says why no request can come from a subject.
func (s Subject) nobody() string {
	rest, account := strings.CutPrefix(s.Name, accountUserPrefix)
	switch {
	case s.Kind == ServiceAccountKind && s.Namespace == "":
		return "a service account is of a namespace, and a ClusterRoleBinding has none to take for it"
	case s.Kind == ServiceAccountKind && strings.Contains(s.Name, ":"):
		return "the name of a service account has no colon: it is system:serviceaccount:NAMESPACE:NAME for a User only"
	case s.Kind != UserKind && s.Kind != GroupKind && s.Kind != ServiceAccountKind:
		return "subjects are of kind User, Group or ServiceAccount"
	case s.Name == "":
		return "it has no name"
	case s.Kind == UserKind && account && strings.Count(rest, ":") != 1:
		return "a service account's user is system:serviceaccount:NAMESPACE:NAME"
	case s.Kind == GroupKind && account:
		return "that is the form of a service account's user; its group is system:serviceaccounts:NAMESPACE"
	case s.Kind == UserKind && (s.Name == Authenticated || s.Name == Unauthenticated || s.Name == Masters || s.Name == AllServiceAccounts || strings.HasPrefix(s.Name, accountGroupPrefix)):
		return "that is the name of a group"
	case s.Kind == GroupKind && s.Name == Anonymous:
		return "that is the name of a user"
	}
	return ""
}

// lacks says that a service account is known not to exist.
func (r *review) lacks(namespace, name string) bool {
	if r.snapshot.Get("", "ServiceAccount", namespace, name) != nil {
		return false
	}
	if namespace == defaultNamespace && r.snapshot.Get("", "ServiceAccount", "", name) != nil {
		return false
	}
	if r.snapshot.Whole {
		return true
	}
	if r.snapshot.Version != "" || name == "default" { // which every namespace has
		return false
	}
	return slices.ContainsFunc(r.snapshot.Kind("ServiceAccount"), func(o *cluster.Object) bool {
		return o.Group() == "" && namespaceOf(o) == namespace
	})
}
