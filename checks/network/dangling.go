package networkchecks

import (
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
)

// dangling reports NetworkPolicies that select no pod. The empty selector is
// for whatever comes, and never dangles.
func dangling(in *check.Input) {
	for _, o := range in.Snapshot.Kind("NetworkPolicy") {
		if !netpol.IsNetworkPolicy(o) {
			continue
		}
		sel, err := cluster.LabelSelector(o.Root.At("spec", "podSelector"))
		if err != nil || sel.Nothing() || sel.Everything() {
			continue
		}
		if netpol.Finds(in.Snapshot, o.Namespace, sel) == netpol.No {
			in.Report(check.Hit{Object: o, Path: "spec.podSelector"})
		}
	}
}

// danglingPeer reports peers that are pods of the policy's own namespace, and
// select none.
func danglingPeer(in *check.Input) {
	for _, r := range rules(in.Snapshot) {
		peers, path := r.peers()
		for i, peer := range peers {
			if peer.Get("namespaceSelector") != nil {
				continue
			}
			sel, err := cluster.LabelSelector(peer.Get("podSelector"))
			if err != nil || sel.Nothing() || sel.Everything() {
				continue
			}
			if netpol.Finds(in.Snapshot, r.policy.Namespace, sel) == netpol.No {
				in.Report(check.Hit{Object: r.policy, Path: document.Index(path, i) + ".podSelector"})
			}
		}
	}
}
