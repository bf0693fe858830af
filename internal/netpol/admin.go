package netpol

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// readAdminRules reads the tier, the priority and the rules of a policy of the
// cluster's administrator, and faults what the schemas of network-policy-api
// refuse: of ClusterNetworkPolicy that of v0.2.0 (v1alpha2), of AdminNetworkPolicy
// and BaselineAdminNetworkPolicy that of v0.1.7 (v1alpha1), of the experimental
// channel, which has all that the standard one has.
func (p *Policy) readAdminRules(spec *document.Node) {
	p.tier = AdminTier
	known := []string{"subject", "ingress", "egress"}
	switch {
	case p.isCluster():
		known = append(known, "tier", "priority")
	case p.isBaseline():
		p.tier = BaselineTier
	default:
		known = append(known, "priority")
	}
	if !p.fields(spec, "spec", known...) {
		return
	}
	if p.isCluster() {
		switch tier := spec.Get("tier").Str(); tier {
		case "Admin":
		case "Baseline":
			p.tier = BaselineTier
		default:
			p.fault("spec.tier", "tier %q: want Admin or Baseline", tier)
		}
	}
	if !p.isBaseline() {
		priority, ok := whole(spec.Get("priority"))
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

func (p *Policy) isBaseline() bool { return p.Object.Kind == "BaselineAdminNetworkPolicy" }

// fields faults what is no mapping, which it returns, and fields that a mapping
// must not have: API servers drop them, and kubectl does not send them.
func (p *Policy) fields(n *document.Node, path string, known ...string) bool {
	if n.Kind() != document.Map {
		p.fault(path, "want a mapping with %s", strings.Join(known, ", "))
		return false
	}
	for _, f := range n.Map() {
		if !slices.Contains(known, f.Key) {
			p.fault(document.Key(path, f.Key), "there is no field %s: want %s", f.Key, strings.Join(known, ", "))
		}
	}
	return true
}

// only returns the field of a mapping that must have one, those that are null not
// counted.
func (p *Policy) only(n *document.Node, path string, known ...string) (document.Field, bool) {
	var set []document.Field
	for _, f := range n.Map() {
		if !f.Value.IsNull() {
			set = append(set, f)
		}
	}
	if len(set) == 1 && (known == nil || slices.Contains(known, set[0].Key)) {
		return set[0], true
	}
	if known == nil {
		p.fault(path, "there must be one field, and there are %d", len(set))
	} else {
		p.fault(path, "want a mapping with one of %s", strings.Join(known, ", "))
	}
	return document.Field{}, false
}

// whole reads a number as the API server reads JSON: 80.0 is 80.
func whole(n *document.Node) (int64, bool) {
	if f, ok := n.Float(); ok && f == math.Trunc(f) && math.Abs(f) < 1<<31 {
		return int64(f), true
	}
	return n.Int()
}

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

// some is list for those that must not be empty where they are there.
func (p *Policy) some(parent *document.Node, path, key string) []*document.Node {
	list := p.list(parent, path, key)
	if n := parent.Get(key); n.Kind() == document.List && len(list) == 0 {
		p.fault(document.Key(path, key), "%s must not be empty: leave it out", key)
	}
	return list
}

func (p *Policy) readSubject(n *document.Node) {
	switch f, _ := p.only(n, "spec.subject", "namespaces", "pods"); f.Key {
	case "namespaces":
		p.selector(f.Value, "spec.subject.namespaces", false)
	case "pods":
		p.readPods(f.Value, "spec.subject.pods")
	}
}

// readPods reads the selectors of the pods of some namespaces. v1alpha2 takes
// an absent selector of namespaces for all of them.
func (p *Policy) readPods(n *document.Node, path string) (namespaces, pods cluster.Selector) {
	if !p.fields(n, path, "namespaceSelector", "podSelector") {
		return namespaces, pods
	}
	for _, key := range [...]string{"namespaceSelector", "podSelector"} {
		if n.Get(key).IsNull() && (key == "podSelector" || !p.isCluster()) {
			p.fault(document.Key(path, key), "%s is missing: {} selects all", key)
		}
	}
	return p.selector(n.Get("namespaceSelector"), path+".namespaceSelector", true), p.selector(n.Get("podSelector"), path+".podSelector", true)
}

func (p *Policy) readAdminRule(n *document.Node, path string, d Direction) Rule {
	r := Rule{Path: path}
	peers, ports, allow := peersField(d), "ports", "Allow"
	if p.isCluster() {
		ports, allow = "protocols", "Accept"
	}
	if !p.fields(n, path, "name", "action", peers, ports) {
		return r
	}
	if name := n.Get("name"); !name.IsNull() && (name.Kind() != document.String || utf8.RuneCountInString(name.Str()) > 100) {
		p.fault(path+".name", "a name must be a text of at most 100 characters")
	}
	switch action := n.Get("action").Str(); {
	case action == allow:
	case action == "Deny":
		r.Action = Deny
	case action == "Pass" && !p.isBaseline():
		r.Action = Pass
	default:
		p.fault(path+".action", "action %q: want %s, Deny or, but for the baseline of v1alpha1, Pass", action, allow)
	}
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
	p.readAdminPorts(&r, n, ports)
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
	f, ok := p.only(n, path)
	if !ok {
		return nil, true
	}
	at := document.Key(path, f.Key)
	switch {
	case f.Key == "namespaces":
		return []Peer{{Path: at, Namespaces: p.selector(f.Value, at, false), Pods: p.selector(nil, at, true)}}, true
	case f.Key == "pods":
		namespaces, pods := p.readPods(f.Value, at)
		return []Peer{{Path: at, Namespaces: namespaces, Pods: pods}}, true
	case d == Ingress:
		return nil, false
	case f.Key == "nodes":
		return []Peer{{Path: at, Kind: NodePeer, Nodes: p.selector(f.Value, at, false)}}, true
	case f.Key == "networks":
		return p.readNetworks(n, path), true
	case f.Key == "domainNames" && !p.isBaseline():
		return p.readDomains(n, path), true
	}
	return nil, false
}

// distinct returns a list of texts of which all versions of the API allow 25,
// and none twice.
func (p *Policy) distinct(n *document.Node, path, key string) []*document.Node {
	list, path := p.some(n, path, key), document.Key(path, key)
	if len(list) > 25 {
		p.fault(path, "there are %d items, and the API allows 25", len(list))
		return nil
	}
	for i, v := range list {
		if slices.ContainsFunc(list[:i], func(other *document.Node) bool { return document.Equal(v, other) }) {
			p.fault(document.Index(path, i), "%q stands there twice", v.Str())
		}
	}
	return list
}

func (p *Policy) readNetworks(n *document.Node, path string) []Peer {
	var out []Peer
	for i, v := range p.distinct(n, path, "networks") {
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

// domainForm is what the schemas take for a domain name. They write A-z for the
// first character of a label, and so take some signs, too.
var domainForm = regexp.MustCompile(`^(\*\.)?([A-z0-9]([\w-]*[a-zA-Z0-9])?\.)+[A-z0-9]([\w-]*[a-zA-Z0-9])?\.?$`)

func (p *Policy) readDomains(n *document.Node, path string) []Peer {
	var out []Peer
	for i, v := range p.distinct(n, path, "domainNames") {
		at := document.Index(path+".domainNames", i)
		if !domainForm.MatchString(v.Str()) {
			p.fault(at, "%q is no domain name such as example.com or *.example.com", v.Str())
			continue
		}
		out = append(out, Peer{Path: at, Kind: DomainPeer, Domain: strings.TrimSuffix(v.Str(), ".")})
	}
	return out
}

// readAdminPorts reads ports, as v1alpha1 calls them, or protocols.
func (p *Policy) readAdminPorts(r *Rule, n *document.Node, key string) {
	path := document.Key(r.Path, key)
	list := p.atMost(p.some(n, r.Path, key), path)
	r.AnyPort = len(list) == 0
	for i, item := range list {
		read := p.readProtocol
		if key == "ports" {
			read = p.readAdminPort
		}
		if port, ok := read(item, document.Index(path, i)); ok {
			r.Ports = append(r.Ports, port)
		}
	}
}

// readAdminPort reads a port of v1alpha1, whose protocol is TCP by default.
func (p *Policy) readAdminPort(n *document.Node, path string) (Port, bool) {
	f, ok := p.only(n, path, "portNumber", "portRange", "namedPort")
	path = document.Key(path, f.Key)
	switch {
	case !ok:
	case f.Key == "namedPort":
		return p.namedPort(f.Value, path)
	case f.Key == "portNumber" && p.fields(f.Value, path, "protocol", "port"):
		first := p.number(f.Value.Get("port"), path+".port")
		return Port{p.protocol(f.Value.Get("protocol"), path+".protocol"), "", first, first}, true
	case f.Key == "portRange" && p.fields(f.Value, path, "protocol", "start", "end"):
		return p.span(f.Value, path, p.protocol(f.Value.Get("protocol"), path+".protocol")), true
	}
	return Port{}, false
}

// readProtocol reads a protocol of v1alpha2, with or without a port of it.
func (p *Policy) readProtocol(n *document.Node, path string) (Port, bool) {
	f, ok := p.only(n, path, "tcp", "udp", "sctp", "destinationNamedPort")
	path = document.Key(path, f.Key)
	switch {
	case !ok:
		return Port{}, false
	case f.Key == "destinationNamedPort":
		return p.namedPort(f.Value, path)
	}
	protocol := strings.ToUpper(f.Key)
	if f, ok = p.only(f.Value, path, "destinationPort"); !ok {
		return Port{}, false
	}
	path += ".destinationPort"
	f, ok = p.only(f.Value, path, "number", "range")
	path = document.Key(path, f.Key)
	switch {
	case !ok:
	case f.Key == "number":
		first := p.number(f.Value, path)
		return Port{protocol, "", first, first}, true
	case p.fields(f.Value, path, "start", "end"):
		return p.span(f.Value, path, protocol), true
	}
	return Port{}, false
}

// namedPort reads the name of a port. The schemas take any text; an empty one is
// no name.
func (p *Policy) namedPort(n *document.Node, path string) (Port, bool) {
	if n.Str() == "" {
		p.fault(path, "want the name of a port")
		return Port{}, false
	}
	return Port{Name: n.Str()}, true
}

func (p *Policy) span(n *document.Node, path, protocol string) Port {
	port := Port{Protocol: protocol, First: p.number(n.Get("start"), path+".start"), Last: p.number(n.Get("end"), path+".end")}
	if port.Last < port.First || port.Last == port.First && p.isCluster() {
		p.fault(path, "the start %d is not below the end %d", port.First, port.Last)
	}
	return port
}
