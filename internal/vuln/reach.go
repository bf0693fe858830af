package vuln

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/binary"
)

// reach is how much of the flawed code is linked into a Go binary.
type reach string

const (
	reachFunction reach = "function" // a flawed function, or a package that is flawed as a whole
	reachPackage  reach = "package"  // other parts of the flawed package only
	reachAbsent   reach = "absent"   // nothing of the flawed packages
)

// evidence is what a Go binary tells of a flaw.
type evidence struct {
	reach    reach
	symbols  []string
	excluded Reason // empty: the flaw stands
	detail   string
}

// linked reads the evidence of a binary for a flaw in one of its modules. The Go
// database names the flawed packages and functions, and the platforms on which
// they are flawed; claims without such names (GitHub's) are about the same
// flaw, so that the names hold for them as well.
func linked(m *inventory.GoModule, claims []*claim) evidence {
	var imports []*Import
	for _, c := range claims {
		for i := range c.Imports {
			imports = append(imports, &c.Imports[i])
		}
	}
	if len(imports) == 0 {
		return evidence{}
	}
	here := slices.DeleteFunc(slices.Clone(imports), func(i *Import) bool {
		return !on(i.GOOS, m.GOOS) || !on(i.GOARCH, m.GOARCH)
	})
	if len(here) == 0 {
		return evidence{
			reach: reachAbsent, excluded: ByPlatform,
			detail: "the flaw is on " + platforms(imports) + "; the binary is built for " + m.GOOS + "/" + m.GOARCH,
		}
	}
	if !m.Known {
		return evidence{}
	}
	e := evidence{reach: reachAbsent}
	for _, i := range here {
		present := binary.Linked(m.Functions, i.Path, "")
		if present && len(i.Symbols) == 0 {
			e.reach = reachFunction
			e.symbols = append(e.symbols, i.Path)
		}
		for _, symbol := range i.Symbols {
			if binary.Linked(m.Functions, i.Path, symbol) {
				e.reach = reachFunction
				e.symbols = append(e.symbols, i.Path+"."+symbol)
			}
		}
		if present && e.reach == reachAbsent {
			e.reach = reachPackage
		}
	}
	e.symbols = unique(e.symbols)
	if e.reach == reachAbsent {
		e.excluded = ByAbsence
		e.detail = "nothing of " + paths(here) + " is linked into the binary"
	}
	return e
}

func on(platforms []string, platform string) bool {
	return len(platforms) == 0 || platform == "" || slices.Contains(platforms, platform)
}

func platforms(imports []*Import) string {
	var words []string
	for _, i := range imports {
		words = append(append(words, i.GOOS...), i.GOARCH...)
	}
	return strings.Join(unique(words), ", ")
}

func paths(imports []*Import) string {
	words := make([]string, len(imports))
	for i := range imports {
		words[i] = imports[i].Path
	}
	return strings.Join(unique(words), ", ")
}
