package networkchecks

import (
	"fmt"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
)

// rule is one ingress or egress rule of a NetworkPolicy.
type rule struct {
	policy    *cluster.Object
	direction netpol.Direction
	root      *document.Node
	path      string // spec.ingress[0]
}

// peers returns the peers, and the path of their list.
func (r *rule) peers() (list []*document.Node, path string) {
	key := "from"
	if r.direction == netpol.Egress {
		key = "to"
	}
	return r.root.Get(key).List(), r.path + "." + key
}

// rules returns the rules of all NetworkPolicies that have an effect: those of
// directions in which their policy isolates.
func rules(s *cluster.Snapshot) []rule {
	var out []rule
	for _, o := range s.Kind("NetworkPolicy") {
		if !netpol.IsNetworkPolicy(o) {
			continue
		}
		isolates := netpol.Directions(o)
		for _, d := range [...]netpol.Direction{netpol.Ingress, netpol.Egress} {
			if !isolates[d] {
				continue
			}
			for i, root := range o.Root.At("spec", d.String()).List() {
				out = append(out, rule{o, d, root, document.Index("spec."+d.String(), i)})
			}
		}
	}
	return out
}

// allowAll reports rules that allow every peer on every port, and peers that
// are every address.
func allowAll(in *check.Input) {
	for _, r := range rules(in.Snapshot) {
		peers, path := r.peers()
		if len(peers) == 0 && r.root.Get("ports").Len() == 0 {
			in.Report(check.Hit{
				Object: r.policy, Path: r.path,
				Message: fmt.Sprintf("the %s rule allows every connection", r.direction),
			})
		}
		for i, peer := range peers {
			block := peer.Get("ipBlock")
			cidr := block.Get("cidr").Str()
			if strings.HasSuffix(cidr, "/0") && block.Get("except").Len() == 0 {
				in.Report(check.Hit{
					Object: r.policy, Path: document.Index(path, i) + ".ipBlock.cidr",
					Message: fmt.Sprintf("the %s rule allows %s, which is every address", r.direction, cidr),
				})
			}
		}
	}
}

// anyPeer reports rules that name ports but no peer. Egress to port 53 alone is
// how every policy lets pods ask for names, and is left out.
func anyPeer(in *check.Input) {
	for _, r := range rules(in.Snapshot) {
		peers, _ := r.peers()
		ports := r.root.Get("ports").List()
		if len(peers) > 0 || len(ports) == 0 || r.direction == netpol.Egress && onlyDNS(ports) {
			continue
		}
		where := "from everywhere"
		if r.direction == netpol.Egress {
			where = "to everywhere"
		}
		in.Report(check.Hit{
			Object: r.policy, Path: r.path,
			Message: fmt.Sprintf("the %s rule names ports but no peer: it allows them %s", r.direction, where),
		})
	}
}

func onlyDNS(ports []*document.Node) bool {
	for _, p := range ports {
		if n, _ := p.Get("port").Int(); n != 53 || p.Get("endPort") != nil {
			return false
		}
	}
	return true
}
