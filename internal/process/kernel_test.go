package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/probe"
	"seawall.io/seawall/internal/process"
	"seawall.io/seawall/internal/procfs"
)

// TestKernel follows real processes: what ran before the sensor comes from /proc,
// the rest from the kernel's records, and both agree on who is who.
func TestKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading eBPF programs needs root")
	}
	sensor, err := probe.Open(probe.Options{Hooks: []string{"process"}})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := sensor.Close(); err != nil {
			t.Error(err)
		}
	})
	proc, err := procfs.Open("/proc")
	if err != nil {
		t.Skip(err)
	}
	table := process.New(process.Options{})
	list, err := proc.List(nil)
	if err != nil {
		t.Fatal(err)
	}
	table.Sync(list.At, list.Processes)
	self := table.Get(uint32(os.Getpid()), 0)
	if self == nil || self.Exe == "" {
		t.Fatalf("this process is %+v", self)
	}

	const children = 30
	dir := t.TempDir()
	var pids []uint32
	for range children {
		// A shell that forks a subshell that runs a program, and stays for a moment.
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "(read line; /bin/cat /dev/null; :) ; :")
		cmd.Dir = dir
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Skip(err)
		}
		pids = append(pids, uint32(cmd.Process.Pid))
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	cat, err := filepath.EvalSymlinks("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	exits := 0
	mine := func(p *seawall.Process) bool {
		for depth := 0; p != nil; p, depth = p.Parent, depth+1 {
			if p.PID == self.PID {
				return depth > 0
			}
		}
		return false
	}
	for end := time.Now().Add(20 * time.Second); exits < children; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d exits came", exits, children)
		}
		err := sensor.Poll(func(ev *seawall.Event) {
			table.Observe(ev)
			if ev.Process == nil || !mine(ev.Process) {
				return
			}
			line := []string{ev.Kind.String()}
			for p := ev.Process; p != nil && p.PID != self.PID; p = p.Parent {
				line = append(line, p.Exe)
			}
			lines[strings.Join(line, " ")]++
			if ev.Kind == seawall.EventExit && slices.Contains(pids, ev.Process.PID) {
				exits++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]int{
		fmt.Sprintf("exec %s", shell):                   children,
		fmt.Sprintf("exec %s %s %s", cat, shell, shell): children,
		fmt.Sprintf("exit %s %s %s", cat, shell, shell): children,
		fmt.Sprintf("fork %s %s", shell, shell):         children,
		fmt.Sprintf("exit %s", shell):                   children,
	} {
		if lines[line] != want {
			t.Errorf("%d of %q, want %d; all: %v", lines[line], line, want, lines)
		}
	}
	exact := table.Get(self.PID, 0)
	if exact.Start == self.Start || exact.Start-self.Start >= uint64(process.Tick) {
		t.Errorf("this process started at %d by the list, at %d by the kernel", self.Start, exact.Start)
	}
	again, err := proc.List(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sensor.Poll(table.Observe); err != nil { // exits that the list shows already
		t.Fatal(err)
	}
	table.Sync(again.At, again.Processes)
	if s := table.Stats(); s.LostExits > 0 || s.Evicted > 0 || s.Refused > 0 {
		t.Errorf("%+v", s)
	} else {
		t.Logf("%+v", s)
	}
}
