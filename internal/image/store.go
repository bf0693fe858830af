package image

import (
	"hash/maphash"
	"io/fs"
)

// Sizes of the pages that nodes and names live in. Pages are never moved, so
// that growing to millions of files does not need twice the memory.
const (
	nodePage = 1 << 13
	namePage = 1 << 20
	maxName  = 4096
)

// node is one path. It has no pointers, so that millions cost the garbage
// collector nothing.
type node struct {
	parent uint32
	name   uint32 // place in names: page<<20 | offset
	size   int64
	// extra is 1 + an index: into links for symbolic links (and for hard links
	// until they are resolved), into facts for files. 0 is none.
	extra uint32
	// cleared is 1 + the layer that removed the node, or that hid all that the
	// directory held until then.
	cleared uint16
	layer   uint16
	nameLen uint16
	owner   uint16 // index into owners
	mode    uint16 // permissions, setuid, setgid and sticky as in chmod(2)
	kind    Kind
	flags   uint8
}

const (
	implied  = 1 << iota // a directory that only its children speak of
	whiteout             // the lower layers' file of this name goes
	opaque               // what lower layers hold in this directory goes
	removed
	linked // a hard link to another path
)

// owner is a user and group, by number.
type owner struct{ UID, GID uint32 }

// store is a tree of paths. Node 0 is the root.
type store struct {
	nodes  [][]node
	count  uint32
	names  [][]byte
	table  []uint32 // open addressing; 0 is free
	seed   maphash.Seed
	owners []owner
	byID   map[owner]uint16
	links  []string
}

func newStore() *store {
	s := &store{seed: maphash.MakeSeed(), table: make([]uint32, 64), byID: map[owner]uint16{}}
	s.add(node{kind: Dir, mode: 0o755, flags: implied})
	return s
}

func (s *store) node(id uint32) *node { return &s.nodes[id/nodePage][id%nodePage] }

func (s *store) name(id uint32) []byte {
	n := s.node(id)
	off := n.name % namePage
	return s.names[n.name/namePage][off : off+uint32(n.nameLen)]
}

// add appends a node without entering it in the table.
func (s *store) add(n node) uint32 {
	id := s.count
	if id%nodePage == 0 {
		size := nodePage
		if id == 0 {
			size = 64 // most layers of most images are small
		}
		s.nodes = append(s.nodes, make([]node, 0, size))
	}
	page := &s.nodes[len(s.nodes)-1]
	*page = append(*page, n)
	s.count++
	return id
}

func (s *store) hash(parent uint32, name []byte) uint64 {
	return maphash.Bytes(s.seed, name) ^ uint64(parent)*0x9e3779b97f4a7c15
}

// child finds a name in a directory, also one that was removed.
func (s *store) child(parent uint32, name []byte) (uint32, bool) {
	mask := uint64(len(s.table) - 1)
	for i := s.hash(parent, name) & mask; ; i = (i + 1) & mask {
		id := s.table[i]
		if id == 0 {
			return 0, false
		}
		if s.node(id).parent == parent && string(s.name(id)) == string(name) {
			return id, true
		}
	}
}

// make adds a child that is not there.
func (s *store) make(parent uint32, name []byte, n node) uint32 {
	if uint64(s.count)*5/4 >= uint64(len(s.table)) {
		s.grow()
	}
	n.parent, n.name, n.nameLen = parent, s.keep(name), uint16(len(name))
	id := s.add(n)
	s.enter(id)
	return id
}

func (s *store) enter(id uint32) {
	mask := uint64(len(s.table) - 1)
	i := s.hash(s.node(id).parent, s.name(id)) & mask
	for s.table[i] != 0 {
		i = (i + 1) & mask
	}
	s.table[i] = id
}

func (s *store) grow() {
	s.table = make([]uint32, 2*len(s.table))
	for id := uint32(1); id < s.count; id++ {
		s.enter(id)
	}
}

// keep copies a name of at most maxName bytes to the pages.
func (s *store) keep(name []byte) uint32 {
	last := len(s.names) - 1
	if last < 0 || len(s.names[last])+len(name) > namePage {
		size := namePage
		if last < 0 {
			size = 4096 // append grows the first page as it needs
		}
		s.names = append(s.names, make([]byte, 0, size))
		last++
	}
	off := len(s.names[last])
	s.names[last] = append(s.names[last], name...)
	return uint32(last*namePage + off)
}

// own returns the index of an owner. Beyond 65,535 different owners, which no
// image of good faith has, further ones count as the last.
func (s *store) own(o owner) uint16 {
	if i, ok := s.byID[o]; ok {
		return i
	}
	if len(s.owners) == 1<<16-1 {
		return uint16(len(s.owners) - 1)
	}
	s.owners = append(s.owners, o)
	i := uint16(len(s.owners) - 1)
	s.byID[o] = i
	return i
}

// path writes the path of a node, without a leading slash.
func (s *store) path(id uint32) string {
	size := 0
	for at := id; at != 0; at = s.node(at).parent {
		size += len(s.name(at)) + 1
	}
	if size == 0 {
		return ""
	}
	out := make([]byte, size-1)
	for at, end := id, len(out); at != 0; at = s.node(at).parent {
		name := s.name(at)
		end -= len(name)
		copy(out[end:], name)
		if end--; end >= 0 {
			out[end] = '/'
		}
	}
	return string(out)
}

// visible says that neither the node nor a directory above it was removed or
// hidden since the node was written.
func (s *store) visible(id uint32) bool {
	_, hidden := s.hiddenBy(id)
	return !hidden
}

// hiddenBy names the layer that hid a node.
func (s *store) hiddenBy(id uint32) (layer int, hidden bool) {
	n := s.node(id)
	if n.flags&removed != 0 {
		return int(n.cleared) - 1, true
	}
	for written := n.layer; id != 0; {
		id = n.parent
		n = s.node(id)
		if n.flags&removed != 0 || n.cleared > written+1 {
			return int(n.cleared) - 1, true
		}
	}
	return 0, false
}

// fileMode turns the kind and the bits of chmod(2) into Go's.
func (n *node) fileMode() fs.FileMode {
	m := fs.FileMode(n.mode) & fs.ModePerm
	if n.mode&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if n.mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if n.mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	switch n.kind {
	case Dir:
		m |= fs.ModeDir
	case Symlink:
		m |= fs.ModeSymlink
	case Device:
		m |= fs.ModeDevice
	case Pipe:
		m |= fs.ModeNamedPipe
	case None, Regular, hardlink:
	}
	return m
}
