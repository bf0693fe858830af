package probe

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
)

// Cut is a cgroup that is cut off from every network.
type Cut struct {
	Cgroup uint64 `json:"cgroup"`
	// Packets were dropped since, in both directions.
	Packets uint64 `json:"packets"`
}

// maxGateLevel is the deepest level that a cgroup with a gate may have, as in
// bpf/cut.h.
const maxGateLevel = 31

// gatekeeper is one writer at a time of the maps that say what stands at a gate.
type gatekeeper struct {
	mu    sync.Mutex
	links map[int]*watchedLink
}

// gatesOf says why there is no isolation, where the kernel refused its programs.
func (p *Probe) gatesOf(hook string) error {
	if p.hook(hook) != nil {
		return nil
	}
	for _, m := range p.missing {
		if m.Hook == hook {
			return fmt.Errorf("this node cannot isolate: %s", m.Reason)
		}
	}
	return fmt.Errorf("the sensor was opened without the hook %s", hook)
}

// Cut cuts a cgroup and all below it off from every network, at once: connections
// that are open are as dead as new ones. Where [Options].Pins is set it stays so
// until [Probe.Release], whether a sensor runs or not.
//
// Sockets belong to the cgroup that their process was in when it made them: cut a
// container by its own cgroup, never by one that its processes were moved to. Packet
// sockets need [Probe.CutLink] besides.
func (p *Probe) Cut(cgroup uint64) error {
	if err := p.gatesOf("cut"); err != nil {
		return err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	if err := p.maps["gate_drops"].Update(cgroup, uint64(0), ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("counting for the cgroup %d: %w", cgroup, err)
	}
	return p.changeGate(cgroup, func(g *cutGate) { g.Cut = 1 })
}

// Release ends what Cut did. To release what is not cut is no error.
func (p *Probe) Release(cgroup uint64) error {
	if err := p.gatesOf("cut"); err != nil {
		return err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	if err := p.changeGate(cgroup, func(g *cutGate) { g.Cut = 0 }); err != nil {
		return err
	}
	return ignoreMissing(p.maps["gate_drops"].Delete(cgroup))
}

// Cuts lists what is cut, those that an earlier sensor left included.
func (p *Probe) Cuts() ([]Cut, error) {
	if err := p.gatesOf("cut"); err != nil {
		return nil, err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	var out []Cut
	var id uint64
	var g cutGate
	it := p.maps["gates"].Iterate()
	for it.Next(&id, &g) {
		if g.Cut == 0 {
			continue
		}
		c := Cut{Cgroup: id}
		if err := p.maps["gate_drops"].Lookup(id, &c.Packets); ignoreMissing(err) != nil {
			return nil, fmt.Errorf("counting for the cgroup %d: %w", id, err)
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Cut) int { return cmp.Compare(a.Cgroup, b.Cgroup) })
	return out, it.Err()
}

// changeGate changes what stands at the gate of a cgroup, in one write. A gate at
// which nothing stands any more is taken away.
func (p *Probe) changeGate(cgroup uint64, change func(*cutGate)) error {
	gates := p.maps["gates"]
	var g cutGate
	err := gates.Lookup(cgroup, &g)
	known := err == nil
	if ignoreMissing(err) != nil {
		return fmt.Errorf("reading the gate of the cgroup %d: %w", cgroup, err)
	}
	change(&g)
	if g.Cut == 0 && g.Peers == 0 {
		if !known {
			return nil
		}
		if err := ignoreMissing(gates.Delete(cgroup)); err != nil {
			return fmt.Errorf("opening the gate of the cgroup %d: %w", cgroup, err)
		}
		return p.setLevels()
	}
	if !known {
		// The cgroup of a known gate may be gone, a new one's must be there.
		path, err := p.cgroupPath(cgroup)
		if err != nil {
			return err
		}
		level := strings.Count(path, "/")
		if path == "/" {
			return fmt.Errorf("the cgroup %d is that of the whole node: name a container's", cgroup)
		}
		if level > maxGateLevel {
			return fmt.Errorf("the cgroup %s is %d levels deep: only %d are looked at", path, level, maxGateLevel)
		}
		g.Level = uint32(level) //nolint:gosec // at most maxGateLevel
	}
	if err := gates.Put(cgroup, g); err != nil {
		return fmt.Errorf("shutting the gate of the cgroup %d: %w", cgroup, err)
	}
	if known {
		return nil
	}
	return p.setLevels()
}

// setLevels tells the programs at which levels to look for gates.
func (p *Probe) setLevels() error {
	var levels, id uint64
	var g cutGate
	it := p.maps["gates"].Iterate()
	for it.Next(&id, &g) {
		levels |= 1 << g.Level
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the gates: %w", err)
	}
	if err := p.maps["gate_levels"].Put(uint32(0), levels); err != nil {
		return fmt.Errorf("setting the levels of the gates: %w", err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// pinName is the file of the link of a program on one interface.
func pinName(program string, ifindex int) string {
	return fmt.Sprintf("%s-%d", program, ifindex)
}

// pinnedLinks returns the interfaces that an earlier sensor watched.
func (p *Probe) pinnedLinks() ([]int, error) {
	entries, err := os.ReadDir(p.options.Pins)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		var ifindex int
		program, rest, ok := strings.Cut(filepath.Base(e.Name()), "-")
		if _, err := fmt.Sscanf(rest, "%d", &ifindex); ok && err == nil && slices.Contains(linkPrograms, program) && !slices.Contains(out, ifindex) {
			out = append(out, ifindex)
		}
	}
	return out, nil
}
