package sbom_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/sbom"
)

// What other tools write becomes the packages that our readers of images would
// have found.
func TestReadForeign(t *testing.T) {
	src := func(name, version string) inventory.Source { return inventory.Source{Name: name, Version: version} }
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		file string
		want sbom.Document
	}{
		{"trivy-cyclonedx.json", sbom.Document{
			Name: "example/app:1", Digest: "sha256:cc", Layers: []string{"sha256:aa", "sha256:bb"}, Created: created, Tool: "trivy", ToolVersion: "0.74.0",
			Inventory: inventory.Inventory{
				Distro: &inventory.Distro{ID: "centos", Version: "7.6.1810"},
				Packages: []inventory.Package{
					{
						Type: inventory.RPM, Name: "openssl-libs", Version: "1:1.0.2k-16.el7", Arch: "x86_64", Module: "m:1:2",
						Source: src("openssl", "1:1.0.2k-16.el7"), Licenses: []string{"OpenSSL+"}, Layer: 1,
					},
					{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0", Path: "app/package.json"},
				},
			},
			Problems: []string{
				`component "nothing 1" is left out: it has no package URL`,
				`component "tool" is left out: packages of type github are not judged`,
			},
		}},
		{"syft-cyclonedx.json", sbom.Document{
			Name: "app", Tool: "syft", ToolVersion: "1.52.0",
			Inventory: inventory.Inventory{
				Distro: &inventory.Distro{ID: "debian", Version: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)", Like: []string{"x"}},
				Packages: []inventory.Package{
					{
						Type: inventory.Deb, Name: "libssl3", Version: "3.0.11-1~deb12u2", Arch: "amd64", Source: src("openssl", "3.0.11-1~deb12u2"),
						Path: "var/lib/dpkg/status", Licenses: []string{"Apache-2.0"},
					},
					{Type: inventory.Deb, Name: "libgcc-s1", Version: "12.2.0-14", Arch: "amd64", Source: src("gcc-12", "12.2.0-14")},
					{
						Type: inventory.RPM, Name: "nodejs", Version: "1:18.19.0-1.el9", Arch: "x86_64", Source: src("nodejs", "1:18.19.0-1.el9"),
						Module: "nodejs:18:9030020231215",
					},
					{Type: inventory.APK, Name: "ssl_client", Version: "1.36.1-r5", Arch: "x86_64", Source: src("busybox", "1.36.1-r5")},
					{Type: inventory.Go, Name: "stdlib", Version: "1.21.5"},
					{Type: inventory.Go, Name: "golang.org/x/net", Version: "0.10.0"},
					{Type: inventory.Maven, Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"},
					{Type: inventory.PyPI, Name: "zope-interface", Version: "5.0"},
					{Type: inventory.NuGet, Name: "newtonsoft.json", Version: "13.0.1"},
					{Type: inventory.Gem, Name: "rack", Version: "2.0"},
				},
			},
		}},
		{"trivy-spdx.json", sbom.Document{
			Name: "example/app:1", Created: created, Tool: "trivy", ToolVersion: "0.74.0",
			Inventory: inventory.Inventory{
				Distro: &inventory.Distro{ID: "debian", Version: "12.5"},
				Packages: []inventory.Package{
					{
						Type: inventory.Deb, Name: "libssl3", Version: "3.0.11-1~deb12u2", Arch: "amd64", Source: src("openssl", "3.0.11-1~deb12u2"),
						Licenses: []string{"Apache-2.0"},
					},
					{Type: inventory.Deb, Name: "libdb", Version: "1:5.3.28", Source: src("libdb", "1:5.3.28")},
				},
			},
			Problems: []string{`component "mystery 4" is left out: it has no package URL`},
		}},
	}
	for _, tt := range tests {
		data, err := os.ReadFile(filepath.Join("testdata", tt.file))
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{
			"plain":     data,
			"statement": []byte(`{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://cyclonedx.org/bom","predicate":` + string(data) + `}`),
		} {
			got, err := sbom.Read(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.file, name, diff)
			}
		}
	}
}

// Where no component tells the distribution, package URLs do.
func TestDistroOfURLs(t *testing.T) {
	tests := []struct {
		purl string
		want *inventory.Distro
	}{
		{"pkg:deb/debian/a@1?distro=debian-12", &inventory.Distro{ID: "debian", Version: "12"}},
		{"pkg:apk/alpine/a@1?distro=3.20.3", &inventory.Distro{ID: "alpine", Version: "3.20.3"}},
		{"pkg:apk/wolfi/a@1?distro=wolfi-20230201", &inventory.Distro{ID: "wolfi", Version: "20230201"}},
		{"pkg:rpm/opensuse/a@1?distro=opensuse-leap-15.5", &inventory.Distro{ID: "opensuse-leap", Version: "15.5"}},
		{"pkg:rpm/redhat/a@1?distro=9.4", &inventory.Distro{ID: "rhel", Version: "9.4"}},
		{"pkg:rpm/amazon/a@1?distro=2023", &inventory.Distro{ID: "amzn", Version: "2023"}},
		{"pkg:rpm/oracle/a@1?distro=8", &inventory.Distro{ID: "ol", Version: "8"}},
		{"pkg:rpm/suse/a@1?distro=15.5", &inventory.Distro{ID: "sles", Version: "15.5"}},
		{"pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie", &inventory.Distro{ID: "debian", Codename: "jessie"}},
		{"pkg:deb/debian/a@1", nil},
		{"pkg:deb/a@1?distro=debian-12", nil},
		{"pkg:npm/a@1?distro=debian-12", nil},
	}
	for _, tt := range tests {
		got, err := sbom.Read([]byte(`{"bomFormat":"CycloneDX","components":[{"type":"library","name":"a","purl":"` + tt.purl + `"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.Inventory.Distro); diff != "" || len(got.Problems) > 0 {
			t.Errorf("%s: %v (-want +got):\n%s", tt.purl, got.Problems, diff)
		}
	}
}

// A package URL that cannot be read costs its component, and no other.
func TestBrokenURL(t *testing.T) {
	got, err := sbom.Read([]byte(`{"bomFormat":"CycloneDX","components":[{"name":"a","purl":"npm/broken"},{"purl":"pkg:npm/b@1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Inventory.Packages) != 1 || len(got.Problems) != 1 || !strings.HasPrefix(got.Problems[0], `component "a" is left out: `) {
		t.Errorf("got %+v", got)
	}
}

// Two distributions in one document are a problem, whatever the format.
func TestSecondDistro(t *testing.T) {
	for _, in := range []string{
		`{"bomFormat":"CycloneDX","components":[{"type":"operating-system","name":"debian","version":"12"},{"type":"operating-system","name":"alpine"}]}`,
		`{"spdxVersion":"SPDX-2.3","packages":[{"name":"debian","versionInfo":"12","primaryPackagePurpose":"OPERATING_SYSTEM"},{"name":"alpine","primaryPackagePurpose":"OPERATING-SYSTEM"}]}`,
	} {
		got, err := sbom.Read([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got.Inventory.Distro == nil || got.Inventory.Distro.ID != "debian" || len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "alpine") {
			t.Errorf("%s: got %+v", in, got)
		}
	}
}
