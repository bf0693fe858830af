// Package cluster runs a Kubernetes cluster on one Linux machine, for tests
// that want the real thing: real API server, kubelets and containers, each
// node in a network and a mount namespace of its own.
//
// It starts programs and ends them; it does not keep them alive. Nothing in it
// is fit for a cluster that should last.
package cluster
