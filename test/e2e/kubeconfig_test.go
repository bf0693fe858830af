package e2e

import (
	"archive/tar"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// loadConfig reads the kubeconfig of the tests' cluster.
func loadConfig(t *testing.T) (config *clientcmdapi.Config, current *clientcmdapi.Context) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(shared.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config, config.Contexts[config.CurrentContext]
}

func writeConfig(t *testing.T, config *clientcmdapi.Config) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// twoContexts writes a kubeconfig in which first and second are the tests'
// cluster, and third is one that is not there.
func twoContexts(t *testing.T, _ *api) string {
	t.Helper()
	config, current := loadConfig(t)
	config.Clusters["gone"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	config.Contexts = map[string]*clientcmdapi.Context{
		"first": current, "second": current,
		"third": {Cluster: "gone", AuthInfo: current.AuthInfo},
	}
	config.CurrentContext = "first"
	return writeConfig(t, config)
}

// accountConfig writes a kubeconfig for a service account.
func accountConfig(t *testing.T, a *api, namespace, name string) string {
	t.Helper()
	token := post(t, a, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name+"/token",
		`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}`)
	config, current := loadConfig(t)
	config.AuthInfos = map[string]*clientcmdapi.AuthInfo{name: {Token: token.At("status", "token").Str()}}
	config.Contexts = map[string]*clientcmdapi.Context{name: {Cluster: current.Cluster, AuthInfo: name}}
	config.CurrentContext = name
	return writeConfig(t, config)
}

// unpack returns all text of a snapshot file.
func unpack(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out strings.Builder
	for r := tar.NewReader(z); ; {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return out.String()
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&out, r); err != nil {
			t.Fatal(err)
		}
	}
}

// forms returns a secret as it may be written.
func forms(secret string) []string {
	return []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))}
}
