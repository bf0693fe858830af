package slim

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/script"
)

// kept is why a file stays: the file that leads to it, and how.
type kept struct {
	by, why string
	// active files are run or loaded, so that what they need is needed too. Others
	// are read at most.
	active bool
	rpath  []string // what an ELF file inherits from the one that loads it
}

type analysis struct {
	*index

	in         *Input
	kept       map[string]*kept
	queue      []string
	env        map[string]string
	search     []string // folders of programs
	libraries  []string // folders of libraries
	notes      []Note
	noted      map[Note]bool
	unresolved []Unresolved
	lacking    map[Unresolved]bool
	// reached are packages of the distribution of which a file is active, with the
	// first such file.
	reached map[string]string
	chained map[string]string // packages that stay since another depends on them
	fired   map[int]bool      // rules of keepLists
	node    nodeGraph
	shells  bool
	// starters are files that start what cannot be told, each noted once.
	starters map[string]bool
	// recorded says that something tells which package owns which file.
	recorded bool
}

func newAnalysis(in *Input) *analysis {
	a := &analysis{
		index: newIndex(in.Tree), in: in, kept: map[string]*kept{}, env: map[string]string{}, noted: map[Note]bool{},
		lacking: map[Unresolved]bool{}, reached: map[string]string{}, chained: map[string]string{}, fired: map[int]bool{},
		starters: map[string]bool{},
	}
	for _, e := range in.Env {
		name, value, _ := strings.Cut(e, "=")
		a.env[name] = value
	}
	search := a.env["PATH"]
	if search == "" {
		search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	a.search = strings.Split(search, ":")
	a.libraries = a.libraryFolders()
	a.recorded = slices.ContainsFunc(a.paths, func(p string) bool { return in.Owner(p) != "" })
	return a
}

// keep keeps a path and the links that lead to it. It tells the file at the end.
func (a *analysis) keep(p, by, why string, active bool) (image.File, bool) {
	f, links, ok := a.follow(p)
	if !ok {
		return f, false
	}
	for _, l := range links {
		a.mark(l, f.Path(), "a link on the way to it", false)
	}
	a.mark(f.Path(), by, why, active && f.Kind() == image.Regular)
	return f, true
}

// mark notes one path. A file that was kept to be read may turn out to be run.
func (a *analysis) mark(p, by, why string, active bool) {
	k := a.kept[p]
	switch {
	case p == "" || p == by:
		return
	case k == nil:
		k = &kept{by: by, why: why, active: active}
		a.kept[p] = k
	case active && !k.active:
		k.by, k.why, k.active = by, why, true
	default:
		return
	}
	if !active {
		return
	}
	a.queue = append(a.queue, p)
	if pkg := a.in.Owner(p); pkg != "" && a.reached[pkg] == "" {
		a.reached[pkg] = p
	}
}

// keepBelow keeps all of a folder that is not left out.
func (a *analysis) keepBelow(dir, by, why string, active bool, out func(rel string) bool) {
	f, ok := a.keep(dir, by, why, false)
	if !ok || f.Kind() != image.Dir {
		return
	}
	base := f.Path()
	a.below(base, func(p string, f image.File) bool {
		if out != nil && out(strings.TrimPrefix(p[len(base):], "/")) {
			return true
		}
		if f.Kind() == image.Symlink {
			a.keep(p, by, why, active)
			return true
		}
		a.mark(p, by, why, active && f.Kind() == image.Regular && loads(f))
		return true
	})
}

// loads says that a file is machine code or a script, so that others follow.
func loads(f image.File) bool {
	facts := f.Facts()
	return facts != nil && facts.ELF != nil
}

func (a *analysis) note(p, format string, args ...any) {
	n := Note{p, fmt.Sprintf(format, args...)}
	if !a.noted[n] {
		a.noted[n] = true
		a.notes = append(a.notes, n)
	}
}

func (a *analysis) lacks(u Unresolved) {
	if !a.lacking[u] {
		a.lacking[u] = true
		a.unresolved = append(a.unresolved, u)
	}
}

// run follows all that active files lead to.
func (a *analysis) run() {
	for len(a.queue) > 0 {
		p := a.queue[0]
		a.queue = a.queue[1:]
		if f, ok := a.tree.Lstat(p); ok && f.Kind() == image.Regular {
			a.scan(p, f)
		}
		if len(a.queue) == 0 {
			a.node.finish(a)
		}
	}
}

// scan follows what one file leads to.
func (a *analysis) scan(p string, f image.File) {
	a.rules(p)
	facts := f.Facts()
	if facts == nil {
		return
	}
	if facts.ELF != nil {
		a.elf(p, facts.ELF)
	}
	if facts.Shebang != "" {
		a.shebang(p, facts.Shebang)
	}
	if isLibC(p) {
		return // it names /bin/sh and the like, for system and others: see calls
	}
	interprets := isInterpreter(p)
	for _, text := range facts.Requires {
		n := script.ParseNeed(text)
		if interprets && (n.Kind == script.Calls || n.Kind == script.Unknown) {
			continue // what it starts, its scripts ask for
		}
		a.need(p, n, facts)
	}
}

func (a *analysis) shebang(p, line string) {
	first, program, exact := script.Interpreter(line)
	if first == "" {
		return
	}
	if _, ok := a.keep(first, p, "the interpreter of "+p, true); !ok {
		a.lacks(Unresolved{Path: p, Name: first})
	}
	if exact || program == "" {
		return
	}
	if !a.program(program, p, "the interpreter of "+p) {
		a.lacks(Unresolved{Path: p, Name: program})
	}
}

// program keeps a program that is found as the shell finds it.
func (a *analysis) program(name, by, why string) bool {
	p, ok := a.lookup(name)
	if ok {
		a.keep(p, by, why, true)
	}
	return ok
}

// lookup finds a program on the path, or a path from the working directory.
func (a *analysis) lookup(name string) (string, bool) {
	runs := func(p string) bool {
		f, ok := a.tree.Stat(p)
		return ok && f.Kind() == image.Regular && f.Mode()&0o111 != 0
	}
	if strings.Contains(name, "/") {
		p := a.absolute(name)
		return p, runs(p)
	}
	for _, dir := range a.search {
		if p := path.Join(dir, name); dir != "" && runs(p) {
			return p, true
		}
	}
	return "", false
}

// absolute takes a path from the working directory.
func (a *analysis) absolute(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return path.Join("/", a.in.WorkDir, name)
}

// need follows one thing that a file names.
func (a *analysis) need(p string, n script.Need, facts *inventory.Facts) {
	switch n.Kind {
	case script.Run:
		a.program(n.Name, p, "a command that "+p+" runs")
	case script.Source:
		a.source(p, n.Name)
	case script.Path:
		a.mentioned(p, n.Name, facts)
	case script.Calls:
		switch n.Name {
		case "popen", "system":
			a.starts(p, "it calls "+n.Name+"()")
		case "iconv_open":
			a.fire("iconv_open", p)
		}
	case script.Unknown:
		a.unknown(p, n.Name)
	case script.Module:
		a.node.module(a, p, n.Name)
	case script.Import:
		a.pythonImport(p, n.Name)
	case script.Entry, script.Depends:
	}
}

// source keeps a file that a shell script reads in.
func (a *analysis) source(p, name string) {
	if !strings.Contains(name, "/") {
		if q, ok := a.lookup(name); ok {
			name = q
		}
	}
	for _, q := range []string{a.absolute(name), path.Join("/", parent(p), name)} {
		if f, ok := a.keep(q, p, "read in by "+p, true); ok && f.Kind() == image.Regular {
			return
		}
	}
}

// unknown deals with what is chosen at run time.
func (a *analysis) unknown(p, why string) {
	switch {
	case strings.HasPrefix(why, "require ") || strings.HasPrefix(why, "require.") || strings.HasPrefix(why, "createRequire"):
		a.node.dynamic(a, p)
	case strings.HasPrefix(why, "import ") || strings.HasPrefix(why, "an import "):
		if strings.HasSuffix(p, ".py") {
			return // all of Python's packages stay anyway
		}
		a.node.dynamic(a, p)
	default:
		a.starts(p, why)
	}
}

// starts keeps a shell, and at the level safe the usual commands, for a file that
// starts programs that cannot be told.
func (a *analysis) starts(p, why string) {
	if p != "" && a.starters[p] {
		return
	}
	a.starters[p] = true
	if !a.program("sh", p, p+" may start programs over a shell: "+why) {
		a.note(p, "may start programs that cannot be told: %s", why)
		return
	}
	if a.in.Level == Tight {
		a.note(p, "may start programs that cannot be told: %s; the shell stays, other commands only where something names them", why)
		return
	}
	a.note(p, "may start programs that cannot be told: %s; the shell and the basic commands stay", why)
	if a.shells {
		return
	}
	a.shells = true
	for _, pkg := range a.in.Packages {
		if pkg.Type.OS() && basicCommands[pkg.Name] {
			a.chain(pkg.Name, "it has basic commands, and "+p+" may start any")
		}
	}
}

// mentioned keeps what a path in the strings of a program, or in settings, leads
// to.
func (a *analysis) mentioned(p, name string, facts *inventory.Facts) {
	how := "named in " + p
	if strings.ContainsAny(name, "*?[") {
		for _, m := range a.match(name) {
			a.keep(m, p, how, false)
		}
		return
	}
	f, _, ok := a.follow(name)
	if !ok {
		return
	}
	switch f.Kind() {
	case image.Regular:
		elf := facts != nil && facts.ELF != nil
		runs := f.Mode()&0o111 != 0
		a.keep(name, p, how, runs || !elf || strings.HasPrefix(f.Path(), "etc/"))
	case image.Dir:
		if !ownFolder(f.Path()) {
			return
		}
		a.keepBelow(name, p, how, false, func(rel string) bool { return a.junk(join(f.Path(), rel)) != "" })
	default:
		a.keep(name, p, how, false)
	}
}

// ownFolder says that a folder is one program's and not everybody's.
func ownFolder(p string) bool {
	if shared[p] || strings.HasPrefix(p, "proc") || strings.HasPrefix(p, "sys") || strings.HasPrefix(p, "dev") {
		return false
	}
	depth := strings.Count(p, "/") + 1
	for _, top := range []string{"etc/", "opt/", "srv/", "home/"} {
		if strings.HasPrefix(p, top) {
			return true
		}
	}
	base := path.Base(p)
	return depth >= 3 && !strings.Contains(base, "-linux-") && !slices.Contains([]string{"lib", "lib64", "bin", "sbin", "share", "doc", "man", "locale", "include"}, base)
}
