package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agent"
	"seawall.io/seawall/internal/agents"
	"seawall.io/seawall/internal/helm"
	"seawall.io/seawall/internal/kube"
)

// alertLimit is how long an alert may take until a test gives up. What it takes is
// logged; on a busy machine it says more of the machine.
const alertLimit = 10 * time.Second

// guard is the agents of the tests' cluster.
type guard struct {
	once  sync.Once
	skip  string
	nodes []*watchpost
	kube  *kube.Client
	lured time.Time // when the containers of the scenarios had started
}

// watchpost is the agent of one node, and what it said since it was installed.
type watchpost struct {
	node  string
	agent *agents.Agent
	dir   string // the node's files on this machine

	mu      sync.Mutex
	alerts  []*heard
	acts    []*seawall.Act
	changed chan struct{} // closed with each news
}

// heard is an alert, and when it came.
type heard struct {
	*seawall.Alert
	at time.Time
}

var watch guard //nolint:gochecknoglobals // one installation serves all tests, as one cluster does

// guarded returns the agents of the cluster, which the first test that asks installs:
// the chart as it is delivered, with what the lab's nodes, which share a machine, need.
func guarded(t *testing.T) (*api, *guard) {
	t.Helper()
	a := cluster(t)
	if shared.bin == "" {
		t.Skip(kubeconfigVariable + " names a cluster whose nodes' files are not at hand")
	}
	for _, file := range []string{"/sys/kernel/btf/vmlinux", "/sys/fs/bpf"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("the agent needs %s: %v", file, err)
		}
	}
	watch.once.Do(func() { watch.install(t, a) })
	if watch.skip != "" {
		t.Skip(watch.skip)
	}
	if len(watch.nodes) == 0 {
		t.Fatal("the agents could not be installed: see the first test that needed them")
	}
	return a, &watch
}

func (g *guard) install(t *testing.T, a *api) {
	t.Helper()
	var fs syscall.Statfs_t
	const bpfMagic = 0xcafe4a11
	if err := syscall.Statfs("/sys/fs/bpf", &fs); err != nil || fs.Type != bpfMagic {
		g.skip = "no bpf file system is mounted on /sys/fs/bpf: mount -t bpf bpf /sys/fs/bpf"
		return
	}
	if err := removePins(); err != nil { // those of a run that was interrupted
		t.Fatal(err)
	}
	loadImages(t, agentArchive(t), victimArchive(t))
	a.mustApply(t, namespace("seawall-system", map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}))
	chart, err := helm.Render(t.Context(), filepath.Join("..", "..", "deploy", "chart"), helm.Options{
		ReleaseName: "seawall", Namespace: "seawall-system",
		Set: []string{"image=" + agentImage, "host=parent", "cgroupRoot=/$(NODE_NAME)", "learn=30s", "containPerNode=1000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, hole := range chart.Incomplete {
		t.Fatalf("rendering the chart: %+v", hole)
	}
	for _, o := range chart.Objects {
		if out := a.apply(t, o.Root); !out.ok() {
			t.Fatalf("applying %s %s: %s", o.Kind, o.Name, out.message())
		}
	}
	g.kube, err = kube.Connect(kube.Options{Kubeconfig: shared.kubeconfig, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*watchpost
	for i := 1; i <= 2; i++ {
		dir := filepath.Join(filepath.Dir(shared.kubeconfig), "node"+strconv.Itoa(i))
		nodes = append(nodes, &watchpost{
			node: fmt.Sprintf("%s-node%d", labName, i), dir: dir, agent: agents.Local(filepath.Join(dir, "seawall-run", "agent.sock")), changed: make(chan struct{}),
		})
	}
	g.nodes = nodes
	eventually(t, "the agents are ready", func() bool { return g.ready(t) })
	for _, n := range nodes {
		go n.follow()
	}
	a.lure(t)
	a.settle(t)
	for i := 0; i < len(attacks); i += perVictim {
		a.readyPods(t, "attacked", fmt.Sprintf("app=victim-%d", i/perVictim), 1)
	}
	g.lured = time.Now()
}

// ready says whether the agents of all nodes are.
func (g *guard) ready(t *testing.T) bool {
	t.Helper()
	places, err := g.kube.Places(t.Context(), "seawall-system", "app.kubernetes.io/name=seawall-agent")
	ready := 0
	for _, p := range places {
		if p.Ready {
			ready++
		}
	}
	return err == nil && ready == len(g.nodes)
}

// follow reads what the agent says for as long as the tests run, also past its death.
func (w *watchpost) follow() {
	var from uint64
	for {
		err := w.agent.Entries(context.Background(), nil, from, true, func(e *agents.Entry) error {
			from = e.Seq + 1
			return w.hear(e)
		})
		if _, broken := errors.AsType[*json.SyntaxError](err); broken {
			panic(fmt.Sprintf("the agent of %s says what is no JSON: %v", w.node, err))
		}
		time.Sleep(50 * time.Millisecond) // the agent is being restarted
	}
}

func (w *watchpost) hear(e *agents.Entry) error {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case "alert":
		var a seawall.Alert
		if err := json.Unmarshal(e.Value, &a); err != nil {
			return fmt.Errorf("an alert: %w", err)
		}
		w.alerts = append(w.alerts, &heard{&a, now})
	case "act":
		var a seawall.Act
		if err := json.Unmarshal(e.Value, &a); err != nil {
			return fmt.Errorf("an act: %w", err)
		}
		w.acts = append(w.acts, &a)
	default:
		return nil
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

// alertsOf returns the alerts of a pod, and where container is not empty of that.
func (g *guard) alertsOf(namespace, pod, container string) (out []*heard) {
	for _, n := range g.nodes {
		n.mu.Lock()
		for _, a := range n.alerts {
			ev := a.Event
			if ev.Pod != nil && ev.Pod.Namespace == namespace && (pod == "" || ev.Pod.Name == pod) && (container == "" || ev.Container != nil && ev.Container.Name == container) {
				out = append(out, a)
			}
		}
		n.mu.Unlock()
	}
	return out
}

// act returns the last state of the last act of a kind on a pod, nil where there is none.
func (g *guard) act(kind seawall.ActKind, namespace, pod string) *seawall.Act {
	var last *seawall.Act
	for _, n := range g.nodes {
		n.mu.Lock()
		for _, a := range n.acts {
			if a.Kind == kind && a.Pod != nil && a.Pod.Namespace == namespace && a.Pod.Name == pod && (last == nil || !a.Time.Before(last.Time)) {
				last = a
			}
		}
		n.mu.Unlock()
	}
	return last
}

// post returns the agent of a pod's node.
func (g *guard) post(t *testing.T, namespace, pod string) *watchpost {
	t.Helper()
	at, err := g.kube.Place(t.Context(), namespace, pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.nodes {
		if n.node == at.Node {
			return n
		}
	}
	t.Fatalf("pod %s/%s runs on node %q", namespace, pod, at.Node)
	return nil
}

// exec runs a command in a container. What it ends with is the attacker's affair.
func (g *guard) exec(t *testing.T, namespace, pod, container string, command ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer // two streams are read at a time
	err := g.kube.Exec(ctx, namespace, pod, container, command, nil, &out, &errs)
	return out.String() + errs.String(), err
}

// status is what the agent says of itself.
func (w *watchpost) status(t *testing.T) agent.Status {
	t.Helper()
	text, err := w.agent.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var s agent.Status
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// pods returns the pods of a namespace that a selector picks.
func (a *api) pods(t *testing.T, namespace, selector string) []podNow {
	t.Helper()
	out := a.call(t, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods?labelSelector="+selector, "", nil)
	var list struct{ Items []podNow }
	if err := json.Unmarshal(out.body, &list); err != nil || !out.ok() {
		t.Fatalf("pods of %s: %d %v", namespace, out.code, err)
	}
	return list.Items
}

// podNow is what the tests look at of a pod.
type podNow struct {
	Metadata struct {
		Name, UID   string
		Labels      map[string]string
		Annotations map[string]string
	}
	Spec   struct{ NodeName string }
	Status struct {
		PodIP             string
		ContainerStatuses []struct {
			Name, ImageID string
			RestartCount  int
			Ready         bool
		}
	}
}

func (p podNow) ready() bool {
	for _, c := range p.Status.ContainerStatuses {
		if !c.Ready {
			return false
		}
	}
	return len(p.Status.ContainerStatuses) > 0
}

// readyPods waits until a number of pods of a selector is ready and returns them, by name.
func (a *api) readyPods(t *testing.T, namespace, selector string, n int) []podNow {
	t.Helper()
	var pods []podNow
	eventually(t, fmt.Sprintf("%d pods with %s are ready in %s", n, selector, namespace), func() bool {
		pods = slices.DeleteFunc(a.pods(t, namespace, selector), func(p podNow) bool { return !p.ready() })
		return len(pods) == n
	})
	slices.SortFunc(pods, func(x, y podNow) int { return strings.Compare(x.Metadata.Name, y.Metadata.Name) })
	return pods
}

// TestRuntimeInstall looks at the agents as they are installed: they see all that
// the kernel lets them see, each its own node alone.
func TestRuntimeInstall(t *testing.T) {
	a, g := guarded(t)
	a.mustApply(t, namespace("seen", nil))
	a.mustApply(t, []byte(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: seen, namespace: seen}
spec:
  selector: {matchLabels: {app: seen}}
  template:
    metadata: {labels: {app: seen}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: `+victimImage+`}]
`))
	pods := a.readyPods(t, "seen", "app=seen", 2)
	for _, n := range g.nodes {
		s := n.status(t)
		if s.Node != n.node || s.Checks == 0 || s.Events == 0 || s.Unwritten != 0 {
			t.Errorf("%s says of itself: %+v", n.node, s)
		}
		for part, text := range s.Problems {
			if _, err := os.Readlink("/proc/1/cwd"); part == "processes" && err != nil {
				continue // a machine whose first process nobody may look at
			}
			if part == "prevent" {
				t.Logf("%s: %s", n.node, text) // what the machine's kernel cannot refuse
				continue
			}
			t.Errorf("%s: problem with %s: %s", n.node, part, text)
		}
		for _, m := range s.Coverage.Missing {
			t.Logf("%s: %s is not attached: %s", n.node, m.Hook, m.Reason)
		}
		t.Logf("%s: %d checks, hooks %v, %d events, %d of others", n.node, s.Checks, s.Coverage.Hooks, s.Events, s.Foreign)
	}
	// An exec is seen by the agent of its node, and by that one only.
	for _, p := range pods {
		name := p.Metadata.Name
		seen := map[string]*seawall.Event{}
		var mu sync.Mutex
		ctx, cancel := context.WithTimeout(t.Context(), alertLimit)
		var wg sync.WaitGroup
		for _, n := range g.nodes {
			wg.Go(func() {
				err := n.agent.Events(ctx, agents.Filter{Kinds: []string{"exec"}, Where: `"seen-by-e2e" in process.args`}, func(ev *seawall.Event) error {
					mu.Lock()
					defer mu.Unlock()
					seen[n.node] = ev
					return nil
				})
				if err != nil && ctx.Err() == nil {
					t.Errorf("following events of %s: %v", n.node, err)
				}
			})
		}
		eventually(t, "the exec is seen", func() bool {
			if _, err := g.exec(t, "seen", name, "main", "echo", "seen-by-e2e"); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			return len(seen) > 0
		})
		cancel()
		wg.Wait()
		ev := seen[p.Spec.NodeName]
		if len(seen) != 1 || ev == nil {
			t.Fatalf("pod %s of %s: seen by %v", name, p.Spec.NodeName, sortedKeys(seen))
		}
		if ev.Pod == nil || ev.Pod.Name != name || ev.Pod.Workload.String() != "DaemonSet/seen" || ev.Pod.Labels["app"] != "seen" || ev.Pod.UID != p.Metadata.UID ||
			ev.Container == nil || ev.Container.Name != "main" || ev.Identity != seawall.Resolved || ev.Process.Exe != "/bin/busybox" || ev.Process.Entry != "exec" {
			text, _ := json.MarshalIndent(ev, "", " ")
			t.Errorf("pod %s: the event is\n%s", name, text)
		}
	}
}

func replaceImage(text string) string { return strings.ReplaceAll(text, "IMAGE", victimImage) }

// onNode is a command within a node's network and mounts.
func onNode(w *watchpost, argv []string) *exec.Cmd {
	node := strings.TrimPrefix(w.node, labName+"-")
	cmd := exec.CommandContext(context.Background(), shared.bin, append([]string{"--name", labName, "on", node}, argv...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// removePins takes away what the agents left in the kernel, where it outlives them.
func removePins() error {
	left, err := filepath.Glob("/sys/fs/bpf/seawall/" + labName + "-node*")
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}
