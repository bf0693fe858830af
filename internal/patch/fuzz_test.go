package patch

import (
	"math/rand/v2"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// FuzzApply checks that whatever Apply returns has the values that the
// operations ask for, and changes the text near them only.
func FuzzApply(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(newAuthor(seed, seed%2 == 0).document(), seed)
	}
	for _, text := range []string{
		"a: &x {b: 1}\nc: *x\n---\n- <<: *x\n", "{\"a\": [1, {\"b\": null}], \"c\": {}}\n", "? a\n: b\n", "- - - a\n",
		"a:\r\n  - b # c\r\n", "\ufeffa: |+\n  x\n\n", "--- {a: 1}\n...\n", "%YAML 1.1\n---\na: b\n", "[a: b, {c}]", "a:\tb\n", "\"a\\\nb\": c\n",
	} {
		f.Add(text, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if len(text) > 4096 {
			return
		}
		before := document.Parse([]byte(text), document.Limits{})
		if len(before) == 0 {
			return
		}
		a := &author{Rand: rand.New(rand.NewPCG(seed, 2))}
		doc := a.IntN(len(before))
		if before[doc].Root.Len() == 0 {
			return
		}
		want := before[doc].Root.Value()
		var ops []seawall.PatchOp
		for range 1 + a.IntN(3) {
			op := a.operation(want)
			after, err := reference(want, op)
			if err != nil {
				continue
			}
			ops, want = append(ops, op), after
		}
		got, err := Apply([]byte(text), doc, ops)
		if err != nil {
			return
		}
		checkDocuments(t, before, document.Parse(got, document.Limits{}), doc, want)
		if len(ops) == 1 && len(before) == 1 {
			if err := local([]byte(text), got, ops[0]); err != nil {
				t.Errorf("%v: %v\n%s", ops[0], err, Diff("x", []byte(text), got))
			}
		}
	})
}

func checkDocuments(t *testing.T, before, after []document.Doc, doc int, want any) {
	t.Helper()
	if len(after) != len(before) {
		t.Fatalf("got %d documents, want %d", len(after), len(before))
	}
	for i := range after {
		switch {
		case i == doc && !same(after[i].Root.Value(), want):
			t.Errorf("got %v, want %v", after[i].Root.Value(), want)
		case i != doc && string(before[i].Text) != string(after[i].Text):
			t.Errorf("document %d is now %q, was %q", i, after[i].Text, before[i].Text)
		}
	}
}
