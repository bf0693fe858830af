package reach

import (
	"fmt"
	"net/netip"
	"slices"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
)

func fromNetpol(a netpol.Answer) Answer {
	switch a {
	case netpol.Yes:
		return Allowed
	case netpol.No:
		return Denied
	case netpol.Unknown:
	}
	return Unknown
}

// match says whether a peer of a rule is an endpoint.
func (m *Model) match(mt *matcher, e *endpoint) Answer {
	if e.stranger {
		if mt.Kind == netpol.PodPeer && mt.Namespaces.Everything() && mt.Pods.Everything() {
			return Allowed
		}
		return Unknown
	}
	switch mt.Kind {
	case netpol.PodPeer:
		if e.pod == nil {
			return Denied
		}
		return m.matchPod(mt, e.pod)
	case netpol.BlockPeer:
		return m.matchBlock(mt, e)
	case netpol.NodePeer:
		return m.matchNode(mt.Nodes, e)
	case netpol.DomainPeer:
	}
	if e.pod != nil || e.node {
		return Denied
	}
	return Unknown // the addresses behind a name show when it is asked for
}

func (m *Model) matchPod(mt *matcher, p *pod) Answer {
	out := Allowed
	if p.host {
		if out = m.cni.HostPods; mt.admin {
			return Denied
		}
	}
	switch {
	case mt.Namespace == "":
		out = out.and(fromNetpol(m.policies.InNamespace(mt.Namespaces, p.namespace)))
	case mt.Namespace != p.namespace:
		return Denied
	}
	if out == Denied {
		return Denied
	}
	return out.and(fromNetpol(m.policies.MatchesPods(mt.Pods, p.template)))
}

// matchBlock matches an ipBlock. Whether it matches addresses within the cluster
// is up to the plugin in NetworkPolicy, but for the policies of the
// administrator it must.
func (m *Model) matchBlock(mt *matcher, e *endpoint) Answer {
	how, addrs := Allowed, e.addrs
	switch {
	case e.pod != nil && e.pod.host:
		how, addrs = m.cni.MatchesNodes, e.pod.addrs
		if len(addrs) == 0 {
			addrs = m.nodes.addrs
		}
	case e.pod != nil:
		how, addrs = m.cni.MatchesPods, e.pod.addrs
	case e.node:
		how = m.cni.MatchesNodes
	case e.hidden, e.api && len(addrs) == 0:
		how = Unknown
	case !e.api:
		if m.isNode(e.span.first) && e.span.first == e.span.last {
			how = m.cni.MatchesNodes
		}
		addrs = []netip.Addr{e.span.first}
	}
	if mt.admin {
		how = Allowed
	}
	in := m.within(mt, addrs)
	if in != Denied && how == Depends {
		return Depends
	}
	return how.and(in)
}

// within says whether addresses, none where they are not known, are in a block.
func (m *Model) within(mt *matcher, addrs []netip.Addr) Answer {
	if len(addrs) == 0 {
		switch {
		case !m.has(mt.Block.Addr()):
			return Denied
		case mt.Block.Bits() == 0 && len(mt.Except) == 0 && m.v4 != m.v6:
			return Allowed
		}
		return Unknown
	}
	in := 0
	for _, a := range addrs {
		if mt.Block.Contains(a) && !slices.ContainsFunc(mt.Except, func(x netip.Prefix) bool { return x.Contains(a) }) {
			in++
		}
	}
	switch in {
	case 0:
		return Denied
	case len(addrs):
		return Allowed
	}
	return Unknown
}

func (m *Model) matchNode(sel cluster.Selector, e *endpoint) Answer {
	switch {
	case e.pod != nil && !e.pod.host:
		return Denied
	case e.api && !e.node && len(e.addrs) == 0:
		return Unknown
	case e.pod == nil && !e.node && !m.isNode(e.span.first):
		return Denied
	case sel.Everything():
		return Allowed
	case !m.nodes.known:
		return Unknown
	}
	in := 0
	for _, labels := range m.nodes.labels {
		if sel.Matches(labels) {
			in++
		}
	}
	switch in {
	case 0:
		return Denied
	case len(m.nodes.labels):
		return Allowed
	}
	return Unknown
}

func (m *Model) isNode(a netip.Addr) bool { return slices.Contains(m.nodes.addrs, a) }

// why says why a match is neither sure nor none.
func (m *Model) why(mt *matcher, e *endpoint, a Answer) string {
	switch {
	case e.stranger:
		return e.name + " may be it or not"
	case mt.Kind == netpol.DomainPeer:
		return fmt.Sprintf("which addresses %s has shows when a pod asks for it", mt.Domain)
	case mt.Kind == netpol.NodePeer:
		return "the nodes differ, or are not known"
	case mt.Kind == netpol.BlockPeer && a == Depends && e.pod != nil && !e.pod.host:
		return fmt.Sprintf("whether the ipBlock %s matches pods depends on the network plugin", mt.Block)
	case mt.Kind == netpol.BlockPeer && a == Depends:
		return fmt.Sprintf("whether the ipBlock %s matches nodes depends on the network plugin", mt.Block)
	case mt.Kind == netpol.BlockPeer && e.pod != nil && len(e.pod.addrs) == 0:
		return fmt.Sprintf("the addresses of the pods are not known, so that %s may match them or not", mt.Block)
	case mt.Kind == netpol.BlockPeer && e.pod != nil:
		return fmt.Sprintf("%s matches some of the pods: name one pod", mt.Block)
	case mt.Kind == netpol.BlockPeer && (e.api || e.hidden):
		return fmt.Sprintf("the address of %s is not known, so that %s may match it or not", e.name, mt.Block)
	case mt.Kind == netpol.BlockPeer:
		return fmt.Sprintf("%s matches some of the nodes, or their addresses are not known", mt.Block)
	case a == Depends:
		return "whether labels tell a pod on the host's network depends on the network plugin"
	case mt.Namespace == "" && !m.policies.KnowsNamespace(e.pod.namespace):
		return fmt.Sprintf("the labels of namespace %s are not known: it was not read", e.pod.namespace)
	}
	return "the selector asks for labels that the controller gives to some pods or all: name one pod"
}
