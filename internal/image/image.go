// Package image reads the layers of an image and merges them to the root file
// system that a container would see, without writing it anywhere: a layer is
// read once as a stream, of each file only what its parsers want is kept, and
// paths cost some fifty bytes each.
//
// Layers are merged as containerd does it for Kubernetes, on overlayfs: each is
// unpacked by itself, entry after entry, over the symbolic links that it holds
// itself, and then put over the lower ones. So a directory that only its children
// speak of takes the place of a lower layer's link, and a whiteout hides nothing
// of its own layer. Of what containerd refuses, the most is made: hard links may
// lead to lower layers.
package image

import (
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// Kind is the kind of a file.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Regular
	Dir
	Symlink
	Device
	Pipe
	hardlink // until layers are merged
)

// Problem is something in a layer that could not be read or is not as it should
// be. The rest of the layer stands.
type Problem struct {
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"`
}

// Layer is what one layer holds, before it is merged with others.
type Layer struct {
	// DiffID is the digest of the uncompressed layer, as the caller knows it.
	DiffID string
	// Files counts regular files, Bytes their sizes together.
	Files    int
	Bytes    int64
	Problems []Problem
	tree     *store
	facts    []inventory.Facts
	joins    []join
}

// join is a hard link and the file that it is a link to, by their nodes.
type join struct{ Link, To uint32 }

// File is one path of a merged tree. It is a view that is cheap to copy.
type File struct {
	tree *Tree
	id   uint32
}

// Tree is the root file system that the layers make.
type Tree struct {
	store  *store
	facts  []inventory.Facts
	hidden []overwritten
	joins  []joined // while layers are merged
	layers int
	// Problems are those of all layers, and of merging them.
	Problems []Problem
}

// overwritten is a file that an upper layer put another in the place of.
type overwritten struct {
	id        uint32
	size      int64
	facts     uint32
	layer, by uint16
}

// Path is the file's path without a leading slash; the root's is empty.
func (f File) Path() string { return f.tree.store.path(f.id) }

// Name is the last part of the path.
func (f File) Name() string { return string(f.tree.store.name(f.id)) }

// Kind is the file's kind; symbolic links are not followed.
func (f File) Kind() Kind { return f.node().kind }

// Mode holds permissions and the bits of setuid, setgid and sticky.
func (f File) Mode() fs.FileMode { return f.node().fileMode() }

// Size is in bytes, of regular files.
func (f File) Size() int64 { return f.node().size }

// Layer is the index of the layer that wrote the file last.
func (f File) Layer() int { return int(f.node().layer) }

// Owner is the user and group by number.
func (f File) Owner() (uid, gid int) {
	o := f.tree.store.owners[f.node().owner]
	return int(o.UID), int(o.GID)
}

// Link is what a symbolic link holds.
func (f File) Link() string {
	if n := f.node(); n.kind == Symlink && n.extra > 0 {
		return f.tree.store.links[n.extra-1]
	}
	return ""
}

// Linked says that the file is a hard link to another path, which is there too.
func (f File) Linked() bool { return f.node().flags&linked != 0 }

// Facts is what the file gave away, nil where nothing. Hard links share theirs.
func (f File) Facts() *inventory.Facts {
	if n := f.node(); n.kind == Regular && n.extra > 0 {
		return &f.tree.facts[n.extra-1]
	}
	return nil
}

func (f File) node() *node { return f.tree.store.node(f.id) }

// All yields every visible path but the root, parents before children, and
// otherwise in the order in which the layers name them.
func (t *Tree) All() iter.Seq[File] {
	return func(yield func(File) bool) {
		for id := uint32(1); id < t.store.count; id++ {
			if t.store.node(id).kind != None && t.store.visible(id) && !yield(File{t, id}) {
				return
			}
		}
	}
}

// Hidden is a file that is in a lower layer and not in the merged tree: it costs
// its bytes wherever the image goes, and what is in it can be read by everyone
// who has the image.
type Hidden struct {
	Path string
	Size int64
	// Layer holds the file, By overwrote or removed it.
	Layer, By int
	Facts     *inventory.Facts
}

// Hidden yields the regular files that upper layers overwrote or removed.
func (t *Tree) Hidden() iter.Seq[Hidden] {
	return func(yield func(Hidden) bool) {
		for _, h := range t.hidden {
			out := Hidden{Path: t.store.path(h.id), Size: h.size, Layer: int(h.layer), By: int(h.by)}
			if h.facts > 0 {
				out.Facts = &t.facts[h.facts-1]
			}
			if !yield(out) {
				return
			}
		}
		for id := uint32(1); id < t.store.count; id++ {
			n := t.store.node(id)
			if n.kind != Regular {
				continue
			}
			by, hidden := t.store.hiddenBy(id)
			if !hidden {
				continue
			}
			f := File{t, id}
			if !yield(Hidden{Path: f.Path(), Size: n.size, Layer: int(n.layer), By: by, Facts: f.Facts()}) {
				return
			}
		}
	}
}

// Lstat finds a path without following a link in its last part. Links before it
// are followed as a process in the container would follow them.
func (t *Tree) Lstat(path string) (File, bool) {
	dir, name := split(clean(path))
	id, ok := t.resolve(0, dir, new(int))
	if !ok {
		return File{}, false
	}
	if name != "" {
		if id, ok = t.visibleChild(id, name); !ok {
			return File{}, false
		}
	}
	return File{t, id}, true
}

// Stat finds a path and follows links.
func (t *Tree) Stat(path string) (File, bool) {
	id, ok := t.resolve(0, clean(path), new(int))
	return File{t, id}, ok
}

// maxHops is how many links a path may lead over, as in Linux (MAXSYMLINKS).
const maxHops = 40

// resolve follows a path from a directory, links included.
func (t *Tree) resolve(from uint32, path string, hops *int) (uint32, bool) {
	at := from
	for path != "" {
		var part string
		part, path, _ = strings.Cut(path, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			at = t.store.node(at).parent // the root is its own parent
			continue
		}
		id, ok := t.visibleChild(at, part)
		if !ok {
			return 0, false
		}
		if n := t.store.node(id); n.kind == Symlink {
			if *hops++; *hops > maxHops {
				return 0, false
			}
			target := t.store.links[n.extra-1]
			start := at
			if strings.HasPrefix(target, "/") {
				start = 0
			}
			if id, ok = t.resolve(start, target, hops); !ok {
				return 0, false
			}
		}
		at = id
	}
	return at, true
}

func (t *Tree) visibleChild(parent uint32, name string) (uint32, bool) {
	id, ok := t.store.child(parent, []byte(name))
	if !ok || t.store.node(id).kind == None || !t.store.visible(id) {
		return 0, false
	}
	return id, true
}

// clean takes a path's slashes and dots away, and whatever would lead out of
// the root.
func clean(path string) string {
	tidy := path != "" && path[0] != '/' && path[len(path)-1] != '/'
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			tidy = false
			break
		}
	}
	if tidy {
		return path
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			parts = parts[:max(len(parts)-1, 0)]
		default:
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// Size counts visible regular files and their bytes. Hard links count once.
func (t *Tree) Size() (files int, bytes int64) {
	for f := range t.All() {
		if f.Kind() == Regular && !f.Linked() {
			files++
			bytes += f.Size()
		}
	}
	return files, bytes
}

// Sort puts files in the order of their paths.
func Sort(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path(), b.Path()) })
}

func problem(path, format string, args ...any) Problem {
	return Problem{Path: path, Reason: fmt.Sprintf(format, args...)}
}
