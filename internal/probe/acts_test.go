package probe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// actorEnv names the scene that this test binary plays when it is run as a child.
const actorEnv = "SEAWALL_PROBE_SCENE"

// TestActor is no test: it is what the child processes of the others do.
func TestActor(t *testing.T) {
	scene := os.Getenv(actorEnv)
	if scene == "" {
		return // only run by the other tests
	}
	runtime.LockOSThread()
	scenery, ok := scenes[scene]
	if !ok {
		t.Fatalf("no scene is named %s", scene)
	}
	if err := scenery(); err != nil {
		t.Fatalf("%s: %v", scene, err)
	}
}

// watch opens the sensor for one cgroup, so that what the machine does besides
// neither fills its rings nor uses up a budget.
func watch(t *testing.T, hooks ...string) (p *Probe, cgroup string, id uint64) {
	t.Helper()
	p = open(t, Options{Hooks: append(hooks, "process"), Off: seawall.EventKinds()})
	for _, name := range hooks {
		if p.hooks[name] == nil {
			t.Fatalf("the hook %s is not at work: %+v", name, p.Coverage().Missing)
		}
	}
	cgroup, id = testCgroup(t)
	if err := p.Watch(id, nil, 0); err != nil {
		t.Fatal(err)
	}
	return p, cgroup, id
}

// into lets a command begin in a cgroup.
func into(t *testing.T, cmd *exec.Cmd, cgroup string) {
	t.Helper()
	f, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
}

// play plays a scene in a child, in a cgroup and a directory of its own, and returns
// what was seen of it until it ended.
func play(t *testing.T, p *Probe, scene, cgroup string) (events []*seawall.Event, dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestActor$", "-test.count=1")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), actorEnv+"="+scene)
	into(t, cmd, cgroup)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return seen(t, p, uint32(cmd.ProcessState.Pid())), dir
}

// seen returns the events of a process that has ended.
func seen(t *testing.T, p *Probe, pid uint32) []*seawall.Event {
	t.Helper()
	_, all := until(t, p, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventExit && ev.Process.PID == pid })
	return slices.DeleteFunc(all, func(ev *seawall.Event) bool { return ev.Process == nil || ev.Process.PID != pid })
}

// want fails unless one of the events is what is asked for, and returns it.
func want(t *testing.T, events []*seawall.Event, what string, is func(*seawall.Event) bool) *seawall.Event {
	t.Helper()
	for _, ev := range events {
		if is(ev) {
			return ev
		}
	}
	t.Errorf("no event: %s", what)
	return nil
}

// testCgroup makes a cgroup of the default hierarchy, and returns its directory and id.
func testCgroup(t *testing.T) (dir string, id uint64) {
	t.Helper()
	root := ""
	for _, d := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var s unix.Statfs_t
		if unix.Statfs(d, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			root = d
		}
	}
	if root == "" {
		t.Skip("no cgroup2 hierarchy is mounted")
	}
	dir = filepath.Join(root, fmt.Sprintf("seawall-probe-test-%d-%s", os.Getpid(), t.Name()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skip("a cgroup cannot be made: ", err)
	}
	t.Cleanup(func() {
		var err error
		for range 100 {
			if err = os.Remove(dir); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error(err)
	})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, info.Sys().(*syscall.Stat_t).Ino
}

func try(errs ...error) error {
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("act %d: %w", i, err)
		}
	}
	return nil
}

func write(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

// scenes are what the children do.
var scenes = map[string]func() error{
	"files": func() error {
		if err := try(write("a", "text"), os.Symlink("/etc/shadow", "innocent")); err != nil {
			return err
		}
		if _, err := os.ReadFile("innocent"); err != nil {
			return err
		}
		fd, err := unix.Openat2(unix.AT_FDCWD, "a", &unix.OpenHow{Flags: unix.O_RDWR | unix.O_TRUNC})
		if err != nil {
			return err
		}
		code, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		memory, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return err
		}
		return try(unix.Mprotect(memory, unix.PROT_READ|unix.PROT_EXEC), unix.Munmap(code),
			unix.Fchmod(fd, 0o640), unix.Fsetxattr(fd, "trusted.made", []byte("x"), 0), unix.Chmod("a", 0o4755), unix.Chown("a", 1, 2),
			os.Rename("a", "b"), os.Link("b", "c"), unix.Mknod("pipe", unix.S_IFIFO|0o600, 0), unix.Truncate("b", 1),
			unix.Setxattr("b", "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0),
			os.Remove("c"), os.Mkdir("d", 0o700), unix.Mount("none", "d", "tmpfs", unix.MS_NOEXEC, ""), unix.Unmount("d", unix.MNT_DETACH), os.Remove("d"))
	},
	"container": func() error {
		if err := try(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("none", ".", "tmpfs", 0, "")); err != nil {
			return err
		}
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		if err := os.Chdir(dir); err != nil { // onto the mount
			return err
		}
		for _, d := range []string{"lower", "upper", "work", "root"} {
			if err := os.Mkdir(d, 0o700); err != nil {
				return err
			}
		}
		if err := try(write("lower/image", "1"), write("lower/changed", "1"), os.Mkdir("lower/volume", 0o700),
			unix.Mount("overlay", "root", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"),
			unix.Mount("none", "root/volume", "tmpfs", 0, ""),
			unix.Chroot("root"), os.Chdir("/")); err != nil {
			return err
		}
		_, err = os.ReadFile("/image")
		return try(err, write("/changed", "2"), write("/new", "1"), write("/volume/kept", "1"))
	},
	"calls": func() error {
		if _, err := unix.MemfdCreate("payload", 0); err != nil {
			return err
		}
		// Itself, which the kernel refuses: nobody is stopped.
		_, _, _ = unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getpid()), 0, 0, 0, 0)
		buf := make([]byte, 8)
		_, _ = unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{{Base: &buf[0], Len: 8}}, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&buf[0])), Len: 8}}, 0)
		_, _, _ = unix.Syscall(unix.SYS_FINIT_MODULE, ^uintptr(0), 0, 0)
		_, _, _ = unix.Syscall(unix.SYS_BPF, 5, 0, 0)
		_, _ = unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING, 0, 0, 0)
		return try(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), unix.Unshare(unix.CLONE_NEWUTS|unix.CLONE_NEWIPC), unix.Sethostname([]byte("taken")),
			unix.Kill(os.Getppid(), 0))
	},
	"creds": func() error {
		return try(unix.Setresuid(65534, 65534, 0), unix.Setresuid(0, 0, 0))
	},
	"uring": func() error {
		var params [120]byte // struct io_uring_params
		fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
		if errno != 0 {
			return errno
		}
		at := func(i int) uint32 { return *(*uint32)(unsafe.Pointer(&params[i])) }
		const offRing, offEntries = 0, 0x10000000
		ring, err := unix.Mmap(int(fd), offRing, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		entries, err := unix.Mmap(int(fd), offEntries, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		path := []byte("/nothing\x00")
		entries[0] = 18 // IORING_OP_OPENAT
		*(*uint64)(unsafe.Pointer(&entries[16])) = uint64(uintptr(unsafe.Pointer(&path[0])))
		*(*int32)(unsafe.Pointer(&entries[4])) = -1      // directory
		*(*uint32)(unsafe.Pointer(&ring[at(40+24)])) = 0 // the array of indices: sq_off.array
		*(*uint32)(unsafe.Pointer(&ring[at(40+4)])) = 1  // sq_off.tail
		_, _, errno = unix.Syscall6(unix.SYS_IO_URING_ENTER, fd, 1, 1, 1, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	},
	"namespace":  func() error { return unix.Unshare(unix.CLONE_NEWNET) },
	"capability": func() error { return unix.Chroot("/") },
	"seccomp": func() error {
		// mkdirat and mkdir are refused with EXDEV, everything else is let through.
		filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
		refused := syscalls().places["mkdirat"][:1]
		refused = append(refused, syscalls().places["mkdir"][:1]...)
		for _, nr := range refused {
			filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 1},
				unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EXDEV)})
		}
		filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
			return err
		}
		if err := unix.Mkdir("refused", 0o700); err != unix.EXDEV {
			return fmt.Errorf("mkdir: %w", err)
		}
		return nil
	},
}

func TestFiles(t *testing.T) {
	testFiles(t, "creds", "file")
}

// TestFilesTraced takes the other way to files that are opened, where the kernel has it.
func TestFilesTraced(t *testing.T) {
	if p := open(t, Options{Hooks: []string{"process", "file-open"}}); p.hooks["file-open"] == nil {
		if os.Getenv("SEAWALL_VM") != "" {
			t.Fatalf("functions cannot be traced: %+v", p.Coverage().Missing)
		}
		t.Log("functions cannot be traced under this kernel: TestKernels does it under another")
		return
	}
	testFiles(t, "creds", "file-open", "file")
}

func testFiles(t *testing.T, hooks ...string) {
	t.Helper()
	p, cgroup, _ := watch(t, hooks...)
	events, dir := play(t, p, "files", cgroup)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, w := range []struct {
		what string
		kind seawall.EventKind
		is   func(f *seawall.File, c *seawall.Call) bool
	}{
		{"a is made", seawall.EventWrite, func(f *seawall.File, _ *seawall.Call) bool {
			return f.Path == in("a") && f.Created && f.Flags&unix.O_TRUNC != 0 && f.Inode != 0 && f.Mode == unix.S_IFREG|0o600
		}},
		{"a is truncated by openat2", seawall.EventWrite, func(f *seawall.File, _ *seawall.Call) bool {
			return f.Path == in("a") && !f.Created && f.Flags&(unix.O_TRUNC|unix.O_RDWR) == unix.O_TRUNC|unix.O_RDWR
		}},
		{"shadow is read through a link", seawall.EventOpen, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == "/etc/shadow" }},
		{"a link to shadow", seawall.EventSymlink, func(f *seawall.File, _ *seawall.Call) bool {
			return f.Path == in("innocent") && f.To == "/etc/shadow"
		}},
		{"a is mapped", seawall.EventMap, func(f *seawall.File, c *seawall.Call) bool {
			return f.Path == in("a") && f.Flags == unix.PROT_READ|unix.PROT_EXEC && c.Name == "mmap"
		}},
		{"memory becomes executable", seawall.EventMap, func(f *seawall.File, c *seawall.Call) bool {
			return f.Type == "anonymous" && f.Path == "" && f.Flags == unix.PROT_READ|unix.PROT_EXEC && c.Name == "mprotect"
		}},
		{"fchmod", seawall.EventChmod, func(f *seawall.File, c *seawall.Call) bool {
			return f.Path == in("a") && f.NewMode == 0o640 && c.Name == "fchmod"
		}},
		{"chmod", seawall.EventChmod, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == in("a") && f.NewMode == 0o4755 }},
		{"chown", seawall.EventChown, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == in("a") }},
		{"an attribute by descriptor", seawall.EventXattr, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == in("a") && f.Type == "trusted.made" }},
		{"a file capability", seawall.EventXattr, func(f *seawall.File, _ *seawall.Call) bool {
			return f.Path == in("b") && f.Type == "security.capability" && f.Result == 0
		}},
		{"rename", seawall.EventRename, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == in("a") && f.To == in("b") }},
		{"link", seawall.EventLink, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == in("b") && f.To == in("c") }},
		{"mknod", seawall.EventMknod, func(f *seawall.File, _ *seawall.Call) bool {
			return f.Path == in("pipe") && f.NewMode == unix.S_IFIFO|0o600
		}},
		{"truncate", seawall.EventWrite, func(f *seawall.File, c *seawall.Call) bool {
			return f.Path == in("b") && f.Flags == unix.O_TRUNC && c.Name == "truncate"
		}},
		{"unlink", seawall.EventUnlink, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == in("c") }},
		{"rmdir", seawall.EventUnlink, func(f *seawall.File, _ *seawall.Call) bool { return f.Path == in("d") && f.Result == 0 }},
		{"mount", seawall.EventMount, func(f *seawall.File, c *seawall.Call) bool {
			return f.Path == in("d") && f.Type == "tmpfs" && f.Source == "none" && c.Name == "mount" && c.Args[3] == unix.MS_NOEXEC
		}},
		{"umount", seawall.EventMount, func(f *seawall.File, c *seawall.Call) bool { return f.Path == in("d") && c.Name == "umount2" }},
	} {
		want(t, events, w.what, func(ev *seawall.Event) bool {
			return ev.Kind == w.kind && w.is(ev.File, ev.Call)
		})
	}
	if t.Failed() {
		dump(t, events)
	}
}

func dump(t *testing.T, events []*seawall.Event) {
	t.Helper()
	for _, ev := range events {
		text := fmt.Sprintf("%s %d/%d", ev.Kind, ev.Process.PID, ev.Process.TID)
		if ev.File != nil {
			text += fmt.Sprintf(" file %+v", *ev.File)
		}
		if ev.Call != nil {
			text += fmt.Sprintf(" call %+v", *ev.Call)
		}
		if ev.Creds != nil {
			text += fmt.Sprintf(" creds %+v", *ev.Creds)
		}
		t.Log(text, ev.Capability, ev.Namespaces, ev.Syscalls)
	}
}

func TestFilesOfAContainer(t *testing.T) {
	p, cgroup, _ := watch(t, "creds", "file")
	if hostMnt() == 0 {
		t.Skip("the node's first process is not to be seen")
	}
	// The test binary runs a program of the host in another mount
	// namespace, which is what a container's runtime looks like.
	events, _ := play(t, p, "container", cgroup)
	for _, ev := range events {
		if ev.File != nil && ev.File.Path == "/new" {
			t.Errorf("what a runtime does is reported as the container's: %+v", ev.File)
		}
	}
	// As is, seen by a sensor that does not know where programs were started.
	if err := p.Detach("creds"); err != nil {
		t.Fatal(err)
	}
	events, _ = play(t, p, "container", cgroup)
	for _, w := range []struct {
		path                    string
		kind                    seawall.EventKind
		upper, modified, volume bool
	}{
		{"/image", seawall.EventOpen, false, false, false},
		{"/changed", seawall.EventWrite, true, true, false},
		{"/new", seawall.EventWrite, true, false, false},
		{"/volume/kept", seawall.EventWrite, false, false, true},
	} {
		ev := want(t, events, w.path, func(ev *seawall.Event) bool { return ev.Kind == w.kind && ev.File.Path == w.path })
		if ev == nil {
			continue
		}
		if f := ev.File; f.Upper != w.upper || f.Modified != w.modified || f.Volume != w.volume {
			t.Errorf("%s: %+v", w.path, f.Traits)
		}
		if fs := ev.File.FS; !w.volume && fs != "overlay" || w.volume && fs != "tmpfs" {
			t.Errorf("%s lies on %s", w.path, fs)
		}
	}
	want(t, events, "chroot", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventMount && ev.Call.Name == "chroot" && strings.HasSuffix(ev.File.Path, "/root")
	})
	if t.Failed() {
		dump(t, events)
	}
}

func TestCalls(t *testing.T) {
	p, cgroup, _ := watch(t, "creds", "calls")
	events, _ := play(t, p, "calls", cgroup)
	parent := uint32(os.Getpid())
	for name, is := range map[string]func(c *seawall.Call) bool{
		"memfd_create": func(c *seawall.Call) bool { return c.Op == "payload" && c.Result > 0 },
		"ptrace": func(c *seawall.Call) bool {
			return c.Op == "PTRACE_ATTACH" && c.Target != nil && c.Result == -int64(unix.EPERM)
		},
		"process_vm_readv": func(c *seawall.Call) bool { return c.Target != nil && c.Result == 8 },
		"finit_module":     func(c *seawall.Call) bool { return c.Result < 0 },
		"bpf":              func(c *seawall.Call) bool { return c.Op == "BPF_PROG_LOAD" && c.Result < 0 },
		"keyctl":           func(c *seawall.Call) bool { return c.Op == "KEYCTL_GET_KEYRING_ID" },
		"prctl":            func(c *seawall.Call) bool { return c.Op == "PR_SET_DUMPABLE" },
		"unshare":          func(c *seawall.Call) bool { return c.Op == "CLONE_NEWUTS|CLONE_NEWIPC" && c.Result == 0 },
		"sethostname":      func(c *seawall.Call) bool { return c.Op == "taken" },
		"kill":             func(c *seawall.Call) bool { return c.Target != nil && c.Target.NSPID == parent },
	} {
		want(t, events, name, func(ev *seawall.Event) bool {
			return ev.Kind == seawall.EventCall && ev.Call.Name == name && is(ev.Call)
		})
	}
	if t.Failed() {
		dump(t, events)
	}
}

// compatProgram is a 64-bit program that makes 32-bit calls: open of /etc/shadow,
// ptrace(PTRACE_TRACEME) and exit, by int 0x80.
func compatProgram() []byte {
	const base, offset = 0x400000, 0x78
	code := []byte{
		0xb8, 5, 0, 0, 0, // mov eax, open
		0xbb, 0, 0, 0, 0, // mov ebx, path
		0x31, 0xc9, // xor ecx, ecx
		0xcd, 0x80,
		0xb8, 26, 0, 0, 0, // mov eax, ptrace
		0x31, 0xdb, // xor ebx, ebx
		0xcd, 0x80,
		0xb8, 1, 0, 0, 0, // mov eax, exit
		0x31, 0xdb,
		0xcd, 0x80,
	}
	put := func(b []byte, n uint64, size int) {
		for i := range size {
			b[i] = byte(n >> (8 * i))
		}
	}
	put(code[6:], base+offset+uint64(len(code)), 4)
	out := make([]byte, offset)
	copy(out, "\x7fELF\x02\x01\x01")
	put(out[16:], 2, 2)    // ET_EXEC
	put(out[18:], 0x3e, 2) // x86-64
	put(out[20:], 1, 4)
	put(out[24:], base+offset, 8)
	put(out[32:], 64, 8) // program headers
	put(out[52:], 64, 2)
	put(out[54:], 56, 2)
	put(out[56:], 1, 2)
	out = append(append(out, code...), "/etc/shadow\x00"...)
	ph := out[64:]
	put(ph, 1, 4)     // PT_LOAD
	put(ph[4:], 5, 4) // read, execute
	put(ph[16:], base, 8)
	put(ph[24:], base, 8)
	put(ph[32:], uint64(len(out)), 8)
	put(ph[40:], uint64(len(out)), 8)
	put(ph[48:], 0x1000, 8)
	return out
}

func TestCompatCalls(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the program is one for x86-64")
	}
	p, cgroup, _ := watch(t, "creds", "file", "calls")
	name := filepath.Join(t.TempDir(), "compat")
	if err := os.WriteFile(name, compatProgram(), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name)
	into(t, cmd, cgroup)
	if err := cmd.Run(); err != nil {
		t.Skip("the kernel does not run 32-bit calls: ", err)
	}
	events := seen(t, p, uint32(cmd.ProcessState.Pid()))
	want(t, events, "the 32-bit open", func(ev *seawall.Event) bool { return ev.Kind == seawall.EventOpen && ev.File.Path == "/etc/shadow" })
	want(t, events, "the 32-bit ptrace", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventCall && ev.Call.Name == "ptrace" && ev.Call.Op == "PTRACE_TRACEME"
	})
	if t.Failed() {
		dump(t, events)
	}
}

func TestCreds(t *testing.T) {
	p, cgroup, _ := watch(t, "creds", "calls")
	events, _ := play(t, p, "creds", cgroup)
	want(t, events, "root given up", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventCreds && ev.Creds.OldUID == 0 && ev.Creds.NewUID == 65534 && ev.Creds.NewEUID == 65534 &&
			ev.Creds.OldCaps.Has("SYS_ADMIN") && !ev.Creds.NewCaps.Has("SYS_ADMIN") && ev.Call.Name == "setresuid"
	})
	want(t, events, "root taken back", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventCreds && ev.Creds.OldUID == 65534 && ev.Creds.NewUID == 0
	})
	if t.Failed() {
		dump(t, events)
	}
}

func TestIOUring(t *testing.T) {
	p, cgroup, _ := watch(t, "creds", "calls", "uring")
	events, _ := play(t, p, "uring", cgroup)
	want(t, events, "io_uring_setup", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventCall && ev.Call.Name == "io_uring_setup" && ev.Call.Result >= 0
	})
	want(t, events, "an open that no system call made", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventCall && ev.Call.Name == "io_uring" && ev.Call.Op == "OPENAT"
	})
	if t.Failed() {
		dump(t, events)
	}
}

func TestNamespaces(t *testing.T) {
	p, dir, id := watch(t, "creds", "calls")
	home := seawall.Namespaces{Mnt: namespaceOf("self", "mnt"), Net: namespaceOf("self", "net"), PID: namespaceOf("self", "pid"), User: namespaceOf("self", "user")}
	if err := p.SetNamespaces(id, home); err != nil {
		t.Fatal(err)
	}
	events, _ := play(t, p, "namespace", dir)
	n := 0
	for _, ev := range events {
		if ev.Kind != seawall.EventNamespace {
			continue
		}
		n++
		if !slices.Equal(ev.Namespaces, []string{"net"}) || ev.Process.NS.Net == home.Net || ev.Process.Cgroup != id {
			t.Errorf("%+v %+v", ev.Namespaces, ev.Process.NS)
		}
	}
	if n != 1 {
		t.Errorf("%d events of a namespace that was left once", n)
		dump(t, events)
	}
}

func TestCapability(t *testing.T) {
	p, dir, id := watch(t, "creds", "capability")
	for round := range 2 {
		events, _ := play(t, p, "capability", dir)
		n := 0
		for _, ev := range events {
			if ev.Kind == seawall.EventCapability && ev.Capability == "CAP_SYS_CHROOT" {
				n++
			}
		}
		if n != 1-round {
			t.Errorf("round %d: %d events of the first use", round, n)
		}
	}
	caps, err := p.Capabilities(id)
	if err != nil || !caps.Has("SYS_CHROOT") {
		t.Errorf("%v %v", caps.Names(), err)
	}
}

func TestSyscalls(t *testing.T) {
	p, dir, id := watch(t, "creds")
	if _, _, err := p.Syscalls(1); err == nil {
		t.Error("system calls are told without the hook")
	}
	if err := p.Attach("syscalls"); err != nil {
		t.Fatal(err)
	}
	if err := p.Learn(id); err != nil {
		t.Fatal(err)
	}
	events, _ := play(t, p, "seccomp", dir)
	made, denied, err := p.Syscalls(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"execve", "mmap", "prctl", "exit_group"} {
		if !slices.Contains(made, name) {
			t.Errorf("%s is not among %v", name, made)
		}
	}
	// What Mkdir calls depends on the machine.
	if len(denied) != 1 || !strings.HasPrefix(denied[0], "mkdir") || slices.Contains(made, denied[0]) {
		t.Errorf("refused: %v, made: %v", denied, made)
	}
	want(t, events, "the refusal", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventDenied && strings.HasPrefix(ev.Call.Name, "mkdir") && ev.Call.Denied && ev.Call.Result == -int64(unix.EXDEV)
	})
	want(t, events, "a new call", func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventSyscall && slices.Equal(ev.Syscalls, []string{"prctl"})
	})
	if err := p.Detach("syscalls"); err != nil {
		t.Fatal(err)
	}
}

func TestProcesses(t *testing.T) {
	p := open(t, Options{Hooks: []string{"process"}})
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "1000")
	cmd.Dir = "/usr/lib"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pid := uint32(cmd.Process.Pid)
	ev, _ := until(t, p, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventExec && ev.Process.PID == pid })
	list, err := p.Processes()
	if err != nil {
		t.Fatal(err)
	}
	i, ok := slices.BinarySearchFunc(list, pid, func(p *seawall.Process, pid uint32) int { return int(p.PID) - int(pid) })
	if !ok {
		t.Fatalf("the child is not among %d", len(list))
	}
	got, was := list[i], ev.Process
	if got.Start != was.Start || got.Exe != was.Exe || got.Exe != "/usr/bin/sleep" || got.Cwd != "/usr/lib" || got.Program != was.Program ||
		got.Cgroup != was.Cgroup || *got.NS != *was.NS || got.Caps != was.Caps || got.Parent.PID != uint32(os.Getpid()) || got.Comm != "sleep" {
		t.Errorf("listed %+v %+v, ran as %+v %+v", got, got.NS, was, was.NS)
	}
}

// TestStorm holds the sensor to its ledger: files opened faster than anybody reads,
// in a ring that is too small, cost no event of processes, and every event is
// accounted for.
func TestStorm(t *testing.T) {
	o := Options{Hooks: []string{"process", "creds", "file", "calls"}, Off: seawall.EventKinds()}
	o.RingBytes[RingFile] = 64 << 10
	p := open(t, o)
	cgroup, id := testCgroup(t)
	if err := p.Watch(id, nil, 0); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c",
		`i=0; while [ $i -lt 4000 ]; do : > f$i; : < f$i; : < f$i; i=$((i+1)); done; i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done; : < /etc/shadow`)
	cmd.Dir = dir
	into(t, cmd, cgroup)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	throttled, shadow := uint64(0), 0
	count := func(ev *seawall.Event) {
		if ev.Kind == seawall.EventOpen && ev.File.Path == "/etc/shadow" {
			shadow++
		}
		if ev.Kind == seawall.EventThrottle {
			throttled += ev.Count
		}
	}
	for _, name := range p.Coverage().Hooks {
		if err := p.Detach(name); err != nil {
			t.Fatal(err)
		}
	}
	p.swept = 0
	for range 3 {
		if err := p.Poll(count); err != nil {
			t.Fatal(err)
		}
	}
	l, err := p.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	for k, c := range l.Kinds {
		if k == seawall.EventThrottle {
			continue
		}
		if c.Attempts != c.Delivered+c.Lost+c.Folded+c.Filtered || c.Read != c.Delivered {
			t.Errorf("%s does not add up: %+v", k, c)
		}
	}
	if c := l.Kinds[seawall.EventWrite]; c.Attempts < 4000 {
		t.Errorf("4,000 files were made: %+v", c)
	}
	files := l.Kinds[seawall.EventWrite].Lost + l.Kinds[seawall.EventOpen].Lost
	if files == 0 {
		t.Error("the ring was not too small: nothing is proven")
	}
	if shadow != 1 {
		t.Errorf("the storm hid that shadow was opened: seen %d times", shadow)
	}
	if throttled == 0 {
		t.Error("nobody was throttled")
	}
	for _, k := range []seawall.EventKind{seawall.EventExec, seawall.EventFork, seawall.EventExit} {
		if c := l.Kinds[k]; c.Lost != 0 || c.Read < 100 {
			t.Errorf("%s suffered from the files: %+v", k, c)
		}
	}
	var lost uint64
	for _, c := range l.Lost {
		if c.Kind == seawall.EventWrite || c.Kind == seawall.EventOpen {
			lost += c.Count
		}
	}
	if lost != files {
		t.Errorf("%d events were lost, cgroups are known of %d", files, lost)
	}
	if l.Recursion != 0 {
		t.Errorf("%d runs were left out", l.Recursion)
	}
	t.Logf("%+v throttled %d", l.Kinds, throttled)
}
