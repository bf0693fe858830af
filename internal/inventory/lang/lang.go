// Package lang reads what the package managers of languages leave behind: the
// metadata beside installed code, lock files, and manifests that name versions.
// Each parser reads one file.
//
// A package is told only if it is one that a registry knows by this name and
// version, for that is what advisories speak of:
//
//   - An alias (npm:real@1.0) is told under its real name.
//   - A package bundled inside another one, or patched by the project, is told:
//     its code is that of the registry.
//   - The project's own code (workspaces, links, paths, the root) is left out
//     in silence.
//   - What comes from a Git repository or a plain address has no version that
//     advisories could be held against. It is left out and named in a problem,
//     as are requirements without an exact version: both are unknown, not safe.
//
// One file tells each name and version once, on the line of the first entry.
// Lock files inside installed packages say what the authors of those developed
// with, not what is there, and are not read.
package lang

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

// The largest files that are read, in bytes.
const (
	// metadataLimit is for what lies beside installed code: a few KiB mostly, but
	// METADATA holds the whole README, and Conda's records name every file.
	metadataLimit = 8 << 20
	// lockLimit is for lock files: the largest of known monorepos have some 10 MB.
	lockLimit = 32 << 20
	// manifestLimit is for what people write by hand.
	manifestLimit = 2 << 20
)

// Limits of what one file may tell, far beyond what any says in earnest.
const (
	maxPackages = 100_000
	maxLicenses = 20
	maxNames    = 10  // that one problem lists
	maxBytes    = 300 // of a name, version or licence
)

// Parsers returns the readers of all formats. A file is wanted by one of them at
// most.
func Parsers() []inventory.Parser {
	return []inventory.Parser{
		{Name: "npm-installed/1", Wants: installedNPM, Limit: metadataLimit, Parse: parsePackageJSON},
		{Name: "npm-lock/1", Wants: project("package-lock.json", "npm-shrinkwrap.json"), Limit: lockLimit, Parse: parsePackageLock},
		{Name: "yarn-lock/1", Wants: project("yarn.lock"), Limit: lockLimit, Parse: parseYarn},
		{Name: "pnpm-lock/1", Wants: project("pnpm-lock.yaml"), Limit: lockLimit, Parse: parsePNPM},
		{Name: "bun-lock/1", Wants: project("bun.lock"), Limit: lockLimit, Parse: parseBun},
		{Name: "bun-binary-lock/1", Wants: project("bun.lockb"), Limit: lockLimit, Parse: parseBunBinary},

		{Name: "python-installed/1", Wants: installedPython, Limit: metadataLimit, Parse: parsePythonMetadata},
		{Name: "conda-installed/1", Wants: installedConda, Limit: metadataLimit, Parse: parseConda},
		{Name: "poetry-lock/1", Wants: project("poetry.lock"), Limit: lockLimit, Parse: parsePoetry},
		{Name: "uv-lock/1", Wants: project("uv.lock"), Limit: lockLimit, Parse: parseUV},
		{Name: "pdm-lock/1", Wants: project("pdm.lock"), Limit: lockLimit, Parse: parsePDM},
		{Name: "pylock/1", Wants: pylock, Limit: lockLimit, Parse: parsePylock},
		{Name: "pipfile-lock/1", Wants: project("Pipfile.lock"), Limit: lockLimit, Parse: parsePipfile},
		{Name: "requirements/1", Wants: requirements, Limit: manifestLimit, Parse: parseRequirements},

		{Name: "gem-installed/1", Wants: installedGem, Limit: metadataLimit, Parse: parseGemspec},
		{Name: "gemfile-lock/1", Wants: project("Gemfile.lock", "gems.locked"), Limit: lockLimit, Parse: parseGemfileLock},

		{Name: "composer-installed/1", Wants: installedComposer, Limit: lockLimit, Parse: parseComposerInstalled},
		{Name: "composer-lock/1", Wants: project("composer.lock"), Limit: lockLimit, Parse: parseComposerLock},

		{Name: "dotnet-installed/1", Wants: installedDotNet, Limit: metadataLimit, Parse: parseDepsJSON},
		{Name: "nuget-lock/1", Wants: project("packages.lock.json"), Limit: lockLimit, Parse: parseNuGetLock},
		{Name: "nuget-config/1", Wants: project("packages.config"), Limit: manifestLimit, Parse: parsePackagesConfig},
		{Name: "msbuild/1", Wants: msbuild, Limit: manifestLimit, Parse: parseMSBuild},

		{Name: "cargo-lock/1", Wants: project("Cargo.lock"), Limit: lockLimit, Parse: parseCargo},
		{Name: "go-mod/1", Wants: project("go.mod"), Limit: manifestLimit, Parse: parseGoMod},

		{Name: "gradle-lock/1", Wants: project("gradle.lockfile", "buildscript-gradle.lockfile"), Limit: lockLimit, Parse: parseGradle},
		{Name: "maven-pom/1", Wants: project("pom.xml"), Limit: manifestLimit, Parse: parsePOM},
	}
}

// project wants files of the given names in a project's own folders.
func project(names ...string) func(string, fs.FileMode, int64) bool {
	return func(path string, _ fs.FileMode, _ int64) bool {
		base := path[strings.LastIndexByte(path, '/')+1:]
		return slices.Contains(names, base) && !foreign(path)
	}
}

// foreign says whether a file came with an installed or fetched package, and so
// speaks of what its authors worked with.
func foreign(path string) bool {
	path = "/" + path
	// Each of these folders keeps packages of other people.
	for _, folder := range [...]string{
		"/node_modules/", "/site-packages/", "/dist-packages/", "/META-INF/", "/vendor/",
		"/pkg/mod/", "/registry/src/", "/git/checkouts/", "/.nuget/packages/",
	} {
		if strings.Contains(path, folder) {
			return true
		}
	}
	// gems/rake-13.0.6/Gemfile.lock: folders of installed gems carry a version.
	for rest := path; ; {
		i := strings.Index(rest, "/gems/")
		if i < 0 {
			return false
		}
		rest = rest[i+len("/gems"):]
		folder, _, ok := strings.Cut(rest[1:], "/")
		dash := strings.LastIndexByte(folder, '-')
		if ok && dash > 0 && dash+1 < len(folder) && isDigit(folder[dash+1]) {
			return true
		}
	}
}

// addInstalled tells of an installed package. One with a name that cannot be is
// not passed over in silence, for it may hide what it is.
func addInstalled(p inventory.Package, facts *inventory.Facts) {
	if !plausible(p.Name) || !plausible(p.Version) {
		facts.Problems = append(facts.Problems, fmt.Sprintf("malformed name %q or version %q, not judged", clip(p.Name), clip(p.Version)))
		return
	}
	p.Licenses = licenses(p.Licenses)
	facts.Packages = append(facts.Packages, p)
}

// licenses leaves out what is no licence's name. It changes the list.
func licenses(all []string) []string {
	kept := all[:0]
	for _, license := range all {
		if license != "" && len(license) <= maxBytes && len(kept) < maxLicenses {
			kept = append(kept, printable(license))
		}
	}
	return kept
}

// listing collects the packages of one file.
type listing struct {
	facts    *inventory.Facts
	path     string
	kind     inventory.Type
	evidence inventory.Evidence
	seen     map[release]int // index in facts.Packages

	elsewhere, open, malformed, more tally
}

// tally counts what is not told, and keeps the first names.
type tally struct {
	count int
	names []string
}

func (t *tally) note(name string) {
	name = clip(name)
	if slices.Contains(t.names, name) {
		return
	}
	if t.count++; t.count <= maxNames {
		t.names = append(t.names, name)
	}
}

// release is one version of one package.
type release struct{ name, version string }

func newListing(f inventory.File, facts *inventory.Facts, kind inventory.Type, evidence inventory.Evidence) *listing {
	return &listing{facts: facts, path: f.Path, kind: kind, evidence: evidence, seen: make(map[release]int)}
}

// add tells of a package. Of the same name and version told before, only Dev
// may change: what one entry needs outside development is needed. Strings are
// copied, so that a few names do not keep a whole file alive.
func (l *listing) add(p inventory.Package) {
	if plausible(p.Name) && p.Version == "" {
		l.open.note(p.Name)
		return
	}
	if !plausible(p.Name) || !plausible(p.Version) {
		l.malformed.note(p.Name)
		return
	}
	if i, ok := l.seen[release{p.Name, p.Version}]; ok {
		l.facts.Packages[i].Dev = l.facts.Packages[i].Dev && p.Dev
		return
	}
	if len(l.seen) >= maxPackages {
		l.more.note(p.Name)
		return
	}
	p.Type, p.Evidence, p.Path = l.kind, l.evidence, l.path
	p.Name, p.Version, p.Licenses = strings.Clone(p.Name), strings.Clone(p.Version), licenses(p.Licenses)
	for i, license := range p.Licenses {
		p.Licenses[i] = strings.Clone(license)
	}
	l.seen[release{p.Name, p.Version}] = len(l.facts.Packages)
	l.facts.Packages = append(l.facts.Packages, p)
}

// addFrom tells of a package if it came from a registry, and notes it if it
// came from elsewhere.
func (l *listing) addFrom(o origin, p inventory.Package) {
	switch o {
	case registry:
		l.add(p)
	case elsewhere:
		l.elsewhere.note(p.Name)
	case local:
	}
}

// close reports what could not be told.
func (l *listing) close() {
	l.problem(l.elsewhere, "from a Git repository or an address, not from a registry, and not judged")
	l.problem(l.open, "without an exact version, and not judged")
	l.problem(l.malformed, "with a malformed name or version, and not judged")
	l.problem(l.more, fmt.Sprintf("beyond the first %d, and not judged", maxPackages))
}

func (l *listing) problem(t tally, what string) {
	if t.count == 0 {
		return
	}
	things, more := "dependencies", ""
	if t.count == 1 {
		things = "dependency"
	}
	if t.count > maxNames {
		more = " ..."
	}
	l.facts.Problems = append(l.facts.Problems, fmt.Sprintf("%d %s %s: %s%s", t.count, things, what, strings.Join(t.names, ", "), more))
}

// origin is where a package came from.
type origin uint8

const (
	registry  origin = iota
	local            // the project's own code
	elsewhere        // a repository or an address
)

// originOf tells where the address or the wish of an entry leads. Nothing at all
// means the registry, as does an address of a package file on any server but
// those that serve the contents of repositories.
func originOf(address string) origin {
	if address == "" {
		return registry
	}
	for _, prefix := range [...]string{"file:", "link:", "workspace:", "portal:", "root:", "./", "../", "/", "~/"} {
		if strings.HasPrefix(address, prefix) {
			return local
		}
	}
	scheme, rest, ok := strings.Cut(address, ":")
	if !ok {
		return registry
	}
	switch scheme {
	case "http", "https":
	case "github", "gitlab", "bitbucket", "gist", "git", "ssh":
		return elsewhere
	default:
		if strings.HasPrefix(scheme, "git+") || strings.HasPrefix(scheme, "git@") {
			return elsewhere
		}
		return registry
	}
	host, file, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	switch host {
	case "github.com", "codeload.github.com", "gitlab.com", "bitbucket.org":
		return elsewhere
	}
	file, _, _ = strings.Cut(file, "#")
	if strings.HasSuffix(file, ".git") {
		return elsewhere
	}
	return registry
}

// versionless is originOf for an address that stands in the place of a version,
// and so says of no registry which version of its packages this is.
func versionless(address string) origin {
	if from := originOf(address); from != registry {
		return from
	}
	return elsewhere
}

// plausible says whether a name or version could be one: short, and without
// white space, control characters and such as turn the direction of writing.
func plausible(s string) bool {
	if s == "" || len(s) > maxBytes || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r == ' ' || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// clip makes a text of a hostile file fit for a problem.
func clip(s string) string {
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "..."
	}
	return strings.Clone(printable(s))
}

// printable takes out what a terminal might obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// text returns a file's text without a byte order mark, and as UTF-8 if the
// mark says that it is UTF-16: PowerShell writes requirements.txt so.
func text(body []byte) []byte {
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return body[3:]
	case bytes.HasPrefix(body, []byte("\xff\xfe")):
		return fromUTF16(body[2:], 0, 1)
	case bytes.HasPrefix(body, []byte("\xfe\xff")):
		return fromUTF16(body[2:], 1, 0)
	}
	return body
}

func fromUTF16(b []byte, low, high int) []byte {
	out := make([]byte, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(b[i+low]) | rune(b[i+high])<<8
		if utf16.IsSurrogate(r) && i+3 < len(b) {
			if pair := utf16.DecodeRune(r, rune(b[i+2+low])|rune(b[i+2+high])<<8); pair != utf8.RuneError {
				r = pair
				i += 2
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// parseJSON reads the JSON of a file.
func parseJSON(f inventory.File) (*document.Node, error) {
	root, err := document.ParseJSON(text(f.Body), document.Limits{Bytes: lockLimit})
	if err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	return root, nil
}

// developmentOnly returns what can be reached from the roots of development but
// not from those of use. What neither leads to is not known to be either.
func developmentOnly(use, development []string, edges func(string) []string) map[string]bool {
	only := reachable(development, edges)
	for key := range reachable(use, edges) {
		delete(only, key)
	}
	return only
}

// reachable returns all that can be reached from roots over edges, roots
// included.
func reachable(roots []string, edges func(string) []string) map[string]bool {
	reached := make(map[string]bool, len(roots))
	for len(roots) > 0 {
		last := len(roots) - 1
		at := roots[last]
		roots = roots[:last]
		if reached[at] {
			continue
		}
		reached[at] = true
		for _, next := range edges(at) {
			if !reached[next] {
				roots = append(roots, next)
			}
		}
	}
	return reached
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// word returns a list of the one word, or none.
func word(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
