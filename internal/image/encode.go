package image

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"

	"seawall.io/seawall/internal/inventory"
)

// stored is a layer as a cache holds it.
type stored struct {
	Files    int
	Bytes    int64
	Problems []Problem
	Count    uint32
	Nodes    []byte
	Names    [][]byte
	Owners   []owner
	Links    []string
	Facts    []inventory.Facts
	Joins    []join
}

const nodeSize = 32

// Encode writes a layer that was read and not merged yet, so that Decode can
// give it back. The form is no interchange format: it changes with Format.
func (l *Layer) Encode() ([]byte, error) {
	s := l.tree
	out := stored{
		Files: l.Files, Bytes: l.Bytes, Problems: l.Problems, Count: s.count,
		Names: s.names, Owners: s.owners, Links: s.links, Facts: l.facts, Joins: l.joins,
		Nodes: make([]byte, 0, int(s.count)*nodeSize),
	}
	le := binary.LittleEndian
	for id := range s.count {
		n := s.node(id)
		b := le.AppendUint32(make([]byte, 0, nodeSize), n.parent)
		b = le.AppendUint32(b, n.name)
		b = le.AppendUint64(b, uint64(n.size))
		b = le.AppendUint32(b, n.extra)
		b = le.AppendUint16(b, n.nameLen)
		b = le.AppendUint16(b, n.owner)
		b = le.AppendUint16(b, n.mode)
		b = append(b, byte(n.kind), n.flags, 0, 0, 0, 0)
		out.Nodes = append(out.Nodes, b...)
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(&out); err != nil {
		return nil, fmt.Errorf("encode a layer: %w", err)
	}
	return buf.Bytes(), nil
}

// Format is part of a cache's key: it is raised whenever a layer is kept in
// another form or read in another way.
const Format = 3

// Decode reads what Encode wrote. What does not hold together is an error.
func Decode(data []byte) (*Layer, error) {
	var in stored
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&in); err != nil {
		return nil, fmt.Errorf("decode a layer: %w", err)
	}
	if uint64(len(in.Nodes)) != uint64(in.Count)*nodeSize || in.Count == 0 || len(in.Owners) == 0 || len(in.Owners) > 1<<16 {
		return nil, fmt.Errorf("decode a layer: %d bytes for %d paths of %d owners", len(in.Nodes), in.Count, len(in.Owners))
	}
	s := newStore()
	s.names, s.links = in.Names, in.Links
	for _, o := range in.Owners {
		s.owners = append(s.owners, o)
		s.byID[o] = uint16(len(s.owners) - 1)
	}
	size := len(s.table)
	for uint64(in.Count)*5/4 >= uint64(size) {
		size *= 2
	}
	s.table = make([]uint32, size)
	le := binary.LittleEndian
	for id := range in.Count {
		b := in.Nodes[id*nodeSize:]
		n := node{
			parent: le.Uint32(b), name: le.Uint32(b[4:]), size: int64(le.Uint64(b[8:])), extra: le.Uint32(b[16:]),
			nameLen: le.Uint16(b[20:]), owner: le.Uint16(b[22:]), mode: le.Uint16(b[24:]), kind: Kind(b[26]), flags: b[27],
		}
		if err := in.check(id, &n); err != nil {
			return nil, err
		}
		if id == 0 {
			*s.node(0) = n
			continue
		}
		s.enter(s.add(n))
	}
	for _, j := range in.Joins {
		if j.Link >= in.Count || j.To >= in.Count {
			return nil, fmt.Errorf("decode a layer: a link of path %d to %d of %d", j.Link, j.To, in.Count)
		}
	}
	return &Layer{Files: in.Files, Bytes: in.Bytes, Problems: in.Problems, tree: s, facts: in.Facts, joins: in.Joins}, nil
}

// check holds that a node points to what is there.
func (in *stored) check(id uint32, n *node) error {
	page, off := n.name/namePage, n.name%namePage
	ok := int(n.owner) < len(in.Owners) && n.kind <= hardlink && n.size >= 0
	switch id {
	case 0:
		ok = ok && n.parent == 0 && n.nameLen == 0 && n.kind == Dir
	default:
		ok = ok && n.parent < id && (n.nameLen > 0 || n.flags&removed != 0) && int(page) < len(in.Names) && int(off)+int(n.nameLen) <= len(in.Names[page])
	}
	switch n.kind {
	case Symlink, hardlink:
		ok = ok && n.extra > 0 && int(n.extra) <= len(in.Links)
	case Regular:
		ok = ok && int(n.extra) <= len(in.Facts)
	case None, Dir, Device, Pipe:
		ok = ok && n.extra == 0
	}
	if !ok {
		return fmt.Errorf("decode a layer: path %d does not hold together", id)
	}
	return nil
}
