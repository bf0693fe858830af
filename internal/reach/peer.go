package reach

import (
	"net/netip"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// Peer is one end of a connection.
type Peer struct {
	kind     peerKind
	template *cluster.PodTemplate
	spans    []span
	name     string
	service  bool // reached through a Service
}

type peerKind uint8

const (
	podPeer peerKind = iota
	addressPeer
	internetPeer
	nodePeer
	apiServerPeer
	strangerPeer // pods of which nothing is known
	clientPeer   // clients outside the cluster of which nothing is known
)

// Pod is the pods of a template, or the one pod where the template is that of a
// Pod. It need not be one of the snapshot's Templates: the pods of a workload
// differ in their addresses, and may in labels that their controller gives.
func Pod(t *cluster.PodTemplate) Peer { return Peer{kind: podPeer, template: t} }

// Addresses is whatever has an address in a range, and is no pod.
func Addresses(p netip.Prefix) Peer {
	name := p.String()
	if p.IsSingleIP() {
		name = p.Addr().String()
	}
	return Peer{kind: addressPeer, spans: []span{spanOf(p)}, name: name}
}

// Internet is every public address, of the families that the cluster uses; of
// both where it shows neither.
func Internet() Peer { return Peer{kind: internetPeer, name: "internet"} }

// Metadata is the metadata service of clouds, at 169.254.169.254.
func Metadata() Peer {
	p := Addresses(netip.MustParsePrefix("169.254.169.254/32"))
	p.name = "metadata"
	return p
}

// Node is any node of the cluster. Nodes reach the pods that run on them,
// whatever policies say.
func Node() Peer { return Peer{kind: nodePeer, name: "node"} }

// APIServer is the API server of the cluster, at the addresses that its Service
// leads to.
func APIServer() Peer { return Peer{kind: apiServerPeer, name: "apiserver"} }

// Template returns the pods of the peer, nil where it is something else.
func (p Peer) Template() *cluster.PodTemplate { return p.template }

// String names the peer: shop/Deployment/web, 10.0.0.0/8, internet.
func (p Peer) String() string {
	if p.kind != podPeer {
		return p.name
	}
	return nameOf(p.template)
}

// nameOf names the pods of a template. An object with several templates names
// them by their places.
func nameOf(t *cluster.PodTemplate) string {
	name := t.Namespace() + "/" + t.Object.Kind + "/" + t.Object.Name
	switch t.Path {
	case "", "template", "spec.template", "spec.jobTemplate.spec.template":
		return name
	}
	return name + " " + strings.TrimPrefix(t.Path, "spec.")
}

// endpoint is a peer, or a piece of it, about which policies can give one answer.
type endpoint struct {
	name string
	pod  *pod
	// node says that the endpoint has the address of a node, addrs; api that it is
	// the API server, which may be one.
	node, api bool
	service   bool // reached through a Service
	// stranger is a pod, and hidden an address, of which nothing is known.
	stranger, hidden bool
	addrs            []netip.Addr
	span             span // of addresses
}

// endpoints returns the pieces of a peer that ranges of addresses tell apart.
func (m *Model) endpoints(p Peer, edges []netip.Prefix) []*endpoint {
	switch p.kind {
	case podPeer:
		return []*endpoint{{name: p.String(), pod: m.podOf(p.template), service: p.service}}
	case nodePeer:
		addrs := m.nodes.addrs
		if len(p.spans) > 0 {
			addrs = []netip.Addr{p.spans[0].first}
		}
		return []*endpoint{{name: p.name, node: true, addrs: addrs}}
	case apiServerPeer:
		return []*endpoint{{name: p.name, api: true, node: m.onNodes(m.apiServer), addrs: m.apiServer}}
	case strangerPeer:
		return []*endpoint{{name: p.name, stranger: true}}
	case clientPeer:
		return []*endpoint{{name: p.name, hidden: true}}
	case internetPeer:
		if m.v4 || !m.v6 {
			p.spans = append(p.spans, internet(false)...)
		}
		if m.v6 || !m.v4 {
			p.spans = append(p.spans, internet(true)...)
		}
	case addressPeer:
	}
	var out []*endpoint
	for _, s := range cut(p.spans, edges) {
		out = append(out, &endpoint{name: p.name, span: s})
	}
	return out
}

// podOf returns what is known of a template, also of one that is not among the
// snapshot's.
func (m *Model) podOf(t *cluster.PodTemplate) *pod {
	if p := m.byPlace[placeOf(t)]; p != nil {
		return p
	}
	p := readPod(t)
	if t.Object.Kind == "Pod" && t.Object.Group() == "" {
		p.addrs = podAddrs(t.Object)
	}
	return p
}

// onNodes says whether all addresses are of nodes.
func (m *Model) onNodes(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if !m.isNode(a) {
			return false
		}
	}
	return len(addrs) > 0
}
