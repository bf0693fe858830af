package networkchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// plugin reports network plugins that do not enforce NetworkPolicies, where
// nothing else among the objects does. Parameters: enforcing and silent are
// parts of the names of images.
func plugin(in *check.Input) {
	enforcing, silent := in.Strings("enforcing"), in.Strings("silent")
	var found []check.Hit
	for _, o := range in.Snapshot.Kind("DaemonSet") {
		for _, t := range cluster.PodTemplates(o) {
			agent := slices.ContainsFunc(t.Containers, func(c cluster.Container) bool { return isAWSAgent(&c) })
			for i := range t.Containers {
				c := &t.Containers[i]
				repository := check.ParseImage(c.Image()).Repository
				switch {
				case isAWSAgent(c):
					if agentEnforces(c) {
						return
					}
					found = append(found, check.Hit{
						Object: o, Path: c.Path, Container: c.Name(), Image: c.Image(),
						Message: "the network policy agent runs without --enable-network-policy=true: policies are not enforced",
					})
				case named(repository, enforcing):
					return
				case !agent && c.Type != cluster.Init && named(repository, silent):
					found = append(found, check.Hit{
						Object: o, Path: c.Path, Container: c.Name(), Image: c.Image(),
						Message: fmt.Sprintf("%s connects pods and enforces no policies", repository),
					})
				}
			}
		}
	}
	for _, h := range found {
		in.Report(h)
	}
}

// named says that the last parts of a repository hold one of the names.
func named(repository string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(repository, n) })
}

// isAWSAgent tells the agent of the Amazon VPC CNI, which is in its DaemonSet
// always, and enforces policies only when asked to.
func isAWSAgent(c *cluster.Container) bool {
	return strings.Contains(c.Image(), "aws-network-policy-agent") || c.Name() == "aws-eks-nodeagent"
}

func agentEnforces(c *cluster.Container) bool {
	for _, a := range c.Root.Get("args").List() {
		if a.Str() == "--enable-network-policy=true" || a.Str() == "--enable-network-policy" {
			return true
		}
	}
	return false
}
