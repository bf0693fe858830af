package procfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"seawall.io/seawall"
)

func open(t *testing.T) *FS {
	t.Helper()
	f, err := Open("/proc")
	if err != nil {
		t.Skip(err)
	}
	return f
}

// start runs a program until the test ends, and returns when it runs.
func start(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no proc file system") {
		t.Errorf("a folder is opened: %v", err)
	}
}

// TestList finds this very process with all that Go knows of it, and its child.
func TestList(t *testing.T) {
	f := open(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	child := start(t, sleep, "1000")
	cgroups, err := OpenCgroups("/sys/fs/cgroup", f)
	if err != nil {
		t.Logf("without control groups: %v", err)
		cgroups = nil
	}
	list, err := f.List(cgroups)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Skipped {
		t.Logf("skipped: %v", s)
	}
	find := func(pid int) *seawall.Process {
		for _, p := range list.Processes {
			if int(p.PID) == pid {
				return p
			}
		}
		t.Fatalf("process %d is not in the list", pid)
		return nil
	}
	self := find(os.Getpid())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if self.Exe != exe || !slices.Equal(self.Args, os.Args) || self.UID != uint32(os.Getuid()) || self.EUID != uint32(os.Geteuid()) || self.GID != uint32(os.Getgid()) {
		t.Errorf("this process is %+v", self)
	}
	if cwd, err := os.Getwd(); err != nil || self.Cwd != cwd {
		t.Errorf("the working directory is %s, want %s", self.Cwd, cwd)
	}
	if self.Parent == nil || int(self.Parent.PID) != os.Getppid() || self.Parent.Start == 0 || self.Parent.Start > self.Start || self.Start > list.At {
		t.Errorf("started at %d, by %+v, listed at %d", self.Start, self.Parent, list.At)
	}
	if self.NS == nil || self.NS.Mnt == 0 || self.NS.Cgroup == 0 || int(self.NSPID) != os.Getpid() {
		t.Errorf("namespaces %+v, PID %d", self.NS, self.NSPID)
	}
	info, err := os.Stat(exe)
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || self.Program.Inode != st.Ino || self.Program.FS == "" || self.Program.Mode&0o111 == 0 {
		t.Errorf("the program is %+v", self.Program)
	}
	if os.Geteuid() == 0 && !self.Caps.Has("SYS_ADMIN") {
		t.Logf("root without CAP_SYS_ADMIN: %v", self.Caps.Names())
	}
	if cgroups != nil && self.Cgroup == 0 {
		t.Error("no control group")
	}
	other := find(child.Process.Pid)
	if other.Comm != "sleep" || !slices.Equal(other.Args, []string{sleep, "1000"}) || other.ArgsBytes != uint64(len(sleep)+6) || other.Stdio != [3]seawall.Stdio{seawall.StdioNull, seawall.StdioNull, seawall.StdioNull} {
		t.Errorf("the child is %+v", other)
	}
	if other.Parent == nil || other.Parent.PID != self.PID || other.Parent.Start != self.Start {
		t.Errorf("the child comes from %+v", other.Parent)
	}
	if !slices.IsSortedFunc(list.Processes, func(a, b *seawall.Process) int { return int(int64(a.Start) - int64(b.Start)) }) {
		t.Error("the list is not sorted by start")
	}
	t.Logf("%d processes, %d vanished", len(list.Processes), list.Vanished)
}

// TestHostile reads processes that make themselves hard to read.
func TestHostile(t *testing.T) {
	f := open(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	read := func(cmd *exec.Cmd) *seawall.Process {
		t.Helper()
		p, skipped := f.Process(uint32(cmd.Process.Pid), nil)
		if p == nil || len(skipped) > 0 {
			t.Fatalf("got %+v, skipped %v", p, skipped)
		}
		return p
	}
	name := filepath.Join(t.TempDir(), "a) R 1\n(b (deleted)")
	if err := os.WriteFile(name, program, 0o700); err != nil {
		t.Fatal(err)
	}
	p := read(start(t, name, "1000"))
	if p.Comm != "a) R 1\n(b (dele" || p.Parent == nil || int(p.Parent.PID) != os.Getpid() || p.Start == 0 {
		t.Errorf("a name with brackets and a newline: %+v", p)
	}

	args := []string{"1000"}
	for range 15 { // the kernel takes 2 MiB, environment included
		args = append(args, strings.Repeat("1", 128<<10-1))
	}
	cmd := start(t, sleep, args...)
	want := uint64(len(sleep) + 6 + 15*128<<10)
	p = read(cmd)
	// The parent hears of the exec a moment before the kernel notes where its arguments end.
	for deadline := time.Now().Add(10 * time.Second); p.ArgsBytes != want && time.Now().Before(deadline); p = read(cmd) {
		time.Sleep(time.Millisecond)
	}
	if p.ArgsBytes != want || len(p.Args) != 3 || len(p.Args[2]) > MaxArgs {
		t.Errorf("nearly 2 MB of arguments: %d bytes (want %d), %d arguments", p.ArgsBytes, want, len(p.Args))
	}

	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.WriteFile(gone, program, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd = start(t, gone, "1000")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if p = read(cmd); p.Exe != gone || !p.Program.Deleted || p.Program.Memfd || p.Program.Inode == 0 {
		t.Errorf("a deleted program: %s %+v", p.Exe, p.Program)
	}
}

// TestStuck has a process whose arguments cannot be read until it pleases, as
// those on a file system of its own: the others are listed all the same.
func TestStuck(t *testing.T) {
	root := t.TempDir()
	f := &FS{root: root, patience: time.Millisecond}
	if err := os.WriteFile(filepath.Join(root, "uptime"), []byte("123.45 7.00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	made := func(pid string, stat, status, cgroup string) string {
		dir := filepath.Join(root, pid)
		if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"stat": stat, "status": status, "cgroup": cgroup} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("/bin/sh", filepath.Join(dir, "exe")); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, "cmdline")
	}
	const (
		stat   = " (sh) S 1 1 1 34816 1 0 0 0 0 0 0 0 0 0 20 0 1 0 700 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
		status = "Name:\tsh\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t30\t4\nCapEff:\t0000000000000001\n"
		cgroup = "1:cpu:/x\n0::/kubepods/pod1/abc\n"
	)
	stuck := made("30", "30"+stat, status, cgroup)
	if err := syscall.Mkfifo(stuck, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(made("31", "31"+stat, status, cgroup), []byte("sh\x00-c\x00\x00ls\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	made("32", "nothing of the kind", status, cgroup)
	made("33", "33"+stat, "Uid:\tmany\n", "1:cpu:/x\n")
	f.patience = 50 * time.Millisecond
	list, err := f.List(nil)
	if err != nil {
		t.Fatal(err)
	}
	if list.At != 123450000000 || len(list.Processes) != 3 {
		t.Fatalf("%+v", list)
	}
	for _, p := range list.Processes[:2] {
		if p.Start != 7*uint64(time.Second) || p.UID != 1 || p.EUID != 2 || p.GID != 5 || p.Caps != 1 || p.NSPID != 4 || !p.TTY || p.Exe != "/bin/sh" {
			t.Errorf("%+v", p)
		}
	}
	if p := list.Processes[0]; len(p.Args) != 0 {
		t.Errorf("the stuck one has %q", p.Args)
	}
	if p := list.Processes[1]; !slices.Equal(p.Args, []string{"sh", "-c", "", "ls"}) {
		t.Errorf("the other one has %q", p.Args)
	}
	var got []string
	for _, s := range list.Skipped {
		if s.What != "ns" {
			got = append(got, s.String())
		}
	}
	want := []string{
		"/proc/30/cmdline: the process did not let itself be read within 50ms",
		"/proc/32/stat: no name in brackets",
		"/proc/33/cgroup: cgroup version 2 is not mounted",
		"/proc/33/status: the line Uid is cut off",
	}
	if !slices.Equal(got, want) {
		t.Errorf("skipped:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Let the reader go.
	if w, err := os.OpenFile(stuck, os.O_WRONLY, 0); err != nil {
		t.Error(err)
	} else {
		w.Close()
	}
}

// FuzzProcess: whatever a process calls itself, the rest is read as it is.
func FuzzProcess(f *testing.F) {
	f.Add("init", []byte("1 (init) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 5 1 1"))
	f.Add("a) R 1\n(b) S 4", []byte("0::/a (deleted)\nUid:\t1\t2\n"))
	f.Add(")", []byte("()"))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		line := fmt.Sprintf("7 (%s) S 6 1 1 34816 1 0 0 0 0 0 0 0 0 0 20 0 1 0 700%s 10 30 1 1\n", name, strings.Repeat(" 9", 25))
		got, err := parseStat([]byte(line))
		if want := (stat{name, 6, true, 7 * uint64(time.Second), 20}); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
		_, _ = parseStat(raw)
		_, _ = parseCgroup(raw)
		_ = parseStatus(raw, &seawall.Process{})
	})
}

func TestDevice(t *testing.T) {
	for dev, want := range map[uint64]uint32{
		0x801:      8<<20 | 1,
		0x100302:   3<<20 | 0x102, // a minor above 255 has its upper bits apart
		0x3300:     0x33 << 20,
		0xfff00fff: 0xf<<20 | 0xfffff,
	} {
		if got := device(dev); got != want {
			t.Errorf("device %#x is %#x, want %#x", dev, got, want)
		}
	}
}
