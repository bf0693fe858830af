package patch

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

func TestEdit(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in      string
		fixes   [][]seawall.PatchOp
		want    string
		refused []error
	}{
		{
			name: "shared-parent",
			in:   lines("spec:", "  x: 1"),
			fixes: [][]seawall.PatchOp{
				{add("/spec/securityContext", m{"runAsNonRoot": true})},
				{add("/spec/securityContext", m{"runAsNonRoot": true, "seccompProfile": m{"type": "RuntimeDefault"}})},
				{add("/spec/securityContext/capabilities/drop", s{"ALL"})},
				{add("/spec/securityContext/capabilities/drop/-", "ALL")},
			},
			want: lines("spec:", "  x: 1", "  securityContext:", "    capabilities:", "      drop:", "      - ALL",
				"    runAsNonRoot: true", "    seccompProfile:", "      type: RuntimeDefault"),
		},
		{
			name: "parent-comes-later",
			in:   lines("x: 1"),
			fixes: [][]seawall.PatchOp{
				{add("/a/b", 1)}, {add("/a/c", 2)}, {add("/a", m{"b": 1, "d": 3})},
			},
			want: lines("x: 1", "a:", "  b: 1", "  c: 2", "  d: 3"),
		},
		{
			name: "conflicts",
			in:   lines("x: 1", "k: {l: 1}"),
			fixes: [][]seawall.PatchOp{
				{add("/a", m{"b": 1})},
				{add("/c", 1), add("/a", m{"b": 2})},
				{add("/a/b", 2)},
				{replace("/x", 2)},
				{replace("/x", 3)},
				{remove("/x")},
				{remove("/k")},
				{replace("/k/l", 1)},
				{remove("/k/l")},
			},
			want:    lines("x: 2", "a:", "  b: 1"),
			refused: []error{ErrConflict, ErrConflict, ErrConflict, ErrConflict, ErrConflict},
		},
		{
			name: "indexes-are-those-before",
			in:   lines("l:", "- a", "- b", "- c", "- {d: 1}"),
			fixes: [][]seawall.PatchOp{
				{remove("/l/0")}, {remove("/l/2")}, {remove("/l/2")}, {replace("/l/3/d", 2)}, {add("/l/-", "e")}, {add("/l/1", "z")},
			},
			want: lines("l:", "- z", "- b", "- {d: 2}", "- e"),
		},
		{
			name: "one-is-refused",
			in:   lines("a: &x {p: 1}", "b: *x", "c: 1"),
			fixes: [][]seawall.PatchOp{
				{replace("/c", 2)}, {replace("/a/p", 2), add("/e", 1)}, {add("/d", 3)},
			},
			want:    lines("a: &x {p: 1}", "b: *x", "c: 2", "d: 3"),
			refused: []error{ErrShared},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e Edit
			var errs []error
			for _, f := range tt.fixes {
				if err := e.Add(0, f...); err != nil {
					errs = append(errs, err)
				}
			}
			got, refused := e.Apply([]byte(tt.in))
			for _, r := range refused {
				errs = append(errs, r)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(errs) != len(tt.refused) {
				t.Fatalf("got refusals %v, want %v", errs, tt.refused)
			}
			for i := range errs {
				if !errors.Is(errs[i], tt.refused[i]) {
					t.Errorf("got %v, want %v", errs[i], tt.refused[i])
				}
			}
		})
	}
}

func TestEditDocuments(t *testing.T) {
	in := lines("# one", "a: 1", "---", "bad: {{ .x }}", "---", "c: 1 # keep")
	var e Edit
	for i, f := range []seawall.PatchOp{replace("/a", 2), replace("/bad", 1), replace("/c", 3), add("/x", 1)} {
		if err := e.Add(i, f); err != nil {
			t.Fatal(err)
		}
	}
	got, refused := e.Apply([]byte(in))
	want := lines("# one", "a: 2", "---", "bad: {{ .x }}", "---", "c: 3 # keep")
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(refused) != 2 || refused[0].Fix != 1 || refused[1].Fix != 3 {
		t.Errorf("got %v, want the fixes 1 and 3 refused", refused)
	}
}

// TestEditGenerated checks that what is not refused is done, however fixes
// overlap.
func TestEditGenerated(t *testing.T) {
	done := 0
	for seed := range uint64(1500) {
		a := newAuthor(seed, seed%3 != 0)
		text := []byte(a.document())
		root := document.Parse(text, document.Limits{})[0].Root
		if root == nil {
			continue
		}
		var e Edit
		var ops []seawall.PatchOp
		for range 8 {
			op := a.operation(root.Value())
			if steps, _ := splitPointer(op.Path); slices.Contains(steps, "-") || inList(root, steps) {
				continue
			}
			if _, err := reference(root.Value(), op); err != nil {
				continue
			}
			if e.Add(0, op) != nil {
				op = seawall.PatchOp{}
			}
			ops = append(ops, op)
		}
		got, refused := e.Apply(text)
		for _, r := range refused {
			if !errors.Is(r, ErrShared) {
				t.Logf("seed %d: %v", seed, r)
			}
			ops[r.Fix] = seawall.PatchOp{}
		}
		after := document.Parse(got, document.Limits{})[0].Root
		for _, op := range ops {
			if op.Op == "" {
				continue
			}
			if done++; !isDone(after, op) {
				t.Errorf("seed %d: %v is not done\n%s", seed, op, Diff("x", text, got))
			}
		}
	}
	t.Logf("%d done", done)
}

// isDone says whether an operation has had its effect. What an add sets may
// have got more entries.
func isDone(root *document.Node, op seawall.PatchOp) bool {
	v := root.Value()
	steps, _ := splitPointer(op.Path)
	for _, s := range steps {
		switch n := v.(type) {
		case map[string]any:
			child, found := n[s]
			if !found {
				return op.Op == opRemove
			}
			v = child
		case []any:
			i, err := itemIndex(s, len(n), false)
			if err != nil {
				return false
			}
			v = n[i]
		default:
			return op.Op == opRemove
		}
	}
	want, err := normal(op.Value)
	return err == nil && op.Op != opRemove && contains(v, want)
}

func contains(v, want any) bool {
	w, ok := want.(map[string]any)
	n, okToo := v.(map[string]any)
	if !ok || !okToo {
		return same(v, want) || (want == nil && okToo)
	}
	for k := range w {
		if child, found := n[k]; !found || !contains(child, w[k]) {
			return false
		}
	}
	return true
}

func TestBelow(t *testing.T) {
	got := Below("/items/3", []seawall.PatchOp{remove("/a"), add("/b", 1)})
	want := []seawall.PatchOp{remove("/items/3/a"), add("/items/3/b", 1)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSetAndRemove(t *testing.T) {
	const text = `
spec:
  containers:
  - name: a
    securityContext: {privileged: true}
    resources:
  labels: {app.kubernetes.io/name: x}
`
	root := document.Parse([]byte(text), document.Limits{})[0].Root
	for _, tt := range []struct {
		name string
		got  []seawall.PatchOp
		want []seawall.PatchOp
	}{
		{"replace", Set(root, "spec.containers[0].securityContext.privileged", false), []seawall.PatchOp{replace("/spec/containers/0/securityContext/privileged", false)}},
		{"equal", Set(root, "spec.containers[0].securityContext.privileged", true), nil},
		{"add", Set(root, "spec.hostNetwork", false), []seawall.PatchOp{add("/spec/hostNetwork", false)}},
		{"parents", Set(root, "spec.securityContext.seccompProfile.type", "x"), []seawall.PatchOp{add("/spec/securityContext", m{"seccompProfile": m{"type": "x"}})}},
		{"null", Set(root, "spec.containers[0].resources.limits.cpu", 1), []seawall.PatchOp{add("/spec/containers/0/resources", m{"limits": m{"cpu": 1}})}},
		{"append", Set(root, "spec.containers[1].name", "b"), []seawall.PatchOp{add("/spec/containers/-", m{"name": "b"})}},
		{"list", Set(root, "spec.tolerations[0].key", "b"), []seawall.PatchOp{add("/spec/tolerations", s{m{"key": "b"}})}},
		{"quoted", Set(root, `spec.labels["app.kubernetes.io/name"]`, "b"), []seawall.PatchOp{replace("/spec/labels/app.kubernetes.io~1name", "b")}},
		{"impossible", Set(root, "spec.containers[0].name.x", "b"), nil},
		{"beyond", Set(root, "spec.containers[2].name", "b"), nil},
		{"remove", Remove(root, "spec.containers[0].name"), []seawall.PatchOp{remove("/spec/containers/0/name")}},
		{"absent", Remove(root, "spec.containers[1].name"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
