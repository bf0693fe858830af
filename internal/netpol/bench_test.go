package netpol_test

import (
	"fmt"
	"strings"
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
)

// BenchmarkOf reads the policies of 20,000 workloads, each with a policy of its
// own that selects it, in 200 namespaces, each with policies for all of it, and
// a policy of the whole cluster.
func BenchmarkOf(b *testing.B) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: ns%d}\nspec: {podSelector: {}}\n---\n", i)
	}
	for i := range 20000 {
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Pod\nmetadata: {name: p%[1]d, namespace: ns%[2]d, labels: {app: a%[1]d, tier: front}}\nspec: {containers: [{name: c}]}\n---\n"+
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p%[1]d, namespace: ns%[2]d}\nspec: {podSelector: {matchLabels: {app: a%[1]d}}, policyTypes: [Egress]}\n---\n", i, i%200)
	}
	text.WriteString("apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec: {endpointSelector: {matchLabels: {tier: front}}, ingress: [{}]}\n")
	objects := parse(b, text.String())
	for b.Loop() {
		s := cluster.NewSnapshot(objects)
		m := netpol.Of(s)
		if templates := s.Templates(); !m.Isolated(&templates[0], netpol.Egress) {
			b.Fatal("not isolated")
		}
	}
}
