package imagescan

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/jar"
	"seawall.io/seawall/internal/inventory/lang"
	"seawall.io/seawall/internal/inventory/license"
	"seawall.io/seawall/internal/secret"
	"seawall.io/seawall/internal/vuln"
)

// SourceOptions say how to search a source tree.
type SourceOptions struct {
	Options
	// Exclude leaves out files and folders by name or path, as manifest.Walk does.
	Exclude []string
	// HistoryTime is how long searching the history may take; 0 means two minutes.
	HistoryTime time.Duration
	// Known says that a file's credentials are somebody else's business, and Once
	// whether a file comes for the first time.
	Known, Once func(name string) bool
}

// SourceTree is what was found beside manifests in a folder or a file.
type SourceTree struct {
	// Objects are of the kind SourceFile, one for each file that names dependencies
	// with known flaws or holds credentials.
	Objects  []*cluster.Object
	Packages []inventory.Package
	// Examples counts credentials that look like those of documentation or tests.
	Examples     int
	Incomplete   []seawall.Incomplete
	NotEvaluated []seawall.Incomplete
	Skipped      []seawall.Skipped
}

// otherProjects are folders that hold the code of others, as a package manager
// put it there: what of it is used stands in a lock file.
//
//nolint:gochecknoglobals // a constant table
var otherProjects = map[string]bool{".git": true, "node_modules": true, ".hg": true, ".svn": true}

// Sources searches a folder, or one file, for what lock files ask for and for
// credentials. Symbolic links are not followed.
func Sources(ctx context.Context, root string, o SourceOptions) (*SourceTree, error) {
	reader := newReader(&o.Options)
	reader.Parsers, reader.ELF = slices.Concat(lang.Parsers(), jar.Parsers()), nil
	reader.Begin()
	out := &SourceTree{}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if e != nil && e.IsDir() { // package manifest has named it
				return fs.SkipDir
			}
			return nil
		}
		if name != root && excluded(root, name, o.Exclude) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			if name != root && otherProjects[e.Name()] {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() || (o.Once != nil && !o.Once(name)) {
			return nil
		}
		return out.add(reader, name, e)
	})
	if err != nil {
		return nil, fmt.Errorf("searching %s: %w", root, err)
	}
	tree, err := image.Merge([]*image.Layer{reader.End()})
	if err != nil {
		return nil, fmt.Errorf("searching %s: %w", root, err)
	}
	past, err := out.searchHistory(ctx, root, &o)
	if err != nil {
		return nil, fmt.Errorf("searching the history of %s: %w", root, err)
	}
	out.take(tree, past, &o)
	return out, nil
}

// add reads one file.
func (s *SourceTree) add(reader *image.Reader, name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return nil //nolint:nilerr // it is gone meanwhile
	}
	f, err := os.Open(name)
	if err != nil {
		s.hole(name, fmt.Sprintf("cannot be read: %v", errors.Unwrap(err)))
		return nil
	}
	defer f.Close() //nolint:errcheck // nothing was written
	h := &tar.Header{Typeflag: tar.TypeReg, Name: mark(name), Mode: int64(info.Mode().Perm()), Size: info.Size()}
	if err := reader.Add(h, f); err != nil {
		s.hole(name, err.Error())
	}
	return nil
}

// Paths above the working directory would leave the tree's root: they are kept
// under a name that no file has.
const above = "\x01above"

func mark(name string) string {
	parts := strings.Split(filepath.ToSlash(filepath.Clean(name)), "/")
	for i, p := range parts {
		if p == ".." {
			parts[i] = above
		}
	}
	if parts[0] == "" {
		parts[0] = above + "root"
	}
	return strings.Join(parts, "/")
}

func unmark(name string) string {
	name = strings.ReplaceAll(name, above+"root/", "/")
	return strings.ReplaceAll(name, above, "..")
}

func excluded(root, name string, patterns []string) bool {
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return false
	}
	rel = filepath.ToSlash(rel)
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = strings.TrimSuffix(strings.TrimPrefix(p, "./"), "/")
		whole, _ := path.Match(p, rel)
		last, _ := path.Match(p, path.Base(rel))
		return whole || last
	})
}

func (s *SourceTree) skip(name, reason string) {
	s.Skipped = append(s.Skipped, seawall.Skipped{File: filepath.ToSlash(name), Reason: reason})
}

func (s *SourceTree) hole(name, reason string) {
	s.Incomplete = append(s.Incomplete, seawall.Incomplete{
		Location: seawall.Location{File: filepath.ToSlash(name)}, Reason: reason,
	})
}

// take makes objects of what the files gave away, and of what their past did.
func (s *SourceTree) take(tree *image.Tree, past []placedHit, o *SourceOptions) {
	for _, p := range tree.Problems {
		s.hole(unmark(p.Path), p.Reason)
	}
	type found struct {
		secrets  []secret.Hit
		flaws    []placedFlaw
		licenses []placedLicense
	}
	files := map[string]*found{}
	at := func(name string) *found {
		if files[name] == nil {
			files[name] = &found{}
		}
		return files[name]
	}
	type credential struct{ rule, fingerprint string }
	today := map[credential]bool{}
	for f := range tree.All() {
		facts := f.Facts()
		if facts == nil {
			continue
		}
		name := unmark(f.Path())
		for _, h := range facts.Secrets {
			today[credential{h.Rule, h.Fingerprint}] = true
		}
		if len(facts.Secrets) > 0 && (o.Known == nil || !o.Known(name)) {
			at(name).secrets = facts.Secrets
			for _, h := range facts.Secrets {
				if h.Example {
					s.Examples++
				}
			}
		}
		for _, p := range facts.Packages {
			p.Path = name
			s.Packages = append(s.Packages, p)
		}
	}
	for _, h := range past {
		if today[credential{h.Rule, h.Fingerprint}] {
			continue
		}
		if h.Example {
			s.Examples++
		}
		at(h.place).secrets = append(at(h.place).secrets, h.Hit)
	}
	for _, m := range s.judge(o) {
		at(m.Package.Path).flaws = append(at(m.Package.Path).flaws, placedFlaw{m.Package.Line, m.Vulnerability})
	}
	if o.Licenses {
		for i := range s.Packages {
			p := &s.Packages[i]
			at(p.Path).licenses = append(at(p.Path).licenses, placedLicense{p.Line, license.Of(p), strings.TrimSpace(p.Name + " " + p.Version)})
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.Objects = append(s.Objects, sourceFile(name, files[name].secrets, files[name].flaws, files[name].licenses))
	}
}

// judge holds the dependencies against the database.
func (s *SourceTree) judge(o *SourceOptions) []vuln.Match {
	if len(s.Packages) == 0 {
		return nil
	}
	if o.Database == nil {
		s.NotEvaluated = append(s.NotEvaluated, seawall.Incomplete{Check: "dependency-vulnerability", Reason: fmt.Sprintf(
			"needs a vulnerability database: %d dependencies were not held against known vulnerabilities: %s", len(s.Packages), o.NoDatabase)})
		return nil
	}
	res := vuln.Judge(inventory.Inventory{Packages: s.Packages}, o.Database, vuln.Options{})
	for _, g := range res.NotEvaluated {
		s.NotEvaluated = append(s.NotEvaluated, seawall.Incomplete{Check: "dependency-vulnerability", Reason: gapText(g)})
	}
	for i := range res.Matches {
		res.Matches[i].Vulnerability.RCE = res.Matches[i].RCE
	}
	for i := range res.NotAffected {
		m := res.NotAffected[i].Match
		m.Vulnerability.Excluded = res.NotAffected[i].Detail
		res.Matches = append(res.Matches, m)
	}
	return res.Matches
}

type placedFlaw struct {
	line int
	seawall.Vulnerability
}

// placedLicense is what a dependency states of its licence, and where it is
// asked for.
type placedLicense struct {
	line                int
	license, dependency string
}

// sourceFile is a file as the checks see it. Its lists know the lines that their
// items stand on.
func sourceFile(name string, secrets []secret.Hit, flaws []placedFlaw, licenses []placedLicense) *cluster.Object {
	slices.SortStableFunc(flaws, func(a, b placedFlaw) int { return a.line - b.line })
	vulnerabilities := make([]seawall.Vulnerability, len(flaws))
	for i := range flaws {
		vulnerabilities[i] = flaws[i].Vulnerability
	}
	slices.SortStableFunc(licenses, func(a, b placedLicense) int { return a.line - b.line })
	stated := make([]any, len(licenses))
	for i, l := range licenses {
		stated[i] = map[string]any{"license": l.license, "package": l.dependency}
	}
	fields := map[string]any{
		"apiVersion": "seawall.io/v1", "kind": "SourceFile", "metadata": map[string]any{"name": name},
		"secrets": document.FromValue(secrets), "vulnerabilities": document.FromValue(vulnerabilities),
	}
	if len(stated) > 0 {
		fields["licenses"] = stated
	}
	root := document.FromValue(fields)
	for i, item := range root.Get("licenses").List() {
		item.Pos = document.Pos{Line: int32(licenses[i].line), Column: 1} //nolint:gosec // files are smaller
	}
	for i, item := range root.Get("secrets").List() {
		if secrets[i].Object != "" {
			continue // the line is of another version of the file
		}
		item.Pos = document.Pos{Line: int32(secrets[i].Line), Column: int32(secrets[i].Column)} //nolint:gosec // files are smaller
	}
	for i, item := range root.Get("vulnerabilities").List() {
		item.Pos = document.Pos{Line: int32(flaws[i].line), Column: 1} //nolint:gosec // files are smaller
	}
	o, _ := cluster.New(root)
	o.File = name
	return o
}
