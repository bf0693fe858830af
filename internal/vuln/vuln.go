// Package vuln judges what is installed by what is known of flaws: it takes
// packages and advisories and tells which flaws each package has, merged over
// the sources, with the evidence for and against. It reads no files and no
// network.
package vuln

import (
	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
)

// Advisory is what one source says of one flaw in one package, ready to be
// matched: OSV records become one for each package that they name.
type Advisory struct {
	ID      string // as the source spells it: GO-2023-1988, DSA-5417-1, CVE-2023-1234
	Aliases []string
	// Upstream holds the flaws that the advisory is about where those are others
	// than itself: a DSA, USN or ALSA mends several CVEs, and a DEBIAN-CVE record
	// speaks of the one CVE. It is OSV's upstream; builders fill it from related
	// where a feed puts its CVEs there (AlmaLinux, Rocky). Each becomes a finding
	// of its own; Aliases are other names of one and the same flaw.
	Upstream []string
	// Source is the feed: go, ghsa, pypa, rustsec, debian, alpine, ubuntu,
	// redhat, almalinux, rocky, wolfi...
	Source string
	// Ecosystem is OSV's with its suffix: Debian:12, Alpine:v3.20, AlmaLinux:9, npm,
	// PyPI, Go, Maven, crates.io, RubyGems, Packagist, NuGet.
	Ecosystem string
	Package   string
	// Ranges are half open: affected from Introduced (empty or 0: from the first)
	// to below Fixed, or to and with LastAffected; without either there is no end.
	// Versions are single affected versions, exactly as written. An advisory with
	// neither affects nothing: one that affects all versions has one empty Range.
	Ranges   []Range
	Versions []string
	// Status of the source where no fixed version tells: affected, wont-fix,
	// deferred, not-affected, unknown. Empty means affected.
	Status   string
	Severity seawall.Severity // of the source; None where it gives none
	CVSS     []string         // vectors, any version
	CWEs     []string
	// Imports are the Go packages and symbols that are flawed, with the platforms
	// on which they are; empty means that the whole module is.
	Imports []Import
	// Module is the module stream (nodejs:18) that the advisory's builds belong to,
	// for rpm distributions with modules; empty where it has none or none is known.
	Module string
	// Modified is the day (YYYY-MM-DD) of the record; Withdrawn records are not
	// in the database.
	Modified string
}

// Range is a span of affected versions.
type Range struct {
	Introduced, Fixed, LastAffected string
}

// Import is a Go package with the flawed symbols in it.
type Import struct {
	Path    string
	Symbols []string
	GOOS    []string
	GOARCH  []string
}

// Extra is what is known of a CVE beside the sources that match packages.
type Extra struct {
	EPSS     float64
	KEV      string // day
	CVSS     []string
	Severity seawall.Severity
	CWEs     []string
	// RCE says that exploitation runs code of the attacker's choice from the
	// network, as the CWE and the vector tell.
	RCE bool
}

// Database answers what is known. Implementations are read only and may be
// asked by any number of goroutines.
type Database interface {
	// Advisories calls yield for each advisory on a package of an ecosystem, in a
	// fixed order. The advisory and its slices belong to the database and hold
	// during the call only; strings in them may be kept.
	Advisories(ecosystem, name string, yield func(*Advisory) bool)
	// Extra tells what is known of an ID (a CVE mostly).
	Extra(id string) (Extra, bool)
	// Covers says whether the database has data on an ecosystem (Debian:12) at
	// all: where it has none, packages are not evaluated rather than passed.
	Covers(ecosystem string) bool
	// Release tells how long the release of a distribution is supported.
	Release(distro inventory.Distro) (Release, bool)
}

// Release is the support that a release of a product gets. Days are YYYY-MM-DD
// and empty where there is none or it is not known.
type Release struct {
	Product string // debian, as os-release's ID
	Cycle   string // 12
	EOL     string // last day of the vendor's regular security support
	LTS     string // last day of free support beyond that: Debian's LTS team
	// ExtendedEOL is the last day of support that is paid for: ELTS, Ubuntu Pro,
	// RHEL's ELS.
	ExtendedEOL string
}

// Match is one package with one flaw.
type Match struct {
	// Package is the installed package; of a source package with several binaries
	// the one of the same name, else the first by name.
	Package       *inventory.Package
	Vulnerability seawall.Vulnerability
	// RCE says that exploitation runs code of the attacker's choice.
	RCE bool
	// Priority ranks the match against others; see [Priority].
	Priority Priority
}

// Result is the judgement on an inventory. Each package that was given is
// counted in Evaluated, or stands in ByDistro or NotEvaluated. A package that
// was judged but for one advisory whose versions cannot be compared is counted
// and stands in NotEvaluated as well.
type Result struct {
	// Matches are the flaws that packages have, the most urgent first.
	Matches []Match
	// NotAffected are the flaws that a version number alone would have held
	// against a package, and what speaks against it; ordered by package and ID.
	NotAffected []Exclusion
	// NotEvaluated are the packages on which nothing can be said, by reason. They
	// did not pass.
	NotEvaluated []Gap
	// ByDistro are packages of languages that a package of the distribution
	// brought: its advisories speak of them, and they are judged with it.
	ByDistro []*inventory.Package
	// Evaluated counts the packages that were held against the database.
	Evaluated int
}

// Exclusion is a flaw that a package of a listed version does not have.
type Exclusion struct {
	Match

	Reason Reason
	// Detail is the evidence in words.
	Detail string
}

// Reason is why a flaw is not held against a package.
type Reason string

// The reasons.
const (
	// ByVendor: the source says that its build is not affected.
	ByVendor Reason = "vendor"
	// ByPlatform: the flaw is on other operating systems or architectures than the
	// binary was built for.
	ByPlatform Reason = "platform"
	// ByAbsence: nothing of the flawed Go packages is linked into the binary.
	ByAbsence Reason = "absent"
)

// Gap is a set of packages that could not be judged for one reason.
type Gap struct {
	// Ecosystem is OSV's name, or the kind of package where it has none.
	Ecosystem string
	Reason    string
	Packages  []*inventory.Package
}
