package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// watchman notices what is done to the sensor and the agent that reads it. It prevents
// nothing: package probe's rule Signal does, where the kernel has security modules of
// ours. Processes are told by their PID in the node's namespace, which the agent must
// live in (hostPID).
type watchman struct {
	pid     uint32
	cgroup  string // the agent's own, below the hierarchy's root
	comm    *os.File
	name    []byte
	polled  uint64 // when events were last read
	checked uint64 // when pins and links were last looked at
	asked   uint64 // when the oldest heartbeat began that has not come
	before  guardAgent
	known   map[uint32]string // the sensor's maps by their numbers
	unpin   map[string]bool   // pins that were said to be gone
}

// Times in nanoseconds.
const (
	pausedAfter = 2_000_000_000
	silentAfter = 3_000_000_000
	checkEvery  = 10_000_000_000
)

// remember keeps what an earlier agent said of itself last.
func (g *watchman) remember(m *ebpf.Map) error {
	var a guardAgent
	if err := m.Lookup(uint32(0), &a); err != nil {
		return fmt.Errorf("reading which process the agent was: %w", err)
	}
	if a.Alive > g.before.Alive {
		g.before = a
	}
	return nil
}

// beginGuard says which process the agent is, and how the one before it ended.
func (p *Probe) beginGuard() error {
	g := &p.watchman
	g.pid = uint32(os.Getpid()) //nolint:gosec // a PID has 22 bits
	g.unpin = map[string]bool{}
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(text)) {
			if path, ok := strings.CutPrefix(line, "0::"); ok {
				g.cgroup = strings.TrimSpace(path)
			}
		}
	}
	if p.hooks["process"] != nil && !slices.Contains(p.options.Off, seawall.EventComm) {
		if name, err := os.ReadFile("/proc/self/comm"); err == nil {
			g.name = []byte(strings.TrimSuffix(string(name), "\n"))
			g.comm, _ = os.OpenFile("/proc/self/comm", os.O_WRONLY, 0) // without it there are no heartbeats
		}
	}
	m := p.maps["guarded"]
	if m == nil {
		return nil // neither of the hooks that ask for it is used
	}
	if err := g.remember(m); err != nil {
		return err
	}
	now := bootTime()
	if b := g.before; b.Pid != 0 && b.Pid != g.pid {
		p.say(p.tamper(now, "death", fmt.Sprintf("the agent before this one ended without a word; nothing was read for at most %s", time.Duration(now-b.Alive).Round(time.Millisecond)), //nolint:gosec // time since boot
			now-b.Alive, &seawall.Process{PID: b.Pid}))
	}
	return p.alive(now)
}

// alive says that events are read.
func (p *Probe) alive(now uint64) error {
	m := p.maps["guarded"]
	if m == nil {
		return nil
	}
	return m.Put(uint32(0), guardAgent{Alive: now, Pid: p.watchman.pid})
}

// tamper makes an event of what happened to the agent.
func (p *Probe) tamper(at uint64, what, words string, arg uint64, target *seawall.Process) *seawall.Event {
	if target == nil {
		target = &seawall.Process{PID: p.watchman.pid}
	}
	return &seawall.Event{Kind: seawall.EventTamper, Boot: at, Call: &seawall.Call{Name: what, Op: words, Args: [4]uint64{arg}, Target: target}}
}

// knowMaps notes the numbers of the sensor's maps.
func (p *Probe) knowMaps() {
	known := map[uint32]string{}
	note := func(name string, m *ebpf.Map) {
		if info, err := m.Info(); err == nil {
			if id, ok := info.ID(); ok {
				known[uint32(id)] = name
			}
		}
	}
	for name, m := range p.maps {
		note(name, m)
	}
	for _, a := range p.attachedHooks() {
		for name, m := range a.coll.Maps {
			if p.own(name) {
				note(name, m)
			}
		}
	}
	p.watchman.known = known
}

// endGuard says that the agent ends in order.
func (p *Probe) endGuard() error {
	var errs []error
	if p.watchman.comm != nil {
		errs = append(errs, p.watchman.comm.Close())
		p.watchman.comm = nil
	}
	if m := p.maps["guarded"]; m != nil && p.watchman.pid != 0 {
		errs = append(errs, m.Put(uint32(0), guardAgent{Alive: bootTime()}))
		p.watchman.pid = 0
	}
	return errors.Join(errs...)
}

func decodeGuard(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[guardGuardEvent](raw)
	if err != nil {
		return err
	}
	if r.What == 2 {
		ev.Call = &seawall.Call{Name: "freeze", Op: string(r.Path[:min(int(r.Len), len(r.Path))])}
		return nil
	}
	ev.Call = &seawall.Call{
		Name: "signal", Op: unix.SignalName(unix.Signal(r.Signal)), Args: [4]uint64{uint64(r.Signal), uint64(r.Code)}, //nolint:gosec // a small number; a code may be negative, and stays what it is
		Target: &seawall.Process{PID: r.Target},
	}
	return nil
}

// notice looks at an event for what it means to the agent. It returns false for one
// that is to be dropped, and says what else is to be told.
func (p *Probe) notice(ev *seawall.Event) bool {
	g := &p.watchman
	switch ev.Kind { //nolint:exhaustive // all others mean nothing to the agent
	case seawall.EventComm:
		if ev.Process.PID == g.pid && g.comm != nil && ev.Process.Comm == string(g.name) {
			ev.Kind = seawall.EventHeartbeat
			g.asked = 0
		}
	case seawall.EventTamper:
		if ev.Call.Name == "freeze" {
			return holds(ev.Call.Op, g.cgroup)
		}
	case seawall.EventCall:
		c := ev.Call
		switch {
		case ev.Process.PID == g.pid, c.Name == "prlimit64" && c.Args[2] == 0: // no new limit is set
		case c.Target != nil && c.Target.PID == g.pid && !strings.Contains(c.Name, "kill") && !strings.Contains(c.Name, "sigqueue"):
			p.tell(ev, c.Name, c.Op) // signals are seen where they arrive
		case c.Name == "bpf" && changesMap(c.Op) && g.known[uint32(c.Args[3])] != "": //nolint:gosec // numbers of maps have 32 bits
			p.tell(ev, "bpf", c.Op+" "+g.known[uint32(c.Args[3])]) //nolint:gosec // likewise
		}
	case seawall.EventUnlink, seawall.EventRename:
		if p.options.Pins != "" && ev.Process.PID != g.pid && ev.File != nil && ev.File.Result == 0 && holds(p.options.Pins, ev.File.Path) {
			p.tell(ev, "unpin", ev.File.Path)
		}
	case seawall.EventMount:
		if p.options.Pins != "" && ev.Process.PID != g.pid && ev.File != nil && ev.File.Result == 0 && ev.File.Path != "/" && holds(ev.File.Path, p.options.Pins) {
			p.tell(ev, "mount", ev.File.Path)
		}
	case seawall.EventWrite:
		if ev.Process.PID != g.pid && ev.File != nil && ev.File.Path == fmt.Sprintf("/proc/%d/mem", g.pid) {
			p.tell(ev, "memory", ev.File.Path)
		}
	}
	return true
}

// holds says whether a path is another or lies above it.
func holds(above, path string) bool {
	return above == path || above == "/" || strings.HasPrefix(path, above+"/")
}

func changesMap(op string) bool {
	switch op {
	case "BPF_MAP_UPDATE_ELEM", "BPF_MAP_DELETE_ELEM", "BPF_MAP_LOOKUP_AND_DELETE_ELEM", "BPF_MAP_FREEZE":
		return true
	}
	return false
}

// tell reports what an event means beside what it is.
func (p *Probe) tell(of *seawall.Event, what, words string) {
	ev := p.tamper(of.Boot, what, words, 0, nil)
	ev.Time, ev.Process, ev.File = of.Time, of.Process, of.File
	if of.Call != nil {
		ev.Call.Args, ev.Call.Result = of.Call.Args, of.Call.Result
	}
	p.say(ev)
}

// say hands out an event that the sensor itself made.
func (p *Probe) say(ev *seawall.Event) {
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	p.held = append(p.held, held{ev: ev})
}

// late says so when events were not read for a while: the agent was stopped, frozen
// or starved.
func (p *Probe) late(now uint64) {
	if last := p.watchman.polled; last != 0 && now-last > pausedAfter {
		p.say(p.tamper(now, "pause", "nothing was read for "+time.Duration(now-last).Round(time.Millisecond).String(), now-last, nil)) //nolint:gosec // time since boot
		p.watchman.asked = 0
	}
	p.watchman.polled = now
}

// beat has the kernel report something that the agent does, and misses it where it
// does not come.
func (p *Probe) beat(now uint64) {
	g := &p.watchman
	if g.comm == nil {
		return
	}
	if g.asked != 0 && now-g.asked > silentAfter {
		p.say(p.tamper(now, "silence", "the kernel does not report any more what the agent does", now-g.asked, nil))
		g.asked = now
	}
	if _, err := g.comm.Write(g.name); err == nil && g.asked == 0 {
		g.asked = now
	}
}

// check looks after pins and links, and puts back what was taken away.
func (p *Probe) check(now uint64) error {
	if now-p.watchman.checked < checkEvery {
		return nil
	}
	p.watchman.checked = now
	var errs []error
	for _, a := range p.attachedHooks() {
		for _, l := range a.links {
			if info, err := l.Info(); err == nil && info.Cgroup() != nil && info.Cgroup().CgroupId == 0 {
				p.say(p.tamper(now, "detach", a.name, 0, nil))
				errs = append(errs, p.Detach(a.name), p.Attach(a.name))
				break
			}
		}
		if a.pins == "" {
			continue
		}
		pins, err := a.missing()
		errs = append(errs, err)
		for _, pin := range pins {
			if !p.watchman.unpin[pin] {
				p.say(p.tamper(now, "unpin", pin, 0, nil))
			}
			p.watchman.unpin[pin] = true
		}
		if len(pins) > 0 {
			if err := p.repin(a); err != nil {
				errs = append(errs, fmt.Errorf("pinning %s again: %w", a.name, err))
			} else {
				for _, pin := range pins {
					delete(p.watchman.unpin, pin)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// missing are the pins of a hook that somebody removed.
func (a *attached) missing() (out []string, err error) {
	for _, name := range a.lasting {
		for _, kind := range []string{"link_", "prog_"} {
			pin := filepath.Join(a.pins, kind+name)
			if _, err := os.Lstat(pin); errors.Is(err, fs.ErrNotExist) { //nolint:gosec // the directory is the operator's to choose
				out = append(out, pin)
			} else if err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// repin puts the pins of a hook back.
func (p *Probe) repin(a *attached) error {
	for _, l := range a.links {
		if err := l.Unpin(); err != nil {
			return err
		}
	}
	for _, prog := range a.coll.Programs {
		if err := prog.Unpin(); err != nil {
			return err
		}
	}
	for _, m := range a.coll.Maps {
		if err := m.Unpin(); err != nil {
			return err
		}
	}
	return p.pin(a)
}
