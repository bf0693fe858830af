package respond

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/kubeapi"
)

// node stands for the kernel, cgroupfs and the API server, and remembers what was
// asked of it, in order.
type node struct {
	mu     sync.Mutex
	did    []string
	fail   map[string]error
	pods   map[string]*kubeapi.Pod
	onTake func(*node) // what the controller does once labels were taken
}

func (n *node) do(what string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.did = append(n.did, what)
	return n.fail[what]
}

func (n *node) log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.did, " ")
}

func (n *node) Cut(uint64) error                                       { return n.do("cut") }
func (n *node) Release(uint64) error                                   { return n.do("uncut") }
func (n *node) CutLink(int) error                                      { return n.do("cutlink") }
func (n *node) ReleaseLink(int) error                                  { return n.do("uncutlink") }
func (n *node) Freeze(Target) error                                    { return n.do("freeze") }
func (n *node) Thaw(Target) error                                      { return n.do("thaw") }
func (n *node) CreateNetworkPolicy(context.Context, string, any) error { return n.do("policy") }

func (n *node) Collect(context.Context, Target, *seawall.Act) (string, error) {
	return "bundle.tar.zst", n.do("evidence")
}

func (n *node) Pod(_ context.Context, _, name string) (*kubeapi.Pod, error) {
	if err := n.do("get"); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pods[name]; p != nil {
		return p, nil
	}
	return nil, &kubeapi.Error{Code: 404}
}

func (n *node) Pods(_ context.Context, _, selector string) ([]*kubeapi.Pod, error) {
	if err := n.do("list"); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*kubeapi.Pod
	for _, name := range slices.Sorted(maps.Keys(n.pods)) {
		p, all := n.pods[name], true
		for want := range strings.SplitSeq(selector, ",") {
			k, v, _ := strings.Cut(want, "=")
			all = all && (want == "" || p.Metadata.Labels[k] == v)
		}
		if all {
			out = append(out, p)
		}
	}
	return out, nil
}

func (n *node) PatchPod(_ context.Context, _, name string, patch any) (*kubeapi.Pod, error) {
	if err := n.do("patch"); err != nil {
		return nil, err
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	var p struct {
		Metadata struct {
			Labels      map[string]*string `json:"labels"`
			Annotations map[string]*string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	pod := *n.pods[name]
	pod.Metadata.Labels, pod.Metadata.Annotations = maps.Clone(pod.Metadata.Labels), maps.Clone(pod.Metadata.Annotations)
	if pod.Metadata.Annotations == nil {
		pod.Metadata.Annotations = map[string]string{}
	}
	merge(pod.Metadata.Labels, p.Metadata.Labels)
	merge(pod.Metadata.Annotations, p.Metadata.Annotations)
	n.pods[name] = &pod
	if n.onTake != nil && pod.Metadata.Labels[LabelIsolated] != "" {
		n.onTake(n)
	}
	return &pod, nil
}

func merge(into map[string]string, changes map[string]*string) {
	for k, v := range changes {
		if v == nil {
			delete(into, k)
		} else {
			into[k] = *v
		}
	}
}

func pod(name, kind, owner string, ready bool) *kubeapi.Pod {
	var p kubeapi.Pod
	p.Metadata.Name, p.Metadata.Namespace, p.Metadata.UID = name, "shop", "uid-"+name
	p.Metadata.Labels = map[string]string{"app": "web", "pod-template-hash": "abc"}
	if kind != "" {
		p.Metadata.OwnerReferences = []kubeapi.Owner{{Kind: kind, Name: owner, UID: "o-" + owner, Controller: true}}
	}
	status := "False"
	if ready {
		status = "True"
	}
	p.Status.Conditions = append(p.Status.Conditions, struct {
		Type   string `json:"type"`
		Status string `json:"status"`
	}{"Ready", status})
	p.Status.ContainerStatuses = []kubeapi.ContainerStatus{{Name: "c", ImageID: "registry.example.com/web@sha256:1"}}
	return &p
}

func target(p *kubeapi.Pod, dir string) Target {
	return Target{Pod: p.Noun(), Cgroup: 7, Dir: dir, Links: []int{3}, Containers: []*seawall.Container{{ID: "x", Name: "c", Digest: "sha256:1"}}}
}

type fixture struct {
	*node
	*Responder
	acts []*seawall.Act
	mu   sync.Mutex
	now  time.Time
	dir  string
}

func start(t *testing.T, change func(*fixture, *Options)) *fixture {
	t.Helper()
	f := &fixture{node: &node{fail: map[string]error{}, pods: map[string]*kubeapi.Pod{}}, now: time.Unix(1e9, 0).UTC(), dir: t.TempDir()}
	o := Options{
		Node: "n1", Kernel: f.node, Freezer: f.node, Evidence: f.node, Cluster: f.node, State: filepath.Join(f.dir, "state"),
		Record: func(a *seawall.Act) { f.mu.Lock(); f.acts = append(f.acts, a); f.mu.Unlock() },
		Now:    func() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.now },
	}
	if change != nil {
		change(f, &o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f.Responder = r
	return f
}

// run lets the responder do the cluster's part until is holds.
func (f *fixture) run(t *testing.T, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	deadline := time.Now().Add(10 * time.Second)
	for !is() && time.Now().Before(deadline) {
		f.mu.Lock()
		f.now = f.now.Add(time.Second)
		f.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	<-done
	if !is() {
		t.Fatalf("it did not come to that: %s", f.log())
	}
}

func (f *fixture) last(kind seawall.ActKind) *seawall.Act {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, act := range slices.Backward(f.acts) {
		if act.Kind == kind {
			return act
		}
	}
	return nil
}

func TestContainAndReplace(t *testing.T) {
	f := start(t, nil)
	victim := pod("web-1", "ReplicaSet", "web-abc", true)
	f.pods["web-1"] = victim
	f.onTake = func(n *node) { n.pods["web-2"] = pod("web-2", "ReplicaSet", "web-abc", true) }
	act, err := f.Contain(t.Context(), target(victim, f.dir), Request{By: "anna", Reason: "shell"})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.log(); got != "cut cutlink freeze evidence" {
		t.Errorf("on the node: %s", got)
	}
	if act.State != seawall.ActRunning || act.Step("evidence").Detail != "bundle.tar.zst" {
		t.Errorf("%+v", act)
	}
	f.run(t, func() bool { return f.last(seawall.Contain).State == seawall.ActDone })
	p := f.pods["web-1"]
	if !maps.Equal(p.Metadata.Labels, map[string]string{LabelIsolated: "true"}) {
		t.Errorf("labels %v", p.Metadata.Labels)
	}
	if a := p.Metadata.Annotations; a[annotationLabels] != `{"app":"web","pod-template-hash":"abc"}` || a[annotationBy] != "anna" || a[annotationOwner] != "ReplicaSet/web-abc" || a[annotationReason] != "shell" {
		t.Errorf("annotations %v", a)
	}
	if s := f.last(seawall.Contain).Step("replacement"); s.Detail != "web-2 is ready, of the same image" {
		t.Errorf("%+v", s)
	}

	if _, err := f.Responder.Release(t.Context(), target(p, f.dir), Request{By: "anna"}); err != nil {
		t.Fatal(err)
	}
	if l := f.pods["web-1"].Metadata.Labels; !maps.Equal(l, victim.Metadata.Labels) {
		t.Errorf("labels after the release: %v", l)
	}
	if got := f.log(); !strings.HasSuffix(got, "patch thaw uncut uncutlink") {
		t.Error(got)
	}
	if _, err := f.Responder.Release(t.Context(), target(p, f.dir), Request{}); err == nil {
		t.Error("released twice")
	}
}

func TestReplacementFromAnotherImage(t *testing.T) {
	f := start(t, nil)
	victim := pod("web-1", "ReplicaSet", "web-abc", true)
	f.pods["web-1"] = victim
	f.onTake = func(n *node) {
		p := pod("web-2", "ReplicaSet", "web-abc", true)
		p.Status.ContainerStatuses[0].ImageID = "registry.example.com/web@sha256:2"
		n.pods["web-2"] = p
	}
	if _, err := f.Contain(t.Context(), target(victim, f.dir), Request{}); err != nil {
		t.Fatal(err)
	}
	f.run(t, func() bool { return f.last(seawall.Contain).State == seawall.ActDone })
	if s := f.last(seawall.Contain).Step("replacement"); !strings.Contains(s.Detail, "OF ANOTHER IMAGE: c") {
		t.Errorf("%+v", s)
	}
}

// TestServerAway contains while the API server does not answer, ends, and goes on in
// another life.
func TestServerAway(t *testing.T) {
	f := start(t, nil)
	victim := pod("web-1", "ReplicaSet", "web-abc", true)
	f.pods["web-1"] = victim
	f.onTake = func(n *node) { n.pods["web-2"] = pod("web-2", "ReplicaSet", "web-abc", true) }
	away := errors.New("connection refused")
	f.fail["get"], f.fail["policy"] = away, away
	if _, err := f.Contain(t.Context(), target(victim, f.dir), Request{}); err != nil {
		t.Fatal(err)
	}
	f.run(t, func() bool { s := f.last(seawall.Contain).Step("labels"); return s != nil && s.Error != "" })
	if f.last(seawall.Contain).State != seawall.ActRunning {
		t.Error("done without the API server")
	}
	f.node.mu.Lock()
	f.did, f.fail = nil, map[string]error{}
	f.node.mu.Unlock()
	again, err := New(f.o)
	if err != nil {
		t.Fatal(err)
	}
	f.Responder = again
	if got := f.log(); got != "cut cutlink freeze" {
		t.Errorf("the next life did %q", got)
	}
	f.run(t, func() bool { return f.last(seawall.Contain).State == seawall.ActDone })
	if got := strings.Count(f.log(), "patch"); got != 1 {
		t.Errorf("patched %d times", got)
	}
}

func TestOwners(t *testing.T) {
	for _, test := range []struct {
		kind, owner, step, detail, proposal string
		keeps                               bool
	}{
		{"StatefulSet", "db", "labels", "once the pod is deleted", "kubectl delete pod", false},
		{"Job", "import", "labels", "kept: Job/import counts", "kubectl delete pod", true},
		{"", "", "labels", "no controller starts another", "seawall release", false},
	} {
		t.Run(test.kind, func(t *testing.T) {
			f := start(t, nil)
			p := pod("p", test.kind, test.owner, true)
			f.pods["p"] = p
			if _, err := f.Contain(t.Context(), target(p, f.dir), Request{}); err != nil {
				t.Fatal(err)
			}
			f.run(t, func() bool { return f.last(seawall.Contain).State == seawall.ActDone })
			act := f.last(seawall.Contain)
			if s := act.Step(test.step); !strings.Contains(s.Detail, test.detail) {
				t.Errorf("%+v", s)
			}
			if act.Step("replacement") != nil {
				t.Error("waited for a replacement that nobody makes")
			}
			if !strings.Contains(strings.Join(act.Proposals, "\n"), test.proposal) {
				t.Errorf("%q", act.Proposals)
			}
			if kept := f.pods["p"].Metadata.Labels["app"] != ""; kept != test.keeps {
				t.Errorf("labels kept: %v", kept)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	f := start(t, nil)
	q := Request{Automatic: true, Severity: seawall.High}
	for _, name := range []string{"a", "b", "c"} {
		f.pods[name] = pod(name, "ReplicaSet", "web-abc", true)
	}
	contain := func(name string) string {
		act, err := f.Contain(t.Context(), target(f.pods[name], f.dir), q)
		if err != nil {
			t.Fatal(err)
		}
		if act.State == seawall.ActHeld && strings.Contains(f.log(), "cut") && len(act.Steps) > 0 {
			t.Error("a held act did something")
		}
		return act.Held
	}
	if why := contain("a"); why != "" {
		t.Fatal(why)
	}
	if why := contain("b"); !strings.Contains(why, "1 pods of shop/Deployment/web") {
		t.Error(why)
	}
	f.now = f.now.Add(11 * time.Minute)
	if why := contain("b"); why != "" {
		t.Error(why)
	}
	f.now = f.now.Add(11 * time.Minute)
	f.pods["a"], f.pods["b"] = pod("a", "ReplicaSet", "web-abc", false), pod("b", "ReplicaSet", "web-abc", false)
	if why := contain("c"); why != "no other pod of Deployment/web is ready" {
		t.Error(why)
	}
	f.fail["list"] = errors.New("no answer")
	if why := contain("c"); !strings.Contains(why, "not known: no answer") {
		t.Error(why)
	}
	q.Severity = seawall.Critical
	if why := contain("c"); why != "" {
		t.Error(why)
	}
	system := pod("dns", "ReplicaSet", "dns-1", true)
	system.Metadata.Namespace = "kube-system"
	f.pods["dns"] = system
	if why := contain("dns"); !strings.Contains(why, "exempt") {
		t.Error(why)
	}
}

// TestBudgetOutlivesTheAgent: one that crashes has no more budget than before.
func TestBudgetOutlivesTheAgent(t *testing.T) {
	f := start(t, nil)
	for _, name := range []string{"a", "b"} {
		f.pods[name] = pod(name, "ReplicaSet", "web-abc", true)
	}
	q := Request{Automatic: true, Severity: seawall.High}
	if act, err := f.Contain(t.Context(), target(f.pods["a"], f.dir), q); err != nil || act.State == seawall.ActHeld {
		t.Fatalf("%v %+v", err, act)
	}
	again, err := New(f.o)
	if err != nil {
		t.Fatal(err)
	}
	act, err := again.Contain(t.Context(), target(f.pods["b"], f.dir), q)
	if err != nil || act.State != seawall.ActHeld {
		t.Errorf("the next life contains another pod of the workload: %v %+v", err, act)
	}
}

func TestApproval(t *testing.T) {
	f := start(t, func(_ *fixture, o *Options) { o.Budget.Approve = []string{"shop"} })
	p := pod("a", "ReplicaSet", "web-abc", true)
	f.pods["a"] = p
	act, err := f.Contain(t.Context(), target(p, f.dir), Request{Automatic: true, Severity: seawall.Critical, Reason: "a \"quoted\" reason"})
	if err != nil || act.State != seawall.ActHeld || f.log() != "" {
		t.Fatalf("%+v %v %s", act, err, f.log())
	}
	if act.Proposals[0] != `seawall isolate a -n shop --reason "a \"quoted\" reason"` {
		t.Error(act.Proposals)
	}
}

// TestHalfFails: what can be done is done, and what could not is said.
func TestHalfFails(t *testing.T) {
	f := start(t, nil)
	p := pod("a", "", "", true)
	f.pods["a"] = p
	f.fail["cut"] = errors.New("no program")
	act, err := f.Contain(t.Context(), target(p, f.dir), Request{})
	if err != nil || act.Step("cut").Error != "no program" || !act.Step("freeze").Done {
		t.Errorf("%+v %v", act, err)
	}
	f = start(t, nil)
	f.pods["a"] = p
	f.fail["cut"], f.fail["freeze"] = errors.New("no program"), errors.New("no cgroup")
	if _, err := f.Contain(t.Context(), target(p, f.dir), Request{}); err == nil || !strings.Contains(err.Error(), "no program; no cgroup") {
		t.Error(err)
	}
}

func TestDamagedState(t *testing.T) {
	f := start(t, nil)
	if err := os.WriteFile(filepath.Join(f.o.State, "x.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := New(f.o)
	if err == nil || !strings.Contains(err.Error(), "x.json") {
		t.Error(err)
	}
	p := pod("a", "", "", true)
	f.pods["a"] = p
	if _, err := r.Contain(t.Context(), target(p, f.dir), Request{}); err != nil {
		t.Error("a damaged file keeps the responder from working: ", err)
	}
}

func TestBusy(t *testing.T) {
	f := start(t, nil)
	f.begin("uid-a")
	if _, err := f.Contain(t.Context(), target(pod("a", "", "", true), f.dir), Request{}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
}
