package reach_test

import (
	"net/netip"
	"strings"
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/reach"
)

func parse(t testing.TB, text string) []*cluster.Object {
	t.Helper()
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			t.Fatalf("%v in:\n%s", d.Err, text)
		}
		if o, ok := cluster.New(d.Root); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

func snapshot(t testing.TB, whole bool, texts ...string) *cluster.Snapshot {
	t.Helper()
	s := cluster.NewSnapshot(parse(t, strings.Join(texts, "\n---\n")))
	s.Whole = whole
	return s
}

// peer reads ns/name of a pod or workload, or one of the other peers.
func peer(t testing.TB, s *cluster.Snapshot, name string) reach.Peer {
	t.Helper()
	switch name {
	case "internet":
		return reach.Internet()
	case "metadata":
		return reach.Metadata()
	case "node":
		return reach.Node()
	case "apiserver":
		return reach.APIServer()
	}
	if p, err := netip.ParsePrefix(name); err == nil {
		return reach.Addresses(p)
	}
	templates := s.Templates()
	for i := range templates {
		if o := templates[i].Object; templates[i].Namespace()+"/"+o.Name == name {
			return reach.Pod(&templates[i])
		}
	}
	t.Fatalf("no peer %s", name)
	return reach.Peer{}
}

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a, kubernetes.io/metadata.name: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: b, kubernetes.io/metadata.name: ops}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 5353, protocol: UDP}]}]}
status: {podIP: 10.1.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 9090}]}]}
status: {podIP: 10.1.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: mon, namespace: ops, labels: {app: mon}}
spec: {containers: [{name: c}]}
status: {podIP: 10.2.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: ops, labels: {app: host}}
spec: {hostNetwork: true, containers: [{name: c}]}
status: {podIP: 192.168.0.1}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {zone: a}}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
`

func np(name, spec string) string {
	ns, n, _ := strings.Cut(name, "/")
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + n + ", namespace: " + ns + "}\nspec: " + spec
}

func cnp(name, spec string) string {
	return "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: " + name + "}\nspec: " + spec
}

func anp(kind, name, spec string) string {
	return "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: " + spec
}

func TestConnect(t *testing.T) {
	const (
		allowed, denied, depends, unknown, partly = reach.Allowed, reach.Denied, reach.Depends, reach.Unknown, reach.Partly
	)
	deny := np("shop/deny", "{podSelector: {}}")
	tests := []struct {
		name, policies, cni, from, to string
		port                          uint16
		want                          reach.Answer
	}{
		{"no policy", "", "", "ops/mon", "shop/web", 80, allowed},
		{"default deny", deny, "", "ops/mon", "shop/web", 80, denied},
		{"other namespace stays open", deny, "", "shop/web", "ops/mon", 80, allowed},
		{"allow from namespace", np("shop/a", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}"), "", "ops/mon", "shop/web", 80, allowed},
		{"selectors are joined", np("shop/a", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: x}}}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"items are alternatives", np("shop/a", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: x}}}]}]}"), "", "ops/mon", "shop/web", 80, allowed},
		{"pod selector is of the namespace", np("shop/a", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"needs egress too", deny + "\n---\n" + np("ops/e", "{podSelector: {}, policyTypes: [Egress]}"), "", "ops/mon", "ops/mon", 80, depends},
		{"egress denied", np("ops/e", "{podSelector: {}, policyTypes: [Egress]}"), "", "ops/mon", "shop/web", 80, denied},
		{"ingress rules are inert with Egress only", np("shop/e", "{podSelector: {}, policyTypes: [Egress], ingress: []}"), "", "ops/mon", "shop/web", 80, allowed},
		{"empty egress without types isolates ingress only", np("ops/e", "{podSelector: {}, egress: []}"), "", "ops/mon", "shop/web", 80, allowed},
		{"named port", np("shop/a", "{podSelector: {}, ingress: [{ports: [{port: http}]}]}"), "", "ops/mon", "shop/web", 8080, allowed},
		{"named port on another pod", np("shop/a", "{podSelector: {}, ingress: [{ports: [{port: http}]}]}"), "", "ops/mon", "shop/db", 8080, denied},
		{"named port has a protocol", np("shop/a", "{podSelector: {}, ingress: [{ports: [{port: dns}]}]}"), "", "ops/mon", "shop/web", 5353, denied},
		{"named port on egress", np("ops/e", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}"), "", "ops/mon", "shop/db", 9090, allowed},
		{"named port on no pod", np("ops/e", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}"), "", "ops/mon", "1.1.1.1/32", 9090, denied},
		{"end port", np("shop/a", "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}]}]}"), "", "ops/mon", "shop/web", 90, allowed},
		{"beyond end port", np("shop/a", "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}]}]}"), "", "ops/mon", "shop/web", 91, denied},
		{"empty port is all TCP", np("shop/a", "{podSelector: {}, ingress: [{ports: [{}]}]}"), "", "ops/mon", "shop/web", 91, allowed},
		{"SCTP is not TCP", np("shop/a", "{podSelector: {}, ingress: [{ports: [{protocol: SCTP}]}]}"), "", "ops/mon", "shop/web", 91, denied},

		{"block and pods", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}"), "", "ops/mon", "shop/web", 80, depends},
		{"block and pods, Calico", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}"), "calico", "ops/mon", "shop/web", 80, allowed},
		{"block and pods, Cilium", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}"), "cilium", "ops/mon", "shop/web", 80, denied},
		{"except", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16]}}]}]}"), "calico", "ops/mon", "shop/web", 80, denied},
		{"except denies nothing", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16]}}, {ipBlock: {cidr: 10.2.0.1/32}}]}]}"), "calico", "ops/mon", "shop/web", 80, allowed},
		{"all of IPv4 is not IPv6", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"), "", "2001:4860::/32", "shop/web", 80, denied},
		{"internet", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"), "", "internet", "shop/web", 80, allowed},
		{"private addresses are not the internet", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}"), "", "internet", "shop/web", 80, allowed},
		{"part of the internet", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 8.0.0.0/8}}]}]}"), "", "internet", "shop/web", 80, partly},
		{"metadata", np("shop/a", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]}"), "", "shop/web", "metadata", 80, denied},

		{"node reaches its pods", deny, "", "node", "shop/web", 80, depends},
		{"host pod is not isolated by Calico", np("ops/d", "{podSelector: {}}"), "calico", "shop/web", "ops/host", 80, allowed},
		{"host pod, plugin not known", np("ops/d", "{podSelector: {}}"), "", "shop/web", "ops/host", 80, depends},
		{"host pod is not told by labels", np("ops/e", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}"), "calico", "ops/mon", "ops/host", 80, denied},
		{"host pod, by labels, plugin not known", np("ops/e", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}"), "", "ops/mon", "ops/host", 80, depends},

		{"admin denies before allow", anp("AdminNetworkPolicy", "a", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: b}}}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"admin allows over deny", deny + "\n---\n" + anp("AdminNetworkPolicy", "a", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, allowed},
		{"low priority first", cnp("a", "{tier: Admin, priority: 9, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}") + "\n---\n" + cnp("b", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, allowed},
		{"equal priority", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}") + "\n---\n" + cnp("b", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, depends},
		{"pass", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, allowed},
		{"pass to deny", deny + "\n---\n" + cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}, {action: Accept, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"own address is none of the administrator's", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "", "ops/mon", "ops/mon", 80, allowed},
		{"baseline", anp("BaselineAdminNetworkPolicy", "default", "{subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"baseline after network policy", np("shop/a", "{podSelector: {}, ingress: [{}]}") + "\n---\n" + anp("BaselineAdminNetworkPolicy", "default", "{subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, allowed},
		{"networks match pods", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [10.1.0.0/16]}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"administrator does not select host pods", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}"), "", "ops/host", "shop/web", 80, allowed},
		{"accept fails closed", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}, {galaxies: {}}]}, {action: Deny, from: [{namespaces: {}}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"pass fails closed", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{galaxies: {}}]}]}"), "", "ops/mon", "shop/web", 80, denied},
		{"domain names", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{domainNames: [example.com]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]}"), "", "ops/mon", "1.1.1.1/32", 80, unknown},
		{"ports by protocol", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 80, end: 90}}}}]}]}"), "", "ops/mon", "shop/web", 85, denied},
		{"ports by name in any protocol", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: http}]}]}"), "", "ops/mon", "shop/web", 8080, denied},
		{"nodes", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {matchLabels: {zone: a}}}]}]}"), "", "ops/mon", "node", 22, denied},
		{"administrator, Calico", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "calico", "ops/mon", "shop/web", 80, depends},
		{"AdminNetworkPolicy, OVN-Kubernetes", anp("AdminNetworkPolicy", "a", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "ovn-kubernetes", "ops/mon", "shop/web", 80, denied},
		{"AdminNetworkPolicy, Cilium", anp("AdminNetworkPolicy", "a", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "cilium", "ops/mon", "shop/web", 80, allowed},
		{"administrator, kube-network-policies", cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "kube-network-policies", "ops/mon", "shop/web", 80, denied},

		{"not enforced", deny, "flannel", "ops/mon", "shop/web", 80, allowed},
		{"Cilium's own", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}", "", "ops/mon", "shop/web", 80, unknown},
		{"Cilium's own, other pod", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}", "", "ops/mon", "shop/db", 80, allowed},
		{"Cilium's own, without Cilium", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}", "calico", "ops/mon", "shop/web", 80, allowed},
		{"Calico's own", "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec: {selector: all()}", "", "ops/mon", "shop/web", 80, unknown},

		{"malformed selector", np("shop/a", "{podSelector: {matchExpressions: [{key: a, operator: Like}]}}"), "", "ops/mon", "shop/web", 80, unknown},
		{"misspelt selector", np("shop/a", "{podSelector: {matchLabel: {app: web}}}"), "", "ops/mon", "shop/web", 80, unknown},
		{"malformed range", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}"), "", "ops/mon", "shop/web", 80, unknown},
		{"empty peer", np("shop/a", "{podSelector: {}, ingress: [{from: [{}]}]}"), "", "ops/mon", "shop/web", 80, unknown},
		{"malformed port", np("shop/a", "{podSelector: {}, ingress: [{ports: [{port: 70000}]}]}"), "", "ops/mon", "shop/web", 80, unknown},
		{"malformed policy beside one that allows", np("shop/a", "{podSelector: {matchExpressions: [{key: a, operator: Like}]}}") + "\n---\n" + np("shop/b", "{podSelector: {}, ingress: [{}]}"), "", "ops/mon", "shop/web", 80, allowed},
		{"malformed administrator's", cnp("a", "{tier: Middle, priority: 1, subject: {namespaces: {}}}"), "", "ops/mon", "shop/web", 80, unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot(t, true, shop, tt.policies)
			cni, err := reach.Plugin(tt.cni)
			if err != nil {
				t.Fatal(err)
			}
			m := reach.With(s, cni)
			port := reach.Port{Protocol: reach.TCP, Number: tt.port}
			from, to := peer(t, s, tt.from), peer(t, s, tt.to)
			v := m.Connect(from, to, port)
			if v.Answer != tt.want {
				t.Errorf("got %s, want %s, because %v", v.Answer, tt.want, v.Reasons)
			}
			if got := m.Answer(from, to, port); got != v.Answer {
				t.Errorf("Answer: got %s, Connect says %s", got, v.Answer)
			}
			if len(v.Reasons) == 0 {
				t.Error("no reason")
			}
		})
	}
}
