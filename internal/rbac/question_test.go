package rbac

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wg, 1]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: deployments.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: deployments, singular: deployment, kind: Deployment}
`

func TestAsk(t *testing.T) {
	s := parse(t, widgets)
	tests := []struct {
		name                   string
		verb, what, object, in string
		want                   Attributes
		note                   string
		clusterScoped          bool
	}{
		{"plural", "get", "secrets", "", "shop", Attributes{Verb: "get", Resource: "secrets", Namespace: "shop"}, "", false},
		{"singular", "get", "secret", "db", "shop", Attributes{Verb: "get", Resource: "secrets", Name: "db", Namespace: "shop"}, "", false},
		{"kind", "get", "ConfigMap", "", "", Attributes{Verb: "get", Resource: "configmaps"}, "", false},
		{"short", "list", "po", "", "", Attributes{Verb: "list", Resource: "pods"}, "", false},
		{"short-subresource", "create", "po/exec", "web", "shop", Attributes{Verb: "create", Resource: "pods", Subresource: "exec", Name: "web", Namespace: "shop"}, "", false},
		{"short-of-a-group", "get", "deploy", "", "", Attributes{Verb: "get", Group: "apps", Resource: "deployments"}, "", false},
		{"name-of-two-groups", "get", "deployments", "", "", Attributes{Verb: "get", Group: "apps", Resource: "deployments"}, "deployments is also a resource of group example.com: ask for deployments.example.com as well", false},
		{"group", "get", "deployments.example.com", "", "", Attributes{Verb: "get", Group: "example.com", Resource: "deployments"}, "", true},
		{"group-and-version", "get", "deploy.v1.apps/scale", "", "", Attributes{Verb: "get", Group: "apps", Resource: "deployments", Subresource: "scale"}, "", false},
		{"custom", "get", "wg", "", "shop", Attributes{Verb: "get", Group: "example.com", Resource: "widgets", Namespace: "shop"}, "", false},
		{"custom-by-kind-without-singular", "get", "widget", "", "", Attributes{Verb: "get", Group: "example.com", Resource: "widgets"}, "", false},
		{"unknown", "get", "gadgets", "", "shop", Attributes{Verb: "get", Resource: "gadgets", Namespace: "shop"}, "gadgets is no resource of Kubernetes v1.36.3 nor of a CustomResourceDefinition that was read: taken as typed, in the core group (write NAME.GROUP for another)", false},
		{"unknown-of-a-group", "get", "gadgets.example.com", "", "", Attributes{Verb: "get", Group: "example.com", Resource: "gadgets"}, "gadgets.example.com is no resource of Kubernetes v1.36.3 nor of a CustomResourceDefinition that was read: taken as typed, in group example.com", false},
		{"cluster-scoped", "get", "no", "", "", Attributes{Verb: "get", Resource: "nodes"}, "", true},
		{"namespace", "get", "ns", "shop", "", Attributes{Verb: "get", Resource: "namespaces", Name: "shop", Namespace: "shop"}, "", false},
		{"create-carries-no-name", "create", "pods", "web", "shop", Attributes{Verb: "create", Resource: "pods", Namespace: "shop"}, "a request to create carries no name: rules that are restricted to names do not allow it", false},
		{"create-a-namespace", "create", "ns", "shop", "", Attributes{Verb: "create", Resource: "namespaces"}, "a request to create carries no name: rules that are restricted to names do not allow it", false},
		{"path", "get", "/metrics", "", "", Attributes{Verb: "get", Path: "/metrics"}, "", true},
		{"verb-of-no-path", "list", "/metrics", "", "", Attributes{Verb: "list", Path: "/metrics"}, `"list" is no verb that Kubernetes asks about here: it knows delete, get, head, options, patch, post, put`, true},
		{"verb-in-capitals", "GET", "pods", "", "", Attributes{Verb: "GET", Resource: "pods"}, `"GET" is no verb that Kubernetes asks about here: it knows create, delete, deletecollection, get, list, patch, update, watch, approve, attest, bind, escalate, impersonate, sign, use`, false},
		{"everything", "*", "*", "", "", Attributes{Verb: "*", Group: "*", Resource: "*"}, "", false},
		{"everything-of-a-group", "*", "*.apps", "", "", Attributes{Verb: "*", Group: "apps", Resource: "*"}, "", false},
		{"subresource-of-all", "get", "*/log", "", "", Attributes{Verb: "get", Group: "*", Resource: "*", Subresource: "log"}, "", false},
		{"impersonate", "impersonate", "users", "alice", "", Attributes{Verb: "impersonate", Resource: "users", Name: "alice"}, "", false},
		{"bind-in-a-namespace", "bind", "clusterroles", "edit", "shop", Attributes{Verb: "bind", Group: group, Resource: "clusterroles", Name: "edit", Namespace: "shop"}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, err := Ask(s, tt.verb, tt.what, tt.object, tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, q.Attributes); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := strings.Join(q.Notes, "; "); got != tt.note {
				t.Errorf("got note %q, want %q", got, tt.note)
			}
			if q.Namespaced() == tt.clusterScoped {
				t.Errorf("in namespaces: got %v", q.Namespaced())
			}
		})
	}
}

func TestAskRefuses(t *testing.T) {
	s := parse(t, widgets)
	tests := []struct{ name, verb, what, object, in, want string }{
		{"no-verb", "", "pods", "", "", "the verb is empty: name one, such as create, delete, deletecollection, get, list, patch, update, watch"},
		{"no-resource", "get", "", "", "", `resource "": write pods, deployments.apps, pods/exec or a path such as /metrics`},
		{"no-resource-but-a-group", "get", ".apps", "", "", `resource ".apps": write pods, deployments.apps, pods/exec or a path such as /metrics`},
		{"no-subresource", "get", "pods/", "", "", `resource "pods/": write pods, deployments.apps, pods/exec or a path such as /metrics`},
		{"path-in-a-namespace", "get", "/metrics", "", "shop", "/metrics is a path, which has no name and no namespace: leave them out"},
		{"path-with-a-name", "get", "/metrics", "x", "", "/metrics is a path, which has no name and no namespace: leave them out"},
		{"nodes-in-a-namespace", "get", "nodes", "", "shop", "nodes are in no namespace: leave out --namespace, or name one of them"},
		{"custom-in-a-namespace", "get", "deployments.example.com", "", "shop", "deployments.example.com are in no namespace: leave out --namespace, or name one of them"},
		{"namespace-in-another", "get", "namespaces", "a", "b", "namespace a is asked for in namespace b: a Namespace is in itself, leave out --namespace"},
		{"namespaces-in-a-namespace", "list", "namespaces", "", "b", "namespaces are in no namespace: leave out --namespace, or name one of them"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Ask(s, tt.verb, tt.what, tt.object, tt.in)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestQuestionString(t *testing.T) {
	s := parse(t, widgets)
	tests := []struct{ verb, what, object, in, want string }{
		{"get", "po/log", "web", "shop", `get pods/log "web" in namespace shop`},
		{"get", "deploy", "", "", "get deployments.apps"},
		{"get", "ns", "shop", "", `get namespaces "shop"`},
		{"get", "/metrics", "", "", "get /metrics"},
		{"*", "*", "", "", "* *"},
	}
	for _, tt := range tests {
		q, err := Ask(s, tt.verb, tt.what, tt.object, tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if q.String() != tt.want {
			t.Errorf("got %q, want %q", q, tt.want)
		}
	}
}

func TestParseSubject(t *testing.T) {
	tests := []struct {
		in   string
		want Subject
	}{
		{"User:alice", Subject{Kind: UserKind, Name: "alice"}},
		{"user:oidc:alice", Subject{Kind: UserKind, Name: "oidc:alice"}},
		{"Group:devs", Subject{Kind: GroupKind, Name: "devs"}},
		{"group:system:masters", Subject{Kind: GroupKind, Name: Masters}},
		{"ServiceAccount:shop/web", Subject{Kind: ServiceAccountKind, Namespace: "shop", Name: "web"}},
		{"sa:shop:web", Subject{Kind: ServiceAccountKind, Namespace: "shop", Name: "web"}},
		{"system:serviceaccount:shop:web", Subject{Kind: ServiceAccountKind, Namespace: "shop", Name: "web"}},
		{"User:system:serviceaccount:shop:web", Subject{Kind: ServiceAccountKind, Namespace: "shop", Name: "web"}},
	}
	for _, tt := range tests {
		got, err := ParseSubject(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %v %v, want %v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "alice", "User:", "Robot:alice", "sa:web", "sa:/web", "sa:shop/", "system:serviceaccount:shop", "User:system:authenticated", "Group:system:anonymous", "Group:system:serviceaccount:shop:web"} {
		if got, err := ParseSubject(in); err == nil || !strings.Contains(err.Error(), "write User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME") {
			t.Errorf("%q: got %v %v, want an error that says what to write", in, got, err)
		}
	}
}

// FuzzAsk holds that whatever is typed gives a question or an error, and that a
// question means the same when it is asked again in its own words.
func FuzzAsk(f *testing.F) {
	f.Add("get", "po/exec", "web", "shop")
	f.Add("list", "deploy.v1.apps", "", "")
	f.Add("*", "*", "", "")
	f.Add("get", "/metrics", "", "")
	f.Add("create", "ns", "x", "")
	s := parse(f, widgets)
	f.Fuzz(func(t *testing.T, verb, what, name, namespace string) {
		q, err := Ask(s, verb, what, name, namespace)
		if err != nil {
			return
		}
		again := q.Path
		if again == "" {
			again = q.Attributes.Resource
			if q.Group != "" && q.Group != "*" {
				again += "." + q.Group
			}
			if q.Subresource != "" {
				again += "/" + q.Subresource
			}
		}
		in := q.Namespace
		if q.isNamespace() {
			in = ""
		}
		second, err := Ask(s, q.Verb, again, q.Name, in)
		if err != nil {
			t.Fatalf("%+v: %v", q.Attributes, err)
		}
		if second.Attributes != q.Attributes && q.Group != "*" {
			t.Errorf("%q %q %q %q: got %+v, then %+v", verb, what, name, namespace, q.Attributes, second.Attributes)
		}
	})
}
