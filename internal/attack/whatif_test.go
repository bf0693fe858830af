package attack_test

import (
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
)

func ask(g *attack.Graph) attack.Question {
	return attack.Question{Entries: g.Entries(), Goals: g.Goals(), Cut: true}
}

func names(paths []seawall.Path) string {
	var out []string
	for i := range paths {
		out = append(out, paths[i].From.Selector+" > "+paths[i].Goal)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

const podsInPay = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner, namespace: pay}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ci, namespace: pay}
spec:
  selector: {matchLabels: {app: ci}}
  template:
    metadata: {labels: {app: ci}}
    spec:
      serviceAccountName: runner
      containers: [{name: c, image: ci:1}]
---
apiVersion: v1
kind: Namespace
metadata: {name: pay, labels: {pod-security.kubernetes.io/enforce: restricted}}
`

const runnerIsAdmin = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: runner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, namespace: pay, name: runner}]
`

func TestAlter(t *testing.T) {
	before := graph(t, podsInPay)
	after, done, err := before.Alter(attack.Alteration{Put: snapshot(t, runnerIsAdmin).Objects})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"add ClusterRoleBinding/runner"}; !slices.Equal(done, want) {
		t.Errorf("done %q, want %q", done, want)
	}
	c := attack.Compare(before, after, ask(before), ask(after))
	if got := names(c.Opened); !strings.Contains(got, "workload:pay/Deployment/ci > cluster-admin") {
		t.Errorf("opened %q", got)
	}
	if len(c.Closed) != 0 {
		t.Errorf("closed %q", names(c.Closed))
	}
	// And back again: what was opened is closed, whether the binding is removed or
	// replaced by one that grants nothing.
	for _, a := range []attack.Alteration{
		{Gone: []string{"ClusterRoleBinding/runner"}},
		{Put: snapshot(t, strings.Replace(runnerIsAdmin, "name: runner}]", "name: other}]", 1)).Objects},
	} {
		again, _, err := after.Alter(a)
		if err != nil {
			t.Fatal(err)
		}
		back := attack.Compare(after, again, ask(after), ask(again))
		if names(back.Closed) != names(c.Opened) || len(back.Opened) != 0 {
			t.Errorf("closed %q, opened %q", names(back.Closed), names(back.Opened))
		}
	}
	if _, _, err := after.Alter(attack.Alteration{Gone: []string{"ClusterRoleBinding/runer"}}); err == nil {
		t.Error("what is not there was removed")
	}
}

func TestSelect(t *testing.T) {
	g := graph(t, podsInPay+"---"+runnerIsAdmin)
	for _, tt := range []struct{ text, want string }{
		{"workload", "pay/Deployment/ci"},
		{"workload:pay/Deployment/ci", "pay/Deployment/ci"},
		{"serviceaccount:pay/runner", "service account pay/runner"},
		{"cluster-admin", "cluster-admin"},
		{"internet", "the internet"},
	} {
		got, err := g.Select(tt.text)
		if err != nil || len(got) != 1 || g.Name(got[0]) != tt.want {
			t.Errorf("%s: %v, %v", tt.text, got, err)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"workload:pay/Deployment/c1", "did you mean workload:pay/Deployment/ci?"},
		{"serviceaccount:shop/runner", "did you mean serviceaccount:pay/runner?"},
		{"pod:pay/ci", "use internet, user"},
		{"user:", "names nothing"},
	} {
		if got, err := g.Select(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v", tt.text, got, err)
		}
	}
}

func TestSelectClusters(t *testing.T) {
	one, two := snapshot(t, runnerIsAdmin), snapshot(t, runnerIsAdmin)
	for _, o := range one.Objects {
		o.Cluster = "one"
	}
	for _, o := range two.Objects {
		o.Cluster = "two"
	}
	g := attack.Build([]*cluster.Snapshot{one, two}, attack.Options{})
	for text, want := range map[string]int{
		"cluster-admin": 2, "cluster-admin:one": 1, "cluster-admin@two": 1,
		"serviceaccount:pay/runner": 2, "serviceaccount:pay/runner@one": 1,
	} {
		if got, err := g.Select(text); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v, want %d", text, got, err, want)
		}
	}
}

func TestReport(t *testing.T) {
	g := graph(t, podsInPay+"---"+runnerIsAdmin)
	q := ask(g)
	r, _ := g.Report(q)
	if r.Total == 0 || len(r.Paths) != r.Total {
		t.Fatalf("%d of %d paths", len(r.Paths), r.Total)
	}
	for i := range r.Cuts {
		if c := &r.Cuts[i]; !c.Verified || c.Problem != "" {
			t.Errorf("cut of %s is not verified: %+v", c.Goal, c)
		}
	}
	q.Limit = 1
	if short, _ := g.Report(q); len(short.Paths) != 1 || short.Total != r.Total || short.Paths[0].ID != r.Paths[0].ID {
		t.Errorf("with a limit: %d of %d", len(short.Paths), short.Total)
	}
}

// TestGranted wants people who are cluster-admin to be named, and to be no
// entries; but not those who are anybody.
func TestGranted(t *testing.T) {
	g := graph(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: Group, apiGroup: rbac.authorization.k8s.io, name: platform}
- {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:authenticated"}
`)
	r, _ := g.Report(ask(g))
	if got := strings.Join(r.Granted, ", "); got != "group platform" {
		t.Errorf("granted to %q", got)
	}
	if got := names(r.Paths); strings.Contains(got, "platform >") || !strings.Contains(got, "> cluster-admin") {
		t.Errorf("paths %q", got)
	}
}
