package advisory

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/version"
	"seawall.io/seawall/internal/vuln"
)

var someTime = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// build builds a database of inputs and opens it.
func build(t *testing.T, inputs ...Input) (*DB, Status) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seawall.db")
	status, err := Build(t.Context(), inputs, path, Options{Built: someTime})
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, path), status
}

func opened(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Err(); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	return db
}

// literal writes a feed and returns it as an input.
func literal(t *testing.T, name, text string) Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Input{Path: path}
}

// ask collects what is known of a package.
func ask(db *DB, ecosystem, name string) (all []vuln.Advisory) {
	db.Advisories(ecosystem, name, func(a *vuln.Advisory) bool {
		c := *a
		c.Aliases, c.Upstream, c.CVSS, c.CWEs = slices.Clone(a.Aliases), slices.Clone(a.Upstream), slices.Clone(a.CVSS), slices.Clone(a.CWEs)
		c.Ranges, c.Versions, c.Imports = slices.Clone(a.Ranges), slices.Clone(a.Versions), slices.Clone(a.Imports)
		all = append(all, c)
		return true
	})
	return all
}

// raw reads the JSON values of a file.
func raw(t *testing.T, path string) (all []map[string]any) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(z); ; {
		var v map[string]any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
}

func list(v any) []any            { l, _ := v.([]any); return l }
func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func text(v any) string           { s, _ := v.(string); return s }

// holds is OSV's own evaluation of an affected entry, step by step as its
// specification has it, and knows nothing of spans.
func holds(t *testing.T, affected map[string]any, order version.Order, v string) bool {
	t.Helper()
	for _, listed := range list(affected["versions"]) {
		if text(listed) == v {
			return true
		}
	}
	for _, r := range list(affected["ranges"]) {
		if text(object(r)["type"]) == "GIT" {
			continue
		}
		events := slices.Clone(list(object(r)["events"]))
		at := func(e any) string {
			for _, key := range []string{"introduced", "fixed", "last_affected"} {
				if s := text(object(e)[key]); s != "" {
					return s
				}
			}
			return ""
		}
		slices.SortStableFunc(events, func(a, b any) int {
			x, y := at(a), at(b)
			switch {
			case x == "0":
				return -1
			case y == "0":
				return 1
			}
			c, _ := order.Compare(x, y)
			return c
		})
		vulnerable := false
		for _, e := range events {
			c, err := order.Compare(v, at(e))
			switch {
			case text(object(e)["introduced"]) != "":
				if at(e) == "0" || err == nil && c >= 0 {
					vulnerable = true
				}
			case text(object(e)["fixed"]) != "":
				if err == nil && c >= 0 {
					vulnerable = false
				}
			case err == nil && c > 0:
				vulnerable = false
			}
		}
		if vulnerable {
			return true
		}
	}
	return false
}

// TestEveryRecord asks the database for each package of each record, and wants
// each version that the record names to be affected exactly where OSV's own
// evaluation of the record says so. With SEAWALL_VULNDATA it does so for the
// whole corpus.
func TestEveryRecord(t *testing.T) {
	folder := os.Getenv(corpus)
	if folder == "" {
		folder = "testdata"
	}
	files, err := filepath.Glob(filepath.Join(folder, "osv-*.gz"))
	if err != nil || len(files) == 0 {
		t.Fatal("no data", err)
	}
	var inputs []Input
	for _, f := range files {
		inputs = append(inputs, Input{Path: f})
	}
	db, status := build(t, inputs...)
	if len(status.Gaps) > 0 {
		t.Errorf("gaps: %v", status.Gaps)
	}
	judged, withdrawn := 0, 0
	for _, f := range files {
		for _, record := range raw(t, f) {
			id := text(record["id"])
			gone := record["withdrawn"] != nil
			byPackage := map[[2]string][]map[string]any{}
			for _, a := range list(record["affected"]) {
				p := object(object(a)["package"])
				key := [2]string{text(p["ecosystem"]), normal(text(p["ecosystem"]), text(p["name"]))}
				byPackage[key] = append(byPackage[key], object(a))
			}
			for key, affected := range byPackage {
				var mine []vuln.Advisory
				for _, a := range ask(db, key[0], key[1]) {
					if a.ID == id {
						mine = append(mine, a)
					}
				}
				if gone {
					if withdrawn++; len(mine) > 0 {
						t.Errorf("%s is withdrawn and still there", id)
					}
					continue
				}
				judged += agree(t, id, key, affected, mine)
			}
		}
	}
	if judged < 1000 || withdrawn < 5 {
		t.Errorf("only %d versions were judged, and %d withdrawn records", judged, withdrawn)
	}
}

// contradictory are records with a range whose fix comes before what introduces
// it. OSV's evaluation sorts that into all versions from the latter on; a pair
// that stands alone is read as it stands, and holds for none.
var contradictory = []string{"ENRICH-CVE-2023-34442"}

func agree(t *testing.T, id string, key [2]string, affected []map[string]any, mine []vuln.Advisory) (judged int) {
	t.Helper()
	order, ok := version.For(key[0])
	if !ok || slices.Contains(contradictory, id) {
		return 0
	}
	var all []string
	for _, a := range affected {
		database := object(a["database_specific"])
		if i := text(database["informational"]); i == "unmaintained" || i == "notice" {
			return 0 // TestQuirks has these
		}
		if database["last_known_affected_version_range"] != nil || strings.Contains(fmt.Sprint(a["ranges"]), ".module_") {
			return 0 // TestQuirks has these
		}
		for _, v := range list(a["versions"]) {
			all = append(all, text(v))
		}
		for _, r := range list(a["ranges"]) {
			for _, e := range list(object(r)["events"]) {
				for _, v := range object(e) {
					if order.Valid(text(v)) != nil && text(v) != "*" {
						return 0 // whoever matches versions says that it cannot
					}
					if text(v) != "0" && text(v) != "*" && text(object(r)["type"]) != "GIT" {
						all = append(all, text(v))
					}
				}
			}
		}
	}
	slices.Sort(all)
	for _, v := range slices.Compact(all) {
		want := slices.ContainsFunc(affected, func(a map[string]any) bool { return holds(t, a, order, v) })
		got := slices.ContainsFunc(mine, func(a vuln.Advisory) bool {
			return slices.Contains(a.Versions, v) || slices.ContainsFunc(a.Ranges, func(r vuln.Range) bool {
				in, err := version.Affected(order, v, r.Introduced, r.Fixed, r.LastAffected)
				return in && err == nil
			})
		})
		if got != want && order.Valid(v) == nil {
			t.Errorf("%s in %v: %s is affected: %v, the record says %v", id, key, v, got, want)
		}
		judged++
	}
	return judged
}

// TestQuirks holds what is known of single records, mostly of real ones.
func TestQuirks(t *testing.T) {
	db, _ := build(t, Input{Path: "testdata"},
		literal(t, "quirks.jsonl", `{"id":"MAL-2024-1","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"evil"},"versions":["1.0.0"]}]}
{"id":"PYSEC-2030-1","modified":"2024-01-01T00:00:00Z","aliases":["CVE-2030-0001","PYSEC-2030-1","CVE-2030-0001"],"affected":[{"package":{"ecosystem":"PyPI","name":"Foo._Bar"},"ranges":[{"type":"GIT","repo":"r","events":[{"introduced":"0"},{"fixed":"abc"}]},{"type":"ECOSYSTEM","events":[{"fixed":"2.0"},{"introduced":"1.0"},{"introduced":"0"},{"fixed":"0.5"}]}],"versions":["1.5","odd version","0.4","3.0"]}]}
{"id":"GHSA-aaaa-aaaa-aaaa","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"Maven","name":"g:a"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"database_specific":{"last_known_affected_version_range":"<= 1.2"}}],"database_specific":{"severity":"MODERATE","cwe_ids":["CWE-502","nonsense"]},"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},{"type":"CVSS_V3","score":"nonsense"}],"aliases":["CVE-2030-0002"]}
{"id":"UBUNTU-CVE-2030-0003","modified":"2024-01-01T00:00:00Z","upstream":["CVE-2030-0003"],"severity":[{"type":"Ubuntu","score":"medium"}],"affected":[{"package":{"ecosystem":"Ubuntu:24.04:LTS","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}
{"id":"PYSEC-2030-2","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"air"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"last_affected":"2.9.0-NA"},{"last_affected":"2.9.0-beta1"}]}]}]}
{"id":"PYSEC-2030-3","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"PyPI","name":"star"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2.0"},{"last_affected":"*"}]}]}]}
{"id":"RUSTSEC-2030-1","modified":"2024-01-01T00:00:00Z","aliases":["CVE-2030-0004"],"affected":[{"package":{"ecosystem":"crates.io","name":"bigint"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0.0.0-0"}]}],"database_specific":{"informational":"unmaintained"}}]}
{"id":"RUSTSEC-2030-2","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"crates.io","name":"reduced"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"0.0.8"}]}],"database_specific":{"informational":"notice"}}]}
{"id":"RUSTSEC-2030-3","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"crates.io","name":"libusb"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"0.4"}]}],"database_specific":{"informational":"unmaintained"}}]}
{"id":"RUSTSEC-2030-4","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"crates.io","name":"plutonium"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"database_specific":{"informational":"notice"}}]}
{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":"nothing"}}]}
{"id":"X-2","affected":"wrong"}
{"id":"X-3","affected":[{"package":{"ecosystem":"Plan 9","name":"x"},"versions":["1"]}]}
`))
	for _, c := range []struct {
		ecosystem, name, id string
		want                vuln.Advisory
	}{
		{"npm", "evil", "MAL-2024-1", vuln.Advisory{Source: "malicious-packages", Severity: seawall.Critical, Versions: []string{"1.0.0"}, Modified: "2024-01-01"}},
		{"PyPI", "foo-bar", "PYSEC-2030-1", vuln.Advisory{
			Source: "pypa", Aliases: []string{"CVE-2030-0001"}, Modified: "2024-01-01",
			Ranges: []vuln.Range{{Fixed: "0.5"}, {Introduced: "1.0", Fixed: "2.0"}}, Versions: []string{"odd version", "3.0"},
		}},
		{"Maven", "g:a", "GHSA-aaaa-aaaa-aaaa", vuln.Advisory{
			Source: "ghsa", Aliases: []string{"CVE-2030-0002"}, Modified: "2024-01-01", Severity: seawall.Medium, CWEs: []string{"CWE-502"},
			CVSS: []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}, Ranges: []vuln.Range{{LastAffected: "1.2"}},
		}},
		{"PyPI", "air", "PYSEC-2030-2", vuln.Advisory{Source: "pypa", Modified: "2024-01-01", Ranges: []vuln.Range{{LastAffected: "2.9.0-beta1"}}}},
		{"crates.io", "bigint", "RUSTSEC-2030-1", vuln.Advisory{Source: "rustsec", Aliases: []string{"CVE-2030-0004"}, Modified: "2024-01-01", Ranges: []vuln.Range{{Introduced: "0.0.0-0"}}}},
		{"crates.io", "reduced", "RUSTSEC-2030-2", vuln.Advisory{Source: "rustsec", Modified: "2024-01-01", Ranges: []vuln.Range{{Fixed: "0.0.8"}}}},
		{"PyPI", "star", "PYSEC-2030-3", vuln.Advisory{Source: "pypa", Modified: "2024-01-01", Ranges: []vuln.Range{{Introduced: "2.0"}}}},
		{"Ubuntu:24.04:LTS", "x", "UBUNTU-CVE-2030-0003", vuln.Advisory{
			Source: "ubuntu", Upstream: []string{"CVE-2030-0003"}, Severity: seawall.Medium, Ranges: []vuln.Range{{}}, Modified: "2024-01-01",
		}},
		// Three builds of one module: whoever has the lowest has the fix.
		{"AlmaLinux:8", "oci-umount", "ALSA-2019:0975", vuln.Advisory{
			Source: "almalinux", Upstream: []string{"CVE-2019-5736"}, Severity: seawall.High, Modified: "2019-05-07",
			Ranges: []vuln.Range{{Fixed: "2:2.3.4-2.git87f9237.module_el8.3.0+2044+12421f43"}},
		}},
		// Three entries for one package become one.
		{"npm", "ws", "GHSA-6fc8-4gx4-v693", vuln.Advisory{
			Source: "ghsa", Aliases: []string{"CVE-2021-32640"}, Severity: seawall.Medium, Modified: "2021-10-06", CWEs: []string{"CWE-345", "CWE-400"},
			CVSS:   []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L"},
			Ranges: []vuln.Range{{Introduced: "7.0.0", Fixed: "7.4.6"}, {Introduced: "6.0.0", Fixed: "6.2.2"}, {Introduced: "5.0.0", Fixed: "5.2.3"}},
		}},
		// The zero time is no day: that of publication stands in.
		{"Go", "github.com/gin-gonic/gin", "GO-2020-0001", vuln.Advisory{
			Source: "go", Aliases: []string{"CVE-2020-36567", "GHSA-6vm3-jj99-7229"}, Modified: "2021-04-14", Ranges: []vuln.Range{{Fixed: "1.6.0"}},
			Imports: []vuln.Import{{Path: "github.com/gin-gonic/gin", Symbols: []string{"Default", "Logger", "LoggerWithConfig", "LoggerWithFormatter", "LoggerWithWriter"}}},
		}},
	} {
		c.want.ID, c.want.Ecosystem, c.want.Package = c.id, c.ecosystem, c.name
		var got []vuln.Advisory
		for _, a := range ask(db, c.ecosystem, c.name) {
			if a.ID == c.id {
				got = append(got, a)
			}
		}
		if diff := cmp.Diff([]vuln.Advisory{c.want}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.id, diff)
		}
	}
	if x, ok := db.Extra("CVE-2030-0002"); !ok || !x.RCE {
		t.Errorf("deserialisation over the network is said to run code: %v", x.RCE)
	}
	if p, ok, err := db.Prose("nowhere", "GO-2020-0001"); !ok || err != nil || p.Summary != "Arbitrary log line injection in github.com/gin-gonic/gin" ||
		len(p.References) != 2 || p.Published != "2021-04-14" || p.Details == "" {
		t.Errorf("prose: %+v %v %v", p, ok, err)
	}
	left := map[string]LeftOut{}
	for _, s := range db.Status().Sources {
		for _, l := range s.LeftOut {
			if s.Name == "quirks" {
				left[l.Reason] = l
			}
		}
	}
	for reason, want := range map[string]string{
		"no usable ranges or versions":                          "X-1",
		"ecosystem is not one whose versions are known: Plan 9": "X-3",
		"range of git commits (the rest of the record is kept)": "PYSEC-2030-1",
		"a notice, not a flaw: unmaintained":                    "RUSTSEC-2030-3",
		"a notice, not a flaw: notice":                          "RUSTSEC-2030-4",
	} {
		if l := left[reason]; l.Count != 1 || !slices.Equal(l.IDs, []string{want}) {
			t.Errorf("left out for %q: %+v", reason, l)
		}
	}
	if !slices.ContainsFunc(sortedKeys(left), func(r string) bool { return strings.HasPrefix(r, "malformed: ") && left[r].Count == 1 }) {
		t.Errorf("the malformed record is not counted: %v", left)
	}
}

// states asks for what a source says of a package, in short.
func states(db *DB, ecosystem, name string) (out []string) {
	for _, a := range ask(db, ecosystem, name) {
		words := []string{a.Source + " " + strings.Join(append(append([]string{a.ID}, a.Aliases...), a.Upstream...), "=")}
		for _, r := range a.Ranges {
			words = append(words, r.Introduced+".."+r.Fixed)
		}
		words = append(words, a.Status, a.Module)
		if a.Severity != seawall.None {
			words = append(words, a.Severity.String())
		}
		out = append(out, strings.TrimSpace(strings.Join(words, " ")))
	}
	return out
}

func TestDistributions(t *testing.T) {
	db, status := build(t, Input{Path: "testdata/tracker.json"}, Input{Path: "testdata/secdb-alpine.json"},
		Input{Path: "testdata/secdb-wolfi.json"}, Input{Path: "testdata/vex.json"})
	for _, c := range []struct {
		ecosystem, name string
		want            []string
	}{
		{"Debian:12", "openssl", []string{"debian CVE-2023-0001 ..3.0.9-1   medium", "debian TEMP-0000000-ABCDEF ..   high"}},
		{"Debian:11", "openssl", []string{"debian CVE-2023-0001 .. deferred  low"}},
		{"Debian:10", "openssl", []string{"debian CVE-2023-0001 .. wont-fix"}},
		{"Debian:9", "openssl", []string{"debian CVE-2023-0001 .. wont-fix"}},
		{"Debian:13", "openssl", []string{"debian CVE-2023-0001 .. not-affected  low"}},
		{"Debian:sid", "openssl", []string{"debian CVE-2023-0001 .. unknown"}},
		{"Debian:12", "zlib", []string{"debian CVE-2023-0002 .. wont-fix  low"}},
		{"Debian:11", "zlib", []string{"debian CVE-2023-0002 .. deferred  high"}},
		{"Alpine:v3.20", "busybox", []string{
			"alpine CVE-2021-42373 .. not-affected", "alpine CVE-2021-42374 .. not-affected", "alpine CVE-2022-30065=GHSA-aaaa-bbbb-cccc ..1.35.0-r17", "alpine CVE-2022-48174 ..1.36.1-r2",
		}},
		{"Alpine:v3.20", "xen", []string{"alpine CVE-2023-34323=XSA-440 ..4.18.0-r1 ..4.18.2-r0"}},
		{"Wolfi", "go-1.22", []string{"wolfi CVE-2020-29509 .. not-affected", "wolfi CVE-2024-24788 ..1.22.3-r0", "wolfi GHSA-2jwv-jmq4-4j3r ..1.22.3-r0"}},
		{"Red Hat:9", "openssl-libs", []string{"redhat CVE-2024-0001 ..1:3.0.7-27.el9   medium"}},
		{"Red Hat:9", "openssl-debuginfo", nil},
		{"Red Hat:8", "nodejs", []string{"redhat CVE-2024-0001 ..1:18.19.1-1.module+el8.9.0+21387+df33ff7f  nodejs:18 medium"}},
		{"Red Hat:7", "openssl", []string{"redhat CVE-2024-0001 .. wont-fix  medium"}},
		{"Red Hat:7", "compat-openssl10", []string{"redhat CVE-2024-0001 .. deferred  medium"}},
		{"Red Hat:10", "openssl", []string{"redhat CVE-2024-0001 .. not-affected  medium"}},
		{"Red Hat:10", "compat-openssl10", []string{"redhat CVE-2024-0001 .. unknown  medium"}},
	} {
		if got := states(db, c.ecosystem, c.name); !slices.Equal(got, c.want) {
			t.Errorf("%s %s:\ngot  %q\nwant %q", c.ecosystem, c.name, got, c.want)
		}
	}
	if x, ok := db.Extra("CVE-2024-0001"); !ok || !x.RCE {
		t.Error("a write out of bounds, unaided over the network and with total loss, is said to run code")
	}
	var formats []string
	for _, s := range status.Sources {
		formats = append(formats, s.Formats...)
	}
	if want := []string{"lifetimes", "Debian security tracker", "secdb", "secdb", "CSAF"}; !slices.Equal(formats, want) {
		t.Errorf("formats told: %q, want %q", formats, want)
	}
	for _, e := range []string{"Debian:12", "Wolfi", "Red Hat:9"} {
		if !db.Covers(e) {
			t.Errorf("%s is not covered", e)
		}
	}
	for _, e := range []string{"Debian", "Debian:7", "npm", ""} {
		if db.Covers(e) {
			t.Errorf("%q is covered", e)
		}
	}
}

func TestFacts(t *testing.T) {
	db, _ := build(t, Input{Path: "testdata/epss.csv"}, Input{Path: "testdata/kev.json.gz"}, Input{Path: "testdata/cve-severity.jsonl.gz"})
	log4shell, ok := db.Extra("CVE-2021-44228")
	if !ok || log4shell.EPSS != 0.94358 || log4shell.KEV != "2021-12-10" {
		t.Errorf("Log4Shell: %+v %v", log4shell, ok)
	}
	if x, ok := db.Extra("CVE-2023-0001"); !ok || x.EPSS != 0.00043 || x.KEV != "" {
		t.Errorf("EPSS alone: %+v %v", x, ok)
	}
	for _, id := range []string{"CVE-2023-0002", "CVE-2023-0003", "not-a-cve", "CVE-2021-044228", "CVE-2021-44229", "", "CVE-2021-4294967296"} {
		if x, ok := db.Extra(id); ok {
			t.Errorf("%s: %+v", id, x)
		}
	}
	java, ok := db.Extra("CVE-2016-3427")
	want := vuln.Extra{KEV: "2023-05-12", CVSS: []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}, CWEs: []string{"CWE-284"}, Severity: seawall.Critical}
	if diff := cmp.Diff(want, java); !ok || diff != "" {
		t.Errorf("CVE-2016-3427 (-want +got):\n%s", diff)
	}
	n := 0
	for _, line := range raw(t, "testdata/cve-severity.jsonl.gz") {
		vector := text(line["cvss"])
		if x, ok := db.Extra(text(line["id"])); vector != "" && (!ok || !slices.Contains(x.CVSS, vector)) {
			t.Errorf("%s: %+v lacks %s", text(line["id"]), x, vector)
		}
		n++
	}
	if n < 100 {
		t.Errorf("only %d lines", n)
	}
}

func TestReleases(t *testing.T) {
	db, _ := build(t, Input{Path: "testdata/debian-api.json"}, literal(t, "v1.json",
		`{"schema_version":"1.2.0","result":{"name":"alpine-linux","releases":[{"name":"3.30","eolFrom":"2040-05-01"}]}}`),
		literal(t, "debian.json", `[{"cycle":"13","support":"2028-08-10","eol":"2030-07-01"}]`))
	for _, c := range []struct {
		id, version string
		want        vuln.Release
	}{
		{"debian", "12", vuln.Release{Product: "debian", Cycle: "12", EOL: "2026-06-10", LTS: "2028-06-30", ExtendedEOL: "2033-06-30"}},
		{"debian", "12.5", vuln.Release{Product: "debian", Cycle: "12", EOL: "2026-06-10", LTS: "2028-06-30", ExtendedEOL: "2033-06-30"}},
		{"debian", "13", vuln.Release{Product: "debian", Cycle: "13", EOL: "2028-08-10", LTS: "2030-07-01"}}, // the feed stands before the table
		{"alpine", "3.20.3", vuln.Release{Product: "alpine", Cycle: "3.20", EOL: "2026-04-01"}},
		{"alpine", "3.30.1", vuln.Release{Product: "alpine", Cycle: "3.30", EOL: "2040-05-01"}},
		{"alpine", "3.2", vuln.Release{}},
		{"amzn", "2023.4.20240513", vuln.Release{Product: "amzn", Cycle: "2023", EOL: "2029-06-30"}},
		{"debian", "", vuln.Release{}},
		{"plan9", "4", vuln.Release{}},
	} {
		got, ok := db.Release(inventory.Distro{ID: c.id, Version: c.version})
		if got != c.want || ok != (c.want != vuln.Release{}) {
			t.Errorf("%s %s: %+v, want %+v", c.id, c.version, got, c.want)
		}
	}
}

const oneRecord = `{"id":"GHSA-1","modified":"%s","summary":"%s","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"%s"}]}]}]}`

// TestContainers reads one record in all the ways that feeds are packed.
func TestContainers(t *testing.T) {
	record := []byte(fmt.Sprintf(oneRecord, "2024-01-01T00:00:00Z", "s", "1.2.3"))
	zipped := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, name := range names {
			w, err := z.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "bad") {
				w.Write([]byte(`{"id":`))
			} else {
				w.Write(record)
			}
		}
		z.Close()
		return b.Bytes()
	}
	tarred := func() []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(&tar.Header{Name: "2024/x.json", Size: int64(len(record)), Mode: 0o644})
		w.Write(record)
		w.Close()
		return b.Bytes()
	}
	gzipped := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
		return out.Bytes()
	}
	zstandard := func(b []byte) []byte {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(b, nil)
	}
	for name, c := range map[string]struct {
		content []byte
		gap     string
	}{
		"plain.json":      {record, ""},
		"lines.jsonl":     {append(append(record, '\n'), record...), ""},
		"lines.jsonl.gz":  {gzipped(record), ""},
		"lines.jsonl.zst": {zstandard(record), ""},
		"all.zip":         {zipped("GHSA-1.json", "README.md"), ""},
		"part.zip":        {zipped("bad.json", "GHSA-1.json"), "bad.json: "},
		"all.tar":         {tarred(), ""},
		"all.tar.gz":      {gzipped(tarred()), ""},
		"all.tar.zst":     {zstandard(tarred()), ""},
		"cut.jsonl":       {append(append(record, '\n'), `{"id":"X`...), "unexpected EOF"},
		"cut.jsonl.gz":    {gzipped(append(append(record, '\n'), bytes.Repeat([]byte(" "), 1<<20)...))[:250], "unexpected EOF"},
	} {
		db, status := build(t, literal(t, name, string(c.content)))
		if got := states(db, "npm", "a"); len(got) != 1 || got[0] != "ghsa GHSA-1 ..1.2.3" {
			t.Errorf("%s: %q", name, got)
		}
		switch {
		case c.gap == "" && len(status.Gaps) > 0:
			t.Errorf("%s: gaps %v", name, status.Gaps)
		case c.gap != "" && (len(status.Gaps) != 1 || !strings.Contains(status.Gaps[0].Reason, c.gap)):
			t.Errorf("%s: gaps %v, want one with %q", name, status.Gaps, c.gap)
		}
	}
	for name, c := range map[string][2]string{
		"page.json":  {"<!DOCTYPE html><title>Sign in</title>", "a page, not a feed"},
		"empty.json": {"", "empty"},
		"odd.json":   {`{"a":1,"b":[{}],"c":{"d":{}}}`, "not known"},
		"text.csv":   {"hello", "not known"},
		"short.json": {`{"affected":`, "unexpected EOF"},
	} {
		_, status := build(t, literal(t, name, c[0]))
		if len(status.Gaps) != 1 || !strings.Contains(status.Gaps[0].Reason, c[1]) {
			t.Errorf("%s: gaps %v, want %q", name, status.Gaps, c[1])
		}
	}
}

// TestNewestHolds gives three versions of a record in several orders.
func TestNewestHolds(t *testing.T) {
	older := literal(t, "a.json", fmt.Sprintf(oneRecord, "2024-01-01T00:00:00Z", "s", "1"))
	newer := literal(t, "b.json", fmt.Sprintf(oneRecord, "2024-02-01T00:00:00Z", "s", "2"))
	sameDay := literal(t, "c.json", fmt.Sprintf(oneRecord, "2024-02-01T00:00:00Z", "s", "3"))
	for _, c := range []struct {
		inputs []Input
		want   string
	}{
		{[]Input{older, newer}, "2"},
		{[]Input{newer, older}, "2"},
		{[]Input{newer, newer}, "2"},
		{[]Input{newer, older, sameDay}, "3"},
		{[]Input{sameDay, older, newer}, "2"},
	} {
		db, status := build(t, c.inputs...)
		if got := ask(db, "npm", "a"); len(got) != 1 || got[0].Ranges[0].Fixed != c.want || status.Ecosystems["npm"] != 1 {
			t.Errorf("got %+v, %d counted; want the one fixed in %s", got, status.Ecosystems["npm"], c.want)
		}
	}
}

func TestGaps(t *testing.T) {
	db, status := build(t, Input{Name: "osv-npm", Missing: "the server says 503"}, Input{Name: "gone", Path: "testdata/no-such-file"})
	if len(status.Gaps) != 2 || status.Gaps[0] != (Gap{"osv-npm", "the server says 503"}) || status.Gaps[1].Source != "gone" {
		t.Errorf("gaps: %+v", status.Gaps)
	}
	if db.Covers("npm") || len(db.Status().Ecosystems) != 0 {
		t.Errorf("an empty database covers %v", db.Status().Ecosystems)
	}
	if got := ask(db, "npm", "a"); got != nil {
		t.Errorf("an empty database knows %v", got)
	}
	if age := status.Age(someTime.Add(time.Hour)); age != time.Hour {
		t.Errorf("its age is %v", age)
	}
}

// TestReproducible builds twice, to the same bytes.
func TestReproducible(t *testing.T) {
	var files [2][]byte
	for i := range files {
		path := filepath.Join(t.TempDir(), "x.db")
		if _, err := Build(t.Context(), []Input{{Path: "testdata"}}, path, Options{Built: someTime}); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two builds of the same feeds differ")
	}
}

func TestBuildEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	folder := t.TempDir()
	if _, err := Build(ctx, []Input{{Path: "testdata"}}, filepath.Join(folder, "x.db"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := Build(t.Context(), nil, filepath.Join(folder, "no", "x.db"), Options{}); err == nil {
		t.Error("a folder that is not there is no error")
	}
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
