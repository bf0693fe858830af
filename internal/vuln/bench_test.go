package vuln_test

import (
	"fmt"
	"testing"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
)

// BenchmarkJudge holds 100,000 packages against 30,000 advisories, of which one
// in ten packages has one that holds.
func BenchmarkJudge(b *testing.B) {
	db := newMemory()
	for i := range 15_000 {
		fixed := "1.0.0"
		if i%3 == 0 {
			fixed = "3.0.0"
		}
		db.add(vuln.Advisory{ID: fmt.Sprintf("DEBIAN-CVE-2024-%d", i), Upstream: []string{fmt.Sprintf("CVE-2024-%d", i)}, Source: "debian", Ecosystem: "Debian:12", Package: fmt.Sprintf("source%d", i%5_000), Ranges: below(fixed + "-1")})
		db.add(vuln.Advisory{ID: fmt.Sprintf("GHSA-%d", i), Aliases: []string{fmt.Sprintf("CVE-2023-%d", i)}, Source: "ghsa", Ecosystem: "npm", Package: fmt.Sprintf("module%d", i%5_000), Ranges: below(fixed)})
	}
	inv := inventory.Inventory{Distro: &inventory.Distro{ID: "debian", Version: "12.5"}}
	for i := range 50_000 {
		source := fmt.Sprintf("source%d", i/2)
		inv.Packages = append(inv.Packages,
			deb(fmt.Sprintf("lib%d", i), "2.0.0-1", source, "2.0.0-1"),
			inventory.Package{Type: inventory.NPM, Name: fmt.Sprintf("module%d", i), Version: "2.0.0", Path: fmt.Sprintf("app/node_modules/%d/package.json", i)})
	}
	b.ReportAllocs()
	findings := 0
	for b.Loop() {
		findings = len(vuln.Judge(inv, db, vuln.Options{}).Matches)
	}
	b.ReportMetric(float64(findings), "findings")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(inv.Packages)), "ns/package")
}
