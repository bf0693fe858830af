package podchecks_test

import (
	"strings"
	"testing"

	"seawall.io/seawall"
	podchecks "seawall.io/seawall/checks/pod"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// TestAbsenceInPartOfACluster holds that what was not read is not called
// missing, but unknown.
func TestAbsenceInPartOfACluster(t *testing.T) {
	const pod = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers:
    - {name: app, image: shop/web:1, env: [{name: A, valueFrom: {secretKeyRef: {name: web, key: a}}}]}
`
	for _, tt := range []struct {
		function           string
		incomplete         []seawall.Incomplete
		findings, unknowns int
	}{
		{function: "podMissingAccount", findings: 1},
		{function: "podEnvReferences", findings: 1},
		{function: "podMissingAccount", incomplete: []seawall.Incomplete{{Reason: "refused"}}, unknowns: 1},
		{function: "podEnvReferences", incomplete: []seawall.Incomplete{{Reason: "refused"}}, unknowns: 1},
	} {
		r, err := check.ParseRule("pod/x.txtar", []byte("# T\n\nWhy.\n\nFix: do.\n\n-- check.yaml --\nid: x\nseverity: low\nmatch: pod\nfunc: "+tt.function+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: podchecks.Funcs()})
		if err != nil {
			t.Fatal(err)
		}
		o, _ := cluster.New(document.Parse([]byte(pod), document.Limits{})[0].Root)
		snap := cluster.NewSnapshot([]*cluster.Object{o})
		snap.Whole, snap.Incomplete = true, tt.incomplete
		var out check.Result
		set.Across("x", snap, &out)
		if len(out.Findings) != tt.findings || len(out.Incomplete) != tt.unknowns {
			t.Errorf("%s with %d refused: got %d findings and %d unknowns, want %d and %d", tt.function, len(tt.incomplete),
				len(out.Findings), len(out.Incomplete), tt.findings, tt.unknowns)
		}
		for _, hole := range out.Incomplete {
			if !strings.Contains(hole.Reason, "is unknown") {
				t.Errorf("%s: got reason %q, want one that says what is unknown", tt.function, hole.Reason)
			}
		}
	}
}
