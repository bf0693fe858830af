package checks_test

import (
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/dockerfile"
	"seawall.io/seawall/internal/patch"
)

// TestFixesRemoveFindings carries out the fix of every finding of every
// failing example, and judges the result again: none of the findings that had a
// fix may be left, and nothing may have become impossible to judge.
func TestFixesRemoveFindings(t *testing.T) {
	for _, r := range rules(t) {
		if r.OnEvents() {
			continue // what happened has no document to mend
		}
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			set := oneRule(t, r, false)
			for i := range r.Examples {
				if r.Examples[i].Fail {
					fixExample(t, set, r, &r.Examples[i])
				}
			}
		})
	}
}

func fixExample(t *testing.T, set *check.Set, r *check.Rule, e *check.Example) {
	t.Helper()
	before, err := set.Example(r.ID, e)
	if err != nil {
		t.Fatal(err)
	}
	var edit interface {
		Add(doc int, ops ...seawall.PatchOp) error
		Apply(text []byte) ([]byte, []*patch.Refusal)
	} = &patch.Edit{}
	if dockerfile.IsName(e.Name) {
		edit = &dockerfile.Edit{}
	}
	fixed := map[string]bool{}
	for i := range before.Findings {
		f := before.Findings[i]
		if len(f.Fix) == 0 {
			continue
		}
		fixed[f.ID] = true
		if err := edit.Add(before.Objects[i].Doc, f.Fix...); err != nil {
			t.Errorf("%s: %s: %v", e.Name, f.Message, err)
		}
	}
	if len(fixed) == 0 {
		return
	}
	text, refused := edit.Apply(e.Text)
	for _, no := range refused {
		t.Errorf("%s: %v", e.Name, no)
	}
	after, err := set.Example(r.ID, &check.Example{Name: e.Name, Text: text})
	if err != nil {
		t.Fatalf("%s: after the fix: %v\n%s", e.Name, err, text)
	}
	for i := range after.Findings {
		if f := after.Findings[i]; fixed[f.ID] {
			t.Errorf("%s: still found after its fix: %s %s\n%s", e.Name, f.Location, f.Message, text)
		}
	}
	if len(after.Incomplete) > len(before.Incomplete) {
		t.Errorf("%s: the fix left something that cannot be judged: %v\n%s", e.Name, after.Incomplete, text)
	}
}
