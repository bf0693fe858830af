package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/respond"
)

// container runs a shell on an overlay root in a cgroup of its own, as a container
// does, and returns what there is of it.
func container(t *testing.T, script string) respond.Target {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making a mount namespace and a cgroup takes root")
	}
	root := "/sys/fs/cgroup/unified"
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
		root = "/sys/fs/cgroup"
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			t.Skip("cgroup version 2 is not mounted")
		}
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil { // an overlay cannot lie on every file system
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("busybox-static is not installed: ", err)
	}
	for _, d := range []string{"lower/bin", "lower/proc", "lower/etc", "lower/dev", "upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "lower/bin/busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lower/etc/gone"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lower/dev/null"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	cgroup, err := os.MkdirTemp(root, "seawall-evidence-") //nolint:usetesting // it must lie in the hierarchy
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c",
		`cd "$1" && echo $$ > "$2/cgroup.procs" && mount -t overlay overlay -o lowerdir="$1/lower",upperdir="$1/upper",workdir="$1/work" root && cd root &&
		 mount -t proc proc proc && mkdir old && pivot_root . old && umount -l old 2>/dev/null; exec bin/busybox env -i PATH=/bin SECRET=hunter2hunter2 bin/busybox sh -c "$3"`,
		"-", dir, cgroup, script)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(cgroup, "cgroup.kill"), []byte("1"), 0)
		_ = cmd.Wait()
		for range 50 {
			if os.Remove(cgroup) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the cgroup stays: ", cgroup)
	})
	if b := make([]byte, 6); true {
		if _, err := io.ReadFull(out, b); err != nil || string(b) != "ready\n" {
			t.Fatalf("the container says %q: %v", b, err)
		}
	}
	return respond.Target{
		Pod: &seawall.Pod{Namespace: "shop", Name: "web-1", UID: "u1"}, Dir: cgroup,
		Containers: []*seawall.Container{{ID: filepath.Base(cgroup), Name: "web", PID: uint32(cmd.Process.Pid)}},
	}
}

func store(t *testing.T, o Options) *Store {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "evidence")
	s, err := NewStore(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func files(t *testing.T, s *Store, name string) (*Manifest, map[string][]byte) {
	t.Helper()
	f, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string][]byte{}
	m, err := Verify(f, s.PublicKey(), func(name string, body []byte) error { got[name] = body; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return m, got
}

var act = &seawall.Act{ID: "a1", Kind: seawall.Contain, Time: time.Unix(1e9, 0)}

func TestCollect(t *testing.T) {
	target := container(t, `
		printf 'dropped' > /etc/x; busybox rm /etc/gone
		busybox cp /bin/busybox /sh; /sh -c 'busybox sleep 1000; :' x --password=hunter2hunter2 &
		busybox sleep 0.2; busybox rm /sh
		echo ready; exec 5</bin/busybox; busybox sleep 1000`)
	logs := t.TempDir()
	dir := filepath.Join(logs, "shop_web-1_u1", "web")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0.log"), []byte("GET /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := store(t, Options{Logs: logs})
	s.Events(func(string) []*seawall.Event {
		return []*seawall.Event{{Kind: seawall.EventExec, Process: &seawall.Process{Exe: "/sh", Args: []string{"sh", "--password", "hunter2hunter2"}}}}
	})
	time.Sleep(100 * time.Millisecond) // let the shell start its children
	name, err := s.Collect(t.Context(), target, act)
	if err != nil {
		t.Fatal(err)
	}
	m, got := files(t, s, name)
	t.Logf("%v; omitted: %v", slices.Sorted(maps.Keys(got)), m.Omitted)
	for file, body := range got {
		if strings.HasPrefix(file, "programs/") || strings.HasPrefix(file, "written/web/") {
			continue
		}
		if bytes.Contains(body, []byte("hunter2hunter2")) {
			t.Errorf("%s holds the secret", file)
		}
	}
	var processes []Process
	if err := json.Unmarshal(got["processes.json"], &processes); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(processes, func(p Process) bool { return strings.HasPrefix(p.Exe, "/sh") })
	if i < 0 {
		t.Fatalf("the dropped program is not among %d processes: %+v", len(processes), processes)
	}
	evil := processes[i]
	if evil.Exe != "/sh (deleted)" || evil.Container != "web" || evil.Env["SECRET"] == "" || len(evil.Maps) == 0 || len(evil.Open) == 0 {
		t.Errorf("%+v", evil)
	}
	if busybox, _ := os.ReadFile("/bin/busybox"); !bytes.Equal(got["programs/"+evil.SHA256], busybox) {
		t.Error("the deleted program was not kept")
	}
	if string(got["written/web/etc/x"]) != "dropped" || string(got["logs/web/0.log"]) != "GET /\n" {
		t.Error("what was written, or logged, is missing")
	}
	if list := string(got["written/web.list"]); !strings.Contains(list, `"/etc/gone" (removed)`) {
		t.Errorf("what was removed is not listed:\n%s", list)
	}
	if !strings.Contains(string(got["events.jsonl"]), "sha256:") {
		t.Errorf("events: %s", got["events.jsonl"])
	}
}

func TestBounds(t *testing.T) {
	target := container(t, `busybox head -c 300000 /bin/busybox > /big; echo small > /small; echo ready; busybox sleep 1000`)
	s := store(t, Options{MaxFile: 200 << 10})
	name, err := s.Collect(t.Context(), target, act)
	if err != nil {
		t.Fatal(err)
	}
	m, got := files(t, s, name)
	if got["written/web/big"] != nil || string(got["written/web/small"]) != "small\n" {
		t.Error("bounds do not hold")
	}
	if !slices.ContainsFunc(m.Omitted, func(o Omission) bool { return o.What == "written/web/big" }) {
		t.Errorf("what was left out is not named: %v", m.Omitted)
	}
}

func TestTampering(t *testing.T) {
	s := store(t, Options{Proc: t.TempDir()})
	name, err := s.Collect(t.Context(), respond.Target{Pod: &seawall.Pod{Namespace: "n", Name: "p"}, Dir: t.TempDir()}, act)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(f, other, nil); err == nil {
		t.Error("another node's key verifies")
	}
	if _, err := s.Open("../node.key"); err == nil {
		t.Error("a name leads out of the store")
	}
}

func TestStoreIsBounded(t *testing.T) {
	s := store(t, Options{Proc: t.TempDir(), MaxStore: 1})
	for n := range 3 {
		a := *act
		a.Time = act.Time.Add(time.Duration(n) * time.Second)
		if _, err := s.Collect(t.Context(), respond.Target{Pod: &seawall.Pod{Namespace: "n", Name: "p"}, Dir: t.TempDir()}, &a); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.List("n", "p")
	if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], "20010909T014642Z") {
		t.Errorf("%v %v", names, err)
	}
	if names, _ := s.List("n", "other"); len(names) != 0 {
		t.Errorf("%v", names)
	}
}
