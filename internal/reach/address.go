package reach

import (
	"net/netip"
	"slices"
	"sync"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// nodes are the nodes of a cluster.
type nodes struct {
	known  bool
	addrs  []netip.Addr
	labels []*document.Node
}

// readAddresses reads the addresses of nodes and of the API server, and which
// families the cluster uses.
func (m *Model) readAddresses() {
	for _, o := range m.snapshot.Kind("Node") {
		if o.Group() != "" {
			continue
		}
		m.nodes.known = true
		m.nodes.labels = append(m.nodes.labels, o.Root.At("metadata", "labels"))
		for _, n := range o.Root.At("status", "addresses").List() {
			if a, err := netip.ParseAddr(n.Get("address").Str()); err == nil {
				m.nodes.addrs = append(m.nodes.addrs, a.Unmap())
			}
		}
	}
	for _, o := range m.snapshot.Kind("Pod") {
		for _, a := range podAddrs(o) {
			m.seen(a)
		}
	}
	for _, o := range m.snapshot.Kind("Service") {
		for _, n := range o.Root.At("spec", "clusterIPs").List() {
			if a, err := netip.ParseAddr(n.Str()); err == nil {
				m.seen(a)
			}
		}
	}
	m.apiServer, m.apiPorts = endpointsOf(m.snapshot, "default", "kubernetes")
}

func (m *Model) seen(a netip.Addr) {
	if a.Unmap().Is4() {
		m.v4 = true
	} else {
		m.v6 = true
	}
}

// has says whether the cluster may use the family of an address.
func (m *Model) has(a netip.Addr) bool {
	if !m.v4 && !m.v6 {
		return true
	}
	if a.Is4() {
		return m.v4
	}
	return m.v6
}

// endpointsOf returns the addresses and ports that stand behind a Service which
// selects no pods.
func endpointsOf(s *cluster.Snapshot, namespace, service string) (addrs []netip.Addr, ports []uint16) {
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(addrs, a.Unmap()) {
			addrs = append(addrs, a.Unmap())
		}
	}
	addPorts := func(list []*document.Node) {
		for _, n := range list {
			if p, _ := n.Get("port").Int(); p > 0 && p < 1<<16 && !slices.Contains(ports, uint16(p)) {
				ports = append(ports, uint16(p))
			}
		}
	}
	for _, o := range s.Kind("EndpointSlice") {
		if o.Group() == "discovery.k8s.io" && o.Namespace == namespace && o.Labels()["kubernetes.io/service-name"] == service {
			for _, e := range o.Root.Get("endpoints").List() {
				for _, a := range e.Get("addresses").List() {
					add(a.Str())
				}
			}
			addPorts(o.Root.Get("ports").List())
		}
	}
	if o := s.Get("", "Endpoints", namespace, service); o != nil && len(addrs) == 0 {
		for _, subset := range o.Root.Get("subsets").List() {
			for _, a := range subset.Get("addresses").List() {
				add(a.Get("ip").Str())
			}
			addPorts(subset.Get("ports").List())
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	slices.Sort(ports)
	return addrs, ports
}

// span is a run of addresses of one family.
type span struct{ first, last netip.Addr }

func spanOf(p netip.Prefix) span {
	p = p.Masked()
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return span{p.Addr(), last}
}

// without returns what is left of spans after taking others away.
func without(spans, away []span) []span {
	for _, a := range away {
		var left []span
		for _, s := range spans {
			if a.last.Less(s.first) || s.last.Less(a.first) || a.first.BitLen() != s.first.BitLen() {
				left = append(left, s)
				continue
			}
			if s.first.Less(a.first) {
				left = append(left, span{s.first, a.first.Prev()})
			}
			if a.last.Less(s.last) {
				left = append(left, span{a.last.Next(), s.last})
			}
		}
		spans = left
	}
	return spans
}

// cut cuts spans where any of the ranges begins or ends, so that each range
// holds the whole of a piece or nothing of it.
func cut(spans []span, at []netip.Prefix) []span {
	for _, prefix := range at {
		edge := spanOf(prefix)
		var out []span
		for _, s := range spans {
			if edge.last.Less(s.first) || s.last.Less(edge.first) || edge.first.BitLen() != s.first.BitLen() {
				out = append(out, s)
				continue
			}
			if s.first.Less(edge.first) {
				out = append(out, span{s.first, edge.first.Prev()})
				s.first = edge.first
			}
			if edge.last.Less(s.last) {
				out = append(out, span{s.first, edge.last})
				s.first = edge.last.Next()
			}
			out = append(out, s)
		}
		spans = out
	}
	return spans
}

// prefixes returns the fewest ranges in CIDR notation that make up a span.
func (s span) prefixes() []netip.Prefix {
	var out []netip.Prefix
	for at := s.first; ; {
		bits := at.BitLen()
		for bits > 0 {
			wider := netip.PrefixFrom(at, bits-1)
			if wider.Masked().Addr() != at || s.last.Less(spanOf(wider).last) {
				break
			}
			bits--
		}
		prefix := netip.PrefixFrom(at, bits)
		out = append(out, prefix)
		last := spanOf(prefix).last
		if last == s.last {
			return out
		}
		at = last.Next()
	}
}

// internet returns the addresses of a family that are reached over the
// internet: what RFC 6890 sets aside for other uses is none of it.
func internet(six bool) []span {
	if six {
		return internet6()
	}
	return internet4()
}

var (
	internet4 = sync.OnceValue(func() []span {
		return without([]span{spanOf(netip.MustParsePrefix("0.0.0.0/0"))}, spansOf(
			"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
			"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"))
	})
	internet6 = sync.OnceValue(func() []span {
		return without([]span{spanOf(netip.MustParsePrefix("2000::/3"))}, spansOf("2001:db8::/32", "2001::/23", "3fff::/20"))
	})
)

func spansOf(prefixes ...string) []span {
	out := make([]span, len(prefixes))
	for i, p := range prefixes {
		out[i] = spanOf(netip.MustParsePrefix(p))
	}
	return out
}
