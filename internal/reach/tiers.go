package reach

import (
	"slices"

	"seawall.io/seawall/internal/netpol"
)

// applied is a policy that holds, or may hold, for the pods of a profile.
type applied struct {
	*policy
	answer Answer
}

// profile is what policies do to the connections of a pod in one direction.
// Pods with equal profiles are treated alike.
type profile struct {
	key       string
	direction netpol.Direction
	host      bool
	// tiers are the policies of each, the administrator's by priority.
	tiers [3][]applied
	// foreign are policies whose rules are not read.
	foreign []applied
	// ports are what the Model's names mean on the pods, for ingress.
	ports []*Ports
	// matchers are those of all rules, each once.
	matchers []*matcher
	// names says that rules ask for ports by name.
	names bool
	rows  *rows
}

// profile returns the one of a direction for the policies that hold, made once.
func (m *Model) profile(d netpol.Direction, all []applied, ports []*Ports, host bool) *profile {
	p := m.newProfile(d, all, ports, host)
	if known := m.profiles[d][p.key]; known != nil {
		return known
	}
	p.rows.shared = true
	m.profiles[d][p.key] = p
	return p
}

func (m *Model) newProfile(d netpol.Direction, all []applied, ports []*Ports, host bool) *profile {
	p := &profile{direction: d, host: host, rows: &rows{}}
	g := group{pods: []*pod{{host: host}}}
	for _, a := range all {
		if !a.Concerns(d) || !m.speaks(a.policy) {
			continue
		}
		g.applied = append(g.applied, a)
		if !a.Understood() {
			p.foreign = append(p.foreign, a)
			continue
		}
		p.tiers[a.Tier()] = append(p.tiers[a.Tier()], a)
		for _, r := range a.rules[d] {
			p.names = p.names || len(r.named) > 0
			for _, mt := range r.peers {
				if !slices.Contains(p.matchers, mt) {
					p.matchers = append(p.matchers, mt)
				}
			}
		}
	}
	if p.names && d == netpol.Ingress {
		p.ports, g.ports = ports, ports
	}
	for _, tier := range [...]netpol.Tier{netpol.AdminTier, netpol.BaselineTier} {
		slices.SortStableFunc(p.tiers[tier], func(a, b applied) int { return a.Priority() - b.Priority() })
	}
	p.key = g.key()
	return p
}

// speaks says whether the network plugin, if it is known, reads policies of this
// kind at all.
func (m *Model) speaks(p *policy) bool {
	if p.Understood() || m.cni.Name == "" {
		return true
	}
	group := p.Object.Group()
	return m.cni.group != "" && (group == m.cni.group || group == "crd."+m.cni.group)
}

// question is what a rule is asked: about one endpoint, or about classes of pods
// that all give the same answers.
type question struct {
	// match says whether a matcher matches.
	match func(*matcher) Answer
	// named are what the Model's names mean at the destination; nil where they mean
	// nothing.
	named []*Ports
	// node says that the other end has the address of a node.
	node bool
}

// judge returns the ports on which policies allow connections.
func (m *Model) judge(p *profile, q question) *Ports {
	if p.direction == netpol.Ingress {
		q.named = p.ports
	}
	if len(p.foreign) > 0 {
		return everyPort(Unknown)
	}
	out := m.judgeTier(p, netpol.BaselineTier, q, everyPort(Allowed))
	out = m.judgeNetwork(p, q, out)
	out = m.judgeTier(p, netpol.AdminTier, q, out)
	if q.node && p.direction == netpol.Ingress {
		// A pod's own node always reaches it; plugins differ on the others.
		out = combine([]*Ports{out}, func(at []Answer) Answer {
			if at[0] == Denied {
				return Depends
			}
			return at[0]
		})
	}
	if m.unlisted != "" {
		return everyPort(Unknown)
	}
	return out
}

// matches returns the ports on which a rule matches.
func (m *Model) matches(r *rule, q question) *Ports {
	peer := Denied
	if r.AnyPeer {
		peer = Allowed
	}
	for _, mt := range r.peers {
		if peer = peer.or(q.match(mt)); peer == Allowed {
			break
		}
	}
	if peer == Denied {
		return everyPort(Denied)
	}
	ports := r.ports
	if q.named != nil {
		for _, name := range r.named {
			ports = ports.or(q.named[slices.Index(m.names, name)])
		}
	}
	return ports.weaken(peer)
}

// judgeNetwork asks NetworkPolicies: what none of them isolates is left to the
// next tier, all else is allowed by one of their rules or not at all.
func (m *Model) judgeNetwork(p *profile, q question, next *Ports) *Ports {
	isolated, allowed := Denied, everyPort(Denied)
	for _, a := range p.tiers[netpol.NetworkTier] {
		isolated = isolated.or(a.answer.and(m.enforces(p, a)))
		if len(a.Faults()) > 0 {
			allowed = allowed.or(everyPort(Unknown))
			continue
		}
		for _, r := range a.rules[p.direction] {
			allowed = allowed.or(m.matches(r, q).weaken(a.answer))
		}
	}
	return combine([]*Ports{allowed, next}, func(at []Answer) Answer { return isolated.either(at[0], at[1]) })
}

// enforces says whether a policy has any effect on the pods of a profile.
func (m *Model) enforces(p *profile, a applied) Answer {
	switch {
	case a.Object.Kind == "ClusterNetworkPolicy":
		return m.cni.EnforcesCluster
	case a.Tier() != netpol.NetworkTier:
		return m.cni.EnforcesAdmin
	case p.host:
		return m.cni.Enforces.and(m.cni.HostPods)
	}
	return m.cni.Enforces
}

// judgeTier asks the policies of the administrator, the last of them first: what
// a rule does not match is left to those after it.
func (m *Model) judgeTier(p *profile, tier netpol.Tier, q question, next *Ports) *Ports {
	list := p.tiers[tier]
	out := next
	for end := len(list); end > 0; {
		start := end - 1
		for start > 0 && list[start-1].Priority() == list[start].Priority() {
			start--
		}
		out = m.judgeEqual(p, list[start:end], q, out, next)
		end = start
	}
	return out
}

// judgeEqual asks policies of equal priority. Where several of them match, any
// may decide.
func (m *Model) judgeEqual(p *profile, list []applied, q question, rest, next *Ports) *Ports {
	in := []*Ports{rest}
	for _, a := range list {
		out, matched := m.judgeAdmin(p, a, q, rest, next)
		if len(list) == 1 {
			return out
		}
		in = append(in, out, matched)
	}
	return combine(in, func(at []Answer) Answer {
		out, match := at[0], Denied
		for i := 1; i < len(at); i += 2 {
			switch {
			case at[i+1] == Denied:
			case match == Denied:
				out, match = at[i], at[i+1]
			default:
				match = max(match, at[i+1])
				out = among(out, at[i], match)
			}
		}
		return out
	})
}

// judgeAdmin asks one policy of the administrator. matched are the ports on
// which one of its rules matches.
func (m *Model) judgeAdmin(p *profile, a applied, q question, rest, next *Ports) (out, matched *Ports) {
	holds := a.answer.and(m.enforces(p, a))
	switch {
	case holds == Denied:
		return rest, everyPort(Denied)
	case len(a.Faults()) > 0:
		return everyPort(Unknown), everyPort(Unknown)
	}
	out, matched = rest, everyPort(Denied)
	for _, r := range slices.Backward(a.rules[p.direction]) {
		on := m.matches(r, q)
		switch r.Action {
		case netpol.Allow:
			out = on.either(everyPort(Allowed), out)
		case netpol.Deny:
			out = on.either(everyPort(Denied), out)
		case netpol.Pass:
			out = on.either(next, out)
		}
		matched = matched.or(on)
	}
	out = combine([]*Ports{out, rest}, func(at []Answer) Answer { return holds.either(at[0], at[1]) })
	return out, matched.weaken(holds)
}
