package rbac

import (
	"fmt"
	"slices"
	"strings"
)

// The kinds of subject that bindings name.
const (
	UserKind           = "User"
	GroupKind          = "Group"
	ServiceAccountKind = "ServiceAccount"
)

// Names that Kubernetes gives to everybody's identities
// (k8s.io/apiserver/pkg/authentication/user and serviceaccount).
const (
	Anonymous          = "system:anonymous"       // user of requests without credentials
	Unauthenticated    = "system:unauthenticated" // their group
	Authenticated      = "system:authenticated"   // group of everybody else
	AllServiceAccounts = "system:serviceaccounts" // group of all service accounts
	Masters            = "system:masters"         // group that no authorizer is asked about
	nodeUserPrefix     = "system:node:"
	nodesGroup         = "system:nodes"
	accountUserPrefix  = "system:serviceaccount:"
	accountGroupPrefix = "system:serviceaccounts:"
)

// Subject is one subject of a binding. Namespace is set for service accounts
// only, and filled in where a RoleBinding leaves it out.
type Subject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// ParseSubject reads a subject as somebody types it: User:alice, Group:devs,
// ServiceAccount:shop/web, or the long name that a service account has as a
// user. The kind may be in any case, and sa.
func ParseSubject(text string) (Subject, error) {
	if strings.HasPrefix(text, accountUserPrefix) {
		text = UserKind + ":" + text
	}
	kind, name, found := strings.Cut(text, ":")
	s := Subject{Name: name}
	switch strings.ToLower(kind) {
	case "user", "group":
		s.Kind = map[bool]string{true: UserKind, false: GroupKind}[strings.EqualFold(kind, UserKind)]
		if namespace, account, ok := s.Account(); ok && s.Kind == UserKind {
			s = Subject{Kind: ServiceAccountKind, Namespace: namespace, Name: account}
		}
	case "serviceaccount", "sa":
		s.Kind = ServiceAccountKind
		var two bool
		if s.Namespace, s.Name, two = strings.Cut(name, "/"); !two {
			s.Namespace, s.Name, two = strings.Cut(name, ":")
		}
		found = two && s.Namespace != ""
	default:
		found = false
	}
	if !found || s.nobody() != "" {
		return Subject{}, fmt.Errorf("subject %q%s: write User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME", text, s.whyNobody())
	}
	return s, nil
}

// whyNobody is nobody as a part of a sentence.
func (s Subject) whyNobody() string {
	if why := s.nobody(); why != "" && (s.Kind == UserKind || s.Kind == GroupKind) {
		return ": " + why
	}
	return ""
}

// String names the subject for people: ServiceAccount shop/web.
func (s Subject) String() string {
	if s.Namespace != "" {
		return s.Kind + " " + s.Namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

// Account returns the service account that the subject means, which a User
// subject does by its long name.
func (s Subject) Account() (namespace, name string, ok bool) {
	switch s.Kind {
	case ServiceAccountKind:
		return s.Namespace, s.Name, s.Namespace != "" && s.Name != ""
	case UserKind:
		if rest, is := strings.CutPrefix(s.Name, accountUserPrefix); is {
			namespace, name, ok = strings.Cut(rest, ":")
			return namespace, name, ok && namespace != "" && name != ""
		}
	}
	return "", "", false
}

// AccountGroup returns the namespace whose service accounts, all of them, the
// subject means.
func (s Subject) AccountGroup() (namespace string, ok bool) {
	if s.Kind != GroupKind {
		return "", false
	}
	return strings.CutPrefix(s.Name, accountGroupPrefix)
}

// Open says that the subject stands for everybody of a sort: anonymous
// requests, all authenticated users, all service accounts of the cluster or of
// a namespace.
func (s Subject) Open() bool {
	switch s.Kind {
	case UserKind:
		return s.Name == Anonymous
	case GroupKind:
		return s.Name == Authenticated || s.Name == Unauthenticated || s.Name == AllServiceAccounts ||
			strings.HasPrefix(s.Name, accountGroupPrefix)
	}
	return false
}

// System says that the subject is a part of the control plane, which
// Kubernetes or kubeadm names and binds: a user or group called system: or
// kubeadm:, but none that is Open and no service account.
func (s Subject) System() bool {
	if s.Kind == ServiceAccountKind || s.Open() {
		return false
	}
	if _, _, account := s.Account(); account {
		return false
	}
	return SystemName(s.Name)
}

// SystemName says that a name is reserved for Kubernetes itself or kubeadm.
func SystemName(name string) bool {
	return strings.HasPrefix(name, "system:") || strings.HasPrefix(name, "kubeadm:")
}

// Identity returns somebody whom the subject means, with the groups that such
// a one is certain to be in. It is nobody, the zero Identity, for a service
// account without a namespace and for a kind that does not exist.
func (s Subject) Identity() Identity {
	if ns, name, ok := s.Account(); ok {
		return Account(ns, name)
	}
	switch {
	case s.Kind == UserKind && s.Name == Anonymous, s.Kind == GroupKind && s.Name == Unauthenticated:
		return Identity{User: Anonymous, Groups: []string{Unauthenticated}}
	case s.Kind == GroupKind:
		if _, is := s.AccountGroup(); is {
			return Identity{Groups: []string{s.Name, AllServiceAccounts, Authenticated}}
		}
		if s.Name == Authenticated {
			return Identity{Groups: []string{Authenticated}}
		}
		return Identity{Groups: []string{s.Name, Authenticated}}
	case s.Kind == UserKind:
		return User(s.Name)
	}
	return Identity{}
}

// Identity is who makes a request.
type Identity struct {
	User   string
	Groups []string
}

// User returns the identity of an authenticated user, with the group that all
// such have.
func User(name string, groups ...string) Identity {
	if !slices.Contains(groups, Authenticated) {
		groups = append(slices.Clip(groups), Authenticated)
	}
	return Identity{User: name, Groups: groups}
}

// Account returns the identity of a service account, with the groups that the
// API server gives it.
func Account(namespace, name string) Identity {
	return Identity{
		User:   accountUserPrefix + namespace + ":" + name,
		Groups: []string{AllServiceAccounts, accountGroupPrefix + namespace, Authenticated},
	}
}

// Node returns the identity of a kubelet. What the Node authorizer gives it is
// not RBAC, and not in any Model.
func Node(name string) Identity { return User(nodeUserPrefix+name, nodesGroup) }
