// Package version knows which of two versions is the later one, exactly as the
// package manager of each ecosystem decides it. It is for whoever compares what
// is installed with what an advisory says. It reads no ranges or constraints
// of manifests, and it does not guess: a version that the ecosystem's own tool
// would refuse is an error, never an answer.
//
// Comparing costs time linear in the length of the two strings, and of memory
// nothing but for Maven versions of more than a dozen parts.
package version

import (
	"errors"
	"fmt"
	"strings"
)

// Order is the order of versions in one family of ecosystems. The zero Order
// orders nothing: each of its answers is an error.
type Order uint8

// The orders, each with the authority that it follows.
const (
	// Deb is dpkg's (deb-version(7)).
	Deb Order = iota + 1
	// RPM is rpm's (rpm-version(7)): epoch, version and release with rpmvercmp.
	RPM
	// APK is that of apk-tools 2 and 3, where the two agree; where not, that of 3.
	APK
	// SemVer is Semantic Versioning 2.0.0, of crates.io and others. Missing minor
	// and patch numbers count as zero, as advisories leave them out.
	SemVer
	// NPM is node-semver's in its loose mode: 1.2.3beta is 1.2.3-beta, v and = are
	// skipped.
	NPM
	// Go is that of Go modules, with or without v, and of Go releases: go1.22rc1
	// and 1.22rc1 are 1.22.0-rc.1.
	Go
	// PyPI is PEP 440's. Versions older than it, which packaging dropped with its
	// release 22, are malformed.
	PyPI
	// Maven is that of ComparableVersion as Maven 3.8 has it.
	Maven
	// RubyGems is Gem::Version's.
	RubyGems
	// Packagist is Composer's: versions are normalised, then compared as PHP does.
	// Branches (dev-main) have no place in it and are malformed.
	Packagist
	// NuGet is Semantic Versioning with up to four numbers and labels whose case
	// does not count.
	NuGet
)

// ErrMalformed is in every error that is about a version: it cannot be ordered.
var ErrMalformed = errors.New("malformed version")

// malformed is a version that has no place in an order, and why.
type malformed struct {
	order   Order
	version string
	reason  string
}

// shown bounds how much of a version an error repeats, in bytes.
const shown = 80

func (m *malformed) Error() string {
	v := m.version
	if len(v) > shown {
		v = v[:shown] + "..."
	}
	return fmt.Sprintf("%s version %q: %s", m.order, v, m.reason)
}

func (*malformed) Unwrap() error { return ErrMalformed }

// String is the name of the order: deb, rpm, apk, semver, npm, go, pypi, maven,
// gem, composer, nuget.
func (o Order) String() string {
	if int(o) < len(names) {
		return names[o]
	}
	return names[0]
}

//nolint:gochecknoglobals // constant table
var names = [...]string{
	0: "unordered", Deb: "deb", RPM: "rpm", APK: "apk", SemVer: "semver", NPM: "npm", Go: "go",
	PyPI: "pypi", Maven: "maven", RubyGems: "gem", Packagist: "composer", NuGet: "nuget",
}

// For gives the order of an ecosystem that is named as OSV names it, with or
// without a suffix: Debian:12, Ubuntu:24.04:LTS, npm. It is false for those
// whose order is not known.
func For(ecosystem string) (Order, bool) {
	name, _, _ := strings.Cut(ecosystem, ":")
	o, ok := ecosystems[name]
	return o, ok
}

//nolint:gochecknoglobals // constant table
var ecosystems = map[string]Order{
	"Debian": Deb, "Ubuntu": Deb, "Echo": Deb,

	"Alpine": APK, "Wolfi": APK, "Chainguard": APK, "Alpaquita": APK, "MinimOS": APK,
	"BellSoft Hardened Containers": APK,

	"AlmaLinux": RPM, "Rocky Linux": RPM, "Red Hat": RPM, "CentOS": RPM, "Fedora": RPM,
	"SUSE": RPM, "openSUSE": RPM, "Photon OS": RPM, "Mageia": RPM, "openEuler": RPM,
	"Amazon": RPM, "Amazon Linux": RPM, "Oracle": RPM, "Oracle Linux": RPM,
	"Azure Linux": RPM, "CBL-Mariner": RPM,

	"crates.io": SemVer, "Bitnami": SemVer, "Hex": SemVer, "SwiftURL": SemVer, "GitHub Actions": SemVer,
	"npm": NPM, "Go": Go, "PyPI": PyPI, "Maven": Maven, "RubyGems": RubyGems,
	"Packagist": Packagist, "NuGet": NuGet,
}

// Compare is negative if a comes before b, zero if the two are equal in rank,
// and positive if a comes after b. The error wraps ErrMalformed and says which
// of the two is malformed and why.
func (o Order) Compare(a, b string) (int, error) {
	switch o {
	case Deb:
		return compareParsed(o, a, b, parseDeb, deb.compare)
	case RPM:
		return compareParsed(o, a, b, parseRPM, rpm.compare)
	case APK:
		return compareAPK(a, b)
	case SemVer, NPM, Go, NuGet:
		return o.compareSemver(a, b)
	case PyPI:
		return comparePyPI(a, b)
	case Maven:
		return compareMaven(a, b)
	case RubyGems:
		return compareGem(a, b)
	case Packagist:
		return comparePackagist(a, b)
	}
	return 0, &malformed{o, a, "there is no order to compare in"}
}

// Valid tells whether the version has a place in the order. The error is that
// of Compare.
func (o Order) Valid(v string) error {
	_, err := o.Compare(v, v)
	return err
}

// Affected tells whether a version lies in a range of an advisory: not before
// introduced, before fixed, not after lastAffected. Bounds may be empty; 0 as
// introduced is before everything, as OSV has it.
func Affected(o Order, version, introduced, fixed, lastAffected string) (bool, error) {
	if introduced == "0" {
		introduced = ""
	}
	if introduced == "" && fixed == "" && lastAffected == "" {
		err := o.Valid(version)
		return err == nil, err
	}
	if introduced != "" {
		if c, err := o.Compare(version, introduced); err != nil || c < 0 {
			return false, err
		}
	}
	if fixed != "" {
		if c, err := o.Compare(version, fixed); err != nil || c >= 0 {
			return false, err
		}
	}
	if lastAffected != "" {
		if c, err := o.Compare(version, lastAffected); err != nil || c > 0 {
			return false, err
		}
	}
	return true, nil
}
