package lang

import (
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// parseCargo reads Cargo.lock. A crate without a source is one of the project.
// What only tests and builds need is not told apart.
func parseCargo(f inventory.File, facts *inventory.Facts) error {
	root, err := parseTOML(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.Cargo, inventory.Locked)
	defer l.close()
	for _, p := range root.Get("package").List() {
		from := registry
		switch source := p.Get("source").Str(); {
		case source == "":
			from = local
		case strings.HasPrefix(source, "git+"):
			from = elsewhere
		}
		l.addFrom(from, inventory.Package{Name: p.Get("name").Str(), Version: p.Get("version").Str(), Line: lineOf(p, "name")})
	}
	return nil
}
