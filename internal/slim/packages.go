package slim

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
)

// databases are where package managers keep what they know. Of them the service
// writes those parts that speak of packages that stay.
//
//nolint:gochecknoglobals // a constant table
var databases = []string{"var/lib/dpkg/", "var/lib/apt/", "lib/apk/", "usr/lib/apk/", "etc/apk/", "var/lib/rpm/", "usr/lib/sysimage/rpm/", "var/lib/rpm-state/", "var/lib/rpmmanifest/", "var/lib/dnf/", "var/lib/yum/"}

func database(p string) bool {
	for _, d := range databases {
		if strings.HasPrefix(p, d) || p+"/" == d {
			return true
		}
	}
	return false
}

// junk says what a file is that is there for people or was left behind; "" for
// all others.
func (a *analysis) junk(p string) string {
	folder, what, ok := image.Leftover(p)
	switch {
	case !ok:
		return ""
	case folder == "usr/share/doc" && path.Base(p) == "copyright":
		return "" // licences ask for it
	case folder == "usr/share/locale" && !a.english():
		return ""
	}
	return what
}

// english says that the image sets no language for which programs would want
// translations.
func (a *analysis) english() bool {
	for _, name := range []string{"LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES"} {
		if v := a.env[name]; v != "" && v != "C" && v != "POSIX" && !strings.HasPrefix(v, "C.") && !strings.HasPrefix(v, "en") {
			return false
		}
	}
	return true
}

// packages keeps what belongs to packages of which something is run or loaded.
func (a *analysis) packages() {
	depends := map[string][]string{}
	for i := range a.in.Packages {
		if p := &a.in.Packages[i]; p.Type.OS() {
			depends[p.Name] = append(depends[p.Name], p.Depends...)
		}
	}
	if a.in.Level != Tight {
		for _, name := range slices.Sorted(maps.Keys(a.reached)) {
			a.dependencies(name, depends)
		}
		for _, name := range slices.Sorted(maps.Keys(a.chained)) {
			a.dependencies(name, depends)
		}
	}
	for i, p := range a.paths {
		f := a.files[i]
		owner := a.in.Owner(p)
		if owner == "" || f.Kind() == image.Dir || a.junk(p) != "" || database(p) || a.testsOnly(p) {
			continue
		}
		by, active := a.reached[owner]
		why, chained := a.chained[owner]
		switch {
		case !active && !chained:
		case a.in.Level == Tight && !a.isData(p, f):
		case active:
			a.mark(p, by, "it belongs to the package "+owner+", of which "+by+" is needed", false)
		default:
			a.mark(p, "", "it belongs to the package "+owner+": "+why, false)
		}
	}
}

// dependencies keeps the packages that a package depends on.
func (a *analysis) dependencies(name string, depends map[string][]string) {
	stack := []string{name}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, d := range depends[at] {
			if maintainerOnly[d] || d == at {
				continue
			}
			if _, known := depends[d]; !known {
				continue
			}
			if a.chain(d, at+" depends on it") {
				stack = append(stack, d)
			}
		}
	}
}

// chain keeps a package, and says whether it was not kept before.
func (a *analysis) chain(name, why string) bool {
	_, active := a.reached[name]
	_, chained := a.chained[name]
	if active || chained {
		return false
	}
	a.chained[name] = why
	return true
}

// isData says that a file of a package is neither a program nor a library, nor
// what compilers read.
func (a *analysis) isData(p string, f image.File) bool {
	if f.Kind() == image.Symlink {
		to, _, ok := a.follow(p)
		return ok && (a.kept[to.Path()] != nil || to.Kind() != image.Regular || a.isData(to.Path(), to))
	}
	if strings.HasPrefix(p, "usr/include/") || strings.HasSuffix(p, ".a") || strings.HasSuffix(p, ".la") || strings.HasSuffix(p, ".o") || strings.HasSuffix(p, ".pc") {
		return false
	}
	facts := f.Facts()
	if facts == nil {
		return true
	}
	return facts.ELF == nil && (facts.Shebang == "" || f.Mode()&0o111 == 0)
}

// unowned keeps what no package brought: the application.
func (a *analysis) unowned() {
	var active []string
	for i, p := range a.paths {
		f := a.files[i]
		if f.Kind() == image.Dir || a.in.Owner(p) != "" || a.junk(p) != "" || database(p) || a.kept[p] != nil || a.testsOnly(p) {
			continue
		}
		if a.leftOut(p, f) {
			continue
		}
		a.mark(p, "", "no package brought it", false)
		if a.in.Level != Tight && f.Kind() == image.Regular && (loads(f) || a.ownScript(p, f)) {
			active = append(active, p)
		}
	}
	for _, p := range active {
		a.mark(p, "", "no package brought it, and it can be run or loaded", true)
	}
	a.run()
	if len(active) > 0 { // what they led to may be of packages that went before
		a.packages()
	}
}

// ownScript says that a file is a script of the application's own.
func (a *analysis) ownScript(p string, f image.File) bool {
	return f.Facts() != nil && f.Facts().Shebang != "" && f.Mode()&0o111 != 0 &&
		!strings.Contains(p, "node_modules/") && !strings.Contains(p, "-packages/") && !strings.Contains(p, "/gems/") && !strings.HasPrefix(p, "etc/")
}

// leftOut says of a file that no package brought that nothing needs it all the
// same: modules that the graph of requires leaves out, files of Python's caches
// whose package goes, and at the level tight programs and libraries in the
// folders of the system.
func (a *analysis) leftOut(p string, f image.File) bool {
	if pkg := packageOf(p); pkg != "" && len(a.node.packages) > 0 {
		return !a.node.packages[pkg] || a.in.Level == Tight && nodeJunk(strings.TrimPrefix(p, pkg+"/"))
	}
	if source, ok := cachedFrom(p); ok {
		if s, there := a.tree.Lstat(source); there {
			return a.kept[s.Path()] == nil
		}
	}
	if dir := parent(p); a.in.Level == Tight && (systemPrograms[dir] || strings.HasPrefix(p, "lib/") || strings.HasPrefix(p, "usr/lib/")) {
		return !a.isData(p, f)
	}
	return false
}

//nolint:gochecknoglobals // a constant table
var systemPrograms = map[string]bool{
	"bin": true, "sbin": true, "usr/bin": true, "usr/sbin": true, "usr/local/bin": true, "usr/local/sbin": true, "usr/local/lib": true,
}

// cachedFrom tells which Python file a compiled one was made of.
func cachedFrom(p string) (string, bool) {
	dir, base := parent(p), path.Base(p)
	if path.Base(dir) != "__pycache__" || !strings.HasSuffix(base, ".pyc") {
		return "", false
	}
	name, _, ok := strings.Cut(base, ".")
	return join(parent(dir), name+".py"), ok
}

// managers are the programs that need the databases as they are.
//
//nolint:gochecknoglobals // a constant table
var managers = map[string]string{
	"usr/bin/dpkg": "var/lib/dpkg/", "usr/bin/apt-get": "var/lib/apt/", "usr/bin/apt": "var/lib/apt/", "sbin/apk": "lib/apk/", "usr/sbin/apk": "usr/lib/apk/",
	"usr/bin/rpm": "var/lib/rpm/", "usr/bin/dnf": "var/lib/rpm/", "usr/bin/microdnf": "var/lib/rpm/", "usr/bin/yum": "var/lib/rpm/",
}

// records keeps of the package managers' databases what speaks of packages that
// stay, so that scanners see them. Where the package manager itself stays, all of
// its database does.
func (a *analysis) records() {
	whole := map[string]bool{}
	for program, dir := range managers {
		if k := a.kept[program]; k != nil && k.active {
			whole[dir] = true
		}
	}
	stays := map[string]bool{}
	for p := range a.kept {
		if owner := a.in.Owner(p); owner != "" {
			stays[owner] = true
		}
	}
	for name := range a.chained {
		stays[name] = true
	}
	for i, p := range a.paths {
		if a.files[i].Kind() == image.Dir || !database(p) || a.junk(p) != "" {
			continue
		}
		for dir := range whole {
			if strings.HasPrefix(p, dir) {
				a.mark(p, "", "the package manager stays", false)
			}
		}
		if !a.recorded || recordOf(p, stays) {
			a.mark(p, "", "it tells scanners which packages are there", false)
		}
	}
}

// recordOf says that a file of a database speaks of packages that stay.
func recordOf(p string, stays map[string]bool) bool {
	base := path.Base(p)
	switch {
	case p == "var/lib/dpkg/status" || p == "var/lib/dpkg/diversions" || p == "lib/apk/db/installed" || p == "usr/lib/apk/db/installed":
		return true
	case strings.HasPrefix(p, "var/lib/dpkg/status.d/"):
		return stays[strings.TrimSuffix(base, ".md5sums")]
	case strings.HasPrefix(p, "var/lib/dpkg/info/"):
		name, _, _ := strings.Cut(strings.TrimSuffix(base, path.Ext(base)), ":")
		return (strings.HasSuffix(base, ".list") || strings.HasSuffix(base, ".md5sums")) && stays[name]
	}
	return false
}

// directories keeps folders: those above kept files, those that programs write
// to, and those that every container has.
func (a *analysis) directories() {
	for i, p := range a.paths {
		f := a.files[i]
		if f.Kind() != image.Dir || a.kept[p] != nil || database(p) {
			continue
		}
		top, _, deep := strings.Cut(p, "/")
		switch {
		case !deep && top != "usr":
			a.mark(p, "", "every container has it", false)
		case a.junk(p) != "":
		case strings.Count(p, "/") == 1 && (top == "usr" || top == "var"):
			a.mark(p, "", "every container has it", false)
		case top == "var" || top == "home" || top == "srv" || top == "run" || f.Mode()&(fs.ModeSticky|0o022) != 0:
			a.mark(p, "", "programs may write to it", false)
		}
	}
	for _, p := range slices.Collect(maps.Keys(a.kept)) {
		for at := parent(p); at != "" && a.kept[at] == nil; at = parent(at) {
			a.kept[at] = &kept{by: p, why: "the folder of " + p}
		}
	}
}

// dangling takes away links that lead to what goes, and that led to something.
// Links that something names stay.
func (a *analysis) dangling() {
	for {
		var gone []string
		for i, p := range a.paths {
			if a.kept[p] == nil || a.files[i].Kind() != image.Symlink {
				continue
			}
			to, _, ok := a.follow(p)
			if ok && to.Path() != "" && a.kept[to.Path()] == nil {
				gone = append(gone, p)
			}
		}
		if len(gone) == 0 {
			return
		}
		for _, p := range gone {
			delete(a.kept, p)
		}
	}
}

// manager tells the kind of the distribution's packages.
func (a *analysis) manager() inventory.Type {
	for i := range a.in.Packages {
		if t := a.in.Packages[i].Type; t.OS() {
			return t
		}
	}
	return ""
}
