package config

// KubeProxy is the part of kube-proxy's configuration that differs by node.
type KubeProxy struct {
	Kubeconfig  string // path
	Node        string
	ClusterCIDR string // addresses of all pods
}

// Encode returns the file for kube-proxy --config.
func (k KubeProxy) Encode() ([]byte, error) {
	return encode("kube-proxy's configuration", object{
		"apiVersion":       "kubeproxy.config.k8s.io/v1alpha1",
		"kind":             "KubeProxyConfiguration",
		"mode":             "nftables",
		"clientConnection": object{"kubeconfig": k.Kubeconfig},
		"clusterCIDR":      k.ClusterCIDR,
		"hostnameOverride": k.Node,
		// These are settings of the whole machine; from within a network
		// namespace they cannot be written, and zero means: leave them alone.
		"conntrack": object{
			"maxPerCore":            0,
			"min":                   0,
			"tcpEstablishedTimeout": "0s",
			"tcpCloseWaitTimeout":   "0s",
		},
	})
}
