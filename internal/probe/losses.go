package probe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"seawall.io/seawall"
)

// maxLossesTold bounds what a sensor remembers of the losses it reported, like the
// map of the programs.
const maxLossesTold = 4096

// losses turns the kernel's counters of lost events into events.
type losses struct {
	mu   sync.Mutex
	told map[processLossKey]uint64
	// sums are the losses of each kind that were told or need not be: those that an
	// earlier sensor told. Unknown are those of which no cgroup was remembered.
	sums    [64]uint64
	unknown [64]uint64
}

// ringOf is the ring that events of a kind travel in: their class.
func ringOf(k seawall.EventKind) Ring {
	switch {
	case k == seawall.EventExec:
		return RingExec
	case k <= seawall.EventComm:
		return RingLife
	case k <= seawall.EventMount:
		return RingFile
	case k == seawall.EventDNS:
		return RingDNS
	case k <= seawall.EventTLS:
		return RingNet
	case k <= seawall.EventDenied:
		return RingPriv
	}
	return RingNode
}

// untold reads, and with take removes, what the programs remember of lost events.
func untold(m *ebpf.Map, take bool) (map[processLossKey]uint64, error) {
	out := map[processLossKey]uint64{}
	var key processLossKey
	var n uint64
	it := m.Iterate()
	for it.Next(&key, &n) {
		out[key] = n
	}
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, fmt.Errorf("reading which events were lost: %w", err)
	}
	if !take {
		return out, nil
	}
	for key := range out {
		if err := m.LookupAndDelete(key, &n); err != nil {
			delete(out, key) // it was forgotten for a newer one
			continue
		}
		out[key] = n
	}
	return out, nil
}

// begin takes for told what an earlier sensor told: what is lost, but not remembered any more.
func (l *losses) begin(lost [64]uint64, m *ebpf.Map) error {
	left, err := untold(m, false)
	if err != nil {
		return err
	}
	l.sums = lost
	for key, n := range left {
		l.sums[key.Kind&63] -= min(n, l.sums[key.Kind&63])
	}
	return nil
}

// all is what was lost, told or not.
func (l *losses) all(m *ebpf.Map) ([]CgroupLoss, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum, err := untold(m, false)
	if err != nil {
		return nil, err
	}
	for key, n := range l.told {
		sum[key] += n
	}
	var out []CgroupLoss
	for key, n := range sum {
		out = append(out, CgroupLoss{Cgroup: key.Cgroup, Kind: seawall.EventKind(key.Kind), Count: n}) //nolint:gosec // the programs write kinds
	}
	slices.SortFunc(out, func(a, b CgroupLoss) int { return cmp.Or(cmp.Compare(a.Cgroup, b.Cgroup), cmp.Compare(a.Kind, b.Kind)) })
	return out, nil
}

// tellLosses reports what the programs could not deliver since it was last told, for
// each cgroup and class.
func (p *Probe) tellLosses(m *ebpf.Map, now uint64) error {
	p.losses.mu.Lock()
	defer p.losses.mu.Unlock()
	l := &p.losses
	found, err := untold(m, true)
	if err != nil {
		return err
	}
	type class struct {
		cgroup uint64
		ring   Ring
	}
	sums := map[class]uint64{}
	for key, n := range found {
		sums[class{key.Cgroup, ringOf(seawall.EventKind(key.Kind))}] += n //nolint:gosec // the programs write kinds
		if m != p.maps["losses"] {
			continue // another version's, whose counters nobody compares
		}
		l.sums[key.Kind&63] += n
		if l.told == nil {
			l.told = map[processLossKey]uint64{}
		}
		if _, ok := l.told[key]; ok || len(l.told) < maxLossesTold {
			l.told[key] += n
		}
	}
	if m == p.maps["losses"] {
		lost, err := p.lost()
		if err != nil {
			return err
		}
		for kind, n := range lost {
			// A program counts first and remembers then: what is missing twice is missing.
			rest := uint64(0)
			if n > l.sums[kind] {
				rest = n - l.sums[kind]
			}
			if sure := min(rest, l.unknown[kind]); sure > 0 {
				sums[class{0, ringOf(seawall.EventKind(kind))}] += sure
				l.sums[kind] += sure
				rest -= sure
			}
			l.unknown[kind] = rest
		}
	}
	for c, n := range sums {
		ev := &seawall.Event{
			Kind: seawall.EventLoss, Boot: now, Count: n,
			Loss: &seawall.Loss{Class: c.ring.String(), Count: n, Reason: "the buffer was full"},
		}
		if c.cgroup != 0 {
			ev.Process = &seawall.Process{Cgroup: c.cgroup}
		}
		p.say(ev)
	}
	return nil
}

// lost reads how many events of each kind were lost.
func (p *Probe) lost() (out [64]uint64, err error) {
	for _, k := range seawall.EventKinds() {
		var perCPU []processCounter
		if err := p.maps["counters"].Lookup(uint32(k), &perCPU); err != nil {
			return out, fmt.Errorf("reading the counters of %s: %w", k, err)
		}
		for _, c := range perCPU {
			out[k] += c.Lost
		}
	}
	return out, nil
}

// beginLosses finds out what was told before.
func (p *Probe) beginLosses() error {
	lost, err := p.lost()
	if err != nil {
		return err
	}
	return p.losses.begin(lost, p.maps["losses"])
}
