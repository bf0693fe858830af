package imagescan

import (
	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/ospkg"
)

// owners knows which distribution package brought which file.
type owners struct {
	index    *ospkg.Owners
	packages []inventory.Package
}

// newOwners takes over packages as they stand: they may not be moved after.
// Directories are followed in the tree, because databases name files as the
// package did (/lib/x) and the file may stand elsewhere (/usr/lib/x).
func newOwners(tree *image.Tree, packages []inventory.Package, owned []inventory.Ownership) owners {
	place := func(dir string) string {
		if f, ok := tree.Stat(dir); ok {
			return f.Path()
		}
		return dir
	}
	return owners{ospkg.NewOwners(packages, owned, place), packages}
}

// of returns the package that owns a path, "" for none, and what is known of the
// file.
func (o owners) of(path string) (pkg string, file inventory.OwnedFile) {
	if o.index == nil {
		return "", file
	}
	i, ok := o.index.Package(path)
	if !ok {
		return "", file
	}
	file, _ = o.index.File(path)
	return o.packages[i].Name, file
}

// files yields every file that a package brought and has a checksum of.
func (o owners) files(yield func(pkg string, file inventory.OwnedFile) bool) {
	if o.index == nil {
		return
	}
	for i, file := range o.index.All() {
		if (file.MD5 != "" || file.SHA256 != "") && !yield(o.packages[i].Name, file) {
			return
		}
	}
}
