package rbac

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// The verbs of requests for objects, and those of requests for other paths.
var (
	objectVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	pathVerbs   = []string{"delete", "get", "head", "options", "patch", "post", "put"}
)

// askedVerbs are those that Kubernetes asks the authorizer about besides, when
// somebody does something else.
var askedVerbs = []string{"approve", "attest", "bind", "escalate", "impersonate", "sign", "use"}

// Question is a request as somebody typed it, understood.
type Question struct {
	Attributes
	// Resource is what was asked for; the zero Resource for a path and for *.
	// One that is not known has only the name and group that were typed.
	Resource Resource
	// Notes say what the question was taken to mean where that is not plain.
	Notes []string
}

// Namespaced says whether a RoleBinding can allow what is asked for. What is
// not known is taken to be in namespaces.
func (q *Question) Namespaced() bool {
	if q.Path != "" {
		return false
	}
	known := q.Resource.Kind != "" || q.Resource.Virtual
	return !known || q.Resource.Namespaced || q.isNamespace() || !slices.Contains(objectVerbs, q.Verb) && q.Verb != "*"
}

// CarriesName says that such a request can name an object.
func (q *Question) CarriesName() bool {
	return q.Subresource != "" || q.Verb != "create" && q.Verb != "deletecollection"
}

// isNamespace says that the question is about Namespace objects, whose requests
// are of the namespace itself.
func (q *Question) isNamespace() bool { return q.Group == "" && q.Attributes.Resource == "namespaces" }

// Ask understands a question as kubectl auth can-i does: what is a path that
// begins with /, *, or a resource in the plural, the singular or short, with or
// without .GROUP, perhaps with a /SUBRESOURCE. A resource that neither
// Kubernetes nor the snapshot has is taken as typed. Without a namespace the
// question is about the whole cluster.
func Ask(s *cluster.Snapshot, verb, what, name, namespace string) (*Question, error) {
	q := &Question{Attributes: Attributes{Verb: verb, Name: name, Namespace: namespace}}
	switch {
	case verb == "":
		return nil, fmt.Errorf("the verb is empty: name one, such as %s", strings.Join(objectVerbs, ", "))
	case strings.HasPrefix(what, "/"):
		return q, q.ofPath(what)
	}
	typed, sub, slash := strings.Cut(what, "/")
	if typed == "" || typed[0] == '.' || slash && sub == "" {
		return nil, fmt.Errorf("resource %q: write pods, deployments.apps, pods/exec or a path such as /metrics", what)
	}
	q.Subresource = sub
	q.ofResource(s, typed)
	return q, q.check()
}

func (q *Question) ofPath(path string) error {
	if q.Name != "" || q.Namespace != "" {
		return fmt.Errorf("%s is a path, which has no name and no namespace: leave them out", path)
	}
	q.Path = path
	q.unusual(pathVerbs)
	return nil
}

func (q *Question) ofResource(s *cluster.Snapshot, typed string) {
	q.Resource.Name, q.Resource.Group, _ = strings.Cut(typed, ".")
	if q.Resource.Name == "*" {
		if typed == "*" {
			q.Resource.Group = "*"
		}
	} else if found := find(Resources(s), typed); len(found) > 0 {
		q.Resource = found[0]
		for _, r := range found[1:] {
			q.note("%s is also a resource of group %s: ask for %s as well", typed, r.Group, r)
		}
	} else {
		q.note("%s is no resource of Kubernetes %s nor of a CustomResourceDefinition that was read: taken as typed, %s", typed, DefaultsVersion, describeGroup(q.Resource))
	}
	q.Attributes.Resource, q.Group = q.Resource.Name, q.Resource.Group
	q.unusual(slices.Concat(objectVerbs, askedVerbs))
}

func describeGroup(r Resource) string {
	if r.Group == "" {
		return "in the core group (write NAME.GROUP for another)"
	}
	return "in group " + r.Group
}

func (q *Question) note(format string, args ...any) {
	q.Notes = append(q.Notes, fmt.Sprintf(format, args...))
}

func (q *Question) unusual(verbs []string) {
	if q.Verb != "*" && !slices.Contains(verbs, q.Verb) && !strings.HasPrefix(q.Verb, "impersonate") {
		q.note("%q is no verb that Kubernetes asks about here: it knows %s", q.Verb, strings.Join(verbs, ", "))
	}
}

// check gives the question the namespace and the name that such a request has.
func (q *Question) check() error {
	if q.Name != "" && !q.CarriesName() {
		q.note("a request to %s carries no name: rules that are restricted to names do not allow it", q.Verb)
		q.Name = ""
	}
	namespace := &q.Namespace
	switch {
	case q.isNamespace() && q.Name != "":
		if *namespace != "" && *namespace != q.Name {
			return fmt.Errorf("namespace %s is asked for in namespace %s: a Namespace is in itself, leave out --namespace", q.Name, *namespace)
		}
		*namespace = q.Name
	case *namespace != "" && (q.isNamespace() || !q.Namespaced()):
		return fmt.Errorf("%s are in no namespace: leave out --namespace, or name one of them", q.Resource)
	}
	return nil
}

// String says what is asked for: get pods/log "web" in namespace shop.
func (q *Question) String() string {
	var b strings.Builder
	b.WriteString(q.Verb + " ")
	if q.Path != "" {
		b.WriteString(q.Path)
		return b.String()
	}
	b.WriteString(q.Attributes.Resource)
	if q.Group != "" && q.Group != "*" {
		b.WriteString("." + q.Group)
	}
	if q.Subresource != "" {
		b.WriteString("/" + q.Subresource)
	}
	if q.Name != "" {
		fmt.Fprintf(&b, " %q", q.Name)
	}
	if q.Namespace != "" && !q.isNamespace() {
		b.WriteString(" in namespace " + q.Namespace)
	}
	return b.String()
}
