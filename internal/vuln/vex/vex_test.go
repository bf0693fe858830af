package vex_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
	"seawall.io/seawall/internal/vuln/vex"
)

// minimal is a document with as little as OpenVEX allows, version as a string
// like the specification's own example has it.
const minimal = `{
  "@context": "https://openvex.dev/ns/v0.2.0",
  "@id": "https://example.com/vex/1",
  "author": "Example",
  "timestamp": "2023-01-08T18:02:03.647787998-06:00",
  "version": "1",
  "statements": [{
    "vulnerability": {"name": "CVE-2023-12345"},
    "products": [
      {"@id": "pkg:apk/wolfi/git@2.39.0-r1?arch=armv7"},
      {"@id": "pkg:apk/wolfi/git@2.39.0-r1?arch=x86_64"}
    ],
    "status": "fixed"
  }]
}`

const digest = "sha256:124c7d2707904eea7431fffe91522a01e5a861a624ee31d03372cc1d138a3126"

// open writes an OpenVEX document of one statement.
func open(id, product, parts, status, more string) string {
	if parts != "" {
		parts = `, "subcomponents": [` + parts + `]`
	}
	return fmt.Sprintf(`{"@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2024-01-01T00:00:00Z", "version": 1,
		"statements": [{"vulnerability": {"name": %q}, "products": [{"@id": %q%s}], "status": %q%s}]}`, id, product, parts, status, more)
}

// scanned is the result of a scan: a flaw in an apk, one in a Debian source
// package of two binaries, one in a Go module, one in an npm package.
func scanned() vuln.Result {
	apk := &inventory.Package{Type: inventory.APK, Name: "git", Version: "2.39.0-r1", Source: inventory.Source{Name: "git", Version: "2.39.0-r1"}}
	ssl := &inventory.Package{Type: inventory.Deb, Name: "libssl3", Version: "3.0.8-1", Source: inventory.Source{Name: "openssl", Version: "3.0.8-1"}}
	mod := &inventory.Package{Type: inventory.Go, Name: "github.com/Masterminds/sprig", Version: "3.0.0"}
	npm := &inventory.Package{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0"}
	rpm := &inventory.Package{Type: inventory.RPM, Name: "bind", Version: "32:9.16.23-11.el9", Source: inventory.Source{Name: "bind", Version: "32:9.16.23-11.el9"}}
	return vuln.Result{Matches: []vuln.Match{
		{Package: apk, Vulnerability: seawall.Vulnerability{ID: "CVE-2023-12345", Package: "git", Binaries: []string{"git"}, Installed: "2.39.0-r1", PURL: "pkg:apk/wolfi/git@2.39.0-r1?arch=x86_64&distro=wolfi-20230201"}},
		{Package: ssl, Vulnerability: seawall.Vulnerability{ID: "CVE-2023-1255", Package: "openssl", Binaries: []string{"libssl3", "openssl"}, Installed: "3.0.8-1", PURL: "pkg:deb/debian/libssl3@3.0.8-1?arch=amd64&distro=debian-12&upstream=openssl"}},
		{Package: mod, Vulnerability: seawall.Vulnerability{ID: "CVE-2024-1", Aliases: []string{"GHSA-2", "GO-3"}, Package: "github.com/Masterminds/sprig", Installed: "3.0.0", PURL: "pkg:golang/github.com/Masterminds/sprig@v3.0.0"}},
		{Package: npm, Vulnerability: seawall.Vulnerability{ID: "CVE-2024-2", Package: "@babel/core", Installed: "7.0.0", PURL: "pkg:npm/%40babel/core@7.0.0"}},
		{Package: rpm, Vulnerability: seawall.Vulnerability{ID: "CVE-2024-3", Package: "bind", Binaries: []string{"bind"}, Installed: "32:9.16.23-11.el9", PURL: "pkg:rpm/redhat/bind@9.16.23-11.el9?arch=x86_64&distro=rhel-9.4&epoch=32"}},
	}}
}

func TestApply(t *testing.T) {
	t.Parallel()
	image := vex.Subject{Digests: []string{digest}, Reference: "ghcr.io/org/app:1.2"}
	for _, test := range []struct {
		name      string
		about     vex.Subject
		documents []string
		want      string // the findings that are settled, in their order
	}{
		{"minimal example of the specification", vex.Subject{}, []string{minimal}, "CVE-2023-12345"},
		{"any version", vex.Subject{}, []string{open("CVE-2024-2", "pkg:npm/%40babel/core", "", "not_affected", "")}, "CVE-2024-2"},
		{"scope that is not encoded", vex.Subject{}, []string{open("CVE-2024-2", "pkg:npm/@babel/core@7.0.0", "", "not_affected", "")}, "CVE-2024-2"},
		{"another version", vex.Subject{}, []string{open("CVE-2024-2", "pkg:npm/%40babel/core@7.0.1", "", "not_affected", "")}, ""},
		{"another scope", vex.Subject{}, []string{open("CVE-2024-2", "pkg:npm/core@7.0.0", "", "not_affected", "")}, ""},
		{"another flaw", vex.Subject{}, []string{open("CVE-2024-9", "pkg:npm/%40babel/core", "", "not_affected", "")}, ""},
		{"by an alias, Go's cases", vex.Subject{}, []string{open("ghsa-2", "pkg:golang/github.com/masterminds/sprig@v3.0.0", "", "fixed", "")}, "CVE-2024-1"},
		{"another architecture", vex.Subject{}, []string{open("CVE-2023-12345", "pkg:apk/wolfi/git@2.39.0-r1?arch=aarch64", "", "fixed", "")}, ""},
		{"another distribution", vex.Subject{}, []string{open("CVE-2023-12345", "pkg:apk/alpine/git@2.39.0-r1", "", "fixed", "")}, ""},
		{"release of the distribution", vex.Subject{}, []string{open("CVE-2024-3", "pkg:rpm/redhat/bind@9.16.23-11.el9?distro=rhel-9&epoch=32", "", "fixed", "")}, "CVE-2024-3"},
		{"epoch in the version", vex.Subject{}, []string{open("CVE-2024-3", "pkg:rpm/redhat/bind@32:9.16.23-11.el9", "", "fixed", "")}, "CVE-2024-3"},
		{"another epoch", vex.Subject{}, []string{open("CVE-2024-3", "pkg:rpm/redhat/bind@9.16.23-11.el9?epoch=31", "", "fixed", "")}, ""},
		{"one of two binaries", vex.Subject{}, []string{open("CVE-2023-1255", "pkg:deb/debian/libssl3@3.0.8-1", "", "fixed", "")}, ""},
		{"the source package", vex.Subject{}, []string{open("CVE-2023-1255", "pkg:deb/debian/openssl@3.0.8-1?arch=source", "", "fixed", "")}, "CVE-2023-1255"},
		{"parts of the image", image, []string{open("CVE-2023-1255", "pkg:oci/alpine@sha256%3A"+digest[7:], `{"@id": "pkg:deb/debian/libssl3@3.0.8-1"}, {"@id": "pkg:deb/debian/openssl@3.0.8-1"}`, "fixed", "")}, "CVE-2023-1255"},
		{"parts of another image", image, []string{open("CVE-2023-1255", "pkg:oci/alpine@sha256:00", `{"@id": "pkg:deb/debian/openssl"}`, "fixed", "")}, ""},
		{"parts of an image, no image", vex.Subject{}, []string{open("CVE-2023-1255", "pkg:oci/app@"+digest, `{"@id": "pkg:deb/debian/openssl"}`, "fixed", "")}, ""},
		{"whole image by digest", image, []string{open("CVE-2024-1", "pkg:oci/app@"+digest, "", "not_affected", "")}, "CVE-2024-1"},
		{"whole image by bare digest", image, []string{open("CVE-2024-1", digest, "", "not_affected", "")}, "CVE-2024-1"},
		{"repository with the name", image, []string{open("CVE-2024-1", "pkg:oci/app?repository_url=ghcr.io/org/app", "", "not_affected", "")}, "CVE-2024-1"},
		{"repository without the name", image, []string{open("CVE-2024-1", "pkg:oci/app?repository_url=ghcr.io/org", "", "not_affected", "")}, "CVE-2024-1"},
		{"repository with tag", image, []string{open("CVE-2024-1", "pkg:oci/app?repository_url=ghcr.io/org/app&tag=1.2", "", "not_affected", "")}, "CVE-2024-1"},
		{"another tag", image, []string{open("CVE-2024-1", "pkg:oci/app?repository_url=ghcr.io/org/app&tag=1.3", "", "not_affected", "")}, ""},
		{"another repository", image, []string{open("CVE-2024-1", "pkg:oci/app?repository_url=ghcr.io/other/app", "", "not_affected", "")}, ""},
		{"another digest of the repository", image, []string{open("CVE-2024-1", "pkg:oci/app@sha256:00?repository_url=ghcr.io/org/app", "", "not_affected", "")}, ""},
		{"Docker Hub by its short name", vex.Subject{Reference: "index.docker.io/library/alpine:3.20"}, []string{open("CVE-2024-1", "pkg:oci/alpine?repository_url=docker.io/library/alpine", "", "not_affected", "")}, "CVE-2024-1"},
		{"affected settles nothing", vex.Subject{}, []string{open("CVE-2024-2", "pkg:npm/%40babel/core", "", "affected", "")}, ""},
		{"the latest statement wins", vex.Subject{}, []string{
			open("CVE-2024-2", "pkg:npm/%40babel/core", "", "affected", `, "timestamp": "2024-03-01T00:00:00Z"`),
			open("CVE-2024-2", "pkg:npm/%40babel/core", "", "not_affected", `, "timestamp": "2024-03-01T01:00:00+02:00"`),
		}, ""},
		{"of one moment the last wins", vex.Subject{}, []string{
			open("CVE-2024-2", "pkg:npm/%40babel/core", "", "affected", ""),
			open("CVE-2024-2", "pkg:npm/%40babel/core", "", "not_affected", ""),
		}, "CVE-2024-2"},
		{"OpenVEX 0.0.1", image, []string{`{"@context": "https://openvex.dev/ns", "version": "1", "statements": [{"vulnerability": "CVE-2023-1255",
			"products": ["pkg:oci/app@` + digest + `"], "subcomponents": ["pkg:deb/debian/openssl"], "status": "not_affected"}]}`}, "CVE-2023-1255"},
		{"identifiers and hashes", image, []string{`{"@context": "https://openvex.dev/ns/v0.2.0", "statements": [{"vulnerability": {"@id": "https://nvd.nist.gov/vuln/detail/CVE-2024-1"},
			"products": [{"hashes": {"sha-256": "` + digest[7:] + `"}}], "status": "fixed"}, {"vulnerability": {"name": "CVE-2024-2"},
			"products": [{"@id": "our app", "identifiers": {"purl": "pkg:npm/%40babel/core"}}], "status": "fixed"}]}`}, "CVE-2024-1 CVE-2024-2"},
		{"CycloneDX", vex.Subject{}, []string{`{"bomFormat": "CycloneDX", "components": [{"bom-ref": "a", "components": [{"bom-ref": "b", "purl": "pkg:npm/%40babel/core@7.0.0"}]}],
			"vulnerabilities": [{"id": "CVE-2024-2", "analysis": {"state": "false_positive"}, "affects": [{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#b"}]},
			{"id": "X", "references": [{"id": "CVE-2024-1"}], "analysis": {"state": "resolved"}, "affects": [{"ref": "pkg:golang/github.com/Masterminds/sprig@v3.0.0"}]},
			{"id": "CVE-2024-3"}]}`}, "CVE-2024-1 CVE-2024-2"},
		{"CycloneDX of another image", image, []string{`{"bomFormat": "CycloneDX", "metadata": {"component": {"bom-ref": "root", "purl": "pkg:oci/other@sha256:00"}},
			"components": [{"bom-ref": "b", "purl": "pkg:npm/%40babel/core@7.0.0"}],
			"vulnerabilities": [{"id": "CVE-2024-2", "analysis": {"state": "not_affected"}, "affects": [{"ref": "b"}]}]}`}, ""},
		{"CycloneDX of this image", image, []string{`{"bomFormat": "CycloneDX", "metadata": {"component": {"bom-ref": "root", "purl": "pkg:oci/app@` + digest + `"}},
			"components": [{"bom-ref": "b", "purl": "pkg:npm/%40babel/core@7.0.0"}],
			"vulnerabilities": [{"id": "CVE-2024-2", "analysis": {"state": "not_affected"}, "affects": [{"ref": "b"}]}, {"id": "CVE-2024-1", "analysis": {"state": "not_affected"}, "affects": [{"ref": "root"}]}]}`}, "CVE-2024-1 CVE-2024-2"},
		{"CSAF", image, []string{csaf}, "CVE-2023-1255 CVE-2024-1 CVE-2024-3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sources []vex.Source
			for i, text := range test.documents {
				d, err := vex.Parse([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				if len(d.Problems) > 0 {
					t.Errorf("problems: %q", d.Problems)
				}
				sources = append(sources, vex.Source{Name: strconv.Itoa(i), Document: d})
			}
			r := scanned()
			before := len(r.Matches)
			vex.Apply(&r, test.about, sources)
			if len(r.Matches) != before {
				t.Errorf("%d of %d findings are left", len(r.Matches), before)
			}
			var settled []string
			for i := range r.Matches {
				v := &r.Matches[i].Vulnerability
				if v.Status != "not-affected" {
					if len(settled) > 0 {
						t.Errorf("%s stands behind what is settled", v.ID)
					}
					continue
				}
				settled = append(settled, v.ID)
				if v.VEX == nil {
					t.Errorf("%s does not say who settled it", v.ID)
				}
			}
			if got := strings.Join(settled, " "); got != test.want {
				t.Errorf("settled %q, want %q", got, test.want)
			}
		})
	}
}

// csaf has products in branches, with a hash, and in relationships of both
// kinds: a package in an image, and one in a platform that has a CPE only.
const csaf = `{
 "document": {"category": "csaf_vex", "publisher": {"name": "Example"}, "tracking": {"id": "EX-1", "current_release_date": "2024-05-01T00:00:00Z"}},
 "product_tree": {
  "branches": [{"branches": [
    {"product": {"product_id": "ssl", "product_identification_helper": {"purl": "pkg:deb/debian/libssl3@3.0.8-1"}}},
    {"product": {"product_id": "openssl", "product_identification_helper": {"purl": "pkg:deb/debian/openssl@3.0.8-1"}}},
    {"product": {"product_id": "bind", "product_identification_helper": {"purl": "pkg:rpm/redhat/bind@9.16.23-11.el9?arch=x86_64&epoch=32"}}},
    {"product": {"product_id": "el9", "product_identification_helper": {"cpe": "cpe:/o:redhat:enterprise_linux:9"}}}
  ]}],
  "full_product_names": [{"product_id": "image", "product_identification_helper": {"hashes": [{"file_hashes": [{"algorithm": "sha256", "value": "124c7d2707904eea7431fffe91522a01e5a861a624ee31d03372cc1d138a3126"}]}]}}],
  "relationships": [
    {"category": "default_component_of", "product_reference": "bind", "relates_to_product_reference": "el9", "full_product_name": {"product_id": "el9:bind"}},
    {"category": "default_component_of", "product_reference": "ssl", "relates_to_product_reference": "image", "full_product_name": {"product_id": "image:ssl"}},
    {"category": "default_component_of", "product_reference": "openssl", "relates_to_product_reference": "image", "full_product_name": {"product_id": "image:openssl"}}
  ],
  "product_groups": [{"group_id": "G", "product_ids": ["image:ssl", "image:openssl"]}]
 },
 "vulnerabilities": [
  {"cve": "CVE-2023-1255", "product_status": {"known_not_affected": ["image:ssl", "image:openssl"]}, "flags": [{"label": "vulnerable_code_not_in_execute_path", "group_ids": ["G"]}]},
  {"ids": [{"text": "GO-3"}], "product_status": {"known_not_affected": ["image"]}, "threats": [{"category": "impact", "details": "never called", "product_ids": ["image"]}]},
  {"cve": "CVE-2024-3", "product_status": {"fixed": ["el9:bind"]}},
  {"cve": "CVE-2024-2", "product_status": {"known_affected": ["image"]}, "remediations": [{"details": "update", "product_ids": ["image"]}]}
 ]}`

func TestFindingSaysWhy(t *testing.T) {
	t.Parallel()
	d, err := vex.Parse([]byte(csaf))
	if err != nil {
		t.Fatal(err)
	}
	r := scanned()
	if marked := vex.Apply(&r, vex.Subject{Digests: []string{digest}}, []vex.Source{{Name: "vendor.json", Document: d}}); marked != 4 {
		t.Errorf("%d findings were marked, want 4", marked)
	}
	got := map[string]seawall.VEX{}
	for _, m := range r.Matches {
		if m.Vulnerability.VEX != nil {
			got[m.Vulnerability.ID] = *m.Vulnerability.VEX
		}
	}
	want := map[string]seawall.VEX{
		"CVE-2023-1255": {Status: "not_affected", Justification: "vulnerable_code_not_in_execute_path", Source: "vendor.json"},
		"CVE-2024-1":    {Status: "not_affected", Statement: "never called", Source: "vendor.json"},
		"CVE-2024-3":    {Status: "fixed", Source: "vendor.json"},
		"CVE-2024-2":    {Status: "affected", Statement: "update", Source: "vendor.json"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"empty", ``, "unexpected end of JSON input"},
		{"not JSON", `<bom/>`, "invalid character"},
		{"JSON of another kind", `{"a": 1}`, "neither OpenVEX"},
		{"a list", `[]`, "cannot unmarshal"},
		{"wrong types", `{"@context": "https://openvex.dev/ns", "statements": 1}`, "OpenVEX: json"},
	} {
		if _, err := vex.Parse([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want %q in it", test.name, err, test.want)
		}
	}
	for _, test := range []struct{ text, want string }{
		{open("CVE-1", "pkg:npm/a", "", "gone", ""), `statement 1: status "gone" is none of OpenVEX`},
		{open("", "pkg:npm/a", "", "fixed", ""), "statement 1: it names no vulnerability or no product"},
		{`{"bomFormat": "CycloneDX", "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "resolved"}, "affects": [{"ref": "x"}]}]}`, `CVE-1: component "x" is not in the document and is no package URL`},
		{`{"document": {"category": "csaf_vex"}, "vulnerabilities": [{"cve": "CVE-1", "product_status": {"fixed": ["x"]}}]}`, `CVE-1: product "x" has no package URL or hash in the product tree`},
	} {
		d, err := vex.Parse([]byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff([]string{test.want}, d.Problems); diff != "" || len(d.Statements) != 0 {
			t.Errorf("%s: %d statements, problems (-want +got):\n%s", test.text, len(d.Statements), diff)
		}
	}
}

// proven is a result with evidence of each kind.
func proven() vuln.Result {
	r := scanned()
	r.Matches[3].Vulnerability.VEX = &seawall.VEX{Status: "not_affected", Justification: "protected_by_compiler", Source: "x"}
	r.Matches[2].Vulnerability.Reach = "package"
	absent := func(id, purl string, why vuln.Reason, detail string) {
		r.NotAffected = append(r.NotAffected, vuln.Exclusion{Match: vuln.Match{Vulnerability: seawall.Vulnerability{ID: id, PURL: purl}}, Reason: why, Detail: detail})
	}
	absent("CVE-2024-4", "pkg:golang/golang.org/x/net@v0.1.0", vuln.ByAbsence, "nothing of golang.org/x/net/html is linked into the binary")
	absent("CVE-2024-5", "pkg:deb/debian/git@1", vuln.ByVendor, "stated by debian")
	// Another binary has the flawed code of the same package.
	absent("CVE-2023-12345", r.Matches[0].Vulnerability.PURL, vuln.ByAbsence, "nothing")
	return r
}

func TestWrite(t *testing.T) {
	t.Parallel()
	r := proven()
	origin := vex.Origin{
		ID: "https://example.com/vex/2", Author: "Example", Time: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
		Product: "pkg:oci/app@" + strings.ReplaceAll(digest, ":", "%3A") + "?repository_url=ghcr.io/org/app",
	}
	for name, write := range map[string]func(*vuln.Result, vex.Origin) ([]byte, error){"openvex.json": vex.OpenVEX, "cyclonedx.json": vex.CycloneDX} {
		o := origin
		if name == "cyclonedx.json" {
			o.ID = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79"
		}
		got, err := write(&r, o)
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if os.Getenv("SEAWALL_UPDATE") != "" {
			if err := os.WriteFile(golden, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(string(want), string(got)))
		}

		// What was written settles the same findings when it is read again.
		d, err := vex.Parse(got)
		if err != nil || len(d.Problems) > 0 {
			t.Fatalf("%s: %v, %q", name, err, d.Problems)
		}
		again := scanned()
		if marked := vex.Apply(&again, vex.Subject{Digests: []string{digest}}, []vex.Source{{Document: d}}); marked != 2 {
			t.Errorf("%s: %d findings were marked when read again, want 2", name, marked)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		minimal, csaf, open("CVE-1", "pkg:oci/a@"+digest+"?repository_url=x", `{"@id": "pkg:npm/%40a/b"}`, "fixed", ""),
		`{"bomFormat": "CycloneDX", "metadata": {"component": {"bom-ref": "r", "purl": "pkg:oci/a"}}, "components": [{"bom-ref": "b", "purl": "pkg:npm/a"}], "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "resolved"}, "affects": [{"ref": "b"}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := vex.Parse(data)
		if err != nil {
			return
		}
		r := scanned()
		vex.Apply(&r, vex.Subject{Digests: []string{digest}, Reference: "ghcr.io/org/app:1.2"}, []vex.Source{{Name: "fuzz", Document: d}})
		if len(r.Matches) != len(scanned().Matches) {
			t.Fatal("a finding is gone")
		}
		for _, write := range []func(*vuln.Result, vex.Origin) ([]byte, error){vex.OpenVEX, vex.CycloneDX} {
			text, err := write(&r, vex.Origin{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := vex.Parse(text); err != nil {
				t.Fatalf("what was written cannot be read: %v\n%s", err, text)
			}
		}
	})
}
