package attack

// From returns the steps from a vertex.
func (g *Graph) From(v int) []Hop {
	var out []Hop
	for _, e := range g.edges[g.out[v]:g.out[v+1]] {
		out = append(out, Hop{int(e.from), int(e.to), int(e.step)})
	}
	return out
}
