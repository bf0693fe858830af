package netpol

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Tier says when policies are asked: those of a lower tier first.
type Tier uint8

// The tiers. NetworkPolicies decide for every pod that one of them isolates;
// Baseline is asked for the others.
const (
	AdminTier Tier = iota
	NetworkTier
	BaselineTier
)

// String returns the name that people use.
func (t Tier) String() string {
	return [...]string{"Admin", "NetworkPolicy", "Baseline"}[t]
}

// Action is what a rule does with the traffic that it matches.
type Action uint8

// The actions. NetworkPolicies only allow. Pass leaves the decision to the next
// tier. AdminNetworkPolicy calls Allow what ClusterNetworkPolicy calls Accept.
const (
	Allow Action = iota
	Deny
	Pass
)

// Rule is one rule of a policy.
type Rule struct {
	Path   string // from the object: spec.ingress[0]
	Action Action
	// Peers are alternatives; AnyPeer says that the rule asks for none.
	Peers   []Peer
	AnyPeer bool
	// Ports are alternatives; AnyPort says that the rule asks for none, so that it
	// matches all ports of all protocols.
	Ports   []Port
	AnyPort bool
	// FailClosed is the path of a peer of a kind that is not known here. As the API
	// of ClusterNetworkPolicy wants it, the rule then matches nothing if it would
	// accept, and otherwise denies everything.
	FailClosed string
}

// PeerKind says by what a peer is told.
type PeerKind uint8

// The kinds of peer.
const (
	PodPeer PeerKind = iota
	BlockPeer
	NodePeer
	DomainPeer
)

// Peer is one of the peers of a rule.
type Peer struct {
	Path string
	Kind PeerKind
	// Namespace is the only namespace of a PodPeer; where it is empty Namespaces
	// selects them.
	Namespace        string
	Namespaces, Pods cluster.Selector
	// Block without Except is the range of addresses of a BlockPeer.
	Block  netip.Prefix
	Except []netip.Prefix
	Nodes  cluster.Selector
	Domain string
}

// Port is one of the ports of a rule: a name, or a range of numbers, 0 to 65535
// for a whole protocol.
type Port struct {
	Protocol    string // TCP, UDP or SCTP; empty for a name in any of them
	Name        string
	First, Last uint16
}

// Fault is a part of a policy that the API server would refuse, or that it takes
// although nobody says what it means, such as a selector with an operator that
// does not exist.
type Fault struct {
	Path string
	Err  error
}

// Tier returns the tier of the policy.
func (p *Policy) Tier() Tier { return p.tier }

// Priority returns the place of the policy within its tier, low numbers first,
// from 0 to 1000. NetworkPolicies have none.
func (p *Policy) Priority() int { return p.priority }

// Subject returns the pods that a policy holds for.
func (p *Policy) Subject() Peer {
	return Peer{Path: p.Path, Namespace: p.namespace, Namespaces: p.namespaces, Pods: p.pods}
}

// Rules returns the rules of a direction in their order; none for policies that
// are not Understood.
func (p *Policy) Rules(d Direction) []Rule { return p.rules[d] }

// Understood says that the rules of the policy are in a language that this
// package reads.
func (p *Policy) Understood() bool { return !p.cilium && !p.unread }

// Concerns says whether the policy can change the fate of traffic in a direction.
func (p *Policy) Concerns(d Direction) bool {
	if p.cilium {
		spec, _ := p.Object.Root.Find(p.Path)
		return p.isolates[d] || spec.Get(d.String()).Len() > 0 || spec.Get(d.String()+"Deny").Len() > 0
	}
	return p.isolates[d] || p.badTypes || len(p.rules[d]) > 0 || len(p.faults) > 0 && p.tier != NetworkTier
}

// Faults returns what keeps a policy from being applied. Nobody can tell what
// holds in its place.
func (p *Policy) Faults() []Fault { return p.faults }

func (p *Policy) fault(path, format string, args ...any) {
	p.faults = append(p.faults, Fault{Path: path, Err: fmt.Errorf(format, args...)})
}

// selector reads one, and faults what it does not know: a misspelt matchLabels
// would select everything.
func (p *Policy) selector(n *document.Node, path string, orAll bool) cluster.Selector {
	for _, f := range n.Map() {
		if f.Key != "matchLabels" && f.Key != "matchExpressions" {
			p.fault(document.Key(path, f.Key), "a label selector has no field %s", f.Key)
		}
	}
	p.labels(n, path)
	read := cluster.LabelSelector
	if orAll {
		read = selectorOrAll
	}
	sel, err := read(n)
	if err != nil {
		p.fault(path, "%w", err)
	}
	return sel
}

// labels faults keys and values that no label can have. An object may ask for
// them in vain all the same, but the API server lets no policy do so.
func (p *Policy) labels(n *document.Node, path string) {
	check := func(path, key string, values ...string) {
		problems := validation.IsQualifiedName(key)
		for _, v := range values {
			problems = append(problems, validation.IsValidLabelValue(v)...)
		}
		if len(problems) > 0 {
			p.fault(path, "%s", problems[0])
		}
	}
	for _, f := range n.Get("matchLabels").Map() {
		if f.Value.IsNull() && p.tier != NetworkTier {
			p.fault(document.Key(path+".matchLabels", f.Key), "a label without a value is dropped, and the selector selects more: write \"\"")
		}
		check(document.Key(path+".matchLabels", f.Key), f.Key, f.Value.Str())
	}
	for i, e := range n.Get("matchExpressions").List() {
		at := document.Index(path+".matchExpressions", i)
		for _, f := range e.Map() {
			if f.Key != "key" && f.Key != "operator" && f.Key != "values" {
				p.fault(document.Key(at, f.Key), "a requirement of a selector has no field %s", f.Key)
			}
		}
		var values []string
		for _, v := range p.list(e, at, "values") {
			values = append(values, v.Str())
		}
		check(at, e.Get("key").Str(), values...)
	}
}

// list returns the items of a field that may be absent.
func (p *Policy) list(parent *document.Node, path, key string) []*document.Node {
	n := parent.Get(key)
	if !n.IsNull() && n.Kind() != document.List {
		p.fault(document.Key(path, key), "%s must be a list", key)
	}
	return n.List()
}

// readRules reads the rules of a NetworkPolicy. Those of a direction that the
// policy does not isolate are inert.
func (p *Policy) readRules(spec *document.Node) {
	types := p.list(spec, p.Path, "policyTypes")
	if len(types) > 2 {
		p.fault(p.Path+".policyTypes", "there are two policy types, Ingress and Egress")
	}
	for i, t := range types {
		if s := t.Str(); s != "Ingress" && s != "Egress" {
			p.fault(document.Index(p.Path+".policyTypes", i), "policy type %q: want Ingress or Egress", s)
			p.badTypes = true
		}
	}
	for _, d := range [...]Direction{Ingress, Egress} {
		path := document.Key(p.Path, d.String())
		for i, n := range p.list(spec, p.Path, d.String()) {
			r := p.readRule(n, document.Index(path, i), d)
			if p.isolates[d] {
				p.rules[d] = append(p.rules[d], r)
			}
		}
	}
}

func (p *Policy) readRule(n *document.Node, path string, d Direction) Rule {
	r := Rule{Path: path}
	if !isStruct(n) {
		p.fault(path, "a rule must be a mapping")
		return r
	}
	peers := peersField(d)
	list := p.list(n, path, peers)
	r.AnyPeer = len(list) == 0
	for i, peer := range list {
		if read, ok := p.readPeer(peer, document.Index(document.Key(path, peers), i)); ok {
			r.Peers = append(r.Peers, read)
		}
	}
	ports := p.list(n, path, "ports")
	r.AnyPort = len(ports) == 0
	for i, port := range ports {
		if read, ok := p.readPort(port, document.Index(path+".ports", i)); ok {
			r.Ports = append(r.Ports, read)
		}
	}
	return r
}

func peersField(d Direction) string {
	if d == Egress {
		return "to"
	}
	return "from"
}

// isStruct says that the API server decodes a value into a struct. A null becomes
// an empty one: the rule that allows everything, if it stands for a rule.
func isStruct(n *document.Node) bool { return n.IsNull() || n.Kind() == document.Map }

// readPeer reads a peer of a NetworkPolicy. A namespaceSelector alone means all
// pods of the namespaces, a podSelector alone pods of the policy's namespace.
func (p *Policy) readPeer(n *document.Node, path string) (Peer, bool) {
	peer := Peer{Path: path}
	before := len(p.faults)
	block, namespaces, pods := n.Get("ipBlock"), n.Get("namespaceSelector"), n.Get("podSelector")
	switch {
	case !block.IsNull() && (!namespaces.IsNull() || !pods.IsNull()):
		p.fault(path, "ipBlock stands alone: put the selectors into an item of their own")
	case !block.IsNull():
		p.readBlock(&peer, block, path+".ipBlock")
	case namespaces.IsNull() && pods.IsNull():
		p.fault(path, "a peer must have a podSelector, a namespaceSelector or an ipBlock")
	default:
		if namespaces.IsNull() {
			peer.Namespace = p.namespace
		} else {
			peer.Namespaces = p.selector(namespaces, path+".namespaceSelector", false)
		}
		peer.Pods = p.selector(pods, path+".podSelector", true)
	}
	return peer, len(p.faults) == before
}

func (p *Policy) readBlock(peer *Peer, n *document.Node, path string) {
	peer.Kind = BlockPeer
	var err error
	if peer.Block, err = parsePrefix(n.Get("cidr").Str()); err != nil {
		p.fault(path+".cidr", "%w", err)
		return
	}
	for i, e := range p.list(n, path, "except") {
		except, err := parsePrefix(e.Str())
		at := document.Index(path+".except", i)
		switch {
		case err != nil:
			p.fault(at, "%w", err)
		case !peer.Block.Contains(except.Addr()) || except.Bits() <= peer.Block.Bits():
			p.fault(at, "%s is no part of %s", except, peer.Block)
		}
		peer.Except = append(peer.Except, except)
	}
}

// parsePrefix reads a range of addresses. Host bits may be set: API servers before
// Kubernetes 1.36 let them.
func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is no range of addresses such as 10.0.0.0/8 or fd00::/8", s)
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 range in IPv6 notation, which plugins read differently: write it as IPv4", s)
	}
	return prefix.Masked(), nil
}

// readPort reads a port of a NetworkPolicy. The protocol is TCP by default.
func (p *Policy) readPort(n *document.Node, path string) (Port, bool) {
	before := len(p.faults)
	if !isStruct(n) {
		p.fault(path, "a port must be a mapping")
		return Port{}, false
	}
	port := Port{Protocol: p.protocol(n.Get("protocol"), path+".protocol"), Last: 65535}
	number, end := n.Get("port"), n.Get("endPort")
	switch {
	case number.IsNull() && !end.IsNull():
		p.fault(path+".endPort", "endPort needs a port")
	case number.IsNull():
	case number.Kind() == document.String && number.Str() != "":
		port.Name = number.Str()
		if problems := validation.IsValidPortName(port.Name); len(problems) > 0 {
			p.fault(path+".port", "%q is no name of a port: %s", port.Name, problems[0])
		}
		if !end.IsNull() {
			p.fault(path+".endPort", "endPort needs a number for a port, not a name")
		}
	default:
		port.First = p.number(number, path+".port")
		port.Last = port.First
		if !end.IsNull() {
			if port.Last = p.number(end, path+".endPort"); port.Last < port.First {
				p.fault(path+".endPort", "endPort %d is below port %d", port.Last, port.First)
			}
		}
	}
	return port, len(p.faults) == before
}

func (p *Policy) protocol(n *document.Node, path string) string {
	switch s := n.Str(); {
	case n.IsNull():
		return "TCP"
	case s == "TCP", s == "UDP", s == "SCTP":
		return s
	}
	p.fault(path, "protocol %q: want TCP, UDP or SCTP", n.Str())
	return ""
}

func (p *Policy) number(n *document.Node, path string) uint16 {
	i, ok := whole(n)
	if !ok || i < 1 || i > 65535 {
		p.fault(path, "a port must be a number from 1 to 65535")
		return 0
	}
	return uint16(i)
}
