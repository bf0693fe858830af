package redact_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/redact"
)

// certificate makes one of a subject, in PEM.
func certificate(t *testing.T, name string, organizations ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: organizations}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func jwt(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("hunter2-signature"))
}

// TestFacts reads each kind of credential as it is, and from the marker that takes
// its place, and finds nothing secret in the marker.
func TestFacts(t *testing.T) {
	ca, client := certificate(t, "kubernetes"), certificate(t, "ann", "system:masters", "ops team")
	account := jwt(`{"iss":"https://user:hunter2@oidc.example/id/7?k=hunter2","sub":"system:serviceaccount:shop:web"}`)
	config := func(user string) string {
		return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: b
contexts:
- {name: a, context: {cluster: other, user: other}}
- {name: b, context: {cluster: prod, user: me}}
clusters:
- {name: other, cluster: {server: "https://other.example"}}
- {name: prod, cluster: {server: "https://u:hunter2@API.prod.example:6443/hunter2", certificate-authority-data: %s}}
users:
- name: me
  user: %s
`, b64(ca), user)
	}
	base := redact.Facts{Kind: "kubeconfig", Server: "https://api.prod.example:6443", CA: redact.Authority(ca)}
	with := func(change func(*redact.Facts)) redact.Facts {
		f := base
		change(&f)
		return f
	}
	tests := []struct {
		name, value string
		want        redact.Facts
	}{
		{"certificate", config(`{client-certificate-data: ` + b64(client) + `, client-key-data: hunter2}`), with(func(f *redact.Facts) {
			f.Auth, f.Name, f.Groups = "certificate", "ann", []string{"ops team", "system:masters"}
		})},
		{"token", config("{token: " + account + "}"), with(func(f *redact.Facts) {
			f.Auth, f.Name, f.Issuer = "token", "system:serviceaccount:shop:web", "https://oidc.example/id/7"
		})},
		{"opaque-token", config("{token: hunter2}"), with(func(f *redact.Facts) { f.Auth = "token" })},
		{"exec", config("{exec: {command: aws, args: [hunter2]}}"), with(func(f *redact.Facts) { f.Auth = "exec" })},
		{"basic", config("{username: ann, password: hunter2}"), with(func(f *redact.Facts) { f.Auth = "basic" })},
		{"account-token", account, redact.Facts{Kind: "token", Name: "system:serviceaccount:shop:web", Issuer: "https://oidc.example/id/7"}},
		{"person-token", jwt(`{"iss":"acme","sub":"hunter2"}`), redact.Facts{Kind: "token", Issuer: "acme"}},
		{
			"google", `{"type":"service_account","private_key":"hunter2","client_email":"ci@acme.iam.gserviceaccount.com"}`,
			redact.Facts{Kind: "google", Name: "ci@acme.iam.gserviceaccount.com"},
		},
		{
			"registry", `{"auths":{"https://index.docker.io/v1/":{"auth":"hunter2"},"GHCR.io":{"auth":"hunter2"}}}`,
			redact.Facts{Kind: "registry", Hosts: []string{"docker.io", "ghcr.io"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := redact.FactsOf(b64([]byte(tt.value)), true)
			if d := cmp.Diff(tt.want, got); d != "" || !ok {
				t.Fatalf("in clear (-want +got):\n%s", d)
			}
			marker := marked(t, tt.name, tt.value, false)
			if !redact.IsMarker(marker) {
				t.Errorf("no marker: %s", marker)
			}
			if strings.Contains(marker, "hunter2") {
				t.Errorf("gives away: %s", marker)
			}
			if got, _ := redact.FactsOf(marker, true); !cmp.Equal(tt.want, got) {
				t.Errorf("of the marker %s\n%s", marker, cmp.Diff(tt.want, got))
			}
		})
	}
}

// marked is what a redactor leaves of the one value of a Secret.
func marked(t *testing.T, key, value string, argo bool) string {
	t.Helper()
	labels := map[string]any{}
	if argo {
		labels["argocd.argoproj.io/secret-type"] = "cluster"
	}
	root := document.FromValue(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "a", "labels": labels},
		"data": map[string]any{key: b64([]byte(value))},
	})
	r := redact.Redactor{Salt: []byte("0123456789abcdef")}
	once := r.Object(root)
	if twice := r.Object(once); !document.Equal(once, twice) {
		t.Error("a marker does not survive")
	}
	return once.At("data", key).Str()
}

// TestNoFacts has values that look like credentials and are none that is known:
// their markers say nothing beyond length and fingerprint.
func TestNoFacts(t *testing.T) {
	for _, value := range []string{
		"", "hunter2", "eyJhbGciOiJub25lIn0", "clusters Config", "kind: Config\nclusters: []", "kind: Config\nclusters: [{cluster: {server: hunter2}}]",
		`{"auths": "hunter2"}`, `{"auth":"hunter2"}`, `{"type":"service_account","client_email":7}`, "eyJ.eyJ.eyJ", "kind: Config\nclusters: [", "https://hooks.example/hunter2",
	} {
		if marker := marked(t, "v", value, false); len(strings.Fields(marker)) > 3 {
			t.Errorf("%q became %q", value, marker)
		}
	}
}

// TestArgoFacts reads the Secrets in which Argo CD keeps clusters.
func TestArgoFacts(t *testing.T) {
	ca := certificate(t, "kubernetes")
	config := `{"bearerToken":"` + jwt(`{"iss":"x","sub":"system:serviceaccount:kube-system:argocd-manager"}`) + `","tlsClientConfig":{"caData":"` + b64(ca) + `"}}`
	tests := []struct {
		key, value string
		want       redact.Facts
	}{
		{"server", "https://prod.example:6443/hunter2", redact.Facts{Kind: "argocd", Server: "https://prod.example:6443"}},
		{"config", config, redact.Facts{
			Kind: "argocd", CA: redact.Authority(ca), Auth: "token", Issuer: "x", Name: "system:serviceaccount:kube-system:argocd-manager",
		}},
		{"config", `{"awsAuthConfig":{"clusterName":"p","roleARN":"arn:aws:iam::111122223333:role/argo"}}`, redact.Facts{
			Kind: "argocd", Auth: "role", Name: "arn:aws:iam::111122223333:role/argo",
		}},
	}
	for _, tt := range tests {
		marker := marked(t, tt.key, tt.value, true)
		if got, _ := redact.ArgoFacts(tt.key, marker, true); !cmp.Equal(tt.want, got) {
			t.Errorf("%s\n%s", marker, cmp.Diff(tt.want, got))
		}
		if strings.Contains(marker, "hunter2") {
			t.Errorf("gives away: %s", marker)
		}
	}
	if marker := marked(t, "server", "https://prod.example", false); strings.Contains(marker, "prod") {
		t.Errorf("of a Secret that is none of Argo CD's: %s", marker)
	}
}

// FuzzFacts has any value be redacted: what comes of it is a marker that survives,
// and from which the same facts are read.
func FuzzFacts(f *testing.F) {
	f.Add("kind: Config\nclusters: [{name: a, cluster: {server: https://a}}]", "server", true)
	f.Add(`{"auths":{"ghcr.io":{}}}`, ".dockerconfigjson", false)
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0.eA", "token", false)
	f.Add(`{"bearerToken":"x"}`, "config", true)
	f.Fuzz(func(t *testing.T, value, key string, argo bool) {
		marker := marked(t, key, value, argo)
		if !redact.IsMarker(marker) {
			t.Fatalf("%q: no marker: %q", value, marker)
		}
	})
}
