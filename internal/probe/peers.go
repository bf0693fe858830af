package probe

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// PeerRule says of some peers whether a cgroup may reach them.
type PeerRule struct {
	Prefix netip.Prefix `json:"prefix"`
	// Protocol is tcp, udp, or empty for both. Port needs one; 0 is any.
	Protocol string `json:"protocol,omitempty"`
	Port     uint16 `json:"port,omitempty"`
	Deny     bool   `json:"deny,omitempty"`
}

// PeerRules say whom a cgroup may connect to, or send datagrams to without a
// connection. The longest prefix that holds a peer decides; of equal ones that which
// names the port, then that which names the protocol.
type PeerRules struct {
	Rules []PeerRule `json:"rules,omitempty"`
	// DenyOthers denies whom no rule names.
	DenyOthers bool `json:"denyOthers,omitempty"`
	// Audit lets all through, and reports what would have been denied.
	Audit bool `json:"audit,omitempty"`
}

// How the programs know rules, as in bpf/cut.h.
const (
	peersOn    = 1
	peersDeny  = 2
	peersAudit = 4
	// What comes before the address in a key.
	peerKeyBits = 96
)

// Peers sets whom a cgroup and all below it may reach; nil lifts that. The new rules
// hold all at once. Connections that are open stay so; other protocols than TCP and
// UDP are not looked at. At most 65,536 rules are held for all cgroups, old ones
// being kept until the next change.
func (p *Probe) Peers(cgroup uint64, r *PeerRules) error {
	if err := p.gatesOf("cut"); err != nil {
		return err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	if err := p.sweepPeers(); err != nil {
		return err
	}
	if r == nil {
		return p.changeGate(cgroup, func(g *cutGate) { g.Peers, g.List = 0, 0 })
	}
	list := bootTime() // no two lists are made in one nanosecond
	for i, rule := range r.Rules {
		k, v, err := rule.entry(list)
		if err != nil {
			return fmt.Errorf("rule %d on peers: %w", i+1, err)
		}
		if err := p.maps["peers"].Update(k, v, ebpf.UpdateNoExist); err != nil {
			if errors.Is(err, ebpf.ErrKeyExist) {
				return fmt.Errorf("rule %d on peers: another speaks of %s as well", i+1, rule.Prefix)
			}
			return fmt.Errorf("rule %d on peers: %w", i+1, err)
		}
	}
	mode := uint32(peersOn)
	if r.DenyOthers {
		mode |= peersDeny
	}
	if r.Audit {
		mode |= peersAudit
	}
	return p.changeGate(cgroup, func(g *cutGate) { g.Peers, g.List = mode, list })
}

func (r PeerRule) entry(list uint64) (cutPeerKey, cutPeerValue, error) {
	var k cutPeerKey
	var v cutPeerValue
	if !r.Prefix.IsValid() {
		return k, v, errors.New("it names no network: write 0.0.0.0/0 or ::/0 for all")
	}
	switch r.Protocol {
	case "tcp":
		k.Protocol = unix.IPPROTO_TCP
	case "udp":
		k.Protocol = unix.IPPROTO_UDP
	case "":
		if r.Port != 0 {
			return k, v, fmt.Errorf("port %d is of no protocol: say tcp or udp", r.Port)
		}
	default:
		return k, v, fmt.Errorf("the protocol %q is neither tcp nor udp", r.Protocol)
	}
	bits := r.Prefix.Bits()
	if r.Prefix.Addr().Is4() {
		bits += 96 // mapped into IPv6
	}
	k.Port = r.Port>>8 | r.Port<<8
	k.List = list
	k.Address.Bytes = netip.PrefixFrom(netip.AddrFrom16(r.Prefix.Addr().As16()), bits).Masked().Addr().As16()
	k.Prefix = uint32(peerKeyBits + bits) //nolint:gosec // at most 224
	v.Bits = uint32(bits)                 //nolint:gosec // at most 128
	if r.Deny {
		v.Deny = 1
	}
	return k, v, nil
}

// sweepPeers removes the lists that no gate names any more. They were left until now
// since a program may have been looking at one.
func (p *Probe) sweepPeers() error {
	used := map[uint64]bool{}
	var id uint64
	var g cutGate
	gates := p.maps["gates"].Iterate()
	for gates.Next(&id, &g) {
		used[g.List] = true
	}
	var unused []cutPeerKey
	var k cutPeerKey
	var v cutPeerValue
	rules := p.maps["peers"].Iterate()
	for rules.Next(&k, &v) {
		if !used[k.List] {
			unused = append(unused, k)
		}
	}
	errs := []error{gates.Err(), rules.Err()}
	for _, k := range unused {
		errs = append(errs, ignoreMissing(p.maps["peers"].Delete(k)))
	}
	return errors.Join(errs...)
}
