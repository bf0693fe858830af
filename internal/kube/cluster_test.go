package kube

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall/internal/cluster"
)

// TestRealCluster reads the cluster of the kubeconfig that
// SEAWALL_TEST_KUBECONFIG names, such as one of test/lab. With kubectl in the
// path it also compares the number of objects.
func TestRealCluster(t *testing.T) {
	config := os.Getenv("SEAWALL_TEST_KUBECONFIG")
	if config == "" {
		t.Skip("SEAWALL_TEST_KUBECONFIG names no cluster: `go -C test/lab run . up 1` prints one")
	}
	c, err := Connect(Options{Kubeconfig: config, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s := read(t, c, ReadOptions{})
	t.Logf("%d objects of %s in %v; incomplete: %q", len(s.Objects), s.Version, time.Since(start), reasons(s))

	if !strings.HasPrefix(s.Version, "v1.") {
		t.Errorf("got version %q, want v1.something", s.Version)
	}
	if s.Whole != (len(s.Incomplete) == 0) {
		t.Errorf("whole is %v with %d lists incomplete", s.Whole, len(s.Incomplete))
	}
	for _, want := range []struct{ group, kind, namespace, name string }{
		{"", "Namespace", "", "kube-system"},
		{"", "Service", "default", "kubernetes"},
		{"rbac.authorization.k8s.io", "ClusterRole", "", "cluster-admin"},
	} {
		o := s.Get(want.group, want.kind, want.namespace, want.name)
		if o == nil {
			t.Errorf("%s %s/%s is not among the objects", want.kind, want.namespace, want.name)
		}
	}
	for _, o := range s.Objects {
		checkRead(t, o)
	}
	compareWithKubectl(t, config, s)
}

// checkRead holds an object against what Read promises of all of them.
func checkRead(t *testing.T, o *cluster.Object) {
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

func compareWithKubectl(t *testing.T, config string, s *cluster.Snapshot) {
	t.Helper()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("kubectl is not in the path: numbers not compared")
		return
	}
	for resource, kind := range map[string]string{
		"clusterroles": "ClusterRole", "secrets": "Secret", "serviceaccounts": "ServiceAccount",
		"crds": "CustomResourceDefinition", "configmaps": "ConfigMap", "nodes": "Node",
	} {
		out, err := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", config, "get", resource, "-A", "-o", "name").Output()
		if err != nil {
			t.Errorf("kubectl get %s: %v", resource, err)
			continue
		}
		if want, got := bytes.Count(out, []byte("\n")), len(s.Kind(kind)); got != want {
			t.Errorf("read %d %s, kubectl %d", got, resource, want)
		}
	}
}
