package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"seawall.io/seawall"
)

// probed are the Services of the test: programs of this machine, run in pods that
// have its files.
func probed(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("needs redis-server (Debian package redis-server)")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	etcd, _ := filepath.Glob(filepath.Join(cache, "seawall-lab", "kubernetes-*", "etcd"))
	if len(etcd) == 0 {
		t.Skip("needs the lab's own etcd: run its build first")
	}
	var b strings.Builder
	b.WriteString(`
apiVersion: v1
kind: Namespace
metadata: {name: probed}
`)
	redis := "redis-server --bind 0.0.0.0 --save '' --dir /tmp --port "
	for _, s := range []struct {
		name, command string
		port          int
	}{
		{"redis-open", redis + "6379 --protected-mode no", 6379},
		{"redis-password", redis + "6379 --requirepass x", 6379},
		{"redis-protected", redis + "6379", 6379},
		{"redis-elsewhere", strings.Replace(redis, "0.0.0.0", "127.0.0.1", 1) + "6379 --protected-mode no", 6379},
		{"etcd", etcd[0] + " --data-dir /tmp/etcd --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://127.0.0.1:2379", 2379},
		{"web", "busybox httpd -f -p 8080 -h /usr/share/doc/busybox-static", 8080},
		{"listener", "while true; do busybox nc -l -p 8080; done", 8080},
	} {
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: probed, labels: {app: %[1]s}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: seawall.lab/busybox:1
      command: [chroot, /machine, sh, -c, %[2]q]
      volumeMounts: [{name: machine, mountPath: /machine, readOnly: true}, {name: tmp, mountPath: /machine/tmp}]
  volumes: [{name: machine, hostPath: {path: /}}, {name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: probed}
spec: {selector: {app: %[1]s}, ports: [{port: %[3]d}]}
`, s.name, s.command, s.port)
	}
	b.WriteString(`---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: probed}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: lister, namespace: probed}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: prober, namespace: probed}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: seawall-e2e-lister}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: seawall-e2e-lister}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: seawall-e2e-lister}
subjects: [{kind: ServiceAccount, name: lister, namespace: probed}, {kind: ServiceAccount, name: prober, namespace: probed}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: prober, namespace: probed}
rules:
  - {apiGroups: [""], resources: [services/proxy], verbs: [get]}
  - {apiGroups: [""], resources: [pods/portforward], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: prober, namespace: probed}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: prober}
subjects: [{kind: ServiceAccount, name: prober, namespace: probed}]
`)
	return b.String()
}

const unauthenticated = "service-unauthenticated"

// told returns what a report says of the check, a line for each finding.
func told(r *seawall.Report) (findings []string, holes string) {
	for _, f := range r.Findings {
		findings = append(findings, fmt.Sprintf("%s %s: %s", f.Severity, f.Subject.Name, f.Message))
	}
	var reasons []string
	for _, hole := range r.Coverage.NotEvaluated {
		if hole.Check == unauthenticated {
			reasons = append(reasons, hole.Reason)
		}
	}
	return findings, strings.Join(reasons, "\n")
}

// TestProbe asks real programs through a real API server and kubelet.
func TestProbe(t *testing.T) {
	a := cluster(t)
	a.mustApply(t, []byte(probed(t)))
	eventually(t, "the pods listen", func() bool {
		r, _ := scan(t, "cluster", "--probe", "--check", unauthenticated, "--namespace", "probed", "--kubeconfig", shared.kubeconfig)
		findings, holes := told(r)
		return len(findings) == 2 && strings.Count(holes, "no pod is ready") == 1 && strings.Count(holes, "probed/") == 3
	})
	config := accountConfig(t, a, "probed", "prober")
	args := []string{"--check", unauthenticated, "--namespace", "probed", "--fail-on", "none"}
	r, _ := scan(t, append(args, "cluster", "--probe", "--kubeconfig", config)...)
	findings, holes := told(r)
	want := []string{
		"high etcd: port 2379 answers without authentication: etcd at /version, which talks to whoever comes without a client's certificate, so that only users of its own, off by default, would guard its keys",
		"high redis-open: port 6379 answers without authentication: Redis at DBSIZE, which gives its keys to whoever comes",
	}
	if diff := gocmp.Diff(want, findings); diff != "" {
		t.Errorf("want (-) and got (+):\n%s\nnot evaluated: %s", diff, holes)
	}
	checkUnsure(t, holes)

	// A snapshot keeps what the probe was told.
	file := filepath.Join(t.TempDir(), "cluster.tar.zst")
	if out := seawallCommand(t, "snapshot", "--probe", "--namespace", "probed", "--kubeconfig", shared.kubeconfig, "-o", file); out.code == 2 {
		t.Fatalf("snapshot: %s", out.stderr)
	}
	r, _ = scan(t, append(args, "snapshot:"+file)...)
	kept, keptHoles := told(r)
	if diff := gocmp.Diff(want, kept); diff != "" {
		t.Errorf("from a snapshot, want (-) and got (+):\n%s\nnot evaluated: %s", diff, keptHoles)
	}
	checkUnsure(t, keptHoles)

	// Without the right to ask, nothing is known, and the right is named.
	r, _ = scan(t, append(args, "cluster", "--probe", "--kubeconfig", accountConfig(t, a, "probed", "lister"))...)
	findings, holes = told(r)
	if len(findings) > 0 {
		t.Errorf("an account that may not ask found %q", findings)
	}
	for _, right := range []string{"the verb get on services/proxy", "the verb create on pods/portforward", "redis-password", "web"} {
		if !strings.Contains(holes, right) {
			t.Errorf("not evaluated does not say %q: %s", right, holes)
		}
	}

	// The API server's own Service is left to the checks of RBAC.
	r, _ = scan(t, "cluster", "--probe", "--check", unauthenticated, "--namespace", "default", "--fail-on", "none", "--kubeconfig", shared.kubeconfig)
	if findings, holes = told(r); len(findings) > 0 || holes != "" {
		t.Errorf("the API server: %q, not evaluated %q", findings, holes)
	}
	a.strangerAsks(t, config)
	r, _ = scan(t, append(args, "cluster", "--kubeconfig", config)...)
	if _, holes = told(r); !strings.Contains(holes, "--probe") {
		t.Errorf("without --probe, not evaluated is %q", holes)
	}
}

// checkUnsure holds what a probe could not tell to the three Services of which it
// cannot. What the listener does is a matter of time.
func checkUnsure(t *testing.T, holes string) {
	t.Helper()
	for _, want := range []string{
		"probed/listener:8080 (", "probed/nobody:80 (no pod is ready behind it)",
		"probed/redis-elsewhere:6379 (Redis answers in its pod without authentication; through the Service: nothing listens there)",
	} {
		if !strings.Contains(holes, want) {
			t.Errorf("not evaluated does not say %q: %q", want, holes)
		}
	}
	if n := strings.Count(holes, "probed/"); n != 3 {
		t.Errorf("%d ports are not evaluated, want 3: %q", n, holes)
	}
}

// strangerAsks looks at what came to a pod that prints it: a probe with a token
// must have come without it, as the API server takes it off.
func (a *api) strangerAsks(t *testing.T, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	// The listener takes one connection after the other, and a probe that comes in
	// between finds nobody.
	var log string
	eventually(t, "a probe comes to the listener", func() bool {
		log = string(a.call(t, http.MethodGet, "/api/v1/namespaces/probed/pods/listener/log", "", nil).body)
		if strings.Contains(log, "GET / HTTP/1.1") && strings.Contains(log, "User-Agent: seawall/") {
			return true
		}
		scan(t, "cluster", "--probe", "--check", unauthenticated, "--namespace", "probed", "--fail-on", "none", "--kubeconfig", kubeconfig)
		return false
	})
	for _, user := range config.AuthInfos {
		if user.Token == "" || strings.Contains(log, user.Token) || strings.Contains(log, "Authorization") {
			t.Errorf("a pod saw the credentials of the kubeconfig: %q", log)
		}
	}
}
