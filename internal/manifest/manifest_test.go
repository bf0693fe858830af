package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/manifest"
)

func TestParseAccountsForEachDocument(t *testing.T) {
	tests := []struct {
		name, in                 string
		objects, skipped, unread []string
		documents                int
	}{
		{"object", "{apiVersion: v1, kind: Pod, metadata: {name: a}}", []string{"Pod/a"}, nil, nil, 1},
		{"list", "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}, {apiVersion: v1, kind: PodList, items: [{metadata: {name: b}}]}]}", []string{"Pod items[0]", "Pod/b items[1].items[0]"}, nil, nil, 1},
		{"list-of-nothing", "{apiVersion: v1, kind: List, items: null}", nil, nil, nil, 1},
		{"list-that-is-none", "{apiVersion: v1, kind: List, items: {a: b}}", nil, nil, []string{"the items of this List are no list: they are not examined"}, 1},
		{"item-that-is-none", "{apiVersion: v1, kind: List, items: [5, {apiVersion: v1, kind: Pod}]}", []string{"Pod items[1]"}, nil, []string{"item 0 of this List is no Kubernetes object"}, 1},
		{"kind-that-ends-like-a-list", "{apiVersion: example.com/v1, kind: AccessList, spec: {a: b}}", []string{"AccessList"}, nil, nil, 1},
		{"something-else", "a: b", nil, []string{"no Kubernetes object: no apiVersion and kind"}, nil, 1},
		{"something-else-beside-an-object", "a: b\n---\n{apiVersion: v1, kind: Pod}\n", []string{"Pod"}, []string{"line 1: no Kubernetes object: no apiVersion and kind"}, nil, 2},
		{"no-kind", "{apiVersion: v1, metadata: {name: a}}", nil, nil, []string{"this document looks like a Kubernetes object but has no kind: without it the object is not examined"}, 1},
		{"no-version", "{kind: Pod, spec: {}}", nil, nil, []string{"this document looks like a Kubernetes object but has no apiVersion: without it the object is not examined"}, 1},
		{"version-is-a-number", "{apiVersion: 1, kind: Pod, spec: {}}", nil, nil, []string{"this document looks like a Kubernetes object but its apiVersion is no text: without it the object is not examined"}, 1},
		{"template-of-something-else", "a: {{ .Name }}: {\n", nil, []string{"a template of something else than Kubernetes objects"}, nil, 0},
		{"template", "kind: Pod\nmetadata: {{ .Name }}\n", nil, nil, []string{"a Go or Helm template outside a chart: scan the folder with its Chart.yaml, or render it and scan the result"}, 0},
		{"braces-in-a-value", "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {name: '{{x}}'}}", []string{"Workflow/{{x}}"}, nil, nil, 1},
		{"empty", "---\n# nothing\n---\n", nil, nil, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := manifest.Parse("dir/a.yaml", []byte(tt.in))
			var objects, skipped, unread []string
			for _, o := range f.Objects {
				objects = append(objects, strings.TrimSpace(o.Subject().String()+" "+o.Prefix))
			}
			for _, s := range f.Skipped {
				skipped = append(skipped, s.Reason)
			}
			for _, i := range f.Incomplete {
				unread = append(unread, i.Reason)
			}
			if diff := cmp.Diff(tt.objects, objects); diff != "" {
				t.Error("objects (-want +got)", diff)
			}
			if diff := cmp.Diff(tt.skipped, skipped); diff != "" {
				t.Error("skipped (-want +got)", diff)
			}
			if diff := cmp.Diff(tt.unread, unread); diff != "" {
				t.Error("incomplete (-want +got)", diff)
			}
			if f.Documents != tt.documents {
				t.Errorf("got %d documents, want %d", f.Documents, tt.documents)
			}
		})
	}
}

func TestSkippedFilesAreCalledWhatTheyAre(t *testing.T) {
	tests := []struct{ name, want string }{
		{"a/.github/workflows/ci.yaml", "a GitHub workflow or setting, no Kubernetes object"},
		{".gitlab-ci.yml", "a CI configuration, no Kubernetes object"},
		{"docker-compose.yaml", "a Compose file, no Kubernetes object"},
		{"chart/values-prod.yaml", "Helm values, no Kubernetes object"},
		{"mkdocs.yml", "no Kubernetes object: no apiVersion and kind"},
	}
	for _, tt := range tests {
		if got := manifest.Parse(tt.name, []byte("a: b")).Skipped[0].Reason; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWalk(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"b.yaml", "a.YML", "c.json", "README.md", "sub/d.yaml", ".git/e.yaml", "node_modules/f.yaml",
		"chart/Chart.yaml", "chart/templates/g.yaml", "kust/kustomization.yml", "kust/h.yaml", "left/i.yaml",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := manifest.Walk(dir, []string{"left/"})
	if err != nil {
		t.Fatal(err)
	}
	names := func(places []manifest.Place) []string {
		var out []string
		for _, p := range places {
			rel, err := filepath.Rel(dir, p.Name)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, filepath.ToSlash(rel))
		}
		return out
	}
	if diff := cmp.Diff([]string{"a.YML", "b.yaml", "c.json", "kust/h.yaml", "kust/kustomization.yml", "sub/d.yaml"}, names(tree.Files)); diff != "" {
		t.Error("files (-want +got)", diff)
	}
	if diff := cmp.Diff([]string{"chart"}, names(tree.Charts)); diff != "" {
		t.Error("charts (-want +got)", diff)
	}
	if diff := cmp.Diff([]string{"kust"}, names(tree.Kustomizations)); diff != "" {
		t.Error("kustomizations (-want +got)", diff)
	}
	if len(tree.Skipped) != 2 || len(tree.Incomplete) != 0 {
		t.Errorf("got %v skipped and %v incomplete, want node_modules and left skipped", tree.Skipped, tree.Incomplete)
	}
	if _, err := manifest.Walk(filepath.Join(dir, "missing"), nil); err == nil {
		t.Error("got no error for a folder that does not exist")
	}
}

// FuzzParse: no text makes the reader of manifests panic, and nothing gets lost:
// a text with a value in it becomes objects, or is named as skipped or
// incomplete.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: a}}, 5]}", "a: b\n---\nkind: Pod\nspec: {}\n",
		"{{ if }}\nkind: Pod\n", "[1, 2]", "\ufeff{\"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": [{}]}", "&a [*a]", "\t", "--- |\n x\n...\n", "kind: {a: b}\napiVersion: 1\nmetadata: x\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := manifest.Parse("a.yaml", text)
		for _, o := range got.Objects {
			if o.APIVersion == "" || o.Kind == "" || o.File != "a.yaml" {
				t.Errorf("got %+v", o)
			}
			o.Locate("metadata.name")
		}
		empty := strings.Contains(string(text), "List") // a list may be empty
		if got.Documents > 0 && len(got.Objects)+len(got.Skipped)+len(got.Incomplete) == 0 && !empty {
			t.Errorf("%d documents are lost", got.Documents)
		}
	})
}
