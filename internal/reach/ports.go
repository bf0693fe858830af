package reach

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Protocol is a transport protocol that policies speak of. What they say of
// others, ICMP among them, is not specified, and not told here.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = iota
	UDP
	SCTP
	protocols
)

// String returns the name that Kubernetes uses.
func (p Protocol) String() string { return [...]string{"TCP", "UDP", "SCTP"}[p] }

// ParseProtocol reads the name of a protocol in any case; "" is TCP.
func ParseProtocol(s string) (Protocol, error) {
	switch strings.ToUpper(s) {
	case "", "TCP":
		return TCP, nil
	case "UDP":
		return UDP, nil
	case "SCTP":
		return SCTP, nil
	}
	return 0, fmt.Errorf("protocol %q: want tcp, udp or sctp; what network policies do to others is not specified", s)
}

// Port is a port of a pod, the one that a Service's targetPort names: network
// plugins judge connections after the address of a Service was resolved.
type Port struct {
	Protocol Protocol
	Number   uint16
}

// String returns the port as 80/TCP.
func (p Port) String() string { return strconv.Itoa(int(p.Number)) + "/" + p.Protocol.String() }

// place returns where the port stands among all ports of all protocols.
func (p Port) place() uint32 { return uint32(p.Protocol)<<16 | uint32(p.Number) }

const places = uint32(protocols) << 16

// Ports says for every port of every protocol whether it is reached. The zero
// Ports reach nothing. They do not change once made.
type Ports struct {
	// steps are where the answer changes, in order of their places. Before the
	// first it is Denied.
	steps []step
}

type step struct {
	from   uint32
	answer Answer
}

// Range is a run of ports of one protocol with one answer.
type Range struct {
	Protocol    Protocol
	First, Last uint16
	Answer      Answer
}

// At returns the answer for one port.
func (p *Ports) At(port Port) Answer { return p.at(port.place()) }

func (p *Ports) at(place uint32) Answer {
	i, found := slices.BinarySearchFunc(p.steps, place, func(s step, at uint32) int { return int(s.from) - int(at) })
	switch {
	case found:
		return p.steps[i].answer
	case i == 0:
		return Denied
	}
	return p.steps[i-1].answer
}

// Same returns the answer that all ports of all protocols share; ok is false
// where they differ.
func (p *Ports) Same() (a Answer, ok bool) {
	switch {
	case len(p.steps) == 0:
		return Denied, true
	case len(p.steps) == 1 && p.steps[0].from == 0:
		return p.steps[0].answer, true
	}
	return Denied, false
}

// free says that all ports are reached.
func (p *Ports) free() bool { return len(p.steps) == 1 && p.steps[0] == step{0, Allowed} }

// Any returns the best that is known of any port: Allowed where one is, Depends
// or Unknown where one may be.
func (p *Ports) Any() Answer {
	out := Denied
	for _, s := range p.steps {
		switch {
		case s.answer == Allowed:
			return Allowed
		case s.answer != Denied && (out == Denied || s.answer < out):
			out = s.answer
		}
	}
	return out
}

// Ranges returns the ports that are not Denied, in order. Port 0, which nothing
// uses, is left out.
func (p *Ports) Ranges() []Range {
	var out []Range
	for i, s := range p.steps {
		end := places
		if i+1 < len(p.steps) {
			end = p.steps[i+1].from
		}
		if s.answer == Denied {
			continue
		}
		for at := s.from; at < end; {
			last := min(end-1, at|0xffff)
			r := Range{Protocol: Protocol(at >> 16), First: uint16(at), Last: uint16(last), Answer: s.answer} //nolint:gosec // the low 16 bits are the port
			if r.First = max(r.First, 1); r.Last >= r.First {
				out = append(out, r)
			}
			at = last + 1
		}
	}
	return out
}

// String lists the ports by answer: "allowed: TCP 80, 8000-8100; unknown: UDP".
func (p *Ports) String() string {
	if a, ok := p.Same(); ok {
		return a.String()
	}
	var parts []string
	ranges := p.Ranges()
	for _, a := range [...]Answer{Allowed, Partly, Depends, Unknown} {
		if list := listed(ranges, a); list != "" {
			parts = append(parts, a.String()+": "+list)
		}
	}
	return strings.Join(parts, "; ")
}

// Listed returns the ports with an answer: "TCP 80, 443; UDP". "all" is all
// ports of all protocols.
func (p *Ports) Listed(a Answer) string {
	if same, ok := p.Same(); ok && same == a {
		return "all"
	}
	return listed(p.Ranges(), a)
}

func listed(ranges []Range, a Answer) string {
	var parts []string
	for protocol := range protocols {
		var numbers []string
		for _, r := range ranges {
			switch {
			case r.Answer != a || r.Protocol != protocol:
			case r.First == 1 && r.Last == 65535:
				numbers = append(numbers, "")
			case r.First == r.Last:
				numbers = append(numbers, strconv.Itoa(int(r.First)))
			default:
				numbers = append(numbers, fmt.Sprintf("%d-%d", r.First, r.Last))
			}
		}
		if len(numbers) > 0 {
			parts = append(parts, strings.TrimSpace(protocol.String()+" "+strings.Join(numbers, ", ")))
		}
	}
	return strings.Join(parts, "; ")
}

// everyPort gives all ports one answer.
func everyPort(a Answer) *Ports {
	if a == Denied {
		return &Ports{}
	}
	return &Ports{[]step{{0, a}}}
}

// portRange gives some ports of a protocol an answer.
func portRange(protocol Protocol, first, last uint16, a Answer) *Ports {
	from, to := Port{protocol, first}.place(), Port{protocol, last}.place()+1
	return combine([]*Ports{{[]step{{from, a}, {to, Denied}}}}, func(at []Answer) Answer { return at[0] })
}

// combine makes Ports of several by a function of the answers at each port.
func combine(in []*Ports, f func(at []Answer) Answer) *Ports {
	out := &Ports{}
	at, next := make([]Answer, len(in)), make([]int, len(in))
	last := Denied
	for place := uint32(0); place < places; {
		end := places
		for i, p := range in {
			if next[i] < len(p.steps) && p.steps[next[i]].from == place {
				at[i] = p.steps[next[i]].answer
				next[i]++
			}
			if next[i] < len(p.steps) {
				end = min(end, p.steps[next[i]].from)
			}
		}
		if a := f(at); a != last {
			out.steps = append(out.steps, step{place, a})
			last = a
		}
		place = end
	}
	return out
}

func (p *Ports) and(q *Ports) *Ports {
	return combine([]*Ports{p, q}, func(at []Answer) Answer { return at[0].and(at[1]) })
}

func (p *Ports) or(q *Ports) *Ports {
	return combine([]*Ports{p, q}, func(at []Answer) Answer { return at[0].or(at[1]) })
}

// weaken holds where p does and a does.
func (p *Ports) weaken(a Answer) *Ports {
	switch a {
	case Allowed:
		return p
	case Denied:
		return &Ports{}
	case Depends, Unknown, Partly:
	}
	return combine([]*Ports{p}, func(at []Answer) Answer { return at[0].and(a) })
}

// either is yes where p holds, otherwise no.
func (p *Ports) either(yes, no *Ports) *Ports {
	return combine([]*Ports{p, yes, no}, func(at []Answer) Answer { return at[0].either(at[1], at[2]) })
}

// key returns a value that equal Ports share.
func (p *Ports) key() string {
	b := make([]byte, 0, 5*len(p.steps))
	for _, s := range p.steps {
		b = append(binary.BigEndian.AppendUint32(b, s.from), byte(s.answer))
	}
	return string(b)
}
