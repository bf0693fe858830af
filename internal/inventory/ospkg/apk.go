package ospkg

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// parseAPK reads the database of apk: a letter, a colon and a value on each
// line, and an empty line after each package.
//
// Checksums of files (Z) are SHA-1 and are not told: nobody can hold them against
// a file that is hashed by MD5 and SHA-256.
func parseAPK(f inventory.File, facts *inventory.Facts) error {
	r := apkReader{path: strings.Clone(f.Path), known: words{}, brings: providers{}, budget: budgetOf(len(f.Body))}
	first := len(facts.Packages)
	var malformed error
	text := f.Body
	for n := 1; len(text) > 0; n++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			if err := r.end(facts, len(facts.Packages)-first); err != nil {
				return err
			}
			continue
		}
		if len(line) < 2 || line[1] != ':' {
			if malformed == nil {
				malformed = fmt.Errorf("line %d: not a letter, a colon and a value", n)
			}
			continue
		}
		if err := r.field(line[0], line[2:]); err != nil {
			return err
		}
	}
	err := r.end(facts, len(facts.Packages)-first)
	packages := facts.Packages[first:]
	for i := range packages {
		packages[i].Depends = dependencies(r.needs(r.depends[i]), packages[i].Name)
	}
	return errors.Join(malformed, err)
}

type apkReader struct {
	path   string
	known  words
	brings providers
	// depends holds what each package needs, as written, until all are known.
	depends [][]byte

	p             inventory.Package
	need, provide []byte
	dir           []byte
	files         block
	budget        budget
}

func (r *apkReader) field(letter byte, value []byte) error {
	switch letter {
	case 'P':
		r.p.Name = r.known.of(value)
	case 'V':
		r.p.Version = r.known.of(value)
	case 'A':
		r.p.Arch = r.known.of(value)
	case 'o':
		r.p.Source.Name = r.known.of(value)
	case 'L':
		if len(value) > 0 {
			r.p.Licenses = []string{r.known.of(value)}
		}
	case 'I':
		r.p.Size, _ = strconv.ParseInt(string(value), 10, 62)
		r.p.Size = max(r.p.Size, 0)
	case 'm':
		r.p.Vendor = r.known.of(domain(value))
	case 'D':
		r.need = value
	case 'p':
		r.provide = value
	case 'F':
		r.dir = value
	case 'R':
		if err := r.budget.spend(len(r.dir) + 1 + len(value)); err != nil {
			return err
		}
		if len(r.dir) == 0 {
			r.files.add(value)
		} else {
			r.files.add(r.dir, []byte("/"), value)
		}
	}
	return nil
}

// end takes the package over that the lines until now were about.
func (r *apkReader) end(facts *inventory.Facts, have int) error {
	p, files := r.p, r.files.files()
	need, provide := r.need, r.provide
	r.p, r.need, r.provide, r.dir = inventory.Package{}, nil, nil, nil
	if p.Name == "" {
		return nil
	}
	if have == maxPackages {
		return errPackages
	}
	p.Type, p.Path = inventory.APK, r.path
	if p.Source.Name == "" {
		p.Source.Name = p.Name
	}
	p.Source.Version = p.Version // one APKBUILD has one version for all that it makes
	facts.Packages = append(facts.Packages, p)
	r.depends = append(r.depends, need)
	r.brings.own(p.Name)
	for what := range bytes.FieldsSeq(provide) {
		r.brings.add(unversioned(what), p.Name)
	}
	if len(files) > 0 {
		facts.Owned = append(facts.Owned, inventory.Ownership{Type: inventory.APK, Package: p.Name, Arch: p.Arch, Files: files})
	}
	return nil
}

// needs resolves what a package needs to names of packages: so:libz.so.1,
// cmd:bash and pc:zlib stand for the package that provides them. What nobody
// provides is left out, unless it is a package's name; so are conflicts.
func (r *apkReader) needs(written []byte) []string {
	var names []string
	for what := range bytes.FieldsSeq(written) {
		if what[0] == '!' {
			continue
		}
		what = unversioned(what)
		if by, ok := r.brings[string(what)]; ok {
			names = append(names, by)
		} else if !bytes.ContainsAny(what, ":/") {
			names = append(names, r.known.of(what))
		}
	}
	return names
}

// unversioned takes the version away: zlib>=1.2, so:libz.so.1=1.3.1, and the
// repository's tag: nginx@edge.
func unversioned(what []byte) []byte {
	if end := bytes.IndexAny(what, "=<>~@"); end >= 0 {
		return what[:end]
	}
	return what
}
