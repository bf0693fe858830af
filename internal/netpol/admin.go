package netpol

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/document"
)

// readAdminRules reads the tier, the priority and the rules of a policy of the
// cluster's administrator, as network-policy-api v0.2.0 has them:
// ClusterNetworkPolicy (v1alpha2), AdminNetworkPolicy and
// BaselineAdminNetworkPolicy (v1alpha1).
func (p *Policy) readAdminRules(spec *document.Node) {
	p.tier = AdminTier
	cnp := p.isCluster()
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
	} else if p.Object.Name != "default" {
		p.fault("metadata.name", "the one BaselineAdminNetworkPolicy of a cluster is called default")
	}
	p.readSubject(spec.Get("subject"))
	for _, d := range [...]Direction{Ingress, Egress} {
		path := document.Key("spec", d.String())
		for i, n := range p.atMost(p.list(spec, "spec", d.String()), path) {
			p.rules[d] = append(p.rules[d], p.readAdminRule(n, document.Index(path, i), d))
		}
	}
}

func (p *Policy) isCluster() bool { return p.Object.Kind == "ClusterNetworkPolicy" }

// atMost faults lists that are longer than the API allows: 25 items, in v1alpha1
// 100.
func (p *Policy) atMost(list []*document.Node, path string) []*document.Node {
	most := 100
	if p.isCluster() {
		most = 25
	}
	if len(list) > most {
		p.fault(path, "there are %d items, and the API allows %d", len(list), most)
	}
	return list
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
	allow, baseline := "Allow", p.Object.Kind == "BaselineAdminNetworkPolicy"
	if p.isCluster() {
		allow = "Accept"
	}
	switch action := n.Get("action").Str(); {
	case action == allow:
	case action == "Deny":
		r.Action = Deny
	case action == "Pass" && !baseline:
		r.Action = Pass
	default:
		p.fault(path+".action", "action %q: want %s, Deny or, but for the baseline of v1alpha1, Pass", action, allow)
	}
	peers := peersField(d)
	list := p.atMost(p.list(n, path, peers), document.Key(path, peers))
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
	p.checkNames(&r)
	if r.FailClosed != "" {
		r.Peers = nil
		if r.Action != Allow {
			r.Action, r.AnyPeer, r.AnyPort = Deny, true, true
		}
	}
	return r
}

// checkNames faults names of ports beside peers that name none, and domain names
// in rules that do not accept.
func (p *Policy) checkNames(r *Rule) {
	named := slices.ContainsFunc(r.Ports, func(port Port) bool { return port.Name != "" })
	for _, peer := range r.Peers {
		if named && peer.Kind != PodPeer {
			p.fault(peer.Path, "a rule that asks for a port by its name can have pods and namespaces for peers only")
		}
		if peer.Kind == DomainPeer && r.Action != Allow {
			p.fault(peer.Path, "domain names are for rules that accept")
		}
	}
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
			for i, name := range p.networks(n, path, "domainNames") {
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

// networks returns a list of which all versions of the API allow 25 items.
func (p *Policy) networks(n *document.Node, path, key string) []*document.Node {
	list := p.list(n, path, key)
	if len(list) > 25 {
		p.fault(document.Key(path, key), "there are %d items, and the API allows 25", len(list))
	}
	return list
}

func (p *Policy) readNetworks(n *document.Node, path string) []Peer {
	var out []Peer
	for i, v := range p.networks(n, path, "networks") {
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
	ports, protocols := p.atMost(p.list(n, r.Path, "ports"), r.Path+".ports"), p.atMost(p.list(n, r.Path, "protocols"), r.Path+".protocols")
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
	if port.Last < port.First || port.Last == port.First && p.isCluster() {
		p.fault(path, "the start %d is not below the end %d", port.First, port.Last)
	}
	return port
}
