package isolation_test

import (
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/isolation"
)

func views(t testing.TB, text string) map[string]isolation.View {
	t.Helper()
	var objects []*cluster.Object
	for _, doc := range document.Parse([]byte(text), document.Limits{}) {
		if doc.Err != nil {
			t.Fatal(doc.Err)
		}
		if o, ok := cluster.New(doc.Root); ok {
			objects = append(objects, o)
		}
	}
	s := cluster.NewSnapshot(objects)
	g := attack.Build([]*cluster.Snapshot{s}, attack.Options{})
	out := map[string]isolation.View{}
	for _, v := range isolation.Of(s, g.Separate(0)) {
		out[v.Namespace] = v
	}
	return out
}

func namespace(labels string) string {
	return "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {" + labels + "}}\n---\n"
}

func pod(spec string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {" + spec + "containers: [{name: c, image: a}]}\n---\n"
}

const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
`

const onlyWeb = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}
---
`

const editors = `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: devs, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: Group, name: devs, apiGroup: rbac.authorization.k8s.io}]
---
`

const labeller = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: labeller}
rules: [{apiGroups: [""], resources: [namespaces], verbs: [patch]}]
---
`

func binding(kind, namespace, role, subject string) string {
	at := ""
	if namespace != "" {
		at = ", namespace: " + namespace
	}
	return "apiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata: {name: b" + at + "}\n" +
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: " + role + "}\nsubjects: [" + subject + "]\n---\n"
}

// TestAspects holds each aspect to what an object changes of it.
func TestAspects(t *testing.T) {
	const web = "{kind: ServiceAccount, name: default, namespace: shop}"
	for _, tt := range []struct {
		aspect string
		state  isolation.State
		says   string
		text   string
	}{
		{"pod-security", isolation.Good, "restricted is enforced, version v1.36", namespace("pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: v1.36")},
		{"pod-security", isolation.Weak, "baseline", namespace("pod-security.kubernetes.io/enforce: baseline")},
		{"pod-security", isolation.Open, "only warns", namespace("pod-security.kubernetes.io/warn: restricted")},
		{"pod-security", isolation.Open, "is no level", namespace("pod-security.kubernetes.io/enforce: strict")},
		{"pod-security", isolation.Open, "no level is enforced", namespace("")},
		{"pod-security", isolation.Unknown, "not among", pod("")},

		{"relabel", isolation.Good, "nobody", namespace("")},
		{"relabel", isolation.Weak, "user ann", namespace("") + labeller + binding("ClusterRoleBinding", "", "labeller", "{kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}")},
		{"relabel", isolation.Open, "its own service accounts", namespace("") + pod("") + labeller + binding("RoleBinding", "shop", "labeller", web)},
		{"relabel", isolation.Good, "nobody", namespace("") + pod("") + labeller + binding("RoleBinding", "other", "labeller", web)},

		{"ingress", isolation.Good, "selects all pods", pod("") + denyAll},
		{"ingress", isolation.Weak, "none selects all pods", pod("") + onlyWeb},
		{"ingress", isolation.Open, "no policy isolates any", pod("")},
		{"egress", isolation.Good, "selects all pods", pod("") + denyAll},
		{"egress", isolation.Open, "no policy isolates any", pod("") + strings.Replace(denyAll, "[Ingress, Egress]", "[Ingress]", 1)},

		{"metadata", isolation.Good, "no workload", pod("") + denyAll},
		{"metadata", isolation.Weak, "Pod/web", pod("")},
		{"api-server", isolation.Weak, "Pod/web", pod("")},

		{"quota", isolation.Open, "nothing bounds", namespace("")},
		{"quota", isolation.Weak, "neither CPU nor memory", "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: shop}\nspec: {hard: {pods: 10}}\n"},
		{"quota", isolation.Good, "limits.memory", "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: shop}\nspec: {hard: {limits.memory: 1Gi}}\n"},
		{"quota", isolation.Weak, "each pod", "apiVersion: v1\nkind: LimitRange\nmetadata: {name: q, namespace: shop}\nspec: {limits: []}\n"},

		{"cluster-wide-accounts", isolation.Weak, `default (ClusterRole "view")`, pod("") + binding("ClusterRoleBinding", "", "view", web)},
		{"cluster-wide-accounts", isolation.Good, "none", pod("") + binding("RoleBinding", "shop", "view", web)},

		{"foreign-subjects", isolation.Weak, "other/bot", pod("") + binding("RoleBinding", "shop", "view", "{kind: ServiceAccount, name: bot, namespace: other}")},
		{"foreign-subjects", isolation.Good, "no service account", pod("") + binding("RoleBinding", "shop", "view", web)},

		{"shared-subjects", isolation.Weak, "group devs also run pay", pod("") + editors + strings.ReplaceAll(editors, "shop", "pay")},
		{"shared-subjects", isolation.Good, "no other", pod("") + editors + strings.ReplaceAll(strings.ReplaceAll(editors, "shop", "pay"), "edit", "view")},

		{"host-access", isolation.Weak, "hostNetwork", pod("hostNetwork: true, ")},
		{"host-access", isolation.Weak, "hostPath /etc", pod("volumes: [{name: v, hostPath: {path: /etc}}], ")},
		{"host-access", isolation.Good, "no workload", pod("hostNetwork: false, ")},

		{"services", isolation.Weak, "web (NodePort)", "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}\n"},
		{"services", isolation.Good, "no Service", "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"},

		{"references", isolation.Weak, "from pay", pod("") + "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: shop}\nspec: {from: [{group: '', kind: Service, namespace: pay}], to: [{group: '', kind: Secret}]}\n"},
		{"references", isolation.Weak, "guard does not look at it", namespace("guard: 'off'") + "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: guard}\nwebhooks: [{name: g, namespaceSelector: {matchExpressions: [{key: guard, operator: NotIn, values: ['off']}]}}]\n"},
		{"references", isolation.Good, "nothing", namespace("") + "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: guard}\nwebhooks: [{name: g, namespaceSelector: {matchExpressions: [{key: guard, operator: NotIn, values: ['off']}]}}]\n"},

		{"neighbours", isolation.Unknown, "no pod shows", pod("")},
		{"neighbours", isolation.Good, "no pod of another team", pod("nodeName: n1, ")},
		{"neighbours", isolation.Weak, "of pay", pod("nodeName: n1, ") + strings.ReplaceAll(pod("nodeName: n1, hostPID: true, "), "shop", "pay")},
		{"neighbours", isolation.Good, "no pod of another team", pod("nodeName: n1, ") + strings.ReplaceAll(pod("nodeName: n2, hostPID: true, "), "shop", "pay")},
	} {
		v, ok := views(t, tt.text)["shop"]
		if !ok {
			t.Fatalf("%s: no view", tt.aspect)
		}
		if len(v.Rows) != len(isolation.Aspects) {
			t.Fatalf("%d rows, want %d", len(v.Rows), len(isolation.Aspects))
		}
		for i, r := range v.Rows {
			if r.Aspect != isolation.Aspects[i] {
				t.Errorf("row %d is %s, want %s", i, r.Aspect, isolation.Aspects[i])
			}
			if r.Aspect == tt.aspect && (r.State != tt.state || !strings.Contains(r.Text, tt.says)) {
				t.Errorf("%s: got %s %q, want %s %q", tt.aspect, r.State, r.Text, tt.state, tt.says)
			}
		}
	}
}

// TestEnforcement tells policies that are enforced from those that are not.
func TestEnforcement(t *testing.T) {
	daemon := func(name, image string) string {
		return "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: " + name + ", namespace: kube-system, labels: {k8s-app: " + name + "}}\n" +
			"spec: {selector: {matchLabels: {k8s-app: " + name + "}}, template: {metadata: {labels: {k8s-app: " + name + "}}, spec: {containers: [{name: c, image: " + image + "}]}}}\n---\n"
	}
	for text, want := range map[string]isolation.State{
		"": isolation.Unknown,
		daemon("calico-node", "docker.io/calico/node:v3.30.0"): isolation.Good,
		daemon("kube-flannel-ds", "docker.io/flannel/flannel"): isolation.Open,
	} {
		for _, r := range views(t, pod("")+text)["shop"].Rows {
			if r.Aspect == "enforcement" && r.State != want {
				t.Errorf("%.60q: got %s %q, want %s", text, r.State, r.Text, want)
			}
		}
	}
}

func TestReaches(t *testing.T) {
	reader := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader}\nrules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]\n---\n"
	v := views(t, pod("")+strings.ReplaceAll(pod(""), "shop", "pay")+reader+binding("RoleBinding", "pay", "reader", "{kind: ServiceAccount, name: default, namespace: shop}"))
	if got := strings.Join(v["shop"].Reaches, " "); got != "pay" {
		t.Errorf("shop reaches %q, want pay", got)
	}
	if got := strings.Join(v["pay"].ReachedBy, " "); got != "shop" {
		t.Errorf("pay is reached by %q, want shop", got)
	}
	if len(v["pay"].Reaches) != 0 {
		t.Errorf("pay reaches %v", v["pay"].Reaches)
	}
}
