package vuln

import "seawall.io/seawall/internal/inventory"

// Foreign says that a distribution package was built by somebody else than the
// distribution, as far as its vendor and version tell, and by whom.
func Foreign(d inventory.Distro, p *inventory.Package) (builder string, yes bool) {
	return foreign(&d, p)
}
