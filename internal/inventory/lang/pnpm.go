package lang

import (
	"fmt"
	"strings"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

// parsePNPM reads pnpm-lock.yaml of the versions 5 to 9. The keys of packages
// were /name/1.0.0_peers, became /name@1.0.0(peers), and are now name@1.0.0.
func parsePNPM(f inventory.File, facts *inventory.Facts) error {
	l := newListing(f, facts, inventory.NPM, inventory.Locked)
	defer l.close()
	for _, doc := range document.Parse(text(f.Body), document.Limits{Bytes: lockLimit}) {
		if doc.Err != nil {
			return fmt.Errorf("reading YAML: %w", doc.Err)
		}
		only := pnpmDevelopment(doc.Root)
		for _, entry := range doc.Root.Get("packages").Map() {
			name, version := pnpmKey(entry.Key)
			from := pnpmOrigin(entry, version)
			if explicit := entry.Value.Get("name").Str(); explicit != "" {
				name = explicit
			}
			dev, _ := entry.Value.Get("dev").Bool()
			l.addFrom(from, inventory.Package{Name: name, Version: version, Dev: dev || only[entry.Key], Line: int(entry.Pos.Line)})
		}
	}
	return nil
}

// pnpmOrigin tells where an entry came from. A package of a registry has a
// checksum and no more; its address stands there if the registry is odd.
func pnpmOrigin(entry document.Field, version string) origin {
	resolution := entry.Value.Get("resolution")
	switch {
	case resolution.Get("directory") != nil, resolution.Get("type").Str() == "directory":
		return local
	case resolution.Get("repo") != nil, resolution.Get("type").Str() == "git":
		return elsewhere
	}
	if from := originOf(version); from != registry {
		return from
	}
	if from := originOf(resolution.Get("tarball").Str()); from != registry {
		return from
	}
	// github.com/owner/repository/commit and @https://...: no version at all.
	if version == "" || !isDigit(version[0]) {
		return elsewhere
	}
	return registry
}

// pnpmKey splits the key of a package in any of its spellings.
func pnpmKey(key string) (name, version string) {
	slash := strings.HasPrefix(key, "/")
	key = strings.TrimPrefix(key, "/")
	key, _, _ = strings.Cut(key, "(")
	if name, version = splitSpec(key); version != "" && (strings.Count(name, "/") == strings.Count(name[:1], "@")) {
		return name, version
	}
	// Version 5: [registry/][@scope/]name/version[_peers]. With a registry the
	// key has no slash in front.
	parts := strings.Split(key, "/")
	if !slash && len(parts) > 2 && strings.Contains(parts[0], ".") {
		parts = parts[1:]
	}
	size := 1
	if strings.HasPrefix(parts[0], "@") {
		size = 2
	}
	if len(parts) != size+1 {
		return key, ""
	}
	version, _, _ = strings.Cut(parts[size], "_")
	return strings.Join(parts[:size], "/"), version
}

// pnpmDevelopment returns the keys of the packages that only development needs.
// Version 9 no longer says so of each package, but has the graph, with an entry
// for each set of peers of a package.
func pnpmDevelopment(root *document.Node) map[string]bool {
	snapshots := make(map[string]*document.Node)
	for _, s := range root.Get("snapshots").Map() {
		snapshots[s.Key] = s.Value
	}
	// The graph names name and version with peers, or for an alias the whole key.
	resolve := func(name, version string) string {
		key := name + "@" + version
		if _, ok := snapshots[key]; ok {
			return key
		}
		return version
	}
	var use, development []string
	for _, importer := range root.Get("importers").Map() {
		for _, kind := range importer.Value.Map() {
			for _, d := range kind.Value.Map() {
				key := resolve(d.Key, d.Value.Get("version").Str())
				if kind.Key == "devDependencies" {
					development = append(development, key)
				} else {
					use = append(use, key)
				}
			}
		}
	}
	withPeers := developmentOnly(use, development, func(key string) []string {
		var next []string
		for _, kind := range [...]string{"dependencies", "optionalDependencies"} {
			for _, d := range snapshots[key].Get(kind).Map() {
				next = append(next, resolve(d.Key, d.Value.Str()))
			}
		}
		return next
	})
	only := make(map[string]bool)
	for key := range snapshots {
		bare, _, _ := strings.Cut(key, "(")
		before, seen := only[bare]
		only[bare] = withPeers[key] && (before || !seen)
	}
	return only
}
