package repair_test

import (
	"fmt"
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/manifest"
	"seawall.io/seawall/internal/repair"
)

const bindings = `# Who may do what.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: one} # keep
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: ann}
---
# The second.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: two}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: bob} # first
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: eve} # second
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: mia} # third
---
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRoleBinding
  metadata: {name: three}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
  subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: joe}]
- apiVersion: v1
  kind: ServiceAccount
  metadata: {name: x, namespace: y}
`

// cutOf plans what takes cluster-admin from people.
func cutOf(t *testing.T, live bool, users ...string) (*repair.Plan, *attack.Graph, []int) {
	t.Helper()
	read := manifest.Parse("rbac.yaml", []byte(bindings))
	if len(read.Incomplete) > 0 {
		t.Fatal(read.Incomplete)
	}
	for _, o := range read.Objects {
		if live {
			o.Cluster, o.File, o.Text = "prod", "", nil
		}
	}
	g := attack.Build([]*cluster.Snapshot{cluster.NewSnapshot(read.Objects)}, attack.Options{})
	var entries []int
	for _, u := range users {
		v, err := g.Select("user:" + u)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, v...)
	}
	goals, err := g.Select("cluster-admin")
	if err != nil {
		t.Fatal(err)
	}
	cut := g.Cut(entries, goals)
	return repair.Cut(g, cut.Changes), g, entries
}

// TestCutFiles makes the changes in the text, and looks for paths in what comes
// out.
func TestCutFiles(t *testing.T) {
	for _, tt := range []struct {
		users []string
		gone  []string // parts of the text
	}{
		{[]string{"ann"}, []string{"{name: one}", "Who may do what"}},
		{[]string{"bob", "mia"}, []string{"# first", "# third"}},
		{[]string{"joe"}, []string{"{name: three}"}},
		{[]string{"ann", "eve", "joe"}, []string{"{name: one}", "# second", "{name: three}"}},
	} {
		t.Run(strings.Join(tt.users, "-"), func(t *testing.T) {
			plan, _, _ := cutOf(t, false, tt.users...)
			if len(plan.Files) != 1 || len(plan.Left) != 0 || len(plan.Commands) != 0 {
				t.Fatalf("got %+v", plan)
			}
			after := string(plan.Files[0].After)
			for line := range strings.Lines(bindings) {
				has := strings.Contains(after, line)
				for _, gone := range tt.gone {
					if strings.Contains(line, gone) && has {
						t.Errorf("%q is still there:\n%s", gone, after)
					}
				}
			}
			read := manifest.Parse("rbac.yaml", plan.Files[0].After)
			if len(read.Incomplete) > 0 {
				t.Fatalf("%v in\n%s", read.Incomplete, after)
			}
			g := attack.Build([]*cluster.Snapshot{cluster.NewSnapshot(read.Objects)}, attack.Options{})
			for _, u := range []string{"ann", "bob", "eve", "mia", "joe"} {
				from, err := g.Select("user:" + u)
				goals, _ := g.Select("cluster-admin")
				is := err == nil && len(g.Paths([]attack.Entry{{Vertex: from[0], Likelihood: 1}}, []attack.Goal{{Vertices: goals, Impact: 1}})) > 0
				if want := !strings.Contains(strings.Join(tt.users, " "), u); is != want {
					t.Errorf("%s is cluster-admin: %v, want %v\n%s", u, is, want, after)
				}
			}
		})
	}
}

// TestCutCommands wants one patch for two subjects of a live binding, from the last
// to the first, with a test of what is removed.
func TestCutCommands(t *testing.T) {
	plan, _, _ := cutOf(t, true, "bob", "mia", "ann")
	got := strings.Join(plan.Commands, "\n")
	want := `# delete ClusterRoleBinding one (cluster prod)
kubectl delete clusterrolebinding.v1.rbac.authorization.k8s.io one
# remove User bob from ClusterRoleBinding two (cluster prod)
# remove User mia from ClusterRoleBinding two (cluster prod)
kubectl patch clusterrolebinding.v1.rbac.authorization.k8s.io two --type=json -p '` +
		`[{"op":"test","path":"/subjects/2","value":` + subject("mia") + `},{"op":"test","path":"/subjects/0","value":` + subject("bob") + `},` +
		`{"op":"remove","path":"/subjects/2"},{"op":"remove","path":"/subjects/0"}]'`
	if got != want || len(plan.Files) != 0 {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func subject(name string) string {
	return fmt.Sprintf(`{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}`, name)
}
