package attack_test

import (
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// snapshot reads objects from YAML.
func snapshot(t testing.TB, text string) *cluster.Snapshot {
	t.Helper()
	var objects []*cluster.Object
	for _, doc := range document.Parse([]byte(text), document.Limits{}) {
		if doc.Err != nil {
			t.Fatal(doc.Err)
		}
		if o, ok := cluster.New(doc.Root); ok {
			objects = append(objects, o)
		}
	}
	return cluster.NewSnapshot(objects)
}

// graph builds the graph of one cluster.
func graph(t testing.TB, text string) *attack.Graph {
	t.Helper()
	return attack.Build([]*cluster.Snapshot{snapshot(t, text)}, attack.Options{})
}

// vertex finds a vertex by the name that people call it.
func vertex(t testing.TB, g *attack.Graph, name string) int {
	t.Helper()
	for i := range g.Vertices {
		if g.Name(i) == name {
			return i
		}
	}
	t.Fatalf("no vertex %q", name)
	return -1
}

// route is the path from one vertex to another: primitives and what they lead to.
func route(t testing.TB, g *attack.Graph, from, to string) string {
	t.Helper()
	paths := g.Paths([]attack.Entry{{Vertex: vertex(t, g, from), Likelihood: 1}}, []attack.Goal{{Impact: 1, Vertices: []int{vertex(t, g, to)}}})
	if len(paths) == 0 {
		return ""
	}
	out := []string{from}
	for _, h := range paths[0].Hops {
		out = append(out, g.Steps[h.Step].ID, g.Name(h.To))
	}
	return strings.Join(out, " > ")
}

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: baseline}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: maker}
rules:
- {apiGroups: [""], resources: [pods], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: devs, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: maker}
subjects:
- {kind: Group, apiGroup: rbac.authorization.k8s.io, name: devs}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: ann}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: ServiceAccount, namespace: shop, name: operator}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: operator, namespace: shop}
`

func TestPath(t *testing.T) {
	g := graph(t, shop)
	want := "group devs > P02 > making pods in shop > P02 > service account shop/operator > P01 > cluster-admin"
	if got := route(t, g, "group devs", "cluster-admin"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCut(t *testing.T) {
	g := graph(t, shop)
	to := vertex(t, g, "cluster-admin")
	cut := g.Cut([]int{vertex(t, g, "group devs"), vertex(t, g, "user ann")}, []int{to})
	if len(cut.Changes) != 1 || len(cut.Fixed) != 0 || g.Changes[cut.Changes[0]].Text != "delete ClusterRoleBinding operator" {
		t.Fatalf("got %+v of %+v", cut, g.Changes)
	}
	entries, goals := []attack.Entry{{Vertex: vertex(t, g, "user ann"), Likelihood: 1}}, []attack.Goal{{Impact: 1, Vertices: []int{to}}}
	left, _, err := g.Check(cut, entries, goals)
	if err != nil || len(left) != 0 {
		t.Errorf("after the cut: %v, %v", left, err)
	}
	if left, _, _ := g.Check(attack.Cut{}, entries, goals); len(left) != 1 {
		t.Errorf("without the cut: got %d paths, want 1", len(left))
	}
}
