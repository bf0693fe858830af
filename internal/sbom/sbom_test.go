package sbom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	spdxjson "github.com/spdx/tools-golang/json"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/sbom"
)

var formats = []sbom.Format{sbom.CycloneDX, sbom.SPDX}

// image is an image with one package of each kind and each oddity.
func image() sbom.Document {
	return sbom.Document{
		Name: "registry.example/app:1.2", Digest: "sha256:" + strings.Repeat("ab", 32),
		Layers:  []string{"sha256:" + strings.Repeat("01", 32), "sha256:" + strings.Repeat("02", 32)},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Tool: "seawall", ToolVersion: "1.4.0",
		Inventory: inventory.Inventory{
			Distro: &inventory.Distro{
				ID: "debian", Version: "12.5", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)",
				Path: "usr/lib/os-release", Like: []string{"unix", "x"},
			},
			Packages: []inventory.Package{
				{
					Type: inventory.Deb, Name: "libssl3", Version: "1:3.0.11-1~deb12u2+b1", Arch: "amd64", Vendor: "lists.debian.org",
					Source: inventory.Source{Name: "openssl", Version: "1:3.0.11-1~deb12u2"}, Path: "var/lib/dpkg/status",
					Depends: []string{"libc6", "debconf", "libc6"}, Licenses: []string{"OpenSSL", "GPL-2.0-only", "public domain"}, Size: 6016000,
				},
				{
					Type: inventory.Deb, Name: "libc6", Version: "2.36-9", Arch: "amd64", Essential: true, Layer: 1,
					Source: inventory.Source{Name: "glibc", Version: "2.36-9"}, Licenses: []string{"LGPL-2.1-or-later"},
				},
				{Type: inventory.Deb, Name: "adduser", Version: "3.134", Arch: "all", Source: inventory.Source{Name: "adduser", Version: "3.134"}},
				{Type: inventory.Deb, Name: "nosource", Version: "1"},
				{
					Type: inventory.RPM, Name: "nodejs", Version: "1:18.19.0-1.module_el9", Arch: "x86_64", Module: "nodejs:18:9030020231215",
					Source: inventory.Source{Name: "nodejs", Version: "1:18.19.0-1.module_el9"}, Vendor: "AlmaLinux",
				},
				{Type: inventory.RPM, Name: "zlib", Version: "0:1.2.11-40.el9", Source: inventory.Source{Name: "zlib", Version: "1.2.11-40.el9"}},
				{Type: inventory.APK, Name: "libcrypto3", Version: "3.1.4-r5", Arch: "aarch64", Source: inventory.Source{Name: "openssl", Version: "3.1.4-r5"}},
				{
					Type: inventory.Go, Name: "golang.org/x/net", Version: "0.10.0", Path: "app", Owner: "libssl3",
					Go: &inventory.GoModule{
						GOOS: "linux", GOARCH: "arm64", Replaced: "example.com/fork", Known: true,
						Functions: []string{"golang.org/x/net/html.Parse", "golang.org/x/net/http2.(*Framer).ReadFrame"},
					},
				},
				{Type: inventory.Go, Name: "stdlib", Version: "1.22rc1", Path: "app", Go: &inventory.GoModule{}},
				{Type: inventory.Go, Name: "example.com/app", Path: "app", Go: &inventory.GoModule{Main: true}},
				{Type: inventory.Go, Name: "github.com/Masterminds/sprig/v3", Version: "3.2.0+incompatible", Path: "go.mod", Line: 12, Evidence: inventory.Declared},
				{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0-beta.1+x", Path: "app/node_modules/@babel/core/package.json", Licenses: []string{"MIT OR Apache-2.0"}},
				{Type: inventory.NPM, Name: "left-pad", Evidence: inventory.Locked, Dev: true, Licenses: []string{"MIT OR Nonsense"}},
				{Type: inventory.PyPI, Name: "zope-interface", Version: "5.0"},
				{Type: inventory.PyPI, Name: "Not.Normal", Version: "5.0"},
				{Type: inventory.Maven, Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", Path: "app.jar!/lib/log4j.jar"},
				{Type: inventory.Maven, Name: "nogroup", Version: "1", Evidence: inventory.Guessed},
				{Type: inventory.Cargo, Name: "Serde_Yaml", Version: "0.9.0"},
				{Type: inventory.Gem, Name: "nokogiri", Version: "1.16.0"},
				{Type: inventory.Composer, Name: "symfony/http-kernel", Version: "v5.4.1"},
				{Type: inventory.NuGet, Name: "newtonsoft.json", Version: "13.0.1"},
				{Type: inventory.Conda, Name: "numpy", Version: "1.26"},
				{Type: inventory.NPM, Name: "bad\xffname", Version: "\xfe", Path: "a/\xff\xfe", Depends: []string{"x\xff", "y"}, Licenses: []string{"\xff"}},
				{Type: "odd", Name: "what", Version: "1"},
				{Name: "no type"},
				{Type: inventory.Gem},
				{},
				{Type: inventory.NPM, Name: strings.Repeat("long", 4000), Version: "1", Evidence: 77, Layer: -3, Size: -1},
			},
		},
	}
}

// schema compiles an official schema that is stored in testdata.
func schema(tb testing.TB, f sbom.Format) *jsonschema.Schema {
	tb.Helper()
	c := jsonschema.NewCompiler()
	url := ""
	for name, at := range map[string]string{
		"bom-1.6.schema.json":  "http://cyclonedx.org/schema/bom-1.6.schema.json",
		"spdx.schema.json":     "http://cyclonedx.org/schema/spdx.schema.json",
		"jsf-0.82.schema.json": "http://cyclonedx.org/schema/jsf-0.82.schema.json",
		"spdx-schema-2.3.json": "http://spdx.org/rdf/terms/2.3",
	} {
		b, err := os.ReadFile(filepath.Join("testdata", "schema", name))
		if err != nil {
			tb.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			tb.Fatal(err)
		}
		if err := c.AddResource(at, v); err != nil {
			tb.Fatal(err)
		}
		if (f == sbom.CycloneDX) == (name == "bom-1.6.schema.json") && (f == sbom.SPDX) == (name == "spdx-schema-2.3.json") {
			url = at
		}
	}
	s, err := c.Compile(url)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func write(tb testing.TB, f sbom.Format, d sbom.Document) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := sbom.Write(&b, f, d); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// check writes a document, holds it against the schema and the format's own
// library, and reads it back.
func check(t *testing.T, s *jsonschema.Schema, f sbom.Format, d sbom.Document) {
	t.Helper()
	data := write(t, f, d)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%s does not follow the schema: %v\n%.3000s", f, err, data)
	}
	if f == sbom.CycloneDX {
		err = cdx.NewBOMDecoder(bytes.NewReader(data), cdx.BOMFileFormatJSON).Decode(new(cdx.BOM))
	} else {
		_, err = spdxjson.Read(bytes.NewReader(data))
	}
	if err != nil {
		t.Errorf("%s is not read by its library: %v", f, err)
	}
	got, err := sbom.Read(data)
	if err != nil {
		t.Fatalf("%s is not read back: %v\n%.3000s", f, err, data)
	}
	if diff := cmp.Diff(d, got); diff != "" {
		t.Fatalf("%s read back differs (-written +read):\n%s", f, diff)
	}
	if !bytes.Equal(data, write(t, f, d)) {
		t.Errorf("%s differs when it is written again", f)
	}
}

func TestRoundTrip(t *testing.T) {
	full := image()
	odd := image()
	odd.Name, odd.Digest, odd.Tool, odd.ToolVersion, odd.Layers = "", "md5:x", "my-tool", "", nil
	odd.Inventory.Distro = &inventory.Distro{Name: "\xff"}
	bare := sbom.Document{Created: full.Created}
	none := image()
	none.Inventory.Distro = nil
	strange := image()
	strange.Name, strange.Tool, strange.ToolVersion = "a\xffb", "x\xff", "1-2"
	for _, f := range formats {
		s := schema(t, f)
		for name, d := range map[string]sbom.Document{"full": full, "odd": odd, "bare": bare, "none": none, "strange": strange} {
			t.Run(fmt.Sprint(f, "/", name), func(t *testing.T) { check(t, s, f, d) })
		}
	}
}

// Any inventory comes back as it was: words, bytes and numbers at random in all
// fields.
func TestRoundTripRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range formats {
		s := schema(t, f)
		for range 150 {
			d := random(r)
			if f == sbom.CycloneDX && r.IntN(4) == 0 {
				d.Created = time.Time{}
			}
			check(t, s, f, d)
		}
	}
}

var words = []string{
	"", "", "a", "openssl", "@babel/core", "a/b", "a:b", "x@y", "1.0", "0:1.0-1", "2:3", "1.2-3.src.rpm", "v1", "%41", "a b", "Ünïcode", "<&>",
	"\x00", "\xff", "\u2028", "NOASSERTION", "MIT", "MIT AND ISC", "unknown", "seawall", "A.b_c", "pkg:npm/x", "debian", "rhel", "-", "#", "?", "..", "[]", "built from",
}

func random(r *rand.Rand) sbom.Document {
	word := func() string {
		w := words[r.IntN(len(words))]
		if r.IntN(8) == 0 {
			w += words[r.IntN(len(words))]
		}
		return w
	}
	list := func() []string {
		var l []string
		for range r.IntN(5) - 1 {
			l = append(l, word())
		}
		return l
	}
	types := []inventory.Type{
		inventory.Deb, inventory.APK, inventory.RPM, inventory.Go, inventory.NPM, inventory.PyPI, inventory.Conda,
		inventory.Maven, inventory.Cargo, inventory.Gem, inventory.Composer, inventory.NuGet, "", "odd", "\xff", "A",
	}
	d := sbom.Document{
		Name: word(), Digest: word(), Layers: list(), Tool: word(), ToolVersion: word(),
		Created: time.Unix(r.Int64N(4e9), 0).UTC(),
	}
	if r.IntN(3) > 0 {
		d.Inventory.Distro = &inventory.Distro{ID: word(), Like: list(), Version: word(), Codename: word(), Name: word(), Path: word()}
	}
	for range r.IntN(6) {
		p := inventory.Package{
			Type: types[r.IntN(len(types))], Name: word(), Version: word(), Arch: word(), Vendor: word(), Module: word(), Path: word(),
			Source:   inventory.Source{Name: word(), Version: word()},
			Evidence: inventory.Evidence(r.IntN(5)), Dev: r.IntN(2) == 0, Essential: r.IntN(2) == 0,
			Licenses: list(), Depends: list(), Line: r.IntN(3), Size: r.Int64N(3), Layer: r.IntN(3), Owner: word(),
		}
		if r.IntN(2) == 0 {
			p.Go = &inventory.GoModule{GOOS: word(), GOARCH: word(), Main: r.IntN(2) == 0, Replaced: word(), Functions: list(), Known: r.IntN(2) == 0}
		}
		d.Inventory.Packages = append(d.Inventory.Packages, p)
	}
	return d
}

func TestWriteRefuses(t *testing.T) {
	if err := sbom.Write(new(bytes.Buffer), sbom.SPDX, sbom.Document{}); err == nil || !strings.Contains(err.Error(), "time of creation") {
		t.Errorf("SPDX without a time: got %v", err)
	}
	if err := sbom.Write(new(bytes.Buffer), sbom.Format(9), sbom.Document{}); err == nil {
		t.Error("a format that does not exist was written")
	}
	if err := sbom.Write(full{}, sbom.CycloneDX, sbom.Document{}); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		in   string
		is   error
		want string
	}{
		{`<?xml version="1.0"?><bom/>`, sbom.ErrXML, "convert it to JSON"},
		{"\xef\xbb\xbf \n<bom/>", sbom.ErrXML, "XML"},
		{"", sbom.ErrFormat, "unexpected end"},
		{"SPDXVersion: SPDX-2.3", sbom.ErrFormat, "invalid character"},
		{"[]", sbom.ErrFormat, "cannot unmarshal array"},
		{"{}", sbom.ErrFormat, "not a bill of materials"},
		{`{"spdxVersion":"SPDX-3.0"}`, sbom.ErrFormat, `"SPDX-3.0" is another version`},
		{`{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}`, sbom.ErrFormat, ""},
		{`{"predicateType":"x","predicate":[]}`, sbom.ErrFormat, "predicate"},
		{`{"bomFormat":"CycloneDX","components":7}`, nil, "reading CycloneDX"},
		{`{"spdxVersion":"SPDX-2.3","packages":7}`, nil, "reading SPDX"},
		{`{"spdxVersion":"SPDX-2.3","annotations":[{"comment":"seawall:properties x"}]}`, nil, "annotation"},
		{`{"bomFormat":"CycloneDX","metadata":{"properties":[{"name":"seawall:layers","value":"x"}]}}`, nil, "property seawall:layers"},
	}
	for _, tt := range tests {
		_, err := sbom.Read([]byte(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: got %v, want %v with %q", tt.in, err, tt.is, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	// Seeds are small, as the engine spends its time on making them smaller.
	for _, format := range formats {
		for _, p := range image().Inventory.Packages {
			if len(p.Name) < 100 {
				f.Add(write(f, format, sbom.Document{
					Created:   time.Unix(0, 0),
					Inventory: inventory.Inventory{Distro: &inventory.Distro{ID: "debian"}, Packages: []inventory.Package{p}},
				}))
			}
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"predicateType":"x","predicate":{"bomFormat":"CycloneDX"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := sbom.Read(data)
		if err != nil {
			return
		}
		// What was read can be written, and comes back.
		d.Problems = nil
		if y := d.Created.Year(); d.Created.IsZero() || y < 0 || y > 9999 {
			d.Created = time.Unix(0, 0).UTC()
		}
		for _, format := range formats {
			var b bytes.Buffer
			if err := sbom.Write(&b, format, d); err != nil {
				t.Fatal(err)
			}
			got, err := sbom.Read(b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d, got); diff != "" {
				t.Fatalf("%s read back differs (-read first +read again):\n%s", format, diff)
			}
		}
	})
}

// The source package is what advisories are about: no document may lose it.
func TestProperties(t *testing.T) {
	var bom struct {
		Components []struct {
			Name, Purl string
			Properties []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal(write(t, sbom.CycloneDX, image()), &bom); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range bom.Components {
		var names []string
		for _, p := range c.Properties {
			names = append(names, strings.TrimPrefix(p.Name, "seawall:"))
		}
		got[c.Purl] = strings.Join(names, " ")
	}
	want := map[string]string{
		// The package URL has all that matters of an ordinary package.
		"pkg:deb/debian/adduser@3.134?arch=all&distro=debian-12.5":                                                           "",
		"pkg:deb/debian/nosource@1?distro=debian-12.5":                                                                       "source:name source:version",
		"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1":                                                               "",
		"pkg:npm/%40babel/core@7.0.0-beta.1%2Bx":                                                                             "",
		"pkg:golang/golang.org/x/net@v0.10.0":                                                                                "owner go go:os go:arch go:replaced go:functions go:known",
		"pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12.5&upstream=glibc":                                           "essential layer",
		"pkg:rpm/debian/nodejs@18.19.0-1.module_el9?arch=x86_64&distro=debian-12.5&epoch=1":                                  "vendor module",
		"pkg:deb/debian/libssl3@1:3.0.11-1~deb12u2%2Bb1?arch=amd64&distro=debian-12.5&upstream=openssl%401:3.0.11-1~deb12u2": "vendor depends size",
	}
	for url, names := range want {
		if have, ok := got[url]; !ok || have != names {
			t.Errorf("%s: got properties %q (%v), want %q", url, have, ok, names)
		}
	}
}

// large is an image of 3,000 packages with 200 linked functions in every tenth.
func large() sbom.Document {
	d := image()
	one := d.Inventory.Packages[:22]
	d.Inventory.Packages = nil
	for i := range 3000 {
		p := one[i%len(one)]
		p.Name += fmt.Sprint("-", i)
		if i%10 == 0 {
			p.Go = &inventory.GoModule{Known: true}
			for j := range 200 {
				p.Go.Functions = append(p.Go.Functions, fmt.Sprintf("example.com/module/package.(*Type%d).Method", j))
			}
		}
		d.Inventory.Packages = append(d.Inventory.Packages, p)
	}
	return d
}

func BenchmarkWrite(b *testing.B) {
	for _, f := range formats {
		b.Run(f.String(), func(b *testing.B) {
			d := large()
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(len(write(b, f, d))))
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, f := range formats {
		b.Run(f.String(), func(b *testing.B) {
			data := write(b, f, large())
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sbom.Read(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
