package attack_test

import (
	"fmt"
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
)

// manyIdentities is a cluster of 10,000 service accounts in 1,000 namespaces, each
// bound to one of a few roles or to a role of its own, 2,000 people bound to edit,
// and 3,000 workloads.
func manyIdentities() string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, "---\n"+format, args...) }
	const api = "apiVersion: rbac.authorization.k8s.io/v1\n"
	for ns := range 1000 {
		w("apiVersion: v1\nkind: Namespace\nmetadata: {name: n%d}\n", ns)
		for i := range 10 {
			w("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a%d, namespace: n%d}\n", i, ns)
			role := fmt.Sprintf("{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}", [...]string{"edit", "admin", "view"}[i%3])
			if i%2 == 0 {
				w(api+"kind: Role\nmetadata: {name: r%d, namespace: n%d}\nrules:\n- {verbs: [create, get], apiGroups: [\"\"], resources: [secrets, pods/exec, serviceaccounts]}\n- {verbs: [create, bind], apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings]}\n", i, ns)
				role = fmt.Sprintf("{apiGroup: rbac.authorization.k8s.io, kind: Role, name: r%d}", i)
			}
			w(api+"kind: RoleBinding\nmetadata: {name: b%d, namespace: n%d}\nroleRef: %s\nsubjects:\n- {kind: ServiceAccount, name: a%d, namespace: n%d}\n", i, ns, role, i, ns)
		}
		for i := range 3 {
			w("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d, namespace: n%d}\nspec: {template: {spec: {serviceAccountName: a%d, containers: [{name: c, image: a}]}}}\n", i, ns, i)
		}
	}
	for i := range 2000 {
		w(api+"kind: RoleBinding\nmetadata: {name: p%d, namespace: n%d}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects:\n- {kind: User, apiGroup: rbac.authorization.k8s.io, name: u%d}\n", i, i%1000, i)
	}
	return b.String()
}

// BenchmarkIdentities builds the graph of a cluster with many who may do much.
func BenchmarkIdentities(b *testing.B) {
	objects := snapshot(b, manyIdentities()).Objects
	b.ReportAllocs()
	for b.Loop() {
		// What is derived from a snapshot is kept with it, and made anew here.
		g := attack.Build([]*cluster.Snapshot{cluster.NewSnapshot(objects)}, attack.Options{})
		b.ReportMetric(float64(len(g.Vertices)), "vertices")
		b.ReportMetric(float64(g.Edges()), "edges")
	}
}
