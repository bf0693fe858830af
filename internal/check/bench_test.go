package check

import (
	"fmt"
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// BenchmarkObject judges a deployment of one container by 100 rules, so the
// figure divided by 100 is the cost of one rule.
func BenchmarkObject(b *testing.B) {
	const spec = "# T\n\nWhy.\n\nFix: do.\n\n-- check.yaml --\nid: c%d\nseverity: low\nmatch: container\n" +
		"deny: has(container.securityContext) && has(container.securityContext.privileged) && container.securityContext.privileged\nmessage: m\n"
	var rules []*Rule
	for i := range 100 {
		r, err := ParseRule("x/y.txtar", fmt.Appendf(nil, spec, i))
		if err != nil {
			b.Fatal(err)
		}
		rules = append(rules, r)
	}
	set, err := NewSet(rules, Options{})
	if err != nil {
		b.Fatal(err)
	}
	doc := document.Parse([]byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n        image: a\n        ports: []\n        securityContext:\n          privileged: false\n"), document.Limits{})[0]
	o, _ := cluster.New(doc.Root)
	templates := cluster.PodTemplates(o)
	for b.Loop() {
		var out Result
		set.Object(o, templates, &out)
		if len(out.Findings) != 0 {
			b.Fatal(out.Findings)
		}
	}
}
