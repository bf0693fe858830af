package checks_test

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
)

// TestFastPathAgrees judges every example, whole and damaged in many ways, by
// the fast path and by cel-go's interpreter. They must say the same.
func TestFastPathAgrees(t *testing.T) {
	const damaged = 40
	for _, r := range rules(t) {
		if r.Deny == "" || r.OnEvents() {
			continue // package detect has a test of its own
		}
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			fast := oneRule(t, r, false)
			slow := oneRule(t, r, true)
			random := rand.New(rand.NewPCG(1, 2))
			for i := range r.Examples {
				compareOutcomes(t, fast, slow, r.ID, r.Examples[i])
				for range damaged {
					e := r.Examples[i]
					e.Text = damage(random, e.Text)
					compareOutcomes(t, fast, slow, r.ID, e)
				}
			}
		})
	}
}

func oneRule(t *testing.T, r *check.Rule, interpreter bool) *check.Set {
	t.Helper()
	set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: checks.Funcs(), Interpreter: interpreter})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func compareOutcomes(t *testing.T, fast, slow *check.Set, id string, e check.Example) {
	t.Helper()
	got, gotErr := fast.Outcome(id, &e)
	want, wantErr := slow.Outcome(id, &e)
	if (gotErr == nil) != (wantErr == nil) || got != want {
		t.Errorf("%s: the fast path says\n%s %v\nthe interpreter\n%s %v\nof\n%s", e.Name, got, gotErr, want, wantErr, e.Text)
	}
}

var scalar = regexp.MustCompile(`(: |- )([A-Za-z0-9/._-]+|"[^"]*")`)

// damage changes one thing in a YAML text: it drops a line, or puts another
// value in the place of one.
func damage(random *rand.Rand, text []byte) []byte {
	if random.IntN(3) == 0 {
		lines := strings.SplitAfter(string(text), "\n")
		i := random.IntN(len(lines))
		return []byte(strings.Join(append(lines[:i:i], lines[i+1:]...), ""))
	}
	places := scalar.FindAllSubmatchIndex(text, -1)
	if len(places) == 0 {
		return text
	}
	p := places[random.IntN(len(places))]
	others := []string{"null", "true", "false", "0", "-1", "7", "1.5", `""`, "text", "[]", "{}", "[a, 1, null]", "{a: b}", "ALL", "/"}
	return bytes.Join([][]byte{text[:p[4]], []byte(others[random.IntN(len(others))]), text[p[5]:]}, nil)
}
