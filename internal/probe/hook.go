package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// A hook is one collection of programs: what it needs, and what is lost without it.
type hook struct {
	name string
	// sees says in words what only this hook reports.
	sees string
	load func() (*ebpf.CollectionSpec, error)
	// rings are the rings that its programs write to.
	rings []Ring
	// rodata sets the variables of the programs before they are loaded.
	rodata map[string]any
	// programs picks those that fit the running kernel, where a collection holds
	// variants of one program; nil takes all.
	programs func(*ebpf.CollectionSpec) []string
	// attach links one program; nil attaches as the section says.
	attach func(name string, p *ebpf.Program) ([]link.Link, error)
	// adapt changes what is loaded to what is at work already.
	adapt func(*Probe, *ebpf.CollectionSpec) error
	// prepare fills the maps before anything is attached.
	prepare func(*ebpf.Collection) error
	// learning hooks are attached only while something learns.
	learning bool
	// pinned names the maps that outlive the sensor, where [Options].Pins says where;
	// the links of such a hook do as well.
	pinned []string
}

// hooks returns what the sensor is made of.
func hooks() []hook {
	return append([]hook{
		{
			name: "process", sees: "programs that are run, processes that fork and end", load: loadProcess, rings: []Ring{RingExec, RingLife},
			rodata: map[string]any{"overlay_lower": overlayLower()},
		},
		{name: "cgroup", sees: "containers that start and end", load: loadCgroup, rings: []Ring{RingNode}},
		{name: "guard", sees: "signals to the agent, and its control group frozen", load: loadGuard, rings: []Ring{RingNode}},
		{name: "net", sees: "connections, listeners, and what is sent to whom", load: loadNet, rings: []Ring{RingNet}},
		{name: "net-unix", sees: "connections to unix sockets (Linux 6.7)", load: loadNetUnix, rings: []Ring{RingNet}},
		{name: "dns", sees: "names that are asked for, TLS server names, what a connection begins with", load: loadDns, rings: []Ring{RingNet, RingDNS}},
		{
			name: "cut", sees: "isolation of containers, and rules on whom they may reach", load: loadCut, rings: []Ring{RingNet},
			pinned: []string{"gates", "gate_levels", "gate_drops", "peers"},
		},
		{name: "cut-unix", sees: "isolation from unix sockets (Linux 6.7)", load: loadCutUnix, pinned: []string{"gates", "gate_levels"}},
		{name: "cut-link", sees: "isolation from packets that are sent past the sockets (Linux 6.6)", load: loadCutLink, pinned: []string{"link_cuts"}},
	}, actHooks()...)
}

// attached is a hook that is at work.
type attached struct {
	hook
	coll    *ebpf.Collection
	links   []link.Link
	lasting []string // the programs that links are of, in the same order
	// pins is where it is pinned, empty where it ends with the sensor.
	pins string
}

// start loads a hook with the maps that all share, and attaches its programs. What
// it made before an error is taken back.
func (p *Probe) start(h hook) (_ *attached, err error) {
	spec, err := h.load()
	if err != nil {
		return nil, fmt.Errorf("reading the programs of %s: %w", h.name, err)
	}
	if h.programs != nil {
		keep := h.programs(spec)
		for name := range spec.Programs {
			if !slices.Contains(keep, name) {
				delete(spec.Programs, name)
			}
		}
	}
	for name, value := range h.rodata {
		v, ok := spec.Variables[name]
		if !ok {
			return nil, fmt.Errorf("the programs of %s have no variable %s", h.name, name)
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("setting %s of %s: %w", name, h.name, err)
		}
	}
	if h.adapt != nil {
		if err := h.adapt(p, spec); err != nil {
			return nil, err
		}
	}
	if h.pinned != nil && p.options.Pins != "" {
		if err := p.preparePins(); err != nil {
			return nil, err
		}
	}
	shared, err := p.shared(spec, h.pinned)
	if err != nil {
		return nil, err
	}
	pins := p.pinsOf(h)
	if pins != "" {
		a, err := p.adopt(h, spec, pins)
		if err == nil {
			return a, nil
		}
		// What is left of it is no whole: it goes, and the hook begins anew.
		if err := os.RemoveAll(pins); err != nil { //nolint:gosec // the directory is the operator's to choose
			return nil, fmt.Errorf("removing what an earlier sensor left: %w", err)
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return nil, err
	}
	a := &attached{hook: h, coll: coll, pins: pins}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.end())
		}
	}()
	if h.prepare != nil {
		if err := h.prepare(coll); err != nil {
			return nil, err
		}
	}
	for _, name := range sortedKeys(coll.Programs) {
		if lasting(spec.Programs[name]) {
			a.lasting = append(a.lasting, name)
		}
		links, err := p.link(a, spec.Programs[name], coll.Programs[name])
		if err != nil {
			return nil, fmt.Errorf("attaching %s: %w", name, err)
		}
		a.links = append(a.links, links...)
	}
	// What is there already is looked at once what comes is seen: nothing falls between.
	for _, name := range sortedKeys(coll.Programs) {
		if spec.Programs[name].AttachType != ebpf.AttachTraceIter {
			continue
		}
		if err := iterate(coll.Programs[name]); err != nil {
			return nil, fmt.Errorf("running %s: %w", name, err)
		}
	}
	if pins != "" {
		if err := p.pin(a); err != nil {
			return nil, fmt.Errorf("pinning the programs of %s: %w", h.name, err)
		}
	}
	return a, nil
}

// link attaches one program as its section says. Those of interfaces wait for
// [Probe.WatchLink].
func (p *Probe) link(a *attached, spec *ebpf.ProgramSpec, prog *ebpf.Program) ([]link.Link, error) {
	if a.attach != nil {
		return a.attach(spec.Name, prog)
	}
	var l link.Link
	var err error
	switch spec.Type {
	case ebpf.CGroupSKB, ebpf.CGroupSock, ebpf.CGroupSockAddr:
		l, err = p.linkCgroup(a, spec, prog)
	case ebpf.SchedCLS:
		return nil, nil
	case ebpf.Tracing:
		if spec.AttachType == ebpf.AttachTraceIter {
			return nil, nil // start runs it
		}
		l, err = link.AttachTracing(link.TracingOptions{Program: prog})
	default:
		l, err = link.AttachTracing(link.TracingOptions{Program: prog})
	}
	if err != nil {
		return nil, err
	}
	return []link.Link{l}, nil
}

// iterate runs a program over all that it iterates, once.
func iterate(prog *ebpf.Program) error {
	it, err := link.AttachIter(link.IterOptions{Program: prog})
	if err != nil {
		return err
	}
	r, err := it.Open()
	if err != nil {
		return errors.Join(err, it.Close())
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close(), it.Close())
}

func (a *attached) close() error {
	var errs []error
	for _, l := range a.links {
		errs = append(errs, l.Close())
	}
	a.links = nil
	a.coll.Close()
	return errors.Join(errs...)
}

// end closes a hook that is not to outlive the sensor after all.
func (a *attached) end() error {
	err := a.close()
	if a.pins != "" {
		err = errors.Join(err, os.RemoveAll(a.pins)) //nolint:gosec // the directory is the operator's to choose
	}
	return err
}

// shared returns the maps that a collection has in common with others, made by the
// first that names them, and those that it finds pinned or pins.
func (p *Probe) shared(spec *ebpf.CollectionSpec, pinned []string) (map[string]*ebpf.Map, error) {
	out := map[string]*ebpf.Map{}
	for name, ms := range spec.Maps {
		var options ebpf.MapOptions
		switch {
		case ms.Type == ebpf.RingBuf:
			r, ok := ringByMap(name)
			if !ok {
				return nil, fmt.Errorf("no ring is named %s", name)
			}
			ms.MaxEntries = p.ringSize(r)
			p.keep(ms, &options)
		case slices.Contains(pinned, name):
			if p.options.Pins != "" {
				ms.Pinning, options.PinPath = ebpf.PinByName, p.options.Pins
			}
		case slices.Contains(sharedMaps, name):
			p.keep(ms, &options)
		default:
			continue
		}
		m := p.maps[name]
		if m == nil {
			made, err := ebpf.NewMapWithOptions(ms, options)
			if err != nil {
				return nil, fmt.Errorf("making the map %s: %w", name, err)
			}
			p.maps[name], m = made, made
		}
		out[name] = m
	}
	return out, nil
}

// keep lets a map that hooks share outlive the sensor, where that is wanted.
func (p *Probe) keep(ms *ebpf.MapSpec, o *ebpf.MapOptions) {
	if p.home != "" {
		ms.Pinning, o.PinPath = ebpf.PinByName, filepath.Join(p.home, sharedPins)
	}
}

// sharedMaps are those of bpf/event.h, agent.h, net.h, fold.h, seen.h and creds.h.
var sharedMaps = []string{
	"guarded", "counters", "sequences", "losses", "interests", "interest_default", "owners", "budgets", "tasks_seen", "homes", "file_folds", "watched",
}
