package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	snapshot "seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// TestDefaultRoles holds the roles that package rbac knows Kubernetes to ship
// against those of a real API server.
func TestDefaultRoles(t *testing.T) {
	a := cluster(t)
	var differences []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(differences, "\n"))
		}
	})
	// The rules of aggregated roles are filled in soon after the start.
	eventually(t, "the roles of the API server are those that are known", func() bool {
		differences = compareDefaults(t, a)
		return len(differences) == 0
	})
}

func compareDefaults(t *testing.T, a *api) (differences []string) {
	t.Helper()
	var objects []*snapshot.Object
	for path, kind := range map[string]string{
		"/apis/rbac.authorization.k8s.io/v1/clusterroles": "ClusterRole",
		"/apis/rbac.authorization.k8s.io/v1/roles":        "Role",
	} {
		for _, item := range a.get(t, path).Get("items").List() {
			if item.At("metadata", "labels").Get("kubernetes.io/bootstrapping").Str() != "rbac-defaults" {
				continue
			}
			meta := item.Get("metadata")
			objects = append(objects, &snapshot.Object{
				Object: &seawall.Object{
					APIVersion: "rbac.authorization.k8s.io/v1", Kind: kind,
					Namespace: meta.Get("namespace").Str(), Name: meta.Get("name").Str(),
				},
				Root: item,
			})
		}
	}
	if len(objects) < 60 {
		return []string{fmt.Sprintf("the API server ships %d roles, want at least 60", len(objects))}
	}
	live := snapshot.NewSnapshot(objects)
	live.Whole = true
	theirs, ours := rbac.Of(live), rbac.Defaults()
	for _, o := range objects {
		want := theirs.Role(o.Kind, o.Namespace, o.Name)
		got := ours.Role(o.Kind, o.Namespace, o.Name)
		if got == nil {
			differences = append(differences, fmt.Sprintf("%s %s/%s is not known", o.Kind, o.Namespace, o.Name))
			continue
		}
		if diff := cmp.Diff(ruleTexts(t, want), ruleTexts(t, got)); diff != "" {
			differences = append(differences, fmt.Sprintf("%s (-server +known):\n%s", got, diff))
		}
	}
	return differences
}

// ruleTexts returns the rules of a role, sorted: an aggregated one gathers them
// in no promised order.
func ruleTexts(t *testing.T, r *rbac.Role) []string {
	t.Helper()
	out := []string{}
	for _, rule := range r.Rules {
		text, err := json.Marshal(rule)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	slices.Sort(out)
	return out
}
