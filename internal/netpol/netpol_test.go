package netpol_test

import (
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
)

func snapshot(t *testing.T, whole bool, text string) *cluster.Snapshot {
	t.Helper()
	s := cluster.NewSnapshot(parse(t, text))
	s.Whole = whole
	return s
}

func parse(t testing.TB, text string) []*cluster.Object {
	t.Helper()
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			t.Fatal(d.Err)
		}
		if o, ok := cluster.New(d.Root); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

const web = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web, tier: front}}
spec: {containers: [{name: c, image: web}]}
---
`

func TestIsolated(t *testing.T) {
	np := func(rest string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: " + rest
	}
	cilium := func(rest string) string {
		return "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\n" + rest
	}
	wide := func(rest string) string {
		return "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec: " + rest
	}
	admin := func(kind, rest string) string {
		return "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: default}\nspec: " + rest
	}
	const namespace = "\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n"
	tests := []struct {
		name, policy    string
		whole           bool
		ingress, egress bool
	}{
		{"none", "", true, false, false},
		{"default types", np("{podSelector: {}}"), true, true, false},
		{"empty types", np("{podSelector: {}, policyTypes: []}"), true, true, false},
		{"no selector selects all", np("{}"), true, true, false},
		{"empty egress isolates ingress only", np("{podSelector: {}, egress: []}"), true, true, false},
		{"egress rules", np("{podSelector: {}, egress: [{}]}"), true, true, true},
		{"egress only", np("{podSelector: {}, policyTypes: [Egress], ingress: [{}]}"), true, false, true},
		{"both", np("{podSelector: {}, policyTypes: [Ingress, Egress]}"), true, true, true},
		{"labels", np("{podSelector: {matchLabels: {app: web}}}"), true, true, false},
		{"other labels", np("{podSelector: {matchLabels: {app: db}}}"), true, false, false},
		{"In", np("{podSelector: {matchExpressions: [{key: tier, operator: In, values: [back, front]}]}}"), true, true, false},
		{"NotIn", np("{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}}"), true, false, false},
		{"NotIn of an absent label", np("{podSelector: {matchExpressions: [{key: gone, operator: NotIn, values: [front]}]}}"), true, true, false},
		{"DoesNotExist", np("{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}"), true, false, false},
		{"labels and expressions", np("{podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Exists}]}}"), true, true, false},
		{"invalid operator", np("{podSelector: {matchExpressions: [{key: tier, operator: Like}]}}"), true, false, false},
		{"other namespace", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: other}\nspec: {podSelector: {}}", true, false, false},

		{"cilium ingress", cilium("spec: {endpointSelector: {}, ingress: [{}]}"), true, true, false},
		{"cilium empty ingress", cilium("spec: {endpointSelector: {}, ingress: []}"), true, false, false},
		{"cilium deny rules", cilium("spec: {endpointSelector: {}, egressDeny: [{toEntities: [world]}]}"), true, false, true},
		{"cilium not default deny", cilium("spec: {endpointSelector: {}, ingress: [{}], egress: [{}], enableDefaultDeny: {ingress: false}}"), true, false, true},
		{"cilium default deny", cilium("spec: {endpointSelector: {}, enableDefaultDeny: {egress: true}}"), true, false, true},
		{"cilium sources", cilium(`spec: {endpointSelector: {matchLabels: {"k8s:app": web, "any:tier": front}}, ingress: [{}]}`), true, true, false},
		{"cilium expression", cilium(`spec: {endpointSelector: {matchExpressions: [{key: "k8s:app", operator: NotIn, values: [web]}]}, ingress: [{}]}`), true, false, false},
		{"cilium namespace label", cilium(`spec: {endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": shop}}, ingress: [{}]}`), true, true, false},
		{"cilium specs", cilium("specs:\n- {endpointSelector: {matchLabels: {app: db}}, ingress: [{}]}\n- {endpointSelector: {matchLabels: {app: web}}, egress: [{}]}"), true, false, true},
		{"cilium clusterwide", wide("{endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}"), true, true, false},
		{"cilium clusterwide by labels of the namespace", wide(`{endpointSelector: {matchLabels: {"io.cilium.k8s.namespace.labels.team": a}}, ingress: [{}]}`) + namespace, true, true, false},
		{"cilium clusterwide, labels of another namespace", wide(`{endpointSelector: {matchLabels: {"io.cilium.k8s.namespace.labels.team": b}}, ingress: [{}]}`) + namespace, true, false, false},
		{"cilium nodes", wide("{nodeSelector: {}, ingress: [{}]}"), true, false, false},

		{"admin deny", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), true, true, false},
		{"admin allow", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]}"), true, false, false},
		{"admin deny of a port", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 1}}]}]}"), true, false, false},
		{"admin deny of some", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {a: b}}}]}]}"), true, false, false},
		{"baseline deny of pods", admin("BaselineAdminNetworkPolicy", "{subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}, egress: [{action: Deny, to: [{pods: {namespaceSelector: {}, podSelector: {}}}]}]}"), true, false, true},
		{"cluster policy, networks", admin("ClusterNetworkPolicy", "{tier: Baseline, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}"), true, false, true},
		{"admin, namespace by label", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {matchLabels: {team: a}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}") + namespace, true, true, false},
		{"admin, other namespace", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {matchLabels: {team: b}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}") + namespace, true, false, false},
		{"admin, namespace by name", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), false, true, false},
		{"files, another name", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: other}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), false, false, false},
		{"files, labels not known", admin("AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {matchLabels: {team: a}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), false, true, false},
		{"no subject", admin("AdminNetworkPolicy", "{priority: 1, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), true, false, false},

		{"admin, no selector of namespaces", admin("ClusterNetworkPolicy", "{tier: Admin, priority: 1, subject: {pods: {podSelector: {}}}, ingress: [{action: Deny, from: [{pods: {podSelector: {}}}]}]}"), true, true, false},
		{"admin, refused", admin("AdminNetworkPolicy", "{subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), true, false, false},
		{"refused", np("{podSelector: {}, ingress: [{ports: [{port: 0}]}]}"), true, false, false},

		{"calico", "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {selector: app == 'web'}", true, true, true},
		{"calico global", "apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {selector: all()}", true, true, true},
		{"of another project", "apiVersion: example.com/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {}}", true, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot(t, tt.whole, web+tt.policy)
			m := netpol.Of(s)
			pod := &s.Templates()[0]
			if got := m.Isolated(pod, netpol.Ingress); got != tt.ingress {
				t.Errorf("isolated for ingress: got %t, want %t", got, tt.ingress)
			}
			if got := m.Isolated(pod, netpol.Egress); got != tt.egress {
				t.Errorf("isolated for egress: got %t, want %t", got, tt.egress)
			}
			// The index must agree with what is asked policy by policy.
			var one [2]bool
			for _, p := range m.Selecting(pod) {
				one[0], one[1] = one[0] || p.Isolates(netpol.Ingress), one[1] || p.Isolates(netpol.Egress)
			}
			if one != [2]bool{tt.ingress, tt.egress} {
				t.Errorf("policies one by one: got %v, want %t and %t", one, tt.ingress, tt.egress)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	tests := []struct {
		name, policy string
		want         bool
	}{
		{"none", "", false},
		{"in the namespace", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {matchLabels: {a: b}}}", true},
		{"in another", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: other}\nspec: {podSelector: {}}", false},
		{"cluster-wide", "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec: {endpointSelector: {}, ingress: [{}]}", true},
		{"of the administrator, elsewhere", "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: other}}}}", false},
		{"refused", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {}, policyTypes: [All]}", false},
		{"of the administrator", "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]}}}", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := netpol.Of(snapshot(t, true, web+tt.policy)).Holds("shop"); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestFinds(t *testing.T) {
	const custom = "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: p, namespace: shop, labels: {app: prom, own: a}}\nspec: {podMetadata: {labels: {app: pods}}}\n"
	const owned = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop}\nspec: {template: {spec: {containers: [{name: c}]}}}\n---\n" +
		"apiVersion: v1\nkind: Pod\nmetadata: {name: j-1, namespace: shop, labels: {job-name: j}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: j, controller: true}]}\nspec: {containers: [{name: c}]}\n"
	tests := []struct {
		name, namespace, selector, more string
		whole                           bool
		want                            netpol.Answer
	}{
		{"template", "shop", "{matchLabels: {app: web}}", "", false, netpol.Yes},
		{"none, files", "shop", "{matchLabels: {app: db}}", "", false, netpol.No},
		{"none, whole", "shop", "{matchLabels: {app: db}}", "", true, netpol.No},
		{"no workload of the namespace, files", "other", "{matchLabels: {app: db}}", "", false, netpol.Unknown},
		{"no workload of the namespace, whole", "other", "{matchLabels: {app: db}}", "", true, netpol.No},
		{"generated label, files", "shop", "{matchLabels: {job-name: j}}", "", false, netpol.Unknown},
		{"generated label, whole", "shop", "{matchLabels: {job-name: j}}", owned, true, netpol.Yes},
		{"pods of a custom object", "shop", "{matchLabels: {app: pods, own: a}}", custom, false, netpol.Yes},
		{"not by a label that the pods have otherwise", "shop", "{matchLabels: {app: prom}}", custom, false, netpol.No},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs := document.Parse([]byte(tt.selector), document.Limits{})
			sel, err := cluster.LabelSelector(docs[0].Root)
			if err != nil {
				t.Fatal(err)
			}
			if got := netpol.Finds(snapshot(t, tt.whole, web+tt.more), tt.namespace, sel); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
