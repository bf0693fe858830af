package rbac

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
)

// remarks reviews a text, as files or as a whole cluster.
func remarks(t *testing.T, text string, whole bool) []string {
	t.Helper()
	s := parse(t, text)
	s.Whole = whole
	found, _ := Of(s).Review(s)
	var out []string
	for _, r := range found {
		out = append(out, fmt.Sprintf("%s %s %s: %s", r.Kind, r.Object.Name, r.Path, r.Message))
	}
	return out
}

// rbacText writes objects in few words: a kind, a name, and the rest.
func rbacText(objects ...[3]string) string {
	var b strings.Builder
	for _, o := range objects {
		version, namespace := "rbac.authorization.k8s.io/v1", "shop"
		if strings.HasPrefix(o[0], "Cluster") {
			namespace = ""
		}
		switch o[0] {
		case "ServiceAccount", "Pod", "Secret":
			version = "v1"
		case "App":
			version = "example.com/v1"
		}
		fmt.Fprintf(&b, "---\napiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: %q}\n%s\n", version, o[0], o[1], namespace, o[2])
	}
	return b.String()
}

const (
	readPods  = `rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]`
	toAlice   = "subjects: [{kind: User, name: alice}]"
	toWeb     = "subjects: [{kind: ServiceAccount, name: web, namespace: shop}]"
	roleR     = "roleRef: {kind: Role, name: r}\n"
	clusterR  = "roleRef: {kind: ClusterRole, name: r}\n"
	clusterRo = "roleRef: {kind: ClusterRole, name: pod-reader}\n"
)

func TestReview(t *testing.T) {
	tests := []struct {
		name  string
		in    string
		whole bool
		want  []string
	}{
		{"nothing", rbacText([3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toAlice}), true, nil},
		{"malformed", rbacText([3]string{"Role", "r", "rules: x"}, [3]string{"RoleBinding", "b", "roleRef: {}\n" + toAlice}), false, []string{
			"malformed r rules: the API server refuses it: rules is not a list",
			"malformed b roleRef: the API server refuses it: roleRef.kind is not a kind of role that a RoleBinding can refer to",
		}},
		{"missing-role-of-a-cluster", rbacText([3]string{"RoleBinding", "b", roleR + toAlice}), true, []string{
			`missing-role b roleRef: Role "r" does not exist`,
		}},
		{"missing-role-in-files", rbacText([3]string{"RoleBinding", "b", roleR + toAlice}), false, []string{
			`missing-role b roleRef: Role "r" is neither in the files nor a default of Kubernetes`,
		}},
		{"default-role-in-files", rbacText([3]string{"RoleBinding", "b", "roleRef: {kind: ClusterRole, name: view}\n" + toAlice}), false, nil},
		{"nobody-bound", rbacText([3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR}), true, []string{
			`no-subjects b subjects: it binds nobody to Role "r"`,
		}},
		{"role-without-rules", rbacText([3]string{"Role", "r", ""}, [3]string{"RoleBinding", "b", roleR + toAlice}), true, []string{
			`idle-rule b roleRef: Role "r" has no rules`,
		}},
		{"nodes-in-a-namespace", rbacText(
			[3]string{"ClusterRole", "r", `rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]`},
			[3]string{"RoleBinding", "b", clusterR + toAlice},
		), true, []string{
			`idle-rule b roleRef: it grants nothing of ClusterRole "r": nodes are in no namespace: only a ClusterRoleBinding gives access to them`,
		}},
		{"urls-in-a-namespace", rbacText(
			[3]string{"ClusterRole", "r", `rules: [{nonResourceURLs: [/metrics], verbs: [get]}]`},
			[3]string{"RoleBinding", "b", clusterR + toAlice},
		), true, []string{
			`idle-rule b roleRef: it grants nothing of ClusterRole "r": only a ClusterRoleBinding gives access to URLs`,
		}},
		{"some-of-it-in-a-namespace", rbacText(
			[3]string{"ClusterRole", "r", `rules: [{nonResourceURLs: [/metrics], verbs: [get]}, {apiGroups: [""], resources: [pods], verbs: [get]}]`},
			[3]string{"RoleBinding", "b", clusterR + toAlice},
		), true, nil},
		{"bind-in-a-namespace", rbacText(
			[3]string{"ClusterRole", "r", `rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind], resourceNames: [edit]}]`},
			[3]string{"RoleBinding", "b", clusterR + toAlice},
		), true, nil},
		{"subjects-that-are-nobody", rbacText(
			[3]string{"ClusterRole", "r", readPods},
			[3]string{"ClusterRoleBinding", "b", clusterR + "subjects: [{kind: ServiceAccount, name: web}, {kind: User, name: 'system:serviceaccount:shop'}, {kind: Group, name: 'system:serviceaccount:shop:web'}, {kind: Group, name: devs}]"},
		), true, []string{
			"no-subject b subjects[0]: ServiceAccount web is nobody: a service account is of a namespace, and a ClusterRoleBinding has none to take for it",
			"no-subject b subjects[1]: User system:serviceaccount:shop is nobody: a service account's user is system:serviceaccount:NAMESPACE:NAME",
			"no-subject b subjects[2]: Group system:serviceaccount:shop:web is nobody: that is the form of a service account's user; its group is system:serviceaccounts:NAMESPACE",
		}},
		{"missing-account-of-a-cluster", rbacText([3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toWeb}), true, []string{
			"missing-account b subjects[0]: service account shop/web does not exist: whoever may create it gets what the binding gives",
		}},
		{"account-elsewhere-than-in-the-files", rbacText([3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toWeb}), false, nil},
		{"missing-account-beside-others-in-files", rbacText([3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toWeb}, [3]string{"ServiceAccount", "db", ""}), false, []string{
			"missing-account b subjects[0]: service account shop/web does not exist: whoever may create it gets what the binding gives",
		}},
		{"unbound-role", rbacText([3]string{"Role", "r", readPods}), true, []string{"unbound-role r : no binding refers to it"}},
		{"unbound-role-in-files", rbacText([3]string{"Role", "r", readPods}), false, nil},
		{"gathered-roles", rbacText(
			[3]string{"ClusterRole", "part", "aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: x, operator: Exists}]}]}"},
			[3]string{"ClusterRole", "all", "aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: none, operator: DoesNotExist}]}]}\n" + readPods},
			[3]string{"ClusterRoleBinding", "b", "roleRef: {kind: ClusterRole, name: all}\n" + toAlice},
		), true, nil},
		{"unused-account", rbacText(
			[3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toWeb}, [3]string{"ServiceAccount", "web", ""},
		), true, []string{
			"unused-account web : no pod, workload or token Secret uses it, but it holds rights, by RoleBinding shop/b: delete the binding, or the account",
		}},
		{"account-of-a-pod", rbacText(
			[3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toWeb}, [3]string{"ServiceAccount", "web", ""},
			[3]string{"Pod", "web", "spec: {serviceAccountName: web, containers: [{name: c, image: i}]}"},
		), true, nil},
		{"account-of-an-operators-kind", rbacText(
			[3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toWeb}, [3]string{"ServiceAccount", "web", ""},
			[3]string{"App", "web", "spec: {server: {serviceAccount: {name: web}}}"},
		), true, nil},
		{"account-with-a-token", rbacText(
			[3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "b", roleR + toWeb}, [3]string{"ServiceAccount", "web", ""},
		) + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: t, namespace: shop, annotations: {kubernetes.io/service-account.name: web}}\ntype: kubernetes.io/service-account-token\n", true, nil},
		{"twins", rbacText(
			[3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "a", roleR + toAlice}, [3]string{"RoleBinding", "b", roleR + toAlice},
		), false, []string{
			`duplicate-binding a : one more RoleBinding binds Role "r" to the same subjects: b`,
		}},
		{"one-binding-in-two-files", rbacText(
			[3]string{"Role", "r", readPods}, [3]string{"RoleBinding", "a", roleR + toAlice}, [3]string{"RoleBinding", "a", roleR + toAlice},
		), false, nil},
		{"bound-in-the-cluster-already", rbacText(
			[3]string{"ClusterRole", "r", readPods}, [3]string{"ClusterRoleBinding", "a", clusterR + toAlice}, [3]string{"RoleBinding", "b", clusterR + toAlice},
		), true, []string{
			`duplicate-binding b : its subjects have ClusterRole "r" in the whole cluster already, by ClusterRoleBinding a`,
		}},
		{"a-namespaced-role-of-the-same-name", rbacText(
			[3]string{"ClusterRole", "r", readPods}, [3]string{"Role", "r", readPods},
			[3]string{"ClusterRoleBinding", "a", clusterR + toAlice}, [3]string{"RoleBinding", "b", roleR + toAlice},
		), true, nil},
		{"reader-bound-in-the-cluster", rbacText(
			[3]string{"ClusterRole", "pod-reader", readPods}, [3]string{"ClusterRoleBinding", "b", clusterRo + toWeb},
		), false, []string{
			`wider-than-name b roleRef: by its name ClusterRole "pod-reader" is for one thing, and only service accounts of namespace shop are bound to it, but in the whole cluster: a RoleBinding in shop would do if they need no other`,
		}},
		{"reader-bound-in-a-namespace", rbacText(
			[3]string{"ClusterRole", "pod-reader", readPods}, [3]string{"RoleBinding", "b", clusterRo + toWeb},
		), false, nil},
		{"reader-for-people-of-the-cluster", rbacText(
			[3]string{"ClusterRole", "pod-reader", readPods}, [3]string{"ClusterRoleBinding", "b", clusterRo + toAlice},
		), false, nil},
		{"binding-promises-less", rbacText([3]string{"RoleBinding", "devs-view", "roleRef: {kind: ClusterRole, name: cluster-admin}\n" + toAlice}), false, []string{
			`wider-than-name devs-view roleRef: by its name it is for reading, but it may also * *, by ClusterRole "cluster-admin"`,
		}},
		{"shipped-is-left-out", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: view, labels: {kubernetes.io/bootstrapping: rbac-defaults}}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]", true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, remarks(t, tt.in, tt.whole)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWider(t *testing.T) {
	tests := []struct{ name, rules, want string }{
		{"pod-reader", `{apiGroups: [""], resources: [pods], verbs: [get, list]}`, ""},
		{"pod-reader", `{apiGroups: [""], resources: [pods], verbs: [get, delete]}`, "reading, but it may also delete pods"},
		{"podReader", `{apiGroups: [""], resources: [pods], verbs: ["*"]}`, "reading, but it may also * pods"},
		{"read-only", `{apiGroups: [""], resources: [pods/exec], verbs: [create]}`, "reading, but it may also create pods/exec"},
		{"viewer", `{apiGroups: [""], resources: [secrets], verbs: [list]}`, "reading, but that takes in Secrets: list on secrets"},
		{"viewer", `{apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [ca]}`, ""},
		{"viewer", `{apiGroups: ["*"], resources: ["*"], verbs: [get]}`, "reading, but that takes in Secrets: get on * of *"},
		{"secret-reader", `{apiGroups: [""], resources: [secrets], verbs: [get]}`, ""},
		{"node-reader", `{apiGroups: [apps], resources: ["*"], verbs: [get]}`, "nodes, but it takes in every resource: get on * of apps"},
		{"viewer", `{apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}`, ""},
		{"viewer", `{apiGroups: [""], resources: [events], verbs: [create, patch]}`, ""},
		{"reader-writer", `{apiGroups: [""], resources: [pods], verbs: ["*"]}`, ""},
		{"reviewer", `{apiGroups: [""], resources: [pods], verbs: ["*"]}`, ""},
		{"readiness-probe", `{apiGroups: [""], resources: [pods], verbs: ["*"]}`, ""},
		{"limited", `{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}`, "a few things, but it gives everything: * on * of *"},
		{"limited", `{apiGroups: ["*"], resources: ["*"], verbs: [get]}`, ""},
		{"metrics-reader", `{nonResourceURLs: [/metrics], verbs: [get, post]}`, ""},
		{"viewer", `{verbs: [delete], resources: [pods]}`, ""}, // of no group: nothing
	}
	for _, tt := range tests {
		m := Of(parse(t, "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\nrules: ["+tt.rules+"]"))
		if got := wider(tt.name, m.Role(ClusterRoleKind, "", "x")); got != tt.want {
			t.Errorf("%s with %s: got %q, want %q", tt.name, tt.rules, got, tt.want)
		}
	}
}

func TestIdle(t *testing.T) {
	tests := []struct{ name, rule, faults, inNamespace string }{
		{"plain", `{apiGroups: [""], resources: [pods], verbs: [get]}`, "", ""},
		{"no-verbs", `{apiGroups: [""], resources: [pods]}`, "it names no verb", ""},
		{"no-resources", `{apiGroups: [""], verbs: [get]}`, "it names no resource and no URL", ""},
		{"no-groups", `{resources: [pods], verbs: [get]}`, `it names no API group (the core group is "")`, ""},
		{"subresource-star", `{apiGroups: [""], resources: [pods/*], verbs: [get]}`, "pods/* matches nothing: name the subresources, or take */SUBRESOURCE", ""},
		{"subresource-of-all", `{apiGroups: [""], resources: ["*/log"], verbs: [get]}`, "", ""},
		{"star-star", `{apiGroups: [""], resources: ["*/*"], verbs: [get]}`, "*/* matches nothing: name the subresources, or take */SUBRESOURCE", ""},
		{"empty-resource", `{apiGroups: [""], resources: [""], verbs: [get]}`, `"" is no resource`, ""},
		{"named-create", `{apiGroups: [""], resources: [pods], verbs: [create], resourceNames: [a]}`, "a request to create carries no name, and the rule is restricted to names", ""},
		{"named-create-of-a-subresource", `{apiGroups: [""], resources: [pods/exec], verbs: [create], resourceNames: [a]}`, "", ""},
		{"group-with-version", `{apiGroups: [apps/v1], resources: [deployments], verbs: [get]}`, `"apps/v1" is no API group: "apps" is, without a version`, ""},
		{"group-core", `{apiGroups: [core, v1], resources: [pods], verbs: [get]}`, `"core" is no API group: the core group is ""; "v1" is no API group: the core group is ""`, ""},
		{"wrong-group", `{apiGroups: [""], resources: [pods, deployments], verbs: [get]}`, `deployments are of group "apps", not of ""`, ""},
		{"one-of-the-groups", `{apiGroups: ["", apps], resources: [pods, deployments], verbs: [get]}`, "", ""},
		{"old-group", `{apiGroups: [extensions], resources: [deployments], verbs: [get]}`, "", ""},
		{"gone-resource", `{apiGroups: [policy], resources: [podsecuritypolicies], verbs: [use]}`, "", ""},
		{"gone-resource-read", `{apiGroups: [policy], resources: [podsecuritypolicies], verbs: [get]}`, "", ""},
		{"singular", `{apiGroups: [""], resources: [pod], verbs: [get]}`, "rules know pod as pods", ""},
		{"kind", `{apiGroups: [apps], resources: [Deployment], verbs: [get]}`, "rules know Deployment as deployments", ""},
		{"short", `{apiGroups: [apps], resources: [deploy], verbs: [get]}`, "rules know deploy as deployments", ""},
		{"custom-in-any-group", `{apiGroups: ["*"], resources: [pod], verbs: [get]}`, "", ""},
		{"nodes", `{apiGroups: [""], resources: [nodes, persistentvolumes/status], verbs: [get]}`, "", "nodes, persistentvolumes/status are in no namespace: only a ClusterRoleBinding gives access to them"},
		{"nodes-and-pods", `{apiGroups: [""], resources: [nodes, pods], verbs: [get]}`, "", ""},
		{"nodes-of-any-group", `{apiGroups: ["*"], resources: [nodes], verbs: [get]}`, "", ""},
		{"every-verb-on-roles", `{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: ["*"]}`, "", ""},
		{"namespaces", `{apiGroups: [""], resources: [namespaces], verbs: [get]}`, "", ""},
		{"url", `{nonResourceURLs: [/x], verbs: [get]}`, "", "only a ClusterRoleBinding gives access to URLs"},
		{"impersonate-by-constraint", `{apiGroups: [authentication.k8s.io], resources: [serviceaccounts], verbs: ["impersonate:serviceaccount"]}`, "", ""},
		{"custom-of-the-cluster", `{apiGroups: [example.com], resources: [deployments], verbs: [get]}`, "", "deployments are in no namespace: only a ClusterRoleBinding gives access to them"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, widgets+"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\nrules: ["+tt.rule+"]")
			rule := Of(s).Role(ClusterRoleKind, "", "x").Rules[0]
			faults, _ := catalogOf(s).faults(rule)
			if got := strings.Join(faults, "; "); got != tt.faults {
				t.Errorf("got %q, want %q", got, tt.faults)
			}
			if got := catalogOf(s).outOfReach(rule); got != tt.inNamespace {
				t.Errorf("in a namespace: got %q, want %q", got, tt.inNamespace)
			}
		})
	}
}

// TestIdleAllowsNothing puts every request that there is for a known resource to
// rules that are said to allow nothing.
func TestIdleAllowsNothing(t *testing.T) {
	w := world{rand.New(rand.NewPCG(7, 8))}
	s := parse(t, widgets)
	all := requests(s)
	idle := 0
	for range 1500 {
		g := Grant{Binding: &Binding{Kind: RoleBindingKind, Namespace: w.pick("", "shop")}, Rule: &Rule{
			Verbs:     w.some("get", "list", "create", "deletecollection", "delete"),
			APIGroups: w.some("", "apps", "core", "apps/v1", "rbac.authorization.k8s.io", "example.com"),
			Resources: w.some("pods", "pod", "Pod", "deployments", "nodes", "nodes/*", "clusterroles", "namespaces", "widgets", "*/exec", "pods/exec", "*/*", ""),
		}}
		if w.IntN(3) == 0 {
			g.Rule.ResourceNames = w.some("a", "")
		}
		why := g.Idle(s)
		if why == "" {
			continue
		}
		idle++
		for _, a := range all {
			if (g.Binding.Cluster() || a.Namespace == "shop") && g.Rule.Allows(a) {
				t.Fatalf("%v in %q allows %+v, though %s", g.Rule, g.Binding.Namespace, a, why)
			}
		}
	}
	if idle < 300 {
		t.Errorf("only %d of 1500 rules are idle", idle)
	}
}

// requests are those that clients can send for the known resources, in the
// namespace shop where a resource has one.
func requests(s *cluster.Snapshot) []Attributes {
	var out []Attributes
	for _, r := range Resources(s) {
		if r.Virtual {
			continue
		}
		for _, verb := range objectVerbs {
			for _, sub := range []string{"", "exec", "status"} {
				for _, name := range []string{"", "a", "shop"} {
					a := Attributes{Verb: verb, Group: r.Group, Resource: r.Name, Subresource: sub, Name: name}
					carries := sub != "" || verb != "create" && verb != "deletecollection"
					if name != "" && !carries {
						continue
					}
					if r.Namespaced || r.Name == "namespaces" && name == "shop" {
						a.Namespace = "shop"
					}
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// TestThousandsOfBindings reviews 5,000 bindings that are the same but for the
// name, and a ring of 200 aggregated roles.
func TestThousandsOfBindings(t *testing.T) {
	var b strings.Builder
	b.WriteString(rbacText([3]string{"Role", "r", readPods}))
	for i := range 5000 {
		b.WriteString(rbacText([3]string{"RoleBinding", fmt.Sprintf("b%04d", i), roleR + toAlice}))
	}
	got := remarks(t, b.String(), true)
	want := []string{`duplicate-binding b0000 : 4999 more RoleBindings bind Role "r" to the same subjects: b0001, b0002, b0003 and 4996 more`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	b.Reset()
	for i := range 200 {
		fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r%d, labels: {r: \"%d\"}}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {r: \"%d\"}}]}\nrules: [{apiGroups: [\"\"], resources: [\"x%d\"], verbs: [get]}]\n", i, i, (i+1)%200, i)
	}
	m := Of(parse(t, b.String()))
	if got := len(m.Role(ClusterRoleKind, "", "r7").Rules); got != 200 {
		t.Errorf("a role in a ring of 200 gathers %d rules", got)
	}
}

func TestKnown(t *testing.T) {
	tests := []struct {
		reason   string
		file     string
		concerns bool
		unlisted []string // with a cluster that lacks this alone
	}{
		{"list pods: forbidden: no", "", false, nil},
		{"list clusterroles.rbac.authorization.k8s.io: forbidden: no", "", true, []string{clusterRoles}},
		{"list rolebindings.rbac.authorization.k8s.io in 2 of 3 namespaces (a, b): forbidden: no", "", true, nil},
		{"list clusterrolebindings.rbac.authorization.k8s.io: an item could not be read: x", "", true, []string{clusterRoleBindings}},
		{"list namespaces but shop: forbidden: no", "", false, nil},
		{"discover metrics.k8s.io/v1beta1: the server is gone", "", false, nil},
		{"discover rbac.authorization.k8s.io/v1: the server is gone", "", true, []string{clusterRoles, clusterRoleBindings}},
		{"discover /apis: timed out", "", true, []string{clusterRoles, clusterRoleBindings}},
		{"discover /api: timed out", "", false, nil},
		{"read /version: forbidden: no", "", false, nil},
		{"the file is no YAML", "x.yaml", true, []string{clusterRoles, clusterRoleBindings}},
		{"whatever may be wrong", "", true, []string{clusterRoles, clusterRoleBindings}},
	}
	for _, tt := range tests {
		hole := seawall.Incomplete{Reason: tt.reason, Location: seawall.Location{File: tt.file}}
		if got := Concerns(hole); got != tt.concerns {
			t.Errorf("%s: concerns: got %v", tt.reason, got)
		}
		s := cluster.NewSnapshot(nil)
		s.Version, s.Incomplete = "v1.36.3", []seawall.Incomplete{hole}
		var unlisted []string
		for _, resource := range []string{clusterRoles, clusterRoleBindings} {
			if !listed(s, resource) {
				unlisted = append(unlisted, resource)
			}
		}
		if !slices.Equal(unlisted, tt.unlisted) {
			t.Errorf("%s: not listed: got %v, want %v", tt.reason, unlisted, tt.unlisted)
		}
	}
}

// A cluster is judged by what its API server has stored, files by what its
// controller will make of them.
func TestAggregationOfAClusterIsItsOwn(t *testing.T) {
	text := rbacText(
		[3]string{"ClusterRole", "sum", `aggregationRule: {clusterRoleSelectors: [{matchLabels: {x: "y"}}]}`},
	) + "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: part, labels: {x: \"y\"}}\n" + readPods
	files := parse(t, text)
	if got := len(Of(files).Role(ClusterRoleKind, "", "sum").Rules); got != 1 {
		t.Errorf("in files: got %d rules, want 1", got)
	}
	live := parse(t, text)
	live.Version = "v1.36.3"
	if got := len(Of(live).Role(ClusterRoleKind, "", "sum").Rules); got != 0 {
		t.Errorf("in a cluster: got %d rules, want none", got)
	}
	if Of(live).Role(ClusterRoleKind, "", "cluster-admin") != nil {
		t.Error("a cluster that was read is taken to have a default role that it does not")
	}
}
