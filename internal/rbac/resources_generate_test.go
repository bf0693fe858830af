//go:build bootstrap

package rbac

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

const resourcesHead = `# The resources that Kubernetes ` + DefaultsVersion + ` serves in some version of its API:
# name.group, singular, kind, scope, short names. Made by
#   go test -tags bootstrap ./internal/rbac -run TestResources -kubernetes DIR -update
# from api/discovery of https://github.com/kubernetes/kubernetes.
`

// TestResourcesAreThoseOfKubernetes compares the embedded table with
// Kubernetes' source, where -kubernetes says where that is.
func TestResourcesAreThoseOfKubernetes(t *testing.T) {
	if *kubernetes == "" {
		t.Fatal("name the source tree with -kubernetes DIR")
	}
	dir := filepath.Join(*kubernetes, "api", "discovery")
	lines := map[string]string{}
	add := func(group, name, singular, kind string, namespaced bool, short []string) {
		if strings.Contains(name, "/") {
			return
		}
		r := Resource{Group: group, Name: name}
		scope := "cluster"
		if namespaced {
			scope = "namespaced"
		}
		slices.Sort(short)
		line := fmt.Sprintf("%s %s %s %s %s", r, singular, kind, scope, strings.Join(short, ","))
		key := group + "/" + name
		lines[key] = cmp.Or(lines[key], strings.TrimSpace(line)+"\n")
	}
	var core struct {
		Resources []struct {
			Name, SingularName, Kind string
			Namespaced               bool
			ShortNames               []string
		}
	}
	decode(t, filepath.Join(dir, "api__v1.json"), &core)
	for _, r := range core.Resources {
		add("", r.Name, r.SingularName, r.Kind, r.Namespaced, r.ShortNames)
	}
	var groups struct {
		Items []struct {
			Metadata struct{ Name string }
			Versions []struct {
				Resources []struct {
					Resource, SingularResource, Scope string
					ResponseKind                      struct{ Kind string }
					ShortNames                        []string
				}
			}
		}
	}
	decode(t, filepath.Join(dir, "aggregated_v2.json"), &groups)
	for _, g := range groups.Items {
		for _, v := range g.Versions {
			for _, r := range v.Resources {
				add(g.Metadata.Name, r.Resource, r.SingularResource, r.ResponseKind.Kind, r.Scope == "Namespaced", r.ShortNames)
			}
		}
	}
	var keys []string
	for key := range lines {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	want := resourcesHead
	for _, key := range keys {
		want += lines[key]
	}
	if *update {
		if err := os.WriteFile("resources.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(resourcesTable, want); diff != "" {
		t.Errorf("resources.txt is not of %s (-have +want):\n%s", DefaultsVersion, diff)
	}
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
