package reach

import (
	"slices"
	"sync"

	"seawall.io/seawall/internal/netpol"
)

// rows are the answers of a profile for all classes, made when first asked for.
type rows struct {
	// shared says that the profile is that of a class.
	shared bool
	once   sync.Once
	parts  []part
}

// part is classes that the profile gives one answer.
type part struct {
	set   bitset
	ports *Ports
}

// named is classes on whose pods the names of ports mean the same.
type named struct {
	set   bitset
	ports []*Ports
}

// sketch is a part in the making: what the matchers of the profile say of it.
type sketch struct {
	set     bitset
	answers []Answer
	named   []*Ports
	node    bool
}

// parts returns the classes by what a profile lets them do.
func (m *Model) parts(p *profile) []part {
	p.rows.once.Do(func() { p.rows.parts = m.makeParts(p) })
	return p.rows.parts
}

// of returns the ports for one class.
func of(parts []part, class int) *Ports {
	for i := range parts {
		if parts[i].set.has(class) {
			return parts[i].ports
		}
	}
	return parts[0].ports // every class is in one
}

func (m *Model) makeParts(p *profile) []part {
	all := newBitset(len(m.classes))
	for i := range m.classes {
		all.add(i)
	}
	work := []sketch{{set: all, answers: make([]Answer, len(p.matchers))}}
	if p.direction == netpol.Ingress {
		work = splitBy(work, m.hosts, func(s *sketch) { s.node = true })
	}
	for i, mt := range p.matchers {
		for _, a := range [...]Answer{Allowed, Depends, Unknown} {
			work = splitBy(work, mt.sets[a], func(s *sketch) {
				s.answers = append([]Answer(nil), s.answers...)
				s.answers[i] = a
			})
		}
	}
	if p.names && p.direction == netpol.Egress {
		work = m.splitByNames(p, work)
	}
	var out []part
	at := map[*Ports]int{}
	for i := range work {
		s := &work[i]
		ports := m.intern(m.judge(p, question{
			match: func(mt *matcher) Answer { return s.answers[p.index(mt)] },
			named: s.named, node: s.node,
		}))
		if j, known := at[ports]; known {
			out[j].set = out[j].set.union(s.set)
			continue
		}
		at[ports] = len(out)
		out = append(out, part{s.set, ports})
	}
	// The largest part, most often that of the classes which no rule names, is
	// found first.
	slices.SortStableFunc(out, func(a, b part) int { return b.set.size() - a.set.size() })
	return out
}

func (p *profile) index(mt *matcher) int {
	for i := range p.matchers {
		if p.matchers[i] == mt {
			return i
		}
	}
	return -1 // the rules of a profile have no others
}

// splitBy splits sketches by a set, and marks those within.
func splitBy(work []sketch, set bitset, mark func(*sketch)) []sketch {
	if set == nil {
		return work
	}
	var out []sketch
	for _, s := range work {
		in, rest := s.set.split(set)
		if rest != nil {
			s.set = rest
			out = append(out, s)
		}
		if in != nil {
			s.set = in
			mark(&s)
			out = append(out, s)
		}
	}
	return out
}

// splitByNames splits sketches by what the names of ports mean on the pods, where
// a rule that asks for names matches them.
func (m *Model) splitByNames(p *profile, work []sketch) []sketch {
	var out []sketch
	for _, s := range work {
		if !p.asksNames(&s) {
			out = append(out, s)
			continue
		}
		for _, named := range m.byNames {
			if s.set == nil {
				break
			}
			var in bitset
			if in, s.set = s.set.split(named.set); in != nil {
				out = append(out, sketch{set: in, answers: s.answers, named: named.ports, node: s.node})
			}
		}
	}
	return out
}

// asksNames says whether a rule that asks for ports by name matches a sketch.
func (p *profile) asksNames(s *sketch) bool {
	for _, tier := range p.tiers {
		for _, a := range tier {
			for _, r := range a.rules[p.direction] {
				if len(r.named) == 0 {
					continue
				}
				if r.AnyPeer || slices.ContainsFunc(r.peers, func(mt *matcher) bool { return s.answers[p.index(mt)] != Denied }) {
					return true
				}
			}
		}
	}
	return false
}
