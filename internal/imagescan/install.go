package imagescan

import (
	"io/fs"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/binary"
	"seawall.io/seawall/internal/inventory/jar"
	"seawall.io/seawall/internal/inventory/lang"
	"seawall.io/seawall/internal/inventory/ospkg"
	"seawall.io/seawall/internal/secret"
)

// parsers are all readers of packages.
func parsers() []inventory.Parser {
	return slices.Concat(ospkg.Parsers(), lang.Parsers(), jar.Parsers())
}

func newReader(o *Options) *image.Reader {
	r := &image.Reader{Parsers: slices.Concat(parsers(), pastParsers(o), o.Parsers), ELF: new(binary.Reader).Stream}
	if !o.NoSecrets {
		r.WantSecrets = secret.Wants
		r.Secrets = func(path string, body []byte) ([]secret.Hit, bool) { return secret.Scan(path, body, secret.Options{}) }
	}
	switch {
	case o.VerifyFiles:
		r.Hash = code
	case len(o.Malware.SHA256) > 0:
		r.Hash = func(_ string, m fs.FileMode, _ int64) bool { return m&0o111 != 0 }
	}
	return r
}

// code chooses programs and libraries: what an intruder would change.
func code(path string, m fs.FileMode, _ int64) bool {
	return m&0o111 != 0 || strings.Contains(path, ".so") || strings.HasPrefix(path, "etc/pam.d/")
}

// install gathers what the tree says is installed, and who owns what.
func (r *Result) install() {
	var found []inventory.Distro
	var owned []inventory.Ownership
	for f := range r.Tree.All() {
		facts := f.Facts()
		if facts == nil || f.Linked() {
			continue
		}
		if facts.Distro != nil {
			found = append(found, *facts.Distro)
		}
		owned = append(owned, facts.Owned...)
		r.Inventory.Packages = append(r.Inventory.Packages, facts.Packages...)
	}
	r.Inventory.Distro = ospkg.Decide(found)
	ospkg.AddLicenses(r.Inventory.Packages, owned)
	slices.SortStableFunc(r.Inventory.Packages, func(a, b inventory.Package) int {
		for _, c := range []int{strings.Compare(string(a.Type), string(b.Type)), strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version)} {
			if c != 0 {
				return c
			}
		}
		return strings.Compare(a.Path, b.Path)
	})
	r.owners = newOwners(r.Tree, r.Inventory.Packages, owned)
	for i := range r.Inventory.Packages {
		if p := &r.Inventory.Packages[i]; !p.Type.OS() {
			p.Owner, _ = r.owners.of(p.Path)
		}
	}
}
