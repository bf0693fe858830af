package attack

import "slices"

// Separation says which namespaces of a cluster an attacker comes to from the
// pods of each other.
type Separation struct {
	g       *Graph
	cluster int
	// Namespaces are those that have something in the graph, sorted.
	Namespaces []string
	index      map[string]int
	reach      [][]uint64 // bits, by namespace: what its pods reach
}

// Separate finds what separates the namespaces of a cluster: it follows every
// step from the pods of each. Reaching all of the cluster is reaching all
// namespaces.
func (g *Graph) Separate(cluster int) *Separation {
	s := &Separation{g: g, cluster: cluster, index: map[string]int{}}
	for i := range g.Vertices {
		if v := &g.Vertices[i]; v.Cluster == cluster && v.Namespace != "" {
			s.index[v.Namespace] = 0
		}
	}
	for ns := range s.index {
		s.Namespaces = append(s.Namespaces, ns)
	}
	slices.Sort(s.Namespaces)
	for i, ns := range s.Namespaces {
		s.index[ns] = i
	}
	of := make([]int32, len(g.Vertices)) // the namespace of each vertex
	starts := make([][]int32, len(s.Namespaces))
	for i := range g.Vertices {
		of[i] = -1
		if v := &g.Vertices[i]; v.Cluster == cluster && v.Namespace != "" {
			of[i] = int32(s.index[v.Namespace]) //nolint:gosec // an index
			if v.Kind == Workload {
				starts[of[i]] = append(starts[of[i]], int32(i))
			}
		}
	}
	admin := int32(g.Find(Key{Kind: Admin, Cluster: cluster})) //nolint:gosec // an index
	seen := make([]int32, len(g.Vertices))                     // the round in which a vertex was seen, from 1
	var todo []int32
	for n := range s.Namespaces {
		bits := make([]uint64, (len(s.Namespaces)+63)/64)
		todo = append(todo[:0], starts[n]...)
		round := int32(n + 1)
		for _, v := range todo {
			seen[v] = round
		}
		for len(todo) > 0 {
			v := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if v == admin {
				for i := range s.Namespaces {
					bits[i/64] |= 1 << (i % 64)
				}
				break
			}
			if m := of[v]; m >= 0 {
				bits[m/64] |= 1 << (m % 64)
			}
			for _, e := range g.edges[g.out[v]:g.out[v+1]] {
				if seen[e.to] != round {
					seen[e.to] = round
					todo = append(todo, e.to)
				}
			}
		}
		s.reach = append(s.reach, bits)
	}
	return s
}

// Reaches says that some path leads from a pod of one namespace to something of
// another.
func (s *Separation) Reaches(from, to string) bool {
	i, ok := s.index[from]
	j, known := s.index[to]
	return ok && known && i != j && s.reach[i][j/64]&(1<<(j%64)) != 0
}

// Witness returns the likeliest such path, with the goal that it has for
// Describe.
func (s *Separation) Witness(from, to string) (Path, []Goal, bool) {
	if !s.Reaches(from, to) {
		return Path{}, nil, false
	}
	var entries []Entry
	goal := Goal{Name: "namespace " + to, Impact: 1}
	for i := range s.g.Vertices {
		v := &s.g.Vertices[i]
		if v.Cluster != s.cluster {
			continue
		}
		switch {
		case v.Namespace == from && v.Kind == Workload:
			entries = append(entries, Entry{i, 1})
		case v.Namespace == to, v.Kind == Admin:
			goal.Vertices = append(goal.Vertices, i)
		}
	}
	goals := []Goal{goal}
	paths := s.g.Paths(entries, goals)
	if len(paths) == 0 {
		return Path{}, nil, false
	}
	return paths[0], goals, true
}
