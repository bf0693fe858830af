package reach

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
)

// Model answers questions about one snapshot. It is safe for many goroutines.
type Model struct {
	snapshot *cluster.Snapshot
	policies *netpol.Model
	cni      CNI
	// unlisted names policies that the snapshot lacks, since they could not be
	// listed: with them, any answer may be another.
	unlisted string

	pods     []*pod
	byPlace  map[place]*pod
	compiled []*policy
	matchers []*matcher
	// names are the named ports that policies ask for.
	names []netpol.Port

	classes  []*class
	hosts    bitset // the classes of pods on the host's network
	byNames  []named
	profiles [2]map[string]*profile

	nodes     nodes
	apiServer []netip.Addr
	apiPorts  []uint16
	v4, v6    bool // the families that the cluster is seen to use; neither if it shows none

	mu     sync.Mutex
	ports  map[string]*Ports    // of equal ones, the only
	joined map[[2]*Ports]*Ports // and of two
}

// place tells the templates of a snapshot apart.
type place struct {
	object *cluster.Object
	path   string
}

func placeOf(t *cluster.PodTemplate) place { return place{t.Object, t.SpecPath} }

// pod is what a question needs to know of the pods of one template.
type pod struct {
	template  *cluster.PodTemplate
	namespace string
	host      bool // on the host's network
	addrs     []netip.Addr
	names     []namedPort
	class     *class
	profiles  [2]*profile // of a pod without a class
}

type namedPort struct {
	name string
	port Port
}

// policy is a policy with its rules made ready.
type policy struct {
	*netpol.Policy
	index int // in the order of reading
	rules [2][]*rule
}

type rule struct {
	*netpol.Rule
	peers []*matcher
	ports *Ports        // by numbers
	named []netpol.Port // by names, in names
}

// matcher is one way to tell peers, which many rules may share.
type matcher struct {
	netpol.Peer
	id int
	// admin says that a policy of the administrator asks: pods on the host's network
	// are then never told by labels, and ipBlocks match whatever has an address.
	admin bool
	// sets are the classes that match, by Answer; Denied has none.
	sets [4]bitset
}

// Of returns the model of a snapshot, made once, with the network plugin that
// the snapshot shows.
func Of(s *cluster.Snapshot) *Model {
	type key struct{}
	return cluster.Derive(s, key{}, func() *Model { return With(s, Detect(s)) })
}

// With makes a model for a network plugin.
func With(s *cluster.Snapshot, cni CNI) *Model {
	m := &Model{
		snapshot: s, policies: netpol.Of(s), cni: cni, byPlace: map[place]*pod{},
		profiles: [2]map[string]*profile{{}, {}}, ports: map[string]*Ports{}, joined: map[[2]*Ports]*Ports{},
	}
	for _, resource := range [...]string{"networkpolicies", "clusternetworkpolicies", "adminnetworkpolicies", "baselineadminnetworkpolicies"} {
		if netpol.Unlisted(s, resource) {
			m.unlisted = resource
			break
		}
	}
	m.readAddresses()
	m.addPods()
	m.compile()
	m.classify()
	return m
}

// CNI returns the network plugin that the answers are for.
func (m *Model) CNI() CNI { return m.cni }

// Policies returns the policies that the answers rest on.
func (m *Model) Policies() *netpol.Model { return m.policies }

// addPods reads the pods behind all templates. The addresses of a workload's
// pods are those of the pods that it owns, near or far.
func (m *Model) addPods() {
	addrs := map[*cluster.Object][]netip.Addr{}
	for _, o := range m.snapshot.Kind("Pod") {
		if o.Group() != "" {
			continue
		}
		own := podAddrs(o)
		for at, steps := o, 0; at != nil && steps < 8 && len(own) > 0; at, steps = m.snapshot.Controller(at), steps+1 {
			addrs[at] = append(addrs[at], own...)
		}
	}
	templates := m.snapshot.Templates()
	m.pods = make([]*pod, len(templates))
	for i := range templates {
		p := readPod(&templates[i])
		p.addrs = addrs[p.template.Object]
		m.pods[i] = p
		m.byPlace[placeOf(p.template)] = p
	}
}

func readPod(t *cluster.PodTemplate) *pod {
	p := &pod{template: t, namespace: t.Namespace()}
	p.host, _ = t.Spec().Get("hostNetwork").Bool()
	for i := range t.Containers {
		c := &t.Containers[i]
		if c.Type == cluster.Init || c.Type == cluster.Ephemeral {
			continue // they serve nothing while the pod is ready
		}
		for _, n := range c.Root.Get("ports").List() {
			number, _ := n.Get("containerPort").Int()
			protocol, err := ParseProtocol(n.Get("protocol").Str())
			if err == nil && number > 0 && number < 1<<16 {
				p.names = append(p.names, namedPort{n.Get("name").Str(), Port{protocol, uint16(number)}})
			}
		}
	}
	return p
}

// podAddrs returns the addresses of a pod. One that has ended has none: they may
// be another's by now.
func podAddrs(o *cluster.Object) []netip.Addr {
	status := o.Root.Get("status")
	if phase := status.Get("phase").Str(); phase == "Succeeded" || phase == "Failed" {
		return nil
	}
	var out []netip.Addr
	add := func(s string) {
		if a, err := netip.ParseAddr(s); err == nil && !slices.Contains(out, a.Unmap()) {
			out = append(out, a.Unmap())
		}
	}
	add(status.Get("podIP").Str())
	for _, n := range status.Get("podIPs").List() {
		add(n.Get("ip").Str())
	}
	return out
}

// compile makes rules ready, and each way to tell peers only once.
func (m *Model) compile() {
	known := map[string]*matcher{}
	for _, p := range m.policies.Policies() {
		c := &policy{Policy: p, index: len(m.compiled)}
		for _, d := range [...]netpol.Direction{netpol.Ingress, netpol.Egress} {
			source := p.Rules(d)
			for i := range source {
				c.rules[d] = append(c.rules[d], m.compileRule(p, &source[i], known))
			}
		}
		m.compiled = append(m.compiled, c)
	}
}

func (m *Model) compileRule(p *netpol.Policy, source *netpol.Rule, known map[string]*matcher) *rule {
	r := &rule{Rule: source, ports: everyPort(Denied)}
	for _, peer := range source.Peers {
		key := matcherKey(p, &peer)
		mt := known[key]
		if mt == nil {
			mt = &matcher{Peer: peer, id: len(m.matchers), admin: p.Tier() != netpol.NetworkTier}
			known[key] = mt
			m.matchers = append(m.matchers, mt)
		}
		r.peers = append(r.peers, mt)
	}
	if source.AnyPort {
		r.ports = everyPort(Allowed)
	}
	for _, port := range source.Ports {
		if port.Name != "" {
			r.named = append(r.named, port)
			if !slices.Contains(m.names, port) {
				m.names = append(m.names, port)
			}
			continue
		}
		if protocol, err := ParseProtocol(port.Protocol); err == nil {
			r.ports = r.ports.or(portRange(protocol, port.First, port.Last, Allowed))
		}
	}
	r.ports = m.intern(r.ports)
	return r
}

// matcherKey is the same for peers that match the same.
func matcherKey(p *netpol.Policy, peer *netpol.Peer) string {
	n, _ := p.Object.Root.Find(peer.Path)
	key := peer.Namespace + "\x00" + peer.Block.String() + "\x00" + peer.Domain + "\x00"
	if p.Tier() != netpol.NetworkTier {
		// The field is the last step of the path.
		key = "admin" + key + peer.Path[strings.LastIndexByte(peer.Path, '.'):] + "\x00"
	}
	return key + string(n.AppendJSON(nil))
}

// intern returns the one of equal Ports.
func (m *Model) intern(p *Ports) *Ports {
	key := p.key()
	m.mu.Lock()
	defer m.mu.Unlock()
	if same := m.ports[key]; same != nil {
		return same
	}
	m.ports[key] = p
	return p
}

// both returns the Ports that two interned ones share.
func (m *Model) both(p, q *Ports) *Ports {
	switch {
	case p == q, len(p.steps) == 0, q.free():
		return p
	case len(q.steps) == 0, p.free():
		return q
	}
	key := [2]*Ports{p, q}
	m.mu.Lock()
	out := m.joined[key]
	m.mu.Unlock()
	if out == nil {
		out = m.intern(p.and(q))
		m.mu.Lock()
		m.joined[key] = out
		m.mu.Unlock()
	}
	return out
}

// resolve returns the ports that a name means on a pod. A name that two
// containers give to different ports depends on which of them the plugin takes.
func (p *pod) resolve(want netpol.Port) *Ports {
	var found []Port
	for _, n := range p.names {
		if n.name == want.Name && (want.Protocol == "" || want.Protocol == n.port.Protocol.String()) && !slices.Contains(found, n.port) {
			found = append(found, n.port)
		}
	}
	out := everyPort(Denied)
	for _, f := range found {
		answer := Allowed
		if slices.ContainsFunc(found, func(o Port) bool { return o.Protocol == f.Protocol && o != f }) {
			answer = Depends
		}
		out = out.or(portRange(f.Protocol, f.Number, f.Number, answer))
	}
	return out
}
