package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/kube"
	"seawall.io/seawall/internal/rbac"
)

// The namespaces of TestAccessReviews.
const (
	rbacHere  = "rbac-e2e-here"
	rbacThere = "rbac-e2e-there"
)

// TestAccessReviews puts random requests to the API server's own authorizers, as
// SubjectAccessReviews, and to the model of what kube reads of the cluster.
// Kubelets are not asked about: the Node authorizer answers for them too.
func TestAccessReviews(t *testing.T) {
	a := cluster(t)
	w := reviews{rand.New(rand.NewPCG(2026, 11))}
	for _, name := range []string{rbacHere, rbacThere} {
		ns := namespace(name, nil)
		a.mustApply(t, ns)
		t.Cleanup(func() { a.remove(t, parse(t, ns)[0]) })
	}
	objects := w.objects()
	a.mustApply(t, []byte(objects))
	t.Cleanup(func() {
		for _, root := range parse(t, []byte(objects)) {
			if root.At("metadata", "namespace").Str() == "" {
				a.remove(t, root)
			}
		}
	})
	// What is created last of each kind is known last, to the authorizer as well
	// as to the controller that aggregates.
	for _, namespace := range []string{"", rbacHere} {
		eventually(t, "the authorizer knows all roles and bindings", func() bool {
			allowed, _ := a.review(t, rbac.User("rbac-e2e-last"), rbac.Attributes{Verb: "get", Resource: "pods", Namespace: namespace})
			return allowed
		})
	}
	// Two roles that gather each other's rules are filled when both have the same.
	rules := func(name string) []string {
		var out []string
		for _, r := range a.get(t, "/apis/rbac.authorization.k8s.io/v1/clusterroles/rbac-e2e-"+name).Get("rules").List() {
			out = append(out, string(r.AppendJSON(nil)))
		}
		slices.Sort(out)
		return out
	}
	eventually(t, "roles are aggregated", func() bool {
		ring := rules("ring")
		return len(ring) > 0 && slices.Equal(ring, rules("zz-sum"))
	})

	c, err := kube.Connect(kube.Options{Kubeconfig: shared.kubeconfig, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Read(t.Context(), kube.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := rbac.Of(s)
	const requests = 800
	allowed := 0
	for range requests {
		id, attributes := w.request(m)
		want, reason := a.review(t, id, attributes)
		got := m.Decide(id, attributes)
		if got.Allowed != want {
			t.Fatalf("%+v doing %+v: got %v, the API server says %v (%s)", id, attributes, got.Allowed, want, reason)
		}
		if !want {
			continue
		}
		allowed++
		if !got.Superuser && !slices.Contains(reasons(m, id, attributes), reason) {
			t.Errorf("%+v doing %+v: the API server gives the reason %q, which is none of %q", id, attributes, reason, reasons(m, id, attributes))
		}
	}
	t.Logf("%d of %d requests are allowed", allowed, requests)
	if allowed < requests/10 || allowed > requests*9/10 {
		t.Error("too few of one sort to compare")
	}

	out := seawallCommand(t, "rbac", "who-can", "get", "pods", "-n", rbacHere, "--kubeconfig", shared.kubeconfig)
	if want := "User rbac-e2e-last"; out.code != 0 || strings.Count(out.stdout, want) != 2 || strings.Contains(out.stdout, "at least") {
		t.Errorf("who-can: exit code %d, want %q twice in\n%s%s", out.code, want, out.stdout, out.stderr)
	}
	out = seawallCommand(t, "rbac", "review", "--kubeconfig", shared.kubeconfig)
	if want := "service account " + rbacHere + "/a does not exist"; out.code != 0 || !strings.Contains(out.stdout, want) {
		t.Errorf("review: exit code %d, want %q in\n%s%s", out.code, want, out.stdout, out.stderr)
	}
}

// review asks the API server, which gives its reason for what it allows.
func (a *api) review(t *testing.T, id rbac.Identity, r rbac.Attributes) (allowed bool, reason string) {
	t.Helper()
	spec := map[string]any{"user": id.User, "groups": id.Groups}
	if r.Path != "" {
		spec["nonResourceAttributes"] = map[string]string{"path": r.Path, "verb": r.Verb}
	} else {
		spec["resourceAttributes"] = map[string]string{
			"verb": r.Verb, "group": r.Group, "resource": r.Resource, "subresource": r.Subresource, "name": r.Name, "namespace": r.Namespace,
		}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	out := a.call(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", "application/json", body)
	if !out.ok() {
		t.Fatalf("reviewing %s: %s", body, out.message())
	}
	root, err := document.ParseJSON(out.body, document.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	allowed, _ = root.At("status", "allowed").Bool()
	return allowed, root.At("status", "reason").Str()
}

// reasons are the words in which the API server would give any of the grants
// that allow a request.
func reasons(m *rbac.Model, id rbac.Identity, r rbac.Attributes) []string {
	var out []string
	for _, g := range m.GrantsFor(id, r.Namespace) {
		if !g.Rule.Allows(r) {
			continue
		}
		binding, subject := g.Binding.Name, g.Subject.Name
		if g.Binding.Namespace != "" {
			binding += "/" + g.Binding.Namespace
		}
		if g.Subject.Kind == rbac.ServiceAccountKind {
			subject += "/" + g.Subject.Namespace
		}
		out = append(out, fmt.Sprintf("RBAC: allowed by %s %q of %s %q to %s %q",
			g.Binding.Kind, binding, g.Role.Kind, g.Role.Name, g.Subject.Kind, subject))
	}
	return out
}

// reviews makes roles, bindings and requests.
type reviews struct{ *rand.Rand }

func (w reviews) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w reviews) some(from ...string) []string {
	out := []string{}
	for range 1 + w.IntN(2) {
		out = append(out, w.pick(from...))
	}
	return out
}

// rules are such as the API server's validation takes.
func (w reviews) rules(urls bool) []any {
	var out []any
	for range 1 + w.IntN(3) {
		verbs := w.some("get", "list", "create", "delete", "*")
		if urls && w.IntN(3) == 0 {
			out = append(out, map[string]any{"verbs": verbs, "nonResourceURLs": w.some("/rbac-e2e", "/rbac-e2e/*", "/rbac-e2e**", "*")})
			continue
		}
		rule := map[string]any{
			"verbs": verbs, "apiGroups": w.some("", "apps", "*"),
			"resources": w.some("pods", "pods/exec", "*/exec", "pods/*", "*", "secrets", "deployments/scale", "*/*"),
		}
		if w.IntN(3) == 0 {
			rule["resourceNames"] = w.some("a", "b", "")
		}
		out = append(out, rule)
	}
	return out
}

func (w reviews) subjects() []any {
	var out []any
	for range 1 + w.IntN(2) {
		switch w.IntN(3) {
		case 0:
			out = append(out, map[string]string{"kind": "User", "name": w.pick("rbac-e2e-alice", "system:serviceaccount:"+rbacHere+":a", "system:anonymous")})
		case 1:
			out = append(out, map[string]string{"kind": "Group", "name": w.pick("rbac-e2e-devs", "system:serviceaccounts:"+rbacHere, "system:serviceaccount:"+rbacHere+":a")})
		default:
			out = append(out, map[string]string{"kind": "ServiceAccount", "name": w.pick("a", "b"), "namespace": w.pick(rbacHere, rbacThere)})
		}
	}
	return out
}

// objects are roles, some of them aggregated, and bindings, as a stream in the
// order in which they are to be created.
func (w reviews) objects() string {
	var b strings.Builder
	add := func(kind, namespace, name string, labels map[string]string, fields map[string]any) {
		meta := map[string]any{"name": "rbac-e2e-" + name, "labels": labels}
		if namespace != "" {
			meta["namespace"] = namespace
		}
		fields["apiVersion"], fields["kind"], fields["metadata"] = "rbac.authorization.k8s.io/v1", kind, meta
		text, err := json.Marshal(fields)
		if err != nil {
			panic(fmt.Sprintf("plain values do not marshal: %v", err))
		}
		fmt.Fprintf(&b, "%s\n---\n", text)
	}
	ref := func(kind, name string) map[string]string {
		return map[string]string{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "rbac-e2e-" + name}
	}
	places := []string{rbacHere, rbacThere}
	for i := range 3 {
		add("ClusterRole", "", fmt.Sprint("r", i), map[string]string{"rbac-e2e": fmt.Sprint("r", i)}, map[string]any{"rules": w.rules(true)})
		for _, namespace := range places {
			add("Role", namespace, fmt.Sprint("r", i), nil, map[string]any{"rules": w.rules(false)})
		}
	}
	selects := func(values ...string) map[string]any {
		return map[string]any{"aggregationRule": map[string]any{"clusterRoleSelectors": []any{
			map[string]any{"matchExpressions": []any{map[string]any{"key": "rbac-e2e", "operator": "In", "values": values}}},
		}}}
	}
	add("ClusterRole", "", "ring", map[string]string{"rbac-e2e": "ring"}, selects("r1", "zz-sum"))
	add("ClusterRole", "", "zz-sum", map[string]string{"rbac-e2e": "zz-sum"}, selects("r0", "ring"))
	for i := range 5 {
		name := fmt.Sprint("b", i)
		role := w.pick("r0", "r1", "r2", "gone")
		add("RoleBinding", w.pick(places...), name, nil, map[string]any{"roleRef": ref(w.pick("Role", "ClusterRole"), role), "subjects": w.subjects()})
	}
	add("ClusterRoleBinding", "", "c", nil, map[string]any{"roleRef": ref("ClusterRole", w.pick("r0", "r1", "r2")), "subjects": w.subjects()})
	add("RoleBinding", rbacThere, "sum", nil, map[string]any{"roleRef": ref("ClusterRole", "zz-sum"), "subjects": w.subjects()})

	last := map[string]any{"apiGroups": []string{""}, "resources": []string{"pods"}, "verbs": []string{"get"}}
	who := []any{map[string]string{"kind": "User", "name": "rbac-e2e-last"}}
	add("ClusterRole", "", "last", nil, map[string]any{"rules": []any{last}})
	add("ClusterRoleBinding", "", "last", nil, map[string]any{"roleRef": ref("ClusterRole", "last"), "subjects": who})
	add("Role", rbacHere, "last", nil, map[string]any{"rules": []any{last}})
	add("RoleBinding", rbacHere, "last", nil, map[string]any{"roleRef": ref("Role", "last"), "subjects": who})
	return strings.TrimSuffix(b.String(), "---\n")
}

// request is of somebody whom a binding of the cluster names, or of one of the
// test's own, and made of words that rules have.
func (w reviews) request(m *rbac.Model) (rbac.Identity, rbac.Attributes) {
	ids := []rbac.Identity{
		rbac.User("rbac-e2e-alice", "rbac-e2e-devs"), rbac.User("rbac-e2e-bob", "rbac-e2e-devs"), rbac.User("rbac-e2e-alice"),
		rbac.Account(rbacHere, "a"), rbac.Account(rbacHere, "b"), rbac.Account(rbacThere, "a"), rbac.Account(rbacThere, "c"),
		{User: rbac.Anonymous, Groups: []string{rbac.Unauthenticated}},
		rbac.User("rbac-e2e-root", rbac.Masters),
	}
	id := ids[w.IntN(len(ids))]
	a := rbac.Attributes{
		Verb: w.pick("get", "list", "create", "delete"), Group: w.pick("", "", "apps"), Resource: w.pick("pods", "pods", "secrets", "deployments"),
		Subresource: w.pick("", "", "exec", "scale", "log"), Name: w.pick("", "a", "b"), Namespace: w.pick("", rbacHere, rbacThere),
	}
	if w.IntN(5) == 0 {
		a = rbac.Attributes{Verb: w.pick("get", "post"), Path: w.pick("/rbac-e2e", "/rbac-e2e/x", "/rbac-e2ex", "/healthz", "/debug")}
	}
	if w.IntN(3) > 0 {
		return id, a
	}
	g := m.Grants()[w.IntN(len(m.Grants()))]
	if len(g.Binding.Subjects) > 0 {
		id = g.Binding.Subjects[w.IntN(len(g.Binding.Subjects))].Identity()
	}
	if id.User == "" {
		id.User = "rbac-e2e-somebody"
	}
	if strings.HasPrefix(id.User, "system:node:") || slices.Contains(id.Groups, "system:nodes") {
		return rbac.User("rbac-e2e-bob"), a // the Node authorizer's
	}
	a = rbac.Attributes{Verb: g.Rule.Verbs[w.IntN(len(g.Rule.Verbs))], Namespace: g.Binding.Namespace}
	if urls := g.Rule.NonResourceURLs; len(urls) > 0 {
		return id, rbac.Attributes{Verb: a.Verb, Path: strings.ReplaceAll(urls[w.IntN(len(urls))], "*", "/x")}
	}
	a.Group = g.Rule.APIGroups[w.IntN(len(g.Rule.APIGroups))]
	a.Resource, a.Subresource, _ = strings.Cut(g.Rule.Resources[w.IntN(len(g.Rule.Resources))], "/")
	if names := g.Rule.ResourceNames; len(names) > 0 {
		a.Name = names[w.IntN(len(names))]
	}
	return id, a
}
