package config

// CNI is the network of the pods on one node: a bridge, with addresses handed
// out from the node's range. It enforces no NetworkPolicy.
type CNI struct {
	Network string // name
	Subnet  string // the node's pods, as CIDR
}

// Encode returns the network list.
func (c CNI) Encode() ([]byte, error) {
	return encode("the pod network", object{
		"cniVersion": "0.4.0",
		"name":       c.Network,
		"plugins": []object{
			{
				"type":        "bridge",
				"bridge":      "cni0",
				"isGateway":   true,
				"hairpinMode": true, // a pod may reach itself through its service
				"ipMasq":      false,
				"ipam": object{
					"type":   "host-local",
					"ranges": [][]object{{{"subnet": c.Subnet}}},
					"routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	})
}
