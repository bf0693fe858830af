package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	snapshot "seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/kube"
)

// pathsExample is the example cluster, with an image that the lab has.
func pathsExample(t *testing.T) []byte {
	t.Helper()
	var out strings.Builder
	files, err := filepath.Glob("../../examples/paths/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("the example: %v %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	text := strings.NewReplacer("registry.example.com/operator:1", labImage, "registry.example.com/strong:1", labImage).Replace(out.String())
	return []byte(text)
}

const labImage = "seawall.lab/busybox:1"

// attacker is somebody who holds the token of one service account, and nothing
// else.
type attacker struct {
	*api
	config string
}

func intruder(t *testing.T, a *api, account string) attacker {
	t.Helper()
	ns, name, _ := strings.Cut(account, "/")
	config := accountConfig(t, a, ns, name)
	api, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	return attacker{api, config}
}

// with is the attacker with another token, or as another identity.
func (a attacker) with(t *testing.T, change func(*rest.Config)) attacker {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", a.config)
	if err != nil {
		t.Fatal(err)
	}
	change(config)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	client.Timeout = 30 * time.Second
	return attacker{&api{http: client, base: a.base}, a.config}
}

func (a attacker) holding(t *testing.T, token string) attacker {
	t.Helper()
	return a.with(t, func(c *rest.Config) { c.BearerToken = token })
}

const (
	secretsOf = "/api/v1/namespaces/%s/secrets/%s"
	podsOf    = "/api/v1/namespaces/%s/pods"
	jsonType  = "application/json"
	mergeType = "application/merge-patch+json"
)

// reads says whether the attacker gets what a Secret says.
func (a attacker) reads(t *testing.T, namespace, name, says string) bool {
	t.Helper()
	out := a.call(t, http.MethodGet, fmt.Sprintf(secretsOf, namespace, name), "", nil)
	var secret struct{ Data map[string][]byte }
	if !out.ok() || json.Unmarshal(out.body, &secret) != nil {
		return false
	}
	return strings.Contains(string(secret.Data["note"]), says)
}

// post creates an object and says whether the API server took it.
func (a attacker) post(t *testing.T, path, object string) (*document.Node, bool) {
	t.Helper()
	out := a.call(t, http.MethodPost, path, jsonType, []byte(object))
	if !out.ok() {
		return nil, false
	}
	root, err := document.ParseJSON(out.body, document.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return root, true
}

// runs makes a pod and returns what it prints, and whether it was let.
func (a attacker) runs(t *testing.T, namespace, name, spec string) (string, bool) {
	t.Helper()
	pods := fmt.Sprintf(podsOf, namespace)
	if _, ok := a.post(t, pods, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": %q}, "spec": %s}`, name, spec)); !ok {
		return "", false
	}
	eventually(t, "pod "+name+" has ended", func() bool {
		out := a.call(t, http.MethodGet, pods+"/"+name, "", nil)
		return strings.Contains(string(out.body), `"phase":"Succeeded"`)
	})
	return string(a.call(t, http.MethodGet, pods+"/"+name+"/log", "", nil).body), true
}

// walk is one path of the example: by whom, to what, and how it is gone.
type walk struct {
	account, goal string
	primitives    string // those that must be on it
	// directly tries for the goal without the path.
	directly func(t *testing.T, a attacker) bool
	// through goes the path, and says whether it led there.
	through func(t *testing.T, a attacker) bool
}

func ledger(t *testing.T, a attacker) bool {
	t.Helper()
	return a.reads(t, "paths-data", "ledger", "the numbers")
}

const asUser = `"securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}`

func walks() []walk {
	return []walk{
		{
			"paths-ops/token", "secret:paths-data/ledger", "P15 P12", ledger,
			func(t *testing.T, a attacker) bool {
				t.Helper()
				out, ok := a.post(t, "/api/v1/namespaces/paths-data/serviceaccounts/reporter/token", `{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}`)
				return ok && ledger(t, a.holding(t, out.At("status", "token").Str()))
			},
		},
		{
			"paths-ops/support", "secret:paths-data/ledger", "P06 S02 P12", ledger,
			func(t *testing.T, a attacker) bool {
				t.Helper()
				out, err := run(time.Minute, kubectl(t), "--kubeconfig", a.config, "exec", "-n", "paths-web", "operator", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
				return err == nil && ledger(t, a.holding(t, strings.TrimSpace(out)))
			},
		},
		{
			"paths-build/builder", "secret:paths-build/signing", "P02 S03",
			func(t *testing.T, a attacker) bool {
				t.Helper()
				return a.reads(t, "paths-build", "signing", "a key")
			},
			func(t *testing.T, a attacker) bool {
				t.Helper()
				out, ok := a.runs(t, "paths-build", "thief", `{"restartPolicy": "Never", `+asUser+`, "volumes": [{"name": "s", "secret": {"secretName": "signing"}}],
					"containers": [{"name": "c", "image": "`+labImage+`", "command": ["cat", "/s/note"], "volumeMounts": [{"name": "s", "mountPath": "/s"}],
					"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}`)
				return ok && strings.Contains(out, "a key that signs")
			},
		},
		{
			"paths-ops/tuner", "cluster-admin", "P16", ledger,
			func(t *testing.T, a attacker) bool {
				t.Helper()
				out := a.call(t, http.MethodPatch, "/apis/rbac.authorization.k8s.io/v1/clusterroles/paths-tuner", mergeType,
					[]byte(`{"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}`))
				return out.ok() && soon(t, a)
			},
		},
		{
			"paths-ops/binder", "cluster-admin", "P17", ledger,
			func(t *testing.T, a attacker) bool {
				t.Helper()
				_, ok := a.post(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "paths-bound"},
					"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
					"subjects": [{"kind": "ServiceAccount", "name": "binder", "namespace": "paths-ops"}]}`)
				return ok && soon(t, a)
			},
		},
		{
			"paths-ops/helpdesk", "cluster-admin", "P20 P01", ledger,
			func(t *testing.T, a attacker) bool {
				t.Helper()
				return ledger(t, a.with(t, func(c *rest.Config) { c.Impersonate.UserName = "paths-chief" }))
			},
		},
		{
			"paths-ops/labeller", "node", "P32 P04",
			func(t *testing.T, a attacker) bool {
				t.Helper()
				_, ok := a.runs(t, "paths-locked", "early", ownsNode)
				return ok
			},
			func(t *testing.T, a attacker) bool {
				t.Helper()
				out := a.call(t, http.MethodPatch, "/api/v1/namespaces/paths-locked", mergeType, []byte(`{"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}`))
				if !out.ok() {
					return false
				}
				text, ok := a.runs(t, "paths-locked", "thief", ownsNode)
				return ok && strings.Contains(text, "root:")
			},
		},
		{
			"paths-ops/minter", "secret:paths-data/ledger", "P14 P12", ledger,
			func(t *testing.T, a attacker) bool {
				t.Helper()
				if _, ok := a.post(t, "/api/v1/namespaces/paths-web/secrets", `{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
					"metadata": {"name": "minted", "annotations": {"kubernetes.io/service-account.name": "operator"}}}`); !ok {
					return false
				}
				var token string
				eventually(t, "the Secret is filled", func() bool {
					out := a.call(t, http.MethodGet, fmt.Sprintf(secretsOf, "paths-web", "minted"), "", nil)
					root, err := document.ParseJSON(out.body, document.Limits{})
					if err != nil || !out.ok() {
						return !out.ok() // it may not even be read: then there is nothing to wait for
					}
					data, _ := base64.StdEncoding.DecodeString(root.At("data", "token").Str())
					token = string(data)
					return token != ""
				})
				return token != "" && ledger(t, a.holding(t, token))
			},
		},
	}
}

// ownsNode is a pod that reads a file of its node.
const ownsNode = `{"restartPolicy": "Never", "volumes": [{"name": "node", "hostPath": {"path": "/etc"}}],
	"containers": [{"name": "c", "image": "` + labImage + `", "command": ["cat", "/node/passwd"], "securityContext": {"privileged": true}, "volumeMounts": [{"name": "node", "mountPath": "/node"}]}]}`

// soon waits for the authorizer to hear of a role or binding that was just made.
func soon(t *testing.T, a attacker) bool {
	t.Helper()
	eventually(t, "the API server knows the new permission", func() bool { return ledger(t, a) })
	return true
}

func kubectl(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	found, _ := filepath.Glob(filepath.Join(cache, "seawall-lab", "kubernetes-*", "kubectl"))
	if len(found) == 0 {
		t.Skip("needs the lab's own kubectl: run its build first")
	}
	return found[0]
}

// stage makes the example as it was first, whatever was done in it.
func stage(t *testing.T, a *api) {
	t.Helper()
	text := pathsExample(t)
	wipe := func() {
		for _, root := range parse(t, text) {
			if kind := root.Get("kind").Str(); kind == "Namespace" || strings.HasPrefix(kind, "Cluster") {
				path, _ := a.path(t, root)
				a.call(t, http.MethodDelete, path+"/"+root.At("metadata", "name").Str(), "", nil)
			}
		}
		a.call(t, http.MethodDelete, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/paths-bound", "", nil)
		eventually(t, "the example is gone", func() bool {
			out := a.call(t, http.MethodGet, "/api/v1/namespaces", "", nil)
			return out.ok() && !strings.Contains(string(out.body), `"name":"paths-`)
		})
	}
	wipe()
	a.mustApply(t, text)
	eventually(t, "the operator runs", func() bool {
		return strings.Contains(string(a.call(t, http.MethodGet, fmt.Sprintf(podsOf, "paths-web")+"/operator", "", nil).body), `"phase":"Running"`)
	})
}

// live is the graph of the cluster as it is now.
func live(t *testing.T) *attack.Graph {
	t.Helper()
	client, err := kube.Connect(kube.Options{Kubeconfig: shared.kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Read(t.Context(), kube.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return attack.Build([]*snapshot.Snapshot{s}, attack.Options{})
}

// question is the entry and the goals of a walk.
func (w *walk) question(t *testing.T, g *attack.Graph) ([]attack.Entry, []attack.Goal) {
	t.Helper()
	from, err := g.Select("serviceaccount:" + w.account)
	if err != nil {
		t.Fatal(err)
	}
	to, err := g.Select(w.goal)
	if err != nil {
		t.Fatal(err)
	}
	return []attack.Entry{{Vertex: from[0], Likelihood: 1}}, []attack.Goal{{Name: w.goal, Impact: 1, Vertices: to}}
}

// TestPathsAreReal walks paths that the graph of a real cluster has, one request
// after the other, as who begins them. Then the changes that it proposes are made,
// and the same walks come to nothing.
func TestPathsAreReal(t *testing.T) {
	a := cluster(t)
	stage(t, a)
	t.Cleanup(func() {
		for _, ns := range []string{"web", "data", "build", "ops", "locked", "safe"} {
			a.remove(t, document.FromValue(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "paths-" + ns}}))
		}
	})
	g := live(t)
	for _, w := range walks() {
		entries, goals := w.question(t, g)
		paths := g.Paths(entries, goals)
		if len(paths) != 1 {
			t.Errorf("%s to %s: got %d paths, want 1", w.account, w.goal, len(paths))
			continue
		}
		var ids []string
		for _, h := range paths[0].Hops {
			ids = append(ids, g.Steps[h.Step].ID)
		}
		for id := range strings.FieldsSeq(w.primitives) {
			if !strings.Contains(strings.Join(ids, " "), id) {
				t.Errorf("%s to %s: the path goes by %v, want %s on it", w.account, w.goal, ids, id)
			}
		}
		who := intruder(t, a, w.account)
		if w.directly(t, who) {
			t.Errorf("%s comes to %s without any path", w.account, w.goal)
		}
		if !w.through(t, who) {
			t.Errorf("%s does not come to %s by %v, which the graph says", w.account, w.goal, ids)
		}
	}

	stage(t, a)
	g = live(t)
	for _, w := range walks() {
		entries, goals := w.question(t, g)
		cut := g.Cut([]int{entries[0].Vertex}, goals[0].Vertices)
		if len(cut.Changes) == 0 || len(cut.Fixed) > 0 {
			t.Errorf("%s to %s: no cut: %+v", w.account, w.goal, cut)
		}
		if left, _, err := g.Check(cut, entries, goals); err != nil || len(left) > 0 {
			t.Errorf("%s to %s: after %d changes %d paths are left: %v", w.account, w.goal, len(cut.Changes), len(left), err)
		}
		for _, i := range cut.Changes {
			carryOut(t, a, &g.Changes[i])
		}
	}
	g = live(t)
	for _, w := range walks() {
		entries, goals := w.question(t, g)
		if paths := g.Paths(entries, goals); len(paths) > 0 {
			t.Errorf("%s still comes to %s", w.account, w.goal)
		}
	}
	eventually(t, "the authorizer knows the changes", func() bool { return !walks()[0].through(t, intruder(t, a, walks()[0].account)) })
	for _, w := range walks() {
		if w.through(t, intruder(t, a, w.account)) {
			t.Errorf("after the cut, %s still comes to %s for real", w.account, w.goal)
		}
	}
}

// carryOut makes a change in the cluster, as it says. Some have been made for another
// path already.
func carryOut(t *testing.T, a *api, c *attack.Change) {
	t.Helper()
	if c.New != nil {
		if out := a.apply(t, c.New); !out.ok() {
			t.Fatalf("%s: %s", c.Text, out.message())
		}
		return
	}
	path, _ := a.path(t, c.Object.Root)
	path += "/" + c.Object.Name
	if !a.call(t, http.MethodGet, path, "", nil).ok() {
		return
	}
	method, contentType, body := http.MethodDelete, "", []byte(nil)
	if len(c.Ops) > 0 {
		var err error
		if body, err = json.Marshal(c.Ops); err != nil {
			t.Fatal(err)
		}
		method, contentType = http.MethodPatch, "application/json-patch+json"
	}
	if out := a.call(t, method, path, contentType, body); !out.ok() {
		t.Fatalf("%s: %s", c.Text, out.message())
	}
}

// TestFalsePaths tries what careless tools call paths: the graph has none of them,
// and the API server lets nobody go them.
func TestFalsePaths(t *testing.T) {
	a := cluster(t)
	stage(t, a)
	g := live(t)
	for _, w := range []walk{
		{account: "paths-safe/half-binder", goal: "cluster-admin", through: func(t *testing.T, a attacker) bool {
			t.Helper()
			_, ok := a.post(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "paths-bound"},
				"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
				"subjects": [{"kind": "ServiceAccount", "name": "half-binder", "namespace": "paths-safe"}]}`)
			return ok
		}},
		{account: "paths-safe/stars", goal: "workload:paths-web/Pod/operator", through: canExec},
		{account: "paths-safe/watcher", goal: "workload:paths-web/Pod/operator", through: canExec},
		{account: "paths-safe/named", goal: "secret:paths-data/ledger", through: ledger},
		{account: "paths-safe/maker", goal: "node", through: func(t *testing.T, a attacker) bool {
			t.Helper()
			_, ok := a.runs(t, "paths-locked", "maker", ownsNode)
			return ok
		}},
		{account: "paths-safe/dangling", goal: "secret:paths-data/ledger", through: ledger},
	} {
		entries, goals := w.question(t, g)
		for _, path := range g.Paths(entries, goals) {
			// The runtime of this machine may have flaws, which is no mistake of the graph's.
			flawed := slices.ContainsFunc(g.Describe(&path, goals).Steps, func(s seawall.PathStep) bool { return s.Primitive == "P50" })
			if !flawed {
				t.Errorf("the graph leads %s to %s", w.account, w.goal)
			}
		}
		if w.through(t, intruder(t, a, w.account)) {
			t.Errorf("%s comes to %s for real: the graph should say so", w.account, w.goal)
		}
	}
}

func canExec(t *testing.T, a attacker) bool {
	t.Helper()
	_, err := run(time.Minute, kubectl(t), "--kubeconfig", a.config, "exec", "-n", "paths-web", "operator", "--", "true")
	return err == nil
}
