package probe

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall"
)

// Each is done to the sensor by another process, and told with who did it.
func TestTamper(t *testing.T) {
	pins := pinned(t)
	p := open(t, Options{Pins: pins, Hooks: []string{"process", "guard", "calls", "file", "net"}})
	for _, m := range p.Coverage().Missing {
		t.Fatalf("missing: %+v", m)
	}
	self := strconv.Itoa(os.Getpid())
	act := func(t *testing.T, what string, argv ...string) *seawall.Event {
		t.Helper()
		path, err := exec.LookPath(argv[0])
		if err != nil {
			t.Skip(err)
		}
		cmd := exec.CommandContext(t.Context(), path, argv[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", argv, err, out)
		}
		ev, _ := until(t, p, func(ev *seawall.Event) bool {
			return ev.Kind == seawall.EventTamper && ev.Call.Name == what && ev.Process != nil
		})
		if ev.Process.PID != uint32(cmd.Process.Pid) {
			t.Errorf("done by %d, told of %+v", cmd.Process.Pid, ev.Process)
		}
		if ev.Call.Target == nil || ev.Call.Target.PID != uint32(os.Getpid()) || ev.Time.IsZero() {
			t.Errorf("%+v", ev)
		}
		t.Logf("%s: %s by %s", ev.Call.Name, ev.Call.Op, ev.Process.Comm)
		return ev
	}
	t.Run("signal", func(t *testing.T) {
		if ev := act(t, "signal", "kill", "-CONT", self); ev.Call.Op != "SIGCONT" {
			t.Errorf("%+v", ev.Call)
		}
	})
	t.Run("limit", func(t *testing.T) { act(t, "prlimit64", "prlimit", "--pid", self, "--core=0:0") })
	t.Run("map", func(t *testing.T) {
		args := strings.Fields("map update pinned " + filepath.Join(p.home, sharedPins, "interest_default") + " key hex 00 00 00 00 value hex ff ff ff ff ff ff ff ff 00 00 00 00 00 00 00 00")
		ev := act(t, "bpf", append([]string{"bpftool"}, args...)...)
		if ev.Call.Op != "BPF_MAP_UPDATE_ELEM interest_default" {
			t.Errorf("%+v", ev.Call)
		}
		if err := p.setDefault(nil); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("unpin", func(t *testing.T) {
		pin := filepath.Join(p.home, "process", "link_on_exec")
		if ev := act(t, "unpin", "rm", pin); ev.Call.Op != pin {
			t.Errorf("%+v", ev.Call)
		}
		p.watchman.checked, p.swept = 0, 0
		until(t, p, func(ev *seawall.Event) bool {
			return ev.Kind == seawall.EventTamper && ev.Call.Name == "unpin" && ev.Process == nil
		})
		if _, err := os.Stat(pin); err != nil {
			t.Errorf("it was not put back: %v", err)
		}
	})
	t.Run("detach", func(t *testing.T) {
		pins, err := filepath.Glob(filepath.Join(p.home, "net", "link_*"))
		if err != nil {
			t.Fatal(err)
		}
		path, err := exec.LookPath("bpftool")
		if err != nil {
			t.Skip(err)
		}
		// Only some links can be detached by others, those to cgroups among them.
		if !slices.ContainsFunc(pins, func(pin string) bool {
			return exec.CommandContext(t.Context(), path, "link", "detach", "pinned", pin).Run() == nil
		}) {
			t.Fatalf("none of %s can be detached", pins)
		}
		p.watchman.checked, p.swept = 0, 0
		ev, _ := until(t, p, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventTamper && ev.Call.Name == "detach" })
		if ev.Call.Op != "net" || p.hook("net") == nil {
			t.Errorf("%+v", ev.Call)
		}
		for _, l := range p.hook("net").links {
			if info, err := l.Info(); err != nil || info.Cgroup() != nil && info.Cgroup().CgroupId == 0 {
				t.Errorf("it was not put back: %+v %v", info, err)
			}
		}
	})
	t.Run("freeze", func(t *testing.T) {
		root, err := p.cgroupRoot()
		if err != nil {
			t.Skip(err)
		}
		dir := filepath.Join(root, "seawall-test-frozen-"+self)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skip(err)
		}
		before, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		home := root
		for line := range strings.Lines(string(before)) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
				home = filepath.Join(root, path)
			}
		}
		join := func(dir string) error { return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(self), 0) }
		// It thaws what it froze, whatever becomes of the test.
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", fmt.Sprintf("sleep 0.5; echo 1 >%[1]s; sleep 3; echo 0 >%[1]s", filepath.Join(dir, "cgroup.freeze")))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := join(dir); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if err := join(home); err != nil {
				t.Error(err)
			}
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}()
		p.watchman.cgroup = "/seawall-test-frozen-" + self
		var told []string
		for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline) && len(told) < 2; time.Sleep(10 * time.Millisecond) {
			err := p.Poll(func(ev *seawall.Event) {
				if ev.Kind == seawall.EventTamper {
					told = append(told, ev.Call.Name)
					t.Logf("%s: %s %+v", ev.Call.Name, ev.Call.Op, ev.Process)
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		slices.Sort(told)
		if !slices.Equal(told, []string{"freeze", "pause"}) {
			t.Errorf("told of %s", told)
		}
	})
}

// What nobody read in time is counted on both sides, told with its class, and of the
// rings that have room nothing is missing.
func TestLossIsTold(t *testing.T) {
	o := Options{Hooks: []string{"process"}}
	o.RingBytes[RingExec] = 64 << 10
	p := open(t, o)
	const runs = 60
	run := func(n int) {
		for range n {
			if err := exec.CommandContext(t.Context(), "/bin/true").Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(runs)
	var told, execs, others uint64
	beats := 0
	poll := func() {
		if err := p.Poll(func(ev *seawall.Event) {
			switch {
			case ev.Kind == seawall.EventHeartbeat:
				beats++
			case ev.Kind == seawall.EventExec:
				execs++
			case ev.Kind == seawall.EventLoss && ev.Loss.Class == "exec":
				told += ev.Loss.Count
				if ev.Process == nil || ev.Process.Cgroup == 0 {
					t.Errorf("nobody's loss: %+v", ev)
				}
			case ev.Kind == seawall.EventLoss:
				others += ev.Loss.Count
			}
		}); err != nil {
			t.Error(err)
		}
	}
	poll()
	for range 8 { // so that each CPU's sequence goes on behind its gap
		run(4)
		poll()
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && (beats < 2 || told == 0); time.Sleep(20 * time.Millisecond) {
		poll()
	}
	l, err := p.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	c := l.Kinds[seawall.EventExec]
	if c.Lost < runs/2 || c.Lost != told || others != 0 || c.Read != execs {
		t.Errorf("ledger %+v; told of %d, of other classes %d, execs %d", c, told, others, execs)
	}
	if l.Gaps == 0 || l.Gaps > c.Lost {
		t.Errorf("%d numbers are missing of %d that were lost", l.Gaps, c.Lost)
	}
	if len(l.Lost) == 0 || beats < 2 {
		t.Errorf("ledger %+v, %d heartbeats", l.Lost, beats)
	}
	t.Logf("%+v; gaps %d, heartbeats %d", c, l.Gaps, beats)
}

// Who talks to thousands of peers a second is not listened to all the time, and how
// much was left out is told.
func TestNetworkIsThrottled(t *testing.T) {
	p := open(t, Options{Hooks: []string{"process", "net"}})
	const peers = 8000
	for port := range peers {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "udp", fmt.Sprintf("127.0.0.1:%d", 20000+port))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close() // nothing was sent
	}
	pid := uint32(os.Getpid())
	seen := uint64(0)
	until(t, p, func(ev *seawall.Event) bool {
		if ev.Kind == seawall.EventConnect || ev.Kind == seawall.EventSend {
			if ev.Process.PID == pid {
				seen++
			}
		}
		return ev.Kind == seawall.EventThrottle && ev.Loss.Class == "net" && ev.Process.Cgroup != 0 && ev.Loss.Count > 0
	})
	l, err := p.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	c := l.Kinds[seawall.EventConnect]
	s := l.Kinds[seawall.EventSend]
	if c.Folded+s.Folded == 0 || c.Attempts+s.Attempts < peers {
		t.Errorf("connect %+v, send %+v, %d seen", c, s, seen)
	}
	t.Logf("connect %+v, send %+v", c, s)
}
