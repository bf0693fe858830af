// Package inventory holds the nouns of what is installed: packages of
// distributions and of languages, the files that say so, and the facts that one
// file of an image, a root file system or a source tree gives away. Packages
// under it read the files of each kind; none of them reads more than one file
// at a time, so that a layer can be read as a stream and its facts be kept for
// the next image that holds the same layer.
package inventory

import (
	"io/fs"

	"seawall.io/seawall/internal/secret"
)

// Type is the kind of a package, spelled as package URLs spell it
// (https://github.com/package-url/purl-spec).
type Type string

// The kinds that the readers know.
const (
	Deb      Type = "deb"
	APK      Type = "apk"
	RPM      Type = "rpm"
	Go       Type = "golang"
	NPM      Type = "npm"
	PyPI     Type = "pypi"
	Conda    Type = "conda"
	Maven    Type = "maven"
	Cargo    Type = "cargo"
	Gem      Type = "gem"
	Composer Type = "composer"
	NuGet    Type = "nuget"
)

// OS says whether packages of the kind come from a distribution.
func (t Type) OS() bool { return t == Deb || t == APK || t == RPM }

// Evidence says how sure it is that a package is there.
type Evidence uint8

const (
	// Installed packages are there: a package manager's database, metadata
	// beside the code, or build information in a binary says so.
	Installed Evidence = iota
	// Locked packages are those that a lock file would install.
	Locked
	// Declared packages are asked for by name, with a version, in a manifest
	// that is no lock file; what they bring along is not known.
	Declared
	// Guessed packages are told by a file's name or a manifest's title alone.
	Guessed
)

// Package is one package of one version at one place.
type Package struct {
	Type Type `json:"type"`
	// Name is the full name as the ecosystem writes it, and as OSV does:
	// openssl, @babel/core, golang.org/x/net, org.apache.logging.log4j:log4j-core.
	// PyPI names are normalised (PEP 503), NuGet and Composer names lower case.
	// The Go standard library is stdlib.
	Name string `json:"name"`
	// Version is as the ecosystem writes it, of distribution packages with epoch
	// and revision. Go versions are without v; the main module of a binary that
	// was built from a working tree has none.
	Version string `json:"version,omitempty"`
	Arch    string `json:"arch,omitempty"`
	// Source is the source package that a distribution package was built from,
	// with its own version. It is complete for every package of a distribution,
	// also where the two are the same: advisories speak of source packages.
	Source Source `json:"source,omitzero"`
	// Vendor is who built a distribution package, as its database says: the
	// Maintainer's domain or Origin of dpkg, the Vendor of rpm, the maintainer's
	// domain of apk. Modularity of rpm (nodejs:18:...) stands in Module.
	Vendor string `json:"vendor,omitempty"`
	Module string `json:"module,omitempty"`
	// Path is the file that told of the package, without a leading slash.
	Path string `json:"path,omitempty"`
	// Inside is where in Path, an archive, the package lies, with !/ between
	// archives in archives: BOOT-INF/lib/a.jar!/META-INF/b.jar.
	Inside   string   `json:"inside,omitempty"`
	Evidence Evidence `json:"evidence,omitempty"`
	// Dev marks packages that only development and tests need, where the lock
	// file tells.
	Dev bool `json:"dev,omitempty"`
	// Essential marks distribution packages that the package manager itself
	// needs or refuses to remove.
	Essential bool     `json:"essential,omitempty"`
	Licenses  []string `json:"licenses,omitempty"` // SPDX expressions where the source gives them, else its words
	// Depends are names of packages of the same kind, of distributions only, with
	// alternatives and version conditions taken away: the first alternative that is
	// installed is kept, else the first. What is provided by another name (so:libz,
	// mail-transport-agent) stands as the package that provides it.
	Depends []string `json:"depends,omitempty"`
	// Line is where a lock file or manifest names the package, from 1.
	Line int `json:"line,omitempty"`
	// Size is the installed size in bytes as the database states it.
	Size int64 `json:"size,omitempty"`
	// Layer is the index of the layer that brought the package, set once layers
	// are merged. It is 0 for source trees.
	Layer int `json:"layer,omitempty"`
	// Owner is the distribution package that owns Path, set once layers are
	// merged; such a package is judged by the distribution.
	Owner string `json:"owner,omitempty"`
	// Go is set for modules found in Go binaries.
	Go *GoModule `json:"go,omitempty"`
}

// Source names a source package.
type Source struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
}

// GoModule is what a Go binary tells of one module linked into it.
type GoModule struct {
	// GOOS and GOARCH are what the binary was built for.
	GOOS   string `json:"goos,omitempty"`
	GOARCH string `json:"goarch,omitempty"`
	// Main marks the main module of the binary.
	Main bool `json:"main,omitempty"`
	// Replaced is the path of the module that stands in for Name by a replace
	// directive; Name and Version are then those of the replacement.
	Replaced string `json:"replaced,omitempty"`
	// Functions holds the sorted names of the module's functions that are linked
	// into the binary, in the linker's spelling (net/http.(*Transport).dial), and
	// Known says that they could be read, stripped or not. Inlined functions have
	// no entry of their own but are listed where the tables tell of them.
	Functions []string `json:"functions,omitempty"`
	Known     bool     `json:"known,omitempty"`
}

// Distro is the distribution of a root file system.
type Distro struct {
	// ID is os-release's: debian, ubuntu, alpine, rhel, almalinux, rocky, centos,
	// fedora, amzn, ol, wolfi, chainguard, opensuse-leap, sles, photon, azurelinux.
	ID string `json:"id"`
	// Like holds os-release's ID_LIKE.
	Like []string `json:"like,omitempty"`
	// Version is VERSION_ID: 12, 24.04, 3.20.3, 9.4. Point releases that
	// os-release leaves out are taken from debian_version and the like.
	Version  string `json:"version,omitempty"`
	Codename string `json:"codename,omitempty"`
	Name     string `json:"name,omitempty"` // PRETTY_NAME
	Path     string `json:"path,omitempty"` // the file that told
}

// OwnedFile is a file that a distribution package brought.
type OwnedFile struct {
	Path string `json:"path"` // without a leading slash
	// MD5 or SHA256 in hexadecimal, where the database has one.
	MD5    string `json:"md5,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Config marks files that people are meant to change.
	Config bool `json:"config,omitempty"`
}

// Ownership says which files a distribution package owns. Databases that name
// the files elsewhere than the package (dpkg's info/*.list) give the package's
// name, and its architecture where the file's name has it.
type Ownership struct {
	Type    Type        `json:"type"`
	Package string      `json:"package"`
	Arch    string      `json:"arch,omitempty"`
	Files   []OwnedFile `json:"files,omitempty"`
	// Licenses are those that a file beside the database names (Debian's copyright).
	Licenses []string `json:"licenses,omitempty"`
	// Diversions are paths of which the package took possession (dpkg-divert). The
	// package is empty where the administrator did.
	Diversions []Diversion `json:"diversions,omitempty"`
}

// Diversion says that files which other packages bring as From are put at To.
type Diversion struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// ELF is what an ELF file says of itself.
type ELF struct {
	Class       int      `json:"class"` // 32 or 64
	Machine     string   `json:"machine"`
	Type        string   `json:"type"` // EXEC, DYN, REL, CORE
	Interpreter string   `json:"interpreter,omitempty"`
	SONAME      string   `json:"soname,omitempty"`
	Needed      []string `json:"needed,omitempty"`
	RPath       []string `json:"rpath,omitempty"`   // DT_RPATH, split at colons
	RunPath     []string `json:"runpath,omitempty"` // DT_RUNPATH
	BuildID     string   `json:"buildID,omitempty"`
	// Go, Rust and C are told apart by the sections each compiler leaves.
	Language string `json:"language,omitempty"`
	Stripped bool   `json:"stripped,omitempty"`
	Static   bool   `json:"static,omitempty"` // no interpreter and nothing needed
	// Packed names the packer (UPX) that compressed the file, if one did.
	Packed string `json:"packed,omitempty"`
	// Dlopen holds names of libraries (lib*.so*) that stand in the file's strings
	// and are not in Needed: what it may load at run time.
	Dlopen []string `json:"dlopen,omitempty"`
	// Hardening that is missing: pie, relro, nx, canary are the words.
	Missing []string `json:"missing,omitempty"`
}

// Facts is all that one file gives away. It holds values only, so that it can
// be kept and read again.
type Facts struct {
	Packages []Package    `json:"packages,omitempty"`
	Distro   *Distro      `json:"distro,omitempty"`
	Owned    []Ownership  `json:"owned,omitempty"`
	ELF      *ELF         `json:"elf,omitempty"`
	Shebang  string       `json:"shebang,omitempty"` // the line after #!, cut at 256 bytes
	Secrets  []secret.Hit `json:"secrets,omitempty"`
	SHA256   string       `json:"sha256,omitempty"`
	MD5      string       `json:"md5,omitempty"`
	// Requires names files and modules that the file loads: what a script
	// sources, what a JavaScript file requires, what a Python file imports.
	Requires []string `json:"requires,omitempty"`
	// Problems say what could not be read of the file, for the coverage ledger.
	Problems []string `json:"problems,omitempty"`
}

// Zero says that the file gave nothing away.
func (f *Facts) Zero() bool {
	return len(f.Packages) == 0 && f.Distro == nil && len(f.Owned) == 0 && f.ELF == nil && f.Shebang == "" &&
		len(f.Secrets) == 0 && f.SHA256 == "" && f.MD5 == "" && len(f.Requires) == 0 && len(f.Problems) == 0
}

// File is one regular file whose content is wanted.
type File struct {
	Path string // cleaned, without a leading slash, / between its parts
	Mode fs.FileMode
	Size int64
	Body []byte // the whole content; it is read only and may not be kept
}

// Parser reads files of one kind.
type Parser struct {
	// Name is a slug, used in errors and in the key of cached layers: it carries a
	// number that is raised whenever the parser tells more or else than before.
	Name string
	// Wants decides by name, mode and size alone, fast: it is asked for every
	// file of an image.
	Wants func(path string, mode fs.FileMode, size int64) bool
	// Limit is the size in bytes beyond which a wanted file is not read but
	// reported as a problem.
	Limit int64
	// Parse adds to facts what the file tells. An error says what is malformed
	// and where; what was told until then stays. It never panics and is bounded
	// by the file's size, whatever the file holds.
	Parse func(f File, facts *Facts) error
}

// Inventory is what a root file system or source tree holds.
type Inventory struct {
	Distro   *Distro
	Packages []Package
}
