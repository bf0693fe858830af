package helm

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: (-want +got, rewrite with -update)\n%s", name, diff)
	}
}

func render(t *testing.T, chart string, opts Options) Result {
	t.Helper()
	if opts.KubeVersion == "" {
		opts.KubeVersion = "1.34"
	}
	res, err := Render(t.Context(), filepath.Join("testdata", chart), opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// places lists where each field of an object comes from.
func places(o *cluster.Object, missing ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "== %s %s\n", o.Kind, o.Name)
	line := func(path string) {
		loc := o.Locate(path)
		fmt.Fprintf(&b, "%s: %s", path, loc)
		if v := loc.Value; v != nil {
			fmt.Fprintf(&b, " <- %s", v.Path)
			if v.File != "" {
				fmt.Fprintf(&b, " (%s:%d)", v.File, v.Line)
			}
		}
		b.WriteByte('\n')
	}
	walkFields(o.Root, "", line)
	for _, path := range missing {
		b.WriteString("missing ")
		line(path)
	}
	return b.String()
}

func walkFields(n *document.Node, path string, visit func(string)) {
	if path != "" {
		visit(path)
	}
	for _, f := range n.Map() {
		walkFields(f.Value, document.Key(path, f.Key), visit)
	}
	for i, item := range n.List() {
		walkFields(item, document.Index(path, i), visit)
	}
}

func TestPlaces(t *testing.T) {
	missing := map[string][]string{"Deployment": {
		"spec.template.spec.securityContext.runAsNonRoot",
		"spec.template.spec.containers[0].resources.limits.cpu",
		"spec.template.spec.containers[0].securityContext.capabilities.add",
		"spec.template.spec.containers[0].livenessProbe",
		"spec.template.spec.containers[1].securityContext.runAsNonRoot",
		"spec.template.spec.containers[2].securityContext",
		"spec.template.spec.containers[3].securityContext.runAsNonRoot",
		"spec.template.spec.hostPID",
	}}
	tests := []struct {
		golden string
		chart  string
		opts   Options
	}{
		{"shop.places", "shop", Options{}},
		{"shop-prod.places", "shop", Options{
			Values:    []string{filepath.Join("testdata", "prod.yaml")},
			Set:       []string{"store.persistence.hostPath=/srv,podSecurityContext.fsGroup=7"},
			SetString: []string{"containerSecurityContext.enabled=yes"},
		}},
		{"old.places", "old", Options{}},
		{"stubborn.places", "stubborn", Options{}},
		{"vendor.places", "vendor", Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			res := render(t, tt.chart, tt.opts)
			if len(res.Incomplete) > 0 {
				t.Errorf("incomplete: %+v", res.Incomplete)
			}
			var b strings.Builder
			for _, o := range res.Objects {
				b.WriteString(places(o, missing[o.Kind]...))
			}
			golden(t, tt.golden, b.String())
		})
	}
}

func TestRenderCounts(t *testing.T) {
	res := render(t, "shop", Options{})
	var got []string
	for _, o := range res.Objects {
		name := o.Kind + "/" + o.Name
		if IsTestHook(o) {
			name += " test"
		}
		if o.Prefix != "" {
			name += " " + o.Prefix
		}
		got = append(got, name)
	}
	want := []string{
		"CustomResourceDefinition/things.example.com",
		"ConfigMap/release-name-shop-config", "Deployment/release-name-shop",
		"ServiceAccount/sa-0 items[0]", "ServiceAccount/sa-1 items[1]",
		"Pod/ping test", "Pod/release-name-store",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got)\n%s", diff)
	}
	if res.Documents != 6 {
		t.Errorf("got %d documents, want 6", res.Documents)
	}
}

func TestConditionsAndTags(t *testing.T) {
	tests := []struct {
		name, set string
		pods      int
	}{
		{"as-given", "", 2},
		{"condition-off", "store.enabled=false", 1},
		{"tag-on", "tags.extras=true", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := Options{}
			if tt.set != "" {
				opts.Set = []string{tt.set}
			}
			pods := 0
			for _, o := range render(t, "shop", opts).Objects {
				if o.Kind == "Pod" {
					pods++
				}
			}
			if pods != tt.pods {
				t.Errorf("got %d pods, want %d", pods, tt.pods)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	res := render(t, "faulty", Options{OutputBytes: 1 << 20})
	var b strings.Builder
	for _, h := range res.Incomplete {
		fmt.Fprintf(&b, "%s: %s", h.Location, h.Reason)
		if v := h.Location.Value; v != nil {
			fmt.Fprintf(&b, " <- %s (%s:%d)", v.Path, v.File, v.Line)
		}
		b.WriteByte('\n')
	}
	golden(t, "faulty.want", b.String())
	if len(res.Objects) != 1 || res.Objects[0].Name != "good" {
		t.Errorf("got objects %v, want the good one", res.Objects)
	}
}

func TestLibraryChartIsSkipped(t *testing.T) {
	res := render(t, "shop/charts/lib", Options{})
	if len(res.Skipped) != 1 || len(res.Objects) != 0 {
		t.Errorf("got %+v, want one skipped chart", res)
	}
}

func TestErrors(t *testing.T) {
	old := filepath.Join("testdata", "old")
	tests := []struct {
		name, path string
		opts       Options
		want       []string
	}{
		{"schema", old, Options{Set: []string{"port=99999"}}, []string{"old/values.schema.json", "/port", "--set"}},
		{"no-chart", "testdata", Options{}, []string{"Chart.yaml"}},
		{"no-values-file", old, Options{Values: []string{"nowhere.yaml"}}, []string{"nowhere.yaml"}},
		{"bad-set", old, Options{Set: []string{"port"}}, []string{"--set port", "path.to.value=new"}},
		{"bad-version", old, Options{KubeVersion: "new"}, []string{`"new"`, "1.34"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Render(t.Context(), tt.path, tt.opts)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to contain %q", err, want)
				}
			}
		})
	}
}

func TestRemoteSchemaIsNotFetched(t *testing.T) {
	err := validateSchema([]byte(`{"$ref":"https://example.com/schema.json"}`), map[string]any{})
	if err == nil || !strings.Contains(err.Error(), "not fetched") {
		t.Errorf("got %v, want an error that it is not fetched", err)
	}
}

func TestTimeout(t *testing.T) {
	res, err := Render(t.Context(), filepath.Join("testdata", "faulty"), Options{Timeout: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Objects) > 1 || len(res.Incomplete) == 0 {
		t.Errorf("got %d objects and %d incomplete", len(res.Objects), len(res.Incomplete))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Render(ctx, filepath.Join("testdata", "faulty"), Options{}); err == nil {
		t.Error("got no error from a canceled context")
	}
}

// TestAgreesWithHelm compares what templates write with what Helm's own
// loader, values and engine make of them.
func TestAgreesWithHelm(t *testing.T) {
	scaffold, err := chartutil.Create("scaffold", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join("testdata", "shop"), filepath.Join("testdata", "old"), filepath.Join("testdata", "stubborn"), filepath.Join("testdata", "vendor"), scaffold} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want := helmRender(t, path)
			p := newTestProgram(t, path)
			got := make(map[string]string)
			r := p.newRun(t.Context(), nil)
			for _, src := range p.sources {
				if !src.runs() {
					continue
				}
				if got[src.full], err = r.execute(src); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rendered (-helm +seawall)\n%s", diff)
			}
			for src, m := range p.markedOutput() {
				if m.text != got[src.full] && !strings.Contains(got[src.full], "icon") {
					t.Errorf("%s: marked text differs\n%s", src.full, cmp.Diff(got[src.full], m.text))
				}
			}
		})
	}
}

func helmRender(tb testing.TB, path string) map[string]string {
	tb.Helper()
	c, err := loader.LoadDir(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := chartutil.ProcessDependencies(c, map[string]any{}); err != nil {
		tb.Fatal(err)
	}
	caps := common.DefaultCapabilities.Copy()
	kube, err := common.ParseKubeVersion("1.34")
	if err != nil {
		tb.Fatal(err)
	}
	caps.KubeVersion = *kube
	release := common.ReleaseOptions{Name: "release-name", Namespace: "default", Revision: 1, IsInstall: true}
	values, err := commonutil.ToRenderValues(c, map[string]any{}, release, caps)
	if err != nil {
		tb.Fatal(err)
	}
	out, err := engine.Engine{}.RenderWithContext(tb.Context(), c, values)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func newTestProgram(tb testing.TB, path string) *program {
	tb.Helper()
	opts := Options{KubeVersion: "1.34"}.orDefault()
	l, err := load(path, path)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := loadValues(l, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return newProgram(l, v, opts)
}

func TestLocalDependency(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"app/Chart.yaml":            "apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- {name: base, version: 0.1.0, repository: 'file://../base'}\n",
		"base/Chart.yaml":           "apiVersion: v2\nname: base\nversion: 0.1.0\n",
		"base/templates/pod.yaml":   "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostPID: true}\n",
		"base/templates/_unused.md": "",
	})
	res, err := Render(t.Context(), filepath.Join(dir, "app"), Options{Name: func(p string) string {
		rel, _ := filepath.Rel(dir, p)
		return filepath.ToSlash(rel)
	}})
	if err != nil || len(res.Objects) != 1 {
		t.Fatalf("got %+v, %v", res, err)
	}
	want := seawall.Location{File: "base/templates/pod.yaml", Line: 4, Column: 8, Path: "spec.hostPID"}
	if diff := cmp.Diff(want, res.Objects[0].Locate("spec.hostPID")); diff != "" {
		t.Errorf("place (-want +got)\n%s", diff)
	}
}

func write(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	for b.Loop() {
		if _, err := Render(b.Context(), filepath.Join("testdata", "shop"), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlace(b *testing.B) {
	res, err := Render(b.Context(), filepath.Join("testdata", "shop"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	o := res.Objects[2]
	for b.Loop() {
		o.Locate("spec.template.spec.containers[0].securityContext.runAsNonRoot")
	}
}
