package lang_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/lang"
)

// FuzzParsers gives any text to any parser. What is told has to be sound, and
// may not depend on the body once the parser is through with it.
func FuzzParsers(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatal("no examples")
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if len(parsersOf(file.Name)) == 1 {
				f.Add(file.Name, file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if parsers := parsersOf(path); len(parsers) > 1 {
			t.Errorf("%q is wanted by %s and %s", path, parsers[0].Name, parsers[1].Name)
		}
		body = bytes.Clone(body)
		facts, wanted, err := read(path, body)
		if !wanted {
			return
		}
		lines := 1 + bytes.Count(body, []byte("\n"))
		if bytes.IndexByte(body, 0) >= 0 {
			lines = math.MaxInt // UTF-16 has newlines of two bytes, also \x0a\xNN
		}
		for _, p := range facts.Packages {
			if p.Name == "" || p.Version == "" || p.Type == "" || p.Path != path || p.Line < 0 || p.Line > lines {
				t.Errorf("unsound: %+v", p)
			}
			if strings.ContainsAny(p.Name+p.Version, " \n\x00\x1b") {
				t.Errorf("unfit for a report: %q %q", p.Name, p.Version)
			}
		}
		var again strings.Builder
		tell(&again, path, body)
		for i := range body {
			body[i] = 'X'
		}
		if err != nil {
			facts.Problems = append(facts.Problems, err.Error())
		}
		for _, p := range facts.Packages {
			if !strings.Contains(again.String(), " "+p.Name+" "+p.Version) {
				t.Errorf("%s %s changed with the body", p.Name, p.Version)
			}
		}
	})
}

// FuzzTOML holds our reader of TOML against a library: what the library reads,
// ours reads in the same way.
func FuzzTOML(f *testing.F) {
	for _, seed := range []string{
		"a = 1\nb.c = \"x\\u00e9\\t\"\n[t]\nd = [1, 2, # c\n 'x', ]\n[[l]]\nn = {a = 1, b.c = true}\n[[l]]\n[l.m]\nx = 0x1F\n",
		"a = \"\"\"\nx\\\n   y\"\"\"\"\nb = '''\nz''''\nc = 1979-05-27 07:32:00Z\nd = 1e5\ne = -inf\nf = 07:32:00\n",
		"[a.b]\nx = 1\n[a]\ny = 2\r\n\"quoted key\" = 1_000\n'' = 2\n",
		"a = [[1], [\"x\", {y = 1}]]\n",
	} {
		f.Add([]byte(seed))
	}
	archive, err := txtar.ParseFile("testdata/python-lock.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.IndexByte(body, 0) >= 0 || bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
			return // UTF-16, which only we read
		}
		var want map[string]any
		if _, err := toml.Decode(string(body), &want); err != nil {
			return
		}
		got, err := lang.TOML(body)
		if err != nil {
			if strings.Contains(err.Error(), "more than") || strings.Contains(err.Error(), "deeper") {
				return
			}
			t.Fatalf("%v, but the library reads %v", err, want)
		}
		if diff := cmp.Diff(plain(got), plain(want)); diff != "" {
			t.Errorf("got -, library +:\n%s", diff)
		}
	})
}

// plain makes the values of both readers comparable: dates and fractions are
// told as what they are only.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = plain(value)
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = plain(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = plain(value)
		}
		return out
	case float64:
		return "a fraction"
	case time.Time:
		return "a date"
	case string:
		if len(v) >= len("07:32") && (v[2] == ':' || len(v) >= len("1979-05-27") && v[4] == '-' && v[7] == '-') {
			return "a date"
		}
		return v
	default:
		return v
	}
}

// FuzzPlainJSON holds the removal of comments to keeping plain JSON as it is and
// every line in its place.
func FuzzPlainJSON(f *testing.F) {
	f.Add([]byte(`{"a": [1, 2,], /* x */ "b//": "\"",} // end`))
	f.Add([]byte(`{"a": "/*", "b": ["x" , "y"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := lang.PlainJSON(body)
		if len(got) != len(body) || bytes.Count(got, []byte("\n")) != bytes.Count(body, []byte("\n")) {
			t.Fatalf("places move: %q became %q", body, got)
		}
		if json.Valid(body) && !bytes.Equal(got, body) {
			t.Errorf("JSON %q became %q", body, got)
		}
	})
}

// FuzzScan holds the quick reader of package.json against encoding/json.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"name": "a", "version": "1", "license": {"type": "MIT"}, "x": [{"name": "b"}, 1e5, "\\"]}`,
		`{"version":"1","name":"\u00e9\\","licenses":["MIT",{"type":"ISC"}]}`, `{}`, `{"name":null,"version":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var fields map[string]any
		if json.Unmarshal(body, &fields) != nil || fields == nil {
			return
		}
		name, _ := fields["name"].(string)
		version, _ := fields["version"].(string)
		facts, _, err := read("node_modules/a/package.json", body)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if len(facts.Packages) == 0 {
			return // the name could be none
		}
		if got := facts.Packages[0]; got.Name != name || got.Version != version {
			t.Errorf("%q: got %q %q, want %q %q", body, got.Name, got.Version, name, version)
		}
	})
}

func BenchmarkPackageJSON(b *testing.B) {
	body := []byte(`{"name": "express", "description": "Fast, unopinionated, minimalist web framework", "version": "4.16.0", "license": "MIT",
  "contributors": [` + strings.Repeat(`{"name": "Some Body", "email": "somebody@example.com"}, `, 16) + `"last"],
  "keywords": ["express", "framework", "sinatra", "web", "rest", "restful", "router", "app", "api"],
  "dependencies": {` + strings.Repeat(`"content-disposition": "0.5.2", `, 16) + `"accepts": "~1.3.4"},
  "scripts": {"test": "mocha --require test/support/env --reporter spec --bail --check-leaks test/ test/acceptance/"}}`)
	body = append(body, bytes.Repeat([]byte(" "), max(0, 2048-len(body)))...)
	bench(b, "app/node_modules/express/package.json", body)
}

func BenchmarkPackageLock1000(b *testing.B) {
	var body strings.Builder
	body.WriteString(`{"lockfileVersion": 3, "packages": {"": {"name": "app"}`)
	for i := range 1000 {
		name := "package-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		body.WriteString(",\n    \"node_modules/" + name + `": {
      "version": "1.2.3",
      "resolved": "https://registry.npmjs.org/` + name + "/-/" + name + `-1.2.3.tgz",
      "integrity": "sha512-OfC2uemaknXr87bdLUkWog7nYuliM9Ij5HUcajsVcMCpQrcLmtxRbVFTIqmcSkSeYRBFBRxs2FiUqFJDLdiebA==",
      "license": "MIT",
      "engines": {
        "node": ">=0.8.0"
      }
    }`)
	}
	body.WriteString("}}")
	bench(b, "package-lock.json", []byte(body.String()))
}

func BenchmarkMETADATA(b *testing.B) {
	body := []byte("Metadata-Version: 2.1\nName: requests\nVersion: 2.20.0\nLicense: Apache 2.0\n" +
		strings.Repeat("Classifier: Programming Language :: Python :: 3.9\n", 25) +
		"Requires-Dist: idna (<2.8,>=2.5)\n\n" + strings.Repeat("The text of a README.\n", 200))
	bench(b, "usr/lib/python3/site-packages/requests-2.20.0.dist-info/METADATA", body)
}

func BenchmarkCargoLock(b *testing.B) {
	body := strings.Repeat("[[package]]\nname = \"time\"\nversion = \"0.1.42\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n"+
		"checksum = \"00000000000000000000000000000000000000000000000000000000000000\"\ndependencies = [\n \"libc\",\n]\n\n", 500)
	bench(b, "Cargo.lock", []byte(body))
}

func BenchmarkPNPM(b *testing.B) {
	body, err := os.ReadFile("testdata/example/pnpm9.yaml")
	if err != nil {
		b.Fatal(err)
	}
	bench(b, "pnpm-lock.yaml", body)
}

func BenchmarkWants(b *testing.B) {
	parsers := lang.Parsers()
	for b.Loop() {
		for _, p := range parsers {
			if p.Wants("usr/lib/node_modules/npm/node_modules/lodash/fp/_baseConvert.js", 0o644, 1000) {
				b.Fatal("wanted")
			}
		}
	}
}

func bench(b *testing.B, path string, body []byte) {
	b.Helper()
	parser := parsersOf(path)[0]
	file := inventory.File{Path: path, Size: int64(len(body)), Body: body}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var facts inventory.Facts
		if err := parser.Parse(file, &facts); err != nil || len(facts.Packages) == 0 {
			b.Fatal("nothing is told", err)
		}
	}
}
