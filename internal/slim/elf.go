package slim

import (
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/script"
)

// libraryFolders are those that the loader searches for every program: what
// ld.so.conf names, or musl's path file, and the built in ones.
func (a *analysis) libraryFolders() []string {
	var out []string
	for _, pattern := range []string{"etc/ld.so.conf", "etc/ld.so.conf.d/*.conf", "etc/ld-musl-*.path"} {
		for _, p := range a.match(pattern) {
			f, ok := a.tree.Stat(p)
			if !ok || f.Facts() == nil {
				continue
			}
			for _, text := range f.Facts().Requires {
				if n := script.ParseNeed(text); n.Kind == script.Path && !strings.Contains(n.Name, "*") {
					out = append(out, strings.Trim(n.Name, "/"))
				}
			}
		}
	}
	for _, pattern := range []string{"lib/*-linux-*", "usr/lib/*-linux-*"} {
		out = append(out, a.match(pattern)...)
	}
	return append(out, "lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib", "lib32", "usr/lib32")
}

// elf follows the interpreter and the libraries of an ELF file.
func (a *analysis) elf(p string, e *inventory.ELF) {
	if e.Interpreter != "" {
		if _, ok := a.keep(e.Interpreter, p, "the loader of "+p, true); !ok {
			a.lacks(Unresolved{Path: p, Name: e.Interpreter})
		}
	}
	k := a.kept[p]
	paths := k.rpath
	if len(e.RunPath) == 0 {
		paths = slices.Concat(expand(e.RPath, p), k.rpath)
	}
	places := a.places(p, e, paths)
	for _, name := range e.Needed {
		if !a.library(p, e, name, "a library that "+p+" is linked with", places, paths) {
			a.lacks(Unresolved{Path: p, Name: name})
		}
	}
	if isLibC(p) {
		return // its names of libraries are those of the keep-lists
	}
	for _, name := range e.Dlopen {
		a.library(p, e, name, "a library that "+p+" names and may load", places, paths)
	}
}

// places are the folders that the loader searches for an object's libraries, in
// its order: DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH, the system's.
func (a *analysis) places(p string, e *inventory.ELF, rpath []string) []string {
	out := slices.Clone(rpath)
	for dir := range strings.SplitSeq(a.env["LD_LIBRARY_PATH"], ":") {
		if dir != "" {
			out = append(out, strings.Trim(a.absolute(dir), "/"))
		}
	}
	return slices.Concat(out, expand(e.RunPath, p), a.libraries)
}

// expand puts in what the loader puts in: the object's folder, and the names that
// $LIB and $PLATFORM may stand for.
func expand(dirs []string, object string) []string {
	var out []string
	for _, dir := range dirs {
		for _, name := range []string{"$ORIGIN", "${ORIGIN}"} {
			dir = strings.ReplaceAll(dir, name, "/"+parent(object))
		}
		variants := []string{dir}
		if strings.Contains(dir, "$LIB") || strings.Contains(dir, "${LIB}") {
			variants = nil
			for _, lib := range []string{"lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"} {
				variants = append(variants, strings.NewReplacer("${LIB}", lib, "$LIB", lib).Replace(dir))
			}
		}
		for _, v := range variants {
			if v = strings.Trim(path.Clean(v), "/"); v != "" && v != "." {
				out = append(out, v)
			}
		}
	}
	return out
}

// library keeps a library where the loader would find it, and beside it those for
// newer processors.
func (a *analysis) library(p string, e *inventory.ELF, name, why string, places, rpath []string) bool {
	if strings.Contains(name, "/") {
		_, ok := a.keep(name, p, why, true)
		return ok
	}
	found := false
	for _, dir := range places {
		if !found {
			found = a.object(join(dir, name), p, e, why, rpath)
			continue
		}
		break
	}
	for _, dir := range places {
		for _, m := range a.match(join(dir, "glibc-hwcaps/*/"+name)) {
			a.object(m, p, e, why+", for newer processors", rpath)
		}
	}
	return found
}

// object keeps a library if it is of the machine that the object is of.
func (a *analysis) object(at, p string, e *inventory.ELF, why string, rpath []string) bool {
	f, ok := a.tree.Stat(at)
	if !ok || f.Kind() != image.Regular || f.Facts() == nil || f.Facts().ELF == nil {
		return false
	}
	if l := f.Facts().ELF; l.Class != e.Class || l.Machine != e.Machine || l.Type != "DYN" {
		return false
	}
	if k := a.kept[f.Path()]; k == nil || !k.active {
		a.keep(at, p, why, true)
		if k = a.kept[f.Path()]; k != nil && k.rpath == nil {
			k.rpath = rpath
		}
	} else {
		a.keep(at, p, why, true) // over other links, perhaps
	}
	return true
}

// isLibC says that a path is of the C library or its loader, whose strings name
// what other functions of theirs may load.
func isLibC(p string) bool {
	base := path.Base(p)
	return strings.HasPrefix(base, "libc.so.") || strings.HasPrefix(base, "libc-2.") || strings.HasPrefix(base, "ld-linux") ||
		strings.HasPrefix(base, "ld-musl") || strings.HasPrefix(base, "libc.musl") || strings.HasPrefix(base, "ld-2.") || base == "ld.so"
}

// isInterpreter says that a program runs scripts, or commands that it is given,
// which say themselves what they start.
func isInterpreter(p string) bool {
	base := path.Base(p)
	for _, name := range []string{"python", "libpython", "perl", "libperl", "node", "libnode", "ruby", "libruby", "php", "lua", "bash", "dash", "busybox", "sh", "ash", "zsh", "ksh", "java", "libjli", "libjvm", "sed", "awk", "mawk", "gawk", "tar", "find", "xargs", "env", "tini", "gosu"} {
		if rest, ok := strings.CutPrefix(base, name); ok && (rest == "" || strings.IndexByte("0123456789.-", rest[0]) >= 0) {
			return true
		}
	}
	return strings.Contains(p, "/python3") || strings.Contains(p, "/jvm/")
}
