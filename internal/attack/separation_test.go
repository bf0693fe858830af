package attack_test

import (
	"fmt"
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
)

const teams = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: red}
spec: {serviceAccountName: web, containers: [{name: c, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: blue}
spec: {automountServiceAccountToken: false, containers: [{name: c, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: root, namespace: ops}
spec: {serviceAccountName: root, containers: [{name: c, image: a}]}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: blue}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: blue}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [key]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: blue}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: red}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: root}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: root, namespace: ops}]
`

func TestSeparate(t *testing.T) {
	g := graph(t, teams)
	s := g.Separate(0)
	var got []string
	for _, from := range s.Namespaces {
		for _, to := range s.Namespaces {
			if s.Reaches(from, to) && !strings.HasPrefix(to, "kube-") {
				got = append(got, from+">"+to)
			}
		}
	}
	if want := "ops>blue ops>default ops>red red>blue"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, " "), want)
	}
	p, goals, ok := s.Witness("red", "blue")
	if !ok || g.Name(p.Hops[len(p.Hops)-1].To) != "Secret blue/key" || goals[0].Name != "namespace blue" {
		t.Errorf("witness: %+v", p)
	}
	if _, _, ok := s.Witness("blue", "red"); ok {
		t.Error("a witness of what is separate")
	}
}

func BenchmarkSeparate(b *testing.B) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n%[1]d}\nspec: {serviceAccountName: p, containers: [{name: c, image: a}]}\n"+
			"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: p, namespace: n%[2]d}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects: [{kind: ServiceAccount, name: p, namespace: n%[1]d}]\n", i, i/2)
	}
	g := attack.Build([]*cluster.Snapshot{snapshot(b, text.String())}, attack.Options{})
	for b.Loop() {
		if s := g.Separate(0); !s.Reaches("n400", "n0") {
			b.Fatal("not found")
		}
	}
}
