package reach_test

import (
	"strings"
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/reach"
)

// FuzzPolicies reads any manifests as policies of a small cluster. Nothing may
// panic, the matrix must say what single questions do, a policy with a fault
// must be told as a problem, and each answer must have its reasons.
func FuzzPolicies(f *testing.F) {
	for _, seed := range []string{
		np("shop/a", "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: http}, {port: 80, endPort: 90, protocol: UDP}]}]}"),
		np("shop/a", "{podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}]}, egress: [{to: [{namespaceSelector: {}, podSelector: {}}]}, null]}"),
		np("shop/a", "{podSelector: {matchLabel: {}}, ingress: [{from: [{}]}], policyTypes: [x]}"),
		np("shop/a", "{podSelector: [], ingress: {}, egress: [{ports: [null, {endPort: 1}]}]}"),
		cnp("a", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{pods: {podSelector: {}}}]}], egress: [{action: Deny, to: [{networks: ['::/0']}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]}"),
		cnp("a", "{tier: Baseline, priority: 1, subject: {pods: {}}, egress: [{action: Pass, to: [{domainNames: [a.b.]}, {nodes: {}}, {}]}]}"),
		anp("AdminNetworkPolicy", "a", "{priority: 1, subject: {namespaces: {sameLabels: [a]}}, ingress: [{action: Allow, from: [{namespaces: {}}], ports: [{namedPort: http}, {portRange: {start: 2, end: 1}}]}]}"),
		anp("BaselineAdminNetworkPolicy", "default", "{subject: 1, ingress: 2}"),
		"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspecs: [{endpointSelector: {matchLabels: {'k8s:app': web}}, ingressDeny: [{}]}, 3]",
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {selector: all()}",
		"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s, namespace: shop}\nspec: {template: {spec: {hostNetwork: 1, containers: [{name: c, ports: [{containerPort: x}]}]}}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var objects []*cluster.Object
		for _, d := range document.Parse([]byte(text), document.Limits{Nodes: 2000}) {
			if d.Err == nil && d.Root != nil {
				if o, ok := cluster.New(d.Root); ok {
					objects = append(objects, o)
				}
			}
		}
		consistent(t, objects)
	})
}

// FuzzSpec does the same with the spec of one policy, of a kind by its number.
func FuzzSpec(f *testing.F) {
	for i, seed := range []string{
		`{"podSelector":{},"policyTypes":["Ingress"],"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":"http"},{"port":80,"endPort":90}]}]}`,
		`{"tier":"Admin","priority":1,"subject":{"namespaces":{}},"ingress":[{"action":"Accept","from":[{"pods":{"podSelector":{}}}],"protocols":[{"tcp":{"destinationPort":{"range":{"start":1,"end":2}}}},{"destinationNamedPort":"http"}]}]}`,
		`{"priority":1,"subject":{"pods":{"namespaceSelector":{},"podSelector":{}}},"egress":[{"action":"Pass","to":[{"networks":["::/0"]},{"galaxies":{}}],"ports":[{"portNumber":{"protocol":"UDP","port":53}}]}]}`,
		`{"subject":{"namespaces":{}},"egress":[{"action":"Deny","to":[{"nodes":{"matchLabels":{"a":"b"}}}]}]}`,
		`{"endpointSelector":{"matchLabels":{"k8s:app":"web"}},"ingress":[{}],"enableDefaultDeny":{"ingress":false}}`,
	} {
		f.Add(byte(i), seed)
	}
	f.Fuzz(func(t *testing.T, kind byte, spec string) {
		root, err := document.ParseJSON([]byte(spec), document.Limits{Nodes: 2000})
		if err != nil {
			return
		}
		kinds := [...][2]string{
			{"networking.k8s.io/v1", "NetworkPolicy"},
			{"policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"},
			{"policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"},
			{"policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"},
			{"cilium.io/v2", "CiliumNetworkPolicy"},
		}
		k := kinds[int(kind)%len(kinds)]
		text := func(s string) *document.Node { return document.NewString(document.Pos{}, s) }
		mapping := func(fields ...document.Field) *document.Node { return document.NewMap(document.Pos{}, fields) }
		o, _ := cluster.New(mapping(
			document.Field{Key: "apiVersion", Value: text(k[0])}, document.Field{Key: "kind", Value: text(k[1])},
			document.Field{Key: "metadata", Value: mapping(document.Field{Key: "name", Value: text("p")}, document.Field{Key: "namespace", Value: text("shop")})},
			document.Field{Key: "spec", Value: root}))
		consistent(t, []*cluster.Object{o})
	})
}

// consistent holds the answers to one another.
func consistent(t *testing.T, objects []*cluster.Object) {
	t.Helper()
	s := cluster.NewSnapshot(append(parse(t, shop), objects...))
	m := reach.Of(s)
	templates := s.Templates()
	if len(templates) > 12 {
		return
	}
	x, port := m.Matrix(), reach.Port{Number: 80}
	for i := range templates {
		from, _ := m.Class(&templates[i])
		row := x.Row(from)
		for j := range templates {
			to, _ := m.Class(&templates[j])
			v := m.Connect(reach.Pod(&templates[i]), reach.Pod(&templates[j]), port)
			if i != j && v.Answer != row[to].At(port) {
				t.Fatalf("%s to %s: got %s, the matrix has %s", templates[i].Object.Name, templates[j].Object.Name, v.Answer, row[to])
			}
			if len(v.Reasons) == 0 {
				t.Fatal("no reason")
			}
		}
		m.Outside(&templates[i])
	}
	problems := map[string]bool{}
	for _, p := range m.Problems() {
		if p.Policy != nil {
			problems[p.Policy.Object.Name+p.Path] = true
		}
	}
	for _, p := range m.Policies().Policies() {
		for _, fault := range p.Faults() {
			if !problems[p.Object.Name+fault.Path] || strings.TrimSpace(fault.Err.Error()) == "" {
				t.Fatalf("%s: fault at %s is not told", p.Object.Name, fault.Path)
			}
		}
	}
}
