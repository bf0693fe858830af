package netgen_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netgen"
	"seawall.io/seawall/internal/reach"
)

func snapshot(t testing.TB, texts ...string) *cluster.Snapshot {
	t.Helper()
	objects, err := netgen.Read([]byte(strings.Join(texts, "\n---\n")))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, strings.Join(texts, "\n---\n"))
	}
	return cluster.NewSnapshot(objects)
}

// deployment is one with the label app, and more of its container.
func deployment(name, container string) string {
	ns, n, _ := strings.Cut(name, "/")
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + n + ", namespace: " + ns + "}\nspec: {selector: {matchLabels: {app: " + n +
		"}}, template: {metadata: {labels: {app: " + n + "}}, spec: {containers: [{name: c" + container + "}]}}}"
}

func service(name, spec string) string {
	ns, n, _ := strings.Cut(name, "/")
	return "apiVersion: v1\nkind: Service\nmetadata: {name: " + n + ", namespace: " + ns + "}\nspec: {" + spec + "}"
}

func object(api, kind, name, rest string) string {
	ns, n, found := strings.Cut(name, "/")
	if !found {
		ns, n = "", name
	}
	return "apiVersion: " + api + "\nkind: " + kind + "\nmetadata: {name: " + n + ", namespace: \"" + ns + "\"}\n" + rest
}

const dbPorts = ", ports: [{name: sql, containerPort: 5432}, {name: web, containerPort: 8080}]"

// TestNeeds says what each way to declare a connection comes to. The look-up of
// names, which all pods need, is left out where it is not the subject.
func TestNeeds(t *testing.T) {
	db := deployment("shop/db", dbPorts)
	svc := service("shop/db", "selector: {app: db}, ports: [{name: sql, port: 5432, targetPort: sql}, {name: web, port: 80, targetPort: web}]")
	env := func(list string) string { return deployment("shop/web", ", env: ["+list+"]") }
	const sql, both = "shop/Deployment/web -> shop/Deployment/db:5432/TCP client", "shop/Deployment/web -> shop/Deployment/db:8080/TCP client"
	tests := []struct {
		name string
		in   []string
		want []string
		gap  string
	}{
		{name: "url", in: []string{db, svc, env(`{name: X, value: "http://db/path"}`)}, want: []string{both}},
		{name: "url with port and user", in: []string{db, svc, env(`{name: X, value: "postgres://u:p@db.shop:5432/x"}`)}, want: []string{sql}},
		{name: "jdbc", in: []string{db, svc, env(`{name: X, value: "jdbc:postgresql://db.shop.svc/x"}`)}, want: []string{sql}},
		{name: "host and port", in: []string{db, svc, env(`{name: DB_HOST, value: db.shop.svc.cluster.local}, {name: DB_PORT, value: "5432"}`)}, want: []string{sql}},
		{name: "host alone", in: []string{db, svc, env(`{name: DB_HOST, value: db}`)}, want: []string{sql, both}},
		{name: "variable", in: []string{db, svc, env(`{name: H, value: db}, {name: X, value: "tcp://$(H):5432"}`)}, want: []string{sql}},
		{name: "a word that is a Service's name", in: []string{db, svc, env(`{name: LOG_LEVEL, value: db}`)}},
		{name: "argument", in: []string{db, svc, deployment("shop/web", `, args: [--db, "db:5432"]`)}, want: []string{sql}},
		{name: "argument of another namespace", in: []string{db, svc, deployment("x/web", `, args: ["--db=db.shop:5432"]`)}, want: []string{"x/Deployment/web -> shop/Deployment/db:5432/TCP client"}},
		{
			name: "ConfigMap", want: []string{sql},
			in: []string{db, svc, object("v1", "ConfigMap", "shop/c", "data: {DB: \"db:5432\"}"), deployment("shop/web", ", envFrom: [{configMapRef: {name: c}}]")},
		},
		{
			name: "headless Service: the client's port is the pod's", want: []string{"shop/Deployment/web -> shop/Deployment/db:80/TCP client"},
			in: []string{db, service("shop/db", "clusterIP: None, selector: {app: db}, ports: [{port: 80, targetPort: web}]"), env(`{name: X, value: "http://db:80"}`)},
		},
		{name: "port that the Service lacks", in: []string{db, svc, env(`{name: X, value: "tcp://db:99"}`)}, gap: "99"},
		{name: "Service that was not read", in: []string{env(`{name: X, value: "http://api.other.svc"}`)}, gap: "Service other/api, which was not read"},
		{name: "internet", in: []string{env(`{name: X, value: "https://api.example.com"}`)}, want: []string{"shop/Deployment/web -> internet:443/TCP client"}},
		{name: "address", in: []string{env(`{name: X, value: "http://192.0.2.7:8080"}`)}, want: []string{"shop/Deployment/web -> 192.0.2.7:8080/TCP client"}},
		{name: "own addresses", in: []string{env(`{name: LISTEN, value: "0.0.0.0:80"}, {name: X, value: "http://localhost:80"}, {name: Y, value: "http://127.0.0.1"}`)}},
		{
			name: "ExternalName", want: []string{"shop/Deployment/web -> internet:5432/TCP client"},
			in: []string{service("shop/db", "type: ExternalName, externalName: db.example.com, ports: [{port: 5432}]"), env(`{name: DB_HOST, value: db}`)},
		},
		{name: "load balancer", in: []string{db, service("shop/db", "type: LoadBalancer, selector: {app: db}, ports: [{port: 80, targetPort: web}]")}, want: []string{"anyone -> shop/Deployment/db:8080/TCP entry"}},
		{
			name: "Ingress, its backend's port alone", want: []string{"anyone -> shop/Deployment/db:8080/TCP entry"},
			in: []string{db, svc, object("networking.k8s.io/v1", "Ingress", "shop/i", "spec: {defaultBackend: {service: {name: db, port: {name: web}}}}")},
		},
		{
			name: "Ingress from its controller", want: []string{"edge/Deployment/ingress-nginx -> shop/Deployment/db:8080/TCP entry"},
			in: []string{
				db, svc, deployment("edge/ingress-nginx", ""),
				object("networking.k8s.io/v1", "Ingress", "shop/i", "spec: {defaultBackend: {service: {name: db, port: {number: 80}}}}"),
			},
		},
		{name: "host port", in: []string{deployment("shop/web", ", ports: [{containerPort: 80, hostPort: 8080}]")}, want: []string{"anyone -> shop/Deployment/web:80/TCP entry"}},
		{
			name: "webhook", want: []string{"anyone -> shop/Deployment/db:8080/TCP webhook"},
			in: []string{db, svc, object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "w", "webhooks: [{clientConfig: {service: {namespace: shop, name: db, port: 80}}}]")},
		},
		{
			name: "aggregated API", want: []string{"anyone -> shop/Deployment/db:5432/TCP webhook"},
			in: []string{db, svc, object("apiregistration.k8s.io/v1", "APIService", "v1.x", "spec: {service: {namespace: shop, name: db, port: 5432}}")},
		},
		{
			name: "ServiceMonitor", want: []string{"mon/Deployment/prometheus -> shop/Deployment/db:8080/TCP metrics"},
			in: []string{
				db, svc, deployment("mon/prometheus", ""),
				object("monitoring.coreos.com/v1", "ServiceMonitor", "mon/m", "spec: {namespaceSelector: {matchNames: [shop]}, selector: {}, endpoints: [{port: web}]}"),
			},
		},
		{
			name: "PodMonitor, and the operator's Prometheus", want: []string{"mon/Pod/prometheus-k8s -> shop/Deployment/db:8080/TCP metrics"},
			in: []string{
				db, object("monitoring.coreos.com/v1", "Prometheus", "mon/k8s", "spec: {podMonitorSelector: {}}"),
				object("monitoring.coreos.com/v1", "PodMonitor", "mon/m", "spec: {namespaceSelector: {any: true}, selector: {matchLabels: {app: db}}, podMetricsEndpoints: [{port: web}]}"),
			},
		},
		{
			name: "Prometheus that selects other monitors", gap: "no Prometheus that selects it was read",
			in: []string{
				db, object("monitoring.coreos.com/v1", "Prometheus", "mon/k8s", "spec: {podMonitorSelector: {matchLabels: {team: a}}}"),
				object("monitoring.coreos.com/v1", "PodMonitor", "mon/m", "spec: {namespaceSelector: {any: true}, selector: {matchLabels: {app: db}}, podMetricsEndpoints: [{port: web}]}"),
			},
		},
		{
			name: "no Prometheus", gap: "no Prometheus that selects it was read",
			in: []string{db, "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop, annotations: {prometheus.io/scrape: 'true'}}\nspec: {selector: {app: db}, ports: [{port: 80, targetPort: web}]}"},
		},
		{
			name: "StatefulSet of several", want: []string{"shop/StatefulSet/db -> shop/StatefulSet/db:5432/TCP members"},
			in: []string{
				object("apps/v1", "StatefulSet", "shop/db", "spec: {replicas: 3, serviceName: db, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, ports: [{containerPort: 5432}]}]}}}"),
				service("shop/db", "clusterIP: None, selector: {app: db}, ports: [{port: 5432}]"),
			},
		},
		{
			name: "API server", want: []string{"shop/Deployment/web -> apiserver:443/TCP api", "shop/Deployment/web -> apiserver:6443/TCP api"},
			in: []string{env(""), object("rbac.authorization.k8s.io/v1", "RoleBinding", "shop/b", "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [{kind: ServiceAccount, name: default, namespace: shop}]")},
		},
		{name: "probe", in: []string{deployment("shop/web", ", ports: [{name: h, containerPort: 80}], livenessProbe: {httpGet: {port: h}}")}, want: []string{"node -> shop/Deployment/web:80/TCP probe"}},
		{name: "bad label", in: []string{strings.ReplaceAll(env(""), "labels: {app: web}", "labels: {app: 'a b'}")}, gap: "the API server refuses its pods"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := snapshot(t, test.in...)
			d := netgen.Needs(reach.Of(s), s, "")
			var got []string
			for _, n := range d.Needs {
				if n.Use != netgen.DNS {
					got = append(got, fmt.Sprintf("%s %s", n, n.Use))
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("needs, want -, got +:\n%s", diff)
			}
			var gaps []string
			for _, g := range d.Gaps {
				gaps = append(gaps, g.Reason)
			}
			if text := strings.Join(gaps, "\n"); (text == "") != (test.gap == "") || !strings.Contains(text, test.gap) {
				t.Errorf("gaps %q, want %q", text, test.gap)
			}
		})
	}
}

func TestLookUp(t *testing.T) {
	with := func(spec string) string {
		return strings.Replace(deployment("shop/web", ""), "spec: {containers", "spec: {"+spec+"containers", 1)
	}
	system := []string{
		strings.ReplaceAll(deployment("kube-system/coredns", ", ports: [{name: dns, containerPort: 5353, protocol: UDP}, {name: dns-tcp, containerPort: 5353}]"), "app: coredns", "k8s-app: kube-dns"),
		service("kube-system/kube-dns", "selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP, targetPort: dns}, {name: dns-tcp, port: 53, targetPort: dns-tcp}]"),
	}
	tests := []struct {
		name string
		in   []string
		want []string
	}{
		{"stand-in", []string{with("")}, []string{"169.254.20.10:53/TCP", "169.254.20.10:53/UDP", "kube-system/Pod/kube-dns:53/TCP", "kube-system/Pod/kube-dns:53/UDP"}},
		{
			"ports of the pods", append(system, with("")),
			[]string{"169.254.20.10:53/TCP", "169.254.20.10:53/UDP", "kube-system/Deployment/coredns:5353/TCP", "kube-system/Deployment/coredns:5353/UDP"},
		},
		{"node's own", []string{with("dnsPolicy: Default, ")}, []string{"any address:53/TCP", "any address:53/UDP"}},
		{"none", []string{with("dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1]}, ")}, []string{"192.0.2.1:53/TCP", "192.0.2.1:53/UDP"}},
		{"host network", []string{with("hostNetwork: true, ")}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := snapshot(t, test.in...)
			var got []string
			for _, n := range netgen.Needs(reach.Of(s), s, "").Needs {
				if n.From.String() == "shop/Deployment/web" {
					got = append(got, fmt.Sprintf("%s:%s", n.To, n.Port))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func generate(t testing.TB, s *cluster.Snapshot, o netgen.Options) *netgen.Result {
	t.Helper()
	r, err := netgen.Generate(reach.Of(s), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestExisting keeps the policies that are there, says what they allow beyond,
// takes no name of theirs, and replaces its own.
func TestExisting(t *testing.T) {
	s := snapshot(t, deployment("shop/web", dbPorts), deployment("shop/db", dbPorts),
		object("networking.k8s.io/v1", "NetworkPolicy", "shop/default-deny", "spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 5432}]}]}"),
		object("networking.k8s.io/v1", "NetworkPolicy", "shop/free", "spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}"),
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: allow-old, namespace: shop, labels: {app.kubernetes.io/managed-by: seawall}}\nspec: {podSelector: {}, ingress: [{}]}")
	r := generate(t, s, netgen.Options{})
	var names []string
	for _, p := range r.Policies {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	if want := []string{"shop/default-deny-2", "shop/allow-dns"}; !slices.Equal(names, want) {
		t.Errorf("policies %v, want %v", names, want)
	}
	if len(r.Replaced) != 1 || r.Replaced[0].Name != "allow-old" {
		t.Errorf("replaced %v", r.Replaced)
	}
	want := []netgen.Pair{{From: "shop/Deployment/web", To: "shop/Deployment/db", Ports: []reach.Range{{Protocol: reach.TCP, First: 5432, Last: 5432, Answer: reach.Allowed}}}}
	if diff := cmp.Diff(want, r.Beyond); diff != "" {
		t.Errorf("beyond, want -, got +:\n%s", diff)
	}
}

// TestAdministrator names the policy of the administrator that denies what the set
// allows: it stays in force.
func TestAdministrator(t *testing.T) {
	s := snapshot(t, deployment("shop/web", `, env: [{name: X, value: "tcp://db:5432"}]`), deployment("shop/db", dbPorts),
		service("shop/db", "selector: {app: db}, ports: [{port: 5432}]"),
		object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "no-sql", "spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{name: a, action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 5432}}}]}]}"))
	r := generate(t, s, netgen.Options{})
	if len(r.Unproven) != 1 || r.Unproven[0].Answer != reach.Denied || !strings.Contains(r.Unproven[0].Why, "no-sql") {
		t.Errorf("unproven %+v, want one that ClusterNetworkPolicy no-sql denies", r.Unproven)
	}
}

func TestNamespaces(t *testing.T) {
	s := snapshot(t, deployment("shop/web", ""), deployment("kube-system/x", ""))
	if r := generate(t, s, netgen.Options{}); !slices.Equal(r.Namespaces, []string{"shop"}) {
		t.Errorf("namespaces %v, want shop alone", r.Namespaces)
	}
	if r := generate(t, s, netgen.Options{Namespaces: []string{"kube-system"}}); !slices.Equal(r.Namespaces, []string{"kube-system"}) {
		t.Errorf("namespaces %v, want kube-system", r.Namespaces)
	}
	if _, err := netgen.Generate(reach.Of(s), s, netgen.Options{Namespaces: []string{"sh0p"}}); err == nil || !strings.Contains(err.Error(), `"sh0p"`) {
		t.Errorf("error %v, want one that names the namespace", err)
	}
	empty := snapshot(t, object("v1", "ConfigMap", "shop/c", "data: {}"))
	if _, err := netgen.Generate(reach.Of(empty), empty, netgen.Options{}); err == nil {
		t.Error("no error without pods")
	}
}

// TestNames wants nothing that manifests hold to break out of a comment or a
// string.
func TestNames(t *testing.T) {
	s := snapshot(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: \"x\\nspec: {}\", namespace: shop, labels: {a: \"true\", b: \"1e3\", c: \"\", d: \"null\"}}\n"+
		"spec: {containers: [{name: c, env: [{name: \"A\\n- evil: 1\", value: \"https://example.com\"}]}]}")
	r := generate(t, s, netgen.Options{})
	for _, p := range r.Policies {
		for _, f := range p.Root.At("spec", "podSelector", "matchLabels").Map() {
			if f.Value.Str() != map[string]string{"a": "true", "b": "1e3", "c": "", "d": "null"}[f.Key] {
				t.Errorf("label %s is %q", f.Key, f.Value.Str())
			}
		}
	}
	if strings.Contains(string(r.YAML), "\n- evil") || len(r.Policies) != 3 {
		t.Errorf("%d policies:\n%s", len(r.Policies), r.YAML)
	}
}

func TestCompare(t *testing.T) {
	objects := []string{
		deployment("shop/web", `, env: [{name: X, value: "tcp://db:5432"}]`), deployment("shop/db", dbPorts), deployment("shop/other", ""),
		service("shop/db", "selector: {app: db}, ports: [{port: 5432}]"),
		object("networking.k8s.io/v1", "NetworkPolicy", "shop/db", "spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}"),
	}
	s := snapshot(t, objects...)
	put, err := netgen.Read([]byte(object("networking.k8s.io/v1", "NetworkPolicy", "shop/db", "spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: other}}}], ports: [{port: 5432}]}]}")))
	if err != nil {
		t.Fatal(err)
	}
	after, err := netgen.Alteration{Put: put}.Apply(s)
	if err != nil {
		t.Fatal(err)
	}
	c := netgen.Compare(reach.Of(s), reach.Of(after), s, "")
	var got []string
	for d := range c.All() {
		for _, x := range d.Changes {
			got = append(got, fmt.Sprintf("%v -> %v: %s %d-%d %s -> %s", d.From, d.To, x.Protocol, x.First, x.Last, x.Before, x.After))
		}
	}
	want := []string{
		"[shop/Deployment/other] -> [shop/Deployment/db]: TCP 5432-5432 denied -> allowed",
		"[shop/Deployment/web] -> [shop/Deployment/db]: TCP 5432-5432 allowed -> denied",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if len(c.Broken) != 1 || c.Broken[0].Need.String() != "shop/Deployment/web -> shop/Deployment/db:5432/TCP" {
		t.Errorf("broken %+v", c.Broken)
	}
	if _, err := (netgen.Alteration{Without: []seawall.Object{{Kind: "NetworkPolicy", Namespace: "shop", Name: "nope"}}}).Apply(s); err == nil {
		t.Error("no error for a policy that is not there")
	}
	if _, err := (netgen.Alteration{Put: snapshot(t, objects[0]).Objects}).Apply(s); err == nil {
		t.Error("no error for what is no policy")
	}
	gone, err := netgen.Alteration{Without: []seawall.Object{{Kind: "NetworkPolicy", Namespace: "shop", Name: "db"}}}.Apply(s)
	if err != nil {
		t.Fatal(err)
	}
	c = netgen.Compare(reach.Of(s), reach.Of(gone), s, "")
	if len(c.Broken) > 0 || !c.Opens() {
		t.Errorf("without the policy: %+v", c)
	}
	for d := range c.All() {
		if slices.ContainsFunc(d.Changes, func(x netgen.Change) bool { return !x.Opens() }) {
			t.Errorf("without the policy: %+v", d)
		}
	}
}
