// Package namespacechecks holds the Go functions of the checks on namespaces in
// this folder: what is missing in them, and what they let pods do.
package namespacechecks

import (
	"slices"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// Funcs returns the functions by the names that checks use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"namespaceBelowBaseline":     belowBaseline,
		"namespaceBelowRestricted":   belowRestricted,
		"namespaceDefaultUsed":       defaultUsed,
		"namespaceNoLimitRange":      noLimitRange,
		"namespaceNoNetworkPolicy":   noNetworkPolicy,
		"namespaceNoOwnAccount":      noOwnAccount,
		"namespaceNoPodPolicy":       noPodPolicy,
		"namespaceNoResourceQuota":   noResourceQuota,
		"namespaceQuotaIncompletely": incompleteQuota,
	}
}

// namespaces returns the Namespaces of a snapshot but for those of the parameter
// exempt.
func namespaces(in *check.Input) []*cluster.Object {
	exempt := in.Strings("exempt")
	var out []*cluster.Object
	for _, o := range in.Snapshot.Kind("Namespace") {
		if o.Group() == "" && !slices.Contains(exempt, o.Name) {
			out = append(out, o)
		}
	}
	return out
}

// peopled returns the namespaces that hold workloads.
func peopled(s *cluster.Snapshot) map[string]bool {
	type key struct{}
	return cluster.Derive(s, key{}, func() map[string]bool {
		out := map[string]bool{}
		templates := s.Templates()
		for i := range templates {
			out[templates[i].Namespace()] = true
		}
		return out
	})
}

func namespaceOf(o *cluster.Object) string {
	if o.Namespace == "" {
		return "default"
	}
	return o.Namespace
}
