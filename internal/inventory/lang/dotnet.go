package lang

import (
	"io/fs"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// installedDotNet wants the list of what belongs to a published program or a
// shared framework.
func installedDotNet(path string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(path, ".deps.json") && !strings.Contains(path, ".nuget/packages/") && !strings.Contains(path, "/obj/")
}

// parseDepsJSON reads name.deps.json. Its libraries are packages, the project
// itself, and the runtime that a self-contained program brings.
func parseDepsJSON(f inventory.File, facts *inventory.Facts) error {
	root, err := parseJSON(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.NuGet, inventory.Installed)
	defer l.close()
	for _, library := range root.Get("libraries").Map() {
		name, version, _ := strings.Cut(library.Key, "/")
		switch library.Value.Get("type").Str() {
		case "package":
		case "runtimepack":
			name = strings.TrimPrefix(name, "runtimepack.")
		default:
			continue // project, reference, referenceassembly
		}
		l.add(inventory.Package{Name: strings.ToLower(name), Version: version, Line: int(library.Pos.Line)})
	}
	return nil
}

// parseNuGetLock reads packages.lock.json: for each framework what is built for
// it.
func parseNuGetLock(f inventory.File, facts *inventory.Facts) error {
	root, err := parseJSON(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.NuGet, inventory.Locked)
	defer l.close()
	for _, framework := range root.Get("dependencies").Map() {
		for _, d := range framework.Value.Map() {
			if strings.EqualFold(d.Value.Get("type").Str(), "project") {
				continue
			}
			l.add(inventory.Package{
				Name: strings.ToLower(d.Key), Version: d.Value.Get("resolved").Str(), Line: int(d.Pos.Line),
			})
		}
	}
	return nil
}

// parsePackagesConfig reads packages.config. It is a manifest that names all
// packages with exact versions, and so as good as a lock file.
func parsePackagesConfig(f inventory.File, facts *inventory.Facts) error {
	root, err := parseXML(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.NuGet, inventory.Locked)
	defer l.close()
	for _, p := range root.all("package") {
		l.add(inventory.Package{
			Name:    strings.ToLower(p.attribute("id")),
			Version: p.attribute("version"),
			Dev:     strings.EqualFold(p.attribute("developmentDependency"), "true"),
			Line:    p.line,
		})
	}
	return nil
}

// msbuild wants project files, and the file in which a repository may keep the
// versions of all its projects.
func msbuild(path string, mode fs.FileMode, size int64) bool {
	for _, suffix := range [...]string{".csproj", ".fsproj", ".vbproj", "/Directory.Packages.props"} {
		if strings.HasSuffix(path, suffix) {
			return !foreign(path)
		}
	}
	return path == "Directory.Packages.props"
}

// parseMSBuild reads the references to packages that name their version, in the
// file itself or by a property of it. A version there is the least that is
// asked for, which is what NuGet installs.
func parseMSBuild(f inventory.File, facts *inventory.Facts) error {
	root, err := parseXML(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.NuGet, inventory.Declared)
	defer l.close()
	properties := make(map[string]string)
	for _, group := range root.all("PropertyGroup") {
		for _, p := range group.kids {
			properties[strings.ToLower(p.name)] = p.text
		}
	}
	lookup := func(name string) (string, bool) {
		value, ok := properties[strings.ToLower(name)]
		return value, ok
	}
	for _, group := range root.all("ItemGroup") {
		for _, item := range group.kids {
			switch item.name {
			case "PackageReference", "PackageVersion", "GlobalPackageReference":
				l.addReference(item, lookup)
			}
		}
	}
	return nil
}

// addReference tells of one reference to packages, which may be several with
// semicolons between them. One without a version takes it from a file that
// names versions for all projects, which is read by itself.
func (l *listing) addReference(item *element, lookup func(string) (string, bool)) {
	var version string
	for _, name := range [...]string{"VersionOverride", "Version"} {
		if version = item.attribute(name); version == "" {
			version = item.value(name)
		}
		if version != "" {
			break
		}
	}
	include := item.attribute("Include")
	if version == "" || include == "" {
		return
	}
	version, known := expand(version, "$(", ")", lookup)
	version = exactNuGet(version)
	for name := range strings.SplitSeq(include, ";") {
		name = strings.ToLower(strings.TrimSpace(name))
		if !known || version == "" {
			l.open.note(name)
			continue
		}
		l.add(inventory.Package{Name: name, Version: version, Line: item.line})
	}
}

// exactNuGet returns the version that a reference leads to: 1.2.3 and [1.2.3]
// are one, ranges and stars are not.
func exactNuGet(version string) string {
	version = strings.TrimSpace(version)
	if inside, ok := strings.CutPrefix(version, "["); ok {
		if inside, ok = strings.CutSuffix(inside, "]"); ok {
			version = strings.TrimSpace(inside)
		}
	}
	if strings.ContainsAny(version, "*,()[]") {
		return ""
	}
	return version
}
