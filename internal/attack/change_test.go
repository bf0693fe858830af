package attack_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// TestTogether removes any items of a list, in any order, and looks at what is
// left.
func TestTogether(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(14)
		var items []any
		for i := range n {
			items = append(items, map[string]any{"n": int64(i)})
		}
		root := document.FromValue(map[string]any{"list": items, "map": map[string]any{"a": "x", "b": "y"}})
		gone, marked := map[int]bool{}, map[int]bool{}
		var ops []seawall.PatchOp
		for range r.IntN(2 * n) {
			i := r.IntN(n)
			gone[i] = true
			ops = append(ops, seawall.PatchOp{Op: "remove", Path: "/list/" + strconv.Itoa(i)})
		}
		for range r.IntN(n + 1) {
			i := r.IntN(n)
			marked[i] = true
			ops = append(ops, seawall.PatchOp{Op: "add", Path: "/list/" + strconv.Itoa(i) + "/marked", Value: true})
		}
		ops = append(ops, seawall.PatchOp{Op: "remove", Path: "/map/a"}, seawall.PatchOp{Op: "replace", Path: "/map/b", Value: "z"})
		r.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })

		var want []any
		for i := range n {
			item := map[string]any{"n": int64(i)}
			if marked[i] {
				item["marked"] = true
			}
			if !gone[i] {
				want = append(want, item)
			}
		}
		got, err := patch.Node(root, attack.Together(ops))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if want == nil {
			want = []any{}
		}
		if !document.Equal(got, document.FromValue(map[string]any{"list": want, "map": map[string]any{"b": "z"}})) {
			t.Errorf("seed %d: %v\ngot  %s\nwant %v", seed, ops, got.AppendJSON(nil), want)
		}
	}
}

// TestTogetherNested removes a value and what is in it.
func TestTogetherNested(t *testing.T) {
	root := document.FromValue(map[string]any{"a": []any{[]any{"x", "y"}, "z"}})
	ops := []seawall.PatchOp{{Op: "remove", Path: "/a/0"}, {Op: "remove", Path: "/a/0/1"}, {Op: "replace", Path: "/a/0/0", Value: "w"}}
	got, err := patch.Node(root, attack.Together(ops))
	if err != nil || string(got.AppendJSON(nil)) != `{"a":["z"]}` {
		t.Errorf("got %s, %v", got.AppendJSON(nil), err)
	}
}

// TestChanged makes all changes of a cut on one object at once, and wants the
// graph to be without their steps.
func TestChanged(t *testing.T) {
	g := graph(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: ann}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: bob}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: mia}
`)
	admin := vertex(t, g, "cluster-admin")
	bad := []int{vertex(t, g, "user ann"), vertex(t, g, "user eve")}
	cut := g.Cut(bad, []int{admin})
	if len(cut.Changes) != 2 || !cut.Least {
		t.Fatalf("got %+v, want two subjects removed", cut)
	}
	entries := []attack.Entry{{Vertex: bad[0], Likelihood: 1}, {Vertex: bad[1], Likelihood: 1}}
	left, after, err := g.Check(cut, entries, []attack.Goal{{Vertices: []int{admin}}})
	if err != nil || len(left) != 0 {
		t.Fatalf("left %v, %v", left, err)
	}
	for _, name := range []string{"user bob", "user mia"} {
		if route(t, after, name, "cluster-admin") == "" {
			t.Errorf("%s lost its rights", name)
		}
	}
	if slices.ContainsFunc(after.Vertices, func(v attack.Vertex) bool { return v.Name == "eve" }) {
		t.Error("eve is still there")
	}
}
