package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
	snapshot "seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/manifest"
)

// TestPodSecurity holds the frameworks of the Pod Security Standards against the
// API server's own Pod Security admission: the pods of the examples of all
// checks on pods, and variants of them, are sent to namespaces that enforce a
// level.
func TestPodSecurity(t *testing.T) {
	a := cluster(t)
	pods := examplePods(t)
	frameworks, err := checks.Frameworks()
	if err != nil {
		t.Fatal(err)
	}
	version := a.get(t, "/version").Get("gitVersion").Str()
	for _, level := range []string{"baseline", "restricted"} {
		t.Run(level, func(t *testing.T) {
			i := slices.IndexFunc(frameworks, func(f check.Framework) bool { return f.ID == "pss-"+level })
			if i < 0 {
				t.Fatalf("there is no framework pss-%s", level)
			}
			ns := "pss-" + level
			a.mustApply(t, namespace(ns, map[string]string{"pod-security.kubernetes.io/enforce": level}))
			set := frameworkSet(t, &frameworks[i], snapshot.Minor(version))
			compareLevel(t, a, set, ns, pods)
		})
	}
}

// frameworkSet has the checks that decide a control of the framework.
func frameworkSet(t *testing.T, f *check.Framework, minor int) *check.Set {
	t.Helper()
	all, err := checks.Rules()
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, c := range f.Controls {
		for _, id := range c.Checks {
			wanted[id] = true
		}
	}
	all = slices.DeleteFunc(all, func(r *check.Rule) bool { return !wanted[r.ID] })
	if len(all) != len(wanted) {
		t.Fatalf("%s names %d checks, %d exist", f.ID, len(wanted), len(all))
	}
	set, err := check.NewSet(all, check.Options{Minor: minor, Funcs: checks.Funcs()})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// examplePods returns the pods of the examples of the checks on pods and of those
// of the standards themselves, each once.
func examplePods(t *testing.T) []*snapshot.Object {
	t.Helper()
	rules, err := checks.Rules()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var out []*snapshot.Object
	for _, r := range rules {
		if r.Topic != "pod" && r.Topic != "pss" {
			continue
		}
		for i := range r.Examples {
			for _, o := range manifest.Parse("example", r.Examples[i].Text).Objects {
				for _, tmpl := range snapshot.PodTemplates(o) {
					pod := podOf(t, o, &tmpl)
					text := string(pod.Get("spec").AppendJSON(nil)) + string(pod.At("metadata", "annotations").AppendJSON(nil))
					if made, ok := snapshot.New(pod); ok && !seen[text] {
						seen[text] = true
						out = append(out, made)
					}
				}
			}
		}
	}
	return out
}

func compareLevel(t *testing.T, a *api, set *check.Set, ns string, pods []*snapshot.Object) {
	t.Helper()
	allowed, denied, invalid := 0, 0, 0
	for _, root := range bothForms(pods, ns) {
		out := a.create(t, root, true)
		violates := strings.Contains(out.message(), "violates PodSecurity")
		if !out.ok() && !violates {
			invalid++
			continue
		}
		if violates {
			denied++
		} else {
			allowed++
		}
		o, _ := snapshot.New(root)
		var result check.Result
		set.Object(o, snapshot.PodTemplates(o), &result)
		var found []string
		for i := range result.Findings {
			found = append(found, fmt.Sprintf("%s: %s", result.Findings[i].Check, result.Findings[i].Message))
		}
		if len(result.Incomplete) > 0 {
			t.Errorf("could not be judged: %v\n%s", result.Incomplete, root.AppendJSON(nil))
		}
		if violates != (len(found) > 0) {
			t.Errorf("the API server: %d %s\nSeawall finds %q in\n%s", out.code, out.message(), found, root.AppendJSON(nil))
		}
	}
	t.Logf("the API server and Seawall agree on %d pods allowed and %d denied; %d are refused for other reasons", allowed, denied, invalid)
	if allowed == 0 || denied == 0 {
		t.Error("want pods of both kinds")
	}
}

// bothForms returns each pod as it is, and with what the level restricted wants
// where it says nothing: then only what the example is about decides.
func bothForms(pods []*snapshot.Object, ns string) []*document.Node {
	var out []*document.Node
	for _, o := range pods {
		out = append(out, inNamespace(o.Root, ns), hardened(inNamespace(o.Root, ns)))
	}
	return out
}

func hardened(root *document.Node) *document.Node {
	pod, _ := root.Value().(map[string]any)
	spec, _ := pod["spec"].(map[string]any)
	defaults(spec, "securityContext", map[string]any{
		"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"},
	})
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			defaults(container, "securityContext", map[string]any{
				"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}},
			})
		}
	}
	return document.FromValue(pod)
}

// defaults sets what is absent in a map within a map.
func defaults(of map[string]any, key string, values map[string]any) {
	m, ok := of[key].(map[string]any)
	if !ok {
		m = map[string]any{}
		if of != nil {
			of[key] = m
		}
	}
	for k, v := range values {
		if m[k] == nil {
			m[k] = v
		}
	}
}

// inNamespace copies a pod into a namespace, with the account that is there.
func inNamespace(root *document.Node, ns string) *document.Node {
	pod, _ := root.Value().(map[string]any)
	meta, _ := pod["metadata"].(map[string]any)
	meta["namespace"] = ns
	if spec, ok := pod["spec"].(map[string]any); ok {
		for _, field := range []string{"serviceAccountName", "serviceAccount", "priorityClassName", "runtimeClassName"} {
			delete(spec, field)
		}
	}
	return document.FromValue(pod)
}
