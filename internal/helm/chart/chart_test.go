package chart

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
	pkgchart "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"sigs.k8s.io/yaml"
)

// TestMain silences what Helm tells the log of strange values.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// FuzzAgreesWithHelm makes trees of charts with values and asks Helm what
// becomes of them.
func FuzzAgreesWithHelm(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Add(uint64(534)) // imports that make a map hold itself
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		files := g.chart("root", 0)
		given := g.values(0, []string{"root", "a", "b", "c"})
		got, gotErr := ours(files, copyMap(given))
		if errors.Is(gotErr, errEndless) {
			return // Helm overflows its stack
		}
		want, wantErr := helm(files, copyMap(given))
		if (wantErr != nil) != (gotErr != nil) {
			t.Fatalf("got error %v, want %v\n%s", gotErr, wantErr, show(files, given))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-helm +seawall)\n%s\n%s", diff, show(files, given))
		}
	})
}

// settled is what templates and the rest of the engine see of a chart.
type settled struct {
	Path     string
	Meta     map[string]any
	Defaults map[string]any
	Values   map[string]any // of the root
	Files    []string
	CRDs     []string
	Subs     []settled
}

func ours(files []*archive.BufferedFile, given map[string]any) (*settled, error) {
	c, err := Load(files)
	if err != nil {
		return nil, err
	}
	if err := c.Settle(given); err != nil {
		return nil, err
	}
	values, err := c.Coalesce(given)
	if err != nil {
		return nil, err
	}
	var walk func(c *Chart) settled
	walk = func(c *Chart) settled {
		out := settled{Path: c.FullPath(), Meta: c.Metadata.Map(), Defaults: c.Values}
		for _, f := range slices.Concat(c.Raw, c.Templates, c.Files) {
			out.Files = append(out.Files, f.Name+" "+string(f.Data))
		}
		for _, f := range c.CRDs() {
			out.CRDs = append(out.CRDs, f.Name)
		}
		for _, sub := range c.Dependencies() {
			out.Subs = append(out.Subs, walk(sub))
		}
		return out
	}
	out := walk(c)
	out.Values = values
	return &out, nil
}

func helm(files []*archive.BufferedFile, given map[string]any) (*settled, error) {
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, err
	}
	inOrder(c)
	if err := chartutil.ProcessDependencies(c, given); err != nil {
		return nil, err
	}
	top, err := commonutil.ToRenderValuesWithSchemaValidation(c, given, common.ReleaseOptions{}, nil, true)
	if err != nil {
		return nil, err
	}
	var walk func(c *v2.Chart) (settled, error)
	walk = func(c *v2.Chart) (settled, error) {
		a, err := pkgchart.NewAccessor(c)
		if err != nil {
			return settled{}, err
		}
		out := settled{Path: c.ChartFullPath(), Meta: a.MetadataAsMap(), Defaults: c.Values}
		for _, f := range slices.Concat(c.Raw, c.Templates, c.Files) {
			out.Files = append(out.Files, f.Name+" "+string(f.Data))
		}
		for _, f := range c.CRDObjects() {
			out.CRDs = append(out.CRDs, f.File.Name)
		}
		for _, sub := range c.Dependencies() {
			s, err := walk(sub)
			if err != nil {
				return settled{}, err
			}
			out.Subs = append(out.Subs, s)
		}
		return out, nil
	}
	out, err := walk(c)
	if err != nil {
		return nil, err
	}
	out.Values, _ = top["Values"].(map[string]any)
	if v, ok := top["Values"].(common.Values); ok {
		out.Values = v
	}
	return &out, nil
}

// inOrder takes the order of sub-charts, which Helm leaves to chance, from
// their names.
func inOrder(c *v2.Chart) {
	subs := slices.SortedFunc(slices.Values(c.Dependencies()), func(a, b *v2.Chart) int { return strings.Compare(a.Name(), b.Name()) })
	c.SetDependencies(subs...)
	for _, sub := range subs {
		inOrder(sub)
	}
}

func show(files []*archive.BufferedFile, given map[string]any) string {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "== %s\n%s\n", f.Name, f.Data)
	}
	text, _ := yaml.Marshal(given)
	fmt.Fprintf(&b, "== given\n%s", text)
	return b.String()
}

type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) chart(name string, depth int) []*archive.BufferedFile {
	meta := map[string]any{"name": name, "version": g.one("1.0.0", "1.2.3"), "apiVersion": g.one("v1", "v2"), "appVersion": g.IntN(3)}
	var files []*archive.BufferedFile
	add := func(name string, content any) {
		text, isText := content.(string)
		if !isText {
			data, err := yaml.Marshal(content)
			if err != nil {
				panic(err)
			}
			text = string(data)
		}
		files = append(files, &archive.BufferedFile{Name: name, Data: []byte(text)})
	}
	var subs []string
	if depth < 3 {
		for _, sub := range []string{"a", "b", "c"} {
			if g.IntN(3-depth/2) == 0 {
				continue
			}
			subs = append(subs, sub)
			for _, f := range g.chart(sub, depth+1) {
				add("charts/"+sub+"/"+f.Name, string(f.Data))
			}
		}
	}
	var deps []any
	taken := map[string]bool{}
	for range g.IntN(4) {
		dep := map[string]any{"name": g.one("a", "b", "c", "d"), "version": g.one("1.0.0", "^1.0.0", ">0", "", "2"), "repository": ""}
		known := dep["name"].(string)
		if g.IntN(3) == 0 {
			known = g.one("x", "y", "a")
			dep["alias"] = known
		}
		if taken[known] && g.IntN(10) > 0 {
			continue
		}
		taken[known] = true
		if g.IntN(2) == 0 {
			dep["condition"] = g.one(known+".on", known+".on,on", "on", "k.on", " "+known+".on", known, "nowhere.on,b.on")
		}
		if g.IntN(2) == 0 {
			dep["tags"] = []string{g.one("t", "u"), g.one("t", "v")}
		}
		if g.IntN(2) == 0 {
			dep["import-values"] = []any{
				g.one("k", "l"),
				map[string]any{"child": g.one("k", "exports.l", "global", "l.k"), "parent": g.one(".", "k", "m.k", known)},
			}
		}
		deps = append(deps, dep)
	}
	if deps != nil || g.IntN(4) == 0 {
		meta["dependencies"] = deps
	}
	if g.IntN(2) == 0 {
		meta["keywords"], meta["maintainers"] = []string{"k\tw"}, []any{map[string]any{"name": "n"}}
		meta["annotations"], meta["type"] = map[string]any{"a": "b"}, g.one("library", "application")
	}
	add("Chart.yaml", meta)
	if g.IntN(5) > 0 {
		add("values.yaml", g.values(depth, append(subs, "x", "y")))
	}
	if g.IntN(4) == 0 {
		add("requirements.yaml", map[string]any{"dependencies": deps})
	}
	for _, file := range []string{"templates/a.yaml", "templates/_b.tpl", "README.md", "crds/c.yaml", "crds/d.txt", "charts/a.prov", "charts/_hidden/x", "Chart.lock"} {
		if g.IntN(3) == 0 {
			add(file, "a: b")
		}
	}
	switch g.IntN(100) {
	case 0:
		add("charts/loose.txt", "a")
	case 1:
		add("values.yaml", "a: [")
	case 2:
		add("Chart.lock", "generated: now")
	}
	return files
}

// values returns values for a chart with sub-charts of the given names.
func (g generator) values(depth int, subs []string) map[string]any {
	out := map[string]any{}
	for _, key := range []string{"k", "l", "m", "on", "list"} {
		if g.IntN(2) == 0 {
			out[key] = g.value(depth)
		}
	}
	if g.IntN(2) == 0 {
		out["global"] = g.table(depth, "k", "l", "m")
	}
	if g.IntN(3) == 0 {
		out["tags"] = map[string]any{"t": g.IntN(2) == 0, "u": g.IntN(2) == 0, "v": g.value(4)}
	}
	if g.IntN(3) == 0 {
		out["exports"] = map[string]any{"k": g.table(depth, "k", "l"), "l": g.value(depth)}
	}
	for _, sub := range subs {
		switch {
		case g.IntN(60) == 0:
			out[sub] = g.value(depth)
		case depth < 4 && g.IntN(2) == 0:
			out[sub] = g.values(depth+2, []string{"a", "x"})
		}
	}
	return out
}

func (g generator) table(depth int, keys ...string) map[string]any {
	out := map[string]any{}
	for _, key := range keys {
		if g.IntN(2) == 0 {
			out[key] = g.value(depth + 1)
		}
	}
	return out
}

func (g generator) value(depth int) any {
	switch n := g.IntN(8); {
	case n < 3 && depth < 5:
		return g.table(depth, "k", "l", "on")
	case n < 4:
		return nil
	case n < 6:
		return g.IntN(2) == 0
	case n < 7:
		return g.one("s", "")
	}
	return []any{float64(g.IntN(3)), nil, map[string]any{"k": "v"}}
}

// TestDefaultCapabilities holds what templates are told of the cluster against
// Helm and against the client library in go.mod.
func TestDefaultCapabilities(t *testing.T) {
	got, helm := DefaultCapabilities(), common.DefaultCapabilities
	if diff := cmp.Diff([]string(helm.APIVersions), []string(got.APIVersions)); diff != "" {
		t.Errorf("API versions (-helm +seawall)\n%s", diff)
	}
	if got.HelmVersion.Version != helm.HelmVersion.Version || got.HelmVersion.GitCommit != helm.HelmVersion.GitCommit {
		t.Errorf("got %+v, want %+v", got.HelmVersion, helm.HelmVersion)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if r.Mod.Path != "k8s.io/client-go" {
			continue
		}
		minor := strings.Split(r.Mod.Version, ".")[1]
		if want := "v1." + minor; kubeVersion != want || got.KubeVersion.Minor != minor || got.KubeVersion.String() != want+".0" {
			t.Errorf("kubeVersion is %s, want %s", kubeVersion, want)
		}
	}
}

func TestKubeVersion(t *testing.T) {
	for _, text := range []string{"1.34", "v1.34.2", "1.33.4-gke.1245000", "v1.30.0+k3s1", "new", "", "1", "v1.2.3.4"} {
		got, err := ParseKubeVersion(text)
		want, wantErr := common.ParseKubeVersion(text)
		if (err != nil) != (wantErr != nil) {
			t.Errorf("%q: got error %v, want %v", text, err, wantErr)
			continue
		}
		if err == nil && (got.String() != want.String() || got.GitVersion() != want.Version || got.Major != want.Major || got.Minor != want.Minor) {
			t.Errorf("%q: got %+v, want %+v", text, got, *want)
		}
	}
}

// TestValuesMethods compares what templates can call on .Values.
func TestValuesMethods(t *testing.T) {
	tree := map[string]any{"a": map[string]any{"b": map[string]any{"c": 1.5}, "s": "t", "n": nil}, "l": []any{true}}
	got, want := Values(tree), common.Values(tree)
	for _, path := range []string{"", "a", "a.b", "a.b.c", "a.s", "a.n", "l", "a.s.t", "x", "a..b", "."} {
		g, gotErr := got.PathValue(path)
		w, wantErr := want.PathValue(path)
		if diff := cmp.Diff(w, g); diff != "" || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("PathValue(%q): got %v, %v want %v, %v", path, g, gotErr, w, wantErr)
		}
		gt, gotErr := got.Table(path)
		wt, wantErr := want.Table(path)
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || wantErr == nil && cmp.Diff(map[string]any(wt), map[string]any(gt)) != "" {
			t.Errorf("Table(%q): got %v, %v want %v, %v", path, gt, gotErr, wt, wantErr)
		}
	}
	var g, w strings.Builder
	if err := got.Encode(&g); err != nil {
		t.Fatal(err)
	}
	if err := want.Encode(&w); err != nil || g.String() != w.String() {
		t.Errorf("got %q, want %q", g.String(), w.String())
	}
	if text, err := got.YAML(); err != nil || text != w.String() {
		t.Errorf("got %q, want %q", text, w.String())
	}
	if m := Values(nil).AsMap(); m == nil {
		t.Error("AsMap of nothing is nil")
	}
}

func TestReadValues(t *testing.T) {
	for _, text := range []string{
		"", "a: 1", "a: 1\n---\na: {b: c}\n---\na: {d: e}\nf: null", "---\n", "null", "[]", "a: [", "a: &x {b: 1}\nc: {<<: *x}", "# none\n",
		strings.Repeat("k: v # x\n", 400) + "last: " + strings.Repeat("x", 490),
	} {
		got, err := ReadValues([]byte(text))
		want, wantErr := loader.LoadValues(strings.NewReader(text))
		if (err != nil) != (wantErr != nil) || err == nil && cmp.Diff(want, got) != "" {
			t.Errorf("%q: got %v, %v want %v, %v", text, got, err, want, wantErr)
		}
	}
}
