package e2e

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	snapshot "seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/kube"
)

// TestReadCluster holds what package kube reads against its promises and
// against the API server's own lists.
func TestReadCluster(t *testing.T) {
	a := cluster(t)
	c, err := kube.Connect(kube.Options{Kubeconfig: shared.kubeconfig, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Read(t.Context(), kube.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Version, "v1.") {
		t.Errorf("got version %q, want v1.something", s.Version)
	}
	if !s.Whole || len(s.Incomplete) > 0 {
		t.Errorf("an administrator sees not all: whole is %v, incomplete %v", s.Whole, s.Incomplete)
	}
	for _, want := range []struct{ group, kind, namespace, name string }{
		{"", "Namespace", "", "kube-system"},
		{"", "Service", "default", "kubernetes"},
		{"rbac.authorization.k8s.io", "ClusterRole", "", "cluster-admin"},
	} {
		if s.Get(want.group, want.kind, want.namespace, want.name) == nil {
			t.Errorf("%s %s/%s is not among the objects", want.kind, want.namespace, want.name)
		}
	}
	for _, o := range s.Objects {
		checkRead(t, o)
	}
	for path, kind := range map[string]string{
		"/apis/rbac.authorization.k8s.io/v1/clusterroles": "ClusterRole", "/api/v1/secrets": "Secret",
		"/api/v1/serviceaccounts": "ServiceAccount", "/api/v1/configmaps": "ConfigMap", "/api/v1/nodes": "Node",
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions": "CustomResourceDefinition",
	} {
		if want, got := a.get(t, path).Get("items").Len(), len(s.Kind(kind)); got != want {
			t.Errorf("read %d of kind %s, the API server lists %d", got, kind, want)
		}
	}
}

// checkRead holds an object against what Read promises of all of them.
func checkRead(t *testing.T, o *snapshot.Object) {
	t.Helper()
	text := o.Root.AppendJSON(nil)
	if !json.Valid(text) || o.APIVersion == "" || o.Kind == "" || o.Name == "" || o.Cluster == "" {
		t.Errorf("not an object: %s", text)
	}
	for _, gone := range []string{"managedFields", "last-applied-configuration"} {
		if bytes.Contains(text, []byte(`"`+gone)) {
			t.Errorf("%s has %s", o.Subject(), gone)
		}
	}
	if o.Kind != "Secret" {
		return
	}
	for _, f := range o.Root.Get("data").Map() {
		if !strings.HasPrefix(f.Value.Str(), "seawall:redacted length=") {
			t.Errorf("%s: %s is not redacted", o.Subject(), f.Key)
		}
	}
}
