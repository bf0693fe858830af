package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/json"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

func node(t testing.TB, text string) *document.Node {
	t.Helper()
	docs := document.Parse([]byte(text), document.Limits{})
	if len(docs) == 0 {
		return nil
	}
	if docs[0].Err != nil {
		t.Fatal(docs[0].Err)
	}
	return docs[0].Root
}

func snapshot(t testing.TB, text string) *cluster.Snapshot {
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
	return cluster.NewSnapshot(objects)
}

// TestLabelSelector compares with Kubernetes' own conversion and matching.
func TestLabelSelector(t *testing.T) {
	selectors := []string{
		"", "{}", "{matchLabels: {}}", "{matchLabels: {a: x}}", "{matchLabels: {a: x, b: w}}", `{matchLabels: {a: ""}}`,
		"{matchExpressions: []}",
		"{matchExpressions: [{key: a, operator: In, values: [x, w]}]}",
		"{matchExpressions: [{key: a, operator: NotIn, values: [x, w]}]}",
		"{matchExpressions: [{key: a, operator: Exists}]}",
		"{matchExpressions: [{key: a, operator: DoesNotExist}]}",
		"{matchLabels: {b: w}, matchExpressions: [{key: a, operator: Exists}, {key: c, operator: DoesNotExist}]}",
		"{matchExpressions: [{key: a, operator: In}]}",
		"{matchExpressions: [{key: a, operator: NotIn, values: []}]}",
		"{matchExpressions: [{key: a, operator: Exists, values: [x]}]}",
		"{matchExpressions: [{key: a, operator: Has}]}",
		"{matchExpressions: [{operator: Exists}]}",
	}
	sets := []string{"", "{}", "{a: x}", "{a: w}", "{a: z}", `{a: ""}`, "{b: w}", "{a: x, b: w}", "{a: z, b: w}", "{a: x, b: w, c: z}"}
	for _, text := range selectors {
		got, err := cluster.LabelSelector(node(t, text))
		var ls *metav1.LabelSelector
		raw := node(t, text).AppendJSON(nil)
		if err := json.Unmarshal(raw, &ls); err != nil {
			t.Fatal(err)
		}
		want, wantErr := metav1.LabelSelectorAsSelector(ls)
		if (err != nil) != (wantErr != nil) {
			t.Errorf("%s: got error %v, want %v", text, err, wantErr)
			continue
		}
		if err != nil {
			if !got.Nothing() {
				t.Errorf("%s: a selector in error must select nothing", text)
			}
			continue
		}
		for _, s := range sets {
			set := labels.Set{}
			for _, f := range node(t, s).Map() {
				set[f.Key] = f.Value.Str()
			}
			if g, w := got.Matches(node(t, s)), want.Matches(set); g != w {
				t.Errorf("%s selects %s: got %v, want %v", text, s, g, w)
			}
		}
	}
}

func TestLabelSelectorOfWrongTypes(t *testing.T) {
	for _, text := range []string{"x", "[a]", "{matchLabels: x}", "{matchLabels: {a: 1}}", "{matchExpressions: {a: b}}", "{matchExpressions: [{key: a, operator: In, values: [1]}]}"} {
		if s, err := cluster.LabelSelector(node(t, text)); err == nil || !s.Nothing() {
			t.Errorf("%s: got no error", text)
		}
	}
}

func TestMapSelector(t *testing.T) {
	for _, c := range []struct {
		selector, labels string
		want             bool
	}{
		{"", "{a: x}", false},
		{"{}", "{a: x}", false},
		{"{a: x}", "{a: x, b: w}", true},
		{"{a: x, b: z}", "{a: x, b: w}", false},
		{"{a: 1}", "{a: '1'}", false},
	} {
		if got := cluster.MapSelector(node(t, c.selector)).Matches(node(t, c.labels)); got != c.want {
			t.Errorf("%s selects %s: got %v, want %v", c.selector, c.labels, got, c.want)
		}
	}
}

const sets = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: a, image: b}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web, tier: front}}, spec: {containers: [{name: a, image: b}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {template: {metadata: {labels: {app: api, tier: front}}, spec: {containers: [{name: a, image: b}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: b}]}}}
`

func TestSelected(t *testing.T) {
	s := snapshot(t, sets)
	for _, c := range []struct{ namespace, selector, want string }{
		{"shop", "{}", "db web api"},
		{"shop", "", ""},
		{"shop", "{matchLabels: {app: web}}", "web"},
		{"", "{matchLabels: {app: web}}", "web"},
		{"default", "{}", "web"},
		{"other", "{}", ""},
		{"shop", "{matchLabels: {tier: front}}", "web api"},
		{"shop", "{matchExpressions: [{key: tier, operator: DoesNotExist}]}", "db"},
		{"shop", "{matchExpressions: [{key: app, operator: In, values: [db, api]}]}", "db api"},
		{"shop", "{matchLabels: {statefulset.kubernetes.io/pod-name: db-0}}", "db"},
		{"shop", "{matchLabels: {app: db, statefulset.kubernetes.io/pod-name: db-12}}", "db"},
		{"shop", "{matchLabels: {app: web, statefulset.kubernetes.io/pod-name: db-12}}", ""},
		{"shop", "{matchLabels: {statefulset.kubernetes.io/pod-name: dbx-0}}", ""},
		{"shop", "{matchLabels: {statefulset.kubernetes.io/pod-name: db-x}}", ""},
		{"shop", "{matchLabels: {statefulset.kubernetes.io/pod-name: web-0}}", ""},
		{"shop", "{matchLabels: {apps.kubernetes.io/pod-index: '0'}}", "db"},
		{"shop", "{matchExpressions: [{key: apps.kubernetes.io/pod-index, operator: Exists}]}", "db"},
	} {
		sel, err := cluster.LabelSelector(node(t, c.selector))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tmpl := range s.Selected(c.namespace, sel) {
			got = append(got, tmpl.Object.Name)
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s in %s: got %q, want %q", c.selector, c.namespace, g, c.want)
		}
	}
}

func TestEqualities(t *testing.T) {
	sel, err := cluster.LabelSelector(node(t, "{matchLabels: {a: x}, matchExpressions: [{key: b, operator: In, values: [w]}, {key: c, operator: In, values: [w, z]}]}"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(sel.Equalities()), "map[a:x b:w]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
