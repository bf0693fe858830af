package reach

import (
	"net/netip"
	"slices"

	"seawall.io/seawall/internal/cluster"
)

// Controllers returns the pods that take traffic in for others: ingress
// controllers and gateways, told by the labels that their projects give them.
func (m *Model) Controllers() []*cluster.PodTemplate { return slices.Clone(m.controllers()) }

// APIServerAt returns the addresses and ports of the API server, none where the
// snapshot does not show them. onNodes says that all the addresses are of nodes,
// which not every plugin matches with an ipBlock.
func (m *Model) APIServerAt() (addrs []netip.Addr, ports []uint16, onNodes bool) {
	return slices.Clone(m.apiServer), slices.Clone(m.apiPorts), m.onNodes(m.apiServer)
}

// Endpoints returns the addresses and ports that stand behind a Service which
// selects no pods, as its EndpointSlices or Endpoints say.
func Endpoints(s *cluster.Snapshot, namespace, service string) (addrs []netip.Addr, ports []uint16) {
	return endpointsOf(s, namespace, service)
}
