// Package procfs reads what Linux shows of processes and control groups as files,
// and stops and ends groups of processes through them. It is for the agent, which
// learns of what already runs when it starts from here, and of everything after
// that from the kernel's events.
//
// Processes come and go while they are read, and those of others decide what many
// of the files hold. Nothing of that is an error of the whole: what could not be
// read is named, with the reason, and the rest is returned.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"seawall.io/seawall"
)

// Limits of what is read of one process.
const (
	// MaxArgs is how many bytes of arguments are read; Process.ArgsBytes tells of more.
	MaxArgs = 4096
	// patience is how long one process may keep its reader waiting: arguments lie in
	// the memory of the process and its program on a file system that it may itself
	// serve (FUSE), so that it decides whether a read ends.
	patience = time.Second
	// maxStuck is how many readers may be waiting before arguments are read no more.
	maxStuck = 8
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on all architectures
// that Seawall runs on.
const tick = uint64(time.Second / 100)

// FS is a mounted proc file system. Use Open.
type FS struct {
	root     string
	patience time.Duration
	stuck    atomic.Int32
}

// Open returns the proc file system that is mounted in a directory, which is
// /proc, or that of the node under another path. It must be of the first PID
// namespace for PIDs to be those of the kernel's events.
func Open(root string) (*FS, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(root, &st); err != nil {
		return nil, fmt.Errorf("opening the proc file system: %w", &os.PathError{Op: "statfs", Path: root, Err: err})
	}
	if st.Type != procMagic {
		return nil, fmt.Errorf("%s is no proc file system: mount the node's /proc there, or name where it is", root)
	}
	return &FS{root: root, patience: patience}, nil
}

// Skipped is something of a process that could not be read.
type Skipped struct {
	PID  uint32
	What string // a file below /proc/PID, "" for the process as a whole
	Err  error
}

// String returns what was skipped and why.
func (s Skipped) String() string { return fmt.Sprintf("/proc/%d/%s: %v", s.PID, s.What, s.Err) }

// List is what ran at one time.
type List struct {
	// At is when the reading began, in nanoseconds since boot.
	At uint64
	// Processes by their start and PID, so that parents come first. Parent holds PID
	// and Start only.
	Processes []*seawall.Process
	// Skipped is what could not be read, by PID. Processes that ended meanwhile are
	// not in it; Vanished counts them.
	Skipped  []Skipped
	Vanished int
}

// List reads all processes. Their Start is in whole ticks of 10 ms, cut off: the
// kernel's events know the nanosecond, which lies within the tick that follows
// (process.Table matches the two). Kernel threads have no Exe. cgroups, which may
// be nil, gives the numbers of their control groups.
func (f *FS) List(cgroups *Cgroups) (*List, error) {
	at, err := f.uptime()
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(f.root)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	l := &List{At: at}
	ids := map[string]uint64{}
	for _, name := range names {
		pid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			continue
		}
		p, skipped := f.process(uint32(pid), cgroups, ids)
		l.Skipped = append(l.Skipped, skipped...)
		switch {
		case p != nil:
			l.Processes = append(l.Processes, p)
		case len(skipped) == 0:
			l.Vanished++
		}
	}
	l.finish()
	return l, nil
}

// finish sorts a list and gives parents their start.
func (l *List) finish() {
	starts := make(map[uint32]uint64, len(l.Processes))
	for _, p := range l.Processes {
		starts[p.PID] = p.Start
	}
	for _, p := range l.Processes {
		if p.Parent == nil {
			continue
		}
		// A PID that was used again since is not that of the parent.
		if start, ok := starts[p.Parent.PID]; ok && start <= p.Start {
			p.Parent.Start = start
		} else {
			p.Parent = nil
		}
	}
	slices.SortFunc(l.Processes, func(a, b *seawall.Process) int {
		if a.Start != b.Start {
			return int(int64(a.Start) - int64(b.Start)) //nolint:gosec // the difference of two times since boot
		}
		return int(a.PID) - int(b.PID)
	})
	slices.SortFunc(l.Skipped, func(a, b Skipped) int {
		if a.PID != b.PID {
			return int(a.PID) - int(b.PID)
		}
		return strings.Compare(a.What, b.What)
	})
}

// Process reads one process; nil where there is none with that PID.
func (f *FS) Process(pid uint32, cgroups *Cgroups) (*seawall.Process, []Skipped) {
	return f.process(pid, cgroups, map[string]uint64{})
}

// process reads one process; nil without anything skipped where it is gone.
func (f *FS) process(pid uint32, cgroups *Cgroups, ids map[string]uint64) (*seawall.Process, []Skipped) {
	dir := filepath.Join(f.root, strconv.FormatUint(uint64(pid), 10))
	var skipped []Skipped
	skip := func(what string, err error) {
		if !gone(err) {
			skipped = append(skipped, Skipped{pid, what, err})
		}
	}
	raw, err := readSome(filepath.Join(dir, "stat"), 4096)
	if err != nil {
		skip("stat", err)
		return nil, skipped
	}
	st, err := parseStat(raw)
	if err != nil {
		skip("stat", err)
		return nil, skipped
	}
	p := &seawall.Process{PID: pid, Start: st.start, Comm: st.comm, TTY: st.tty}
	if st.parent != 0 {
		p.Parent = &seawall.Process{PID: st.parent}
	}
	if raw, err := readSome(filepath.Join(dir, "status"), 64<<10); err != nil {
		skip("status", err)
	} else if err := parseStatus(raw, p); err != nil {
		skip("status", err)
	}
	if path, err := f.cgroupOf(dir); err != nil {
		skip("cgroup", err)
	} else if cgroups != nil {
		id, ok := ids[path]
		if !ok {
			if id, err = cgroups.ID(path); err != nil {
				skip("cgroup", err)
			}
			ids[path] = id
		}
		p.Cgroup = id
	}
	if p.NS, err = namespaces(dir); err != nil {
		skip("ns", err)
	}
	if p.Cwd, err = os.Readlink(filepath.Join(dir, "cwd")); err != nil {
		skip("cwd", err)
	}
	if p.Exe, err = os.Readlink(filepath.Join(dir, "exe")); err != nil {
		skip("exe", err) // kernel threads and zombies have none
	}
	if err == nil || !gone(err) {
		for i := range p.Stdio {
			p.Stdio[i] = stdio(filepath.Join(dir, "fd", strconv.Itoa(i)))
		}
		f.slowly(dir, p, skip)
		p.ArgsBytes = st.args
		if p.ArgsBytes == 0 {
			for _, a := range p.Args {
				p.ArgsBytes += uint64(len(a)) + 1
			}
		}
	}
	// What could not be read of a process that ended meanwhile is no news, and what
	// was read may be of another that has its PID.
	if raw, err = readSome(filepath.Join(dir, "stat"), 4096); err != nil {
		return nil, nil
	}
	if again, err := parseStat(raw); err != nil || again.start != st.start {
		return nil, nil
	}
	return p, skipped
}

// memory is what has to be asked of a process's memory and file systems.
type memory struct {
	args            []byte
	program         seawall.FileTraits
	argsErr, exeErr error
}

// slowly reads what a process could keep its reader waiting for.
func (f *FS) slowly(dir string, p *seawall.Process, skip func(string, error)) {
	named := p.Exe != ""
	p.Exe, p.Program = program(p.Exe)
	if f.stuck.Load() >= maxStuck {
		skip("cmdline", fmt.Errorf("%d readers are already stuck in the memory of processes that do not answer", maxStuck))
		return
	}
	answer := make(chan memory, 1)
	f.stuck.Add(1)
	go func() {
		defer f.stuck.Add(-1)
		var m memory
		m.args, m.argsErr = readSome(filepath.Join(dir, "cmdline"), MaxArgs)
		if named {
			m.program, m.exeErr = traits(filepath.Join(dir, "exe"))
		}
		answer <- m
	}()
	timer := time.NewTimer(f.patience)
	defer timer.Stop()
	select {
	case <-timer.C:
		skip("cmdline", fmt.Errorf("the process did not let itself be read within %v", f.patience))
	case m := <-answer:
		if m.argsErr != nil {
			skip("cmdline", m.argsErr)
		}
		if m.exeErr != nil {
			skip("exe", m.exeErr)
		}
		p.Args = splitArgs(m.args)
		m.program.Memfd, m.program.Deleted = p.Program.Memfd, p.Program.Deleted
		p.Program = m.program
	}
}

// gone says that a process ended, or has nothing of the kind.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// readSome reads the beginning of a file.
func readSome(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(file, limit))
}

type stat struct {
	comm   string
	parent uint32
	tty    bool
	start  uint64 // nanoseconds since boot
	args   uint64 // bytes of arguments, 0 where that is not told
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The name may hold anything,
// brackets and newlines too: the last bracket ends it.
func parseStat(raw []byte) (stat, error) {
	var s stat
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 0 || end < open {
		return s, errors.New("no name in brackets")
	}
	s.comm = string(raw[open+1 : end])
	fields := strings.Fields(string(raw[end+1:]))
	const first = 3 // number of the field after the name
	number := func(n int) (uint64, error) {
		if n-first >= len(fields) {
			return 0, fmt.Errorf("field %d is missing", n)
		}
		return strconv.ParseUint(fields[n-first], 10, 64)
	}
	parent, err := number(4)
	if err != nil {
		return s, err
	}
	s.parent = uint32(parent) //nolint:gosec // a PID
	if len(fields) > 7-first {
		s.tty = fields[7-first] != "0"
	}
	ticks, err := number(22)
	if err != nil {
		return s, err
	}
	s.start = ticks * tick
	from, err := number(48)
	if err != nil {
		return s, nil //nolint:nilerr // before Linux 3.5, or not told
	}
	if to, err := number(49); err == nil && to > from {
		s.args = to - from
	}
	return s, nil
}

// parseStatus reads credentials and the inner PID from /proc/PID/status. Its name
// line is escaped by the kernel.
func parseStatus(raw []byte, p *seawall.Process) error {
	seen := 0
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch key {
		case "Uid", "Gid":
			if len(fields) < 2 {
				return fmt.Errorf("the line %s is cut off", key)
			}
			id, err := strconv.ParseUint(fields[0], 10, 32)
			if err != nil {
				return err
			}
			effective, err := strconv.ParseUint(fields[1], 10, 32)
			if err != nil {
				return err
			}
			if key == "Uid" {
				p.UID, p.EUID = uint32(id), uint32(effective)
			} else {
				p.GID = uint32(id)
			}
			seen++
		case "CapEff":
			caps, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return err
			}
			p.Caps = seawall.Caps(caps)
			seen++
		case "NSpid":
			if n := len(fields); n > 0 {
				if pid, err := strconv.ParseUint(fields[n-1], 10, 32); err == nil {
					p.NSPID = uint32(pid)
				}
			}
		}
	}
	if seen < 3 {
		return errors.New("the credentials are missing")
	}
	return nil
}

// splitArgs splits arguments at their zero bytes. Of arguments that are longer
// than what was read the last may be cut.
func splitArgs(raw []byte) []string {
	if len(raw) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
}

// program takes the kernel's remarks off the path of a program.
func program(link string) (string, seawall.FileTraits) {
	var t seawall.FileTraits
	if path, ok := strings.CutSuffix(link, " (deleted)"); ok {
		link, t.Deleted = path, true
	}
	if name, ok := strings.CutPrefix(link, "/memfd:"); ok && t.Deleted {
		t.Memfd, link = true, "memfd:"+name // it has no path
	}
	return link, t
}

// namespaces reads the inode numbers of the namespaces.
func namespaces(dir string) (*seawall.Namespaces, error) {
	var ns seawall.Namespaces
	for _, n := range []struct {
		name string
		to   *uint32
	}{{"mnt", &ns.Mnt}, {"net", &ns.Net}, {"pid", &ns.PID}, {"user", &ns.User}, {"uts", &ns.UTS}, {"ipc", &ns.IPC}, {"cgroup", &ns.Cgroup}} {
		link, err := os.Readlink(filepath.Join(dir, "ns", n.name))
		if err != nil {
			return nil, err
		}
		_, number, _ := strings.Cut(link, ":[")
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("ns/%s is %q", n.name, link)
		}
		*n.to = uint32(inode)
	}
	return &ns, nil
}

// Namespaces returns the namespaces of a process.
func (f *FS) Namespaces(pid uint32) (*seawall.Namespaces, error) {
	ns, err := namespaces(filepath.Join(f.root, strconv.FormatUint(uint64(pid), 10)))
	if err != nil {
		return nil, fmt.Errorf("reading the namespaces of process %d: %w", pid, err)
	}
	return ns, nil
}

// stdio tells what an open file is by the link that stands for it.
func stdio(fd string) seawall.Stdio {
	link, err := os.Readlink(fd)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return seawall.StdioNone
	case err != nil:
		return seawall.StdioUnknown
	case link == "/dev/null":
		return seawall.StdioNull
	case strings.HasPrefix(link, "socket:["):
		return seawall.StdioSocket
	case strings.HasPrefix(link, "pipe:["):
		return seawall.StdioPipe
	case strings.HasPrefix(link, "/dev/pts/"), strings.HasPrefix(link, "/dev/tty"), link == "/dev/console":
		return seawall.StdioTTY
	}
	return seawall.StdioFile
}

// uptime returns nanoseconds since boot, suspended ones included, from the file
// that has them in hundredths of a second.
func (f *FS) uptime() (uint64, error) {
	path := filepath.Join(f.root, "uptime")
	raw, err := readSome(path, 100)
	if err != nil {
		return 0, fmt.Errorf("reading the time since boot: %w", err)
	}
	whole, rest, _ := strings.Cut(string(raw), ".")
	hundredths, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(whole+hundredths, 10, 64)
	if err != nil || len(hundredths) != 2 {
		return 0, fmt.Errorf("reading the time since boot: %s has %q", path, raw)
	}
	return n * tick, nil
}
