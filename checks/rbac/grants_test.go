package rbacchecks

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// TestExamplesBite takes each part of a check's parameters away in turn: some
// example must then come out differently.
func TestExamplesBite(t *testing.T) {
	names, err := filepath.Glob("*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		r := parseRule(t, name)
		if r.Func == "" {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			for _, m := range mutants("params", r.Params) {
				changed := *r
				changed.Params, _ = m.value.(map[string]any)
				if !differs(t, &changed) {
					t.Errorf("without %s every example comes out the same", m.without)
				}
			}
		})
	}
}

func parseRule(t *testing.T, file string) *check.Rule {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.ParseRule("checks/rbac/"+file, text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func differs(t *testing.T, r *check.Rule) bool {
	t.Helper()
	set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: Funcs()})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(r.Examples, func(e check.Example) bool {
		got, err := set.Outcome(r.ID, &e)
		return err != nil || got != e.Want
	})
}

type mutant struct {
	without string
	value   any
}

// mutants returns copies of a value, each without one entry of one of its maps
// or lists.
func mutants(at string, value any) []mutant {
	var out []mutant
	switch v := value.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if list, ok := v[k].([]any); ok && len(list) == 0 {
				continue // there for users to fill
			}
			less := maps.Clone(v)
			delete(less, k)
			out = append(out, mutant{at + "." + k, less})
			for _, m := range mutants(at+"."+k, v[k]) {
				other := maps.Clone(v)
				other[k] = m.value
				out = append(out, mutant{m.without, other})
			}
		}
	case []any:
		for i := range v {
			if len(v) > 1 {
				out = append(out, mutant{at + "[" + strconv.Itoa(i) + "]", slices.Delete(slices.Clone(v), i, i+1)})
			}
			for _, m := range mutants(at+"["+strconv.Itoa(i)+"]", v[i]) {
				other := slices.Clone(v)
				other[i] = m.value
				out = append(out, mutant{m.without, other})
			}
		}
	}
	return out
}

// judge runs one check of this folder over objects and returns messages.
func judge(t *testing.T, id, version string, minor int, params map[string]any, text string) []string {
	t.Helper()
	set, err := check.NewSet([]*check.Rule{parseRule(t, id+".txtar")}, check.Options{
		Funcs: Funcs(), Minor: minor, Params: map[string]map[string]any{id: params},
	})
	if err != nil {
		t.Fatal(err)
	}
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		o, ok := cluster.New(d.Root)
		if d.Err != nil || !ok {
			t.Fatal("an object cannot be read")
		}
		objects = append(objects, o)
	}
	snap := cluster.NewSnapshot(objects)
	snap.Version = version
	var out check.Result
	set.Across(id, snap, &out)
	var got []string
	for i := range out.Findings {
		got = append(got, out.Findings[i].Message)
	}
	for _, hole := range out.Incomplete {
		got = append(got, "unknown: "+hole.Reason)
	}
	return got
}

const execByGet = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: app}
rules: [{apiGroups: [""], resources: [pods/exec], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: app}
roleRef: {kind: ClusterRole, name: app}
subjects: [{kind: User, name: alice}]
`

func TestGetSufficesForExecBefore135(t *testing.T) {
	tests := []struct {
		name, version string
		minor         int
		want          bool
	}{
		{"newest", "", 0, false},
		{"asked-for-an-older-one", "", 34, true},
		{"asked-for-1-35", "", 35, false},
		{"older-cluster", "v1.34.2", 0, true},
		{"older-cluster-of-a-cloud", "v1.33.4-eks-1a2b3c", 0, true},
		{"minor-with-a-plus", "v1.34+", 0, true},
		{"newer-cluster", "v1.35.0", 34, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := judge(t, "rbac-pod-exec", tt.version, tt.minor, nil, execByGet); (len(got) > 0) != tt.want {
				t.Errorf("got %q, want a finding: %v", got, tt.want)
			}
		})
	}
}

const configMaps = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: app}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: app}
roleRef: {kind: ClusterRole, name: app}
subjects: [{kind: User, name: alice}]
`

func TestAWSAuthByVersion(t *testing.T) {
	for version, want := range map[string]bool{"v1.33.4-eks-1a2b3c": true, "v1.33.4-gke.100": false, "": false} {
		if got := judge(t, "rbac-aws-auth-write", version, 0, nil, configMaps); (len(got) > 0) != want {
			t.Errorf("%q: got %q, want a finding: %v", version, got, want)
		}
	}
}

func TestParametersAreChecked(t *testing.T) {
	tests := []struct {
		name   string
		params map[string]any
		want   string
	}{
		{"not-a-list", map[string]any{"anyOf": "secrets"}, "anyOf: want a list"},
		{"not-a-permission", map[string]any{"anyOf": []any{"secrets"}}, "anyOf: want a list of permissions"},
		{"nothing-asked", map[string]any{"anyOf": []any{}}, "anyOf names no permission"},
		{"no-verbs", map[string]any{"anyOf": []any{map[string]any{"groups": []any{""}, "resources": []any{"pods"}}}}, "anyOf[0]: groups, resources and verbs: want at least one of each"},
		{"misspelt", map[string]any{"anyOf": []any{map[string]any{"verb": []any{"get"}}}}, "anyOf[0]: verb: no such parameter: there are groups, resources, verbs, scope, names, anyName, before, severity, with"},
		{"not-a-scope", map[string]any{"scope": true}, "scope: want a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := judge(t, "rbac-secrets-read-cluster", "", 0, tt.params, configMaps)
			if want := "unknown: parameters of the check: " + tt.want; !slices.Equal(got, []string{want}) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestUsersMayNarrowNamespaces(t *testing.T) {
	text := strings.NewReplacer("ClusterRoleBinding", "RoleBinding", "metadata: {name: app}\nroleRef", "metadata: {name: app, namespace: infra}\nroleRef").Replace(configMaps)
	if got := judge(t, "rbac-coredns-config-write", "", 0, nil, text); len(got) != 0 {
		t.Errorf("namespace infra: got %q, want nothing", got)
	}
	params := map[string]any{"namespaces": []any{"infra"}}
	if got := judge(t, "rbac-coredns-config-write", "", 0, params, text); len(got) != 1 {
		t.Errorf("namespace infra, asked for: got %q, want one finding", got)
	}
}
