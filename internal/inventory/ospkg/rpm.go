package ospkg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// rpmFile wants a file of rpm's database, which stands in one of three places:
// rpm's own, that of Fedora and SUSE, and that of ostree.
func rpmFile(name string) func(string, fs.FileMode, int64) bool {
	return at("var/lib/rpm/"+name, "usr/lib/sysimage/rpm/"+name, "usr/share/rpm/"+name)
}

// blobs calls yield with each header of a database, until yield returns an
// error. A header holds during the call only. What is malformed does not keep
// the rest from being read where that can be.
type blobs func(database []byte, yield func(blob []byte) error) error

// parseRPMWith returns the reader of a database in one of its three formats. All
// of them hold the same headers.
func parseRPMWith(read blobs) func(inventory.File, *inventory.Facts) error {
	return func(f inventory.File, facts *inventory.Facts) error {
		r := rpmReader{
			facts: facts, path: strings.Clone(f.Path), known: words{}, brings: providers{},
			budget: budgetOf(len(f.Body)), firstOwned: len(facts.Owned),
		}
		err := read(f.Body, r.header)
		r.resolve()
		return errors.Join(err, r.malformed)
	}
}

type rpmReader struct {
	facts  *inventory.Facts
	path   string
	known  words
	brings providers
	budget budget
	// needs holds what each package requires, until all packages are known, and
	// firstOwned is where the files of this database begin.
	needs      [][]string
	firstOwned int

	// dirs, paths and sums are used again for each package.
	dirs        [][]byte
	paths, sums block
	malformed   error // the first header that is
}

// header takes one package over.
func (r *rpmReader) header(blob []byte) error {
	h, err := readHeader(blob)
	if err != nil {
		if r.malformed == nil {
			r.malformed = fmt.Errorf("the header after %d packages: %w", len(r.needs), err)
		}
		return nil
	}
	name := h.text(tagName)
	if len(name) == 0 || string(name) == "gpg-pubkey" {
		return nil // keys to verify packages with are kept as if they were packages
	}
	if len(r.needs) == maxPackages {
		return errPackages
	}
	p := inventory.Package{
		Type: inventory.RPM, Name: r.known.of(name), Path: r.path,
		Version: evr(h.number(tagEpoch), string(h.text(tagVersion)), string(h.text(tagRelease))),
		Arch:    r.known.of(h.text(tagArch)),
		Vendor:  r.known.of(h.text(tagVendor)),
		Module:  r.known.of(h.text(tagModularityLabel)),
		Size:    max(h.number(tagLongSize), h.number(tagSize)),
	}
	if license := h.text(tagLicense); len(license) > 0 {
		p.Licenses = []string{r.known.of(license)}
	}
	p.Source = sourceOf(&p, string(h.text(tagSourceRPM)))
	r.facts.Packages = append(r.facts.Packages, p)
	r.relations(p.Name, &h)
	files, err := r.files(&h)
	if len(files) > 0 {
		r.facts.Owned = append(r.facts.Owned, inventory.Ownership{Type: inventory.RPM, Package: p.Name, Arch: p.Arch, Files: files})
	}
	return err
}

// evr writes a version as rpm compares it. An epoch of 0 is the same as none.
func evr(epoch int64, version, release string) string {
	if release != "" {
		version += "-" + release
	}
	if epoch > 0 {
		version = strconv.FormatInt(epoch, 10) + ":" + version
	}
	return version
}

// sourceOf takes name-version-release.src.rpm apart. It has no epoch; where it
// has the package's version and release, as nearly all have, the epoch is the
// package's too.
func sourceOf(p *inventory.Package, file string) inventory.Source {
	stem := strings.TrimSuffix(strings.TrimSuffix(file, ".rpm"), ".src")
	stem = strings.TrimSuffix(stem, ".nosrc")
	release := strings.LastIndexByte(stem, '-')
	version := strings.LastIndexByte(stem[:max(release, 0)], '-')
	if version <= 0 {
		return inventory.Source{Name: p.Name, Version: p.Version}
	}
	s := inventory.Source{Name: stem[:version], Version: stem[version+1:]}
	if _, own, ok := strings.Cut(p.Version, ":"); ok && own == s.Version {
		s.Version = p.Version
	}
	return s
}

// relations notes what a package provides and requires.
func (r *rpmReader) relations(name string, h *header) {
	r.brings.own(name)
	for list := h.texts(tagProvideName); list.more(); {
		r.brings.add(list.next(), name)
	}
	var needs []string
	for list := h.texts(tagRequireName); list.more(); {
		if what := list.next(); !bytes.HasPrefix(what, []byte("rpmlib(")) {
			needs = append(needs, r.known.of(what))
		}
	}
	r.needs = append(r.needs, needs)
}

// Numbers of rpm's headers.
const (
	fileKinds   = 0o170000 // the part of a mode that says what a file is
	fileDir     = 0o040000
	flagConfig  = 1 << 0
	stateNormal = 0 // others: replaced by another package's file, or not installed
	verifySum   = 1 << 0
	sumMD5      = 1
	sumSHA256   = 8
)

// files tells which files the package brought, directories apart.
func (r *rpmReader) files(h *header) ([]inventory.OwnedFile, error) {
	states, modes, flags := h.numbers(tagFileStates), h.numbers(tagFileModes), h.numbers(tagFileFlags)
	verify, sums := h.numbers(tagFileVerifyFlags), h.texts(tagFileDigests)
	var config []bool
	var err error
	for list := r.names(h); list.more(); {
		dir, base := list.next()
		state, mode, flag, sum := states.next(stateNormal), modes.next(0), flags.next(0), sums.next()
		if verify.next(verifySum)&verifySum == 0 {
			sum = nil // made to change: rpm itself does not compare it
		}
		if state != stateNormal || mode&fileKinds == fileDir {
			continue
		}
		if err = r.budget.spend(len(dir) + len(base)); err != nil {
			break
		}
		r.paths.add(dir, base)
		r.sums.add(sum)
		config = append(config, flag&flagConfig != 0)
	}
	files := r.paths.files()
	algorithm := h.number(tagFileDigestAlgo)
	r.sums.each(func(i int, sum string) {
		files[i].Config = config[i]
		switch {
		case len(sum) == 64 && algorithm == sumSHA256:
			files[i].SHA256 = sum
		case len(sum) == 32 && (algorithm == sumMD5 || algorithm == 0):
			files[i].MD5 = sum
		}
	})
	return files, err
}

// names walks over the names of a package's files, which are kept in two parts;
// packages from before the year 2000 have them in one.
func (r *rpmReader) names(h *header) fileNames {
	n := fileNames{bases: h.texts(tagBaseNames), indexes: h.numbers(tagDirIndexes), dirs: r.dirs[:0]}
	if !n.bases.more() {
		n.bases = h.texts(tagOldFileNames)
		return n
	}
	for list := h.texts(tagDirNames); list.more(); {
		n.dirs = append(n.dirs, list.next())
	}
	r.dirs = n.dirs
	return n
}

type fileNames struct {
	bases   texts
	indexes numbers
	dirs    [][]byte
}

func (n *fileNames) more() bool { return n.bases.more() }

func (n *fileNames) next() (dir, base []byte) {
	if i := n.indexes.next(-1); i >= 0 && i < int64(len(n.dirs)) {
		dir = n.dirs[i]
	}
	return dir, n.bases.next()
}

// resolve turns what packages require into names of packages: libraries
// (libz.so.1()(64bit)), other things that are provided, and files. What nobody
// provides is left out, unless it is a package's name.
func (r *rpmReader) resolve() {
	r.bringFiles()
	packages := r.facts.Packages[len(r.facts.Packages)-len(r.needs):]
	for i := range packages {
		names := r.needs[i][:0]
		for _, what := range r.needs[i] {
			if by, ok := r.brings[what]; ok {
				names = append(names, by)
			} else if !strings.ContainsAny(what, "/() ") {
				names = append(names, what)
			}
		}
		packages[i].Depends = dependencies(names, packages[i].Name)
	}
}

// bringFiles notes who brings the files that packages require.
func (r *rpmReader) bringFiles() {
	wanted := map[string]string{} // the path without a slash to the path as required
	for _, needs := range r.needs {
		for _, what := range needs {
			if strings.HasPrefix(what, "/") {
				wanted[what[1:]] = what
			}
		}
	}
	if len(wanted) == 0 {
		return
	}
	for i := range r.facts.Owned[r.firstOwned:] {
		o := &r.facts.Owned[r.firstOwned+i]
		for j := range o.Files {
			if what, ok := wanted[o.Files[j].Path]; ok {
				r.brings.add([]byte(what), o.Package)
			}
		}
	}
}

// parseManifest reads the list of packages in images of Azure Linux and Photon
// that have no rpm: for each package ten fields with tabs between them (name,
// version-release, times of installation and build, vendor, epoch, size,
// architecture, epoch as a number, source).
func parseManifest(f inventory.File, facts *inventory.Facts) error {
	path, known, have := strings.Clone(f.Path), words{}, 0
	var malformed error
	err := lines(f.Body, func(n int, line []byte) error {
		fields := bytes.Split(line, []byte("\t"))
		if len(fields) < 10 || len(fields[0]) == 0 || len(fields[1]) == 0 {
			if malformed == nil {
				malformed = fmt.Errorf("line %d: not ten fields with tabs between them", n)
			}
			return nil
		}
		if string(fields[0]) == "gpg-pubkey" {
			return nil
		}
		if have++; have > maxPackages {
			return errPackages
		}
		for i := range fields {
			if string(fields[i]) == "(none)" {
				fields[i] = nil
			}
		}
		epoch, _ := strconv.ParseInt(string(fields[5]), 10, 32)
		size, _ := strconv.ParseInt(string(fields[6]), 10, 62)
		p := inventory.Package{
			Type: inventory.RPM, Name: string(fields[0]), Path: path,
			Version: evr(epoch, string(fields[1]), ""),
			Arch:    known.of(fields[7]), Vendor: known.of(fields[4]), Size: max(size, 0),
		}
		p.Source = sourceOf(&p, string(fields[9]))
		facts.Packages = append(facts.Packages, p)
		return nil
	})
	return errors.Join(malformed, err)
}
