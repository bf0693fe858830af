package scan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/helm"
	"seawall.io/seawall/internal/scan"
)

// TestDefaultNamespace puts objects of files that name no namespace into one, and
// only those of kinds that live in namespaces.
func TestDefaultNamespace(t *testing.T) {
	object := func(apiVersion, kind, name string) string {
		return "---\napiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n"
	}
	files := map[string]string{
		"app.yaml": object("v1", "ConfigMap", "a") + object("v1", "Namespace", "b") + object("rbac.authorization.k8s.io/v1", "ClusterRole", "c") +
			object("v1", "ConfigMap", "d, namespace: shop") + object("example.com/v1", "Widget", "e") + object("example.com/v1", "Gadget", "f") +
			object("cert-manager.io/v1", "ClusterIssuer", "g") + object("cert-manager.io/v1", "Issuer", "h") + object("storage.k8s.io/v1", "StorageClass", "i"),
		"crds.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: gadgets.example.com}\n" +
			"spec: {group: example.com, scope: Cluster, names: {plural: gadgets, kind: Gadget}}\n",
		"Dockerfile":             "FROM scratch\n",
		"chart/Chart.yaml":       "apiVersion: v2\nname: x\nversion: 1.0.0\n",
		"chart/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: chart-{{ .Release.Namespace }}}\n",
	}
	tests := []struct {
		namespace string
		want      string
		without   int
	}{
		{"", "Dockerfile a b c chart-default crds:gadgets.example.com e f g h i shop/d", 4},
		{"store", "Dockerfile b c crds:gadgets.example.com f g i shop/d store/a store/chart-store store/e store/h", 0},
	}
	for _, tt := range tests {
		t.Run("in "+tt.namespace, func(t *testing.T) {
			o := options(t, files)
			o.DefaultNamespace, o.Helm = tt.namespace, helm.Options{Namespace: tt.namespace}
			read, err := scan.Read(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range read.Snapshots {
				for _, obj := range s.Objects {
					name := strings.TrimPrefix(obj.Namespace+"/"+obj.Name, "/")
					if obj.Kind == "CustomResourceDefinition" {
						name = "crds:" + name
					}
					got = append(got, name)
				}
			}
			want := strings.Fields(tt.want)
			if diff := cmp.Diff(sorted(got), sorted(want)); diff != "" {
				t.Errorf("objects (-got +want):\n%s", diff)
			}
			if read.Coverage.WithoutNamespace != tt.without {
				t.Errorf("%d without a namespace, want %d", read.Coverage.WithoutNamespace, tt.without)
			}
			if told := strings.Contains(strings.Join(read.Warnings, ""), "name no namespace"); told != (tt.without > 0) {
				t.Errorf("warnings: %q", read.Warnings)
			}
		})
	}
}

// TestWithoutNamespace warns of objects without a namespace where others of the
// files have one, since what belongs together may then be torn apart.
func TestWithoutNamespace(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n---\n"
	tests := []struct {
		name, text string
		want       bool
	}{
		{"all without", pod, false},
		{"beside default", pod + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: default}", false},
		{"beside another", pod + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: shop}", true},
		{"bound in another", pod + "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: view, apiGroup: rbac.authorization.k8s.io}\n" +
			"subjects: [{kind: ServiceAccount, name: a, namespace: argocd}]", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			warnings := strings.Join(run(t, options(t, map[string]string{"a.yaml": tt.text})).Warnings, "\n")
			if got := strings.Contains(warnings, "names no namespace"); got != tt.want {
				t.Errorf("warnings %q, want one: %t", warnings, tt.want)
			}
		})
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
