package advisory_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"seawall.io/seawall/internal/advisory"
	"seawall.io/seawall/internal/vuln"
)

// exampleFeeds names the folder of feeds that examples/db/seawall.db is made
// from, and so asks to make it:
//
//	go test ./internal/advisory -run TestExample -example-feeds FOLDER
//
// The folder holds the files that exampleSources lists.
var exampleFeeds = flag.String("example-feeds", "", "make examples/db/seawall.db from this folder")

// exampleDay is when the feeds of the example were cut.
var exampleDay = time.Date(2026, time.November, 20, 0, 0, 0, 0, time.UTC)

func exampleSources() []advisory.Input {
	fetched := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	return []advisory.Input{
		{Name: "go", Path: "osv-go.jsonl.gz", URL: "https://github.com/golang/vulndb", Licence: "CC-BY-4.0", Modified: fetched(2026, 8, 21)},
		{Name: "pypa", Path: "osv-pypi.jsonl.gz", URL: "https://github.com/pypa/advisory-database", Licence: "CC-BY-4.0", Modified: fetched(2026, 7, 23)},
		{Name: "rustsec", Path: "osv-rust.jsonl.gz", URL: "https://github.com/rustsec/advisory-db", Licence: "CC0-1.0 AND CC-BY-4.0", Modified: fetched(2026, 8, 21)},
		{Name: "almalinux", Path: "osv-almalinux.jsonl.gz", URL: "https://github.com/AlmaLinux/osv-database", Licence: "MIT", Modified: fetched(2026, 8, 21)},
		{Name: "maven", Path: "osv-maven.jsonl.gz", URL: "https://github.com/google/osv-scalibr", Licence: "CC-BY-4.0 AND CC0-1.0"},
		{Name: "npm", Path: "osv-npm.jsonl.gz", URL: "https://github.com/nodejs/security-wg", Licence: "MIT AND Apache-2.0 AND CC0-1.0"},
		{Name: "enrichment", Path: "osv-other-enrich.jsonl.gz", URL: "https://github.com/anchore/cve-data-enrichment", Licence: "CC0-1.0", Modified: fetched(2024, 10, 10)},
		{Name: "ghsa", Path: "osv-ghsa-selected.jsonl.gz", URL: "https://github.com/github/advisory-database", Licence: "CC-BY-4.0"},
		{Name: "kev", Path: "kev.json.gz", URL: "https://github.com/cisagov/kev-data", Licence: "CC0-1.0", Modified: fetched(2025, 8, 25)},
		{Name: "vulnrichment", Path: "cve-severity.jsonl.gz", URL: "https://github.com/cisagov/vulnrichment", Licence: "CC0-1.0", Modified: fetched(2024, 10, 24)},
		{Name: "debian, ubuntu, alpine and others", Missing: "not part of the example: their feeds state no licence, or one that asks to share alike"},
	}
}

const exampleDB = "../../examples/db/seawall.db"

// TestExample opens the example and asks it for what people will look for first.
func TestExample(t *testing.T) {
	if *exampleFeeds != "" {
		inputs := exampleSources()
		for i := range inputs {
			if inputs[i].Path != "" {
				inputs[i].Path = filepath.Join(*exampleFeeds, inputs[i].Path)
			}
		}
		if _, err := advisory.Build(t.Context(), inputs, exampleDB, advisory.Options{Built: exampleDay}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := advisory.Open(exampleDB)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := db.Status()
	if len(s.Sources) != 11 || len(s.Gaps) != 1 || s.KeyID != "" || !s.Built.Equal(exampleDay) {
		t.Errorf("status: %+v", s)
	}
	if info, err := os.Stat(exampleDB); err != nil || info.Size() > 8<<20 {
		t.Errorf("the example has %d bytes: it is for a repository", info.Size())
	}
	for _, c := range [][3]string{
		{"npm", "lodash", "GHSA-35jh-r3h4-6jhm"},
		{"Go", "golang.org/x/net", "GO-2023-1988"},
		{"Maven", "org.apache.logging.log4j:log4j-core", "GHSA-jfh8-c2jp-5v3q"},
		{"AlmaLinux:8", "oci-umount", "ALSA-2019:0975"},
	} {
		found := false
		db.Advisories(c[0], c[1], func(a *vuln.Advisory) bool { found = found || a.ID == c[2]; return true })
		if _, ok, err := db.Prose(c[2]); !found || !ok || err != nil {
			t.Errorf("%v: found %v, prose %v, %v", c, found, ok, err)
		}
	}
	if x, ok := db.Extra("CVE-2021-44228"); !ok || x.KEV != "2021-12-10" || !x.RCE {
		t.Errorf("Log4Shell: %+v %v", x, ok)
	}
	if db.Covers("Debian:12") || !db.Covers("AlmaLinux:9") {
		t.Error("coverage is not what the sources are")
	}
	if err := db.Err(); err != nil {
		t.Error(err)
	}
}
