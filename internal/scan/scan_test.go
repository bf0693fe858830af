package scan_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/report"
	"seawall.io/seawall/internal/scan"
)

// options are those of a scan of files, by name, with all checks.
func options(t testing.TB, files map[string]string) scan.Options {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rules, err := checks.Rules()
	if err != nil {
		t.Fatal(err)
	}
	o := scan.Options{Version: "v0", Targets: []string{"."}, Rules: rules, Funcs: checks.Funcs(), Today: "2026-06-15"}
	for _, r := range rules {
		o.Choice.Globs = append(o.Choice.Globs, r.ID)
	}
	return o
}

func run(t testing.TB, o scan.Options) *scan.Result {
	t.Helper()
	r, err := scan.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const shop = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  template:
    metadata:
      labels: {app: web}
    spec:
      hostPID: true
      volumes:
        - {name: a, hostPath: {path: /}}
        - {name: b, hostPath: {path: /proc}}
      initContainers:
        - {name: setup, image: busybox}
      containers:
        - name: app
          image: nginx:latest
          env: [{name: PASSWORD, value: correct-horse-battery}, {name: A, value: b}]
          ports: [{name: http, containerPort: 80, hostPort: 80}]
          securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN, NET_ADMIN]}}
        - name: side
          image: docker.io/library/redis
          securityContext: {runAsUser: 0}
          ports: [{name: web, containerPort: 81, hostPort: 81}]
`

const account = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: all}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
`

// TestIDsAreStable: the ID of a finding is about what is wrong with what, not
// about where in the text that stands.
func TestIDsAreStable(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
	}{
		{"lines-added", map[string]string{"a.yaml": "# one\n\n" + strings.ReplaceAll(shop, "spec:\n", "spec: # more\n\n") + "---\n# two\n---\n" + account}},
		{"other-order-of-documents", map[string]string{"a.yaml": account + "---\n" + shop}},
		{"other-files", map[string]string{"x/b.yaml": account, "c.yml": shop}},
		{"crlf", map[string]string{"a.yaml": strings.ReplaceAll(shop+"---\n"+account, "\n", "\r\n")}},
		{"in-a-list", map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- " + strings.TrimSuffix(strings.ReplaceAll(shop, "\n", "\n  "), "  "), "b.yaml": account}},
		{"keys-reordered", map[string]string{"a.yaml": account + `---
spec:
  template:
    spec:
      containers:
        - securityContext: {capabilities: {add: [SYS_ADMIN, NET_ADMIN]}, privileged: true}
          ports: [{hostPort: 80, name: http, containerPort: 80}]
          env: [{value: correct-horse-battery, name: PASSWORD}, {value: b, name: A}]
          image: nginx:latest
          name: app
        - ports: [{hostPort: 81, name: web, containerPort: 81}]
          securityContext: {runAsUser: 0}
          image: docker.io/library/redis
          name: side
      initContainers:
        - {image: busybox, name: setup}
      volumes:
        - {hostPath: {path: /}, name: a}
        - {hostPath: {path: /proc}, name: b}
      hostPID: true
    metadata: {labels: {app: web}}
metadata: {namespace: shop, name: web}
kind: Deployment
apiVersion: apps/v1
`}},
		{"lists-reordered", map[string]string{"a.yaml": account + `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      hostPID: true
      volumes:
        - {name: b, hostPath: {path: /proc}}
        - {name: a, hostPath: {path: /}}
      initContainers:
        - {name: setup, image: busybox}
      containers:
        - name: side
          image: docker.io/library/redis
          securityContext: {runAsUser: 0}
          ports: [{name: web, containerPort: 81, hostPort: 81}]
        - name: app
          image: nginx:latest
          env: [{name: A, value: b}, {name: PASSWORD, value: correct-horse-battery}]
          ports: [{name: http, containerPort: 80, hostPort: 80}]
          securityContext: {privileged: true, capabilities: {add: [NET_ADMIN, SYS_ADMIN]}}
`}},
	}
	want := ids(t, map[string]string{"a.yaml": shop + "---\n" + account})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(want, ids(t, tt.files)); diff != "" {
				t.Error("(-want +got)", diff)
			}
		})
	}
}

// ids returns what each ID stands for.
func ids(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	o := options(t, files)
	o.Choice.Disable = []string{"keys-not-sorted"} // it is about the order
	for _, f := range run(t, o).Findings {
		if other, dup := out[f.ID]; dup {
			t.Errorf("ID %s stands for two findings: %s, and %s", f.ID, other, f.Check)
		}
		out[f.ID] = f.Check + " " + f.Subject.String() + " " + f.Subject.Container
	}
	return out
}

// TestFindingsAreComplete: a user gets the check, the place, the reason and the
// remedy of each finding.
func TestFindingsAreComplete(t *testing.T) {
	for _, f := range run(t, options(t, map[string]string{"a.yaml": shop + "---\n" + account})).Findings {
		if f.ID == "" || f.Check == "" || f.Title == "" || f.Severity == 0 || f.Subject.Kind == "" || f.Subject.Name == "" ||
			f.Message == "" || f.Remediation == "" || f.Phase == "" || f.Layer == "" {
			t.Errorf("%s lacks something: %+v", f.Check, f)
		}
		if f.Location.File != "a.yaml" || f.Location.Line == 0 || f.Location.Column == 0 {
			t.Errorf("%s has no place: %+v", f.Check, f.Location)
		}
	}
}

// TestReportsAreReproducible: the same input, the same bytes, on one core and
// on several.
func TestReportsAreReproducible(t *testing.T) {
	files := map[string]string{"account.yaml": account, "broken.yaml": "kind: {"}
	for i := range 40 {
		name := strings.Repeat("x", 1+i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".yaml"
		files[name] = strings.ReplaceAll(shop, "name: web\n", "name: web-"+strings.TrimSuffix(name, ".yaml")+"\n")
	}
	o := options(t, files)
	var first []byte
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, cores := range []int{1, 2, 4, 2} {
		runtime.GOMAXPROCS(cores)
		var out bytes.Buffer
		if err := report.Write(&out, "json", run(t, o).Report, report.Options{}); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out.Bytes()
		} else if !bytes.Equal(first, out.Bytes()) {
			t.Fatalf("%d cores: the report differs", cores)
		}
	}
}

// TestOwnedObjectsAreReportedOnce: what a Deployment made has the Deployment's
// mistakes.
func TestOwnedObjectsAreReportedOnce(t *testing.T) {
	const pod = "{containers: [{name: a, image: x, securityContext: {privileged: true}}]}"
	files := map[string]string{"a.yaml": `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {spec: ` + pod + `}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]}, spec: {template: {spec: ` + pod + `}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1-a, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true}]}, spec: ` + pod + `}
`}
	o := options(t, files)
	r := run(t, o)
	for _, f := range r.Findings {
		if f.Subject.String() != "Deployment/shop/web" {
			t.Errorf("%s is reported for %s too", f.Check, f.Subject)
		}
	}
	want := map[string]int{"apps/v1/Deployment": 1, "apps/v1/ReplicaSet": 1, "v1/Pod": 1}
	if diff := cmp.Diff(want, r.Coverage.Evaluated); diff != "" {
		t.Error("evaluated (-want +got)", diff)
	}
}

// TestNothingRunsOn: a scan that fails while it judges leaves nothing at work.
func TestNothingRunsOn(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		b.WriteString(strings.ReplaceAll(shop, "name: web\n", fmt.Sprintf("name: web%d\n", i)) + "---\n")
	}
	o := options(t, map[string]string{"shop.yaml": b.String(), "account.yaml": account})
	o.Paths = true
	o.Params = map[string]map[string]any{o.Rules[0].ID: {"no such parameter": true}}
	if _, err := scan.Run(t.Context(), o); err == nil {
		t.Fatal("judging did not fail")
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if bytes.Contains(stacks, []byte("internal/attack.")) {
		t.Errorf("the graph is still being built:\n%s", stacks)
	}
}
