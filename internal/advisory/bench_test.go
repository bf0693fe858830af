package advisory

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"seawall.io/seawall/internal/vuln"
)

// corpus names a folder of feeds to measure with, in place of the small ones
// that the tests bring.
const corpus = "SEAWALL_VULNDATA"

func corpusInputs(tb testing.TB) []Input {
	tb.Helper()
	folder := os.Getenv(corpus)
	if folder == "" {
		tb.Skipf("%s names no folder of feeds", corpus)
	}
	var inputs []Input
	for _, pattern := range []string{"osv-*.gz", "kev.json.gz", "cve-severity.jsonl.gz", "facts-only/*.gz"} {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range files {
			inputs = append(inputs, Input{Path: f})
		}
	}
	return inputs
}

func built(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "seawall.db")
	if _, err := Build(tb.Context(), corpusInputs(tb), path, Options{Built: time.Unix(1, 0)}); err != nil {
		tb.Fatal(err)
	}
	return path
}

func BenchmarkBuild(b *testing.B) {
	inputs := corpusInputs(b)
	path := filepath.Join(b.TempDir(), "seawall.db")
	b.ReportAllocs()
	for b.Loop() {
		s, err := Build(b.Context(), inputs, path, Options{Built: time.Unix(1, 0)})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.Match)/(1<<20), "match-MB")
		b.ReportMetric(float64(s.Size)/(1<<20), "file-MB")
	}
}

func BenchmarkOpen(b *testing.B) {
	path := built(b)
	b.ReportAllocs()
	for b.Loop() {
		db, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		db.Close()
	}
}

// names are all packages of a database, in the order in which they lie there.
func names(tb testing.TB, db *DB) (out [][2]string) {
	tb.Helper()
	for _, t := range db.match {
		for at, end := uint64(0), t.areas[areaPackages].size(); at < end; {
			c, err := t.cursor(areaPackages, at)
			if err != nil {
				tb.Fatal(err)
			}
			n := uint64(len(c.b))
			out = append(out, [2]string{c.text(), c.text()})
			at += n + 1
			for x := n; x >= 0x80; x >>= 7 {
				at++
			}
		}
	}
	return out
}

func BenchmarkLookup(b *testing.B) {
	db, err := Open(built(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	all := names(b, db)
	runtime.GC()
	b.ReportAllocs()
	found, i := 0, 0
	for b.Loop() {
		db.Advisories(all[i][0], all[i][1], func(*vuln.Advisory) bool { found++; return true })
		i = (i + 7919) % len(all)
	}
	b.ReportMetric(float64(found)/float64(b.N), "advisories/op")
	if db.Err() != nil {
		b.Fatal(db.Err())
	}
}

func BenchmarkLookupAbsent(b *testing.B) {
	db, err := Open(built(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.ReportAllocs()
	for b.Loop() {
		db.Advisories("npm", "no-such-package", func(*vuln.Advisory) bool { return true })
	}
}

func BenchmarkLookups100000(b *testing.B) {
	db, err := Open(built(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	all := names(b, db)
	b.ReportAllocs()
	for b.Loop() {
		for i := range 100_000 {
			n := all[i*7919%len(all)]
			db.Advisories(n[0], n[1], func(*vuln.Advisory) bool { return true })
		}
	}
}

func BenchmarkExtra(b *testing.B) {
	db, err := Open(built(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for b.Loop() {
		if x, ok := db.Extra("CVE-2021-44228"); !ok || x.KEV == "" {
			b.Fatal("Log4Shell is not known")
		}
	}
}
