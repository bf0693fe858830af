// Package ospkg reads what distributions leave in a root file system: the files
// that name the distribution, and the databases of dpkg, apk and rpm. Each
// parser reads one file; what takes several (which distribution it is, who owns
// a file, which licences a package has) is decided once layers are merged, by
// [Decide], [NewOwners] and [AddLicenses].
//
// It verifies no signatures, and believes the databases: a file or package that
// is in none of them is not seen here.
package ospkg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// The largest files that are read, in bytes.
const (
	releaseLimit = 64 << 10
	// textLimit is for the databases of dpkg and apk: a desktop of 4,000 packages
	// has a status of 6 MB, and apk's database holds the names of all files.
	textLimit = 64 << 20
	// listLimit is for the files of one package: the largest of Debian have 3 MB.
	listLimit      = 16 << 20
	copyrightLimit = 4 << 20
	// rpmLimit is for rpm's databases: 30 MB are usual, full desktops have 200.
	rpmLimit = 256 << 20
)

// What one file may tell at most, so that a small hostile one does not become a
// large heap. Real systems have less than a tenth of either.
const (
	maxPackages = 100_000
	maxFiles    = 2_000_000
)

// Parsers returns the readers of all databases. A file is wanted by one of them
// at most.
func Parsers() []inventory.Parser {
	return []inventory.Parser{
		{Name: "os-release/1", Wants: at("etc/os-release", "usr/lib/os-release"), Limit: releaseLimit, Parse: parseOSRelease},
		{Name: "distro-release/1", Wants: at(releaseFiles...), Limit: releaseLimit, Parse: parseRelease},

		{Name: "dpkg-status/1", Wants: dpkgStatus, Limit: textLimit, Parse: parseStatus},
		{Name: "dpkg-list/1", Wants: dpkgInfo(".list"), Limit: listLimit, Parse: parseList},
		{Name: "dpkg-md5sums/1", Wants: dpkgInfo(".md5sums"), Limit: listLimit, Parse: parseMD5Sums},
		{Name: "dpkg-conffiles/1", Wants: dpkgInfo(".conffiles"), Limit: listLimit, Parse: parseConffiles},
		{Name: "dpkg-diversions/1", Wants: at("var/lib/dpkg/diversions"), Limit: listLimit, Parse: parseDiversions},
		{Name: "dpkg-copyright/1", Wants: copyright, Limit: copyrightLimit, Parse: parseCopyright},

		{Name: "apk-installed/1", Wants: at("lib/apk/db/installed", "usr/lib/apk/db/installed"), Limit: textLimit, Parse: parseAPK},

		{Name: "rpm-sqlite/1", Wants: rpmFile("rpmdb.sqlite"), Limit: rpmLimit, Parse: parseRPMWith(sqliteBlobs)},
		{Name: "rpm-sqlite-wal/1", Wants: rpmFile("rpmdb.sqlite-wal"), Limit: rpmLimit, Parse: parseWAL},
		{Name: "rpm-ndb/1", Wants: rpmFile("Packages.db"), Limit: rpmLimit, Parse: parseRPMWith(ndbBlobs)},
		{Name: "rpm-bdb/1", Wants: rpmFile("Packages"), Limit: rpmLimit, Parse: parseRPMWith(bdbBlobs)},
		{Name: "rpm-manifest/1", Wants: at("var/lib/rpmmanifest/container-manifest-2"), Limit: textLimit, Parse: parseManifest},
	}
}

func at(paths ...string) func(string, fs.FileMode, int64) bool {
	return func(p string, _ fs.FileMode, _ int64) bool {
		return slices.Contains(paths, p)
	}
}

var (
	errPackages = fmt.Errorf("more than %d packages: the rest is left out", maxPackages)
	errFiles    = fmt.Errorf("more than %d files: the rest is left out", maxFiles)
	errPaths    = errors.New("the names of its files are far longer than the database: the rest is left out")
	errCut      = errors.New("it ends too early")
)

// budget bounds the files that one database names. Databases say the directory
// once and the names in it apart, so that a hostile one could ask for much more
// memory than it has bytes.
type budget struct{ files, text int }

// budgetOf allows for eight times the database, where real ones need two.
func budgetOf(size int) budget { return budget{files: maxFiles, text: 8*size + 64<<10} }

// spend takes one path of so many bytes off.
func (b *budget) spend(length int) error {
	b.files--
	b.text -= length
	switch {
	case b.files < 0:
		return errFiles
	case b.text < 0:
		return errPaths
	}
	return nil
}

// words keeps one copy of each string. Databases say the same few names again
// and again: who depends on libc, what is built for amd64.
type words map[string]string

func (w words) of(b []byte) string {
	if s, ok := w[string(b)]; ok {
		return s
	}
	s := string(b)
	w[s] = s
	return s
}

// block gathers texts in one piece of memory, for a package has thousands of
// files. It is used again for the next package.
type block struct {
	text []byte
	ends []int
}

// add joins parts to one text.
func (b *block) add(parts ...[]byte) {
	for _, p := range parts {
		b.text = append(b.text, p...)
	}
	b.ends = append(b.ends, len(b.text))
}

// each calls yield with all texts, which share one string, and empties the block.
func (b *block) each(yield func(i int, text string)) {
	all, start := string(b.text), 0
	for i, end := range b.ends {
		yield(i, all[start:end])
		start = end
	}
	b.text, b.ends = b.text[:0], b.ends[:0]
}

// files makes the texts paths of owned files.
func (b *block) files() []inventory.OwnedFile {
	if len(b.ends) == 0 {
		return nil
	}
	out := make([]inventory.OwnedFile, len(b.ends))
	b.each(func(i int, text string) { out[i].Path = rooted(text) })
	return out
}

// rooted writes a path of a database as paths are written here: without a
// leading slash, and within the root. The root itself is "".
func rooted(p string) string {
	for strings.HasPrefix(p, "/") || strings.HasPrefix(p, "./") {
		p = strings.TrimPrefix(strings.TrimPrefix(p, "."), "/")
	}
	if p == "." || strings.HasSuffix(p, "/") || strings.Contains(p, "//") || strings.Contains(p, "/.") || strings.HasPrefix(p, "..") {
		p = path.Clean("/" + p)[1:]
	}
	return p
}

// lines calls yield with each line that is not empty, with its number from 1,
// until yield returns an error.
func lines(body []byte, yield func(number int, line []byte) error) error {
	for n := 1; len(body) > 0; n++ {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte("\n"))
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			continue
		}
		if err := yield(n, line); err != nil {
			return err
		}
	}
	return nil
}

// domain takes the domain out of a mail address in angle brackets, and the last
// one where there are several.
func domain(maintainer []byte) []byte {
	open := bytes.LastIndexByte(maintainer, '<')
	if open < 0 {
		return nil
	}
	address, _, _ := bytes.Cut(maintainer[open+1:], []byte(">"))
	sign := bytes.LastIndexByte(address, '@')
	if sign < 0 {
		return nil
	}
	return bytes.ToLower(bytes.TrimSpace(address[sign+1:]))
}
