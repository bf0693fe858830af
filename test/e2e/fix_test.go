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
		if r.OnEvents() {
			continue // what has happened is not mended by a patch
		}
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
		before := after
		if i < len(f.before) {
			before = f.before[i]
		}
		before, after = completed(t, before), completed(t, after)
		if !a.serves(t, before) || !a.serves(t, after) {
			n.foreign++
			continue
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

// completed returns an object with what the API server demands and examples
// leave out for brevity: it has nothing to do with what they are about.
func completed(t *testing.T, o *snapshot.Object) *snapshot.Object {
	t.Helper()
	root, _ := o.Root.Value().(map[string]any)
	spec, _ := root["spec"].(map[string]any)
	switch o.Kind {
	case "CronJob":
		defaults(root, "spec", map[string]any{"schedule": "0 3 * * *"})
		job, _ := spec["jobTemplate"].(map[string]any)
		inner, _ := job["spec"].(map[string]any)
		completeTemplate(inner, "OnFailure")
	case "Job":
		completeTemplate(spec, "OnFailure")
	case "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet":
		completeTemplate(spec, "Always")
		defaults(root, "spec", map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"seawall.io/case": "fix"}}})
		selector, _ := spec["selector"].(map[string]any)
		wanted, _ := selector["matchLabels"].(map[string]any)
		template, _ := spec["template"].(map[string]any)
		defaults(template, "metadata", map[string]any{"labels": map[string]any{}})
		meta, _ := template["metadata"].(map[string]any)
		defaults(meta, "labels", wanted)
	case "Pod":
		completeContainers(spec)
	}
	out, ok := snapshot.New(document.FromValue(root))
	if !ok {
		t.Fatalf("no object: %s", o.Root.AppendJSON(nil))
	}
	return out
}

func completeTemplate(spec map[string]any, restart string) {
	template, _ := spec["template"].(map[string]any)
	defaults(template, "spec", map[string]any{"restartPolicy": restart})
	inner, _ := template["spec"].(map[string]any)
	delete(inner, "ephemeralContainers") // pods alone have them
	completeContainers(inner)
}

func completeContainers(spec map[string]any) {
	containers, _ := spec["containers"].([]any)
	if len(containers) == 0 && spec != nil {
		spec["containers"] = []any{map[string]any{"name": "added", "image": "shop/web:1"}}
	}
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		containers, _ := spec[list].([]any)
		for i, c := range containers {
			if container, ok := c.(map[string]any); ok {
				for key, v := range map[string]any{"name": fmt.Sprintf("c%d", i), "image": "shop/web:1"} {
					if container[key] == nil {
						container[key] = v
					}
				}
			}
		}
	}
}

func (a *api) serves(t *testing.T, o *snapshot.Object) bool {
	t.Helper()
	_, ok := a.kindOf(t, o.APIVersion, o.Kind)
	return ok
}

// dryRun asks whether an object could be created, under another name where its
// own is taken.
func (a *api) dryRun(t *testing.T, root *document.Node, validation string) answer {
	t.Helper()
	path, _ := a.path(t, root)
	path += "?" + url.Values{"dryRun": {"All"}, "fieldValidation": {validation}}.Encode()
	out := a.call(t, http.MethodPost, path, "application/json", root.AppendJSON(nil))
	if out.code != http.StatusConflict {
		return out
	}
	other, _ := root.Value().(map[string]any)
	meta, _ := other["metadata"].(map[string]any)
	meta["name"] = root.At("metadata", "name").Str() + "-e2e"
	return a.call(t, http.MethodPost, path, "application/json", document.FromValue(other).AppendJSON(nil))
}
