package lang

import (
	"io/fs"
	"strings"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

// lockedPython reads a lock file in TOML with the given list of packages, and
// asks of each entry where it came from and whether it is for development.
func lockedPython(f inventory.File, facts *inventory.Facts, list string, judge func(root *document.Node) (from func(*document.Node) origin, dev func(*document.Node) bool)) error {
	root, err := parseTOML(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.PyPI, inventory.Locked)
	defer l.close()
	from, dev := judge(root)
	for _, p := range root.Get(list).List() {
		l.addFrom(from(p), inventory.Package{
			Name:    normalPyPI(p.Get("name").Str()),
			Version: p.Get("version").Str(),
			Dev:     dev(p),
			Line:    lineOf(p, "name"),
		})
	}
	return nil
}

// parsePoetry reads poetry.lock. Until version 1.4 it had a category, since 2.0
// it has groups, and between them it does not tell.
func parsePoetry(f inventory.File, facts *inventory.Facts) error {
	return lockedPython(f, facts, "package", func(*document.Node) (func(*document.Node) origin, func(*document.Node) bool) {
		from := func(p *document.Node) origin {
			switch p.At("source", "type").Str() {
			case "directory", "file":
				return local
			case "git", "url":
				return elsewhere
			}
			return registry // PyPI, or another index (legacy)
		}
		dev := func(p *document.Node) bool {
			if category := p.Get("category").Str(); category != "" {
				return category == "dev"
			}
			return all(p.Get("groups").List(), func(group string) bool { return group != "main" })
		}
		return from, dev
	})
}

// parsePDM reads pdm.lock. Its groups are both those of development and those
// that users may choose, so that only their names tell them apart.
func parsePDM(f inventory.File, facts *inventory.Facts) error {
	return lockedPython(f, facts, "package", func(*document.Node) (func(*document.Node) origin, func(*document.Node) bool) {
		from := func(p *document.Node) origin {
			switch {
			case p.Get("path") != nil:
				return local
			case p.Get("git") != nil, p.Get("hg") != nil, p.Get("svn") != nil, p.Get("url") != nil:
				return elsewhere
			}
			return registry
		}
		dev := func(p *document.Node) bool { return all(p.Get("groups").List(), forDevelopment) }
		return from, dev
	})
}

// pylock wants pylock.toml and pylock.<name>.toml (PEP 751).
func pylock(path string, mode fs.FileMode, size int64) bool {
	base := path[strings.LastIndexByte(path, '/')+1:]
	name, ok := strings.CutPrefix(base, "pylock.")
	return ok && strings.HasSuffix(name, "toml") && strings.Count(name, ".") <= 1 && project(base)(path, mode, size)
}

// parsePylock reads pylock.toml, which does not tell what is for development.
func parsePylock(f inventory.File, facts *inventory.Facts) error {
	return lockedPython(f, facts, "packages", func(*document.Node) (func(*document.Node) origin, func(*document.Node) bool) {
		from := func(p *document.Node) origin {
			switch {
			case p.Get("directory") != nil, p.At("archive", "path") != nil:
				return local
			case p.Get("vcs") != nil, p.Get("archive") != nil:
				return elsewhere
			}
			return registry
		}
		return from, func(*document.Node) bool { return false }
	})
}

// parseUV reads uv.lock. It holds the project's own packages with what each of
// them needs, so that the graph tells what only development needs.
func parseUV(f inventory.File, facts *inventory.Facts) error {
	return lockedPython(f, facts, "package", func(root *document.Node) (func(*document.Node) origin, func(*document.Node) bool) {
		only := uvDevelopment(root.Get("package").List())
		dev := func(p *document.Node) bool { return only[p.Get("name").Str()] }
		return uvOrigin, dev
	})
}

func uvOrigin(p *document.Node) origin {
	source := p.Get("source")
	switch {
	case source.Get("registry") != nil, source == nil:
		return registry
	case source.Get("git") != nil, source.Get("url") != nil:
		return elsewhere
	}
	return local // virtual, editable, directory, path
}

// uvDevelopment returns the names of what only development needs. Extras count
// as needed.
func uvDevelopment(packages []*document.Node) map[string]bool {
	asks := make(map[string][]string, len(packages))
	var use, development []string
	for _, p := range packages {
		name := p.Get("name").Str()
		if uvOrigin(p) == local {
			use = append(use, name)
		}
		for _, group := range p.Get("dev-dependencies").Map() {
			development = names(development, group.Value)
		}
		next := names(asks[name], p.Get("dependencies"))
		for _, extra := range p.Get("optional-dependencies").Map() {
			next = names(next, extra.Value)
		}
		asks[name] = next
	}
	return developmentOnly(use, development, func(name string) []string { return asks[name] })
}

func names(to []string, list *document.Node) []string {
	for _, item := range list.List() {
		to = append(to, item.Get("name").Str())
	}
	return to
}

// parsePipfile reads Pipfile.lock.
func parsePipfile(f inventory.File, facts *inventory.Facts) error {
	root, err := parseJSON(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.PyPI, inventory.Locked)
	defer l.close()
	for _, section := range root.Map() {
		if section.Key == "_meta" {
			continue
		}
		for _, entry := range section.Value.Map() {
			p := entry.Value
			from := registry
			switch {
			case p.Get("path") != nil, p.Get("editable") != nil && p.Get("git") == nil:
				from = local
			case p.Get("git") != nil, p.Get("file") != nil:
				from = elsewhere
			}
			version, pinned := strings.CutPrefix(p.Get("version").Str(), "==")
			if !pinned {
				version = ""
			}
			l.addFrom(from, inventory.Package{
				Name:    normalPyPI(entry.Key),
				Version: version,
				Dev:     section.Key == "develop" || forDevelopment(section.Key),
				Line:    int(entry.Pos.Line),
			})
		}
	}
	return nil
}

// lineOf returns the line of a key of a map, or of the map itself.
func lineOf(n *document.Node, key string) int {
	for _, field := range n.Map() {
		if field.Key == key {
			return int(field.Pos.Line)
		}
	}
	return int(n.Pos.Line)
}

// all says whether there are strings in a list and each of them passes.
func all(list []*document.Node, pass func(string) bool) bool {
	for _, item := range list {
		if !pass(item.Str()) {
			return false
		}
	}
	return len(list) > 0
}

// forDevelopment says whether the name of a file or a group says that it is for
// work on the project only: dev-requirements, test, docs.
func forDevelopment(name string) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r < 'a' || r > 'z' })
	for _, word := range words {
		switch word {
		case "dev", "devel", "develop", "development", "test", "tests", "testing", "lint", "linting", "typing", "doc", "docs":
			return true
		}
	}
	return false
}
