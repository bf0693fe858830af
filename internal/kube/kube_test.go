package kube

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

func TestContexts(t *testing.T) {
	names, current, err := Contexts(kubeconfig(t, "http://localhost", ""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lab", "other"}, names); diff != "" || current != "lab" {
		t.Errorf("current %q, want lab; names (-want +got):\n%s", current, diff)
	}
}

func TestContextsFromEnvironment(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t, "http://localhost", ""))
	if _, current, err := Contexts(""); current != "lab" || err != nil {
		t.Errorf("got %q, %v; want lab", current, err)
	}
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	if names, current, err := Contexts(""); len(names) > 0 || current != "" || err != nil {
		t.Errorf("got %v, %q, %v; want nothing", names, current, err)
	}
}

func TestConnect(t *testing.T) {
	config := kubeconfig(t, "http://localhost", "")
	c, err := Connect(Options{Kubeconfig: config})
	if err != nil || c.Name() != "lab" || c.namespace != "shop" {
		t.Errorf("got %+v, %v; want context lab, namespace shop", c, err)
	}
	c, err = Connect(Options{Kubeconfig: config, Cluster: "production"})
	if err != nil || c.Name() != "production" {
		t.Errorf("got %+v, %v; want the name production", c, err)
	}
}

func TestConnectErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", filepath.Join(dir, "nothing-here"))
	config := kubeconfig(t, "http://localhost", "")
	tests := []struct {
		name string
		in   Options
		want string
	}{
		{"no-file", Options{Kubeconfig: filepath.Join(dir, "gone")}, "gone does not exist: check --kubeconfig"},
		{"no-kubeconfig", Options{}, "nothing-here) and this is no pod: name one with --kubeconfig FILE or the variable KUBECONFIG"},
		{"unknown-context", Options{Kubeconfig: config, Context: "prod"}, `context "prod" is not in kubeconfig ` + config + `: choose one with --context: lab, other`},
		{"context-without-cluster", Options{Kubeconfig: config, Context: "other"}, `context "other" names the cluster "gone", which is not in kubeconfig ` + config + `: add it, or choose`},
		{"no-current-context", Options{Kubeconfig: file("a", "apiVersion: v1\nkind: Config\ncontexts: [{name: x, context: {}}]\n")}, "has no current context: choose one with --context: x"},
		{"no-contexts", Options{Kubeconfig: file("b", "apiVersion: v1\nkind: Config\n")}, "has no current context: it has no contexts"},
		{"garbage", Options{Kubeconfig: file("c", "{[")}, "reading the kubeconfig: "},
		{"bad-server", Options{Kubeconfig: kubeconfig(t, "'http://[::1'", "")}, "preparing to read cluster lab: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Connect(tt.in)
			wantError(t, err, tt.want)
		})
	}
}

func TestConnectInPod(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "1")
	if _, err := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/token"); err == nil {
		t.Skip("this is a pod with a service account, which cannot be without its token")
	}
	_, err := Connect(Options{})
	wantError(t, err, "reading the service account of this pod", "automountServiceAccountToken")
}

// unthrottled lets a client ask as often as it likes.
func unthrottled(t *testing.T, c *Client) {
	t.Helper()
	config := &rest.Config{Host: c.host, QPS: -1}
	config.NegotiatedSerializer = statusSerializer()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	c.rest = client
}
