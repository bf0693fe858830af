package checks_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
)

const docsFile = "../docs/checks.md"

// TestDocs holds docs/checks.md to the checks; -update writes it anew.
func TestDocs(t *testing.T) {
	want := docs(t)
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./checks -run TestDocs -update", docsFile)
	}
}

func docs(t *testing.T) string {
	t.Helper()
	all := rules(t)
	var b strings.Builder
	fmt.Fprintf(&b, "# Checks\n\nMade from the files in checks/ by `go test ./checks -run TestDocs -update`.\n\n%d checks.\n", len(all))
	topics := map[string][]*check.Rule{}
	var names []string
	for _, r := range all {
		if topics[r.Topic] == nil {
			names = append(names, r.Topic)
		}
		topics[r.Topic] = append(topics[r.Topic], r)
	}
	slices.Sort(names)
	for _, topic := range names {
		fmt.Fprintf(&b, "\n## %s\n", topic)
		for _, r := range topics[topic] {
			entry(&b, r)
		}
	}
	return b.String()
}

func entry(b *strings.Builder, r *check.Rule) {
	fmt.Fprintf(b, "\n### %s\n\n**%s.** %s", r.ID, r.Title, r.Severity)
	if r.Off {
		b.WriteString(", off by default")
	}
	if r.Needs != "" {
		fmt.Fprintf(b, ", needs %s", r.Needs)
	}
	fmt.Fprintf(b, "\n\n%s\n\nFix: %s\n", r.Why, r.Fix)
	if len(r.Params) > 0 {
		b.WriteString("\nParameters:\n\n")
		for _, name := range slices.Sorted(maps.Keys(r.Params)) {
			fmt.Fprintf(b, "- `%s`: %v\n", name, r.Params[name])
		}
	}
	if len(r.Refs) > 0 {
		fmt.Fprintf(b, "\nReferences: %s\n", strings.Join(r.Refs, ", "))
	}
}

// TestFrameworks holds the frameworks to checks that exist, and to IDs that
// are theirs alone.
func TestFrameworks(t *testing.T) {
	known := map[string]bool{}
	for _, r := range rules(t) {
		known[r.ID] = true
	}
	all, err := checks.Frameworks()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range all {
		if seen[f.ID] {
			t.Errorf("two frameworks are called %s", f.ID)
		}
		seen[f.ID] = true
		controls := map[string]bool{}
		for _, c := range f.Controls {
			if controls[c.ID] {
				t.Errorf("%s: two controls are called %s", f.ID, c.ID)
			}
			controls[c.ID] = true
			for _, id := range c.Checks {
				if !known[id] {
					t.Errorf("%s %s: no check is called %s", f.ID, c.ID, id)
				}
			}
		}
	}
	for _, want := range []string{"pss-baseline", "pss-restricted", "cis-1.12", "nsa-cisa", "mitre-attack", "owasp-k8s-top10"} {
		if !seen[want] {
			t.Errorf("no framework is called %s", want)
		}
	}
}
