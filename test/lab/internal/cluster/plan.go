package cluster

import (
	"fmt"
	"net/netip"
)

// MaxIndex is the highest index a cluster can have.
const MaxIndex = 31

// Plan gives every address of a cluster from its index, so that clusters of
// different indexes can run side by side.
type Plan struct {
	Index int
}

// Nodes is the network that joins nodes and machine.
func (p Plan) Nodes() netip.Prefix { return prefix(77, p.Index, 24) }

// Pods is the range of all pods.
func (p Plan) Pods() netip.Prefix { return prefix(128+p.Index, 0, 16) }

// NodePods is the range of the pods of node i.
func (p Plan) NodePods(i int) netip.Prefix { return prefix(128+p.Index, i, 24) }

// Services is the range of service addresses.
func (p Plan) Services() netip.Prefix { return prefix(96+p.Index, 0, 16) }

// Host is this machine's address, as nodes and pods see it.
func (p Plan) Host() netip.Addr { return p.Nodes().Addr().Next() }

// Node is the address of node i, counted from 1.
func (p Plan) Node(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(p.Index), byte(10 + i)})
}

// APIService is the address of the service "kubernetes": the first of its range.
func (p Plan) APIService() netip.Addr { return p.Services().Addr().Next() }

// Server is the URL of the API server, from the machine and from nodes alike.
func (p Plan) Server() string {
	return fmt.Sprintf("https://%s", netip.AddrPortFrom(p.Node(1), 6443))
}

// link is the machine's network interface to the nodes. An interface name is
// limited to 15 characters, hence the index and not the cluster's name.
func (p Plan) link() string { return fmt.Sprintf("seawall%d", p.Index) }

func (p Plan) overlaps(other netip.Prefix) bool {
	return p.Nodes().Overlaps(other) || p.Pods().Overlaps(other) || p.Services().Overlaps(other)
}

func prefix(second, third, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(second), byte(third), 0}), bits)
}
