package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"seawall.io/seawall/test/lab/internal/host"
	"seawall.io/seawall/test/lab/internal/images"
	"seawall.io/seawall/test/lab/internal/toolchain"
)

// loaded is an image that only the test brings.
const loaded = "seawall.lab/e2e:1"

// TestCluster walks through the life of a cluster of two nodes, with the
// program as users run it.
func TestCluster(t *testing.T) {
	requireMachine(t)
	program := filepath.Join(t.TempDir(), "lab")
	command(t, "go", "build", "-o", program, ".")
	c := newCluster(t, program, "seawall-e2e")

	kubeconfig := lastLine(c.lab("up", "2"))
	if got := lastLine(c.lab("kubeconfig")); got != kubeconfig {
		t.Errorf("kubeconfig prints %q, up printed %q", got, kubeconfig)
	}
	checkVersion(t, kubeconfig)
	if got, want := c.kubectl("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`),
		"seawall-e2e-node1=True seawall-e2e-node2=True "; got != want {
		t.Errorf("nodes are %q, want %q", got, want)
	}
	if out := c.lab("status"); strings.Contains(out, "stopped") || !strings.Contains(out, "kubelet2") {
		t.Errorf("status is not that of a sound cluster:\n%s", out)
	}
	if out := c.lab("on", "node1", "ip", "-4", "-o", "addr", "show", "eth0"); !strings.Contains(out, ".11/24") {
		t.Errorf("node1 has no address that ends in .11: %s", out)
	}

	c.lab("load", busyboxArchive(t))
	for i := 1; i <= 2; i++ {
		c.kubectl("run", fmt.Sprintf("pod%d", i), "--image="+loaded, "--restart=Never",
			fmt.Sprintf(`--overrides={"spec":{"nodeName":"seawall-e2e-node%d"}}`, i),
			"--", "sh", "-c", "echo started; while true; do nc -l -p 8080 -e echo answer; done")
	}
	c.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")

	t.Run("logs", func(t *testing.T) {
		if got := c.kubectl("logs", "pod2"); got != "started\n" {
			t.Errorf("logs of pod2 are %q", got)
		}
	})
	t.Run("exec", func(t *testing.T) {
		if got := c.kubectl("exec", "pod1", "--", "hostname"); got != "pod1\n" {
			t.Errorf("exec in pod1 prints %q", got)
		}
	})
	t.Run("pod-to-pod", func(t *testing.T) {
		if got := c.kubectl("exec", "pod1", "--", "nc", "-w", "5", c.podIP("pod2"), "8080"); got != "answer\n" {
			t.Errorf("pod2 answers pod1 %q", got)
		}
	})
	t.Run("machine-to-pod", func(t *testing.T) {
		if got := read(t, net.JoinHostPort(c.podIP("pod1"), "8080")); got != "answer\n" {
			t.Errorf("pod1 answers the machine %q", got)
		}
	})
	t.Run("pod-to-machine", func(t *testing.T) {
		address := serve(t, c.record().Host)
		if got := c.kubectl("exec", "pod2", "--", "nc", "-w", "5", address.IP.String(), strconv.Itoa(address.Port)); got != "answer\n" {
			t.Errorf("the machine answers pod2 %q", got)
		}
	})
	t.Run("service-by-name", func(t *testing.T) {
		c.kubectl("expose", "pod", "pod2", "--port=80", "--target-port=8080")
		script := `for i in $(seq 50); do nc -w 1 pod2.default.svc.cluster.local 80 && exit; sleep 0.2; done; exit 1`
		if got := c.kubectl("exec", "pod1", "--", "sh", "-c", script); got != "answer\n" {
			t.Errorf("the service pod2 answers pod1 %q", got)
		}
	})
	t.Run("second-cluster", func(t *testing.T) {
		b := newCluster(t, program, "seawall-e2e-b")
		b.lab("up", "1")
		if c.record().Index == b.record().Index {
			t.Error("both clusters have one index")
		}
		b.kubectl("run", "pod", "--image="+images.Busybox, "--restart=Never", "--", "sleep", "1000")
		b.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")
		// As after a crash in the middle of up, down has nothing to go by but
		// the name.
		if err := os.Remove(filepath.Join(filepath.Dir(lastLine(b.lab("kubeconfig"))), "cluster.json")); err != nil {
			t.Fatal(err)
		}
		b.lab("down")
		b.checkGone()
		if got := c.kubectl("exec", "pod1", "--", "hostname"); got != "pod1\n" {
			t.Errorf("after the end of the other cluster, exec in pod1 prints %q", got)
		}
	})
	t.Run("status-after-a-failure", func(t *testing.T) {
		pid, err := os.ReadFile(filepath.Join(filepath.Dir(kubeconfig), "pid", "kubelet2"))
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(number, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		// A process that was told to end is there for a moment longer.
		deadline := time.Now().Add(10 * time.Second)
		for {
			_, message, err := c.try("status")
			if err != nil && strings.Contains(message, "1 daemon(s) have stopped") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("status does not notice that a kubelet is gone: %v\n%s", err, message)
			}
		}
	})

	c.lab("down")
	c.checkGone()
	c.lab("down") // once more, with nothing to do
	if _, message, err := c.try("kubeconfig"); err == nil || !strings.Contains(message, "is not up") {
		t.Errorf("kubeconfig of a cluster that is gone: %v, %q", err, message)
	}
}

// TestUpExplains starts a cluster that cannot work.
func TestUpExplains(t *testing.T) {
	requireMachine(t)
	program := filepath.Join(t.TempDir(), "lab")
	command(t, "go", "build", "-o", program, ".")
	c := newCluster(t, program, "seawall-e2e-bad")
	stdout, message, err := c.try("up", "--apiserver-flags", "--no-such-flag=1")
	if err == nil || stdout != "" {
		t.Errorf("up succeeds (%v) or prints a kubeconfig: %q", err, stdout)
	}
	for _, want := range []string{"apiserver has stopped", "unknown flag: --no-such-flag", "all logs are in"} {
		if !strings.Contains(message, want) {
			t.Errorf("error lacks %q:\n%s", want, message)
		}
	}
	c.checkProcesses()
	c.lab("down")
	c.checkGone()
}

// requireMachine skips the test where no cluster can run.
func requireMachine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a cluster, which -short leaves out")
	}
	if err := host.Root(os.Geteuid()); err != nil {
		t.Skip(err)
	}
	if _, err := host.Local().Tools(); err != nil {
		t.Skip(err)
	}
}

// testCluster is a cluster under test.
type testCluster struct {
	t             *testing.T
	program, name string
}

// newCluster returns a cluster that is not up yet; it is down after the test.
func newCluster(t *testing.T, program, name string) *testCluster {
	t.Helper()
	c := &testCluster{t, program, name}
	c.lab("down") // what an interrupted test has left
	t.Cleanup(func() { c.lab("down") })
	return c
}

// lab runs the program and returns its standard output.
func (c *testCluster) lab(args ...string) string {
	c.t.Helper()
	stdout, stderr, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("lab %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

func (c *testCluster) try(args ...string) (stdout, stderr string, err error) {
	c.t.Helper()
	// Not the test's context, which has ended when the cluster is taken down.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, append([]string{"--name", c.name}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if args[0] == "up" {
		c.t.Logf("lab %s:\n%s", strings.Join(args, " "), errs.String())
	}
	return out.String(), errs.String(), err
}

func (c *testCluster) kubectl(args ...string) string {
	c.t.Helper()
	return c.lab(append([]string{"kubectl"}, args...)...)
}

func (c *testCluster) podIP(pod string) string {
	c.t.Helper()
	return c.kubectl("get", "pod", pod, "-o", "jsonpath={.status.podIP}")
}

type testRecord struct {
	Index int
	Host  string
}

func (c *testCluster) record() testRecord {
	c.t.Helper()
	var record testRecord
	text, err := os.ReadFile(filepath.Join(filepath.Dir(lastLine(c.lab("kubeconfig"))), "cluster.json"))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return record
}

// checkGone looks for what a cluster may leave behind, in other ways than the
// program itself does.
func (c *testCluster) checkGone() {
	c.t.Helper()
	c.checkProcesses()
	for what, paths := range map[string]string{
		"network namespaces": "/run/netns/" + c.name + "-[ns]*",
		"run directory":      "/run/seawall-lab/" + c.name,
		"cgroups v1":         "/sys/fs/cgroup/*/" + c.name + "-node*",
		"cgroups v2":         "/sys/fs/cgroup/" + c.name + "-node*",
	} {
		if left, _ := filepath.Glob(paths); len(left) > 0 {
			c.t.Errorf("%s are left: %q", what, left)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		c.t.Fatal(err)
	}
	state := filepath.Join(cache, "seawall-lab", "clusters", c.name)
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		c.t.Errorf("the state %s is left (%v)", state, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/"+c.name+"/") || strings.Contains(line, "/"+c.name+" ") || strings.Contains(line, "/"+c.name+"-node") {
			c.t.Errorf("a mount is left: %s", line)
		}
	}
}

// checkProcesses looks at command lines, environments and cgroups.
func (c *testCluster) checkProcesses() {
	c.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, dir := range dirs {
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(cmdline) == 0 {
			continue // a kernel thread, or one that has ended
		}
		environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if bytes.Contains(cmdline, []byte("/"+c.name+"/")) ||
			bytes.Contains(append(environment, 0), []byte("SEAWALL_LAB_CLUSTER="+c.name+"\x00")) ||
			bytes.Contains(cgroup, []byte("/"+c.name+"-node")) {
			c.t.Errorf("a process is left: %s: %s", dir, bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))
		}
	}
}

// checkVersion asks the API server from the machine, as a program under test
// would.
func checkVersion(t *testing.T, kubeconfig string) {
	t.Helper()
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			}
		}
	}
	if err := json.Unmarshal(text, &parsed); err != nil || len(parsed.Clusters) != 1 || len(parsed.Users) != 1 {
		t.Fatalf("kubeconfig: %v in %s", err, text)
	}
	pair, err := tls.X509KeyPair(parsed.Users[0].User.Cert, parsed.Users[0].User.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(parsed.Clusters[0].Cluster.CA)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, parsed.Clusters[0].Cluster.Server+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var version struct{ GitVersion string }
	if err := json.NewDecoder(response.Body).Decode(&version); err != nil {
		t.Fatal(err)
	}
	want, err := toolchain.Recipe{GoMod: goMod}.KubernetesVersion()
	if err != nil || version.GitVersion != want {
		t.Errorf("the API server is %s, want %s of go.mod (%v)", version.GitVersion, want, err)
	}
}

func busyboxArchive(t *testing.T) string {
	t.Helper()
	busybox, err := os.ReadFile(host.Local().Busybox)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := images.WriteBusybox(&archive, loaded, busybox, []string{"sh", "nc", "echo", "hostname", "seq", "sleep"}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "e2e.tar")
	if err := os.WriteFile(name, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// read returns what a server sends.
func read(t *testing.T, address string) string {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// serve answers one connection at the address of the machine.
func serve(t *testing.T, ip string) *net.TCPAddr {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return // the test has ended
		}
		defer conn.Close()
		io.WriteString(conn, "answer\n")
	}()
	return listener.Addr().(*net.TCPAddr)
}

func command(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return lines[len(lines)-1]
}
