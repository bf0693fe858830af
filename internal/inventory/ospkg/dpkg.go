package ospkg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

const (
	statusDir = "var/lib/dpkg/status.d/" // of distroless images: one file for each package
	infoDir   = "var/lib/dpkg/info/"
)

func dpkgStatus(p string, _ fs.FileMode, _ int64) bool {
	if p == "var/lib/dpkg/status" {
		return true
	}
	name, ok := strings.CutPrefix(p, statusDir)
	return ok && !strings.Contains(name, "/") && !strings.HasSuffix(name, ".md5sums")
}

// dpkgInfo wants files about one package each; distroless images have md5sums
// beside the status.
func dpkgInfo(suffix string) func(string, fs.FileMode, int64) bool {
	return func(p string, _ fs.FileMode, _ int64) bool {
		if !strings.HasSuffix(p, suffix) {
			return false
		}
		name, ok := strings.CutPrefix(p, infoDir)
		if !ok && suffix == ".md5sums" {
			name, ok = strings.CutPrefix(p, statusDir)
		}
		return ok && !strings.Contains(name, "/")
	}
}

// parseStatus reads the packages of dpkg's status, or of one file of a
// distroless image.
func parseStatus(f inventory.File, facts *inventory.Facts) error {
	r := statusReader{text: control{rest: f.Body, line: 1}, path: strings.Clone(f.Path), known: words{}, brings: providers{}}
	err := r.read(facts)
	packages := facts.Packages[len(facts.Packages)-len(r.depends):]
	for i := range packages {
		packages[i].Depends = dependencies(r.needs(r.depends[i]), packages[i].Name)
	}
	return errors.Join(err, r.text.err)
}

type statusReader struct {
	text   control
	path   string
	known  words
	brings providers
	// depends holds Depends and Pre-Depends of each package as they are written;
	// they are resolved when all packages are known.
	depends [][2][]byte
}

// fields are those of a paragraph that are read later than the others.
type fields struct {
	absent                      bool
	source, provides, conffiles []byte
	depends                     [2][]byte
}

func (r *statusReader) read(facts *inventory.Facts) error {
	for r.text.paragraph() {
		p, rest := r.paragraph()
		if p.Name == "" || rest.absent {
			continue
		}
		if len(r.depends) == maxPackages {
			return errPackages
		}
		facts.Packages = append(facts.Packages, p)
		r.depends = append(r.depends, rest.depends)
		r.brings.own(p.Name)
		for clause := range bytes.SplitSeq(rest.provides, []byte(",")) {
			r.brings.add(nameOf(clause), p.Name)
		}
		if files := statedConffiles(rest.conffiles); len(files) > 0 {
			facts.Owned = append(facts.Owned, inventory.Ownership{Type: inventory.Deb, Package: p.Name, Arch: p.Arch, Files: files})
		}
	}
	return nil
}

// paragraph reads one package.
func (r *statusReader) paragraph() (p inventory.Package, rest fields) {
	p = inventory.Package{Type: inventory.Deb, Path: r.path}
	var origin string
	for {
		name, value := r.text.field()
		if name == nil {
			break
		}
		switch string(name) {
		case "package":
			p.Name = r.known.of(value)
		case "status":
			rest.absent = absent(value)
		case "version":
			p.Version = r.known.of(value)
		case "architecture":
			p.Arch = r.known.of(value)
		case "source":
			rest.source = value
		case "essential", "protected":
			p.Essential = p.Essential || string(value) == "yes"
		case "priority":
			p.Essential = p.Essential || string(value) == "required"
		case "installed-size":
			p.Size = kibibytes(value)
		case "maintainer":
			p.Vendor = r.known.of(domain(value))
		case "origin":
			origin = r.known.of(value)
		case "provides":
			rest.provides = value
		case "depends":
			rest.depends[0] = value
		case "pre-depends":
			rest.depends[1] = value
		case "conffiles":
			rest.conffiles = value
		}
	}
	if p.Vendor == "" {
		p.Vendor = origin
	}
	p.Source = inventory.Source{Name: p.Name, Version: p.Version}
	if len(rest.source) > 0 { // "gcc-12 (12.2.0-14)", or without a version where it is the same
		source, version, _ := bytes.Cut(rest.source, []byte("("))
		if source = bytes.TrimSpace(source); len(source) > 0 {
			p.Source.Name = r.known.of(source)
		}
		if version = bytes.TrimSpace(bytes.TrimSuffix(version, []byte(")"))); len(version) > 0 {
			p.Source.Version = r.known.of(version)
		}
	}
	return p, rest
}

// absent says of a Status ("install ok installed") that no files of the package
// are there, its configuration apart. A package that dpkg was interrupted with
// (half-installed, unpacked, half-configured) has left files and is there.
func absent(status []byte) bool {
	state := status[bytes.LastIndexByte(status, ' ')+1:]
	return string(state) == "not-installed" || string(state) == "config-files"
}

// kibibytes turns a number of KiB into bytes; 0 where it is none or absurd.
func kibibytes(text []byte) int64 {
	n, err := strconv.ParseInt(string(text), 10, 50)
	if err != nil || n < 0 {
		return 0
	}
	return n << 10
}

// needs resolves Depends and Pre-Depends: of the alternatives of each clause the
// first that is installed, or else the first.
func (r *statusReader) needs(written [2][]byte) []string {
	var names []string
	for _, value := range written {
		for clause := range bytes.SplitSeq(value, []byte(",")) {
			first := ""
			for choice := range bytes.SplitSeq(clause, []byte("|")) {
				name := nameOf(choice)
				if by, ok := r.brings[string(name)]; ok {
					first = by
					break
				}
				if first == "" {
					first = r.known.of(name)
				}
			}
			names = append(names, first)
		}
	}
	return names
}

// nameOf takes versions, architectures and profiles away: "python3:any (>= 3.9)".
func nameOf(clause []byte) []byte {
	clause = bytes.TrimSpace(clause)
	if end := bytes.IndexAny(clause, " \t\n:([<"); end >= 0 {
		clause = clause[:end]
	}
	return clause
}

// statedConffiles reads the Conffiles of a status: a path, the MD5 sum of the
// file as it was shipped, and flags.
func statedConffiles(value []byte) []inventory.OwnedFile {
	if len(value) == 0 {
		return nil
	}
	var paths, sums block
	_ = lines(value, func(_ int, line []byte) error {
		words := bytes.Fields(line)
		if len(words) < 2 || len(words) > 2 && string(words[2]) == "obsolete" {
			return nil // obsolete: the package has the file no more
		}
		paths.add(words[0])
		if !isMD5(words[1]) { // newconffile, while dpkg is at it
			words[1] = nil
		}
		sums.add(words[1])
		return nil
	})
	files := paths.files()
	sums.each(func(i int, sum string) { files[i].MD5, files[i].Config = sum, true })
	return files
}

// owner tells the package that a file of dpkg's info is about: libc6:amd64.list.
func owner(file string) inventory.Ownership {
	name := path.Base(file)
	name, _, _ = strings.Cut(strings.TrimSuffix(name, path.Ext(name)), "/")
	name, arch, _ := strings.Cut(name, ":")
	return inventory.Ownership{Type: inventory.Deb, Package: strings.Clone(name), Arch: strings.Clone(arch)}
}

// parseList reads the paths of a package. A directory stands before what is in
// it and is left out; empty ones cannot be told from files and stay.
func parseList(f inventory.File, facts *inventory.Facts) error {
	var found block
	var last []byte
	take := func() {
		if len(last) > 0 && string(last) != "/." {
			found.add(last)
		}
	}
	err := lines(f.Body, func(_ int, line []byte) error {
		if len(found.ends) == maxFiles {
			return errFiles
		}
		if !below(line, last) {
			take()
		}
		last = line
		return nil
	})
	take()
	o := owner(f.Path)
	if o.Files = found.files(); len(o.Files) > 0 {
		facts.Owned = append(facts.Owned, o)
	}
	return err
}

// below says that a path stands in a directory.
func below(p, dir []byte) bool {
	return len(p) > len(dir) && p[len(dir)] == '/' && bytes.HasPrefix(p, dir)
}

// parseMD5Sums reads the sums of the files of a package, conffiles apart.
func parseMD5Sums(f inventory.File, facts *inventory.Facts) error {
	var paths, sums block
	var malformed error
	err := lines(f.Body, func(n int, line []byte) error {
		sum, name, ok := bytes.Cut(line, []byte(" "))
		if name = bytes.TrimPrefix(name, []byte(" ")); !ok || !isMD5(sum) || len(name) == 0 {
			if malformed == nil {
				malformed = fmt.Errorf("line %d: not an MD5 sum and a path", n)
			}
			return nil
		}
		if len(paths.ends) == maxFiles {
			return errFiles
		}
		paths.add(name)
		sums.add(sum)
		return nil
	})
	o := owner(f.Path)
	o.Files = paths.files()
	sums.each(func(i int, sum string) { o.Files[i].MD5 = sum })
	if len(o.Files) > 0 {
		facts.Owned = append(facts.Owned, o)
	}
	return errors.Join(malformed, err)
}

// isMD5 says whether a text is an MD5 sum as md5sum writes it.
func isMD5(sum []byte) bool {
	var out [16]byte
	if len(sum) != hex.EncodedLen(len(out)) || bytes.ContainsAny(sum, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(out[:], sum)
	return err == nil
}

// parseConffiles reads the paths of a package that people are meant to change. A
// flag may stand before a path (remove-on-upgrade).
func parseConffiles(f inventory.File, facts *inventory.Facts) error {
	var found block
	err := lines(f.Body, func(_ int, line []byte) error {
		if line[0] != '/' {
			return nil // remove-on-upgrade: the package has the file no more
		}
		if len(found.ends) == maxFiles {
			return errFiles
		}
		found.add(line)
		return nil
	})
	o := owner(f.Path)
	if o.Files = found.files(); len(o.Files) > 0 {
		for i := range o.Files {
			o.Files[i].Config = true
		}
		facts.Owned = append(facts.Owned, o)
	}
	return err
}

// parseDiversions reads three lines for each: the path, where other packages'
// files of this path are put, and the package that took it, or a colon.
func parseDiversions(f inventory.File, facts *inventory.Facts) error {
	by := map[string]int{} // 1 + the index of the Ownership
	var parts []string
	err := lines(f.Body, func(n int, line []byte) error {
		if n > maxFiles {
			return errFiles
		}
		if parts = append(parts, string(line)); len(parts) < 3 {
			return nil
		}
		name, _, _ := strings.Cut(parts[2], ":")
		if by[name] == 0 {
			facts.Owned = append(facts.Owned, inventory.Ownership{Type: inventory.Deb, Package: name})
			by[name] = len(facts.Owned)
		}
		o := &facts.Owned[by[name]-1]
		o.Diversions = append(o.Diversions, inventory.Diversion{From: rooted(parts[0]), To: rooted(parts[1])})
		parts = parts[:0]
		return nil
	})
	if err == nil && len(parts) > 0 {
		err = fmt.Errorf("it ends with %q, and not with three lines for a diversion", parts[len(parts)-1])
	}
	return err
}
