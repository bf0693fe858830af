package lang

import (
	"io/fs"
	"strings"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

const nodeModules = "node_modules/"

// installedNPM wants the package.json of each package directly under a
// node_modules folder, which also finds those in the store of pnpm.
func installedNPM(path string, _ fs.FileMode, _ int64) bool {
	folder, ok := strings.CutSuffix(path, "/package.json")
	if !ok {
		return false
	}
	i := strings.LastIndex(folder, nodeModules)
	if i < 0 || i > 0 && folder[i-1] != '/' {
		return false
	}
	name := folder[i+len(nodeModules):]
	slashes := strings.Count(name, "/")
	return name != "" && slashes == strings.Count(name[:1], "@")
}

// parsePackageJSON reads the package.json of an installed package. One without
// a name or version is no package but part of one, and tells nothing.
func parsePackageJSON(f inventory.File, facts *inventory.Facts) error {
	p := inventory.Package{Type: inventory.NPM, Path: f.Path}
	s := scan{b: text(f.Body)}
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "name":
			p.Name, err = s.str()
		case "version":
			p.Version, err = s.str()
		case "license", "licenses":
			p.Licenses, err = s.licenses()
		default:
			err = s.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if p.Name != "" && p.Version != "" {
		addInstalled(p, facts)
	}
	return nil
}

// licenses reads what package.json may hold: an SPDX expression, and in old
// packages an object with a type, or a list of either.
func (s *scan) licenses() ([]string, error) {
	switch s.space() {
	case '{':
		var kind string
		err := s.object(func(key []byte) (err error) {
			if string(key) == "type" {
				kind, err = s.str()
				return err
			}
			return s.skip()
		})
		return word(kind), err
	case '[':
		var all []string
		err := s.list(func() error {
			if s.space() == '[' {
				return s.skip()
			}
			one, err := s.licenses()
			all = append(all, one...)
			return err
		})
		return all, err
	}
	expression, err := s.str()
	return word(expression), err
}

// parsePackageLock reads package-lock.json and npm-shrinkwrap.json. Versions 2
// and 3 list the places of packages, version 1 nests them; version 2 does both
// and says more in the list.
func parsePackageLock(f inventory.File, facts *inventory.Facts) error {
	root, err := parseJSON(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.NPM, inventory.Locked)
	defer l.close()
	if places := root.Get("packages"); places != nil {
		for _, place := range places.Map() {
			l.addPlace(place)
		}
		return nil
	}
	l.addNested(root.Get("dependencies"))
	return nil
}

// addPlace tells of "node_modules/a/node_modules/b". Other places are the
// project and its workspaces, and links lead to those.
func (l *listing) addPlace(place document.Field) {
	i := strings.LastIndex(place.Key, nodeModules)
	if link, _ := place.Value.Get("link").Bool(); link || i < 0 || unresolved(place.Value) {
		return
	}
	name := place.Key[i+len(nodeModules):]
	if aliased := place.Value.Get("name").Str(); aliased != "" {
		name = aliased
	}
	dev, _ := place.Value.Get("dev").Bool()
	l.addFrom(originOf(place.Value.Get("resolved").Str()), inventory.Package{
		Name:     name,
		Version:  place.Value.Get("version").Str(),
		Dev:      dev,
		Line:     int(place.Pos.Line),
		Licenses: word(place.Value.Get("license").Str()),
	})
}

// unresolved says whether npm found no version of a package that may be left
// out, and noted no more than that.
func unresolved(entry *document.Node) bool {
	optional, _ := entry.Get("optional").Bool()
	return optional && entry.Get("version") == nil
}

// addNested tells of the dependencies of a lock file of version 1. The parser
// of JSON bounds how deep they nest.
func (l *listing) addNested(dependencies *document.Node) {
	for _, d := range dependencies.Map() {
		if unresolved(d.Value) {
			continue
		}
		name, version := d.Key, d.Value.Get("version").Str()
		from := originOf(d.Value.Get("resolved").Str())
		if alias, ok := strings.CutPrefix(version, "npm:"); ok {
			name, version = splitSpec(alias)
		} else if strings.Contains(version, ":") { // git+ssh://..., file:..., https://...
			from = versionless(version)
		}
		dev, _ := d.Value.Get("dev").Bool()
		l.addFrom(from, inventory.Package{Name: name, Version: version, Dev: dev, Line: int(d.Pos.Line)})
		l.addNested(d.Value.Get("dependencies"))
	}
}

// splitSpec splits name@range and @scope/name@range.
func splitSpec(spec string) (name, wish string) {
	if spec == "" {
		return "", ""
	}
	i := strings.IndexByte(spec[1:], '@')
	if i < 0 {
		return spec, ""
	}
	return spec[:i+1], spec[i+2:]
}
