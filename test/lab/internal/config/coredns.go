package config

import "fmt"

// CoreDNS answers the names of services and pods, and no others: the cluster
// has no way to the outside.
type CoreDNS struct {
	Address    string // to listen on
	Kubeconfig string // path
}

// Encode returns the Corefile.
func (c CoreDNS) Encode() []byte {
	return fmt.Appendf(nil, `.:53 {
  bind %s
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig %q
  }
  cache 5
}
`, c.Address, c.Kubeconfig)
}
