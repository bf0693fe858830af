package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// quiet is what ordinary workloads do, over and over: things that look like attacks.
const quiet = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: quiet}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
# A shell as the entry point, which writes a configuration and becomes the server;
# probes of both kinds.
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: quiet}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      initContainers:
        - {name: init, image: IMAGE, command: [sh, -c, "mkdir -p /work/www && date > /work/www/index.html && chmod 644 /work/www/index.html"], volumeMounts: [{name: work, mountPath: /work}]}
      containers:
        - name: main
          image: IMAGE
          command: [sh, -c, "set -e; echo 'I:index.html' > /tmp/httpd.conf; exec httpd -f -c /tmp/httpd.conf -p 8080 -h /work/www"]
          readinessProbe: {exec: {command: [sh, -c, "wget -q -O /dev/null http://127.0.0.1:8080/"]}, periodSeconds: 2}
          livenessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 2}
          volumeMounts: [{name: work, mountPath: /work}]
      volumes: [{name: work, emptyDir: {}}]
---
# Names asked, a Service called, the clock's own commands.
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: quiet}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: main, image: IMAGE, command: [sh, -c, "while sleep 1; do nslookup web.quiet.svc.cluster.local > /dev/null; wget -q -O /tmp/page http://$WEB_SERVICE_HOST/; grep -q . /tmp/page; rm /tmp/page; done"]}
---
# A log that is rotated, and a side container that reads it.
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: logs, namespace: quiet}
spec:
  serviceName: logs
  selector: {matchLabels: {app: logs}}
  template:
    metadata: {labels: {app: logs}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: main, image: IMAGE, command: [sh, -c, "cd /var/log/app; while sleep 1; do date >> app.log; [ -f app.log.1 ] && gzip -f app.log.1; mv app.log app.log.1; touch app.log; done"], volumeMounts: [{name: logs, mountPath: /var/log/app}]}
        - {name: side, image: IMAGE, command: [sh, -c, "while sleep 1; do cat /var/log/app/app.log | wc -l > /dev/null; done"], volumeMounts: [{name: logs, mountPath: /var/log/app}]}
      volumes: [{name: logs, emptyDir: {}}]
---
# A server in Python that keeps files, and a worker that forks.
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: python, namespace: quiet}
spec:
  selector: {matchLabels: {app: python}}
  template:
    metadata: {labels: {app: python}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {runAsUser: 1000, runAsNonRoot: true}
      containers:
        - name: server
          image: IMAGE
          command: [python3, -u, -c, "import http.server, socketserver, tempfile, os, threading\nclass H(http.server.BaseHTTPRequestHandler):\n  def do_GET(self):\n    f = tempfile.NamedTemporaryFile(); f.write(b'x' * 4096); f.flush(); os.fsync(f.fileno()); f.close()\n    self.send_response(200); self.end_headers(); self.wfile.write(b'ok')\nhttp.server.ThreadingHTTPServer(('0.0.0.0', 8000), H).serve_forever()"]
          readinessProbe: {httpGet: {port: 8000}, periodSeconds: 1}
        - name: worker
          image: IMAGE
          command: [python3, -c, "import multiprocessing, time\ndef f(x): return x * x\nwhile True:\n  with multiprocessing.Pool(2) as p: p.map(f, range(10))\n  time.sleep(1)"]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: quiet}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: main, image: IMAGE, command: [sh, -c, "date > /tmp/report; tar -cf /tmp/backup.tar /etc/crontab 2> /dev/null; sha256sum /tmp/backup.tar; rm /tmp/backup.tar"]}]
`

// settle starts the ordinary workloads, which then run beside all other tests.
func (a *api) settle(t *testing.T) {
	t.Helper()
	a.mustApply(t, namespace("quiet", nil))
	a.mustApply(t, []byte(replaceImage(quiet)))
}

// TestRuntimeUsual looks at what was said of ordinary workloads, and of the agents
// themselves, while all other tests ran: nothing of that is an attack.
func TestRuntimeUsual(t *testing.T) {
	a, g := guarded(t)
	t.Cleanup(func() { a.leave(t) })
	for app, n := range map[string]int{"web": 2, "client": 1, "logs": 1, "python": 2} {
		a.readyPods(t, "quiet", "app="+app, n)
	}
	eventually(t, "the cron job has run", func() bool {
		var list struct {
			Items []struct{ Status struct{ Succeeded int } }
		}
		out := a.call(t, http.MethodGet, "/apis/batch/v1/namespaces/quiet/jobs", "", nil)
		if err := json.Unmarshal(out.body, &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Items) > 0 && list.Items[0].Status.Succeeded > 0
	})
	// Once profiles are ready, and have been for a while.
	if left := time.Until(g.lured.Add(75 * time.Second)); left > 0 {
		time.Sleep(left)
	}
	var events uint64
	for _, n := range g.nodes {
		s := n.status(t)
		events += s.Events - s.Foreign
		t.Logf("%s: lost %+v, which may be of others on this machine", n.node, s.Ledger.Lost)
	}
	for _, ns := range []string{"quiet", "seawall-system"} {
		seen := map[string]bool{}
		for _, h := range g.alertsOf(ns, "", "") {
			key := fmt.Sprintf("%s %s/%s", h.Check, h.Event.Pod.Workload, h.Event.Container.Name)
			if seen[key] {
				continue
			}
			seen[key] = true
			if h.Check == "events-lost" {
				t.Logf("%s: %s", key, h.Message) // which a busy machine may cause, and is true
				continue
			}
			text, _ := json.Marshal(h.Event)
			t.Errorf("%s: %s: %s\n%.1500s", key, h.Severity, h.Message, text)
		}
	}
	t.Logf("%d events of the nodes' own in %v", events, time.Since(g.lured).Round(time.Second))
}

// leave removes what the tests of the runtime phase ran, frozen pods too, so that
// tests that scan the cluster find it at rest.
func (a *api) leave(t *testing.T) {
	t.Helper()
	const all = "/api/v1/namespaces/"
	var left []string
	for _, ns := range []string{"alone", "attacked", "contained", "held", "hostile", "killed", "natures", "quiet", "seen", "short", "speed", "seawall-system"} {
		out, err := a.do(context.WithoutCancel(t.Context()), http.MethodDelete, all+ns, "", nil)
		if err != nil || !out.ok() && out.code != http.StatusNotFound {
			t.Errorf("deleting namespace %s: %v %s", ns, err, out.message())
		}
		left = append(left, ns)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(left) > 0; time.Sleep(200 * time.Millisecond) {
		left = slices.DeleteFunc(left, func(ns string) bool {
			out, err := a.do(context.WithoutCancel(t.Context()), http.MethodGet, all+ns, "", nil)
			return err == nil && out.code == http.StatusNotFound
		})
		if time.Now().After(deadline) {
			t.Errorf("two minutes after their deletion there are still the namespaces %q", left)
			return
		}
	}
}
