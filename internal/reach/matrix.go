package reach

import (
	"encoding/binary"
	"slices"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
)

// Class is the pods that no policy tells apart: whatever one of them reaches, the
// others do, and by whatever one is reached, the others are.
type Class struct {
	ID        int
	Templates []*cluster.PodTemplate
}

// Classes returns the classes of the snapshot's Templates, in reading order of
// their first members. A class is number ID of them.
func (m *Model) Classes() []Class {
	out := make([]Class, len(m.classes))
	for i, c := range m.classes {
		out[i].ID = i
		for _, p := range c.pods {
			out[i].Templates = append(out[i].Templates, p.template)
		}
	}
	return out
}

// Class returns the number of the class of a template; ok is false for one that
// is not among the snapshot's Templates.
func (m *Model) Class(t *cluster.PodTemplate) (id int, ok bool) {
	if p := m.byPlace[placeOf(t)]; p != nil {
		return p.class.id, true
	}
	return 0, false
}

// Matrix answers for all pairs of classes.
type Matrix struct {
	m *Model
	// ingress are the profiles of the classes, and which of them each class has.
	ingress []*profile
	of      []int
	// row, in and both are used for each row anew.
	row, in, both []*Ports
}

// Matrix returns the matrix of all pods. It holds no pair: Row makes a row from
// the profiles of the classes, so that a cluster of any size fits into memory.
// It is for one goroutine.
func (m *Model) Matrix() *Matrix {
	x := &Matrix{m: m, of: make([]int, len(m.classes))}
	at := map[*profile]int{}
	for i, c := range m.classes {
		p := c.profiles[netpol.Ingress]
		j, known := at[p]
		if !known {
			j = len(x.ingress)
			at[p] = j
			x.ingress = append(x.ingress, p)
		}
		x.of[i] = j
	}
	x.row, x.in, x.both = make([]*Ports, len(m.classes)), make([]*Ports, len(x.ingress)), make([]*Ports, len(x.ingress))
	return x
}

// Row returns to which ports of each class the pods of one can connect, in the
// order of Classes. Equal Ports are the same. What a pod of the class may do to
// itself is not in it. The next call overwrites the row.
func (x *Matrix) Row(from int) []*Ports {
	m := x.m
	for i, p := range x.ingress {
		x.in[i] = of(m.parts(p), from)
	}
	for i, part := range m.parts(m.classes[from].profiles[netpol.Egress]) {
		for j := range x.in {
			x.both[j] = m.both(part.ports, x.in[j])
		}
		if i == 0 { // the largest, with what the others then overwrite
			for to, j := range x.of {
				x.row[to] = x.both[j]
			}
			continue
		}
		part.set.each(func(to int) { x.row[to] = x.both[x.of[to]] })
	}
	return x.row
}

// Fold puts classes together that reach and are reached alike, and returns these
// sets, and what each reaches of each. Sets and cells are in the order of their
// first classes.
func (x *Matrix) Fold() (sets [][]int, cells [][]*Ports) {
	n := len(x.m.classes)
	rows := make([][]*Ports, n)
	ids := map[*Ports]uint32{}
	for i := range rows {
		rows[i] = slices.Clone(x.Row(i))
	}
	id := func(p *Ports) uint32 {
		if _, known := ids[p]; !known {
			ids[p] = uint32(len(ids)) //nolint:gosec // as many as Ports
		}
		return ids[p]
	}
	at := map[string]int{}
	for i := range n {
		var key []byte
		for j := range n {
			a, b := id(rows[i][j]), id(rows[j][i])
			key = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(key, a), b)
		}
		s, known := at[string(key)]
		if !known {
			s = len(sets)
			at[string(key)] = s
			sets = append(sets, nil)
		}
		sets[s] = append(sets[s], i)
	}
	for _, a := range sets {
		row := make([]*Ports, len(sets))
		for j, b := range sets {
			row[j] = rows[a[0]][b[0]]
		}
		cells = append(cells, row)
	}
	return sets, cells
}
