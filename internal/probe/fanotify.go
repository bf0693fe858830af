package probe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// guard answers the kernel when it asks whether a file may be run (fanotify,
// FAN_OPEN_EXEC_PERM). It completes the signal tier: scripts are refused as well, and
// programs with an error instead of a signal. What is run from memory or from another
// file system, and what the loader opens, it is not asked about.
type guard struct {
	group  *os.File // of fanotify
	done   chan struct{}
	origin *ebpf.Program
	mu     sync.Mutex
	told   []*seawall.Event // not handed out yet
}

// What a guard's verdicts say.
const fanotifyTier = "fanotify"

// Guard has the kernel ask before a file of a process's root file system is run, in
// whatever mount namespace. It serves the signal tier: where the others work there is
// nothing to ask. Each file that is run costs some 150 us, and waits while the
// agent is stopped; with the agent's end the questions end. The mark goes with the
// file system. The agent itself must never run a file of it: a Go process that
// waits for its own exec may be unable to answer. It must be in the node's cgroup
// namespace, since policies are found by the paths in /proc.
func (p *Probe) Guard(pid uint32) error {
	e := &p.enforce
	e.mu.Lock()
	tier := e.standing.Tier
	e.mu.Unlock()
	if tier != SignalTier {
		return fmt.Errorf("guards belong to the tier %s: this node has %q", SignalTier, tier)
	}
	return p.guardRoot(fmt.Sprintf("/proc/%d/root", pid))
}

func (p *Probe) guardRoot(root string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return fmt.Errorf("looking at the file system of %s: %w", root, err)
	}
	if st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Errorf("%s is on no overlay: what is of the image cannot be told", root)
	}
	g, err := p.guard()
	if err != nil {
		return err
	}
	if err := unix.FanotifyMark(int(g.group.Fd()), unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, root); err != nil {
		return fmt.Errorf("guarding the file system of %s: %w", root, err)
	}
	return nil
}

// guard returns the one that is there, or starts it.
func (p *Probe) guard() (*guard, error) {
	e := &p.enforce
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.guard != nil {
		return e.guard, nil
	}
	spec, err := e.spec(SignalTier)
	if err != nil {
		return nil, err
	}
	only := &ebpf.CollectionSpec{
		Maps: spec.Maps, Types: spec.Types, ByteOrder: spec.ByteOrder, Variables: spec.Variables,
		Programs: map[string]*ebpf.ProgramSpec{"origin_of_descriptor": spec.Programs["origin_of_descriptor"]},
	}
	if err := only.Variables["overlay_lower"].Set(overlayLower()); err != nil {
		return nil, err
	}
	shared, err := p.shared(only, enforceMaps)
	if err != nil {
		return nil, err
	}
	coll, err := ebpf.NewCollectionWithOptions(only, ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return nil, fmt.Errorf("loading the program that tells where a file is from: %w", explain(err))
	}
	prog := coll.DetachProgram("origin_of_descriptor")
	coll.Close()
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("asking to be asked (fanotify): %w", err), prog.Close())
	}
	g := &guard{group: os.NewFile(uintptr(fd), "fanotify"), done: make(chan struct{}), origin: prog}
	e.guard = g
	go g.serve(p)
	return g, nil
}

// serve answers until the group is closed.
func (g *guard) serve(p *Probe) {
	defer close(g.done)
	var buf [64 * unsafe.Sizeof(unix.FanotifyEventMetadata{})]byte
	for {
		n, err := g.group.Read(buf[:])
		if err != nil {
			return // closed; the kernel allows what waits
		}
		for rest := buf[:n]; len(rest) >= int(unsafe.Sizeof(unix.FanotifyEventMetadata{})); {
			m := (*unix.FanotifyEventMetadata)(unsafe.Pointer(unsafe.SliceData(rest))) // the kernel aligns them
			if m.Event_len < uint32(unsafe.Sizeof(*m)) || int(m.Event_len) > len(rest) {
				break
			}
			if m.Fd >= 0 {
				g.answer(p, m)
			}
			rest = rest[m.Event_len:]
		}
	}
}

func (g *guard) answer(p *Probe, m *unix.FanotifyEventMetadata) {
	defer unix.Close(int(m.Fd)) //nolint:errcheck // nothing was written
	response := unix.FanotifyResponse{Fd: m.Fd, Response: unix.FAN_ALLOW}
	verdict := g.judge(p, m)
	if verdict != nil {
		if verdict.Verdict.Action == "denied" {
			response.Response = unix.FAN_DENY
		}
		g.mu.Lock()
		if len(g.told) < maxTold {
			g.told = append(g.told, verdict)
		} else {
			g.told[len(g.told)-1].Count = max(1, g.told[len(g.told)-1].Count) + 1
		}
		g.mu.Unlock()
	}
	// A write fails only where the question is withdrawn: the asking process is dead.
	_, _ = g.group.Write(unsafe.Slice((*byte)(unsafe.Pointer(&response)), unsafe.Sizeof(response)))
}

// maxTold bounds the verdicts that wait for the next Poll; those beyond are counted
// with the last.
const maxTold = 1024

// judge says what the nearest policy above a process says of a file; nil lets it go on
// unmentioned. Where the file is from is not known the signal tier still sees what is run.
func (g *guard) judge(p *Probe, m *unix.FanotifyEventMetadata) *seawall.Event {
	args := [1]uint64{uint64(m.Fd)} //nolint:gosec // tested not to be negative
	from, err := g.origin.Run(&ebpf.RunOptions{Context: args})
	if err != nil {
		return nil
	}
	// ORIGIN_* of bpf/enforce.h.
	rule, known := map[uint32]Rule{1: ModifiedExec, 2: ForeignExec, 3: VolumeExec}[from]
	if !known {
		return nil // of the image
	}
	pid := uint32(m.Pid) //nolint:gosec // a process
	cgroup, policy, found := p.policyOf(pid)
	if !found {
		return nil
	}
	var action string
	switch {
	case policy.Deny>>rule&1 != 0:
		action = "denied"
	case policy.Audit>>rule&1 != 0:
		action = "audited"
	default:
		return nil
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", m.Fd))
	if err != nil {
		path = ""
	}
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // it may be gone
	return &seawall.Event{
		Kind: seawall.EventVerdict, Boot: bootTime(),
		Process: &seawall.Process{PID: pid, Start: startOf(pid), Comm: strings.TrimSpace(string(comm)), Cgroup: cgroup},
		File:    &seawall.File{Path: path},
		Verdict: &seawall.Verdict{Rule: rule.String(), Tier: fanotifyTier, Action: action, Target: path},
	}
}

// policyOf finds the nearest policy above a process, and the process's own cgroup.
func (p *Probe) policyOf(pid uint32) (cgroup uint64, policy enforceSignalPolicy, found bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return 0, policy, false
	}
	root, err := p.cgroupRoot()
	if err != nil {
		return 0, policy, false
	}
	for line := range strings.Lines(string(text)) {
		path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !ok {
			continue
		}
		for ; path != "/" && path != "."; path = filepath.Dir(path) {
			var st unix.Stat_t
			if unix.Stat(filepath.Join(root, path), &st) != nil {
				continue
			}
			if cgroup == 0 {
				cgroup = st.Ino
			}
			if p.maps["policies"].Lookup(st.Ino, &policy) == nil {
				return cgroup, policy, true
			}
		}
	}
	return cgroup, policy, false
}

// startOf returns when a process started, in nanoseconds since boot as far as /proc says: in
// hundredths of a second. 0 is unknown.
func startOf(pid uint32) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	i := bytes.LastIndexByte(text, ')') // the name before it may hold anything
	if i < 0 {
		return 0
	}
	const startField = 19 // counted behind the name
	fields := strings.Fields(string(text[i+1:]))
	if len(fields) <= startField {
		return 0
	}
	ticks, err := strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return 0
	}
	return ticks * 10_000_000
}

// tell hands out the verdicts that have come since the last call.
func (e *enforcer) tell() []*seawall.Event {
	e.mu.Lock()
	g := e.guard
	e.mu.Unlock()
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	told := g.told
	g.told = nil
	return told
}

func (g *guard) close() error {
	if g == nil {
		return nil
	}
	err := g.group.Close()
	<-g.done
	return errors.Join(err, g.origin.Close())
}
