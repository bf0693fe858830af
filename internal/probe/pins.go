package probe

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// Where [Options].Pins is set, programs, maps and rings outlive the sensor: they go on
// while nobody reads, and the next sensor of the same version takes over what it
// finds, within milliseconds. A sensor of another version attaches its own first, and
// then reads what is left of the old. All of a version lies in one directory below
// Pins, named sensor-LAYOUT-VERSION: versions with the same layout can read each other's
// records. What cuts pods off lies beside it, and belongs to no version.

const sensorPrefix = "sensor-"

// sharedPins is where the maps of a version lie that several hooks share; each hook
// has a directory of its own beside it.
const sharedPins = "maps"

// objects are the programs as they are built in.
func objects() [][]byte {
	return [][]byte{
		_CallsBytes, _CapabilityBytes, _CgroupBytes, _CredsBytes, _CutBytes, _CutLinkBytes, _CutUnixBytes, _DnsBytes, _EnforceArmBytes,
		_EnforceFmodBytes, _EnforceLSMBytes, _EnforceSignalBytes, _FileBytes, _FileOpenBytes, _GuardBytes, _NetBytes, _NetUnixBytes, _ProcessBytes,
		_SyscallsBytes, _TasksBytes, _UringBytes,
	}
}

// records are the types of what lies in the rings, and in the maps that an upgrade reads.
func records() []any {
	return []any{
		header{},
		processExec{},
		processFork{},
		processExit{},
		processComm{},
		cgroupCgroupEvent{},
		netEndpoints{},
		netSocketEvent{},
		netUnixUnixEvent{},
		dnsPacket{},
		cutVerdict{},
		fileFileEvent{},
		fileNameEvent{},
		fileNamesEvent{},
		callsCallEvent{},
		uringUringEvent{},
		credsCredsEvent{},
		credsNsEvent{},
		capabilityCapabilityEvent{},
		syscallsSyscallEvent{},
		enforceSignalEnforced{},
		guardGuardEvent{},
		guardAgent{},
		processLossKey{},
		processCounter{},
	}
}

// layout names how records look.
func layout() string {
	h := sha256.New()
	put(h, seawall.EventKinds(), ringNames)
	for _, r := range records() {
		describe(h, reflect.TypeOf(r))
	}
	return hex.EncodeToString(h.Sum(nil))[:8]
}

func put(h hash.Hash, values ...any) {
	_, _ = fmt.Fprint(h, values...) // a hash takes everything
}

func describe(h hash.Hash, t reflect.Type) {
	put(h, t.Kind(), t.Size())
	switch t.Kind() { //nolint:exhaustive // all others are described already
	case reflect.Array:
		describe(h, t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			put(h, f.Name, f.Offset)
			describe(h, f.Type)
		}
	}
}

// version names what a sensor is made of: its programs, what they are told, and the
// sizes of its rings.
func (p *Probe) version() string {
	h := sha256.New()
	for _, o := range objects() {
		_, _ = h.Write(o) // a hash takes everything
	}
	for _, one := range hooks() {
		put(h, one.name, one.rodata)
	}
	put(h, WatchedFiles())
	for r := range ringCount {
		put(h, p.ringSize(r), " ")
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// preparePins makes the directory for what outlives the sensor, and keeps others out of it.
func (p *Probe) preparePins() error {
	if p.lock != nil {
		return nil
	}
	dir := p.options.Pins
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the directory is the operator's to choose
		return fmt.Errorf("making the directory for pinned programs: %w", err)
	}
	lock, err := lockPins(dir)
	if err != nil {
		return err
	}
	p.lock = lock
	p.home = filepath.Join(dir, sensorPrefix+layout()+"-"+p.version())
	if _, err := os.Lstat(filepath.Join(p.home, sharedPins, "sequences")); err == nil { //nolint:gosec // the directory is the operator's to choose
		p.adopted = true
	}
	if err := os.MkdirAll(filepath.Join(p.home, sharedPins), 0o700); err != nil { //nolint:gosec // the directory is the operator's to choose
		return fmt.Errorf("making the directory for pinned programs: %w", err)
	}
	return nil
}

var errTaken = errors.New("another agent is at work with it: end that first, or name another directory")

// lockPins takes a directory of pins for as long as the file is open.
func lockPins(dir string) (*os.File, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("looking at %s: %w", dir, err)
	}
	if st.Type != unix.BPF_FS_MAGIC {
		return nil, fmt.Errorf("%s is on no bpf file system: mount one there (mount -t bpf bpf /sys/fs/bpf), or share the node's with the agent", dir)
	}
	f, err := os.Open(dir) //nolint:gosec // the directory is the operator's to choose
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errTaken
		}
		return nil, errors.Join(fmt.Errorf("taking %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// pinsOf is where a hook's programs are pinned, empty where it does not outlive the
// sensor.
func (p *Probe) pinsOf(h hook) string {
	if p.home == "" || h.learning || h.pinned != nil {
		return ""
	}
	return filepath.Join(p.home, h.name)
}

// own says whether a map is one collection's alone and worth keeping: constants are
// in the programs already.
func (p *Probe) own(name string) bool { return p.maps[name] == nil && !strings.HasPrefix(name, ".") }

// adopt takes over what an earlier sensor of this version left of a hook. It is
// [fs.ErrNotExist] where something is missing.
func (p *Probe) adopt(h hook, spec *ebpf.CollectionSpec, dir string) (_ *attached, err error) {
	a := &attached{hook: h, pins: dir, coll: &ebpf.Collection{Programs: map[string]*ebpf.Program{}, Maps: map[string]*ebpf.Map{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	for _, name := range sortedKeys(spec.Programs) {
		if !lasting(spec.Programs[name]) {
			continue
		}
		l, err := link.LoadPinnedLink(filepath.Join(dir, "link_"+name), nil)
		if err != nil {
			return nil, err
		}
		a.links, a.lasting = append(a.links, l), append(a.lasting, name)
		if a.coll.Programs[name], err = ebpf.LoadPinnedProgram(filepath.Join(dir, "prog_"+name), nil); err != nil {
			return nil, err
		}
	}
	for name := range spec.Maps {
		if p.own(name) {
			if a.coll.Maps[name], err = ebpf.LoadPinnedMap(filepath.Join(dir, "map_"+name), nil); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// lasting programs are attached for good, others run once or where they are told.
func lasting(s *ebpf.ProgramSpec) bool {
	return s.AttachType != ebpf.AttachTraceIter && s.Type != ebpf.SchedCLS
}

// pin lets a hook outlive the sensor.
func (p *Probe) pin(a *attached) error {
	if err := os.MkdirAll(a.pins, 0o700); err != nil { //nolint:gosec // the directory is the operator's to choose
		return err
	}
	for i, name := range a.lasting {
		if err := a.coll.Programs[name].Pin(filepath.Join(a.pins, "prog_"+name)); err != nil {
			return err
		}
		if err := a.links[i].Pin(filepath.Join(a.pins, "link_"+name)); err != nil {
			return err
		}
	}
	for name, m := range a.coll.Maps {
		if p.own(name) {
			if err := m.Pin(filepath.Join(a.pins, "map_"+name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// elder is what another version left: its rings are read to their end.
type elder struct {
	rings []*ring
	maps  []*ebpf.Map
}

func (e *elder) close() error {
	var errs []error
	for _, r := range e.rings {
		errs = append(errs, r.Close())
	}
	for _, m := range e.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// succeed ends what other versions left, now that this one sees everything, and what
// of its own is not asked for any more.
//
// For a moment both versions saw the same. What the old saw up to now is kept, and
// what the new saw up to now is dropped, so nothing is missing and nothing is twice;
// see [Probe.twice] for what was seen by one just before and by the other just after.
func (p *Probe) succeed() error {
	var errs []error
	entries, err := os.ReadDir(p.home)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != sharedPins && p.hook(e.Name()) == nil {
			errs = append(errs, os.RemoveAll(filepath.Join(p.home, e.Name())))
		}
	}
	old, err := filepath.Glob(filepath.Join(p.options.Pins, sensorPrefix+"*"))
	if err != nil {
		return err
	}
	seam := bootTime()
	for _, dir := range old {
		if dir == p.home {
			continue
		}
		if err := p.end(dir, seam); err != nil {
			errs = append(errs, fmt.Errorf("ending the sensor of another version, %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// end takes the rings of another version, detaches its programs, and removes its pins.
func (p *Probe) end(dir string, seam uint64) error {
	e := &elder{}
	var errs []error
	for r := range ringCount {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, sharedPins, "ring_"+r.String()), nil)
		if err != nil {
			errs = append(errs, ignoreAbsent(err))
			continue
		}
		e.maps = append(e.maps, m)
		in, err := mapRing(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		e.rings = append(e.rings, in)
	}
	links, err := filepath.Glob(filepath.Join(dir, "*", "link_*"))
	errs = append(errs, err)
	for _, pin := range links {
		l, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		// Unpinned first: with the last descriptor the program is detached at once, not later.
		errs = append(errs, l.Unpin(), l.Close())
	}
	if strings.HasPrefix(filepath.Base(dir), sensorPrefix+layout()+"-") {
		if p.seam == 0 && len(links) > 0 {
			p.seam = seam
		}
		if m, err := ebpf.LoadPinnedMap(filepath.Join(dir, sharedPins, "guarded"), nil); err == nil {
			errs = append(errs, p.watchman.remember(m), m.Close())
		}
		if m, err := ebpf.LoadPinnedMap(filepath.Join(dir, sharedPins, "losses"), nil); err == nil {
			errs = append(errs, p.tellLosses(m, seam), m.Close())
		}
		p.elders = append(p.elders, e)
		errs = append(errs, p.drainElders())
	} else {
		n := uint64(0)
		for _, r := range e.rings {
			r.drain(math.MaxInt, func([]byte, uint64) { n++ })
		}
		if n > 0 {
			p.say(&seawall.Event{
				Kind: seawall.EventLoss, Boot: seam, Count: n,
				Loss: &seawall.Loss{Class: "all", Count: n, Reason: "an agent of another version left events that this one cannot read"},
			})
		}
		errs = append(errs, e.close())
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// seamWidth is how far apart two programs may stamp the same act, in nanoseconds: the
// one that runs second may be interrupted in between.
const seamWidth = 2_000_000

// drainElders reads what other versions left.
func (p *Probe) drainElders() error {
	var errs []error
	for _, e := range p.elders {
		for _, r := range e.rings {
			r.drain(math.MaxInt, func(raw []byte, number uint64) {
				defer r.done(number)
				ev, err := p.decode.event(raw)
				if err != nil {
					errs = append(errs, err)
					return
				}
				if p.seam != 0 && ev.Boot > p.seam {
					return
				}
				if p.seam != 0 && ev.Boot+seamWidth > p.seam {
					p.atSeam = append(p.atSeam, ev)
				}
				if !p.enforce.hear(ev) {
					p.held = append(p.held, held{ev: ev})
				}
			})
		}
	}
	return errors.Join(errs...)
}

// forgetElders lets go of rings that nobody writes to any more: what ran when they were
// detached has long ended.
func (p *Probe) forgetElders() error {
	errs := []error{p.drainElders()}
	for _, e := range p.elders {
		errs = append(errs, e.close())
	}
	p.elders = nil
	return errors.Join(errs...)
}

// twice says whether an event was already seen by the programs of another version.
func (p *Probe) twice(ev *seawall.Event) bool {
	switch {
	case p.seam == 0 || ev.Boot > p.seam+seamWidth:
		return false
	case ev.Boot <= p.seam:
		return true
	}
	plain := func(ev *seawall.Event) seawall.Event {
		out := *ev
		out.Boot, out.Seq, out.Count, out.Time = 0, 0, 0, time.Time{}
		return out
	}
	this := plain(ev)
	i := slices.IndexFunc(p.atSeam, func(old *seawall.Event) bool { return reflect.DeepEqual(plain(old), this) })
	if i < 0 {
		return false
	}
	p.atSeam = slices.Delete(p.atSeam, i, i+1)
	return true
}

// Uninstall removes everything that sensors with this directory of pins left in the
// kernel, what cuts pods off included, and returns what that was. An agent that is at work is an error.
func Uninstall(pins string) (removed []string, err error) {
	if _, err := os.Stat(pins); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	lock, err := lockPins(pins)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, lock.Close()) }()
	err = filepath.WalkDir(pins, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			removed = append(removed, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return removed, os.RemoveAll(pins)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
