// Package reach tells who can connect to whom by the network policies of a
// cluster, and why: pods with one another, and pods with the internet, nodes,
// the metadata service and the API server.
//
// It decides as the APIs of NetworkPolicy v1, ClusterNetworkPolicy v1alpha2,
// AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1 say. What these
// leave to the network plugin is Depends until the plugin is known, and what the
// snapshot does not tell is Unknown. Policies of Cilium, Calico and Antrea are
// never guessed at: the pods that they may hold for are Unknown.
//
// The answers speak of policies alone. They know nothing of routes, firewalls,
// meshes and of whether anything listens on a port; replies to a connection are
// part of it; and of a policy that was not read nothing can be said.
package reach
