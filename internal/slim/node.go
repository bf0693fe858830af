package slim

import (
	"maps"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory/script"
)

// nodeGraph follows JavaScript modules as node resolves them, by packages: a
// package of which a file is reached stays whole, what it requires is followed
// file by file.
type nodeGraph struct {
	// packages are folders of packages that stay, apps the folders with a
	// node_modules that reached files stand beside.
	packages, apps map[string]bool
	// unsure are files that require what is chosen at run time.
	unsure    []string
	dynamics  bool
	completed map[string]bool
}

//nolint:gochecknoglobals // a constant table
var nodeGlobals = []string{"usr/share/nodejs", "usr/lib/nodejs", "usr/share/node_modules", "usr/lib/node_modules"}

// module follows what a file requires.
func (g *nodeGraph) module(a *analysis, p, name string) {
	g.moduleFrom(a, parent(p), p, name, "required by "+p)
}

func (g *nodeGraph) moduleFrom(a *analysis, dir, by, name, why string) {
	name = strings.TrimPrefix(name, "file:")
	switch {
	case name == "" || strings.HasPrefix(name, "node:") || strings.Contains(name, "://"):
		return
	case strings.HasPrefix(name, "/"):
		g.file(a, strings.Trim(name, "/"), by, why)
		return
	case strings.HasPrefix(name, "."):
		g.file(a, path.Join(dir, name), by, why)
		return
	case strings.HasPrefix(name, "#"):
		if pkg := packageOf(dir); pkg != "" {
			g.all(a, pkg, by, why)
		}
		return
	}
	pkg, sub := splitModule(name)
	for at := dir; ; at = parent(at) {
		if path.Base(at) != "node_modules" && g.reach(a, join(join(at, "node_modules"), pkg), sub, by, why) {
			if !strings.Contains(at, "node_modules/") {
				g.app(at)
			}
			return
		}
		if at == "" {
			break
		}
	}
	globals := nodeGlobals
	for d := range strings.SplitSeq(a.env["NODE_PATH"], ":") {
		if d != "" {
			globals = append([]string{strings.Trim(d, "/")}, globals...)
		}
	}
	for _, d := range globals {
		if g.reach(a, join(d, pkg), sub, by, why) {
			return
		}
	}
}

func (g *nodeGraph) app(dir string) {
	if g.apps == nil {
		g.apps = map[string]bool{}
	}
	g.apps[dir] = true
}

// splitModule takes the name of the package off: @scope/name/lib/x.
func splitModule(name string) (pkg, sub string) {
	parts := strings.SplitN(name, "/", 3)
	n := 1
	if strings.HasPrefix(name, "@") {
		n = 2
	}
	if len(parts) < n {
		return name, ""
	}
	return strings.Join(parts[:n], "/"), strings.Join(parts[n:], "/")
}

// packageOf is the folder of the package that a path in node_modules lies in.
func packageOf(p string) string {
	i := strings.LastIndex("/"+p, "/node_modules/")
	if i < 0 {
		return ""
	}
	i += len("/node_modules/") - 1
	pkg, _ := splitModule(p[i:])
	return p[:i] + pkg
}

// reach keeps a package and follows a file of it.
func (g *nodeGraph) reach(a *analysis, pkg, sub, by, why string) bool {
	f, links, ok := a.follow(pkg)
	if !ok || f.Kind() != image.Dir {
		if sub != "" {
			return false
		}
		return ok && g.file(a, pkg, by, why) || g.single(a, pkg, by, why) // node_modules/name.js
	}
	for _, l := range links {
		a.mark(l, by, why, false)
	}
	g.keepPackage(a, f.Path(), by, why)
	if sub != "" {
		if !g.file(a, join(f.Path(), sub), by, why) {
			g.all(a, f.Path(), by, why)
		}
		return true
	}
	g.enter(a, f.Path(), by, why)
	return true
}

func (g *nodeGraph) single(a *analysis, p, by, why string) bool {
	_, ok := a.tree.Stat(p + ".js")
	return ok && g.file(a, p+".js", by, why)
}

// keepPackage keeps the files of a package once.
func (g *nodeGraph) keepPackage(a *analysis, dir, by, why string) {
	if g.packages[dir] {
		return
	}
	if g.packages == nil {
		g.packages = map[string]bool{}
	}
	g.packages[dir] = true
	a.keepBelow(dir, by, why, true, func(rel string) bool {
		return strings.HasPrefix(rel, "node_modules/") || a.in.Level == Tight && nodeJunk(rel)
	})
}

// enter follows the ways into a package: those that package.json names, and
// index.js.
func (g *nodeGraph) enter(a *analysis, dir, by, why string) {
	entered := false
	if f, ok := a.tree.Stat(join(dir, "package.json")); ok && f.Facts() != nil {
		a.keep(join(dir, "package.json"), by, why, false)
		for _, text := range f.Facts().Requires {
			n := script.ParseNeed(text)
			if n.Kind != script.Entry {
				continue
			}
			if strings.Contains(n.Name, "*") {
				g.all(a, dir, by, why)
				return
			}
			entered = g.file(a, path.Join(dir, n.Name), by, why) || entered
		}
	}
	for _, name := range []string{"index.js", "index.cjs", "index.mjs", "index.json", "index.node"} {
		if f, ok := a.tree.Stat(join(dir, name)); ok && f.Kind() == image.Regular {
			a.keep(join(dir, name), by, why, true)
			entered = true
		}
	}
	if !entered {
		g.all(a, dir, by, why)
	}
}

// file follows a path as node completes it, and says whether there is a file.
func (g *nodeGraph) file(a *analysis, p, by, why string) bool {
	for _, ext := range []string{"", ".js", ".cjs", ".mjs", ".json", ".node", ".ts"} {
		f, _, ok := a.follow(p + ext)
		if ok && f.Kind() == image.Regular {
			a.keep(p+ext, by, why, true)
			if pkg := packageOf(f.Path()); pkg != "" {
				g.keepPackage(a, pkg, by, why)
			} else if g.manifestBeside(a, parent(f.Path())) {
				a.keep(join(parent(f.Path()), "package.json"), by, "it tells node how to read "+f.Path(), false)
			}
			return true
		}
	}
	f, _, ok := a.follow(p)
	if !ok || f.Kind() != image.Dir || f.Path() == "" {
		return false
	}
	if g.completed[f.Path()] {
		return true
	}
	if g.completed == nil {
		g.completed = map[string]bool{}
	}
	g.completed[f.Path()] = true
	index := false
	for _, name := range []string{"package.json", "index.js", "index.json", "index.node", "index.cjs", "index.mjs"} {
		if _, ok := a.tree.Stat(join(f.Path(), name)); ok {
			index = true
		}
	}
	if index {
		g.enter(a, f.Path(), by, why)
	}
	return index
}

func (g *nodeGraph) manifestBeside(a *analysis, dir string) bool {
	_, ok := a.tree.Stat(join(dir, "package.json"))
	return ok
}

// all follows every file of a package.
func (g *nodeGraph) all(a *analysis, dir, by, why string) {
	g.keepPackage(a, dir, by, why)
	a.below(dir, func(p string, f image.File) bool {
		rel := strings.TrimPrefix(p, dir+"/")
		if !strings.HasPrefix(rel, "node_modules/") && !nodeJunk(rel) && f.Kind() == image.Regular && javaScriptName(p) {
			a.keep(p, by, why, true)
		}
		return true
	})
}

func javaScriptName(p string) bool {
	switch path.Ext(p) {
	case ".js", ".cjs", ".mjs", ".node":
		return true
	}
	return false
}

// dynamic notes a file that requires what is chosen at run time.
func (g *nodeGraph) dynamic(a *analysis, p string) {
	if strings.HasPrefix(p, "usr/share/nodejs/") {
		return // node's own
	}
	g.dynamics = true
	g.unsure = append(g.unsure, p)
	for dir := parent(p); ; dir = parent(dir) {
		if f, ok := a.tree.Stat(join(dir, "node_modules")); ok && f.Kind() == image.Dir && !strings.Contains("/"+dir+"/", "/node_modules/") {
			g.app(dir)
		}
		if dir == "" {
			return
		}
	}
}

// finish keeps, where some file chooses what to require, all that package.json of
// the application asks for, with what that asks for in turn.
func (g *nodeGraph) finish(a *analysis) {
	if !g.dynamics || len(g.apps) == 0 {
		return
	}
	for _, dir := range slices.Sorted(maps.Keys(g.apps)) {
		delete(g.apps, dir)
		f, ok := a.tree.Stat(join(dir, "package.json"))
		if !ok || f.Facts() == nil {
			a.note(g.unsure[0], "requires modules by names made at run time, and /%s has no package.json that says which there may be: all of node_modules stays", dir)
			g.whole(a, dir)
			continue
		}
		a.note(g.unsure[0], "requires modules by names made at run time: all that /%s asks for stays", join(dir, "package.json"))
		g.dependencies(a, dir, map[string]bool{})
	}
}

// dependencies keeps the packages that a package.json asks for.
func (g *nodeGraph) dependencies(a *analysis, dir string, seen map[string]bool) {
	stack := []string{dir}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		f, ok := a.tree.Stat(join(at, "package.json"))
		if seen[at] || !ok || f.Facts() == nil {
			continue
		}
		seen[at] = true
		for _, text := range f.Facts().Requires {
			n := script.ParseNeed(text)
			if n.Kind != script.Depends {
				continue
			}
			for up := at; ; up = parent(up) {
				pkg := join(join(up, "node_modules"), n.Name)
				if found, ok := a.tree.Stat(pkg); ok && found.Kind() == image.Dir && path.Base(up) != "node_modules" {
					g.reach(a, pkg, "", join(at, "package.json"), "a dependency that "+join(at, "package.json")+" names")
					stack = append(stack, found.Path())
					break
				}
				if up == "" {
					break
				}
			}
		}
	}
}

// whole keeps all of a node_modules.
func (g *nodeGraph) whole(a *analysis, dir string) {
	a.keepBelow(join(dir, "node_modules"), "", "something in /"+dir+" requires modules by names made at run time", true,
		func(rel string) bool { return a.in.Level == Tight && nodeJunk(rel) })
}

// nodeJunk says of a path in a package that it is there for people.
func nodeJunk(rel string) bool {
	for part := range strings.SplitSeq(path.Dir(rel), "/") {
		switch part {
		case "test", "tests", "__tests__", "docs", "doc", "example", "examples", ".github", "coverage", "benchmark", "benchmarks":
			return true
		}
	}
	base := path.Base(rel)
	if strings.HasPrefix(strings.ToUpper(base), "LICEN") || strings.HasPrefix(strings.ToUpper(base), "NOTICE") {
		return false
	}
	return strings.HasSuffix(base, ".md") || strings.HasSuffix(base, ".map") || strings.HasSuffix(base, ".d.ts") || strings.HasSuffix(base, ".markdown")
}
