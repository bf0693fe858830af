package attack

import (
	"math/rand/v2"
	"testing"
)

// million is a graph of a million edges: 200,000 vertices in layers, a thousand
// changes shared by the steps.
func million() (g *Graph, entries []Entry, goals []Goal) {
	const vertices, edges, layers, changes = 200_000, 1_000_000, 8, 1_000
	r := rand.New(rand.NewPCG(1, 1))
	g = &Graph{byKey: map[Key]int32{}, Clusters: []string{""}}
	g.Vertices = make([]Vertex, vertices)
	for range changes {
		g.Changes = append(g.Changes, Change{Cost: 1 + r.IntN(3)})
	}
	for i := range 50_000 {
		s := Step{Primitive: within, Likelihood: 0.05 + 0.95*r.Float64()}
		if i%10 > 0 {
			s.Changes = []int{r.IntN(changes)}
		}
		g.Steps = append(g.Steps, s)
	}
	const layer = vertices / layers
	for range edges {
		at := r.IntN(layers - 1)
		g.edges = append(g.edges, edge{int32(at*layer + r.IntN(layer)), int32((at+1)*layer + r.IntN(layer)), int32(r.IntN(len(g.Steps)))})
	}
	g.index()
	for i := range 3_000 {
		entries = append(entries, Entry{i, 0.2})
	}
	for i := range 60 {
		goals = append(goals, Goal{Impact: 0.7, Vertices: []int{vertices - 1 - i}})
	}
	return g, entries, goals
}

// BenchmarkMillion asks a graph of a million edges.
func BenchmarkMillion(b *testing.B) {
	g, entries, goals := million()
	vertices := make([]int, len(entries))
	for i, e := range entries {
		vertices[i] = e.Vertex
	}
	b.Run("paths", func(b *testing.B) { // from 3,000 entries to one goal
		for b.Loop() {
			g.Paths(entries, goals[:1])
		}
	})
	b.Run("marks", func(b *testing.B) { // of 60 goals
		for b.Loop() {
			g.Marks(entries, goals)
		}
	})
	b.Run("cut", func(b *testing.B) { // to one goal
		for b.Loop() {
			g.Cut(vertices, goals[0].Vertices)
		}
	})
}
