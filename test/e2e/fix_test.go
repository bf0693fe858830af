package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
	snapshot "seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/manifest"
	"seawall.io/seawall/internal/patch"
)

// fixed is a manifest before and after its fixes.
type fixed struct {
	name          string
	before, after []*snapshot.Object
}

// TestFixesKeepObjectsValid carries out the fixes of all failing examples of all
// checks, and asks the API server about each object: what it took before a fix
// it must take afterwards.
func TestFixesKeepObjectsValid(t *testing.T) {
	a := cluster(t)
	var all []fixed
	rules, err := checks.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: checks.Funcs()})
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Examples {
			if e := &r.Examples[i]; e.Fail {
				if f, changed := fixExample(t, set, r, e); changed {
					all = append(all, f)
				}
			}
		}
	}
	prepare(t, a, all)
	var n counts
	for _, f := range all {
		n.compare(t, a, f)
	}
	t.Logf("%d examples: %s", len(all), &n)
	if n.valid == 0 {
		t.Error("no object could be compared")
	}
}

func fixExample(t *testing.T, set *check.Set, r *check.Rule, e *check.Example) (f fixed, changed bool) {
	t.Helper()
	result, err := set.Example(r.ID, e)
	if err != nil {
		t.Fatal(err)
	}
	var edit patch.Edit
	for i := range result.Findings {
		if err := edit.Add(result.Objects[i].Doc, result.Findings[i].Fix...); err != nil {
			t.Errorf("%s %s: %v", r.ID, e.Name, err)
		}
	}
	text, _ := edit.Apply(e.Text)
	f = fixed{r.ID + " " + e.Name, manifest.Parse(e.Name, e.Text).Objects, manifest.Parse(e.Name, text).Objects}
	return f, string(text) != string(e.Text)
}

// TestFixCommandKeepsObjectsValid runs `seawall fix` on a copy of the shop.
func TestFixCommandKeepsObjectsValid(t *testing.T) {
	a := cluster(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(shopDir)); err != nil {
		t.Fatal(err)
	}
	read := func() map[string][]*snapshot.Object {
		out := map[string][]*snapshot.Object{}
		names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.Base(name)] = manifest.Parse(name, text).Objects
		}
		return out
	}
	before := read()
	if out := seawallCommand(t, "fix", dir); out.code != 0 {
		t.Fatalf("seawall fix: exit %d: %s", out.code, out.stderr)
	}
	var all []fixed
	for name, after := range read() {
		was := before[name]
		if was == nil { // written by fix
			was = after
		}
		all = append(all, fixed{name, was, after})
	}
	prepare(t, a, all)
	var n counts
	for _, f := range all {
		n.compare(t, a, f)
	}
	if n.refused > 0 || n.valid == 0 || len(all) <= len(before) {
		t.Errorf("want valid objects and a file with network policies: %d files, had %d: %s", len(all), len(before), &n)
	}
}

// prepare creates the namespaces and service accounts that the objects need.
func prepare(t *testing.T, a *api, all []fixed) {
	t.Helper()
	accounts := map[string]bool{}
	for _, f := range all {
		for _, o := range f.before {
			k, served := a.kindOf(t, o.APIVersion, o.Kind)
			if !served || !k.namespaced {
				continue
			}
			ns := o.Namespace
			if ns == "" {
				ns = "default"
			}
			accounts[ns+"/default"] = true
			if name := o.Root.At("spec", "serviceAccountName").Str(); o.Kind == "Pod" && name != "" {
				accounts[ns+"/"+name] = true
			}
		}
	}
	made := map[string]bool{}
	for _, account := range slices.Sorted(func(yield func(string) bool) {
		for k := range accounts {
			if !yield(k) {
				return
			}
		}
	}) {
		ns, name, _ := strings.Cut(account, "/")
		if !made[ns] {
			made[ns] = true
			if !a.call(t, http.MethodGet, "/api/v1/namespaces/"+ns, "", nil).ok() {
				a.mustApply(t, namespace(ns, nil))
			}
		}
		if name != "default" {
			a.mustApply(t, fmt.Appendf(nil, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: %s}}", name, ns))
		}
	}
}

// counts counts what became of objects.
type counts struct{ valid, refused, foreign int }

func (n *counts) String() string {
	return fmt.Sprintf("%d objects valid before and after, %d that the API server refuses as they were written, %d of kinds it does not serve",
		n.valid, n.refused, n.foreign)
}

func (n *counts) compare(t *testing.T, a *api, f fixed) {
	t.Helper()
	if len(f.before) > len(f.after) {
		t.Errorf("%s: %d objects before the fix, %d after it", f.name, len(f.before), len(f.after))
		return
	}
	for i, after := range f.after {
		if _, served := a.kindOf(t, after.APIVersion, after.Kind); !served {
			n.foreign++
			continue
		}
		before := after
		if i < len(f.before) {
			before = f.before[i]
		}
		// Strict tells fields that do not exist, but some examples are about those.
		mode, was := "Strict", a.dryRun(t, before.Root, "Strict")
		if !was.ok() {
			mode, was = "Ignore", a.dryRun(t, before.Root, "Ignore")
		}
		if !was.ok() {
			t.Logf("%s: %s: refused before the fix: %s", f.name, before.Subject(), was.message())
			n.refused++
			continue
		}
		n.valid++
		if now := a.dryRun(t, after.Root, mode); !now.ok() {
			t.Errorf("%s: %s: the API server takes it before the fix, but not after: %s\nbefore %s\nafter  %s",
				f.name, after.Subject(), now.message(), before.Root.AppendJSON(nil), after.Root.AppendJSON(nil))
		}
	}
}

// dryRun asks whether an object could be applied.
func (a *api) dryRun(t *testing.T, root *document.Node, validation string) answer {
	t.Helper()
	path, _ := a.path(t, root)
	query := url.Values{"dryRun": {"All"}, "fieldValidation": {validation}}
	name := root.At("metadata", "name").Str()
	if name == "" {
		return a.call(t, http.MethodPost, path+"?"+query.Encode(), "application/json", root.AppendJSON(nil))
	}
	query.Set("fieldManager", "seawall-e2e-fix")
	query.Set("force", "true")
	return a.call(t, http.MethodPatch, path+"/"+url.PathEscape(name)+"?"+query.Encode(), "application/apply-patch+yaml", root.AppendJSON(nil))
}
