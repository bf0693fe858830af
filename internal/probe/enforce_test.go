package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// proven opens the sensor, polls it in the background and proves every rule.
func proven(t *testing.T, o Options) (*Probe, Standing, <-chan *seawall.Event) {
	t.Helper()
	o.Hooks = []string{"process"}
	p := open(t, o)
	verdicts := make(chan *seawall.Event, 10_000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			if err := p.Poll(func(ev *seawall.Event) {
				if ev.Kind == seawall.EventVerdict {
					verdicts <- ev
				}
			}); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	began := time.Now()
	s, err := p.Prove(t.Context(), Rules()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: tier %q holds %v, found out in %s", kernelRelease(), s.Tier, s.Proven, time.Since(began).Round(time.Millisecond))
	for _, r := range s.Refused {
		t.Log("refused:", r.Tier, r.Reason)
	}
	for _, r := range s.Unproven {
		if s.Tier != SignalTier {
			t.Log("not held:", r.Rule, r.Reason)
		}
	}
	return p, s, verdicts
}

// Whoever runs no canary is promised nothing.
func TestEnforceUnproven(t *testing.T) {
	p := open(t, Options{Hooks: []string{"process"}})
	c := newContainer(t, p, image(t))
	got, err := p.Enforce(c.id, Policy{Deny: []Rule{ForeignExec}, Audit: []Rule{Mount}})
	if err != nil || got.Tier != DetectOnly || len(got.Held) > 0 || len(got.Refused) != 2 {
		t.Errorf("%+v %v", got, err)
	}
	if code, out := c.run(t, drop+"/tmp/x"); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, err := p.Enforce(1<<40, Policy{}); err == nil {
		t.Error("a cgroup that is not there got a policy")
	}
	if _, err := p.Enforce(1, Policy{}); err == nil {
		t.Error("the whole node got a policy")
	}
	if err := p.Unenforce(1 << 40); err != nil {
		t.Error(err)
	}
}

// nestling is what a runtime makes: a mount namespace with an overlay as its root,
// and a cgroup below that of a pod.
type nestling struct {
	pod, group string
	podID, id  uint64
	group3     *os.File
	do         chan func()
	shell      []string
}

// nestlings counts them, for names.
var nestlings atomic.Uint32

// drop puts a program into the writable layer.
const drop = "busybox cp /bin/true /tmp/x; "

// image is what the containers' overlay has below: a shell, two programs, the loader.
func image(t *testing.T) string {
	t.Helper()
	lower := t.TempDir()
	for _, dir := range []string{"bin", "tmp", "proc", "dev", "lib64", "lib/x86_64-linux-gnu", "work", "mnt", "cgroup"} {
		if err := os.MkdirAll(filepath.Join(lower, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{
		"/usr/bin/dash": "bin/sh", "/usr/bin/true": "bin/true", "/usr/bin/busybox": "bin/busybox", "/bin/cat": "bin/cat",
		"/lib64/ld-linux-x86-64.so.2": "lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6": "lib/x86_64-linux-gnu/libc.so.6",
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Skip("a container is made of this machine's files: ", err)
		}
		if err := os.WriteFile(filepath.Join(lower, to), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return lower
}

func newContainer(t *testing.T, p *Probe, lower string) *nestling {
	t.Helper()
	root, err := p.cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	c := &nestling{do: make(chan func()), shell: []string{"/bin/sh"}}
	c.pod = filepath.Join(root, fmt.Sprintf("seawall-test-%d-%d", os.Getpid(), nestlings.Add(1)))
	c.group = filepath.Join(c.pod, "container")
	c.podID, c.id = makeGroup(t, c.pod), makeGroup(t, c.group)
	if c.group3, err = os.Open(c.group); err != nil {
		t.Fatal(err)
	}
	layers := t.TempDir()
	ready, gone := make(chan error), make(chan struct{})
	go offMainThread(func() {
		defer close(gone)
		err := enter(lower, layers)
		ready <- err
		if err != nil {
			return
		}
		for f := range c.do {
			f()
		}
	})
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(c.do)
		<-gone
		_ = c.group3.Close()
	})
	return c
}

func makeGroup(t *testing.T, path string) uint64 {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The kernel takes the last process out of its group a moment after its end was told.
		for range 100 {
			if err := unix.Rmdir(path); !errors.Is(err, unix.EBUSY) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// enter makes the thread's root a new overlay.
func enter(lower, layers string) error {
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(layers, dir), 0o755); err != nil {
			return err
		}
	}
	root := filepath.Join(layers, "root")
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("overlay", root, "overlay", 0, "lowerdir="+lower+",upperdir="+layers+"/upper,workdir="+layers+"/work"),
		unix.Mount("proc", root+"/proc", "proc", 0, ""),
		unix.Mount("dev", root+"/dev", "devtmpfs", 0, ""),
		unix.Mount("tmpfs", root+"/mnt", "tmpfs", 0, ""),
		unix.Chdir(root), unix.PivotRoot(".", "."), unix.Unmount(".", unix.MNT_DETACH), unix.Chdir("/"))
}

// run runs a shell script in the container and returns its exit code, 128 and the signal where
// one ended it, and what it wrote.
func (c *nestling) run(t *testing.T, script string, files ...*os.File) (int, string) {
	t.Helper()
	return c.runIn(t, c.group3, script, files...)
}

func (c *nestling) runIn(t *testing.T, group *os.File, script string, files ...*os.File) (int, string) {
	t.Helper()
	type result struct {
		code int
		out  string
		err  error
	}
	results := make(chan result)
	c.do <- func() {
		cmd := exec.CommandContext(t.Context(), c.shell[0], append(c.shell[1:], "-c", script)...)
		var out bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = "/", []string{"PATH=/bin"}, &out, &out, files
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			results <- result{err: err}
			return
		}
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		code := status.ExitStatus()
		if status.Signaled() {
			code = 128 + int(status.Signal())
		}
		results <- result{code: code, out: out.String()}
	}
	r := <-results
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.code, r.out
}

// next waits for the verdict on a rule in a cgroup.
func next(t *testing.T, verdicts <-chan *seawall.Event, r Rule, cgroup uint64) *seawall.Event {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case ev := <-verdicts:
			if ev.Verdict.Rule == r.String() && ev.Process.Cgroup == cgroup {
				return ev
			}
		case <-timeout:
			t.Errorf("no verdict on %s in %d", r, cgroup)
			return nil
		}
	}
}

// TestEnforce finds the tier once, which takes long where everything is emulated.
func TestEnforce(t *testing.T) {
	p, s, verdicts := proven(t, Options{})
	lower := image(t)
	t.Run("prove", func(t *testing.T) { testProve(t, p, s, verdicts) })
	t.Run("attacks", func(t *testing.T) { testAttacks(t, p, s, verdicts, lower) })
	t.Run("loop", func(t *testing.T) { testLoop(t, p, s, verdicts, lower) })
	t.Run("guard", func(t *testing.T) { testGuard(t, p, s, verdicts, lower) })
	t.Run("runc", func(t *testing.T) { testRunc(t, p, s, lower) })
	t.Run("new-container", func(t *testing.T) { testNewContainer(t, p, s, verdicts, lower) })
}

// The tier is the best that the kernel lets work, and it is told by what was seen.
func testProve(t *testing.T, p *Probe, s Standing, verdicts <-chan *seawall.Event) {
	t.Helper()
	modules, _ := os.ReadFile("/sys/kernel/security/lsm") // not mounted everywhere
	switch guest := os.Getenv("SEAWALL_VM") != ""; {
	case guest && strings.Contains(string(modules), "bpf"):
		if s.Tier != LSM || !slices.Equal(s.Proven, Rules()) {
			t.Errorf("with bpf in lsm= the tier is %q and holds %v", s.Tier, s.Proven)
		}
	case guest:
		// The kernel took the security module and never asked it.
		if s.Tier != FmodRet || !slices.Equal(s.Proven, Rules()) || len(s.Refused) != 1 || !strings.Contains(s.Refused[0].Reason, "not prevented") {
			t.Errorf("without bpf in lsm= the tier is %q, holds %v, and refused %+v", s.Tier, s.Proven, s.Refused)
		}
	case s.Tier == DetectOnly:
		t.Errorf("nothing is prevented: %+v", s.Refused)
	case s.Tier == SignalTier && !s.Fanotify:
		t.Errorf("no guard: %s", s.NoFanotify)
	}
	if got := p.Tier(); got.Tier != s.Tier || !slices.Equal(got.Proven, s.Proven) {
		t.Errorf("Tier says %+v", got)
	}
	if again, err := p.Prove(t.Context(), Rules()...); err != nil || again.Tier != s.Tier || !slices.Equal(again.Proven, s.Proven) {
		t.Errorf("proven again: %+v %v", again, err)
	}
	select {
	case ev := <-verdicts:
		t.Errorf("a verdict on the canary reached the user: %+v", ev.Verdict)
	default:
	}
}

// What attackers do to run code of their own.
func testAttacks(t *testing.T, p *Probe, s Standing, verdicts <-chan *seawall.Event, lower string) {
	t.Helper()
	// The shell says 126 for what it may not run and 137 for what was killed.
	const refused, killed = 126, 137
	fd, err := unix.MemfdCreate("loader", 0)
	if err != nil {
		t.Fatal(err)
	}
	memory := os.NewFile(uintptr(fd), "memfd")
	defer memory.Close()
	if _, err := memory.Write(assemble(nil)); err != nil {
		t.Fatal(err)
	}
	script := "printf '#!/bin/sh\\nexit 0\\n' >/tmp/s; busybox chmod 755 /tmp/s; "
	for _, test := range []struct {
		name, script string
		rule         Rule
		refused      int    // exit code where acts are refused
		signal       int    // where programs are killed
		says         string // in what is written, where acts are refused
		target       string
	}{
		{name: "dropped", script: drop + "/tmp/x", rule: ForeignExec, refused: refused, signal: killed, target: "/tmp/x"},
		{name: "renamed", script: drop + "busybox mv /tmp/x /bin/y; /bin/y", rule: ForeignExec, refused: refused, signal: killed, target: "/bin/y"},
		{name: "hidden-over-the-image", script: "busybox cp /bin/cat /bin/true2; busybox mv /bin/true2 /bin/cat; /bin/cat /dev/null", rule: ForeignExec, refused: refused, signal: killed, target: "/bin/cat"},
		{name: "deleted", script: drop + "exec 4</tmp/x; busybox rm /tmp/x; /proc/self/fd/4", rule: ForeignExec, refused: refused, signal: killed, target: "/tmp/x"},
		{name: "memfd", script: "/proc/self/fd/3", rule: ForeignExec, refused: refused, signal: killed, target: "memfd:loader"},
		{name: "script", script: script + "/tmp/s", rule: ForeignExec, refused: refused, target: "/tmp/s"},
		// An interpreter reads; nothing of it is code to the kernel.
		{name: "interpreter", script: script + "sh /tmp/s"},
		{name: "loader", script: drop + "/lib64/ld-linux-x86-64.so.2 /tmp/x", rule: ForeignMap, refused: 127, says: "failed to map segment", target: "/tmp/x"},
		{name: "preload", script: "busybox cp /lib/x86_64-linux-gnu/libc.so.6 /tmp/evil.so; LD_PRELOAD=/tmp/evil.so /bin/true", rule: ForeignMap, says: "failed to map segment", target: "/tmp/evil.so"},
		{name: "copied-up", script: "busybox touch /bin/true; /bin/true", rule: ModifiedExec, refused: refused, signal: killed, target: "/bin/true"},
		{name: "volume", script: "busybox cp /bin/true /mnt/v; /mnt/v", rule: VolumeExec, refused: refused, signal: killed, target: "/mnt/v"},
		{
			name: "overlay-of-own", script: drop + "busybox mkdir -p /tmp/l; busybox mv /tmp/x /tmp/l/x; busybox unshare -Urm sh -c 'busybox mount -t overlay -o lowerdir=/tmp/l:/bin o /cgroup && /cgroup/x'",
			rule: ForeignExec, refused: refused, signal: killed, target: "/cgroup/x",
		},
		{name: "of-the-image", script: "busybox true && /bin/sh -c 'busybox echo fine'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t, p, lower)
			if _, err := p.Enforce(c.podID, Policy{Audit: []Rule{ForeignExec, ModifiedExec, VolumeExec, ForeignMap}}); err != nil {
				t.Fatal(err)
			}
			code, out := c.run(t, test.script, memory)
			if code != 0 {
				t.Fatalf("audited, it ended with %d: %s", code, out)
			}
			held := s.Tier != SignalTier || test.signal != 0
			if held && test.target != "" {
				if ev := next(t, verdicts, test.rule, c.id); ev != nil && (ev.Verdict.Action != "audited" || ev.Verdict.Target != test.target) {
					t.Errorf("audited: %+v, want %s", ev.Verdict, test.target)
				}
			}
			c = newContainer(t, p, lower) // as it was
			policy := Policy{Deny: []Rule{ForeignExec, ModifiedExec, VolumeExec, ForeignMap}}
			if _, err := p.Enforce(c.podID, policy); err != nil {
				t.Fatal(err)
			}
			want, action := test.refused, "denied"
			if s.Tier == SignalTier {
				want, action = test.signal, "killed"
			}
			code, out = c.run(t, test.script, memory)
			if code != want || s.Tier != SignalTier && !strings.Contains(out, test.says) {
				t.Errorf("denied, it ended with %d, want %d: %s", code, want, out)
			}
			if held && test.target != "" {
				if ev := next(t, verdicts, test.rule, c.id); ev != nil && (ev.Verdict.Action != action || ev.Verdict.Tier != string(s.Tier) || ev.Verdict.Target != test.target) {
					t.Errorf("denied: %+v, want %s %s", ev.Verdict, action, test.target)
				}
			}
			if err := p.Unenforce(c.podID); err != nil {
				t.Fatal(err)
			}
			if code, out = c.run(t, test.script, memory); code != 0 {
				t.Errorf("released, it ended with %d: %s", code, out)
			}
		})
	}
}

// A guard refuses what the signal tier kills, and scripts.
func testGuard(t *testing.T, p *Probe, s Standing, verdicts <-chan *seawall.Event, lower string) {
	t.Helper()
	if s.Tier != SignalTier {
		if err := p.Guard(1); err == nil {
			t.Error("there is a guard in a tier that needs none")
		}
		return
	}
	c := newContainer(t, p, lower)
	if _, err := p.guard(); err != nil { // it reads /sys, which the container has not
		t.Fatal(err)
	}
	// A shell of another file system, since this process must not wait for its own answers.
	if code, out := c.run(t, "busybox cp /bin/busybox /mnt/busybox"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	c.shell = []string{"/mnt/busybox", "sh"}
	guarded := make(chan error)
	c.do <- func() { guarded <- p.guardRoot("/") }
	if err := <-guarded; err != nil {
		t.Fatal(err)
	}
	script := "printf '#!/bin/sh\\nexit 0\\n' >/tmp/s; busybox chmod 755 /tmp/s; "
	for _, test := range []struct {
		name, script string
		rule         Rule
		code         int
		target       string
	}{
		{name: "dropped", script: drop + "/tmp/x", rule: ForeignExec, code: 126, target: "/tmp/x"},
		{name: "script", script: script + "/tmp/s", rule: ForeignExec, code: 126, target: "/tmp/s"},
		{name: "copied-up", script: "busybox touch /bin/true; /bin/true", rule: ModifiedExec, code: 126, target: "/bin/true"},
		{name: "of-the-image", script: "/bin/cat /dev/null"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := p.Enforce(c.podID, Policy{Audit: []Rule{ForeignExec, ModifiedExec}}); err != nil {
				t.Fatal(err)
			}
			if code, out := c.run(t, test.script); code != 0 {
				t.Errorf("audited, it ended with %d: %s", code, out)
			}
			if _, err := p.Enforce(c.podID, Policy{Deny: []Rule{ForeignExec, ModifiedExec}}); err != nil {
				t.Fatal(err)
			}
			if code, out := c.run(t, test.script); code != test.code {
				t.Errorf("denied, it ended with %d, want %d: %s", code, test.code, out)
			}
			for test.code != 0 {
				ev := next(t, verdicts, test.rule, c.id)
				if ev == nil {
					break
				}
				if v := ev.Verdict; v.Tier == fanotifyTier && v.Action == "denied" {
					if !strings.HasSuffix(v.Target, test.target) || ev.Process.Start == 0 {
						t.Errorf("%+v of %+v, want %s", v, ev.Process, test.target)
					}
					break
				}
			}
			if err := p.Unenforce(c.podID); err != nil {
				t.Fatal(err)
			}
			if code, out := c.run(t, test.script); code != 0 {
				t.Errorf("released, it ended with %d: %s", code, out)
			}
		})
	}
}

// A thousand tries change nothing, and each is accounted for.
func testLoop(t *testing.T, p *Probe, s Standing, verdicts <-chan *seawall.Event, lower string) {
	t.Helper()
	c := newContainer(t, p, lower)
	if _, err := p.Enforce(c.id, Policy{Deny: []Rule{ForeignExec}}); err != nil {
		t.Fatal(err)
	}
	before, err := p.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	code, out := c.run(t, drop+"n=0; i=0; while [ $i -lt 1000 ]; do /tmp/x && n=$((n+1)); i=$((i+1)); done 2>/dev/null; echo $n of $i ran")
	if code != 0 || !strings.HasSuffix(out, "0 of 1000 ran\n") {
		t.Errorf("%d %s", code, out)
	}
	next(t, verdicts, ForeignExec, c.id)
	after, err := p.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	a, b := after.Kinds[seawall.EventVerdict], before.Kinds[seawall.EventVerdict]
	if n := a.Attempts - b.Attempts; n != 1000 || a.Attempts != a.Delivered+a.Lost+a.Folded+a.Filtered {
		t.Errorf("%d verdicts: %+v", n, a)
	}
	t.Logf("%s: %d delivered, %d folded", s.Tier, a.Delivered-b.Delivered, a.Folded-b.Folded)
}

// A new container of a pod is held before it runs anything: its policy is the pod's.
func testNewContainer(t *testing.T, p *Probe, s Standing, verdicts <-chan *seawall.Event, lower string) {
	t.Helper()
	c := newContainer(t, p, lower)
	if code, out := c.run(t, drop); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	if _, err := p.Enforce(c.podID, Policy{Deny: []Rule{ForeignExec}}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		path := filepath.Join(c.pod, fmt.Sprintf("new-%d", i))
		id := makeGroup(t, path)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		code, out := c.runIn(t, f, "exec /tmp/x")
		f.Close()
		if want := map[bool]int{true: 137, false: 126}[s.Tier == SignalTier]; code != want {
			t.Fatalf("in a new cgroup it ended with %d, want %d: %s", code, want, out)
		}
		next(t, verdicts, ForeignExec, id)
	}
}
