package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"seawall.io/seawall/internal/netpol"
)

// Verdict is the answer to one question, with what it rests on.
type Verdict struct {
	Answer Answer
	// Egress is what the policies of the source say, Ingress what those of the
	// destination do. A connection needs both.
	Egress, Ingress Answer
	Reasons         []Reason
	// Parts are set where the Answer is Partly.
	Parts []Part
}

// Part is the addresses of a peer that share an answer.
type Part struct {
	Answer Answer
	// Ranges are the addresses, and IPv4 and IPv6 say that they are all which the
	// peer has of that family.
	Ranges     []netip.Prefix
	IPv4, IPv6 bool
	Reasons    []Reason
}

// Short names families in place of their ranges, and no more than a few ranges.
func (p Part) Short() string {
	const most = 6
	var names []string
	if p.IPv4 {
		names = append(names, "all of IPv4")
	}
	if p.IPv6 {
		names = append(names, "all of IPv6")
	}
	left := slices.DeleteFunc(slices.Clone(p.Ranges), func(r netip.Prefix) bool {
		return r.Addr().Is4() && p.IPv4 || r.Addr().Is6() && p.IPv6
	})
	for i, r := range left {
		if i == most {
			names = append(names, fmt.Sprintf("%d more ranges", len(left)-most))
			break
		}
		names = append(names, r.String())
	}
	return strings.Join(names, ", ")
}

// Reason is one thing that a verdict rests on.
type Reason struct {
	Direction netpol.Direction
	// Policy and Path are the policy and the place in it, if one decides.
	Policy *netpol.Policy
	Path   string
	Text   string
}

// String returns the reason as a sentence.
func (r Reason) String() string {
	if r.Policy == nil {
		return r.Direction.String() + ": " + r.Text
	}
	return fmt.Sprintf("%s: %s %s", r.Direction, PolicyName(r.Policy), r.Text)
}

// PolicyName names a policy: NetworkPolicy shop/web.
func PolicyName(p *netpol.Policy) string {
	name := p.Object.Kind + " " + p.Object.Name
	if ns := p.Object.Namespace; ns != "" {
		name = p.Object.Kind + " " + ns + "/" + p.Object.Name
	}
	return name
}

// Connect says whether one peer can connect to a port of another. For a peer
// with several addresses that policies tell apart the answer may be Partly.
func (m *Model) Connect(from, to Peer, port Port) Verdict {
	var verdicts []Verdict
	var pieces []*endpoint
	m.pairs(from, to, func(a, b *endpoint) {
		v := m.verdict(a, b, port)
		verdicts = append(verdicts, v)
		if a.pod == nil {
			pieces = append(pieces, a)
		} else {
			pieces = append(pieces, b)
		}
	})
	out := verdicts[0]
	for _, v := range verdicts[1:] {
		out.Answer, out.Egress, out.Ingress = partly(out.Answer, v.Answer), partly(out.Egress, v.Egress), partly(out.Ingress, v.Ingress)
		for _, r := range v.Reasons {
			if !slices.Contains(out.Reasons, r) {
				out.Reasons = append(out.Reasons, r)
			}
		}
	}
	if out.Answer == Partly {
		out.Parts = partsOf(verdicts, pieces)
	}
	return out
}

// Answer says what Connect does, without the reasons: in about a microsecond for
// pods of the snapshot's Templates, once it has been asked about their classes.
func (m *Model) Answer(from, to Peer, port Port) Answer { return m.Ports(from, to).At(port) }

// Ports says to which ports of a peer another can connect.
func (m *Model) Ports(from, to Peer) *Ports {
	if from.kind == podPeer && to.kind == podPeer {
		a, b := m.byPlace[placeOf(from.template)], m.byPlace[placeOf(to.template)]
		if a != nil && b != nil && !samePod(a, b) {
			return m.both(of(m.parts(a.class.profiles[netpol.Egress]), b.class.id), of(m.parts(b.class.profiles[netpol.Ingress]), a.class.id))
		}
	}
	var out *Ports
	m.pairs(from, to, func(a, b *endpoint) {
		egress, ingress := m.directions(a, b)
		ports := m.both(egress, ingress)
		if out != nil && out != ports {
			ports = combine([]*Ports{out, ports}, func(at []Answer) Answer { return partly(at[0], at[1]) })
		}
		out = ports
	})
	return out
}

func partly(a, b Answer) Answer {
	if a == b {
		return a
	}
	return Partly
}

// partsOf puts the pieces of a peer together that share an answer, in the order
// of the addresses.
func partsOf(verdicts []Verdict, pieces []*endpoint) []Part {
	var out []Part
	var spans [][]span
	for i, v := range verdicts {
		at := slices.IndexFunc(out, func(p Part) bool { return p.Answer == v.Answer && slices.Equal(p.Reasons, v.Reasons) })
		if at < 0 {
			at = len(out)
			out = append(out, Part{Answer: v.Answer, Reasons: v.Reasons})
			spans = append(spans, nil)
		}
		s := pieces[i].span
		if list := spans[at]; len(list) > 0 && list[len(list)-1].last.Next() == s.first {
			list[len(list)-1].last = s.last
			continue
		}
		spans[at] = append(spans[at], s)
	}
	for i := range out {
		out[i].IPv4 = only(verdicts, pieces, out[i], netip.Addr.Is4)
		out[i].IPv6 = only(verdicts, pieces, out[i], netip.Addr.Is6)
		for _, s := range spans[i] {
			if s.first.IsValid() {
				out[i].Ranges = append(out[i].Ranges, s.prefixes()...)
			}
		}
	}
	return out
}

// only says whether a part is all that a peer has of a family, and the peer has
// more than one.
func only(verdicts []Verdict, pieces []*endpoint, p Part, family func(netip.Addr) bool) bool {
	in, all := 0, 0
	for i, v := range verdicts {
		if !family(pieces[i].span.first) {
			continue
		}
		all++
		if v.Answer == p.Answer && slices.Equal(v.Reasons, p.Reasons) {
			in++
		}
	}
	return all > 0 && in == all
}

// pairs calls f for the pieces of two peers that policies tell apart.
func (m *Model) pairs(from, to Peer, f func(from, to *endpoint)) {
	a, b := m.endpoints(from, nil), m.endpoints(to, nil)
	switch {
	case a[0].pod != nil && b[0].pod == nil:
		b = m.endpoints(to, m.profileOf(a[0].pod, netpol.Egress).edges())
	case a[0].pod == nil && b[0].pod != nil:
		a = m.endpoints(from, m.profileOf(b[0].pod, netpol.Ingress).edges())
	}
	for _, from := range a {
		for _, to := range b {
			f(from, to)
		}
	}
}

// edges are the ranges that the rules of a profile tell apart.
func (p *profile) edges() []netip.Prefix {
	var out []netip.Prefix
	for _, mt := range p.matchers {
		if mt.Kind == netpol.BlockPeer {
			out = append(append(out, mt.Block), mt.Except...)
		}
	}
	return out
}

// profileOf returns the profile of any pod, also of one without a class.
func (m *Model) profileOf(p *pod, d netpol.Direction) *profile {
	if p.class != nil {
		return p.class.profiles[d]
	}
	if p.profiles[d] != nil {
		return p.profiles[d]
	}
	var all []applied
	for _, policy := range m.compiled {
		if a := m.applies(policy, p); a != Denied {
			all = append(all, applied{policy, a})
		}
	}
	p.profiles[d] = m.newProfile(d, all, m.portsOf(p), p.host)
	return p.profiles[d]
}

// portsOf returns what the Model's names mean on a pod.
func (m *Model) portsOf(p *pod) []*Ports {
	if p.class != nil {
		return p.class.ports
	}
	out := make([]*Ports, len(m.names))
	for i, name := range m.names {
		out[i] = m.intern(p.resolve(name))
	}
	return out
}

// directions returns what the policies of the source and those of the
// destination let through.
func (m *Model) directions(from, to *endpoint) (egress, ingress *Ports) {
	egress, ingress = m.intern(everyPort(Allowed)), m.intern(everyPort(Allowed))
	if from.pod != nil {
		egress = m.toward(m.profileOf(from.pod, netpol.Egress), to)
	}
	if to.pod != nil {
		ingress = m.toward(m.profileOf(to.pod, netpol.Ingress), from)
	}
	if isSelf(from, to) {
		egress = m.self(m.profileOf(from.pod, netpol.Egress), to)
		ingress = m.self(m.profileOf(to.pod, netpol.Ingress), from)
	}
	return egress, ingress
}

func (m *Model) toward(p *profile, other *endpoint) *Ports {
	if other.pod != nil && other.pod.class != nil && p.rows.shared {
		return of(m.parts(p), other.pod.class.id)
	}
	return m.intern(m.judge(p, m.about(other)))
}

// about returns the question that rules are asked of one endpoint.
func (m *Model) about(e *endpoint) question {
	q := question{match: func(mt *matcher) Answer { return m.match(mt, e) }, node: e.node}
	if e.pod != nil {
		q.named, q.node = m.portsOf(e.pod), e.pod.host
	}
	return q
}

// isSelf says that both ends are one pod, at its own address: what comes back
// through a Service is subject to policies.
func isSelf(a, b *endpoint) bool { return !b.service && samePod(a.pod, b.pod) }

func samePod(a, b *pod) bool {
	return a != nil && b != nil && a.template.Object == b.template.Object && a.template.Object.Kind == "Pod" && a.template.Object.Group() == ""
}

// self lets a pod connect to its own address: policies of the administrator leave
// that alone, and plugins differ on NetworkPolicy.
func (m *Model) self(p *profile, other *endpoint) *Ports {
	own := *p
	own.tiers[netpol.AdminTier], own.tiers[netpol.BaselineTier] = nil, nil
	return m.intern(combine([]*Ports{m.judge(&own, m.about(other))}, func(at []Answer) Answer {
		if at[0] == Denied {
			return Depends
		}
		return at[0]
	}))
}

func (m *Model) verdict(from, to *endpoint, port Port) Verdict {
	egress, ingress := m.directions(from, to)
	v := Verdict{Egress: egress.At(port), Ingress: ingress.At(port)}
	v.Answer = v.Egress.and(v.Ingress)
	if from.pod != nil {
		v.Reasons = m.explain(m.profileOf(from.pod, netpol.Egress), to, port)
	}
	if to.pod != nil {
		v.Reasons = append(v.Reasons, m.explain(m.profileOf(to.pod, netpol.Ingress), from, port)...)
	}
	if isSelf(from, to) {
		v.Reasons = append(v.Reasons, Reason{Direction: netpol.Ingress, Text: "a pod's traffic to its own address is not subject to policies of the administrator, and plugins differ on NetworkPolicy; through a Service it is subject to all"})
	}
	return v
}
