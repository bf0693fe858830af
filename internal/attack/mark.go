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
	steps    map[int32]Mark
	vertices map[int32]Mark
	byObject map[*cluster.Object][]int32 // steps that an object is evidence of
}

// Marks finds all that lies on a path from any entry to any goal.
func (g *Graph) Marks(entries []Entry, goals []Goal) *Marks {
	start := map[int32]float64{}
	for _, e := range entries {
		start[int32(e.Vertex)] = -math.Log(e.Likelihood) //nolint:gosec // an index
	}
	ahead := g.search(start, false, nil)
	m := &Marks{g: g, steps: map[int32]Mark{}, vertices: map[int32]Mark{}, byObject: map[*cluster.Object][]int32{}}
	for i, goal := range goals {
		behind := g.search(from(goal.Vertices), true, nil)
		for _, e := range g.edges {
			if !ahead.reach(e.from) || !behind.reach(e.to) {
				continue
			}
			far := ahead.distance[e.from] + g.weight(e) + behind.distance[e.to]
			mark := Mark{Risk: math.Exp(-far) * goal.Impact, Goal: i, Entry: int(e.from)}
			worse(m.steps, e.step, mark)
			worse(m.vertices, e.from, mark)
			worse(m.vertices, e.to, mark)
		}
	}
	for step, mark := range m.steps {
		mark.Entry = g.begin(ahead, mark.Entry)
		m.steps[step] = mark
		for _, ev := range g.Steps[step].Evidence {
			if have := m.byObject[ev.Object]; len(have) == 0 || have[len(have)-1] != step {
				m.byObject[ev.Object] = append(have, step)
			}
		}
	}
	for v, mark := range m.vertices {
		mark.Entry = g.begin(ahead, mark.Entry)
		m.vertices[v] = mark
	}
	return m
}

// begin follows a way back to where it begins.
func (g *Graph) begin(w ways, v int) int {
	for w.edge[v] >= 0 {
		v = int(g.edges[w.edge[v]].from)
	}
	return v
}

func worse(marks map[int32]Mark, k int32, m Mark) {
	if have, ok := marks[k]; !ok || m.Risk > have.Risk {
		marks[k] = m
	}
}

// Vertex returns the mark of a vertex.
func (m *Marks) Vertex(v int) (Mark, bool) {
	mark, ok := m.vertices[int32(v)] //nolint:gosec // an index
	return mark, ok
}

// Finding returns the mark of what a check found in an object: that of the worst
// step which the object is evidence of and which the check reports.
func (m *Marks) Finding(o *cluster.Object, check string) (Mark, bool) {
	var out Mark
	found := false
	for _, step := range m.byObject[o] {
		s := &m.g.Steps[step]
		if !slices.Contains(s.Primitive.Checks, check) && !slices.Contains(s.Checks, check) {
			continue
		}
		if mark := m.steps[step]; !found || mark.Risk > out.Risk || mark.Risk == out.Risk && mark.Goal < out.Goal {
			out, found = mark, true
		}
	}
	return out, found
}
