package netpol

import (
	"strings"

	"seawall.io/seawall/internal/document"
)

// readAdminRules reads the tier, the priority and the rules of a policy of the
// cluster's administrator, as network-policy-api v0.2.0 has them:
// ClusterNetworkPolicy (v1alpha2), AdminNetworkPolicy and
// BaselineAdminNetworkPolicy (v1alpha1).
func (p *Policy) readAdminRules(spec *document.Node) {
	p.tier = AdminTier
	cnp := p.Object.Kind == "ClusterNetworkPolicy"
	switch {
	case cnp && spec.Get("tier").Str() == "Baseline", p.Object.Kind == "BaselineAdminNetworkPolicy":
		p.tier = BaselineTier
	case cnp && spec.Get("tier").Str() != "Admin":
		p.fault("spec.tier", "tier %q: want Admin or Baseline", spec.Get("tier").Str())
	}
	if p.Object.Kind != "BaselineAdminNetworkPolicy" {
		priority, ok := spec.Get("priority").Int()
		if !ok || priority < 0 || priority > 1000 {
			p.fault("spec.priority", "priority must be a number from 0 to 1000")
		}
		p.priority = int(priority)
	}
	p.readSubject(spec.Get("subject"))
	for _, d := range [...]Direction{Ingress, Egress} {
		path := document.Key("spec", d.String())
		for i, n := range p.list(spec, "spec", d.String()) {
			p.rules[d] = append(p.rules[d], p.readAdminRule(n, document.Index(path, i), d))
		}
	}
}

func (p *Policy) readSubject(n *document.Node) {
	namespaces, pods := n.Get("namespaces"), n.Get("pods")
	switch {
	case namespaces.IsNull() == pods.IsNull():
		p.fault("spec.subject", "a subject must have either namespaces or pods")
	case pods.IsNull():
		p.selector(namespaces, "spec.subject.namespaces", false)
	default:
		p.selector(pods.Get("namespaceSelector"), "spec.subject.pods.namespaceSelector", true)
		p.selector(pods.Get("podSelector"), "spec.subject.pods.podSelector", true)
	}
}

func (p *Policy) readAdminRule(n *document.Node, path string, d Direction) Rule {
	r := Rule{Path: path}
	switch action := n.Get("action").Str(); action {
	case "Allow", "Accept":
	case "Deny":
		r.Action = Deny
	case "Pass":
		r.Action = Pass
	default:
		p.fault(path+".action", "action %q: want Accept (Allow in AdminNetworkPolicy), Deny or Pass", action)
	}
	peers := peersField(d)
	list := p.list(n, path, peers)
	if len(list) == 0 {
		p.fault(document.Key(path, peers), "%s must name at least one peer", peers)
	}
	for i, peer := range list {
		at := document.Index(document.Key(path, peers), i)
		read, known := p.readAdminPeer(peer, at, d)
		if !known {
			r.FailClosed = at
		}
		r.Peers = append(r.Peers, read...)
	}
	p.readAdminPorts(&r, n)
	if r.FailClosed != "" {
		r.Peers = nil
		if r.Action != Allow {
			r.Action, r.AnyPeer, r.AnyPort = Deny, true, true
		}
	}
	return r
}

// readAdminPeer reads one peer, which is several where it names several
// networks. known is false for a peer of no kind that stands here.
func (p *Policy) readAdminPeer(n *document.Node, path string, d Direction) (out []Peer, known bool) {
	if n.Kind() != document.Map {
		p.fault(path, "a peer must be a mapping")
		return nil, true
	}
	kinds := 0
	for _, f := range n.Map() {
		at := document.Key(path, f.Key)
		switch {
		case f.Value.IsNull():
			continue
		case f.Key == "namespaces":
			out = append(out, Peer{Path: at, Namespaces: p.selector(f.Value, at, false), Pods: p.selector(nil, at, true)})
		case f.Key == "pods":
			out = append(out, Peer{
				Path:       at,
				Namespaces: p.selector(f.Value.Get("namespaceSelector"), at+".namespaceSelector", true),
				Pods:       p.selector(f.Value.Get("podSelector"), at+".podSelector", true),
			})
		case d == Ingress:
			continue
		case f.Key == "nodes":
			out = append(out, Peer{Path: at, Kind: NodePeer, Nodes: p.selector(f.Value, at, false)})
		case f.Key == "networks":
			out = append(out, p.readNetworks(n, path)...)
		case f.Key == "domainNames":
			for i, name := range p.list(n, path, "domainNames") {
				out = append(out, Peer{Path: document.Index(at, i), Kind: DomainPeer, Domain: strings.TrimSuffix(name.Str(), ".")})
			}
		default:
			continue
		}
		kinds++
	}
	if kinds > 1 {
		p.fault(path, "a peer must have one field")
	}
	return out, kinds > 0
}

func (p *Policy) readNetworks(n *document.Node, path string) []Peer {
	var out []Peer
	for i, v := range p.list(n, path, "networks") {
		at := document.Index(path+".networks", i)
		block, err := parsePrefix(v.Str())
		if err != nil {
			p.fault(at, "%w", err)
			continue
		}
		out = append(out, Peer{Path: at, Kind: BlockPeer, Block: block})
	}
	return out
}

// readAdminPorts reads ports, as v1alpha1 calls them, or protocols.
func (p *Policy) readAdminPorts(r *Rule, n *document.Node) {
	ports, protocols := p.list(n, r.Path, "ports"), p.list(n, r.Path, "protocols")
	r.AnyPort = len(ports)+len(protocols) == 0
	for i, port := range ports {
		path := document.Index(r.Path+".ports", i)
		number, span, name := port.Get("portNumber"), port.Get("portRange"), port.Get("namedPort").Str()
		switch {
		case !number.IsNull():
			first := p.number(number.Get("port"), path+".portNumber.port")
			r.Ports = append(r.Ports, Port{p.protocol(number.Get("protocol"), path+".portNumber.protocol"), "", first, first})
		case !span.IsNull():
			r.Ports = append(r.Ports, p.span(span, path+".portRange", p.protocol(span.Get("protocol"), path+".portRange.protocol")))
		case name != "":
			r.Ports = append(r.Ports, Port{Name: name})
		default:
			p.fault(path, "a port must have a portNumber, a portRange or a namedPort")
		}
	}
	for i, protocol := range protocols {
		path := document.Index(r.Path+".protocols", i)
		if len(protocol.Map()) != 1 {
			p.fault(path, "a protocol must have one field: tcp, udp, sctp or destinationNamedPort")
			continue
		}
		switch f := protocol.Map()[0]; f.Key {
		case "tcp", "udp", "sctp":
			r.Ports = append(r.Ports, p.destination(f.Value, document.Key(path, f.Key), strings.ToUpper(f.Key)))
		case "destinationNamedPort":
			r.Ports = append(r.Ports, Port{Name: f.Value.Str()})
		default:
			p.fault(path, "a protocol must have one field: tcp, udp, sctp or destinationNamedPort")
		}
	}
}

func (p *Policy) destination(n *document.Node, path, protocol string) Port {
	port := n.Get("destinationPort")
	if port.IsNull() {
		return Port{Protocol: protocol, Last: 65535}
	}
	path += ".destinationPort"
	if span := port.Get("range"); !span.IsNull() {
		return p.span(span, path+".range", protocol)
	}
	first := p.number(port.Get("number"), path+".number")
	return Port{protocol, "", first, first}
}

func (p *Policy) span(n *document.Node, path, protocol string) Port {
	port := Port{Protocol: protocol, First: p.number(n.Get("start"), path+".start"), Last: p.number(n.Get("end"), path+".end")}
	if port.Last < port.First {
		p.fault(path, "the end %d is below the start %d", port.Last, port.First)
	}
	return port
}
