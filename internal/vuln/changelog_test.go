package vuln_test

import (
	"path/filepath"
	"strings"
	"testing"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
)

// TestDebianChangelogs holds a version that has a fix to be silent, and the one
// just below it to be found. A version with ~ at its end is the last before it.
// TestAllDebianChangelogs does the same with all records that are to be had.
func TestDebianChangelogs(t *testing.T) {
	t.Parallel()
	changelogs(t, filepath.Join("testdata", "debian-changelog.jsonl"))
}

func changelogs(t *testing.T, path string) {
	t.Helper()
	pairs := 0
	readRecords(t, path, func(r *record) {
		for _, a := range r.advisories("changelog") {
			distro := &inventory.Distro{ID: "debian", Version: strings.TrimPrefix(a.Ecosystem, "Debian:")}
			for _, of := range a.Ranges {
				pairs++
				for version, want := range map[string]int{of.Fixed: 0, of.Fixed + "~": 1, of.Fixed + "+b1": 0} {
					inv := inventory.Inventory{Distro: distro, Packages: []inventory.Package{deb(a.Package, version, a.Package, version)}}
					result := vuln.Judge(inv, newMemory(a), vuln.Options{})
					if len(result.Matches) != want || result.Evaluated != 1 {
						t.Errorf("%s %s %s: %d findings, want %d", r.ID, a.Package, version, len(result.Matches), want)
					}
					if want == 1 && len(result.Matches) == 1 && result.Matches[0].Vulnerability.Fixed != of.Fixed {
						t.Errorf("%s %s %s: fixed in %q, want %q", r.ID, a.Package, version, result.Matches[0].Vulnerability.Fixed, of.Fixed)
					}
				}
			}
		}
	})
	if pairs == 0 {
		t.Error("no pairs in " + path)
	}
	t.Logf("%d pairs of a flaw and a package", pairs)
}
