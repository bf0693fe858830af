package imagescan_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5" // what dpkg keeps
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/test/images"
)

// TestSecretsOfPackages tells credentials in files that are as their package
// brought them from all others.
func TestSecretsOfPackages(t *testing.T) {
	key := func() string {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	sum := func(text string) string { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }
	brought, changed, replaced, conf := key(), key(), key(), key()
	base := layer(t, images.Entries(
		images.File("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
		images.File("var/lib/dpkg/status", "Package: libx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n"+
			"Conffiles:\n /etc/x/key.pem "+sum(conf)+"\n\n"),
		images.File("var/lib/dpkg/info/libx.list", "/.\n/usr/lib/x/brought.pem\n/usr/lib/x/changed.pem\n/usr/lib/x/unsummed.pem\n/usr/lib/x/replaced.pem\n/etc/x/key.pem\n"),
		images.File("var/lib/dpkg/info/libx.md5sums", sum(brought)+"  usr/lib/x/brought.pem\n"+sum("other")+"  usr/lib/x/changed.pem\n"+sum(replaced)+"  usr/lib/x/replaced.pem\n"),
		images.File("usr/lib/x/brought.pem", brought),
		images.File("usr/lib/x/changed.pem", changed),
		images.File("usr/lib/x/unsummed.pem", key()),
		images.File("usr/lib/x/replaced.pem", replaced),
		images.File("etc/x/key.pem", conf),
		images.File("usr/lib/x/unowned.pem", key()),
	), images.Gzip)
	top := layer(t, images.Entries(images.File("usr/lib/x/replaced.pem", key())), images.Gzip)
	r := scan(t, write(t, build(t, base, top)), imagescan.Options{})
	var got []string
	for _, c := range r.Description.Secrets {
		got = append(got, fmt.Sprintf("%s %q removed=%t", c.Path, c.Package, c.Removed))
	}
	slices.Sort(got)
	want := []string{
		`etc/x/key.pem "libx" removed=false`,
		`usr/lib/x/brought.pem "libx" removed=false`,
		`usr/lib/x/changed.pem "" removed=false`,
		`usr/lib/x/replaced.pem "" removed=false`,
		`usr/lib/x/replaced.pem "" removed=true`,
		`usr/lib/x/unowned.pem "" removed=false`,
		`usr/lib/x/unsummed.pem "" removed=false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
}
