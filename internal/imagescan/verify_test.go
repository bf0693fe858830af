package imagescan_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/signature"
	"seawall.io/seawall/test/images"
)

func newKey(t *testing.T, called string) (*ecdsa.PrivateKey, *signature.Key) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := signature.ParseKey(called, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// TestVerify signs an image in a real registry as cosign does, and asks who
// vouches for it.
func TestVerify(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	img, err := images.Debian()
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"signed", "unsigned"} {
		ref, err := name.ParseReference(host + "/shop/" + tag + ":1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	private, ours := newKey(t, "ours.pub")
	_, theirs := newKey(t, "theirs.pub")

	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"%s/shop/signed"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, host, digest)
	sum := sha256.Sum256([]byte(payload))
	sig, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:       static.NewLayer([]byte(payload), "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/shop/signed:" + strings.ReplaceAll(digest.String(), ":", "-") + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, signed); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		repository string
		key        *signature.Key
		want       signature.Status
		check      string
	}{
		{"signed", ours, signature.Verified, ""},
		{"signed", theirs, signature.Untrusted, "untrusted"},
		{"unsigned", ours, signature.Unsigned, "unsigned"},
	} {
		t.Run(tt.repository+" by "+tt.key.Name, func(t *testing.T) {
			o := options(t)
			o.Trust = &signature.Policy{Keys: []*signature.Key{tt.key}}
			r := scan(t, oci.Source{Kind: oci.RegistryKind, Name: host + "/shop/" + tt.repository + ":1"}, o)
			v := imagescan.Verify(t.Context(), r.Image, o.Trust, nil)
			if v.Status != tt.want {
				t.Errorf("got %s (%s, %v), want %s", v.Status, v.Reason, v.Failures, tt.want)
			}
			if got := r.Description.Signature; got == nil || got.Verdict != string(tt.want) {
				t.Errorf("the checks see %+v, want %s", got, tt.want)
			}
			if tt.want == signature.Verified && (len(v.By) != 1 || imagescan.Signer(&v.By[0]) != "key ours.pub") {
				t.Errorf("signed by %v", v.By)
			}
			if tt.want == signature.Untrusted && r.Description.Signature.Why == "" {
				t.Error("no reason why the signature does not count")
			}
		})
	}

	// Where the registry is gone, nothing is known.
	open, err := oci.Open(t.Context(), oci.Source{Kind: oci.RegistryKind, Name: host + "/shop/signed:1"}, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	server.Close()
	if v := imagescan.Verify(t.Context(), open, &signature.Policy{Keys: []*signature.Key{ours}}, nil); v.Status != signature.Unknown {
		t.Errorf("without the registry: %s, want unknown", v.Status)
	}
}
