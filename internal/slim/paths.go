package slim

import (
	"path"
	"slices"
	"sort"
	"strings"

	"seawall.io/seawall/internal/image"
)

// maxHops is how many links a path may lead over, as in Linux.
const maxHops = 40

// index lists the paths of a tree in order, so that what is below a folder can be
// walked.
type index struct {
	tree  *image.Tree
	paths []string
	files []image.File
}

func newIndex(t *image.Tree) *index {
	x := &index{tree: t}
	for f := range t.All() {
		x.files = append(x.files, f)
	}
	image.Sort(x.files)
	x.paths = make([]string, len(x.files))
	for i, f := range x.files {
		x.paths[i] = f.Path()
	}
	return x
}

// below yields what is below a folder.
func (x *index) below(dir string, yield func(p string, f image.File) bool) {
	if dir != "" {
		dir += "/"
	}
	for i := sort.SearchStrings(x.paths, dir); i < len(x.paths) && strings.HasPrefix(x.paths[i], dir); i++ {
		if !yield(x.paths[i], x.files[i]) {
			return
		}
	}
}

// match returns the paths that a pattern fits: * stands for a part of a name, **
// at the end for all that is below. A pattern without either is one path.
func (x *index) match(pattern string) []string {
	pattern = strings.Trim(pattern, "/")
	star := strings.IndexAny(pattern, "*?[")
	if star < 0 {
		if _, ok := x.tree.Lstat(pattern); ok {
			return []string{pattern}
		}
		return nil
	}
	dir := pattern[:max(strings.LastIndexByte(pattern[:star], '/'), 0)]
	top, ok := x.tree.Stat(dir)
	if !ok {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(pattern[len(dir):], "/"), "/")
	base := top.Path()
	var out []string
	x.below(base, func(p string, _ image.File) bool {
		if fits(parts, strings.TrimPrefix(p[len(base):], "/")) {
			out = append(out, p)
		}
		return true
	})
	return out
}

func fits(parts []string, p string) bool {
	for i, want := range parts {
		if want == "**" && i == len(parts)-1 {
			return p != ""
		}
		part, rest, more := strings.Cut(p, "/")
		if ok, _ := path.Match(want, part); !ok || part == "" {
			return false
		}
		if i == len(parts)-1 {
			return !more
		}
		p = rest
	}
	return false
}

// follow finds a path as a process would, and the symbolic links on the way.
func (x *index) follow(p string) (f image.File, links []string, ok bool) {
	at, rest, hops := "", strings.Split(p, "/"), 0
	f, _ = x.tree.Lstat("")
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = parent(at)
			if f, ok = x.tree.Lstat(at); !ok {
				return f, links, false
			}
			continue
		}
		if f, ok = x.tree.Lstat(join(at, part)); !ok {
			return f, links, false
		}
		if f.Kind() != image.Symlink {
			at = f.Path()
			continue
		}
		if hops++; hops > maxHops {
			return f, links, false
		}
		links = append(links, f.Path())
		target := f.Link()
		if strings.HasPrefix(target, "/") {
			at = ""
		}
		rest = slices.Concat(strings.Split(target, "/"), rest)
	}
	return f, links, true
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// parent is the folder of a path; "" is the root.
func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }
