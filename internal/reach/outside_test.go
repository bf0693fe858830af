package reach_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/reach"
)

const services = `
apiVersion: v1
kind: Service
metadata: {name: lb, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: np, namespace: shop}
spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: ext, namespace: shop}
spec: {selector: {app: db}, externalIPs: [203.0.113.1], ports: [{port: 5432}, {port: 1, targetPort: nowhere}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ing, namespace: shop}
spec: {defaultBackend: {service: {name: inner, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: inner, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ingress-nginx, namespace: edge}
spec: {template: {metadata: {labels: {app.kubernetes.io/name: ingress-nginx}}, spec: {containers: [{name: c}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: hostport, namespace: ops, labels: {app: hp}}
spec: {containers: [{name: c, ports: [{containerPort: 80, hostPort: 8000}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {ports: [{port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.168.0.1]}]
ports: [{port: 6443}]
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: shop}
spec: {type: ExternalName, externalName: db.example.com}
---
apiVersion: v1
kind: Pod
metadata: {name: coredns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: c}]}
`

func TestOutside(t *testing.T) {
	tests := []struct {
		name, workload, policies, cni string
		want                          []string
	}{
		{"no policy", "shop/web", "", "", []string{
			"LoadBalancer lb 80 from node to 8080/TCP: allowed", "NodePort np 30080 from internet to 8080/TCP: allowed",
			"to internet 443/TCP: allowed", "to metadata 80/TCP: allowed", "to apiserver 6443/TCP: allowed", "to dns 53/UDP: allowed", "to dns 53/TCP: allowed",
		}},
		{"clients are seen as nodes, or not", "shop/web", np("shop/a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [192.168.0.0/16]}}]}]}"), "calico", []string{
			"LoadBalancer lb 80 from node to 8080/TCP: depends", "NodePort np 30080 from internet to 8080/TCP: allowed",
			"to internet 443/TCP: allowed", "to metadata 80/TCP: allowed", "to apiserver 6443/TCP: allowed", "to dns 53/UDP: allowed", "to dns 53/TCP: allowed",
		}},
		{"through the ingress controller", "shop/db", np("shop/a", "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}], ports: [{port: 9090}]}], egress: [{to: [{ipBlock: {cidr: 192.168.0.1/32}}], ports: [{port: 6443}]}, {ports: [{port: 53, protocol: UDP}]}]}"), "calico", []string{
			"externalIPs ext 5432 from node to 5432/TCP: depends", "externalIPs ext 1 from  to 1/TCP: unknown",
			"Ingress inner 0 from edge/Deployment/ingress-nginx to 9090/TCP: allowed",
			"to internet 443/TCP: denied", "to metadata 80/TCP: denied", "to apiserver 6443/TCP: allowed", "to dns 53/UDP: allowed", "to dns 53/TCP: denied",
		}},
		{"API server on a node, Cilium", "shop/db", np("shop/a", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.168.0.1/32}}]}]}"), "cilium", []string{
			"externalIPs ext 5432 from node to 5432/TCP: allowed", "externalIPs ext 1 from  to 1/TCP: unknown",
			"Ingress inner 0 from edge/Deployment/ingress-nginx to 9090/TCP: allowed",
			"to internet 443/TCP: denied", "to metadata 80/TCP: denied", "to apiserver 6443/TCP: denied", "to dns 53/UDP: denied", "to dns 53/TCP: denied",
		}},
		{"host port", "ops/hostport", np("ops/d", "{podSelector: {}}"), "", []string{
			"hostPort  8000 from internet to 80/TCP: denied",
			"to internet 443/TCP: allowed", "to metadata 80/TCP: allowed", "to apiserver 6443/TCP: allowed", "to dns 53/UDP: allowed", "to dns 53/TCP: allowed",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot(t, true, shop, services, tt.policies)
			cni, err := reach.Plugin(tt.cni)
			if err != nil {
				t.Fatal(err)
			}
			o := reach.With(s, cni).Outside(peer(t, s, tt.workload).Template())
			var got []string
			for _, e := range o.Entries {
				service := ""
				if e.Service != nil {
					service = e.Service.Name
				}
				got = append(got, fmt.Sprintf("%s %s %d from %s to %s: %s", e.Through, service, e.Listen, e.From, e.Port, e.Answer))
			}
			for _, e := range o.Exits {
				got = append(got, fmt.Sprintf("to %s %s: %s", e.To, e.Port, e.Answer))
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

// TestNoController asks what passes to an ingress controller of which nothing is
// known: only what everything passes.
func TestNoController(t *testing.T) {
	const ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: shop}\nspec: {defaultBackend: {service: {name: s}}}\n---\n" +
		"apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
	for policy, want := range map[string]reach.Answer{
		"":                 reach.Allowed,
		np("shop/a", "{}"): reach.Denied,
		np("shop/a", "{ingress: [{from: [{namespaceSelector: {}}]}]}"):                    reach.Allowed,
		np("shop/a", "{ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}}}]}]}"): reach.Unknown,
	} {
		s := snapshot(t, true, shop, ingress, policy)
		o := reach.Of(s).Outside(peer(t, s, "shop/web").Template())
		if len(o.Entries) != 1 || o.Entries[0].Answer != want {
			t.Errorf("%s: got %v, want %s", policy, o.Entries, want)
		}
	}
}

func TestDetect(t *testing.T) {
	ds := func(ns, name, spec string) string {
		return "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: " + name + ", namespace: " + ns + "}\nspec: {template: {spec: {containers: [" + spec + "]}}}"
	}
	tests := []struct {
		name, objects, want string
		enforces            reach.Answer
	}{
		{"nothing", "", "", reach.Allowed},
		{"calico", ds("calico-system", "calico-node", "{name: c}"), "calico", reach.Allowed},
		{"flannel", ds("kube-flannel", "kube-flannel-ds", "{name: c}"), "flannel", reach.Denied},
		{"flannel with Calico for policies", ds("kube-system", "kube-flannel-ds", "{name: c}") + "\n---\n" + ds("kube-system", "calico-node", "{name: c}"), "calico", reach.Allowed},
		{"old kindnet", ds("kube-system", "kindnet", "{name: c, image: 'docker.io/kindest/kindnetd:v20240202-8f1494ea'}"), "kindnet", reach.Denied},
		{"new kindnet", ds("kube-system", "kindnet", "{name: c, image: 'docker.io/kindest/kindnetd:v20250512-df8de77b'}"), "kindnet", reach.Allowed},
		{"AWS without policies", ds("kube-system", "aws-node", "{name: c, args: ['--enable-network-policy=false']}"), "aws", reach.Denied},
		{"AWS with policies", ds("kube-system", "aws-node", "{name: c}, {name: d, args: ['--enable-network-policy=true']}"), "aws", reach.Allowed},
		{"some other of that name", "apiVersion: example.com/v1\nkind: DaemonSet\nmetadata: {name: calico-node}\nspec: {}", "", reach.Allowed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := reach.Detect(snapshot(t, true, shop, tt.objects))
			if c.Name != tt.want || c.Enforces != tt.enforces {
				t.Errorf("got %q which enforces: %s, want %q, %s", c.Name, c.Enforces, tt.want, tt.enforces)
			}
		})
	}
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {policy-cidr-match-mode: nodes}\n---\n"
	if c := reach.Detect(snapshot(t, true, config+ds("kube-system", "cilium", "{name: c}"))); c.MatchesNodes != reach.Allowed || c.MatchesPods != reach.Denied {
		t.Errorf("Cilium that matches nodes: got %+v", c)
	}
}

func TestFind(t *testing.T) {
	s := snapshot(t, true, shop, services, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: web, namespace: jobs}\nspec: {template: {spec: {containers: [{name: c}]}}}\n---\n"+
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: jobs}\nspec: {template: {spec: {containers: [{name: c}]}}}")
	m := reach.Of(s)
	tests := []struct {
		name, want, fails string
	}{
		{"shop/web", "shop/Pod/web", ""},
		{"shop/pod/web", "shop/Pod/web", ""},
		{"jobs/deploy/web", "jobs/Deployment/web", ""},
		{"jobs/web", "", "several"},
		{"shop/svc/lb", "shop/Pod/web", ""},
		{"shop/lb", "shop/Pod/web", ""},
		{"shop/svc/away", "db.example.com", ""},
		{"default/svc/kubernetes", "apiserver", ""},
		{"10.1.0.1", "shop/Pod/web", ""},
		{"10.96.0.1", "shop/Pod/web", ""},
		{"192.168.0.1", "192.168.0.1", ""},
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{"10.0.0.0/33", "", "no range"},
		{"internet", "internet", ""},
		{"shop/nothing", "", "there are shop/Pod/db, shop/Pod/web"},
		{"ops/web", "", "did you mean"},
		{"web", "", "want namespace/name"},
		{"a/b/c/d", "", "want namespace/name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target, err := m.Find(tt.name)
			switch {
			case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
				t.Errorf("got %v, want an error with %q", err, tt.fails)
			case tt.fails == "" && err != nil:
				t.Error(err)
			case tt.fails == "" && target.Peers[0].String() != tt.want:
				t.Errorf("got %s, want %s", target.Peers[0], tt.want)
			}
		})
	}
	if _, err := m.Find("shop/nothing"); !errors.Is(err, reach.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestSplitPort(t *testing.T) {
	for in, want := range map[string][2]string{
		"shop/web": {"shop/web", ""}, "shop/web:80": {"shop/web", "80"}, "shop/web:53/udp": {"shop/web", "53/udp"}, "shop/svc/web:http": {"shop/svc/web", "http"},
		"10.0.0.1:443": {"10.0.0.1", "443"}, "10.0.0.0/8:443": {"10.0.0.0/8", "443"}, "fd00::1": {"fd00::1", ""}, "fd00::/64": {"fd00::/64", ""},
		"[fd00::1]:443": {"fd00::1", "443"}, "[fd00::]/64:443/udp": {"fd00::/64", "443/udp"}, "[fd00::1]": {"[fd00::1]", ""},
	} {
		if name, port := reach.SplitPort(in); name != want[0] || port != want[1] {
			t.Errorf("%s: got %q and %q, want %q", in, name, port, want)
		}
	}
}

func TestPortOfService(t *testing.T) {
	s := snapshot(t, true, shop, services)
	m := reach.Of(s)
	for in, want := range map[string]string{
		"shop/svc/lb 80": "8080/TCP", "shop/svc/lb http": "8080/TCP", "shop/svc/np 80": "8080/TCP", "shop/svc/lb 8080": "none such", "shop/svc/ext 1": "no container",
		"shop/web http": "8080/TCP", "shop/web dns": "5353/UDP", "shop/web 7/sctp": "7/SCTP", "shop/web x": "want a number", "shop/web 0": "want a number", "shop/web 80/icmp": "protocol",
	} {
		name, port, _ := strings.Cut(in, " ")
		target, err := m.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Port(target, target.Peers[0], port)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got.String() != want {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
}

// TestHairpin: a pod's traffic to itself through a Service is subject to policies.
func TestHairpin(t *testing.T) {
	s := snapshot(t, true, shop, services, np("shop/deny", "{podSelector: {}}"))
	m := reach.Of(s)
	for name, want := range map[string]reach.Answer{"shop/web": reach.Depends, "shop/svc/lb": reach.Denied} {
		target, err := m.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Connect(peer(t, s, "shop/web"), target.Peers[0], reach.Port{Number: 8080}).Answer; got != want {
			t.Errorf("to %s: got %s, want %s", name, got, want)
		}
	}
}

// TestReasons holds what is said to what decides.
func TestReasons(t *testing.T) {
	deny := np("shop/deny", "{podSelector: {}}")
	tests := []struct {
		name, policies, cni, from string
		want                      []string
	}{
		{"none", "", "", "ops/mon", []string{"egress: no policy isolates", "ingress: no policy isolates"}},
		{"missing allow", deny + "\n---\n" + np("shop/b", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"), "", "ops/mon", []string{
			"egress: no policy isolates", "NetworkPolicy shop/deny isolates the pods, and none of its rules", "NetworkPolicy shop/b isolates the pods, and none of its rules",
		}},
		{"allow", deny + "\n---\n" + np("shop/b", "{podSelector: {}, ingress: [{}]}"), "", "ops/mon", []string{"egress: no policy isolates", "NetworkPolicy shop/b allows it by spec.ingress[0]"}},
		{"not enforced", deny, "flannel", "ops/mon", []string{"egress: no policy isolates", "NetworkPolicy shop/deny is present, not enforced: flannel", "otherwise no policy isolates"}},
		{"depends", np("shop/b", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}"), "", "ops/mon", []string{
			"egress: no policy isolates", "allows it by spec.ingress[0] if it matches: whether the ipBlock 10.0.0.0/8 matches pods depends", "isolates the pods, and no other rule",
		}},
		{"administrator", deny + "\n---\n" + cnp("c", "{tier: Admin, priority: 4, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"), "", "ops/mon", []string{
			"egress: no policy isolates", "ClusterNetworkPolicy c denies it by spec.ingress[0] (Admin tier, priority 4)",
		}},
		{"equal priority", cnp("c", "{tier: Admin, priority: 4, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}") + "\n---\n" +
			cnp("d", "{tier: Admin, priority: 4, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}"), "", "ops/mon", []string{
			"egress: no policy isolates", "ClusterNetworkPolicy c denies it", "ClusterNetworkPolicy d allows it",
		}},
		{"malformed", np("shop/b", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}"), "", "ops/mon", []string{
			"egress: no policy isolates", "would be refused by the API server, so that what holds in its place is not known: spec.ingress[0].from[0].ipBlock.cidr", "otherwise no policy isolates",
		}},
		{"a rule in doubt before one that is not", cnp("c", "{tier: Admin, priority: 4, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {matchLabels: {a: b}}}]}]}") + "\n---\n" +
			cnp("d", "{tier: Admin, priority: 5, subject: {namespaces: {}}, egress: [{action: Accept, to: [{domainNames: [a.b]}]}, {action: Deny, to: [{networks: [1.0.0.0/8]}]}]}"), "", "shop/web to 1.1.1.1/32", []string{
			"ClusterNetworkPolicy d allows it by spec.egress[0] (Admin tier, priority 5) if it matches: which addresses a.b has", "ClusterNetworkPolicy d denies it by spec.egress[1]",
		}},
		{"node", deny, "", "node", []string{"NetworkPolicy shop/deny isolates", "own node"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot(t, true, shop, tt.policies)
			cni, err := reach.Plugin(tt.cni)
			if err != nil {
				t.Fatal(err)
			}
			from, to, given := strings.Cut(tt.from, " to ")
			if !given {
				to = "shop/web"
			}
			v := reach.With(s, cni).Connect(peer(t, s, from), peer(t, s, to), reach.Port{Number: 80})
			var got []string
			for _, r := range v.Reasons {
				got = append(got, r.String())
			}
			if len(got) != len(tt.want) || slices.ContainsFunc(tt.want, func(w string) bool {
				return !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, w) })
			}) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestUnlisted: where policies could not be listed, nothing is certain.
func TestUnlisted(t *testing.T) {
	s := snapshot(t, true, shop)
	s.Incomplete = append(s.Incomplete, seawall.Incomplete{Reason: "list networkpolicies: forbidden"})
	m := reach.Of(s)
	if a := m.Answer(peer(t, s, "ops/mon"), peer(t, s, "shop/web"), reach.Port{Number: 80}); a != reach.Unknown {
		t.Errorf("got %s, want unknown", a)
	}
	if p := m.Problems(); len(p) != 1 || !p[0].Unread {
		t.Errorf("got %v, want one problem", p)
	}
}

// TestPartsOfTheInternet: what is allowed is told in ranges.
func TestPartsOfTheInternet(t *testing.T) {
	s := snapshot(t, true, shop, np("shop/a", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 8.0.0.0/8, except: [8.8.0.0/16]}}]}]}"))
	v := reach.Of(s).Connect(peer(t, s, "shop/web"), reach.Internet(), reach.Port{Number: 443})
	allowed := ""
	for _, p := range v.Parts {
		if p.Answer == reach.Allowed {
			allowed = fmt.Sprint(p.Ranges)
		}
	}
	if want := "[8.0.0.0/13 8.9.0.0/16 8.10.0.0/15 8.12.0.0/14 8.16.0.0/12 8.32.0.0/11 8.64.0.0/10 8.128.0.0/9]"; v.Answer != reach.Partly || allowed != want {
		t.Errorf("got %s with %s allowed, want partly with %s", v.Answer, allowed, want)
	}
}

// TestPodsOfAWorkload: labels that controllers give make it unknown of the
// workload, and certain of a pod.
func TestPodsOfAWorkload(t *testing.T) {
	const set = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: data, uid: u}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: data, labels: {app: db, statefulset.kubernetes.io/pod-name: db-0}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}]}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: data, labels: {app: db, statefulset.kubernetes.io/pod-name: db-1}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}]}
spec: {containers: [{name: c}]}
`
	s := snapshot(t, true, shop, set, np("data/a", "{podSelector: {matchLabels: {statefulset.kubernetes.io/pod-name: db-0}}}"))
	m := reach.Of(s)
	for name, want := range map[string]reach.Answer{"data/sts/db": reach.Unknown, "data/db-0": reach.Denied, "data/db-1": reach.Allowed} {
		target, err := m.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if v := m.Connect(peer(t, s, "shop/web"), target.Peers[0], reach.Port{Number: 80}); v.Answer != want {
			t.Errorf("%s: got %s, want %s: %v", name, v.Answer, want, v.Reasons)
		}
	}
}
