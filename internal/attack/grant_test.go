package attack_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// world makes small random clusters in which permissions, names and namespaces are
// likely to meet.
type world struct{ *rand.Rand }

func (w world) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w world) some(from ...string) string {
	var out []string
	for range 1 + w.IntN(2) {
		out = append(out, fmt.Sprintf("%q", w.pick(from...)))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (w world) rules() string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for range 1 + w.IntN(2) {
		names := "[]"
		if w.IntN(3) == 0 {
			names = w.some("a", "b", "web-0")
		}
		fmt.Fprintf(&b, "- {verbs: %s, apiGroups: %s, resources: %s, resourceNames: %s}\n",
			w.some("get", "list", "create", "watch", "*", "patch"), w.some("", "", "apps", "*"),
			w.some("pods", "pods/exec", "*/exec", "pods/*", "*", "secrets", "serviceaccounts/token", "pods/attach"), names)
	}
	return b.String()
}

func (w world) subjects() string {
	var b strings.Builder
	b.WriteString("subjects:\n")
	for range 1 + w.IntN(3) {
		switch w.IntN(3) {
		case 0:
			fmt.Fprintf(&b, "- {kind: User, name: %q}\n", w.pick("ann", "bob", "system:serviceaccount:n1:a"))
		case 1:
			fmt.Fprintf(&b, "- {kind: Group, name: %q}\n", w.pick("devs", rbac.Authenticated, rbac.AllServiceAccounts, "system:serviceaccounts:n1"))
		default:
			fmt.Fprintf(&b, "- {kind: ServiceAccount, name: %q, namespace: %s}\n", w.pick("a", "b"), w.pick("n1", "n2"))
		}
	}
	return b.String()
}

func (w world) cluster() string {
	var b strings.Builder
	object := func(kind, name, ns, rest string) {
		fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: {name: %s, namespace: %s}\n%s", kind, name, ns, rest)
	}
	for _, ns := range []string{"n1", "n2"} {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", ns)
		for _, name := range []string{"a", "b"} {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", name, ns)
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\n", name, ns)
		}
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-0, namespace: %s}\nspec: {containers: [{name: c, image: a}]}\n", ns)
		for i := range 2 {
			object("Role", fmt.Sprint("r", i), ns, w.rules())
		}
	}
	for i := range 2 {
		object("ClusterRole", fmt.Sprint("r", i), `""`, w.rules())
	}
	for i := range 4 {
		ref := fmt.Sprintf("roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: r%d}\n", w.pick("Role", "ClusterRole"), w.IntN(2))
		object("RoleBinding", fmt.Sprint("b", i), w.pick("n1", "n2"), ref+w.subjects())
	}
	for i := range w.IntN(3) {
		object("ClusterRoleBinding", fmt.Sprint("b", i), `""`, fmt.Sprintf("roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r%d}\n", w.IntN(2))+w.subjects())
	}
	return b.String()
}

// asked are the requests that a primitive stands for, one of which at least must
// be allowed to who takes it.
func asked(primitive string, to attack.Vertex) []rbac.Attributes {
	ns, name := to.Namespace, ""
	if to.Kind != attack.Power {
		_, name, _ = strings.Cut("/"+to.Name, "/")
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	var out []rbac.Attributes
	add := func(resource, sub string, verbs ...string) {
		for _, verb := range verbs {
			out = append(out, rbac.Attributes{Verb: verb, Resource: resource, Subresource: sub, Namespace: ns, Name: name})
		}
	}
	switch primitive {
	case "P02":
		out = append(out, rbac.Attributes{Verb: "create", Resource: "pods", Namespace: ns})
	case "P06":
		add("pods", "exec", "create")
		add("pods", "attach", "create")
	case "P12":
		if to.Name == "get-secrets" {
			// Reading by name: no request without a name is asked for.
			name = "any"
			add("secrets", "", "get", "patch")
			break
		}
		add("secrets", "", "list", "watch", "get", "patch", "deletecollection")
	case "P15":
		if to.Kind == attack.Power {
			name = "any"
		}
		add("serviceaccounts", "token", "create")
	}
	return out
}

// identityOf is who a vertex stands for.
func identityOf(v attack.Vertex) (rbac.Identity, bool) {
	switch v.Kind {
	case attack.User:
		return rbac.Subject{Kind: rbac.UserKind, Name: v.Name}.Identity(), true
	case attack.Group:
		return rbac.Subject{Kind: rbac.GroupKind, Name: v.Name}.Identity(), true
	case attack.ServiceAccount:
		return rbac.Account(v.Namespace, v.Name), true
	default:
		return rbac.Identity{}, false
	}
}

// TestGrantedEdgesAreAllowed holds the edges of some primitives against the
// authorizer: what is drawn is allowed to that identity, and what removes a step
// removes the permission, unless another step gives it.
func TestGrantedEdgesAreAllowed(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(60) {
		text := world{rand.New(rand.NewPCG(seed, 1))}.cluster()
		s := snapshot(t, text)
		s.Whole = true
		g := attack.Build([]*cluster.Snapshot{s}, attack.Options{})
		model := rbac.Of(s)
		for v := range g.Vertices {
			id, ok := identityOf(g.Vertices[v])
			if !ok {
				continue
			}
			for _, h := range g.From(v) {
				step := &g.Steps[h.Step]
				requests := asked(step.ID, g.Vertices[h.To])
				if len(requests) == 0 {
					continue
				}
				seen[step.ID]++
				if !allowed(model, id, requests) {
					t.Fatalf("seed %d: %s > %s > %s, but %+v is not allowed any of %+v\n%s", seed, g.Name(v), step.ID, g.Name(h.To), id, requests, text)
				}
				if len(step.Changes) == 0 {
					t.Fatalf("seed %d: %s > %s > %s: nothing removes it\n%s", seed, g.Name(v), step.ID, g.Name(h.To), text)
				}
				for _, change := range step.Changes {
					checkRemoved(t, g, change, h, id, requests, text)
				}
			}
		}
	}
	for _, id := range []string{"P02", "P06", "P12", "P15"} {
		if seen[id] < 20 {
			t.Errorf("%s was drawn %d times: too few to say anything", id, seen[id])
		}
	}
}

func allowed(m *rbac.Model, id rbac.Identity, requests []rbac.Attributes) bool {
	return slices.ContainsFunc(requests, func(a rbac.Attributes) bool { return m.Decide(id, a).Allowed })
}

// checkRemoved makes one change. The step must be gone, and with the last of its
// kind the permission.
func checkRemoved(t *testing.T, g *attack.Graph, change int, h attack.Hop, id rbac.Identity, requests []rbac.Attributes, text string) {
	t.Helper()
	snaps, err := g.Apply([]int{change})
	if err != nil {
		t.Fatal(err)
	}
	after := attack.Build(snaps, attack.Options{})
	from, to := g.Vertices[h.From], g.Vertices[h.To]
	left := 0
	if v := after.Find(from.Key); v >= 0 {
		for _, x := range after.From(v) {
			s := &after.Steps[x.Step]
			if s.ID == g.Steps[h.Step].ID || s.ID == "P01" {
				left++
			}
			if after.Vertices[x.To].Key == to.Key && s.ID == g.Steps[h.Step].ID && s.Text == g.Steps[h.Step].Text {
				t.Fatalf("%q does not remove %q\n%s", g.Changes[change].Text, s.Text, text)
			}
		}
	}
	// A group may still give it, by an edge of its own.
	if left == 0 && allowed(rbac.Of(snaps[0]), rbac.Identity{User: id.User}, requests) {
		t.Fatalf("after %q no step is left, but %s is still allowed one of %+v\n%s", g.Changes[change].Text, id.User, requests, text)
	}
}

// TestAllowedIsReached is the other way round: what the authorizer allows an
// identity leads somewhere.
func TestAllowedIsReached(t *testing.T) {
	reached := 0
	for seed := range uint64(150) {
		text := world{rand.New(rand.NewPCG(seed, 2))}.cluster()
		s := snapshot(t, text)
		s.Whole = true
		g := attack.Build([]*cluster.Snapshot{s}, attack.Options{})
		model := rbac.Of(s)
		for v := range g.Vertices {
			id, ok := identityOf(g.Vertices[v])
			if !ok {
				continue
			}
			for _, ns := range []string{"n1", "n2"} {
				for _, want := range []struct {
					rbac.Attributes
					to attack.Key
				}{
					{rbac.Attributes{Verb: "create", Resource: "pods", Namespace: ns}, attack.Key{Kind: attack.Power, Namespace: ns, Name: "create-pods"}},
					{rbac.Attributes{Verb: "create", Resource: "pods", Subresource: "exec", Name: "web-0", Namespace: ns}, attack.Key{Kind: attack.Workload, Namespace: ns, Name: "Pod/web-0"}},
					{rbac.Attributes{Verb: "create", Resource: "pods", Subresource: "attach", Name: "web-0", Namespace: ns}, attack.Key{Kind: attack.Workload, Namespace: ns, Name: "Pod/web-0"}},
					{rbac.Attributes{Verb: "get", Resource: "secrets", Name: "a", Namespace: ns}, attack.Key{Kind: attack.Secret, Namespace: ns, Name: "a"}},
					{rbac.Attributes{Verb: "list", Resource: "secrets", Namespace: ns}, attack.Key{Kind: attack.Power, Namespace: ns, Name: "read-secrets"}},
					{rbac.Attributes{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Name: "b", Namespace: ns}, attack.Key{Kind: attack.ServiceAccount, Namespace: ns, Name: "b"}},
				} {
					if !model.Decide(id, want.Attributes).Allowed {
						continue
					}
					reached++
					to := g.Find(want.to)
					if to == v {
						continue
					}
					if to < 0 || len(g.Paths([]attack.Entry{{Vertex: v, Likelihood: 1}}, []attack.Goal{{Impact: 1, Vertices: []int{to}}})) == 0 {
						t.Fatalf("seed %d: %s may %+v and has no path to %+v\n%s", seed, g.Name(v), want.Attributes, want.to, text)
					}
				}
			}
		}
	}
	if reached < 500 {
		t.Errorf("%d permissions were asked about: too few to say anything", reached)
	}
}
