package reach

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// CNI is a network plugin, as far as it decides what the policy APIs leave open.
// The zero CNI is one that is not known: it enforces all policies, and what is
// open stays so.
type CNI struct {
	// Name is that of the plugin, as --cni takes it.
	Name string
	// From says what shows that the cluster has it.
	From string
	// Enforces says whether NetworkPolicies have any effect, EnforcesAdmin whether
	// AdminNetworkPolicy and BaselineAdminNetworkPolicy have, and EnforcesCluster
	// whether ClusterNetworkPolicy has.
	Enforces, EnforcesAdmin, EnforcesCluster Answer
	// MatchesPods and MatchesNodes say whether an ipBlock matches the addresses of
	// pods, and of nodes.
	MatchesPods, MatchesNodes Answer
	// HostPods says whether pods on the host's network are isolated, and are told
	// by their labels.
	HostPods Answer
	// Note is said with the answers that it bears on.
	Note string
	// group is the API group of the plugin's own policies.
	group string
}

func unknownCNI() CNI {
	return CNI{Enforces: Allowed, EnforcesAdmin: Allowed, EnforcesCluster: Allowed, MatchesPods: Depends, MatchesNodes: Depends, HostPods: Depends}
}

// plugins are the network plugins whose ways are known. That ipBlocks match pods
// is documented for Calico (projectcalico/calico#6634), that they do not for
// Cilium (cilium#9209, policyCIDRMatchMode) and Terway (terway#904); plugins
// that match addresses alone cannot but match both. Policies of the
// administrator, as of 2026: Calico has AdminNetworkPolicy from 3.29 to 3.31 and
// ClusterNetworkPolicy from 3.32 on, Cilium the latter from 1.20 on behind a flag,
// Kube-OVN on trial; Antrea, Kube-OVN and OVN-Kubernetes have the former.
func plugins() []CNI {
	return []CNI{
		{Name: "antrea", Enforces: Allowed, EnforcesAdmin: Allowed, EnforcesCluster: Depends, MatchesPods: Allowed, MatchesNodes: Allowed, group: "crd.antrea.io"},
		{
			Name: "aws", Enforces: Allowed, EnforcesAdmin: Depends, EnforcesCluster: Depends, MatchesPods: Allowed, MatchesNodes: Allowed,
			Note: "the AWS VPC CNI lets new pods connect freely for a second or two, unless it runs in strict mode",
		},
		{Name: "azure-npm", Enforces: Allowed, MatchesPods: Allowed, MatchesNodes: Allowed},
		{Name: "calico", Enforces: Allowed, EnforcesAdmin: Depends, EnforcesCluster: Depends, MatchesPods: Allowed, MatchesNodes: Allowed, group: "projectcalico.org"},
		{Name: "cilium", Enforces: Allowed, EnforcesCluster: Depends, group: "cilium.io"},
		{Name: "flannel"},
		{Name: "kindnet", Note: "kindnet enforces policies from the images of August 2024 on (kind v0.24)"},
		{Name: "kube-network-policies", Enforces: Allowed, EnforcesAdmin: Depends, EnforcesCluster: Allowed, MatchesPods: Allowed, MatchesNodes: Allowed},
		{Name: "kube-ovn", Enforces: Allowed, EnforcesAdmin: Allowed, EnforcesCluster: Depends, MatchesPods: Allowed, MatchesNodes: Allowed},
		{Name: "kube-router", Enforces: Allowed, MatchesPods: Allowed, MatchesNodes: Allowed},
		{Name: "none"},
		{Name: "ovn-kubernetes", Enforces: Allowed, EnforcesAdmin: Allowed, EnforcesCluster: Depends, MatchesPods: Allowed, MatchesNodes: Allowed},
		{Name: "terway", Enforces: Allowed},
		{Name: "weave", Enforces: Allowed, MatchesPods: Allowed, MatchesNodes: Allowed},
	}
}

// Plugin returns the CNI of a name. "" is one that is not known.
func Plugin(name string) (CNI, error) {
	if name == "" {
		return unknownCNI(), nil
	}
	var names []string
	for _, c := range plugins() {
		if c.Name == strings.ToLower(name) {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return CNI{}, fmt.Errorf("network plugin %q is not known: want one of %s", name, strings.Join(names, ", "))
}

// daemons are the DaemonSets by which plugins show themselves.
var daemons = map[string]string{
	"antrea-agent": "antrea", "azure-npm": "azure-npm", "calico-node": "calico", "canal": "calico", "cilium": "cilium", "anetd": "cilium",
	"kube-flannel": "flannel", "kube-flannel-ds": "flannel", "kube-flannel-ds-amd64": "flannel", "kindnet": "kindnet",
	"kube-network-policies": "kube-network-policies", "kube-ovn-cni": "kube-ovn", "kube-router": "kube-router",
	"ovnkube-node": "ovn-kubernetes", "terway": "terway", "terway-eniip": "terway", "terway-eni": "terway", "weave-net": "weave",
	"aws-node": "aws",
}

// Detect tells the network plugin of a cluster by its DaemonSets. Where there
// are several, one that enforces policies stands before one that does not.
func Detect(s *cluster.Snapshot) CNI {
	type key struct{}
	return cluster.Derive(s, key{}, func() CNI {
		var found []CNI
		for _, o := range s.Kind("DaemonSet") {
			if name := daemons[o.Name]; name != "" && o.Group() == "apps" {
				c, _ := Plugin(name) // the names in daemons are of plugins
				c.From = "DaemonSet " + o.Namespace + "/" + o.Name
				refine(&c, s, o)
				found = append(found, c)
			}
		}
		slices.SortStableFunc(found, func(a, b CNI) int {
			if a.Enforces != b.Enforces {
				return int(b.Enforces) - int(a.Enforces)
			}
			return strings.Compare(a.Name, b.Name)
		})
		if len(found) == 0 {
			return unknownCNI()
		}
		return found[0]
	})
}

// refine takes account of how the plugin is set up.
func refine(c *CNI, s *cluster.Snapshot, o *cluster.Object) {
	containers := o.Root.At("spec", "template", "spec", "containers").List()
	switch c.Name {
	case "aws":
		c.Enforces, c.EnforcesAdmin, c.EnforcesCluster = Denied, Denied, Denied
		for _, container := range containers {
			for _, arg := range container.Get("args").List() {
				if arg.Str() == "--enable-network-policy=true" {
					c.Enforces, c.EnforcesAdmin, c.EnforcesCluster = Allowed, Depends, Depends
				}
			}
		}
		if c.Enforces == Denied {
			c.Note = "the AWS VPC CNI enforces policies with --enable-network-policy=true only"
		}
	case "kindnet":
		for _, container := range containers {
			_, tag, _ := strings.Cut(container.Get("image").Str(), "kindnetd:v")
			if date, _, _ := strings.Cut(tag, "-"); len(date) == 8 && date >= "20240813" && strings.Trim(date, "0123456789") == "" {
				c.Enforces, c.MatchesPods, c.MatchesNodes, c.Note = Allowed, Allowed, Allowed, ""
			}
		}
	case "cilium":
		if config := s.Get("", "ConfigMap", o.Namespace, "cilium-config"); config != nil && hasWord(config.Root.At("data", "policy-cidr-match-mode"), "nodes") {
			c.MatchesNodes = Allowed
		}
	}
}

func hasWord(n *document.Node, word string) bool {
	return slices.Contains(strings.Fields(n.Str()), word)
}
