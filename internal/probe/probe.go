package probe

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// Options choose how the sensor works. The zero value sees everything.
type Options struct {
	// Off are kinds of events that are not reported from any cgroup that [Probe.Watch]
	// says nothing of.
	Off []seawall.EventKind
	// RingBytes changes the size of rings: bytes, a power of two and at least a page.
	RingBytes [ringCount]uint32
	// Batch is how many records of each ring one Poll reads at most; 0 is 8,192.
	Batch int
	// Hooks names the hooks to use; empty takes all.
	Hooks []string
	// Pins is a directory of a bpf file system for what is to outlive the sensor: who
	// is cut off, and programs and rings themselves, so that the next sensor reads on where
	// this one ended, however it did. It is one sensor's at a time. Empty keeps nothing.
	Pins string
	// CgroupRoot is where the default cgroup hierarchy is mounted; empty looks it up.
	CgroupRoot string
	// NodeMounts is the number of the mount namespace that the container runtime works
	// in, where that is not the one of the machine's first process, as where a
	// node is a container itself. Zero is the machine's.
	NodeMounts uint32
}

// Missing is something that the sensor does not see.
type Missing struct {
	Hook   string `json:"hook"`
	Sees   string `json:"sees"` // in words
	Reason string `json:"reason"`
}

// Coverage says what the sensor sees, and what not.
type Coverage struct {
	Kernel  string    `json:"kernel"`
	Hooks   []string  `json:"hooks"`
	Missing []Missing `json:"missing,omitempty"`
}

// Probe is the sensor at work. Poll is for one goroutine at a time; all else may be
// called from any.
type Probe struct {
	options  Options
	maps     map[string]*ebpf.Map
	mu       sync.Mutex // of hooks
	changes  sync.Mutex // one hook at a time is attached or detached
	hooks    map[string]*attached
	rings    [ringCount]*ring
	missing  []Missing
	held     []held // read, and not handed out yet
	decode   decoder
	names    names
	gates    gatekeeper
	root     atomic.Pointer[string] // of the cgroups, once it is known
	enforce  enforcer
	ledger   reader
	losses   losses
	watchman watchman
	// lock keeps others from the pins; home is this version's part of them.
	lock *os.File
	home string
	// adopted are rings that an earlier sensor wrote to.
	adopted bool
	elders  []*elder
	seam    uint64           // when another version was followed, ns since boot; 0 where none was
	atSeam  []*seawall.Event // what the other version saw just before
	// throttled is what was said of each cgroup that was throttled, swept when.
	throttled map[budgetKey]uint64
	swept     uint64
}

// held is an event on its way, and the record that it is of.
type held struct {
	ev     *seawall.Event
	ring   *ring // nil where the record is done with
	number uint64
	own    bool // of a ring that this version writes to
}

// Open loads the programs and attaches them. Only where not even processes can be
// seen does it fail; what else is refused is in [Probe.Coverage].
func Open(o Options) (_ *Probe, err error) {
	p := &Probe{options: o, maps: map[string]*ebpf.Map{}, hooks: map[string]*attached{}, throttled: map[budgetKey]uint64{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	p.decode.init()
	if o.Pins != "" {
		if err := p.preparePins(); err != nil {
			if errors.Is(err, errTaken) {
				return nil, err
			}
			p.missing = append(p.missing, Missing{Hook: "pins", Sees: "what happens while no agent runs", Reason: err.Error()})
		}
	}
	for _, h := range hooks() {
		if h.learning || len(o.Hooks) > 0 && !slices.Contains(o.Hooks, h.name) {
			continue
		}
		if err := p.Attach(h.name); err != nil {
			if h.name == "process" {
				return nil, fmt.Errorf("watching processes: %w", explain(err))
			}
			p.missing = append(p.missing, Missing{Hook: h.name, Sees: h.sees, Reason: explain(err).Error()})
		}
		// The first hooks see much while the last are still being loaded.
		if _, err := p.collect(bootTime()); err != nil {
			return nil, err
		}
	}
	if err := p.prepareEnforce(); err != nil {
		p.missing = append(p.missing, Missing{Hook: "enforce", Sees: "policies: nothing is prevented", Reason: explain(err).Error()})
	}
	if err := p.beginLosses(); err != nil {
		return nil, err
	}
	if p.home != "" {
		if err := p.succeed(); err != nil {
			p.missing = append(p.missing, Missing{Hook: "pins", Sees: "all that another version of the sensor saw last", Reason: err.Error()})
		}
	}
	if err := p.beginGuard(); err != nil {
		return nil, err
	}
	p.knowMaps()
	return p, p.setDefault(o.Off)
}

// hook returns a hook that is at work, nil for others.
func (p *Probe) hook(name string) *attached {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hooks[name]
}

// attachedHooks returns all that are at work, by name.
func (p *Probe) attachedHooks() []*attached {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*attached, 0, len(p.hooks))
	for _, name := range sortedKeys(p.hooks) {
		out = append(out, p.hooks[name])
	}
	return out
}

// Attach starts a hook that is not at work yet, such as those for learning.
func (p *Probe) Attach(name string) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	if p.hook(name) != nil {
		return nil
	}
	i := slices.IndexFunc(hooks(), func(h hook) bool { return h.name == name })
	if i < 0 {
		return fmt.Errorf("no hook is named %s", name)
	}
	h := hooks()[i]
	a, err := p.start(h)
	if err != nil {
		return err
	}
	for _, r := range h.rings {
		if p.rings[r] != nil {
			continue
		}
		if p.rings[r], err = newRing(p, r); err != nil {
			return errors.Join(err, a.end())
		}
	}
	p.mu.Lock()
	p.hooks[name] = a
	p.mu.Unlock()
	if name == "cut-link" && p.options.Pins != "" {
		return p.adoptLinks()
	}
	return nil
}

// Detach ends a hook. What it reported before is still delivered.
func (p *Probe) Detach(name string) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	a := p.hook(name)
	if a == nil {
		return nil
	}
	p.mu.Lock()
	delete(p.hooks, name)
	p.mu.Unlock()
	return a.end()
}

// explain says what to do about an error of the kernel.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier):
		return fmt.Errorf("the kernel does not accept the program: %w", err)
	case errors.Is(err, ebpf.ErrMapIncompatible):
		return fmt.Errorf("%w: another version pinned it; release what that version cut off, then remove its pins", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and a kernel that is not locked down for it", err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: it takes Linux 5.15 with BTF", err)
	}
	return err
}

// Coverage says what is seen and what is not.
func (p *Probe) Coverage() Coverage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Coverage{Kernel: kernelRelease(), Hooks: sortedKeys(p.hooks), Missing: slices.Clone(p.missing)}
}

// Poll hands out the events that have come since the last call, oldest first over
// all rings. It never waits. An event that is handed out is the caller's.
//
// Rings are read one after the other, so one may hold events that are younger than
// what another was asked for: what happened after Poll began is kept for the next,
// and so is what is younger than an event that is still being written.
//
// A record leaves its ring once f has returned from its event: a sensor with pins that is killed
// leaves what it had not handed out to the next, which gets the event at hand again.
func (p *Probe) Poll(f func(*seawall.Event)) error {
	began := bootTime()
	wall := time.Now()
	p.late(began)
	horizon, err := p.collect(began)
	errs := []error{err}
	for _, ev := range p.enforce.tell() {
		if !p.enforce.hear(ev) {
			p.held = append(p.held, held{ev: ev})
		}
	}
	errs = append(errs, p.everySecond(began))
	slices.SortStableFunc(p.held, func(a, b held) int { return cmp.Compare(a.ev.Boot, b.ev.Boot) })
	n, _ := slices.BinarySearchFunc(p.held, horizon+1, func(h held, t uint64) int { return cmp.Compare(h.ev.Boot, t) })
	ready := slices.Clone(p.held[:n])
	p.held = slices.Delete(p.held, 0, n)
	for _, h := range ready {
		if h.ev.Time.IsZero() {
			h.ev.Time = wall.Add(-time.Duration(int64(began) - int64(h.ev.Boot))) //nolint:gosec // nanoseconds since boot stay below 2^63 for 292 years
		}
		if (!h.own || !p.twice(h.ev)) && p.notice(h.ev) {
			p.names.see(h.ev)
			f(h.ev)
		}
		if h.ring != nil {
			h.ring.done(h.number)
		}
	}
	return errors.Join(errs...)
}

// collect reads what lies in the rings, and returns the time up to which that is all.
func (p *Probe) collect(began uint64) (horizon uint64, err error) {
	horizon = began
	batch := cmp.Or(p.options.Batch, 8192)
	errs := []error{p.drainElders()}
	for i, r := range p.rings {
		if r == nil {
			continue
		}
		// Room comes first where it is short.
		crowded, last := r.crowded(), r.clear
		how := r.drain(batch, func(raw []byte, number uint64) {
			ev, err := p.decode.event(raw)
			if err != nil {
				errs = append(errs, err)
				r.done(number)
				return
			}
			h, _ := as[header](raw) // it was decoded just now
			last = max(last, ev.Boot)
			p.ledger.read(ev, Ring(i), h.Cpu, p.adopted) //nolint:gosec // there are few rings
			if p.enforce.hear(ev) {
				r.done(number)
				return
			}
			one := held{ev, r, number, true}
			if crowded {
				r.done(number)
				one.ring = nil
			}
			p.held = append(p.held, one)
		})
		switch how {
		case atEnd:
			r.clear = began
		case atLimit:
			r.clear = last
		case atBusy: // what lies behind may be as old as the last time that all was read
		}
		horizon = min(horizon, r.clear)
	}
	return horizon, errors.Join(errs...)
}

// everySecond says what the sensor has to say of itself.
func (p *Probe) everySecond(now uint64) error {
	if now-p.swept < sweepEvery {
		return nil
	}
	p.swept = now
	p.beat(now)
	return errors.Join(p.alive(now), p.setDefault(p.options.Off), p.sweep(now), p.tellLosses(p.maps["losses"], now), p.check(now), p.forgetElders())
}

// Close detaches everything, and events that were not polled are gone; where
// [Options].Pins is set all goes on, and waits for the next sensor.
func (p *Probe) Close() error {
	errs := []error{p.closeEnforce(), p.closeLinks(), p.endGuard()}
	for _, a := range p.attachedHooks() {
		errs = append(errs, a.close())
	}
	for _, e := range p.elders {
		errs = append(errs, e.close())
	}
	for _, r := range p.rings {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	for _, m := range p.maps {
		errs = append(errs, m.Close())
	}
	if p.lock != nil {
		errs = append(errs, p.lock.Close())
		p.lock = nil
	}
	return errors.Join(errs...)
}

// Watch says which kinds a cgroup reports: all but those in off. See also
// [Probe.Unwatch].
func (p *Probe) Watch(cgroup uint64, off []seawall.EventKind, flags Interest) error {
	return p.maps["interests"].Put(cgroup, processInterest{Off: kindBits(off), Flags: uint32(flags)})
}

// Unwatch lets a cgroup report what all do.
func (p *Probe) Unwatch(cgroup uint64) error {
	err := p.maps["interests"].Delete(cgroup)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

// Interest marks a cgroup for the programs.
type Interest uint32

// The marks, as in bpf/event.h.
const (
	OfContainer Interest = 1 << iota // it is a container's
	OfAgent                          // it is the agent's own
	Learning                         // its system calls and capabilities are recorded
)

func (p *Probe) setDefault(off []seawall.EventKind) error {
	return p.maps["interest_default"].Put(uint32(0), processInterest{Off: kindBits(off)})
}

func kindBits(kinds []seawall.EventKind) uint64 {
	var bits uint64
	for _, k := range kinds {
		bits |= 1 << k
	}
	return bits
}

func bootTime() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano()) //nolint:gosec // time since boot is not negative
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
