package rbac

import (
	"slices"
	"strings"
)

// Rule is one PolicyRule: the five lists of rbac.authorization.k8s.io/v1. The
// lists are independent of each other within a rule, and rules are never
// combined: a verb of one and a resource of another grant nothing.
type Rule struct {
	Verbs           []string `json:"verbs,omitempty"`
	APIGroups       []string `json:"apiGroups,omitempty"`
	Resources       []string `json:"resources,omitempty"`
	ResourceNames   []string `json:"resourceNames,omitempty"`
	NonResourceURLs []string `json:"nonResourceURLs,omitempty"`

	// Origin is the role in whose rules list the rule stands: for a rule of an
	// aggregated ClusterRole, one of those that it gathers. Index is the place
	// in that list.
	Origin *Role `json:"-"`
	Index  int   `json:"-"`
}

// Attributes describe one request, as the authorizer sees it.
type Attributes struct {
	Verb        string
	Group       string // API group, "" for the core one
	Resource    string
	Subresource string
	// Name is empty where the request carries none: create of a whole object,
	// deletecollection, list and watch without a metadata.name field selector.
	Name string
	// Namespace is empty for cluster-scoped resources and for requests across
	// all namespaces. A request for a Namespace object carries that namespace.
	Namespace string
	// Path is set for requests outside the resource API, such as /metrics; the
	// fields of resources are then without meaning.
	Path string
}

// Allows says whether the rule allows a request, in whatever namespace it is.
// This is RuleAllows of plugin/pkg/auth/authorizer/rbac, Kubernetes 1.36.
func (r *Rule) Allows(a Attributes) bool {
	if a.Path != "" {
		return has(r.Verbs, a.Verb) && r.urlMatches(a.Path)
	}
	return has(r.Verbs, a.Verb) && has(r.APIGroups, a.Group) &&
		r.resourceMatches(a.Resource, a.Subresource) && r.nameMatches(a.Name)
}

// Grants says whether the rule grants a verb on a resource, which may be a
// resource/subresource, of a group, to some object at least: resourceNames are
// not looked at (see Unnamed and Named). A question for "*" is answered by a
// literal "*" alone: does the rule grant every verb, every resource?
func (r *Rule) Grants(verb, group, resource string) bool {
	res, sub, _ := strings.Cut(resource, "/")
	return has(r.Verbs, verb) && has(r.APIGroups, group) && r.resourceMatches(res, sub)
}

// Unnamed says that the rule is not restricted to named objects.
func (r *Rule) Unnamed() bool { return len(r.ResourceNames) == 0 }

// Named says that the rule is restricted to named objects, this one among
// them.
func (r *Rule) Named(name string) bool { return slices.Contains(r.ResourceNames, name) }

// has says whether a list has "*" or the value itself.
func has(list []string, value string) bool {
	for _, v := range list {
		if v == "*" || v == value {
			return true
		}
	}
	return false
}

// resourceMatches takes "*", the resource/subresource itself and
// */subresource. It does not take resource/*, which Kubernetes compares
// literally.
func (r *Rule) resourceMatches(resource, sub string) bool {
	for _, v := range r.Resources {
		switch {
		case v == "*":
			return true
		case sub == "":
			if v == resource {
				return true
			}
		case strings.HasSuffix(v, sub) && len(v) > len(sub) && v[len(v)-len(sub)-1] == '/':
			if head := v[:len(v)-len(sub)-1]; head == "*" || head == resource {
				return true
			}
		}
	}
	return false
}

func (r *Rule) nameMatches(name string) bool {
	return len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, name)
}

// urlMatches takes "*", the path itself, and a prefix before any number of
// stars.
func (r *Rule) urlMatches(path string) bool {
	for _, v := range r.NonResourceURLs {
		if v == "*" || v == path {
			return true
		}
		if strings.HasSuffix(v, "*") && strings.HasPrefix(path, strings.TrimRight(v, "*")) {
			return true
		}
	}
	return false
}

// String shows the rule for people: get,list on pods,pods/log in apps.
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString(strings.Join(r.Verbs, ","))
	b.WriteString(" on ")
	if len(r.NonResourceURLs) > 0 {
		b.WriteString(strings.Join(r.NonResourceURLs, ","))
		return b.String()
	}
	b.WriteString(strings.Join(r.Resources, ","))
	if groups := groupNames(r.APIGroups); groups != "" {
		b.WriteString(" of ")
		b.WriteString(groups)
	}
	if len(r.ResourceNames) > 0 {
		b.WriteString(" named ")
		b.WriteString(strings.Join(r.ResourceNames, ","))
	}
	return b.String()
}

// groupNames joins API groups; the core group alone goes without saying.
func groupNames(groups []string) string {
	if len(groups) == 1 && groups[0] == "" {
		return ""
	}
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g
		if g == "" {
			names[i] = "core"
		}
	}
	return strings.Join(names, ",")
}

// key is equal for rules that grant the same in the same words.
func (r *Rule) key() string {
	var b strings.Builder
	for _, list := range [...][]string{r.Verbs, r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs} {
		for _, v := range list {
			b.WriteString(v)
			b.WriteByte(0)
		}
		b.WriteByte(1)
	}
	return b.String()
}
