package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// canary breaks rules, in a cgroup and a mount namespace of its own: there lies an
// overlay such as containers have, with small programs that do one thing each.
type canary struct {
	p      *Probe
	group  *os.File // its cgroup
	path   string
	id     uint64
	level  int
	mounts chan func() // run in its mount namespace
	gone   chan struct{}
}

// Where the canary's files lie, in its own mount namespace only: a directory that every
// node and every container has.
const (
	nest      = "/sys"
	nestLower = nest + "/lower"
	nestUpper = nest + "/upper"
	nestWork  = nest + "/work"
	nestRoot  = nest + "/root"
)

// wait is how long the canary's end and the report of it may take, on a busy node as well.
const wait = 10 * time.Second

func (p *Probe) newCanary() (_ *canary, err error) {
	root, err := p.cgroupRoot()
	if err != nil {
		return nil, err
	}
	c := &canary{p: p, path: filepath.Join(root, "seawall-canary-"+strconv.Itoa(os.Getpid())), level: 1, mounts: make(chan func()), gone: make(chan struct{})}
	if err := os.Mkdir(c.path, 0o755); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // as control groups are
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.group, err = os.Open(c.path); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(c.group.Fd()), &st); err != nil {
		return nil, err
	}
	c.id = st.Ino
	var off []seawall.EventKind
	for _, k := range seawall.EventKinds() {
		if k != seawall.EventVerdict {
			off = append(off, k)
		}
	}
	if err := p.Watch(c.id, off, OfAgent); err != nil {
		return nil, err
	}
	p.enforce.canary.Store(c.id)
	ready := make(chan error)
	go offMainThread(func() { c.live(ready) })
	if err := <-ready; err != nil {
		return nil, err
	}
	return c, nil
}

// live owns a thread in a mount namespace of its own, which ends with the thread.
func (c *canary) live(ready chan<- error) {
	defer close(c.gone)
	err := build()
	ready <- err
	if err != nil {
		return
	}
	for f := range c.mounts {
		f()
	}
}

// offMainThread runs f on a thread that ends with it, and that is not the first one:
// its mount namespace is what /proc/self shows to all of the process.
func offMainThread(f func()) {
	runtime.LockOSThread() // and never unlocked, but for the first
	if unix.Gettid() != os.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		offMainThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

// build makes the nest.
func build() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("seawall", nest, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,mode=700"); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", nest, err)
	}
	for _, dir := range []string{nestLower, nestUpper, nestWork, nestRoot} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	for _, name := range []string{"act", "changed"} {
		if err := os.WriteFile(filepath.Join(nestLower, name), assemble(nil), 0o700); err != nil { //nolint:gosec // a program
			return err
		}
	}
	if err := unix.Mount("seawall", nestRoot, "overlay", unix.MS_NOSUID|unix.MS_NODEV, "lowerdir="+nestLower+",upperdir="+nestUpper+",workdir="+nestWork); err != nil {
		return fmt.Errorf("mounting an overlay: %w", err)
	}
	return nil
}

// inside runs f in the canary's mount namespace.
func (c *canary) inside(f func() error) error {
	done := make(chan error)
	c.mounts <- func() { done <- f() }
	return <-done
}

func (c *canary) close() {
	select {
	case <-c.gone:
	default:
		if c.mounts != nil && c.group != nil && c.p.enforce.canary.Load() == c.id {
			close(c.mounts)
			<-c.gone
		}
	}
	c.p.enforce.canary.Store(0)
	if c.group != nil {
		_ = c.p.maps["policies"].Delete(c.id) // there may be none
		_ = c.p.Unwatch(c.id)
		_ = c.group.Close()
	}
	_ = unix.Rmdir(c.path) // one that is left over is taken up by the next
}

// A breach is something that a rule forbids.
type breach struct {
	program string // the file that is run
	// calls are made by that program; the last must be refused. None means that to run the program is the act.
	calls []call
	files []*os.File // from descriptor 3 on
	open  []FileID   // that the policy denies
}

// prove has the canary break a rule in every way that programs of ours watch.
func (c *canary) prove(ctx context.Context, tier Tier, r Rule) error {
	value := enforceSignalPolicy{Deny: 1 << r, Caps: 1 << unix.CAP_SYS_CHROOT, List: c.id << 16}
	if err := c.p.addLevelLocked(c.level); err != nil {
		return err
	}
	if err := c.p.maps["policies"].Put(c.id, value); err != nil {
		return fmt.Errorf("setting the canary's policy: %w", err)
	}
	acts, done, err := c.acts(r)
	defer done()
	if err != nil {
		return fmt.Errorf("preparing the canary: %w", err)
	}
	for i, a := range acts {
		if err := c.do(ctx, tier, r, a); err != nil {
			return fmt.Errorf("canary %d of %d for %s: %w", i+1, len(acts), r, err)
		}
	}
	return nil
}

func (c *canary) do(ctx context.Context, tier Tier, r Rule, a breach) error {
	for _, f := range a.open {
		key := enforceSignalDeniedFile{List: c.id << 16, Inode: f.Inode, Dev: f.Dev}
		if err := c.p.maps["denied_files"].Put(key, uint32(0)); err != nil {
			return err
		}
		defer c.p.maps["denied_files"].Delete(key) //nolint:errcheck // nobody else has the canary's list
	}
	for len(c.p.enforce.verdicts) > 0 {
		<-c.p.enforce.verdicts // of an act that was given up
	}
	var denied string
	err := c.inside(func() error {
		if len(a.calls) > 0 {
			if err := os.WriteFile(filepath.Join(nestLower, "act"), assemble(a.calls), 0o700); err != nil { //nolint:gosec // a program
				return err
			}
		}
		var err error
		denied, err = c.run(ctx, a)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case tier == SignalTier && denied != "killed", tier != SignalTier && denied != "denied":
		return fmt.Errorf("it was %s", denied)
	}
	return c.heard(ctx, tier, r, denied)
}

// run runs the act's program and says what became of it: denied, killed, or not prevented.
func (c *canary) run(ctx context.Context, a breach) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, a.program) //nolint:gosec // a program of ours
		cmd.Dir, cmd.Env, cmd.ExtraFiles = "/", []string{}, a.files
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(c.group.Fd())}
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case errors.Is(err, unix.ETXTBSY) && ctx.Err() == nil:
			continue // another thread forked while we wrote the file, and holds it until its exec
		case errors.Is(err, unix.EPERM):
			if len(a.calls) > 0 {
				return "", errors.New("the canary's own program was refused")
			}
			return "denied", nil
		case err != nil && !errors.As(err, &exit):
			return "", fmt.Errorf("running the canary: %w", err)
		}
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case status.Signaled() && status.Signal() == unix.SIGKILL && ctx.Err() == nil:
			return "killed", nil
		case len(a.calls) > 0 && status.ExitStatus() == int(unix.EPERM):
			return "denied", nil
		case len(a.calls) > 0 && status.ExitStatus() > 0:
			return fmt.Sprintf("not refused by us (%s)", unix.ErrnoName(unix.Errno(status.ExitStatus()))), nil
		}
		return "not prevented", nil
	}
}

// heard waits for the report.
func (c *canary) heard(ctx context.Context, tier Tier, r Rule, action string) error {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		select {
		case ev := <-c.p.enforce.verdicts:
			if v := ev.Verdict; v.Rule == r.String() && v.Tier == string(tier) && v.Action == action {
				return nil
			}
		case <-timeout.C:
			return fmt.Errorf("it was %s, but no report of %s came: by whom is not known", action, tier)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// proveGuard has the canary run a script, which the signal tier does not see.
func (c *canary) proveGuard(ctx context.Context) error {
	if err := c.p.maps["policies"].Put(c.id, enforceSignalPolicy{Deny: 1 << ForeignExec}); err != nil {
		return fmt.Errorf("setting the canary's policy: %w", err)
	}
	// The kernel's types lie below /sys, which the canary does not see.
	if _, err := c.p.guard(); err != nil {
		return err
	}
	script := filepath.Join(nestRoot, "script")
	var denied string
	err := c.inside(func() error {
		if err := c.p.guardRoot(nestRoot); err != nil {
			return err
		}
		if err := os.WriteFile(script, []byte("#!"+filepath.Join(nestRoot, "act")+"\n"), 0o700); err != nil { //nolint:gosec // a program
			return err
		}
		// A program outside of the overlay runs the script: while this process waits for an
		// exec of its own to be answered it may be unable to answer.
		runner := filepath.Join(nest, "runner")
		calls := []call{{unix.SYS_EXECVE, []any{script, 0, 0}}}
		if err := os.WriteFile(runner, assemble(calls), 0o700); err != nil { //nolint:gosec // a program
			return err
		}
		var err error
		denied, err = c.run(ctx, breach{program: runner, calls: calls})
		return err
	})
	if err != nil {
		return err
	}
	if denied != "denied" {
		return fmt.Errorf("the canary's script was %s", denied)
	}
	return c.heard(ctx, fanotifyTier, ForeignExec, denied)
}

// acts returns the ways to break a rule. done gives back what they hold.
func (c *canary) acts(r Rule) (acts []breach, done func(), err error) {
	var held []*os.File
	done = func() {
		for _, f := range held {
			_ = f.Close()
		}
	}
	dropped := filepath.Join(nestRoot, "dropped")
	program := filepath.Join(nestRoot, "act")
	self := uint64(os.Getpid()) //nolint:gosec // positive
	err = c.inside(func() error {
		if err := os.WriteFile(dropped, assemble(nil), 0o700); err != nil { //nolint:gosec // a program
			return err
		}
		f, err := os.Open(dropped)
		if err != nil {
			return err
		}
		held = append(held, f)
		return nil
	})
	if err != nil {
		return nil, done, err
	}
	calls := func(calls ...call) breach {
		return breach{program: program, calls: calls, files: []*os.File{held[0], c.group}}
	}
	const at, here = 0x10000000, ^uint64(99) // AT_FDCWD
	switch r {
	case ForeignExec:
		fd, err := unix.MemfdCreate("seawall-canary", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, done, fmt.Errorf("making a file in memory: %w", err)
		}
		memory := os.NewFile(uintptr(fd), "memfd")
		held = append(held, memory)
		if _, err := memory.Write(assemble(nil)); err != nil {
			return nil, done, err
		}
		return []breach{{program: dropped}, {program: "/proc/self/fd/3", files: []*os.File{memory}}}, done, nil
	case ModifiedExec:
		changed := filepath.Join(nestRoot, "changed")
		return []breach{{program: changed}}, done, c.inside(func() error { return os.Chmod(changed, 0o711) }) //nolint:gosec // a program
	case VolumeExec:
		volume := filepath.Join(nest, "volume")
		return []breach{{program: volume}}, done, c.inside(func() error { return os.WriteFile(volume, assemble(nil), 0o700) }) //nolint:gosec // a program
	case ForeignMap:
		const private, fixed = 2, 16
		acts = []breach{
			calls(call{unix.SYS_MMAP, []any{0, 4096, unix.PROT_READ | unix.PROT_EXEC, private, 3, 0}}),
			calls(call{unix.SYS_MMAP, []any{at, 4096, unix.PROT_READ, private | fixed, 3, 0}}, call{unix.SYS_MPROTECT, []any{at, 4096, unix.PROT_READ | unix.PROT_EXEC}}),
		}
	case Ptrace:
		acts = []breach{calls(call{unix.SYS_PTRACE, []any{unix.PTRACE_SEIZE, self, 0, 0}})}
	case Mount:
		// Descriptors 0 to 4 are taken: what is opened first is 5.
		acts = []breach{
			calls(call{unix.SYS_MOUNT, []any{"seawall", "/", "tmpfs", 0, 0}}),
			calls(call{unix.SYS_OPEN_TREE, []any{here, "/", unix.OPEN_TREE_CLONE}}, call{unix.SYS_MOVE_MOUNT, []any{5, "", here, "/", unix.MOVE_MOUNT_F_EMPTY_PATH}}),
			calls(call{unix.SYS_FSOPEN, []any{"tmpfs", 0}}, call{unix.SYS_FSCONFIG, []any{5, unix.FSCONFIG_CMD_CREATE, 0, 0, 0}}),
			calls(call{unix.SYS_UMOUNT2, []any{nestRoot, unix.MNT_DETACH}}),
		}
	case Module:
		acts = []breach{calls(call{unix.SYS_FINIT_MODULE, []any{3, "", 0}}), calls(call{unix.SYS_INIT_MODULE, []any{strings.Repeat("\x00", 256), 256, ""}})}
	case BPF:
		acts = []breach{calls(call{unix.SYS_BPF, []any{unix.BPF_PROG_GET_NEXT_ID, strings.Repeat("\x00", 16), 16}})}
	case Capability:
		acts = []breach{calls(call{unix.SYS_CHROOT, []any{"/"}})}
	case File:
		var st unix.Stat_t
		if err := unix.Fstat(int(held[0].Fd()), &st); err != nil {
			return nil, done, err
		}
		a := calls(call{unix.SYS_OPENAT, []any{here, "/proc/self/fd/3", unix.O_RDONLY}})
		a.open = []FileID{{Dev: kernelDev(st.Dev), Inode: st.Ino}}
		acts = []breach{a}
	case CgroupWrite:
		acts = []breach{calls(call{unix.SYS_OPENAT, []any{4, "cgroup.procs", unix.O_WRONLY}})}
	case Signal:
		acts = []breach{calls(call{unix.SYS_KILL, []any{self, int(unix.SIGCONT)}})}
	default:
		return nil, done, fmt.Errorf("nobody knows how to break %s", r)
	}
	return acts, done, nil
}

// kernelDev turns the number of a device from stat(2)'s form into the kernel's.
func kernelDev(dev uint64) uint32 {
	return unix.Major(dev)<<20 | unix.Minor(dev)&0xfffff
}

// addLevelLocked is addLevel for who does not hold the lock.
func (p *Probe) addLevelLocked(level int) error {
	p.enforce.mu.Lock()
	defer p.enforce.mu.Unlock()
	return p.addLevel(level)
}
