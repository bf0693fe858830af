package scan_test

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/advisory"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/scan"
	"seawall.io/seawall/test/images"
)

// TestWorkloadImages fetches the images that workloads run from a registry, and
// judges the workloads by them. One that cannot be had is named.
func TestWorkloadImages(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
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
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, text := range images.Advisories() {
		text = strings.Replace(text, `"summary":`, `"database_specific":{"cwe_ids":["CWE-94"]},"summary":`, 1) // it runs code
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dbFile := filepath.Join(t.TempDir(), "seawall.db")
	if _, err := advisory.Build(t.Context(), []advisory.Input{{Path: dir}}, dbFile, advisory.Options{Built: images.Made()}); err != nil {
		t.Fatal(err)
	}
	db, err := advisory.Open(dbFile)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	manifests := t.TempDir()
	text := fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "%[1]s/shop/web:1"}
      - {name: gone, image: "%[1]s/shop/gone:1"}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
`, host)
	if err := os.WriteFile(filepath.Join(manifests, "web.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := checks.Rules()
	if err != nil {
		t.Fatal(err)
	}
	result, err := scan.Run(t.Context(), scan.Options{
		Targets: []string{manifests}, Rules: rules, Funcs: checks.Funcs(), Paths: true,
		Choice:         scan.Choice{Globs: []string{"image-*"}},
		Params:         map[string]map[string]any{"image-too-many-vulns": {"critical": int64(0), "high": int64(0)}},
		WorkloadImages: true, Image: imagescan.Options{Database: db, Today: "2024-06-01"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range result.Findings {
		got[f.Check]++
		if f.Check == "image-vulnerability" && f.Subject.Image != host+"/shop/web:1" {
			t.Errorf("a flaw of %q", f.Subject.Image)
		}
	}
	if got["image-vulnerability"] == 0 || got["image-too-many-vulns"] != 1 {
		t.Errorf("findings: %v", got)
	}
	if len(result.Coverage.Images) != 1 || len(result.Coverage.Images[0].Workloads) != 1 || result.Coverage.Images[0].Workloads[0].Exposed == "" {
		t.Errorf("images: %+v", result.Coverage.Images)
	}
	if use := result.Coverage.Images[0].Workloads[0]; use.Path != "the internet -> cluster-admin" {
		t.Errorf("the path through the workload: %+v", use)
	}
	if result.AttackPaths == nil || result.AttackPaths.Paths[0].Steps[0].Primitive != "P53" {
		t.Errorf("paths: %+v", result.AttackPaths)
	}
	for _, f := range result.Findings {
		if f.Vulnerability != nil && f.Vulnerability.RCE != (f.AttackPath != nil) {
			t.Errorf("%s: runs code: %v, on a path: %+v", f.Vulnerability.ID, f.Vulnerability.RCE, f.AttackPath)
		}
	}
	missing, unmet := false, false
	for _, hole := range result.Coverage.Incomplete {
		missing = missing || strings.Contains(hole.Location.File, "shop/gone:1")
	}
	for _, hole := range result.Coverage.NotEvaluated {
		unmet = unmet || hole.Check == "image-too-many-vulns" && strings.Contains(hole.Reason, "shop/gone:1")
	}
	if !missing || !unmet {
		t.Errorf("the image that cannot be had is not named: %v %v", result.Coverage.Incomplete, result.Coverage.NotEvaluated)
	}
}
