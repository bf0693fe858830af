package netpol_test

import (
	"strings"
	"testing"

	"seawall.io/seawall/internal/netpol"
)

// TestFaults are those of the policies of the administrator; test/oracle holds
// those of NetworkPolicy against the API server.
func TestFaults(t *testing.T) {
	cnp := func(spec string) string {
		return "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec: " + spec
	}
	anp := func(kind, spec string) string {
		return "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: default}\nspec: " + spec
	}
	const head = "tier: Admin, priority: 0, subject: {namespaces: {}}"
	rule := func(rest string) string { return "{" + head + ", egress: [{" + rest + "}]}" }
	tests := []struct{ name, policy, want string }{
		{"good", cnp(rule("action: Accept, to: [{networks: [10.0.0.0/8, 'fd00::/8']}]")), ""},
		{"good by name", cnp(rule("action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: http}, {udp: {destinationPort: {number: 53}}}]")), ""},
		{"unknown kind of peer is no fault", cnp(rule("action: Deny, to: [{galaxies: {}}]")), ""},
		{"tier", cnp("{tier: Top, priority: 0, subject: {namespaces: {}}}"), "spec.tier"},
		{"priority", cnp("{tier: Admin, priority: 1001, subject: {namespaces: {}}}"), "spec.priority"},
		{"no priority", anp("AdminNetworkPolicy", "{subject: {namespaces: {}}}"), "spec.priority"},
		{"no subject", cnp("{tier: Admin, priority: 1}"), "spec.subject"},
		{"two subjects", cnp("{tier: Admin, priority: 1, subject: {namespaces: {}, pods: {}}}"), "spec.subject"},
		{"old selector of namespaces", anp("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {sameLabels: [a]}}}"), "spec.subject.namespaces.sameLabels"},
		{"action of the other version", cnp(rule("action: Allow, to: [{namespaces: {}}]")), "spec.egress[0].action"},
		{"pass in the baseline of v1alpha1", anp("BaselineAdminNetworkPolicy", "{subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}"), "spec.ingress[0].action"},
		{"name of the baseline of v1alpha1", strings.Replace(anp("BaselineAdminNetworkPolicy", "{subject: {namespaces: {}}}"), "default", "other", 1), "metadata.name"},
		{"no spec", "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}", "spec"},
		{"misspelt field", cnp("{" + head + ", Egress: []}"), "spec.Egress"},
		{"misspelt field of a rule", cnp(rule("action: Deny, to: [{namespaces: {}}], ports: []")), "spec.egress[0].ports"},
		{"no selector of pods", cnp("{tier: Admin, priority: 1, subject: {pods: {}}}"), "spec.subject.pods.podSelector"},
		{"no selector of namespaces", cnp("{tier: Admin, priority: 1, subject: {pods: {podSelector: {}}}}"), ""},
		{"no selector of namespaces in v1alpha1", anp("AdminNetworkPolicy", "{priority: 1, subject: {pods: {podSelector: {}}}}"), "spec.subject.pods.namespaceSelector"},
		{"long name", cnp(rule("name: " + strings.Repeat("ä", 101) + ", action: Deny, to: [{namespaces: {}}]")), "spec.egress[0].name"},
		{"name", cnp(rule("name: " + strings.Repeat("ä", 100) + ", action: Deny, to: [{namespaces: {}}]")), ""},
		{"whole number", cnp("{tier: Admin, priority: 5.0, subject: {namespaces: {}}}"), ""},
		{"broken number", cnp("{tier: Admin, priority: 5.5, subject: {namespaces: {}}}"), "spec.priority"},
		{"empty peer", cnp(rule("action: Deny, to: [{namespaces: null}]")), "spec.egress[0].to[0]"},
		{"network twice", cnp(rule("action: Deny, to: [{networks: [10.0.0.0/8, 11.0.0.0/8, 10.0.0.0/8]}]")), "spec.egress[0].to[0].networks[2]"},
		{"no networks", cnp(rule("action: Deny, to: [{networks: []}]")), "spec.egress[0].to[0].networks"},
		{"domain name", cnp(rule("action: Accept, to: [{domainNames: ['*.example.com', a_b.c.]}]")), ""},
		{"no domain name", cnp(rule("action: Accept, to: [{domainNames: ['a.*.com']}]")), "spec.egress[0].to[0].domainNames[0]"},
		{"protocol without port", cnp(rule("action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {}}]")), "spec.egress[0].protocols[0].tcp"},
		{"no protocols", cnp(rule("action: Deny, to: [{namespaces: {}}], protocols: []")), "spec.egress[0].protocols"},
		{"port without a name", cnp(rule("action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: ''}]")), "spec.egress[0].protocols[0].destinationNamedPort"},
		{"label without a value", cnp("{tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {a: null}}}}"), "spec.subject.namespaces.matchLabels.a"},
		{"misspelt operator", cnp("{tier: Admin, priority: 1, subject: {namespaces: {matchExpressions: [{key: a, op: In, operator: Exists}]}}}"), "spec.subject.namespaces.matchExpressions[0].op"},
		{"no peer", cnp(rule("action: Deny, to: []")), "spec.egress[0].to"},
		{"two fields in a peer", cnp(rule("action: Deny, to: [{namespaces: {}, nodes: {}}]")), "spec.egress[0].to[0]"},
		{"malformed network", cnp(rule("action: Deny, to: [{networks: [10.0.0.0]}]")), "spec.egress[0].to[0].networks[0]"},
		{"too many rules", cnp("{" + head + ", egress: [" + strings.Repeat("{action: Deny, to: [{namespaces: {}}]}, ", 26) + "]}"), "spec.egress"},
		{"too many networks", cnp(rule("action: Deny, to: [{networks: [" + strings.Repeat("10.0.0.0/8, ", 26) + "]}]")), "spec.egress[0].to[0].networks"},
		{"name of a port on a network", cnp(rule("action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: http}]")), "spec.egress[0].to[0].networks[0]"},
		{"domain names denied", cnp(rule("action: Deny, to: [{domainNames: [a.b]}]")), "spec.egress[0].to[0].domainNames[0]"},
		{"empty range of ports", cnp(rule("action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 2, end: 2}}}}]")), "spec.egress[0].protocols[0].tcp.destinationPort.range"},
		{"no protocol", cnp(rule("action: Deny, to: [{namespaces: {}}], protocols: [{}]")), "spec.egress[0].protocols[0]"},
		{"port beyond all", anp("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 65536}}]}]}"), "spec.ingress[0].ports[0].portNumber.port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			faults := netpol.Of(snapshot(t, true, tt.policy)).Policies()[0].Faults()
			switch {
			case tt.want == "" && len(faults) > 0:
				t.Errorf("got %v, want none", faults)
			case tt.want != "" && (len(faults) != 1 || faults[0].Path != tt.want || faults[0].Err.Error() == ""):
				t.Errorf("got %v, want one at %s", faults, tt.want)
			}
		})
	}
}
