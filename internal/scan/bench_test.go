package scan_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/manifest"
	"seawall.io/seawall/internal/report"
	"seawall.io/seawall/internal/scan"
	"seawall.io/seawall/internal/snapshotfile"
)

// BenchmarkRun scans 10,000 documents with all checks and writes the report as
// JSON: those of the folder that SEAWALL_BENCH_DIR names, or else the example
// shop's, renamed again and again.
func BenchmarkRun(b *testing.B) {
	dir := os.Getenv("SEAWALL_BENCH_DIR")
	if dir == "" {
		dir = renamedShop(b, 10_000)
	}
	rules, err := checks.Rules()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := scan.Run(b.Context(), scan.Options{
			Version: "bench", Targets: []string{dir}, Rules: rules, Funcs: checks.Funcs(), Today: "2026-01-01",
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := report.Write(io.Discard, "json", r.Report, report.Options{}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(r.Findings)), "findings")
	}
}

// BenchmarkSnapshot scans a snapshot file of 20,000 workloads and the objects
// around them, with all checks. SEAWALL_BENCH_SNAPSHOT names a file to keep it
// in, for figures of the whole process.
func BenchmarkSnapshot(b *testing.B) {
	file := os.Getenv("SEAWALL_BENCH_SNAPSHOT")
	if file == "" {
		file = filepath.Join(b.TempDir(), "cluster.tar.zst")
	}
	var objects []*cluster.Object
	// Three of the shop's eleven documents are workloads.
	tree, err := manifest.Walk(renamedShop(b, 20_000*11/3), nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range tree.Files {
		read := manifest.Read(f.Name)
		objects = append(objects, read.Objects...)
	}
	snap := cluster.NewSnapshot(objects)
	snap.Whole, snap.Version = true, "v1.36.3"
	if err := snapshotfile.WriteFile(file, snap, snapshotfile.Meta{Cluster: "bench", Seawall: "bench"}); err != nil {
		b.Fatal(err)
	}
	rules, err := checks.Rules()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := scan.Run(b.Context(), scan.Options{
			Version: "bench", Targets: []string{"snapshot:" + file}, Rules: rules, Funcs: checks.Funcs(), Today: "2026-01-01",
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(r.Findings)), "findings")
		b.ReportMetric(float64(r.Coverage.Objects), "objects")
	}
}

// renamedShop writes the documents of the example shop into files of ten, each
// file in a namespace of its own, until there are n.
func renamedShop(b *testing.B, n int) string {
	b.Helper()
	names, err := filepath.Glob("../../examples/shop/*.yaml")
	if err != nil || len(names) == 0 {
		b.Fatal("the example shop is not there: ", err)
	}
	var docs []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		docs = append(docs, strings.Split(string(text), "\n---\n")...)
	}
	dir := b.TempDir()
	for i := 0; n > 0; i++ {
		text := strings.ReplaceAll(strings.Join(docs, "\n---\n"), "shop", fmt.Sprintf("shop%d", i))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.yaml", i)), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		n -= len(docs)
	}
	return dir
}
