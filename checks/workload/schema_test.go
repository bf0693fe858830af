package workloadchecks

import (
	"fmt"
	"slices"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// samples are valid objects of many shapes.
var samples = []string{`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}, annotations: {a: b}, creationTimestamp: "2026-01-02T03:04:05Z"}
spec:
  replicas: 2
  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 1}}
  selector: {matchLabels: {app: web}, matchExpressions: [{key: a, operator: In, values: [b]}]}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsUser: 1000, sysctls: [{name: a, value: b}]}
      automountServiceAccountToken: false
      containers:
        - name: app
          image: shop/web:1
          command: [run]
          env: [{name: A, value: b}, {name: P, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
          ports: [{containerPort: 80, name: http}]
          resources: {requests: {cpu: 0.5, memory: 1Gi}, limits: {cpu: 1}}
          livenessProbe: {httpGet: {port: http}}
          securityContext: {privileged: false, capabilities: {drop: [ALL]}}
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1Gi}}, {name: p, projected: {sources: [{serviceAccountToken: {path: t}}]}}]
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]
`, `
apiVersion: v1
kind: Secret
metadata: {name: a}
immutable: true
stringData: {a: b}
data: {a: aGVsbG8=}
`, `
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {a: b}
binaryData: {a: aGVsbG8=}
`, `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec: {maxReplicas: 3, scaleTargetRef: {kind: Deployment, name: web}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}
`, `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: a}
spec: {acquireTime: "2026-01-02T03:04:05.000000Z", leaseDurationSeconds: 3}
`, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {podSelector: {}, ingress: [{ports: [{port: 80, protocol: TCP}], from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}
`, `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: a}
webhooks: [{name: a, clientConfig: {url: a, caBundle: aGVsbG8=}, rules: [{operations: [CREATE], apiGroups: [a]}], timeoutSeconds: 3}]
`, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: a}
spec: {group: a, versions: [{name: v1, served: true, schema: {openAPIV3Schema: {type: object, maximum: 1.5, properties: {a: {type: string}}}}}]}
`}

// TestWalkAgreesWithStrictDecoder changes every value of every sample into
// values of all types, and every key into one that does not exist, and asks
// Kubernetes' strict decoder whether that is an error.
func TestWalkAgreesWithStrictDecoder(t *testing.T) {
	if err := apiextensionsv1.AddToScheme(scheme.Scheme); err != nil {
		t.Fatal(err)
	}
	decoder := kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, kjson.SerializerOptions{Strict: true})
	n := 0
	for _, text := range samples {
		root := document.Parse([]byte(text), document.Limits{})[0].Root
		for _, changed := range changes(root) {
			out := changed.AppendJSON(nil)
			o, ok := cluster.New(changed)
			if !ok || o.APIVersion != root.Get("apiVersion").Str() || o.Kind != root.Get("kind").Str() {
				continue
			}
			_, _, err := decoder.Decode(out, nil, nil)
			got := structural(t, o)
			if (err != nil) != (len(got) > 0) {
				t.Errorf("%s\ngot %q\nwant %v", out, got, err)
			}
			n++
		}
	}
	if n < 1000 {
		t.Errorf("only %d documents compared", n)
	}
}

// structural returns the problems of types and unknown fields alone.
func structural(t *testing.T, o *cluster.Object) []string {
	t.Helper()
	v := newTestValidator(t, cluster.NewSnapshot([]*cluster.Object{o}))
	v.required, v.enums = nil, nil
	var seen []string
	v.report = func(h check.Hit) { seen = append(seen, h.Message) }
	v.o = o
	v.walk(v.shape(v.kind(o.APIVersion, o.Kind)), o.Root, "")
	return seen
}

func newTestValidator(t testing.TB, s *cluster.Snapshot) *validator {
	t.Helper()
	v, err := newValidator(&check.Input{Snapshot: s})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// changes returns copies of a tree with one change each.
func changes(n *document.Node) []*document.Node {
	var out []*document.Node
	values := []any{"text", int64(7), int64(1) << 40, 1.5, true, []any{}, map[string]any{}, nil, []any{"a"}, map[string]any{"a": "b"}, "aGVsbG8=", "3s", ""}
	for _, v := range values {
		out = append(out, document.FromValue(v))
	}
	for i, f := range n.Map() {
		with := func(f document.Field) {
			fields := slices.Clone(n.Map())
			fields[i] = f
			out = append(out, document.NewMap(n.Pos, fields))
		}
		for _, c := range changes(f.Value) {
			with(document.Field{Key: f.Key, Pos: f.Pos, Value: c})
		}
		with(document.Field{Key: f.Key + "X", Pos: f.Pos, Value: f.Value})
	}
	for i, item := range n.List() {
		for _, c := range changes(item) {
			items := slices.Clone(n.List())
			items[i] = c
			out = append(out, document.NewList(n.Pos, items))
		}
	}
	return out
}

func TestTablesAreReadable(t *testing.T) {
	v := newTestValidator(t, cluster.NewSnapshot(nil))
	if len(v.required) < 300 || len(v.enums) < 90 || len(v.lifecycle) < 90 {
		t.Errorf("tables: %d types with required fields, %d enumerations, %d lifecycles", len(v.required), len(v.enums), len(v.lifecycle))
	}
	for name, l := range v.lifecycle {
		if l.deprecated > 0 && l.removed > 0 && l.deprecated >= l.removed {
			t.Errorf("%s: deprecated in 1.%d, removed in 1.%d", name, l.deprecated, l.removed)
		}
	}
}

func TestNearly(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"containers", "container", true},
		{"hostAliases", "hostAilases", true},
		{"containers", "cantainers", true},
		{"containers", "containerss", true},
		{"containers", "contain", false},
		{"name", "same", true},
		{"env", "end", false},
	} {
		if got := nearly(c.a, c.b); got != c.want {
			t.Errorf("nearly(%s, %s): got %v", c.a, c.b, got)
		}
	}
}

func BenchmarkSchema(b *testing.B) {
	root := document.Parse([]byte(samples[0]), document.Limits{})[0].Root
	o, _ := cluster.New(root)
	v := newTestValidator(b, cluster.NewSnapshot([]*cluster.Object{o}))
	v.object(o)
	b.ResetTimer()
	for b.Loop() {
		v.object(o)
	}
}

func BenchmarkNewValidator(b *testing.B) {
	s := cluster.NewSnapshot(nil)
	for b.Loop() {
		newTestValidator(b, s)
	}
}

// BenchmarkAcross runs the functions over 20,000 workloads with their Services,
// autoscalers and budgets.
func BenchmarkAcross(b *testing.B) {
	var objects []*cluster.Object
	for i := range 20000 {
		text := fmt.Sprintf(`
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w%[1]d", "namespace": "n%[2]d"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "w%[1]d"}},
"template": {"metadata": {"labels": {"app": "w%[1]d", "team": "a"}}, "spec": {"serviceAccountName": "w%[1]d", "containers": [{"name": "a", "image": "b:1", "ports": [{"containerPort": 80}]}]}}}}
---
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "w%[1]d", "namespace": "n%[2]d"}, "spec": {"type": "NodePort", "ports": [{"port": 80}], "selector": {"app": "w%[1]d"}}}
---
{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "w%[1]d", "namespace": "n%[2]d"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "w%[1]d", "team": "a"}}}}
---
{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "w%[1]d", "namespace": "n%[2]d"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w%[1]d"}}}
`, i, i%50)
		for _, d := range document.Parse([]byte(text), document.Limits{}) {
			o, _ := cluster.New(d.Root)
			objects = append(objects, o)
		}
	}
	for name, f := range Funcs() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := cluster.NewSnapshot(objects)
				in := &check.Input{Snapshot: s, Minor: 37, Params: map[string]any{
					"resource": "cpu", "of": "limits", "probe": "livenessProbe", "kind": "Secret", "question": "admin",
					"through": []any{"NodePort"}, "topologyKeys": []any{hostname},
				}}
				b.StartTimer()
				f(in)
			}
		})
	}
}
