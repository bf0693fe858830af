// Package jar tells which Maven artifacts a Java archive holds: the archive
// itself, archives inside of it, and artifacts that were merged into it and left
// their metadata behind.
//
// What Maven, Jenkins or NiFi wrote into the archive is taken as it is. Where
// there is nothing of the kind the file's name and its manifest are read, and the
// package is marked as guessed. A group is never made up of vendors and titles:
// it comes from metadata, from the layout of a repository, or from a table of
// well known artifacts, and else the package is named by its artifact alone.
package jar

import (
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// Limits of one file, nested archives and all.
const (
	MaxFile     = 256 << 20 // bytes of the file, and of each archive in it
	MaxInflated = 512 << 20 // bytes inflated, and bytes of nested archives read in place
	MaxDepth    = 6         // archives within archives

	maxEntries  = 1 << 19 // entries of each archive
	maxArchives = 1 << 14 // archives in all
	maxMetadata = 1 << 20 // bytes of a manifest, pom.properties or pom.xml
	maxPoms     = 1 << 14 // packages in all
	maxProblems = 20
)

// Parsers returns the reader of Java archives.
func Parsers() []inventory.Parser {
	return []inventory.Parser{{
		Name: "jar/1",
		Wants: func(name string, mode fs.FileMode, size int64) bool {
			return size >= 22 && mode.IsRegular() && isArchive(name)
		},
		Limit: MaxFile,
		Parse: parse,
	}}
}

func isArchive(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear", ".hpi", ".jpi", ".par", ".sar", ".nar":
		return true
	}
	return false
}

func parse(f inventory.File, facts *inventory.Facts) error {
	r := &reader{path: f.Path, left: MaxInflated, facts: facts}
	err := r.archive(f.Body, "", 0)
	if r.unsaid > 0 {
		facts.Problems = append(facts.Problems, fmt.Sprintf("%d more problems of archives inside", r.unsaid))
	}
	return err
}

// reader reads one file with the archives in it.
type reader struct {
	path     string
	left     int64 // bytes that may still be inflated
	archives int
	facts    *inventory.Facts
	problems int
	unsaid   int
}

var errBudget = fmt.Errorf("more than %d bytes in it when inflated: the rest is not read", MaxInflated)

// archive reads the archive at a place inside of the file; inside is empty for
// the file itself.
func (r *reader) archive(body []byte, inside string, depth int) error {
	if r.archives++; r.archives > maxArchives {
		return fmt.Errorf("more than %d archives in one file: the rest is not read", maxArchives)
	}
	// Each entry has this mark in the directory. Counting first bounds the memory
	// that the directory is turned into.
	if n := bytes.Count(body, []byte("PK\x01\x02")); n > maxEntries {
		return fmt.Errorf("%d entries are more than %d", n, maxEntries)
	}
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return fmt.Errorf("no zip archive: %w", err)
	}
	c, err := r.clues(z, inside)
	if err != nil {
		return err
	}
	r.add(c.packages(r.path, inside))
	for _, f := range z.File {
		if !isArchive(f.Name) || f.FileInfo().IsDir() {
			continue
		}
		if err := r.nested(body, f, inside, depth); err != nil {
			return err
		}
	}
	return nil
}

// nested reads an archive inside of an archive. The error is one that ends the
// whole file.
func (r *reader) nested(body []byte, f *zip.File, inside string, depth int) error {
	where := f.Name
	if inside != "" {
		where = inside + "!/" + f.Name
	}
	where = strings.ToValidUTF8(where, "\uFFFD")
	if depth+1 > MaxDepth {
		r.complain(where, fmt.Errorf("archives in archives are read %d deep", MaxDepth))
		return nil
	}
	inner, err := r.stored(body, f)
	if inner == nil && err == nil {
		inner, err = r.read(f, MaxFile)
	}
	if err == nil {
		err = r.archive(inner, where, depth+1)
	}
	if errors.Is(err, errBudget) {
		return err
	}
	if err != nil {
		r.complain(where, err)
	}
	return nil
}

func (r *reader) complain(where string, err error) {
	if r.problems++; r.problems > maxProblems {
		r.unsaid++
		return
	}
	r.facts.Problems = append(r.facts.Problems, fmt.Sprintf("%.200s: %v", where, err))
}

// stored returns an entry that is not compressed without copying it, as Spring
// Boot and other loaders ask for; nil if it is compressed.
func (r *reader) stored(body []byte, f *zip.File) ([]byte, error) {
	if f.Method != zip.Store || f.Flags&1 != 0 {
		return nil, nil
	}
	at, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	if at < 0 || at > int64(len(body)) || f.CompressedSize64 > uint64(len(body[at:])) {
		return nil, errors.New("it reaches beyond the end of the archive around it")
	}
	inner := body[at:][:f.CompressedSize64]
	if r.left -= int64(len(inner)); r.left < 0 {
		return nil, errBudget
	}
	return inner, nil
}

// read inflates an entry of at most limit bytes.
func (r *reader) read(f *zip.File, limit int64) ([]byte, error) {
	if f.Flags&1 != 0 {
		return nil, errors.New("it is encrypted")
	}
	size := f.FileInfo().Size()
	if size < 0 || size > limit {
		return nil, fmt.Errorf("%d bytes are more than %d", f.UncompressedSize64, limit)
	}
	if r.left < size {
		return nil, errBudget
	}
	in, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	defer in.Close() //nolint:errcheck // it is only read
	// The stated size is the attacker's: memory grows with what really comes.
	var out bytes.Buffer
	out.Grow(int(min(size, 64<<10, limit)))
	n, err := io.Copy(&out, io.LimitReader(in, size))
	if r.left -= n; err != nil {
		return nil, fmt.Errorf("inflating: %w", err)
	}
	return out.Bytes(), nil
}

// clues collects what an archive says of itself.
func (r *reader) clues(z *zip.Reader, inside string) (*clues, error) {
	c := &clues{poms: map[string]*pom{}}
	models := map[string]*zip.File{}
	for _, f := range z.File {
		var err error
		switch dir, file := path.Split(f.Name); {
		case strings.EqualFold(f.Name, "META-INF/MANIFEST.MF") && c.manifest == nil:
			var b []byte
			b, err = r.metadata(f, inside)
			c.manifest = readManifest(b)
		case !strings.HasPrefix(dir, "META-INF/maven/") || strings.Count(dir, "/") != 4 || len(c.poms) >= maxPoms:
		case file == "pom.xml":
			models[dir] = f
		case file == "pom.properties":
			var b []byte
			b, err = r.metadata(f, inside)
			c.poms[dir] = &pom{properties: readProperties(b)}
		}
		if err != nil {
			return nil, err
		}
	}
	// The model is longer and leaves much to its parents: it is read where the
	// properties do not say all.
	for dir, f := range models {
		p := c.poms[dir]
		if p == nil && len(c.poms) < maxPoms {
			p = &pom{}
			c.poms[dir] = p
		}
		if p == nil || p.properties.complete() {
			continue
		}
		b, err := r.metadata(f, inside)
		if err != nil {
			return nil, err
		}
		p.model = readModel(b)
	}
	return c, nil
}

// metadata reads a small file. An error ends the whole file; others are noted.
func (r *reader) metadata(f *zip.File, inside string) ([]byte, error) {
	b, err := r.read(f, maxMetadata)
	if err != nil && !errors.Is(err, errBudget) {
		r.complain(strings.TrimPrefix(inside+"!/"+strings.ToValidUTF8(f.Name, "\uFFFD"), "!/"), err)
		return nil, nil
	}
	return b, err
}

func (r *reader) add(packages []inventory.Package) {
	room := max(maxPoms-len(r.facts.Packages), 0)
	if len(packages) > room {
		r.complain("", fmt.Errorf("more than %d packages: the rest is left out", maxPoms))
		packages = packages[:room]
	}
	r.facts.Packages = append(r.facts.Packages, packages...)
}

// clues is what an archive says of itself.
type clues struct {
	manifest map[string]string
	poms     map[string]*pom // by their folder
}

// pom is Maven's metadata of one artifact.
type pom struct{ properties, model coordinates }

// coordinates name an artifact.
type coordinates struct{ group, artifact, version string }

func (c coordinates) complete() bool {
	return isName(c.group) && isName(c.artifact) && isVersion(c.version)
}

// pick joins what the properties, the model and the folder's name say.
func (p *pom) pick(dir string) (coordinates, bool) {
	var out coordinates
	parts := strings.Split(strings.TrimSuffix(dir, "/"), "/")
	for _, c := range []coordinates{p.properties, p.model, {group: parts[2], artifact: parts[3]}} {
		if out.group == "" && isName(c.group) {
			out.group = c.group
		}
		if out.artifact == "" && isName(c.artifact) {
			out.artifact = c.artifact
		}
		if out.version == "" && isVersion(c.version) {
			out.version = c.version
		}
	}
	return out, out.complete()
}

// packages tells what is in the archive: the artifacts whose metadata are in it,
// and the archive itself where those do not say what it is.
func (c *clues) packages(file, inside string) []inventory.Package {
	var found []coordinates
	for dir, p := range c.poms {
		if co, ok := p.pick(dir); ok {
			found = append(found, co)
		}
	}
	slices.SortFunc(found, func(a, b coordinates) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.artifact, b.artifact), strings.Compare(a.version, b.version))
	})
	found = slices.Compact(found)
	var out []inventory.Package
	for _, co := range found {
		out = append(out, co.pkg(file, inside, inventory.Installed))
	}
	if self, evidence, ok := c.self(cmp.Or(inside, file), found); ok {
		out = append(out, self.pkg(file, inside, evidence))
	}
	return out
}

func (c coordinates) pkg(file, inside string, evidence inventory.Evidence) inventory.Package {
	name := c.artifact
	if c.group != "" {
		name = c.group + ":" + c.artifact
	}
	return inventory.Package{
		Type: inventory.Maven, Name: name, Version: c.version, Path: file, Inside: inside, Evidence: evidence,
	}
}
