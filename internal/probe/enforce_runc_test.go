package probe

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A real runtime starts a container under a policy that denies everything, stands at the pod's
// cgroup and was there before it; what then runs in the container is held to it.
func testRunc(t *testing.T, p *Probe, s Standing, lower string) {
	t.Helper()
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("there is no runc: ", err)
	}
	root, err := p.cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, p, lower) // for its pod
	policy := Policy{Deny: s.Proven, Capabilities: 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP}
	if _, err := p.Enforce(c.podID, policy); err != nil {
		t.Fatal(err)
	}
	bundle := t.TempDir()
	for _, dir := range []string{"upper", "work", "rootfs"} {
		if err := os.Mkdir(filepath.Join(bundle, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rootfs := filepath.Join(bundle, "rootfs")
	if err := unix.Mount("overlay", rootfs, "overlay", 0, "lowerdir="+lower+",upperdir="+bundle+"/upper,workdir="+bundle+"/work"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(rootfs, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), runc, append([]string{"--root", filepath.Join(bundle, "state")}, args...)...)
		cmd.Dir = bundle
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("spec"); err != nil {
		t.Fatal(err, out)
	}
	text, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	process := spec["process"].(map[string]any)
	process["terminal"] = false
	delete(process, "rlimits")
	process["args"] = []string{"/bin/sh", "-c", "echo started; busybox mount -t tmpfs x /mnt; echo mounted $?; busybox cp /bin/true /tmp/x; /tmp/x; echo ran $?"}
	process["capabilities"] = map[string]any{"bounding": []string{"CAP_SYS_ADMIN"}, "effective": []string{"CAP_SYS_ADMIN"}, "permitted": []string{"CAP_SYS_ADMIN"}}
	spec["root"] = map[string]any{"path": "rootfs", "readonly": false}
	below, err := filepath.Rel(root, c.pod)
	if err != nil {
		t.Fatal(err)
	}
	linux := spec["linux"].(map[string]any)
	linux["cgroupsPath"] = "/" + filepath.Join(below, "runc")
	delete(linux, "resources")
	if text, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run("run", "seawall-test")
	if err != nil && !strings.Contains(out, "started") {
		t.Fatalf("the container did not start: %v: %s", err, out)
	}
	want := []string{"started", "mounted 1", "ran 126"}
	if s.Tier == SignalTier {
		want = []string{"started", "mounted 0", "ran 137"}
	}
	for _, line := range want {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("got %q, want %q in it", out, line)
		}
	}
}
