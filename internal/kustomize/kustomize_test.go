package kustomize

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

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

func mustBuild(t *testing.T, dir string, opts Options) Result {
	t.Helper()
	res, err := Build(t.Context(), filepath.Join("testdata", dir), opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
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

func places(o *cluster.Object, missing ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "== %s %s (%s)\n", o.Kind, o.Name, o.File)
	walkFields(o.Root, "", func(path string) { fmt.Fprintf(&b, "%s: %s\n", path, o.Locate(path)) })
	for _, path := range missing {
		fmt.Fprintf(&b, "missing %s: %s\n", path, o.Locate(path))
	}
	return b.String()
}

func TestPlaces(t *testing.T) {
	missing := map[string][]string{"Deployment": {
		"spec.template.spec.containers[0].securityContext.runAsNonRoot",
		"spec.template.spec.containers[1].securityContext.runAsNonRoot",
		"spec.template.spec.containers[2].securityContext.runAsNonRoot",
		"spec.template.spec.securityContext",
	}}
	res := mustBuild(t, "shop/prod", Options{})
	var b strings.Builder
	for _, o := range res.Objects {
		b.WriteString(places(o, missing[o.Kind]...))
	}
	for _, h := range res.Incomplete {
		fmt.Fprintf(&b, "incomplete %s: %s\n", h.Location, h.Reason)
	}
	golden(t, "prod.places", b.String())
}

func TestNothingIsFetchedOrRun(t *testing.T) {
	res := mustBuild(t, "shop/remote", Options{})
	var b strings.Builder
	for _, o := range res.Objects {
		fmt.Fprintf(&b, "%s %s\n", o.Kind, o.Name)
	}
	for _, h := range res.Incomplete {
		fmt.Fprintf(&b, "%s: %s\n", h.Location, h.Reason)
	}
	golden(t, "remote.want", b.String())
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name, dir string
		want      []string
	}{
		{"none", "testdata", []string{"no kustomization.yaml"}},
		{"outside", "testdata/shop/outside", []string{"service.yaml", "--load-restrictor"}},
		{"broken", "testdata/broken", []string{"testdata/broken", "kubectl kustomize"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Build(t.Context(), tt.dir, Options{})
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

func TestAnyPath(t *testing.T) {
	res := mustBuild(t, "shop/outside", Options{AnyPath: true})
	if len(res.Objects) != 1 || res.Objects[0].File != "testdata/shop/base/service.yaml" {
		t.Errorf("got %+v", res.Objects)
	}
}

func TestLimits(t *testing.T) {
	if _, err := Build(t.Context(), "testdata/shop/prod", Options{Bytes: 100}); err == nil {
		t.Error("got no error from a limit of 100 bytes")
	}
	if _, err := Build(t.Context(), "testdata/shop/prod", Options{Timeout: time.Nanosecond}); err == nil {
		t.Error("got no error from a timeout")
	}
	mustBuild(t, "shop/prod", Options{}) // the library is free again
}

func TestConcurrentBuilds(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			res, err := Build(t.Context(), "testdata/shop/prod", Options{})
			if err != nil || len(res.Objects) != 4 {
				t.Errorf("got %d objects, %v", len(res.Objects), err)
			}
		})
	}
	wg.Wait()
}

func TestReferenced(t *testing.T) {
	got := Referenced("testdata/shop/prod")
	want := []string{
		"testdata/shop/base/app.conf",
		"testdata/shop/base/deployment.yaml",
		"testdata/shop/base/kustomization.yaml",
		"testdata/shop/base/service.yaml",
		"testdata/shop/component/account-patch.yaml",
		"testdata/shop/component/account.yaml",
		"testdata/shop/component/kustomization.yaml",
		"testdata/shop/prod/patches/service.json",
		"testdata/shop/prod/patches/sidecar.yaml",
	}
	for i := range got {
		got[i] = filepath.ToSlash(got[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("referenced (-want +got)\n%s", diff)
	}
}

func TestIsRemote(t *testing.T) {
	for entry, want := range map[string]bool{
		"https://example.com/a.yaml":        true,
		"HTTP://example.com/a.yaml":         true,
		"git::https://example.com/a":        true,
		"ssh://git@example.com/a":           true,
		"file:///srv/repo":                  true,
		"GitHub.com/org/repo":               true,
		"github.com:org/repo":               true,
		"git@example.com:org/repo":          true,
		"someone@example.com/org/repo":      true,
		"../base":                           false,
		"deployment.yaml":                   false,
		"base/github.com/x":                 false,
		"./a@b":                             false,
		"apiVersion: v1\nurl: https://a.b/": false,
	} {
		if got := isRemote(entry); got != want {
			t.Errorf("isRemote(%q) is %t, want %t", entry, got, want)
		}
	}
}

func TestCleanKnowsNoCase(t *testing.T) {
	d := &safeDisk{ctx: t.Context(), left: 1 << 20}
	text := "RESOURCES: [https://example.com/a]\nresources: [git@example.com:a/b]\nPatches: [{PATH: https://example.com/p}]\n" +
		"ConfigMapGenerator: [{name: x, Files: [https://example.com/f]}]\ntransformers: [\"kind: PatchTransformer\\napiVersion: builtin\\nPaTh: https://example.com/t\"]\n"
	out := string(d.clean("/nowhere/kustomization.yaml", []byte(text)))
	if strings.Contains(out, "example.com") || len(d.dropped) != 5 {
		t.Errorf("something remote is left in %s, dropped %v", out, d.dropped)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("resources: [a, https://b, ../c]\npatches: [{path: x}]\n")
	f.Add("commonLabels: {a: b}\npatchesStrategicMerge: [a.yaml]\nbases: [x]\nhelmCharts: [{name: x}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := &safeDisk{ctx: t.Context(), left: 1 << 20}
		var k struct{ Resources, Components []string }
		if yaml.Unmarshal(d.clean("/nowhere/kustomization.yaml", []byte(text)), &k) != nil {
			return
		}
		for _, entry := range append(k.Resources, k.Components...) {
			if isRemote(entry) {
				t.Errorf("remote %q is left of %q", entry, text)
			}
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add("spec.containers[0].image", "kind: Pod\nspec: {containers: [{name: a, image: b}]}\n", "kind: Pod\nspec: {containers: [{name: b}, {name: a, image: c}]}\n")
	f.Fuzz(func(t *testing.T, path, final, other string) {
		docs, others := document.Parse([]byte(final), document.Limits{}), document.Parse([]byte(other), document.Limits{})
		if len(docs) == 0 || len(others) == 0 {
			return
		}
		p := steps(path)
		if m := correspond(docs[0].Root, others[0].Root, p); m.depth > len(p) {
			t.Fatalf("followed %d of %d steps", m.depth, len(p))
		}
		operation(others[0].Root, docs[0].Root, p, walk(docs[0].Root, p))
	})
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		if _, err := Build(b.Context(), "testdata/shop/prod", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
