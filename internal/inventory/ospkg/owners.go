package ospkg

import (
	"hash/maphash"
	"iter"
	"path"
	"slices"

	"seawall.io/seawall/internal/inventory"
)

// Owners answers which distribution package a file belongs to. It refers to the
// ownership it was made of and costs some 25 bytes for each file beside it. The
// zero value knows of no files.
type Owners struct {
	owned []inventory.Ownership
	seed  maphash.Seed
	files []ownedFile
	// table is a hash table with open addressing of 1 + indexes into files.
	table []uint32
	// dirs are the places of directories that are not where databases say.
	dirs []string
}

// ownedFile refers to one file of one Ownership.
type ownedFile struct {
	pkg         int32 // index of the package
	owner, file uint32
	dir         uint32 // 1 + index into dirs; 0 where the path is as it is written
}

// NewOwners gathers who owns what. Ownership of packages that are not in packages
// is left out: dpkg keeps lists of what it removed. Of several packages that name
// one file the first owns it.
//
// place leads from a directory as a database names it to where it is (lib to
// usr/lib), following links within the root, both without a leading slash; it is
// asked once for directories that follow each other. Where it is nil, paths are
// taken as they are written.
func NewOwners(packages []inventory.Package, owned []inventory.Ownership, place func(dir string) string) *Owners {
	owned = divert(owned)
	total := 0
	for i := range owned {
		total += len(owned[i].Files)
	}
	size := 16
	for size < total+total/2 {
		size *= 2
	}
	o := &Owners{owned: owned, seed: maphash.MakeSeed(), files: make([]ownedFile, 0, total), table: make([]uint32, size)}
	index := indexOf(packages)
	moved := map[string]uint32{}
	for i := range owned {
		w := &owned[i]
		pkg, ok := index[packageKey{w.Type, w.Package, w.Arch}]
		if !ok {
			continue
		}
		last, where, asked := "", uint32(0), false
		for j := range w.Files {
			if w.Files[j].Path == "" { // the root belongs to nobody
				continue
			}
			if place != nil {
				if dir := dirOf(w.Files[j].Path); dir != last || !asked {
					asked, last, where = true, dir, o.keep(moved, dir, place(dir))
				}
			}
			o.add(ownedFile{pkg: pkg, owner: uint32(i), file: uint32(j), dir: where})
		}
	}
	return o
}

// divert returns ownership in which the files that packages took from each other
// stand where they were put. What it is given is left as it is.
func divert(owned []inventory.Ownership) []inventory.Ownership {
	type target struct{ by, to string }
	targets := map[string]target{}
	for i := range owned {
		for _, d := range owned[i].Diversions {
			targets[d.From] = target{owned[i].Package, d.To}
		}
	}
	if len(targets) == 0 {
		return owned
	}
	owned = slices.Clone(owned)
	for i := range owned {
		o := &owned[i]
		cloned := false
		for j := range o.Files {
			t, ok := targets[o.Files[j].Path]
			if !ok || o.Type != inventory.Deb || t.by == o.Package {
				continue
			}
			if !cloned {
				o.Files, cloned = slices.Clone(o.Files), true
			}
			o.Files[j].Path = t.to
		}
	}
	return owned
}

// packageKey is what ownership tells of its package.
type packageKey struct {
	kind       inventory.Type
	name, arch string
}

// indexOf leads from names to packages, with and without the architecture.
func indexOf(packages []inventory.Package) map[packageKey]int32 {
	index := make(map[packageKey]int32, 2*len(packages))
	for i := range packages {
		p := &packages[i]
		if !p.Type.OS() {
			continue
		}
		for _, arch := range []string{p.Arch, ""} {
			key := packageKey{p.Type, p.Name, arch}
			if _, taken := index[key]; !taken {
				index[key] = int32(i)
			}
		}
	}
	return index
}

// keep returns how a directory is kept that is written as dir and is at place.
func (o *Owners) keep(moved map[string]uint32, dir, place string) uint32 {
	if dir == place {
		return 0
	}
	if at, ok := moved[place]; ok {
		return at
	}
	o.dirs = append(o.dirs, place)
	moved[place] = uint32(len(o.dirs)) //nolint:gosec // fewer than there are files
	return moved[place]
}

func (o *Owners) add(f ownedFile) {
	dir, base := o.path(f)
	slot := o.slot(dir, base)
	at := o.table[slot]
	if at == 0 {
		o.files = append(o.files, f)
		o.table[slot] = uint32(len(o.files)) //nolint:gosec // at most 2^32 files fit in memory
		return
	}
	// dpkg speaks of a file in its list, with the MD5 sum, and as a conffile.
	have := &o.files[at-1]
	if have.pkg == f.pkg && says(&o.owned[f.owner].Files[f.file]) > says(&o.owned[have.owner].Files[have.file]) {
		*have = f
	}
}

// says rates how much a record of a file tells.
func says(f *inventory.OwnedFile) int {
	n := 0
	if f.Config {
		n += 2 // that a file may change is worth more than what it was
	}
	if f.MD5 != "" || f.SHA256 != "" {
		n++
	}
	return n
}

// path returns where a file is.
func (o *Owners) path(f ownedFile) (dir, base string) {
	p := o.owned[f.owner].Files[f.file].Path
	dir, base = dirOf(p), path.Base(p)
	if f.dir > 0 {
		dir = o.dirs[f.dir-1]
	}
	return dir, base
}

// dirOf returns the directory of a path, "" for the root.
func dirOf(p string) string {
	dir, _ := path.Split(p)
	if dir == "" {
		return ""
	}
	return dir[:len(dir)-1]
}

// slot returns the place of a path in the table, or the free one where it would
// be.
func (o *Owners) slot(dir, base string) uint64 {
	mask := uint64(len(o.table) - 1) //nolint:gosec // a length
	for i := (maphash.String(o.seed, base)*31 + maphash.String(o.seed, dir)) & mask; ; i = (i + 1) & mask {
		at := o.table[i]
		if at == 0 {
			return i
		}
		if d, b := o.path(o.files[at-1]); b == base && d == dir {
			return i
		}
	}
}

func (o *Owners) find(p string) (ownedFile, bool) {
	if len(o.table) == 0 || p == "" {
		return ownedFile{}, false
	}
	at := o.table[o.slot(dirOf(p), path.Base(p))]
	if at == 0 {
		return ownedFile{}, false
	}
	return o.files[at-1], true
}

// Package returns the index of the package that owns a path, which is one without
// links in it.
func (o *Owners) Package(p string) (index int, ok bool) {
	f, ok := o.find(p)
	return int(f.pkg), ok
}

// File returns what the database knows of a file: the record with the most in it
// where there are several.
func (o *Owners) File(p string) (file inventory.OwnedFile, ok bool) {
	f, ok := o.find(p)
	if !ok {
		return inventory.OwnedFile{}, false
	}
	return o.file(f), true
}

// All yields each file that is owned, once, with the index of its package. Its
// path is where it is.
func (o *Owners) All() iter.Seq2[int, inventory.OwnedFile] {
	return func(yield func(int, inventory.OwnedFile) bool) {
		for _, f := range o.files {
			if !yield(int(f.pkg), o.file(f)) {
				return
			}
		}
	}
}

func (o *Owners) file(f ownedFile) inventory.OwnedFile {
	file := o.owned[f.owner].Files[f.file]
	if f.dir > 0 {
		dir, base := o.path(f)
		file.Path = path.Join(dir, base)
	}
	return file
}
