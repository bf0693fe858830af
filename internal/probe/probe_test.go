package probe

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"seawall.io/seawall"
)

// open starts the sensor, or skips where the machine does not let it.
func open(t *testing.T, o Options) *Probe {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loading eBPF programs takes root")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("the kernel has no BTF: ", err)
	}
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// until polls until an event is what is asked for, and returns all that came.
func until(t *testing.T, p *Probe, is func(*seawall.Event) bool) (*seawall.Event, []*seawall.Event) {
	t.Helper()
	var all []*seawall.Event
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err := p.Poll(func(ev *seawall.Event) { all = append(all, ev) }); err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(all, is); i >= 0 {
			return all[i], all
		}
	}
	t.Fatalf("no such event among %d", len(all))
	return nil, nil
}

func TestExec(t *testing.T) {
	p := open(t, Options{})
	for _, m := range p.Coverage().Missing {
		t.Logf("missing: %+v", m)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exit 7", "two\nlines")
	cmd.Dir = "/usr/lib"
	cmd.Env = []string{"LD_PRELOAD=", "SECRET=hunter2"}
	_ = cmd.Run()
	pid := uint32(cmd.ProcessState.Pid())
	exit, all := until(t, p, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventExit && ev.Process.PID == pid })
	if exit.Exit.Code != 7 {
		t.Errorf("exit %+v", exit.Exit)
	}
	i := slices.IndexFunc(all, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventExec && ev.Process.PID == pid })
	if i < 0 {
		t.Fatal("no exec")
	}
	ev := all[i]
	if ev.Process.Exe != "/usr/bin/dash" || !slices.Equal(ev.Process.Args, []string{"/bin/sh", "-c", "exit 7", "two\nlines"}) || ev.Process.Cwd != "/usr/lib" {
		t.Errorf("%+v", ev.Process)
	}
	if !slices.Equal(ev.Exec.Env, []string{"LD_PRELOAD"}) {
		t.Errorf("%+v", ev.Exec)
	}
	if ev.Process.Parent.PID != uint32(os.Getpid()) || ev.Process.Start != exit.Process.Start || ev.Process.Start == 0 {
		t.Errorf("%+v", ev.Process)
	}
	t.Logf("%+v %+v %+v", ev.Process, ev.File, ev.Exec)
}
