package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// shopDir is the example shop, which has mistakes of many kinds.
var shopDir = filepath.Join("..", "..", "examples", "shop") //nolint:gochecknoglobals // a constant

// busybox runs an image that the lab's nodes have, with a Secret whose value no
// report may show.
const busybox = `
apiVersion: v1
kind: Secret
metadata: {name: planted, namespace: shop}
stringData: {password: ` + plantedPassword + `, other: "` + plantedToken + `"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: busybox, namespace: shop, labels: {app: busybox}}
spec:
  replicas: 2
  selector: {matchLabels: {app: busybox}}
  template:
    metadata: {labels: {app: busybox}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: box
          image: seawall.lab/busybox:1
          command: [sleep, "100000"]
          env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: planted, key: password}}}]
`

const (
	plantedPassword = "correct-battery-staple-7391"
	plantedToken    = "ghp_zWq81LxPlantedPlantedPlanted00001"
)

var shop struct { //nolint:gochecknoglobals // the tests share a cluster
	once sync.Once
	dir  string
}

// deployShop brings the shop and busybox to the cluster once, and returns a
// folder with their manifests.
func deployShop(t *testing.T, a *api) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(shopDir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", shopDir, err)
	}
	dir := t.TempDir()
	texts := map[string][]byte{"99-busybox.yaml": []byte(busybox)}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(name)] = text
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shop.once.Do(func() {
		for _, name := range slices.Sorted(keys(texts)) {
			a.mustApply(t, texts[name])
		}
		eventually(t, "busybox runs", func() bool {
			status := a.get(t, "/apis/apps/v1/namespaces/shop/deployments/busybox").Get("status")
			ready, _ := status.Get("readyReplicas").Int()
			return ready == 2
		})
		eventually(t, "the pods of the shop exist", func() bool {
			return a.get(t, "/api/v1/namespaces/shop/pods").Get("items").Len() >= 5
		})
	})
	return dir
}

func keys(m map[string][]byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// defaulted undoes the only difference between a finding in a file and the same
// in a cluster, which has the API server's defaults written out.
func defaulted(message string) string {
	return strings.Replace(message, "imagePullPolicy is IfNotPresent by default", "imagePullPolicy is IfNotPresent", 1)
}

// TestScanClusterFindsWhatFilesShow scans the shop as files and as it runs.
func TestScanClusterFindsWhatFilesShow(t *testing.T) {
	a := cluster(t)
	dir := deployShop(t, a)
	files, _ := scan(t, dir)
	live, out := scan(t, "cluster", "--kubeconfig", shared.kubeconfig)
	if out.code != 1 {
		t.Errorf("got exit code %d, want 1: %s", out.code, out.stderr)
	}
	if len(live.Coverage.Incomplete) > 0 {
		t.Errorf("not everything was read: %v", live.Coverage.Incomplete)
	}
	subjects := map[string]bool{}
	for _, root := range objectsOf(t, dir) {
		subjects[root.Get("kind").Str()+"/"+root.At("metadata", "namespace").Str()+"/"+root.At("metadata", "name").Str()] = true
	}
	if diff := gocmp.Diff(about(files, subjects), about(live, subjects)); diff != "" {
		t.Errorf("files (-) and cluster (+) differ:\n%s", diff)
	}
	for i := range live.Findings {
		f := live.Findings[i]
		if f.Subject.Namespace == "shop" && slices.Contains([]string{"Pod", "ReplicaSet", "Job"}, f.Subject.Kind) {
			t.Errorf("%s is reported for %s, which a controller of the shop owns", f.Check, f.Subject)
		}
		if f.Location.File != "" || f.Location.Line != 0 || f.Subject.Cluster == "" {
			t.Errorf("%s: a live object has no file but a cluster: %+v %+v", f.Check, f.Location, f.Subject)
		}
	}
}

// about returns the findings about some objects, one a line.
func about(r *seawall.Report, subjects map[string]bool) []string {
	var out []string
	for i := range r.Findings {
		f := r.Findings[i]
		s := f.Subject
		if !subjects[s.Kind+"/"+s.Namespace+"/"+s.Name] {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s %s %q %s: %s", f.Check, f.Severity, s, s.Container, f.Location.Path, defaulted(f.Message)))
	}
	slices.Sort(out)
	return out
}

func objectsOf(t *testing.T, dir string) []*document.Node {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*document.Node
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parse(t, text)...)
	}
	return out
}

// TestScanChoosesNamespaceAndContext looks at --namespace, --context,
// cluster:CONTEXT and --all-contexts.
func TestScanChoosesNamespaceAndContext(t *testing.T) {
	a := cluster(t)
	deployShop(t, a)
	config := twoContexts(t, a)

	part, _ := scan(t, "cluster", "--kubeconfig", shared.kubeconfig, "--namespace", "shop")
	for i := range part.Findings {
		if ns := part.Findings[i].Subject.Namespace; ns != "shop" && ns != "" {
			t.Errorf("--namespace shop finds %s", part.Findings[i].Subject)
		}
	}
	if len(part.Findings) == 0 {
		t.Error("--namespace shop finds nothing")
	}
	for _, args := range [][]string{{"cluster", "--context", "second"}, {"cluster:second"}} {
		r, _ := scan(t, append(args, "--kubeconfig", config)...)
		if got := clusters(r); !slices.Equal(got, []string{"second"}) {
			t.Errorf("%q finds in the clusters %q, want second", args, got)
		}
	}
	r, _ := scan(t, "cluster", "--all-contexts", "--kubeconfig", config)
	if got := clusters(r); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("--all-contexts finds in the clusters %q, want first and second", got)
	}
	if len(r.Coverage.Incomplete) != 1 || r.Coverage.Incomplete[0].Location.Path != "third" {
		t.Errorf("the context third has no server, got incomplete %v", r.Coverage.Incomplete)
	}
	out := seawallCommand(t, "scan", "cluster", "--namespace", "nowhere", "--kubeconfig", shared.kubeconfig)
	if out.code != 2 || !strings.Contains(out.stderr, `no namespace "nowhere"`) {
		t.Errorf("a namespace that is not there: exit %d: %s", out.code, out.stderr)
	}
}

func clusters(r *seawall.Report) []string {
	var out []string
	for i := range r.Findings {
		out = append(out, r.Findings[i].Subject.Cluster)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestUnreachableServer asks where nothing listens.
func TestUnreachableServer(t *testing.T) {
	a := cluster(t)
	out := seawallCommand(t, "scan", "cluster", "--context", "third", "--kubeconfig", twoContexts(t, a))
	if out.code != 2 || !strings.Contains(out.stderr, "nothing listens there") || !strings.Contains(out.stderr, "--context") {
		t.Errorf("exit %d, want 2 with a remedy: %s", out.code, out.stderr)
	}
	if out.stdout != "" {
		t.Errorf("a report came out all the same: %s", out.stdout)
	}
}

// restricted is an account that may look at one namespace and no more.
const restricted = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: restricted, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: restricted, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: restricted, namespace: shop}]
`

// TestRestrictedAccount scans with an account that is refused most lists. Each
// must be named, and nothing of what was not seen may count as passed.
func TestRestrictedAccount(t *testing.T) {
	a := cluster(t)
	deployShop(t, a)
	a.mustApply(t, []byte(restricted))
	config := accountConfig(t, a, "shop", "restricted")

	r, out := scan(t, "cluster", "--namespace", "shop", "--kubeconfig", config, "--fail-on", "none", "--framework", "pss-baseline")
	if out.code != 3 {
		t.Errorf("got exit code %d, want 3", out.code)
	}
	var reasons []string
	for _, hole := range r.Coverage.Incomplete {
		reasons = append(reasons, hole.Reason)
	}
	all := strings.Join(reasons, "\n")
	for _, refused := range []string{
		"list secrets in namespace shop: forbidden", "list nodes: forbidden", "list clusterroles.rbac.authorization.k8s.io: forbidden",
		"list namespaces", "list rolebindings.rbac.authorization.k8s.io in namespace shop: forbidden",
	} {
		if !strings.Contains(all, refused) {
			t.Errorf("coverage.incomplete does not say %q:\n%s", refused, all)
		}
	}
	for _, allowed := range []string{"list pods", "list deployments", "list configmaps"} {
		if strings.Contains(all, allowed) {
			t.Errorf("coverage.incomplete says %q, which is allowed:\n%s", allowed, all)
		}
	}
	if len(r.Findings) == 0 {
		t.Error("nothing was found in what may be listed")
	}
	for _, f := range r.Frameworks {
		for _, c := range f.Controls {
			if c.Status == "passed" {
				t.Errorf("%s %s passed, although not everything was seen", f.ID, c.ID)
			}
		}
	}
	if _, out := scan(t, "cluster", "--namespace", "shop", "--kubeconfig", config, "--fail-on", "none", "--allow-incomplete"); out.code != 0 {
		t.Errorf("--allow-incomplete: got exit code %d, want 0", out.code)
	}
}

// reader is an account that may read everything and change nothing.
const reader = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: seawall-e2e-reader}
rules:
  - {apiGroups: ["*"], resources: ["*"], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: seawall-e2e-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: seawall-e2e-reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: shop}]
`

// TestReadingIsEnough scans and takes a snapshot with an account that may list
// and nothing else: that nothing was missing shows that nothing else was tried.
func TestReadingIsEnough(t *testing.T) {
	a := cluster(t)
	deployShop(t, a)
	a.mustApply(t, []byte(reader))
	config := accountConfig(t, a, "shop", "reader")
	r, _ := scan(t, "cluster", "--kubeconfig", config)
	if len(r.Coverage.Incomplete) > 0 {
		t.Errorf("an account that may list is not enough: %v", r.Coverage.Incomplete)
	}
	out := seawallCommand(t, "snapshot", "--kubeconfig", config, "-o", filepath.Join(t.TempDir(), "s.tar.zst"))
	if out.code != 0 {
		t.Errorf("snapshot: exit %d: %s", out.code, out.stderr)
	}
}

// TestSnapshotFindsTheSame scans a cluster and a snapshot of it, and looks for
// the planted secrets in the file and in every report.
func TestSnapshotFindsTheSame(t *testing.T) {
	a := cluster(t)
	deployShop(t, a)
	file := filepath.Join(t.TempDir(), "cluster.tar.zst")
	out := seawallCommand(t, "snapshot", "--kubeconfig", shared.kubeconfig, "-o", file)
	if out.code != 0 {
		t.Fatalf("snapshot: exit %d: %s", out.code, out.stderr)
	}
	live, _ := scan(t, "cluster", "--kubeconfig", shared.kubeconfig)
	kept, _ := scan(t, "snapshot:"+file)
	if diff := gocmp.Diff(ids(live), ids(kept)); diff != "" {
		t.Errorf("cluster (-) and snapshot (+) differ:\n%s", diff)
	}
	if kept.Coverage.Objects == 0 || len(kept.Coverage.Incomplete) > 0 {
		t.Errorf("the snapshot is not whole: %d objects, %v", kept.Coverage.Objects, kept.Coverage.Incomplete)
	}
	part, _ := scan(t, "snapshot:"+file, "--namespace", "shop")
	livePart, _ := scan(t, "cluster", "--namespace", "shop", "--kubeconfig", shared.kubeconfig)
	if diff := gocmp.Diff(ids(livePart), ids(part)); diff != "" {
		t.Errorf("with --namespace shop, cluster (-) and snapshot (+) differ:\n%s", diff)
	}

	text := unpack(t, file)
	for _, secret := range []string{plantedPassword, plantedToken} {
		for _, form := range forms(secret) {
			if strings.Contains(text, form) {
				t.Errorf("the snapshot holds %q", form)
			}
		}
	}
	for _, format := range []string{"table", "json", "sarif", "junit", "markdown", "html", "openreports"} {
		out := seawallCommand(t, "scan", "cluster", "--kubeconfig", shared.kubeconfig, "-o", format)
		for _, secret := range []string{plantedPassword, plantedToken} {
			for _, form := range forms(secret) {
				if strings.Contains(out.stdout+out.stderr, form) {
					t.Errorf("the %s report holds %q", format, form)
				}
			}
		}
	}
}

func ids(r *seawall.Report) []string {
	out := make([]string, 0, len(r.Findings))
	for i := range r.Findings {
		f := r.Findings[i]
		out = append(out, fmt.Sprintf("%s %s %s", f.ID, f.Check, f.Subject))
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}

// TestScanChangesNothing compares what stands in the cluster before and after a
// scan, but for what changes by itself.
func TestScanChangesNothing(t *testing.T) {
	a := cluster(t)
	deployShop(t, a)
	paths := []string{
		"/api/v1/namespaces/shop/secrets", "/api/v1/namespaces/shop/configmaps", "/api/v1/namespaces/shop/services",
		"/apis/apps/v1/namespaces/shop/deployments", "/apis/apps/v1/namespaces/shop/statefulsets",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		"/api/v1/namespaces",
	}
	versions := func() map[string]string {
		out := map[string]string{}
		for _, path := range paths {
			for _, item := range a.get(t, path).Get("items").List() {
				meta := item.Get("metadata")
				out[path+"/"+meta.Get("name").Str()] = meta.Get("uid").Str() + " " + fmt.Sprint(meta.Get("generation").Value()) +
					" " + string(meta.Get("labels").AppendJSON(nil)) + string(meta.Get("annotations").AppendJSON(nil)) + dataOf(item)
			}
		}
		return out
	}
	before := versions()
	scan(t, "cluster", "--kubeconfig", shared.kubeconfig)
	if diff := gocmp.Diff(before, versions()); diff != "" {
		t.Errorf("before (-) and after (+) the scan:\n%s", diff)
	}
}

func dataOf(item *document.Node) string {
	var out []byte
	for _, field := range []string{"data", "spec", "rules", "subjects"} {
		if n := item.Get(field); n != nil {
			out = n.AppendJSON(out)
		}
	}
	return string(out)
}

// post creates something and returns the answer.
func post(t *testing.T, a *api, path, body string) *document.Node {
	t.Helper()
	out := a.call(t, http.MethodPost, path, "application/json", []byte(body))
	if !out.ok() {
		t.Fatalf("POST %s: %s", path, out.message())
	}
	root, err := document.ParseJSON(out.body, document.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestLiveObjectsAreValid expects no complaint about the form of objects that
// the API server has let in, nor about what reading has made of them.
func TestLiveObjectsAreValid(t *testing.T) {
	a := cluster(t)
	deployShop(t, a)
	for _, more := range [][]string{nil, {"--namespace", "shop"}} {
		args := append([]string{"cluster", "--kubeconfig", shared.kubeconfig, "--check", "schema-invalid"}, more...)
		r, _ := scan(t, args...)
		for i := range r.Findings {
			f := r.Findings[i]
			t.Errorf("%q: %s %s: %s", more, f.Subject, f.Location.Path, f.Message)
		}
	}
}
