package scan_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/scan"
	"seawall.io/seawall/test/images"
)

// TestPullSecrets gets an image from a registry that wants a password, by the
// image pull secret of the pod and by that of its service account.
func TestPullSecrets(t *testing.T) {
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
	config := fmt.Sprintf(`{"auths": {%q: {"username": "shop", "password": "open sesame"}}}`, host)
	pod := func(spec string) string {
		return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {%s, containers: [{name: web, image: "%s/shop/web:1"}]}
---
apiVersion: v1
kind: Secret
metadata: {name: pull, namespace: shop}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: %s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
imagePullSecrets: [{name: pull}]
`, spec, host, base64.StdEncoding.EncodeToString([]byte(config)))
	}
	for _, tt := range []struct {
		name, spec string
		use        bool
		scanned    int
		hole       string
	}{
		{"of the pod", "imagePullSecrets: [{name: pull}]", true, 1, ""},
		{"of its service account", "serviceAccountName: web", true, 1, ""},
		{"not asked for", "imagePullSecrets: [{name: pull}]", false, 0, "shop/web:1"},
		{"missing", "imagePullSecrets: [{name: lost}]", true, 0, "shop/lost is not among the objects"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(pod(tt.spec)), 0o600); err != nil {
				t.Fatal(err)
			}
			rules, err := checks.Rules()
			if err != nil {
				t.Fatal(err)
			}
			result, err := scan.Run(t.Context(), scan.Options{
				Targets: []string{dir}, Rules: rules, Funcs: checks.Funcs(), Choice: scan.Choice{Globs: []string{"image-*"}},
				WorkloadImages: true, PullSecrets: tt.use, Image: imagescan.Options{Today: "2024-06-01"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(result.Images); got != tt.scanned {
				t.Errorf("got %d images, want %d: %+v", got, tt.scanned, result.Coverage.Incomplete)
			}
			told := fmt.Sprint(result.Coverage.Incomplete)
			if !strings.Contains(told, tt.hole) {
				t.Errorf("%q is not told: %s", tt.hole, told)
			}
			if strings.Contains(told, "sesame") {
				t.Errorf("the password is told: %s", told)
			}
		})
	}
}
