package attack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
)

const roleAPI = "---\napiVersion: rbac.authorization.k8s.io/v1\n"

// TestManyDuplicateBindings binds the same roles thousands of times, to somebody
// and to everybody: each binding is a step, but no product of them is made.
func TestManyDuplicateBindings(t *testing.T) {
	const n = 2000
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: n1}\n")
	for _, part := range []string{"create", "get"} {
		fmt.Fprintf(&b, roleAPI+"kind: ClusterRole\nmetadata: {name: %s}\nrules:\n- {apiGroups: [\"\"], resources: [secrets], verbs: [%s]}\n", part, part)
		for i := range n {
			for _, who := range []string{"{kind: User, name: ann}", "{kind: Group, name: system:authenticated}"} {
				fmt.Fprintf(&b, roleAPI+"kind: ClusterRoleBinding\nmetadata: {name: %s-%d-%s}\nroleRef: {kind: ClusterRole, name: %s}\nsubjects:\n- %s\n", part, i, who[7:8], part, who)
			}
		}
	}
	for i := range n {
		fmt.Fprintf(&b, roleAPI+"kind: ClusterRoleBinding\nmetadata: {name: u%d}\nroleRef: {kind: ClusterRole, name: create}\nsubjects:\n- {kind: User, name: u%d}\n", i, i)
	}
	g := graph(t, b.String())
	if got := route(t, g, "user ann", "service account n1/a"); !strings.Contains(got, "P14") {
		t.Errorf("got %q", got)
	}
	if got, most := g.Edges(), 12*n; got > most {
		t.Errorf("got %d edges, want at most %d", got, most)
	}
}

// TestMalformedRoles holds that what is no RBAC is named, and the rest judged.
func TestMalformedRoles(t *testing.T) {
	g := graph(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: one, labels: {to: two}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: one}}]}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: two, labels: {to: one}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: two}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: broken}
rules: [{apiGroups: "", resources: [pods], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cyclic}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: two}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: ann}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: ann}
- {kind: ServiceAccount, name: nowhere}
- {kind: Thing, name: thing}
- {kind: User, name: ""}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lost}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: not-here}
subjects: [{kind: User, name: bob}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: broken}
subjects: [{kind: User, name: bob}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: odd, namespace: n1}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: one}
subjects: 7
`)
	if got := route(t, g, "user ann", "reading Secrets in all namespaces"); got == "" {
		t.Error("an aggregated role in a cycle gives nothing")
	}
	for _, want := range []string{"ClusterRoleBinding lost", "ClusterRoleBinding bad", "RoleBinding n1/odd"} {
		if !slices.ContainsFunc(g.Unknown, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s is not named: %q", want, g.Unknown)
		}
	}
	// Somebody listed twice is taken out twice.
	ann := vertex(t, g, "user ann")
	cut := g.Cut([]int{ann}, []int{vertex(t, g, "reading Secrets in all namespaces")})
	left, _, err := g.Check(cut, []attack.Entry{{Vertex: ann, Likelihood: 1}}, []attack.Goal{{Impact: 1, Vertices: []int{vertex(t, g, "reading Secrets in all namespaces")}}})
	if err != nil || len(left) > 0 || len(cut.Changes) != 1 {
		t.Errorf("got %+v, left %v, %v", cut, left, err)
	}
}

// TestKubernetesOwnIsNotOffered holds that no change takes from Kubernetes what it
// needs, and that people may be taken out of its bindings.
func TestKubernetesOwnIsNotOffered(t *testing.T) {
	s := snapshot(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cluster-admin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:masters"}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: ann}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:kube-controller-manager"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:kube-controller-manager"}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: "system:kube-controller-manager"}
`)
	g := attack.Build([]*cluster.Snapshot{s}, attack.Options{})
	for _, c := range g.Changes {
		if c.Text != "remove User ann from ClusterRoleBinding cluster-admin" && c.Object != nil {
			t.Errorf("offers to %s", c.Text)
		}
	}
	if got := route(t, g, "group system:masters", "cluster-admin"); got != "group system:masters > P01 > cluster-admin" {
		t.Errorf("got %q", got)
	}
	for _, e := range g.Entries() {
		if v := g.Vertices[e.Vertex]; strings.HasPrefix(v.Name, "system:kube-") || v.Name == "system:masters" {
			t.Errorf("%s is an entry", g.Name(e.Vertex))
		}
	}
}
