package image

import (
	"fmt"
	"math"
	"slices"

	"seawall.io/seawall/internal/inventory"
)

// Merge makes the root file system out of layers, from the base upwards. It
// takes the layers over: they are of no further use to the caller. An image has
// at most 65,000 layers.
func Merge(layers []*Layer) (*Tree, error) {
	if len(layers) > math.MaxUint16-2 {
		return nil, fmt.Errorf("%d layers: at most %d can be merged", len(layers), math.MaxUint16-2)
	}
	t := &Tree{layers: len(layers)}
	for i, l := range layers {
		t.Problems = append(t.Problems, l.Problems...)
		if t.store == nil {
			t.adopt(l)
			continue
		}
		m := merging{t: t, layer: uint16(i), from: l, places: make([]uint32, l.tree.count)}
		m.run()
		layers[i] = nil
	}
	if t.store == nil {
		t.store = newStore()
		t.store.own(owner{})
	}
	t.settleLinks()
	return t, nil
}

// adopt makes the lowest layer the tree, as it stands.
func (t *Tree) adopt(l *Layer) {
	t.store, t.facts = l.tree, l.facts
	var links []uint32
	for id := uint32(1); id < t.store.count; id++ {
		n := t.store.node(id)
		n.flags &^= whiteout | opaque // there is nothing below
		if n.kind == hardlink {
			links = append(links, id)
		}
	}
	for _, id := range links {
		n := t.store.node(id)
		t.join(id, t.store.links[n.extra-1])
	}
	for _, j := range l.joins {
		t.joins = append(t.joins, joined{written{j.Link, 0}, written{j.To, 0}})
	}
}

// join gives a hard link what its target has.
func (t *Tree) join(id uint32, target string) {
	n := t.store.node(id)
	n.kind, n.extra, n.flags = Regular, 0, n.flags|linked
	seen := map[uint32]bool{id: true}
	for {
		f, ok := t.Lstat(target)
		switch {
		case !ok:
			t.Problems = append(t.Problems, problem(t.store.path(id), "a hard link to %q, which is not there", target))
			return
		case seen[f.id]:
			t.Problems = append(t.Problems, problem(t.store.path(id), "a hard link that leads to itself over %q", target))
			return
		case f.Kind() == Dir:
			t.Problems = append(t.Problems, problem(t.store.path(id), "a hard link to the directory %q", target))
			return
		}
		to := f.node()
		if to.kind == hardlink { // a link to a link that comes later in the layer
			seen[f.id] = true
			target = t.store.links[to.extra-1]
			continue
		}
		// The two are one file: permissions and owner are those of whoever came last.
		n.kind, n.extra, n.size = to.kind, to.extra, to.size
		to.mode, to.owner = n.mode, n.owner
		t.joins = append(t.joins, joined{link: written{id, n.layer}, to: written{f.id, to.layer}})
		return
	}
}

// written is what one layer wrote at a path; another layer may write there later.
type written struct {
	id    uint32
	layer uint16
}

// joined is a hard link and what it was made a link to.
type joined struct{ link, to written }

// settleLinks makes the first hard link that is left the file itself, where an
// upper layer took the path away that it was a link to.
func (t *Tree) settleLinks() {
	there := func(w written) bool {
		if w.id >= t.store.count {
			return false // replaced within its layer
		}
		n := t.store.node(w.id)
		return n.kind == Regular && n.layer == w.layer && t.store.visible(w.id)
	}
	origin := make(map[written]written, len(t.joins))
	for _, j := range t.joins {
		from, ok := origin[j.to]
		if !ok {
			from = j.to
		}
		origin[j.link] = from
		if there(from) || !there(j.link) {
			continue
		}
		origin[from] = j.link // it stands in for the other links
		origin[j.link] = j.link
		t.promote(j.link.id)
	}
	t.joins = nil
}

// promote makes a hard link a file of its own, and what it tells stand under its
// own path.
func (t *Tree) promote(id uint32) {
	n := t.store.node(id)
	n.flags &^= linked
	if n.extra == 0 || len(t.facts[n.extra-1].Packages) == 0 {
		return
	}
	facts := t.facts[n.extra-1]
	facts.Packages = slices.Clone(facts.Packages)
	for i := range facts.Packages {
		facts.Packages[i].Path = t.store.path(id)
	}
	t.facts = append(t.facts, facts)
	n.extra = uint32(len(t.facts))
}

// merging puts one layer over what is there.
type merging struct {
	t      *Tree
	layer  uint16
	from   *Layer
	places []uint32 // of the layer's nodes in the tree
	offset uint32   // of the layer's facts
}

func (m *merging) run() {
	m.offset = uint32(len(m.t.facts))
	m.t.facts = append(m.t.facts, m.from.facts...)
	for i := range m.t.facts[m.offset:] {
		f := &m.t.facts[int(m.offset)+i]
		if len(f.Packages) == 0 {
			continue
		}
		f.Packages = slices.Clone(f.Packages) // they may be a cache's
		for j := range f.Packages {
			f.Packages[j].Layer = int(m.layer)
		}
	}
	l := m.from.tree
	var links []uint32
	for id := uint32(1); id < l.count; id++ { // parents come before their children
		switch n := l.node(id); {
		case n.flags&removed != 0:
			m.places[id] = ^id // one that the tree does not have
		case n.kind == None:
			m.hide(id, n)
		default:
			m.places[id] = m.place(id, n)
			if n.flags&opaque != 0 {
				m.t.store.node(m.places[id]).cleared = m.layer + 1
			}
			if n.kind == hardlink {
				links = append(links, id)
			}
		}
	}
	for _, id := range links {
		m.t.join(m.places[id], l.links[l.node(id).extra-1])
	}
	at := func(id uint32) written { return written{m.places[id], m.layer} }
	for _, j := range m.from.joins {
		m.t.joins = append(m.t.joins, joined{at(j.Link), at(j.To)})
	}
}

// hide takes away what a whiteout names.
func (m *merging) hide(id uint32, n *node) {
	s := m.t.store
	at, ok := s.child(m.places[n.parent], m.from.tree.name(id))
	if n.flags&whiteout == 0 || !ok || !s.visible(at) {
		return
	}
	gone := s.node(at)
	gone.cleared = m.layer + 1
	gone.flags |= removed
}

// place writes one node of the layer to the tree.
func (m *merging) place(id uint32, n *node) uint32 {
	s := m.t.store
	parent := m.places[n.parent]
	name := m.from.tree.name(id)
	with := *n
	with.owner = s.own(m.from.tree.owners[n.owner])
	with.flags &= implied | linked
	switch {
	case n.kind == Symlink || n.kind == hardlink:
		s.links = append(s.links, m.from.tree.links[n.extra-1])
		with.extra = uint32(len(s.links))
	case n.extra > 0:
		with.extra = n.extra + m.offset
	}
	at, ok := s.child(parent, name)
	if !ok {
		with.layer, with.cleared = m.layer, 0
		return s.make(parent, name, with)
	}
	old := s.node(at)
	if !s.visible(at) || old.kind == None {
		m.keepHidden(at, old)
		m.write(at, with)
		return at
	}
	if with.kind == Dir && old.kind == Dir {
		if with.flags&implied == 0 {
			old.mode, old.owner, old.flags = with.mode, with.owner, old.flags&^implied
			old.layer = max(old.layer, m.layer)
		}
		return at
	}
	m.inherit(old, &with)
	m.keepHidden(at, old)
	m.write(at, with)
	return at
}

// keepHidden remembers a file whose node another takes.
func (m *merging) keepHidden(at uint32, old *node) {
	if old.kind != Regular || old.layer == m.layer {
		return
	}
	by := m.layer
	if b, hidden := m.t.store.hiddenBy(at); hidden {
		by = uint16(b)
	}
	m.t.hidden = append(m.t.hidden, overwritten{id: at, size: old.size, facts: old.extra, layer: old.layer, by: by})
}

// write puts a node in the place of another. All that was below is hidden.
func (m *merging) write(at uint32, n node) {
	old := m.t.store.node(at)
	n.parent, n.name, n.nameLen = old.parent, old.name, old.nameLen
	n.layer, n.cleared = m.layer, old.cleared
	if m.t.store.visible(at) {
		n.cleared = m.layer + 1
	}
	*old = n
}

// inherit says of the packages that a rewritten database held before from which
// layer they really come: a package manager writes the whole database anew.
func (m *merging) inherit(old, next *node) {
	if old.kind != Regular || next.kind != Regular || old.extra == 0 || next.extra == 0 {
		return
	}
	was := m.t.facts[old.extra-1].Packages
	is := m.t.facts[next.extra-1].Packages
	if len(was) == 0 || len(is) == 0 {
		return
	}
	type key struct {
		kind                inventory.Type
		name, version, arch string
	}
	from := make(map[key]int, len(was))
	for i := range was {
		p := &was[i]
		from[key{p.Type, p.Name, p.Version, p.Arch}] = p.Layer
	}
	for i := range is {
		p := &is[i]
		if layer, ok := from[key{p.Type, p.Name, p.Version, p.Arch}]; ok {
			p.Layer = layer
		}
	}
}
