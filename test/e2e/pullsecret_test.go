package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"seawall.io/seawall/test/images"
)

// TestPullSecrets gets the image of a pod in a real cluster from a registry that
// wants a password, by the pod's image pull secret.
func TestPullSecrets(t *testing.T) {
	a := cluster(t)
	open := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "shop" || password != "open sesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		open.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	img, err := images.Debian()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/shop/web:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: "shop", Password: "open sesame"})); err != nil {
		t.Fatal(err)
	}
	config := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"auths": {%q: {"username": "shop", "password": "open sesame"}}}`, host))
	a.mustApply(t, fmt.Appendf(nil, `
apiVersion: v1
kind: Namespace
metadata: {name: pulled}
---
apiVersion: v1
kind: Secret
metadata: {name: pull, namespace: pulled}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: %s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: pulled}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      imagePullSecrets: [{name: pull}]
      containers: [{name: web, image: "%s/shop/web:1"}]
`, config, host))
	args := []string{"cluster", "--kubeconfig", shared.kubeconfig, "--namespace", "pulled", "--images", "--no-layer-cache", "--check", "image-*", "--fail-on", "none"}
	r, _ := scan(t, args...)
	if len(r.Coverage.Images) != 0 {
		t.Errorf("without the Secret: got %+v", r.Coverage.Images)
	}
	r, out := scan(t, append(args, "--pull-secrets")...)
	if len(r.Coverage.Images) != 1 || r.Coverage.Images[0].Packages == 0 {
		t.Errorf("got %+v, incomplete %+v", r.Coverage.Images, r.Coverage.Incomplete)
	}
	if strings.Contains(out.stdout, "sesame") || strings.Contains(out.stdout, config) {
		t.Error("the report repeats the Secret")
	}
}
