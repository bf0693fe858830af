package report

import (
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/version"
)

// upgrade is one package to update, and what that removes.
type upgrade struct {
	Package, Installed string // clean
	// To is the lowest version that removes all, empty where the versions that fix
	// the single flaws cannot be put in order.
	To      string
	Removes counts
}

// upgrades folds flaws that have a fix by package, those that remove the worst
// first: ten flaws of one package are one thing to do.
func upgrades(list []flaw) []upgrade {
	type key struct{ kind, pkg, installed string }
	type entry struct {
		upgrade

		order    version.Order
		to       string
		unsorted bool
	}
	var found []*entry
	at := map[key]*entry{}
	for i := range list {
		f := &list[i]
		if f.Fixed == "" {
			continue
		}
		kind := purlType(f.PURL)
		k := key{kind, f.Package, f.Installed}
		e := at[k]
		if e == nil {
			e = &entry{upgrade: upgrade{Package: clean(f.Package), Installed: clean(f.Installed)}, order: orderOf(kind), to: f.Fixed}
			at[k] = e
			found = append(found, e)
		}
		e.Removes[min(f.Severity, seawall.Critical)] += len(f.Places)
		if f.Fixed != e.to {
			n, err := e.order.Compare(f.Fixed, e.to)
			e.unsorted = e.unsorted || err != nil
			if n > 0 {
				e.to = f.Fixed
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int { return compareCounts(&a.Removes, &b.Removes) })
	out := make([]upgrade, len(found))
	for i, e := range found {
		out[i] = e.upgrade
		if !e.unsorted {
			out[i].To = clean(e.to)
		}
	}
	return out
}

// String says what to do: lodash 4.17.4 to 4.17.21.
func (u *upgrade) String() string {
	if u.To == "" {
		return u.Package + " " + u.Installed
	}
	return u.Package + " " + u.Installed + " to " + u.To
}

// purlType returns deb of pkg:deb/debian/curl@1.
func purlType(purl string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(purl, "pkg:"), "/")
	return kind
}

// orderOf returns the order of versions of a type of package URL. The zero order
// compares nothing.
func orderOf(purlType string) version.Order {
	switch purlType {
	case "deb":
		return version.Deb
	case "rpm":
		return version.RPM
	case "apk":
		return version.APK
	case "npm":
		return version.NPM
	case "golang":
		return version.Go
	case "pypi":
		return version.PyPI
	case "maven":
		return version.Maven
	case "cargo":
		return version.SemVer
	case "gem":
		return version.RubyGems
	case "composer":
		return version.Packagist
	case "nuget":
		return version.NuGet
	default:
		return 0
	}
}
