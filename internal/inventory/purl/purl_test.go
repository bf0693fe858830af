package purl_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/purl"
)

// TestParse has the canonical form of each; of those that have none, what is
// wrong.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie", "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie"},
		{"pkg:golang/google.golang.org/genproto#googleapis/api/annotations", "pkg:golang/google.golang.org/genproto#googleapis/api/annotations"},
		{"pkg:npm/%40angular/animation@12.3.1", "pkg:npm/%40angular/animation@12.3.1"},
		{"pkg:npm/@angular/animation@12.3.1", "pkg:npm/%40angular/animation@12.3.1"},
		{"pkg:npm/@angular/animation", "pkg:npm/%40angular/animation"},
		{"pkg:pypi/Django_All@1.11.1", "pkg:pypi/django-all@1.11.1"},
		{"PKG://Maven/org.apache//x/./y@1", "pkg:maven/org.apache/x/y@1"},
		{"pkg:rpm/Fedora/curl@7.50.3-1.fc25?distro=fedora-25&Arch=i386&empty=", "pkg:rpm/fedora/curl@7.50.3-1.fc25?arch=i386&distro=fedora-25"},
		{"pkg:oci/alpine@sha256%3A244f?repository_url=docker.io/library/alpine", "pkg:oci/alpine@sha256:244f?repository_url=docker.io%2Flibrary%2Falpine"},
		{"pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1", "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1"},
		{"npm/a", `package URL "npm/a": the scheme pkg is missing`},
		{"pkg:npm", `package URL "pkg:npm": type "npm" is malformed`},
		{"pkg:1npm/a", `package URL "pkg:1npm/a": type "1npm" is malformed`},
		{"pkg:npm/", `package URL "pkg:npm/": the name is missing`},
		// No name is left where the version begins at once.
		{"pkg:maven/@1.3.4", `package URL "pkg:maven/@1.3.4": the name is missing`},
		{"pkg:cran/@0.9.1", `package URL "pkg:cran/@0.9.1": the name is missing`},
		{"pkg:maven/org.apache/@1.3.4", "pkg:maven/org.apache@1.3.4"},
		{"pkg:npm/@angular", `package URL "pkg:npm/@angular": the name is missing`},
		{"pkg:npm/%40angular/@angular/core@1", "pkg:npm/%40angular/%40angular/core@1"},
		// Keys of qualifiers are plain words, each once.
		{"pkg:npm/a@1?in%20production=true", `package URL "pkg:npm/a@1?in%20production=true": qualifier "in%20production": a key has letters, digits, dots, dashes and underscores, and begins with a letter`},
		{"pkg:npm/a?1=2", `package URL "pkg:npm/a?1=2": qualifier "1": a key has letters, digits, dots, dashes and underscores, and begins with a letter`},
		{"pkg:npm/a?=2", `package URL "pkg:npm/a?=2": qualifier "": a key has letters, digits, dots, dashes and underscores, and begins with a letter`},
		{"pkg:npm/a?os=x&OS=y", `package URL "pkg:npm/a?os=x&OS=y": qualifier "os" stands there twice`},
		{"pkg:npm/a?os=&&os=y&", "pkg:npm/a?os=y"},
		// Values are encoded but for colons, slashes too; commas come so from lists.
		{"pkg:Maven/org.apache.xmlgraphics/batik-anim@1.9.1?type=pom&repositorY_url=https://repo.spring.io/release", "pkg:maven/org.apache.xmlgraphics/batik-anim@1.9.1?repository_url=https:%2F%2Frepo.spring.io%2Frelease&type=pom"},
		{"pkg:generic/openssl@1.1.10g?checksum=sha1:ad95,sha256:41bf", "pkg:generic/openssl@1.1.10g?checksum=sha1:ad95%2Csha256:41bf"},
		{"pkg:maven/mygroup/myartifact@1.0.0%20Final?mykey=my%20value", "pkg:maven/mygroup/myartifact@1.0.0%20Final?mykey=my%20value"},
		// What stands before the type, and around namespaces and subpaths.
		{"pkg:///maven/org.apache.commons/io", "pkg:maven/org.apache.commons/io"},
		{"pkg%3Amaven/org.apache.commons/io", `package URL "pkg%3Amaven/org.apache.commons/io": the scheme pkg is missing`},
		{"pkg:EnterpriseLibrary.Common@6.0.1304", `package URL "pkg:EnterpriseLibrary.Common@6.0.1304": type "EnterpriseLibrary.Common@6.0.1304" is malformed`},
		{"pkg:n&g?inx/nginx@0.8.9", `package URL "pkg:n&g?inx/nginx@0.8.9": qualifier "inx/nginx@0.8.9": a key has letters, digits, dots, dashes and underscores, and begins with a letter`},
		{"pkg:nginx:a/nginx@0.8.9", `package URL "pkg:nginx:a/nginx@0.8.9": type "nginx:a" is malformed`},
		{"pkg:GOLANG/google.golang.org/genproto@abcdedf#/googleapis/./api//../annotations/", "pkg:golang/google.golang.org/genproto@abcdedf#googleapis/api/annotations"},
		{"pkg:npm/a@%zz", `package URL "pkg:npm/a@%zz": version: invalid URL escape "%zz"`},
	} {
		p, err := purl.Parse(test.text)
		got := p.String()
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	debian := &inventory.Distro{ID: "debian", Version: "12"}
	rhel := &inventory.Distro{ID: "rhel", Version: "9.4"}
	for _, test := range []struct {
		p      inventory.Package
		distro *inventory.Distro
		want   string
	}{
		{inventory.Package{Type: inventory.Deb, Name: "libssl3", Version: "3.0.15-1~deb12u1", Arch: "amd64", Source: inventory.Source{Name: "openssl", Version: "3.0.15-1~deb12u1"}}, debian, "pkg:deb/debian/libssl3@3.0.15-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl"},
		{inventory.Package{Type: inventory.Deb, Name: "gcc", Version: "4:12.2.0-3", Source: inventory.Source{Name: "gcc-defaults", Version: "1.203"}}, debian, "pkg:deb/debian/gcc@4:12.2.0-3?distro=debian-12&upstream=gcc-defaults%401.203"},
		{inventory.Package{Type: inventory.Deb, Name: "bash", Version: "5", Source: inventory.Source{Name: "bash", Version: "5"}}, nil, "pkg:deb/bash@5"},
		{inventory.Package{Type: inventory.RPM, Name: "bind", Version: "32:9.16.23-11.el9", Arch: "x86_64"}, rhel, "pkg:rpm/redhat/bind@9.16.23-11.el9?arch=x86_64&distro=rhel-9.4&epoch=32"},
		{inventory.Package{Type: inventory.RPM, Name: "bash", Version: "0:5-1"}, rhel, "pkg:rpm/redhat/bash@5-1?distro=rhel-9.4"},
		{inventory.Package{Type: inventory.Go, Name: "golang.org/x/net", Version: "0.10.0"}, debian, "pkg:golang/golang.org/x/net@v0.10.0"},
		{inventory.Package{Type: inventory.Go, Name: "stdlib", Version: "1.21.5"}, nil, "pkg:golang/stdlib@1.21.5"},
		{inventory.Package{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0"}, nil, "pkg:npm/%40babel/core@7.0.0"},
		{inventory.Package{Type: inventory.Maven, Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"}, nil, "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"},
		{inventory.Package{Type: inventory.Cargo, Name: "time", Version: "0.1.0+build"}, nil, "pkg:cargo/time@0.1.0%2Bbuild"},
	} {
		got := purl.Of(&test.p, test.distro)
		if got.String() != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.p.Name, got, test.want)
		}
		again, err := purl.Parse(got.String())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Qualifiers) == 0 {
			got.Qualifiers = nil
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("%s read again (-want +got):\n%s", test.want, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie#a/b", "pkg:npm/@angular/animation@12", "pkg:oci/a@sha256:0?repository_url=x%2Fy", "pkg:a/%2F@%40?%=%26",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := purl.Parse(text)
		if err != nil {
			return
		}
		canonical := p.String()
		if len(canonical) > purl.Limit {
			return // encoding made it longer
		}
		again, err := purl.Parse(canonical)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", text, canonical, err)
		}
		if got := again.String(); got != canonical {
			t.Fatalf("%q becomes %q, and that %q", text, canonical, got)
		}
	})
}
