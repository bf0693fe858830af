package slim

import (
	"path"
	"strings"

	"seawall.io/seawall/internal/image"
)

// pythonTools install packages and are needed by none that runs, unless one
// imports them.
//
//nolint:gochecknoglobals // a constant table
var pythonTools = map[string]bool{
	"pip": true, "setuptools": true, "wheel": true, "pkg_resources": true, "_distutils_hack": true, "ensurepip": true, "lib2to3": true, "idlelib": true, "turtledemo": true,
}

// testsOnly says that a path below a folder of a runtime is of its test suite, or
// at the level tight of tools that install packages.
func (a *analysis) testsOnly(p string) bool {
	i := strings.Index(p, "/python")
	if i < 0 {
		return false
	}
	_, rest, ok := strings.Cut(p[i+1:], "/")
	if !ok {
		return false
	}
	for _, site := range []string{"site-packages/", "dist-packages/"} {
		rest = strings.TrimPrefix(rest, site)
	}
	name, _, below := strings.Cut(rest, "/")
	if name == "test" {
		return below
	}
	name, _, _ = strings.Cut(name, "-") // pip-23.0.1.dist-info
	return a.in.Level == Tight && pythonTools[name] && (below || strings.Contains(rest, "-info"))
}

// pythonImport follows an import to modules of the application and of
// site-packages. Python's own are kept whole and not looked into.
func (a *analysis) pythonImport(p, name string) {
	dir := parent(p)
	rel := strings.TrimLeft(name, ".")
	var from []string
	if dots := len(name) - len(rel); dots > 0 {
		for ; dots > 1; dots-- {
			dir = parent(dir)
		}
		from = []string{dir}
	} else {
		from = append(from, dir, strings.Trim(a.in.WorkDir, "/"))
		for d := range strings.SplitSeq(a.env["PYTHONPATH"], ":") {
			if d != "" {
				from = append(from, strings.Trim(a.absolute(d), "/"))
			}
		}
		for d := dir; d != ""; d = parent(d) { // a module of a package imports from its root
			if strings.HasSuffix(d, "-packages") || a.kept[d] != nil {
				from = append(from, d)
			}
		}
		for _, pattern := range []string{"usr/lib/python3/dist-packages", "usr/lib/python3*/site-packages", "usr/local/lib/python3*/site-packages", "usr/local/lib/python3*/dist-packages"} {
			from = append(from, a.match(pattern)...)
		}
	}
	at := strings.ReplaceAll(rel, ".", "/")
	for _, d := range from {
		if a.pythonModule(p, d, at) {
			return
		}
	}
}

// pythonModule keeps one module and the packages that it lies in.
func (a *analysis) pythonModule(p, dir, name string) bool {
	why := "imported by " + p
	if top, _, _ := strings.Cut(name, "/"); pythonTools[top] && strings.Contains(dir, "-packages") {
		if _, ok := a.tree.Stat(join(dir, top)); ok {
			a.keepBelow(join(dir, top), p, why, false, nil)
		}
	}
	found := false
	for at := name; at != "" && at != "."; at = path.Dir(at) {
		for _, file := range []string{at + ".py", at + "/__init__.py"} {
			if f, ok := a.tree.Stat(join(dir, file)); ok && f.Kind() == image.Regular {
				a.keep(join(dir, file), p, why, true)
				found = true
			}
		}
	}
	return found
}

// runtimeFolders keeps runtimes that stand in a folder of their own: virtual
// environments of Python, Java and others below /opt.
func (a *analysis) runtimeFolders(p string) {
	top := parent(parent(p))
	if path.Base(parent(p)) != "bin" || top == "" || top == "usr" || top == "usr/local" {
		return
	}
	for _, mark := range []string{"pyvenv.cfg", "lib/modules", "release", "conda-meta"} {
		if _, ok := a.tree.Stat(join(top, mark)); ok {
			a.keepBelow(top, p, "the runtime that "+p+" belongs to", true, func(rel string) bool { return a.testsOnly(join(top, rel)) })
			return
		}
	}
	if strings.HasPrefix(path.Base(p), "python") {
		for _, lib := range a.match(join(top, "lib/python3*")) {
			a.keepBelow(lib, p, "Python finds modules there by name", true, func(rel string) bool { return a.testsOnly(join(lib, rel)) })
		}
	}
}
