package attack

import (
	"fmt"
	"math"
	"slices"
)

// Cut is what must change so that no path leads from some vertices to others.
type Cut struct {
	// Changes are indexes of Graph.Changes, of the least cost together that will
	// do.
	Changes []int
	// Fixed are steps that would have to go too, and that no change of an object
	// removes: what they rest on must be decided by people.
	Fixed []Hop
	// Cost is that of all changes.
	Cost int
}

// fixed is the capacity of a step without a change: more than all changes cost.
const fixed = int64(1) << 40

// Cut returns the changes of least cost that leave no path, by a minimum cut.
// Each change is a gate that several edges go through, so that it is paid once.
func (g *Graph) Cut(entries, goals []int) Cut {
	ahead, behind := g.search(from(entries), false, nil), g.search(from(goals), true, nil)
	f := flow{vertices: make([]int32, len(g.Vertices)), gates: map[int]int32{}}
	for i := range f.vertices {
		f.vertices[i] = -1
	}
	source, sink := f.vertex(), f.vertex()
	at := func(v int32) int32 {
		if f.vertices[v] < 0 {
			f.vertices[v] = f.vertex()
		}
		return f.vertices[v]
	}
	isGoal := make(map[int]bool, len(goals))
	for _, v := range goals {
		isGoal[v] = true
		f.pipe(at(int32(v)), sink, math.MaxInt64/4, -1) //nolint:gosec // an index
	}
	for _, v := range entries {
		if !isGoal[v] {
			f.pipe(source, at(int32(v)), math.MaxInt64/4, -1) //nolint:gosec // an index
		}
	}
	hops := make([]int32, 0, 1024) // edges that are pipes of their own
	for i, e := range g.edges {
		if !ahead.reach(e.from) || !behind.reach(e.to) || isGoal[int(e.from)] {
			continue
		}
		last := at(e.from)
		changes := g.Steps[e.step].Changes
		for _, c := range changes {
			entrance, exit := f.gate(c, int64(g.Changes[c].Cost))
			f.once(last, entrance)
			last = exit
		}
		if len(changes) > 0 {
			f.once(last, at(e.to))
			continue
		}
		hops = append(hops, int32(i)) //nolint:gosec // fewer than 2^31 edges
		f.pipe(last, at(e.to), fixed, int32(-1-len(hops)))
	}
	f.run(source, sink)

	var cut Cut
	side := f.side(source)
	for c, entrance := range f.gates {
		if side[entrance] && !side[entrance+1] {
			cut.Changes = append(cut.Changes, c)
		}
	}
	slices.Sort(cut.Changes)
	for _, p := range f.pipes {
		if p.hop < -1 && p.forward && side[p.from] && !side[p.to] {
			e := g.edges[hops[-2-p.hop]]
			cut.Fixed = append(cut.Fixed, Hop{int(e.from), int(e.to), int(e.step)})
		}
	}
	cut.Changes = g.needed(entries, goals, cut)
	for _, c := range cut.Changes {
		cut.Cost += g.Changes[c].Cost
	}
	return cut
}

// needed leaves out changes that the others make needless: a gate may have let
// through what no edge does.
func (g *Graph) needed(entries, goals []int, cut Cut) []int {
	kept := slices.Clone(cut.Changes)
	for _, c := range cut.Changes {
		rest := slices.DeleteFunc(slices.Clone(kept), func(k int) bool { return k == c })
		if !g.connected(entries, goals, rest, cut.Fixed) {
			kept = rest
		}
	}
	return kept
}

// connected says whether a path is left when changes are made and some steps are
// left aside.
func (g *Graph) connected(entries, goals, changes []int, aside []Hop) bool {
	made := make(map[int]bool, len(changes))
	for _, c := range changes {
		made[c] = true
	}
	gone := map[Hop]bool{}
	for _, h := range aside {
		gone[h] = true
	}
	seen := make([]bool, len(g.Vertices))
	todo := make([]int32, 0, len(entries))
	goal := make(map[int]bool, len(goals))
	for _, v := range goals {
		goal[v] = true
	}
	for _, v := range entries {
		if !goal[v] {
			seen[v] = true
			todo = append(todo, int32(v)) //nolint:gosec // an index
		}
	}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, e := range g.edges[g.out[v]:g.out[v+1]] {
			if seen[e.to] || slices.ContainsFunc(g.Steps[e.step].Changes, func(c int) bool { return made[c] }) ||
				len(gone) > 0 && gone[Hop{int(e.from), int(e.to), int(e.step)}] {
				continue
			}
			if goal[int(e.to)] {
				return true
			}
			seen[e.to] = true
			todo = append(todo, e.to)
		}
	}
	return false
}

// Check makes the changes of a cut for real, on the objects, builds the graph
// anew, and returns the paths that are still there or have come to be. Steps that
// the cut could not remove are paths too. An error says which change could not be
// made.
func (g *Graph) Check(cut Cut, entries []Entry, goals []Goal) ([]Path, *Graph, error) {
	after, err := g.Changed(cut.Changes)
	if err != nil {
		return nil, nil, fmt.Errorf("checking the cut: %w", err)
	}
	e, q := after.Same(g, entries, goals)
	return after.Paths(e, q), after, nil
}

// Same finds the entries and goals of another graph in this one.
func (g *Graph) Same(other *Graph, entries []Entry, goals []Goal) ([]Entry, []Goal) {
	var e []Entry
	for _, x := range entries {
		if v := g.Find(other.Vertices[x.Vertex].Key); v >= 0 {
			e = append(e, Entry{v, x.Likelihood})
		}
	}
	q := make([]Goal, len(goals))
	for i, x := range goals {
		q[i] = Goal{Name: x.Name, Impact: x.Impact}
		for _, v := range x.Vertices {
			if here := g.Find(other.Vertices[v].Key); here >= 0 {
				q[i].Vertices = append(q[i].Vertices, here)
			}
		}
	}
	return e, q
}

// flow is a network for Dinic's algorithm.
type flow struct {
	vertices []int32       // of the graph, -1 for one that is not in the network
	gates    map[int]int32 // change: the entrance of its gate; the exit is the next
	known    map[[2]int32]bool
	first    []int32 // of each vertex, its first pipe, -1
	pipes    []pipe
	level    []int32
	next     []int32
}

type pipe struct {
	from, to int32
	after    int32 // the next pipe of the vertex
	hop      int32 // below -1: which step it stands for
	forward  bool
	room     int64
}

func (f *flow) vertex() int32 {
	f.first = append(f.first, -1)
	return int32(len(f.first) - 1) //nolint:gosec // fewer than 2^31
}

// pipe adds a pipe, and the one back that takes up what is undone.
func (f *flow) pipe(from, to int32, room int64, hop int32) {
	for _, p := range [2]pipe{{from: from, to: to, room: room, hop: hop, forward: true}, {from: to, to: from, hop: -1}} {
		p.after = f.first[p.from]
		f.first[p.from] = int32(len(f.pipes)) //nolint:gosec // fewer than 2^31
		f.pipes = append(f.pipes, p)
	}
}

// once adds a pipe without bounds unless it is there.
func (f *flow) once(from, to int32) {
	if f.known == nil {
		f.known = map[[2]int32]bool{}
	}
	if k := [2]int32{from, to}; !f.known[k] {
		f.known[k] = true
		f.pipe(from, to, math.MaxInt64/4, -1)
	}
}

// gate is the two ends of a change.
func (f *flow) gate(change int, cost int64) (entrance, exit int32) {
	v, ok := f.gates[change]
	if !ok {
		v = f.vertex()
		f.vertex()
		f.gates[change] = v
		f.pipe(v, v+1, cost, -1)
	}
	return v, v + 1
}

func (f *flow) run(source, sink int32) {
	f.level, f.next = make([]int32, len(f.first)), make([]int32, len(f.first))
	for f.layer(source, sink) {
		copy(f.next, f.first)
		for f.push(source, sink, math.MaxInt64/4) > 0 {
		}
	}
}

// layer numbers vertices by how many pipes with room they are from the source,
// and says whether the sink is among them.
func (f *flow) layer(source, sink int32) bool {
	for i := range f.level {
		f.level[i] = -1
	}
	f.level[source] = 0
	todo := []int32{source}
	for i := 0; i < len(todo); i++ {
		for p := f.first[todo[i]]; p >= 0; p = f.pipes[p].after {
			if x := &f.pipes[p]; x.room > 0 && f.level[x.to] < 0 {
				f.level[x.to] = f.level[x.from] + 1
				todo = append(todo, x.to)
			}
		}
	}
	return f.level[sink] >= 0
}

func (f *flow) push(v, sink int32, most int64) int64 {
	if v == sink {
		return most
	}
	for ; f.next[v] >= 0; f.next[v] = f.pipes[f.next[v]].after {
		p := f.next[v]
		x := &f.pipes[p]
		if x.room <= 0 || f.level[x.to] != f.level[v]+1 {
			continue
		}
		if n := f.push(x.to, sink, min(most, x.room)); n > 0 {
			f.pipes[p].room -= n
			f.pipes[p^1].room += n
			return n
		}
	}
	return 0
}

// side says which vertices the source still reaches.
func (f *flow) side(source int32) []bool {
	f.layer(source, source)
	out := make([]bool, len(f.first))
	for i, l := range f.level {
		out[i] = l >= 0
	}
	return out
}
