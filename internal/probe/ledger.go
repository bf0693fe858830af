package probe

import (
	"fmt"

	"seawall.io/seawall"
)

// Count is what became of the events of one kind: Attempts = Delivered + Lost +
// Folded + Filtered, exactly, once the programs are detached and the rings read;
// until then events on their way make Attempts the larger.
type Count struct {
	Attempts  uint64 `json:"attempts"`
	Delivered uint64 `json:"delivered"` // put into a ring
	Lost      uint64 `json:"lost"`      // for want of room
	Folded    uint64 `json:"folded"`    // counted with an equal one
	Filtered  uint64 `json:"filtered"`  // of no interest in that cgroup
	// Read were taken out of the ring and decoded; Broken could not be decoded.
	Read uint64 `json:"read"`
}

// Ledger accounts for every event of the sensor.
type Ledger struct {
	Kinds map[seawall.EventKind]Count `json:"kinds"`
	// Lost says which cgroups the lost events were of, as far as the kernel could
	// remember (4,096 pairs of cgroup and kind).
	Lost []CgroupLoss `json:"lost,omitempty"`
	// Recursion counts runs of programs that the kernel left out since one was
	// running on that CPU already: events that nobody else counts.
	Recursion uint64 `json:"recursion"`
	// Gaps are numbers missing from the sequences of the rings: losses, seen from the
	// reader's side.
	Gaps uint64 `json:"gaps"`
}

// CgroupLoss counts lost events of one kind in one cgroup.
type CgroupLoss struct {
	Cgroup uint64            `json:"cgroup"`
	Kind   seawall.EventKind `json:"kind"`
	Count  uint64            `json:"count"`
}

// Ledger reads the kernel's counters.
func (p *Probe) Ledger() (Ledger, error) {
	out := Ledger{Kinds: map[seawall.EventKind]Count{}}
	for _, k := range seawall.EventKinds() {
		var perCPU []processCounter
		if err := p.maps["counters"].Lookup(uint32(k), &perCPU); err != nil {
			return out, fmt.Errorf("reading the counters of %s: %w", k, err)
		}
		var c Count
		for _, n := range perCPU {
			c.Attempts += n.Attempts
			c.Delivered += n.Delivered
			c.Lost += n.Lost
			c.Folded += n.Folded
			c.Filtered += n.Filtered
		}
		c.Read = p.ledger.kinds[k].Load()
		if c != (Count{}) {
			out.Kinds[k] = c
		}
	}
	lost, err := p.losses.all(p.maps["losses"])
	if err != nil {
		return out, err
	}
	out.Lost = lost
	for _, a := range p.attachedHooks() {
		for _, prog := range a.coll.Programs {
			if info, err := prog.Stats(); err == nil {
				out.Recursion += info.RecursionMisses
			}
		}
	}
	out.Recursion += p.recursions()
	out.Gaps = p.ledger.gaps()
	return out, nil
}
