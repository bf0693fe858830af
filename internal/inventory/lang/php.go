package lang

import (
	"io/fs"
	"strings"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

// installedComposer wants what Composer writes beside the code it installs.
func installedComposer(path string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(path, "/composer/installed.json") || path == "composer/installed.json"
}

// parseComposerInstalled reads installed.json: a list of packages, since version
// 2 inside an object that also names those for development.
func parseComposerInstalled(f inventory.File, facts *inventory.Facts) error {
	root, err := parseJSON(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.Composer, inventory.Installed)
	defer l.close()
	packages := root
	if root.Kind() == document.Map {
		packages = root.Get("packages")
	}
	dev := make(map[string]bool)
	for _, name := range root.Get("dev-package-names").List() {
		dev[name.Str()] = true
	}
	for _, p := range packages.List() {
		l.addComposer(p, dev[p.Get("name").Str()])
	}
	return nil
}

// parseComposerLock reads composer.lock.
func parseComposerLock(f inventory.File, facts *inventory.Facts) error {
	root, err := parseJSON(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.Composer, inventory.Locked)
	defer l.close()
	for _, p := range root.Get("packages").List() {
		l.addComposer(p, false)
	}
	for _, p := range root.Get("packages-dev").List() {
		l.addComposer(p, true)
	}
	return nil
}

// addComposer tells of a package. Most come from GitHub, by way of Packagist,
// and count as from the registry if they have a release's version: a branch
// (dev-main, 2.x-dev) has none.
func (l *listing) addComposer(p *document.Node, dev bool) {
	version := p.Get("version").Str()
	from := registry
	switch {
	case p.At("dist", "type").Str() == "path":
		from = local
	case strings.HasPrefix(version, "dev-"), strings.HasSuffix(version, "-dev"):
		from = elsewhere
	}
	var licenses []string
	for _, license := range p.Get("license").List() {
		licenses = append(licenses, license.Str())
	}
	l.addFrom(from, inventory.Package{
		Name:     strings.ToLower(p.Get("name").Str()),
		Version:  version,
		Dev:      dev,
		Line:     lineOf(p, "name"),
		Licenses: licenses,
	})
}
