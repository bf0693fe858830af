package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// parse makes a snapshot of YAML, as files give it.
func parse(tb testing.TB, text string) *cluster.Snapshot {
	tb.Helper()
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			tb.Fatalf("%v in\n%s", d.Err, text)
		}
		if d.Root == nil {
			continue
		}
		o, ok := cluster.New(d.Root)
		if !ok {
			tb.Fatal("a document is no object")
		}
		objects = append(objects, o)
	}
	return cluster.NewSnapshot(objects)
}

const shop = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
- {apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [token]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ops}
rules:
- {apiGroups: [""], resources: [nodes, pods], verbs: [list]}
- {nonResourceURLs: [/metrics], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {kind: Role, name: reader, apiGroup: rbac.authorization.k8s.io}
subjects:
- {kind: ServiceAccount, name: web}
- {kind: ServiceAccount, name: ci, namespace: build}
- {kind: User, name: "system:serviceaccount:build:late"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ops, namespace: shop}
roleRef: {kind: ClusterRole, name: ops, apiGroup: rbac.authorization.k8s.io}
subjects:
- {kind: Group, name: "system:serviceaccounts:shop"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ops}
roleRef: {kind: ClusterRole, name: ops, apiGroup: rbac.authorization.k8s.io}
subjects:
- {kind: Group, name: ops}
- {kind: ServiceAccount, name: nowhere}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developers, namespace: shop}
roleRef: {kind: ClusterRole, name: edit, apiGroup: rbac.authorization.k8s.io}
subjects:
- {kind: User, name: dev}
`

func TestDecide(t *testing.T) {
	m := Of(parse(t, shop))
	tests := []struct {
		name string
		who  Identity
		in   Attributes
		want string // the binding; empty for no
	}{
		{"role-in-its-namespace", Account("shop", "web"), Attributes{Verb: "get", Resource: "pods", Namespace: "shop", Name: "x"}, "RoleBinding shop/reader"},
		{"role-in-another-namespace", Account("shop", "web"), Attributes{Verb: "get", Resource: "pods", Namespace: "build"}, ""},
		{"role-across-namespaces", Account("shop", "web"), Attributes{Verb: "get", Resource: "pods"}, ""},
		{"account-of-another-namespace", Account("build", "ci"), Attributes{Verb: "get", Resource: "pods", Namespace: "shop"}, "RoleBinding shop/reader"},
		{"same-name-elsewhere", Account("shop", "ci"), Attributes{Verb: "get", Resource: "pods", Namespace: "shop"}, ""},
		{"account-by-its-user-name", Account("build", "late"), Attributes{Verb: "get", Resource: "pods", Namespace: "shop"}, "RoleBinding shop/reader"},
		{"resource-name", Account("shop", "web"), Attributes{Verb: "get", Resource: "secrets", Namespace: "shop", Name: "token"}, "RoleBinding shop/reader"},
		{"other-resource-name", Account("shop", "web"), Attributes{Verb: "get", Resource: "secrets", Namespace: "shop", Name: "key"}, ""},
		{"group-of-a-namespace's-accounts", Account("shop", "any"), Attributes{Verb: "list", Resource: "pods", Namespace: "shop"}, "RoleBinding shop/ops"},
		{"group-of-another-namespace's-accounts", Account("build", "any"), Attributes{Verb: "list", Resource: "pods", Namespace: "shop"}, ""},
		{"cluster-role-by-role-binding-has-no-cluster-resources", Account("shop", "any"), Attributes{Verb: "list", Resource: "nodes"}, ""},
		{"cluster-role-by-role-binding-has-no-urls", Account("shop", "any"), Attributes{Verb: "get", Path: "/metrics"}, ""},
		{"cluster-role-by-role-binding-has-no-urls-with-a-namespace", Account("shop", "any"), Attributes{Verb: "get", Path: "/metrics", Namespace: "shop"}, ""},
		{"cluster-binding", User("eve", "ops"), Attributes{Verb: "list", Resource: "nodes"}, "ClusterRoleBinding ops"},
		{"cluster-binding-in-a-namespace", User("eve", "ops"), Attributes{Verb: "list", Resource: "pods", Namespace: "shop"}, "ClusterRoleBinding ops"},
		{"cluster-binding-urls", User("eve", "ops"), Attributes{Verb: "get", Path: "/metrics"}, "ClusterRoleBinding ops"},
		{"group-is-not-a-user", User("ops"), Attributes{Verb: "list", Resource: "nodes"}, ""},
		{"account-without-namespace-is-nobody", Identity{User: "system:serviceaccount::nowhere"}, Attributes{Verb: "list", Resource: "nodes"}, ""},
		{"default-role-aggregated", User("dev"), Attributes{Verb: "impersonate", Resource: "serviceaccounts", Namespace: "shop", Name: "web"}, "RoleBinding shop/developers"},
		{"default-role-not-elsewhere", User("dev"), Attributes{Verb: "get", Resource: "secrets", Namespace: "build"}, ""},
		{"edit-has-no-roles", User("dev"), Attributes{Verb: "create", Group: group, Resource: "roles", Namespace: "shop"}, ""},
		{"default-binding", User("anyone"), Attributes{Verb: "get", Path: "/api/v1"}, "ClusterRoleBinding system:discovery"},
		{"anonymous-discovery", Identity{User: Anonymous, Groups: []string{Unauthenticated}}, Attributes{Verb: "get", Path: "/healthz"}, "ClusterRoleBinding system:public-info-viewer"},
		{"anonymous-api", Identity{User: Anonymous, Groups: []string{Unauthenticated}}, Attributes{Verb: "get", Path: "/api/v1"}, ""},
		{"nodes-hold-nothing-by-rbac", Node("n1"), Attributes{Verb: "get", Resource: "secrets", Namespace: "shop", Name: "x"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := m.Decide(tt.who, tt.in)
			got := ""
			if d.Allowed {
				got = d.Grant.Binding.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if m.Allows(tt.who.User, tt.who.Groups, tt.in) != (tt.want != "") {
				t.Errorf("Allows says otherwise")
			}
		})
	}
}

func TestMastersNeedNoGrant(t *testing.T) {
	s := parse(t, shop)
	s.Whole = true // so that the default binding of system:masters is not assumed
	d := Of(s).Decide(User("root", Masters), Attributes{Verb: "delete", Resource: "nodes", Name: "n1"})
	if !d.Allowed || !d.Superuser || d.Grant.Binding != nil {
		t.Errorf("got %+v, want allowed as superuser, by no grant", d)
	}
}

func TestDefaultsAreAssumedForFilesOnly(t *testing.T) {
	s := parse(t, shop)
	if r := Of(s).Role(ClusterRoleKind, "", "cluster-admin"); r == nil || r.Object != nil {
		t.Errorf("files: got %v, want the default cluster-admin", r)
	}
	s = parse(t, shop)
	s.Whole = true
	if r := Of(s).Role(ClusterRoleKind, "", "cluster-admin"); r != nil {
		t.Errorf("whole cluster: got %v, want none", r)
	}
	if b := Of(s).Binding(RoleBindingKind, "shop", "developers"); b.Role != nil {
		t.Errorf("whole cluster: the binding found role %v", b.Role)
	}
}

func TestSnapshotOverridesDefaults(t *testing.T) {
	m := Of(parse(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cluster-admin}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cluster-admin}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: alice}]
`))
	if !m.Decide(User("alice"), Attributes{Verb: "get", Resource: "pods"}).Allowed {
		t.Error("alice may not get pods")
	}
	if m.Decide(User("alice"), Attributes{Verb: "get", Resource: "secrets"}).Allowed {
		t.Error("alice has the rules of the default role")
	}
}

func TestDefaultRoles(t *testing.T) {
	m := Defaults()
	for name, want := range map[string]string{"admin": "create roles", "edit": "update secrets", "view": "get configmaps"} {
		verb, resource, _ := strings.Cut(want, " ")
		a := Attributes{Verb: verb, Resource: resource}
		if resource == "roles" {
			a.Group = group
		}
		r := m.Role(ClusterRoleKind, "", name)
		if _, ok := r.Allows(a); !ok {
			t.Errorf("%s does not allow %s", name, want)
		}
	}
	if _, ok := m.Role(ClusterRoleKind, "", "view").Allows(Attributes{Verb: "get", Resource: "secrets"}); ok {
		t.Error("view reads secrets")
	}
	for _, b := range m.Bindings {
		if b.Role == nil {
			t.Errorf("%v refers to no default role", b)
		}
	}
}

const aggregated = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: top}
aggregationRule:
  clusterRoleSelectors:
  - matchLabels: {tier: top}
  - matchExpressions: [{key: extra, operator: In, values: [a, b]}]
rules: [{apiGroups: [own], resources: [own], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: middle, labels: {tier: top}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {tier: middle}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: leaf, labels: {tier: middle}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {tier: top}}]}
rules: [{apiGroups: [leaf], resources: [leaf], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: extra, labels: {extra: b, rbac.authorization.k8s.io/aggregate-to-view: "true"}}
rules: [{apiGroups: [extra], resources: [extra], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: other, labels: {tier: other, extra: c}}
rules: [{apiGroups: [other], resources: [other], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everything}
aggregationRule: {clusterRoleSelectors: [{}]}
`

func TestAggregation(t *testing.T) {
	m := Of(parse(t, aggregated))
	tests := []struct{ role, group, want string }{
		{"top", "own", "top"},
		{"top", "leaf", "leaf"},
		{"top", "extra", "extra"},
		{"top", "other", ""},
		{"middle", "leaf", "leaf"},
		{"middle", "own", ""},
		{"leaf", "leaf", "leaf"},
		{"everything", "other", "cluster-admin"}, // the first by name
		{"view", "extra", "extra"},
		{"edit", "extra", "extra"},
		{"admin", "extra", "extra"},
		{"extra", "leaf", ""},
	}
	for _, tt := range tests {
		got := ""
		if rule, ok := m.Role(ClusterRoleKind, "", tt.role).Allows(Attributes{Verb: "get", Group: tt.group, Resource: tt.group}); ok {
			got = rule.Origin.Name
		}
		if got != tt.want {
			t.Errorf("%s, group %q: rule of role %q, want %q", tt.role, tt.group, got, tt.want)
		}
	}
	if got := m.Role(ClusterRoleKind, "", "extra").AggregatesTo(); !slices.Equal(got, []string{"view"}) {
		t.Errorf("extra aggregates to %v", got)
	}
}

func TestAggregatedRulesStandOnce(t *testing.T) {
	m := Of(parse(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: sum}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {x: "y"}}]}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: part, labels: {x: "y"}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
`))
	if got := len(m.Role(ClusterRoleKind, "", "sum").Rules); got != 1 {
		t.Errorf("got %d rules, want 1", got)
	}
}

func TestMalformed(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"rules-is-a-map", "kind: Role\nrules: {verbs: [get]}", "rules is not a list"},
		{"rule-is-a-string", "kind: Role\nrules: [get]", "rules[0] is not a map"},
		{"verbs-is-a-string", "kind: ClusterRole\nrules: [{verbs: get}]", "rules[0].verbs is not a list"},
		{"verb-is-a-number", "kind: ClusterRole\nrules: [{verbs: [get, 1]}]", "rules[0].verbs[1] is not a string"},
		{
			"selector-operator", "kind: ClusterRole\naggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: a, operator: Is}]}]}",
			"aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator is not In, NotIn, Exists or DoesNotExist",
		},
		{"selector-is-a-string", "kind: ClusterRole\naggregationRule: {clusterRoleSelectors: [all]}", "aggregationRule.clusterRoleSelectors[0] is not a map"},
		{"aggregation-without-selectors", "kind: ClusterRole\naggregationRule: {}", "aggregationRule.clusterRoleSelectors is not a list of one selector or more"},
		{"role-without-rules", "kind: Role", ""},
		{"rules-null", "kind: Role\nrules: null", ""},
		{"no-role-ref", "kind: RoleBinding", "roleRef.kind is not a kind of role that a RoleBinding can refer to"},
		{"cluster-binding-to-a-role", "kind: ClusterRoleBinding\nroleRef: {kind: Role, name: x}", "roleRef.kind is not a kind of role that a ClusterRoleBinding can refer to"},
		{"no-role-name", "kind: RoleBinding\nroleRef: {kind: Role}", "roleRef.name is not the name of a role"},
		{"subjects-is-a-map", "kind: RoleBinding\nroleRef: {kind: Role, name: x}\nsubjects: {kind: User, name: a}", "subjects is not a list"},
		{"subject-is-a-string", "kind: RoleBinding\nroleRef: {kind: Role, name: x}\nsubjects: [alice]", "subjects[0] is not a map"},
		{"subject-name-is-a-number", "kind: RoleBinding\nroleRef: {kind: Role, name: x}\nsubjects: [{kind: User, name: 1}]", "subjects[0].name is not a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, "apiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: x, namespace: n}\n"+tt.in)
			s.Whole = true
			m := Of(s)
			var got []string
			for _, r := range m.Roles {
				got = append(got, r.Malformed)
				if r.Malformed != "" && len(r.Rules) > 0 {
					t.Error("a malformed role has rules")
				}
			}
			for _, b := range m.Bindings {
				got = append(got, b.Malformed)
				if b.Malformed != "" && len(b.Subjects) > 0 {
					t.Error("a malformed binding has subjects")
				}
			}
			if !slices.Equal(got, []string{tt.want}) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOtherGroupsAreLeftAlone(t *testing.T) {
	s := parse(t, "apiVersion: authorization.openshift.io/v1\nkind: Role\nmetadata: {name: x, namespace: n}\nrules: []")
	s.Whole = true
	if got := len(Of(s).Roles); got != 0 {
		t.Errorf("got %d roles, want none", got)
	}
}

func TestNamespaceDefaults(t *testing.T) {
	m := Of(parse(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b}
roleRef: {kind: Role, name: r}
subjects: [{kind: ServiceAccount, name: web}]
`))
	if !m.Decide(Account("default", "web"), Attributes{Verb: "get", Resource: "pods", Namespace: "default"}).Allowed {
		t.Error("objects without a namespace are not taken to be of namespace default")
	}
}

// Overlays in one tree hold one role several times, of which one is applied.
func TestObjectsOfOneName(t *testing.T) {
	text := `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: app}
rules: [{apiGroups: [""], resources: [%s], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: app}
roleRef: {kind: ClusterRole, name: app}
subjects: [{kind: User, name: %s}]
---
`
	m := Of(parse(t, fmt.Sprintf(text, "pods", "alice")+fmt.Sprintf(text, "secrets", "bob")))
	for _, user := range []string{"alice", "bob"} {
		for _, resource := range []string{"pods", "secrets"} {
			if !m.Decide(User(user), Attributes{Verb: "get", Resource: resource}).Allowed {
				t.Errorf("%s may not get %s", user, resource)
			}
		}
	}
}

func TestWhoCan(t *testing.T) {
	m := Of(parse(t, shop))
	tests := []struct {
		name string
		in   Attributes
		want []string
	}{
		{"namespaced", Attributes{Verb: "list", Resource: "pods", Namespace: "shop"}, []string{
			"Group system:serviceaccounts:shop by RoleBinding shop/ops",
			"User dev by RoleBinding shop/developers",
			"Group ops by ClusterRoleBinding ops",
		}},
		{"url", Attributes{Verb: "get", Path: "/metrics"}, []string{
			"Group ops by ClusterRoleBinding ops",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, g := range m.WhoCan(tt.in) {
				if g.Binding.Object != nil {
					got = append(got, fmt.Sprintf("%v by %v", g.Subject, g.Binding))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	tests := []struct {
		in           Subject
		open, system bool
		user, groups string
	}{
		{Subject{Kind: UserKind, Name: "alice"}, false, false, "alice", Authenticated},
		{Subject{Kind: UserKind, Name: "system:kube-scheduler"}, false, true, "system:kube-scheduler", Authenticated},
		{Subject{Kind: UserKind, Name: Anonymous}, true, false, Anonymous, Unauthenticated},
		{Subject{Kind: UserKind, Name: "system:serviceaccount:n:a"}, false, false, "system:serviceaccount:n:a", "system:serviceaccounts,system:serviceaccounts:n,system:authenticated"},
		{Subject{Kind: ServiceAccountKind, Namespace: "n", Name: "a"}, false, false, "system:serviceaccount:n:a", "system:serviceaccounts,system:serviceaccounts:n,system:authenticated"},
		{Subject{Kind: ServiceAccountKind, Namespace: "kube-system", Name: "system:x"}, false, false, "system:serviceaccount:kube-system:system:x", "system:serviceaccounts,system:serviceaccounts:kube-system,system:authenticated"},
		{Subject{Kind: ServiceAccountKind, Name: "a"}, false, false, "", ""},
		{Subject{Kind: "Robot", Name: "a"}, false, false, "", ""},
		{Subject{Kind: GroupKind, Name: "devs"}, false, false, "", "devs,system:authenticated"},
		{Subject{Kind: GroupKind, Name: Masters}, false, true, "", "system:masters,system:authenticated"},
		{Subject{Kind: GroupKind, Name: "kubeadm:cluster-admins"}, false, true, "", "kubeadm:cluster-admins,system:authenticated"},
		{Subject{Kind: GroupKind, Name: Authenticated}, true, false, "", Authenticated},
		{Subject{Kind: GroupKind, Name: Unauthenticated}, true, false, Anonymous, Unauthenticated},
		{Subject{Kind: GroupKind, Name: AllServiceAccounts}, true, false, "", "system:serviceaccounts,system:authenticated"},
		{Subject{Kind: GroupKind, Name: "system:serviceaccounts:n"}, true, false, "", "system:serviceaccounts:n,system:serviceaccounts,system:authenticated"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.in.String(), " ", "-"), func(t *testing.T) {
			if tt.in.Open() != tt.open || tt.in.System() != tt.system {
				t.Errorf("open %v, system %v; want %v, %v", tt.in.Open(), tt.in.System(), tt.open, tt.system)
			}
			id := tt.in.Identity()
			if id.User != tt.user || strings.Join(id.Groups, ",") != tt.groups {
				t.Errorf("identity %+v, want %s in %s", id, tt.user, tt.groups)
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	s := parse(b, large(2000))
	b.ResetTimer()
	for b.Loop() {
		build(s)
	}
}

func BenchmarkOfNothing(b *testing.B) {
	s := cluster.NewSnapshot(nil)
	for b.Loop() {
		build(s)
	}
}

func BenchmarkDecide(b *testing.B) {
	m := Of(parse(b, large(2000)))
	a := Attributes{Verb: "get", Resource: "secrets", Namespace: "n7", Name: "x"}
	id := Account("n7", "web")
	b.ResetTimer()
	for b.Loop() {
		m.Decide(id, a)
	}
}

// large is a cluster of n namespaces, each with a role, a binding to it and a
// binding to a ClusterRole.
func large(n int) string {
	var b strings.Builder
	b.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: c}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n")
	for i := range n {
		fmt.Fprintf(&b, `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: n%[1]d}
rules: [{apiGroups: [""], resources: [pods, configmaps], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: r, namespace: n%[1]d}
roleRef: {kind: Role, name: r}
subjects: [{kind: ServiceAccount, name: web, namespace: n%[1]d}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: c, namespace: n%[1]d}
roleRef: {kind: ClusterRole, name: c}
subjects: [{kind: ServiceAccount, name: web, namespace: n%[1]d}, {kind: Group, name: devs}]
`, i)
	}
	return b.String()
}
