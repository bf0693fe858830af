package advisory

import (
	"bytes"
	"io"
	"os"
	"testing"

	"seawall.io/seawall/internal/vuln"
)

// fuzzFeed feeds a parser what the fuzzer makes, and encodes what it took in:
// that has to be readable.
func fuzzFeed(f *testing.F, read func(*builder, *feed) error, seeds ...string) {
	f.Helper()
	for _, path := range seeds {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := newBuilder(Options{NoProse: true})
		if err != nil {
			t.Fatal(err)
		}
		b.source = &Source{Name: "fuzz"}
		left := int64(maxFeed)
		_ = read(b, &feed{ctx: t.Context(), name: "debian.json", r: bytes.NewReader(text), total: &left})
		for name, s := range b.shards {
			p := s.encode(map[string]int{})
			table := written(t, &p)
			for _, key := range s.packages {
				ecosystem, pkg := string(s.strings.at(key[0])), string(s.strings.at(key[1]))
				if err := table.advisories(ecosystem, pkg, func(*vuln.Advisory) bool { return true }); err != nil || family(ecosystem) != name {
					t.Fatalf("%s %s: %v", ecosystem, pkg, err)
				}
			}
		}
		p, err := b.extras.encode()
		if err != nil {
			t.Fatal(err)
		}
		table := written(t, &p)
		for id := range b.extras {
			if _, ok, err := table.extra(id); err != nil || !ok {
				t.Fatalf("%s: %v", id, err)
			}
		}
	})
}

func written(t *testing.T, p *parts) *table {
	t.Helper()
	var section bytes.Buffer
	if err := p.write(&section); err != nil {
		t.Fatal(err)
	}
	table, err := openTable(section.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func FuzzOSV(f *testing.F) {
	f.Add([]byte(`{"id":"GHSA-1","affected":[{"package":{"ecosystem":"PyPI","name":"a"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"last_affected":"1"},{"introduced":"2"},{"fixed":"3"}]}],"versions":["1","x"],"ecosystem_specific":{"imports":[{"path":"p","symbols":["s"],"goos":["linux"]}]},"database_specific":{"last_known_affected_version_range":"<= 2"}}],"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"database_specific":{"severity":"HIGH","cwe_ids":["CWE-502"]}}`))
	fuzzFeed(f, (*builder).osv)
}

func FuzzTracker(f *testing.F) { fuzzFeed(f, (*builder).tracker, "testdata/tracker.json") }
func FuzzSecDB(f *testing.F) {
	fuzzFeed(f, (*builder).secdb, "testdata/secdb-alpine.json", "testdata/secdb-wolfi.json")
}
func FuzzCSAF(f *testing.F) { fuzzFeed(f, (*builder).csaf, "testdata/vex.json") }
func FuzzEPSS(f *testing.F) { fuzzFeed(f, (*builder).epss, "testdata/epss.csv") }

func FuzzKEV(f *testing.F) {
	f.Add([]byte(`{"catalogVersion":"1","vulnerabilities":[{"cveID":"CVE-2021-44228","dateAdded":"2021-12-10","cwes":["CWE-20"]}]}`))
	fuzzFeed(f, (*builder).kev)
}

func FuzzSeverities(f *testing.F) {
	f.Add([]byte(`{"cvss":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","cwe":"CWE-78","id":"CVE-2016-3427","kev":"2023-05-12"}`))
	fuzzFeed(f, (*builder).severities)
}

func FuzzLifetimes(f *testing.F) {
	fuzzFeed(f, (*builder).lifetimes, "testdata/debian-api.json", "releases.json")
}

// FuzzTell tells the format of whatever comes.
func FuzzTell(f *testing.F) {
	for _, path := range []string{"testdata/tracker.json", "testdata/secdb-wolfi.json", "testdata/vex.json", "testdata/epss.csv", "releases.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text[:min(len(text), 2048)])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if told, err := tell(io.LimitReader(bytes.NewReader(text), 1<<20)); err == nil && told.read == nil {
			t.Errorf("%q is told to be nothing", text)
		}
	})
}
