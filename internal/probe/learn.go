package probe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"seawall.io/seawall"
)

// Learn records the system calls of a cgroup from now on, what it made before
// included where it was learnt before. It takes the hook syscalls, which
// [Probe.Attach] starts.
func (p *Probe) Learn(cgroup uint64) error {
	m, err := p.learning()
	if err != nil {
		return err
	}
	err = m.Update(cgroup, syscallsLearnt{}, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return nil
	}
	return err
}

// Unlearn ends what [Probe.Learn] began, and forgets it.
func (p *Probe) Unlearn(cgroup uint64) error {
	m, err := p.learning()
	if err != nil {
		return err
	}
	if err := m.Delete(cgroup); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

func (p *Probe) learning() (*ebpf.Map, error) {
	h := p.hook("syscalls")
	if h == nil {
		return nil, errors.New(`system calls are not recorded: call Attach("syscalls") first`)
	}
	return h.coll.Maps["learning"], nil
}

// Syscalls returns the names of the system calls that a cgroup made since
// [Probe.Learn], and of those that seccomp refused it, both in the order of their
// numbers: the machine's own first, then those of 32-bit programs.
func (p *Probe) Syscalls(cgroup uint64) (made, denied []string, err error) {
	m, err := p.learning()
	if err != nil {
		return nil, nil, err
	}
	var l syscallsLearnt
	if err := m.Lookup(cgroup, &l); err != nil {
		return nil, nil, fmt.Errorf("reading the system calls of cgroup %d: %w", cgroup, err)
	}
	return namesOf(l.Seen[:]), namesOf(l.Denied[:]), nil
}

func namesOf(words []uint64) []string {
	var out []string
	for place := range uint32(callPlaces) {
		if words[place/64]>>(place%64)&1 != 0 {
			out = append(out, syscalls().name(place))
		}
	}
	return out
}

// Capabilities returns those that the processes of a cgroup have used since the
// sensor began.
func (p *Probe) Capabilities(cgroup uint64) (seawall.Caps, error) {
	h := p.hook("capability")
	if h == nil {
		return 0, errors.New("the use of capabilities is not recorded: see Coverage")
	}
	var bits uint64
	err := h.coll.Maps["caps_used"].Lookup(cgroup, &bits)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, nil
	}
	return seawall.Caps(bits), err
}
