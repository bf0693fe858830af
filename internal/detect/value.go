package detect

import (
	"math/bits"
	"net/netip"

	"seawall.io/seawall"
)

// kind tells what a value is.
type kind uint8

const (
	unsure     kind = iota // only cel-go can tell
	failed                 // CEL's answer is an error
	kindBool               // 0 or 1 in i
	kindInt                // in i
	kindString             // in s
	kindAddr               // a string, the address of the *netip.AddrPort in o
	kindObject             // in o, a pointer that may be nil
	kindCaps               // a list of strings, a set of capabilities in i
	kindList               // in o, a pointer to one of the types that at knows
	kindMap                // in o, a *map[string]string
	kindAny                // what only cel-go handles, in o
)

// value is what an expression yields. It points into the event, so that making
// one costs nothing.
type value struct {
	kind kind
	i    int64
	s    string
	o    any
}

func truth(b bool) value {
	if b {
		return value{kind: kindBool, i: 1}
	}
	return value{kind: kindBool}
}

func (v value) is(want bool) bool { return v.kind == kindBool && (v.i != 0) == want }

// chain is the list of a process's ancestors, the nearest first.
type chain seawall.Process

// maxAncestors is how many ancestors of a process a check sees.
const maxAncestors = 16

func (c *chain) size() int {
	n := 0
	for p := (*seawall.Process)(c); p != nil && p.Parent != nil && n < maxAncestors && !entered(p); p = p.Parent {
		n++
	}
	return n
}

// entered says whether the runtime put a process into its container: its parents are
// the runtime's, and say nothing of the container's programs.
func entered(p *seawall.Process) bool { return p.Entry == "init" || p.Entry == "exec" }

func (c *chain) at(i int) *seawall.Process {
	p := (*seawall.Process)(c)
	for ; i >= 0; i-- {
		p = p.Parent
	}
	return p
}

// size returns the length of a list or map, -1 of what is neither.
func (v value) size() int {
	switch v.kind {
	case kindCaps:
		return bits.OnesCount64(uint64(v.i)) //nolint:gosec // a set of bits
	case kindMap:
		return len(*v.o.(*map[string]string))
	case kindList:
		switch l := v.o.(type) {
		case *[]value:
			return len(*l)
		case *[]string:
			return len(*l)
		case *chain:
			return l.size()
		case *[3]seawall.Stdio:
			return len(l)
		case *[4]uint64:
			return len(l)
		case *[]netip.Addr:
			return len(*l)
		case *[]seawall.ContainerMount:
			return len(*l)
		}
	case unsure, failed, kindBool, kindInt, kindString, kindAddr, kindObject, kindAny:
	}
	return -1
}

// at returns an item of a list; i is below its size.
func (v value) at(i int) value {
	if v.kind == kindCaps {
		return value{kind: kindString, s: seawall.Caps(v.i).Names()[i]} //nolint:gosec // a set of bits
	}
	switch l := v.o.(type) {
	case *[]value:
		return (*l)[i]
	case *[]string:
		return value{kind: kindString, s: (*l)[i]}
	case *chain:
		return value{kind: kindObject, o: l.at(i)}
	case *[3]seawall.Stdio:
		return value{kind: kindString, s: l[i].String()}
	case *[4]uint64:
		return value{kind: kindInt, i: int64(l[i])} //nolint:gosec // arguments are bits
	case *[]netip.Addr:
		return value{kind: kindString, s: (*l)[i].Unmap().String()}
	case *[]seawall.ContainerMount:
		return value{kind: kindObject, o: &(*l)[i]}
	}
	return value{}
}

// text returns a value as a string; ok is false for what is none.
func (f *frame) text(v value) (s string, ok bool) {
	switch v.kind {
	case kindString:
		return v.s, true
	case kindAddr:
		return f.address(v.o.(*netip.AddrPort)), true
	default:
		return "", false
	}
}

// address returns an address as text. Several checks ask for that of one event.
func (f *frame) address(p *netip.AddrPort) string {
	if p == nil || !p.IsValid() {
		return ""
	}
	for i := range f.addresses {
		if f.addresses[i].of == *p {
			return f.addresses[i].text
		}
	}
	text := p.Addr().Unmap().String()
	f.addresses[f.nextAddress%len(f.addresses)] = addressText{*p, text}
	f.nextAddress++
	return text
}

// addressText is an address and its text.
type addressText struct {
	of   netip.AddrPort
	text string
}
