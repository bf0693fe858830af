package attack

import (
	"math"
	"slices"

	"seawall.io/seawall/internal/cluster"
)

// Mark says that something lies on a path from an entry to a goal.
type Mark struct {
	// Risk is that of the worst path through it.
	Risk float64
	// Goal is an index of the goals that were asked for, and Entry the vertex
	// where the worst path begins.
	Goal, Entry int
}

// Marks are the steps and vertices that lie on paths.
type Marks struct {
	g        *Graph
	steps    []Mark // the zero Mark is that of what lies on no path
	vertices []Mark
	byObject map[*cluster.Object][]int32 // steps that an object is evidence of
}

// Marks finds all that lies on a path from any entry to any goal. It takes the
// time of two searches, however many entries and goals there are.
func (g *Graph) Marks(entries []Entry, goals []Goal) *Marks {
	m := &Marks{
		g: g, steps: make([]Mark, len(g.Steps)), vertices: make([]Mark, len(g.Vertices)),
		byObject: map[*cluster.Object][]int32{},
	}
	start := map[int32]float64{}
	for _, e := range entries {
		nearer(start, e.Vertex, e.Likelihood)
	}
	end, goalOf := map[int32]float64{}, map[int32]int{}
	for i, goal := range goals {
		for _, v := range goal.Vertices {
			if nearer(end, v, goal.Impact) {
				goalOf[int32(v)] = i //nolint:gosec // an index
			}
		}
	}
	ahead, behind := g.search(start, false), g.search(end, true)
	entryOf := g.ends(&ahead, func(e edge) int32 { return e.from })
	lastOf := g.ends(&behind, func(e edge) int32 { return e.to })
	for _, e := range g.edges {
		if !ahead.reach(e.from) || !behind.reach(e.to) {
			continue
		}
		far := ahead.distance[e.from] + g.weights[e.step] + behind.distance[e.to]
		hops := ahead.hops[e.from] + 1 + behind.hops[e.to]
		mark := Mark{
			Risk:  math.Exp(perHop*float64(hops) - far),
			Entry: int(entryOf[e.from]), Goal: goalOf[lastOf[e.to]],
		}
		m.steps[e.step].worse(mark)
		m.vertices[e.from].worse(mark)
		m.vertices[e.to].worse(mark)
	}
	for i := range m.steps {
		if m.steps[i].Risk == 0 {
			continue
		}
		step := int32(i)
		for _, ev := range g.Steps[i].Evidence {
			if have := m.byObject[ev.Object]; len(have) == 0 || have[len(have)-1] != step {
				m.byObject[ev.Object] = append(have, step)
			}
		}
	}
	return m
}

// nearer sets how far a vertex is, for a chance, unless it is nearer already.
func nearer(distance map[int32]float64, vertex int, chance float64) bool {
	v, d := int32(vertex), -math.Log(chance) //nolint:gosec // an index
	if have, ok := distance[v]; ok && have <= d {
		return false
	}
	distance[v] = d
	return true
}

// ends returns for each vertex where its way ends: next is the vertex to which an
// edge of the way leads.
func (g *Graph) ends(w *ways, next func(edge) int32) []int32 {
	out := make([]int32, len(w.edge))
	for i := range out {
		out[i] = -1
	}
	var way []int32
	for i := range w.edge {
		v := int32(i)
		for out[v] < 0 && w.edge[v] >= 0 {
			way = append(way, v)
			v = next(g.edges[w.edge[v]])
		}
		if out[v] < 0 {
			out[v] = v
		}
		for _, on := range way {
			out[on] = out[v]
		}
		way = way[:0]
	}
	return out
}

func (m *Mark) worse(other Mark) {
	if other.Risk > m.Risk {
		*m = other
	}
}

// Vertex returns the mark of a vertex.
func (m *Marks) Vertex(v int) (Mark, bool) { return m.vertices[v], m.vertices[v].Risk > 0 }

// Finding returns the mark of what a check found in an object: that of the worst
// step which the object is evidence of and which the check reports.
func (m *Marks) Finding(o *cluster.Object, check string) (Mark, bool) {
	var out Mark
	for _, step := range m.byObject[o] {
		s := &m.g.Steps[step]
		if slices.Contains(s.Primitive.Checks, check) || slices.Contains(s.Checks, check) {
			out.worse(m.steps[step])
		}
	}
	return out, out.Risk > 0
}
