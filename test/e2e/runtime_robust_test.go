package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agents"
)

// TestRuntimeSpeed measures how long it takes from an attack to the cut, over many
// pods at their own.
func TestRuntimeSpeed(t *testing.T) {
	a, g := guarded(t)
	runs := 10
	if n, err := strconv.Atoi(os.Getenv("SEAWALL_E2E_RUNS")); err == nil && n > 0 {
		runs = n
	}
	const ns = "speed"
	a.mustApply(t, namespace(ns, map[string]string{"seawall.io/runtime": "contain"}))
	a.mustApply(t, named(besieged, "web", ns))
	sink := a.readyPods(t, ns, "app=web-sink", 1)[0]
	var b strings.Builder
	for i := range runs {
		fmt.Fprintf(&b, `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: run-%[1]d, namespace: %[2]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: run-%[1]d}}
  template:
    metadata: {labels: {app: run-%[1]d, of: runs}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: %[3]s}]}
`, i, ns, victimImage)
	}
	a.mustApply(t, []byte(b.String()))
	pods := a.readyPods(t, ns, "of=runs", 2*runs)
	var cuts, frozen, replaced []time.Duration
	for i := range runs {
		at := slices.IndexFunc(pods, func(p podNow) bool { return p.Metadata.Labels["app"] == "run-"+strconv.Itoa(i) })
		name := pods[at].Metadata.Name
		_, _ = g.exec(t, ns, name, "main", "sh", "-c", "timeout 5 nc "+sink.Status.PodIP+" 9000 -e /bin/sh > /dev/null 2>&1 &")
		act := g.completed(t, seawall.Contain, ns, name, seawall.ActDone, seawall.ActHeld)
		if act.State == seawall.ActHeld {
			t.Fatalf("run %d: held: %s", i, act.Held)
		}
		for _, h := range g.alertsOf(ns, name, "main") {
			if h.ID != act.Alert {
				continue
			}
			after := func(name string) time.Duration {
				s := act.Step(name)
				if s == nil || !s.Done {
					t.Fatalf("run %d: step %s: %+v", i, name, s)
				}
				return s.Time.Add(s.Took).Sub(h.Event.Time)
			}
			cuts, frozen, replaced = append(cuts, after("cut")), append(frozen, after("freeze")), append(replaced, after("replacement"))
		}
	}
	for what, all := range map[string][]time.Duration{"cut": cuts, "frozen": frozen, "replacement ready": replaced} {
		if len(all) != runs {
			t.Fatalf("%s: %d of %d runs were measured", what, len(all), runs)
		}
		slices.Sort(all)
		t.Logf("from the act in the kernel to %s, %d runs: p50 %v, p99 %v, most %v", what, runs, all[runs/2], all[(runs*99+99)/100-1], all[runs-1])
		if most := all[runs-1]; most > time.Minute {
			t.Errorf("%s after %v", what, most)
		}
	}
}

// TestRuntimeHostile gives the agents arguments that are made to break what reads them.
func TestRuntimeHostile(t *testing.T) {
	a, g := guarded(t)
	const ns = "hostile"
	a.mustApply(t, namespace(ns, nil))
	a.mustApply(t, named(`
apiVersion: v1
kind: Pod
metadata: {name: hostile, namespace: NS, labels: {app: hostile}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE}]}
`, "", ns))
	a.readyPods(t, ns, "app=hostile", 1)
	post := g.post(t, ns, "hostile")
	const program = `
import os
odd = ["x", "a\nb\r\x1b[31mred\x1b]0;title\x07", "\"},{\"kind\":\"exec\"}", b"\xff\xfe\x00"[:2], "\u202e", "{{.}}", "end-of-odd"]
if os.fork() == 0: os.execv("/bin/busybox", ["true"] + odd)
os.wait()
if os.fork() == 0: os.execv("/bin/busybox", ["true", "much"] + ["y" * 100000] * 19 + ["end"])
os.wait()
os.execv("/tmp/od\nd", ["od\nd", "-c", "true"]) if os.path.exists("/tmp/od\nd") else None
`
	var mu sync.Mutex
	var seen []*seawall.Event
	go func() {
		_ = post.agent.Events(t.Context(), agents.Filter{Kinds: []string{"exec"}, Namespace: ns}, func(ev *seawall.Event) error {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, ev)
			return nil
		})
	}()
	find := func(arg string) *seawall.Event {
		mu.Lock()
		defer mu.Unlock()
		for _, ev := range seen {
			if ev.Process.Exe == "/bin/busybox" && slices.Contains(ev.Process.Args, arg) {
				return ev
			}
		}
		return nil
	}
	eventually(t, "the odd arguments are seen", func() bool {
		if find("end-of-odd") != nil && find("much") != nil {
			return true
		}
		if out, err := g.exec(t, ns, "hostile", "main", "python3", "-c", program); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return false
	})
	odd := find("end-of-odd").Process.Args
	if len(odd) != 8 || odd[2] != "a\nb\r\x1b[31mred\x1b]0;title\x07" || odd[3] != `"},{"kind":"exec"}` {
		t.Errorf("the odd arguments came as %q", odd)
	}
	if much := find("much").Process; much.ArgsBytes < 1_900_000 || len(strings.Join(much.Args, "")) > 64<<10 {
		t.Errorf("of 1.9 MB of arguments %d bytes are told of, %d kept", much.ArgsBytes, len(strings.Join(much.Args, "")))
	}
	// A dropped program with a name of two lines, in a terminal's table.
	_, _ = g.exec(t, ns, "hostile", "main", "sh", "-c", "cp /bin/busybox '/tmp/true\n\x1b[2Jhigh'; '/tmp/true\n\x1b[2Jhigh' true")
	eventually(t, "the alert of the odd name is there", func() bool {
		return slices.ContainsFunc(g.alertsOf(ns, "hostile", "main"), func(h *heard) bool { return strings.Contains(h.Event.Process.Exe, "\x1b[2J") })
	})
	out := seawallCommand(t, "alerts", "-n", ns, "--kubeconfig", shared.kubeconfig)
	if out.code != 0 || strings.Contains(out.stdout, "\x1b") || !strings.Contains(out.stdout, "hostile") {
		t.Errorf("seawall alerts: exit %d: %q %s", out.code, out.stdout, out.stderr)
	}
}

// TestRuntimeShort starts many containers that live for a moment: each is known by
// its name. Two hundred of them, where an hour would take ten thousand.
func TestRuntimeShort(t *testing.T) {
	a, g := guarded(t)
	const ns, total = "short", 200
	a.mustApply(t, namespace(ns, nil))
	var mu sync.Mutex
	pods, unnamed := map[string]bool{}, 0
	for _, n := range g.nodes {
		go func() {
			_ = n.agent.Events(t.Context(), agents.Filter{Kinds: []string{"exec"}, Where: `"short-lived" in process.args`}, func(ev *seawall.Event) error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case ev.Process.Exe != "/bin/busybox":
				case ev.Pod == nil || ev.Container == nil || ev.Container.Name == "":
					unnamed++
				case ev.Pod.Namespace == ns:
					pods[ev.Pod.Name+"/"+ev.Container.Name] = true
				}
				return nil
			})
		}()
	}
	// Ten containers in each pod, one after the other.
	var b strings.Builder
	fmt.Fprintf(&b, `
apiVersion: batch/v1
kind: Job
metadata: {name: short, namespace: %s}
spec:
  completions: %d
  parallelism: 5
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      initContainers:
`, ns, total/10)
	for i := range 9 {
		fmt.Fprintf(&b, "        - {name: c%d, image: %q, command: [\"true\", short-lived]}\n", i, victimImage)
	}
	fmt.Fprintf(&b, "      containers: [{name: c9, image: %q, command: [\"true\", short-lived]}]\n", victimImage)
	a.mustApply(t, []byte(b.String()))
	deadline := time.Now().Add(4 * time.Minute)
	for {
		mu.Lock()
		n := len(pods)
		mu.Unlock()
		if n >= total || time.Now().After(deadline) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(pods) != total || unnamed > 0 {
		t.Errorf("of %d containers that live for a moment %d were seen by name, and %d without", total, len(pods), unnamed)
	}
}

// TestRuntimeKilled kills an agent while it holds a pod, and its container runtime
// while pods start: what was cut stays cut, and what comes after is seen.
func TestRuntimeKilled(t *testing.T) {
	a, g := guarded(t)
	const ns = "killed"
	a.mustApply(t, namespace(ns, nil))
	a.mustApply(t, named(besieged, "web", ns))
	pods := a.readyPods(t, ns, "app=web", 2)
	bad, good := pods[0], pods[1]
	name := bad.Metadata.Name
	sink := a.readyPods(t, ns, "app=web-sink", 1)[0]
	if out, err := g.exec(t, ns, name, "main", "sh", "-c", "python3 -c '"+strings.ReplaceAll(intruderLoop, "SINK", sink.Status.PodIP)+"' > /dev/null 2>&1 &"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the intruder is at work", func() bool { return g.written(t, bad) > 10 })
	if out := seawallCommand(t, "isolate", name, "-n", ns, "--keep-labels", "--kubeconfig", shared.kubeconfig); out.code != 0 {
		t.Fatalf("seawall isolate: exit %d: %s%s", out.code, out.stdout, out.stderr)
	}
	size := g.written(t, bad)
	post := g.post(t, ns, name)

	was := post.status(t)
	died := time.Now()
	killAgent(t, post)
	if again := g.written(t, bad); again != size {
		t.Errorf("with the agent dead the pod writes again: %d and then %d bytes", size, again)
	}
	eventually(t, "the agent is there again", func() bool {
		s, err := post.agent.Status(t.Context())
		return err == nil && len(s) > 0
	})
	now := post.status(t)
	t.Logf("the agent was away for %v", time.Since(died).Round(time.Millisecond))
	if !now.Started.After(was.Started) {
		t.Fatalf("the agent that started at %v was not killed", was.Started)
	}
	if !slices.ContainsFunc(now.Contained, func(act *seawall.Act) bool { return act.Pod.Namespace == ns && act.Pod.Name == name }) {
		t.Errorf("the agent's next life does not hold %s, but %d others", name, len(now.Contained))
	}
	if again := g.written(t, bad); again != size {
		t.Errorf("the pod writes again: %d and then %d bytes", size, again)
	}
	if out, err := g.exec(t, ns, good.Metadata.Name, "main", "sh", "-c", "nc -w 5 "+sink.Status.PodIP+" 9000 < /dev/null"); err != nil {
		t.Errorf("the other replica cannot connect: %v %s", err, out)
	}
	eventually(t, "the agents are ready again", func() bool { return g.ready(t) })
	if out := seawallCommand(t, "release", name, "-n", ns, "--kubeconfig", shared.kubeconfig); out.code != 0 {
		t.Fatalf("seawall release: exit %d: %s%s", out.code, out.stdout, out.stderr)
	}
	eventually(t, "the released pod writes again", func() bool { return g.written(t, bad) > size })

	// The runtime restarts: containers that start meanwhile are named late, not never.
	var mu sync.Mutex
	var seen *seawall.Event
	go func() {
		_ = post.agent.Events(t.Context(), agents.Filter{Kinds: []string{"exec"}, Where: `"after-restart" in process.args`}, func(ev *seawall.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if ev.Process.Exe == "/bin/busybox" {
				seen = ev
			}
			return nil
		})
	}()
	restartContainerd(t, post)
	eventually(t, "an exec after the runtime's restart is seen by its pod's name", func() bool {
		_, _ = g.exec(t, ns, name, "main", "true", "after-restart")
		mu.Lock()
		defer mu.Unlock()
		return seen != nil && seen.Pod != nil && seen.Pod.Name == name && seen.Container != nil && seen.Container.Name == "main"
	})
}

// killAgent ends the agent of a node as nothing can defend against.
func killAgent(t *testing.T, w *watchpost) {
	t.Helper()
	programs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, file := range programs {
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(text), "seawall-agent\x00") || !strings.Contains(string(text), "-cgroup-root=/"+w.node+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed++
	}
	if killed != 1 {
		t.Fatalf("%d agents of %s were killed", killed, w.node)
	}
}

// restartContainerd ends the runtime of a node and starts it again as it was; its
// containers go on meanwhile.
func restartContainerd(t *testing.T, w *watchpost) {
	t.Helper()
	daemon := "containerd" + strings.TrimPrefix(w.node, labName+"-node")
	pid := daemonPID(t, daemon)
	read := func(name string) []string {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	}
	argv, env := read("cmdline"), read("environ")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd := onNode(w, argv)
	cmd.Env = env // it holds the mark by which the lab finds its processes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
}
