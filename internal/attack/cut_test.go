package attack

import (
	"container/heap"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// random makes a graph of a few vertices, whose steps share changes and of which
// some have none.
func random(r *rand.Rand, vertices, edges, changes, bare int) *Graph {
	g := &Graph{byKey: map[Key]int32{}, Clusters: []string{""}}
	for range vertices {
		g.vertex(Key{Kind: Power, Name: string(rune('a' + len(g.Vertices)))})
	}
	for range changes {
		g.Changes = append(g.Changes, Change{Cost: 1 + r.IntN(3)})
	}
	for range edges {
		s := Step{Primitive: within, Likelihood: 0.1 + 0.9*r.Float64()}
		if r.IntN(100) >= bare {
			for range 1 + r.IntN(2) {
				s.Changes = append(s.Changes, r.IntN(changes))
			}
		}
		g.Steps = append(g.Steps, s)
		g.edges = append(g.edges, edge{int32(r.IntN(vertices)), int32(r.IntN(vertices)), int32(len(g.Steps) - 1)})
	}
	g.index()
	return g
}

// left says whether a path is left, in the plainest way.
func left(g *Graph, entries, goals []int, made map[int]bool, aside []Hop) bool {
	at := map[int]bool{}
	for _, v := range entries {
		at[v] = !slices.Contains(goals, v)
	}
	for more := true; more; {
		more = false
		for _, e := range g.edges {
			h := Hop{int(e.from), int(e.to), int(e.step)}
			if !at[h.From] || at[h.To] || slices.Contains(aside, h) ||
				slices.ContainsFunc(g.Steps[e.step].Changes, func(c int) bool { return made[c] }) {
				continue
			}
			at[h.To], more = true, true
		}
	}
	return slices.ContainsFunc(goals, func(v int) bool { return at[v] })
}

// TestCutLeast holds cuts against all there are.
func TestCutLeast(t *testing.T) {
	fixedSeen, met := 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		changes := 2 + r.IntN(7)
		g := random(r, 4+r.IntN(6), 5+r.IntN(18), changes, 20)
		entries, goals := []int{0, 1}, []int{len(g.Vertices) - 1, len(g.Vertices) - 2}
		cut := g.Cut(entries, goals)
		if !cut.Least {
			t.Fatalf("seed %d: the search was broken off", seed)
		}
		made := map[int]bool{}
		for _, c := range cut.Changes {
			made[c] = true
		}
		if left(g, entries, goals, made, cut.Fixed) {
			t.Fatalf("seed %d: a path is left after %+v", seed, cut)
		}
		best := 1 << 30
		for set := range uint(1) << changes {
			made := map[int]bool{}
			cost := 0
			for m := set; m != 0; m &= m - 1 {
				c := bits.TrailingZeros(m)
				made[c] = true
				cost += g.Changes[c].Cost
			}
			if cost < best && !left(g, entries, goals, made, cut.Fixed) {
				best = cost
			}
		}
		if cut.Cost != best {
			t.Errorf("seed %d: cost %d, but there is %d", seed, cut.Cost, best)
		}
		w := g.web(entries, goals)
		w.fixed()
		if lower := w.packed(w.gated()); lower > best {
			t.Errorf("seed %d: no cut should cost less than %d, but one costs %d", seed, lower, best)
		} else if lower == best {
			met++
		}
		all := map[int]bool{}
		for c := range changes {
			all[c] = true
		}
		fixedSeen += len(cut.Fixed)
		for i := range cut.Fixed {
			if !left(g, entries, goals, all, slices.Delete(slices.Clone(cut.Fixed), i, i+1)) {
				t.Errorf("seed %d: fixed step %v is needless", seed, cut.Fixed[i])
			}
		}
	}
	if fixedSeen == 0 {
		t.Error("no graph had a step that nothing removes")
	}
	if met < 2000 {
		t.Errorf("paths proved the cut of %d graphs of 3,000", met)
	}
}

// TestCutBrokenOff wants a cut of which every change is needed even where there is no
// time to look for a cheaper one.
func TestCutBrokenOff(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := random(r, 8, 24, 8, 0)
		w := g.web([]int{0}, []int{7})
		s := w.cutSearch()
		made := map[int]bool{}
		for _, c := range s.needed(w.gated().minimum()) {
			made[c] = true
		}
		if left(g, []int{0}, []int{7}, made, nil) {
			t.Fatalf("seed %d: a path is left", seed)
		}
		for c := range made {
			made[c] = false
			if !left(g, []int{0}, []int{7}, made, nil) {
				t.Errorf("seed %d: change %d is needless", seed, c)
			}
			made[c] = true
		}
	}
}

type reference []item

func (q reference) Len() int           { return len(q) }
func (q reference) Less(i, j int) bool { return before(q[i], q[j]) }
func (q reference) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *reference) Push(x any)        { *q = append(*q, x.(item)) }
func (q *reference) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// TestQueue holds the queue against package container/heap.
func TestQueue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	var got queue
	var want reference
	for range 100_000 {
		if len(got) > 0 && r.IntN(5) < 2 {
			if a, b := got.pop(), heap.Pop(&want).(item); a != b {
				t.Fatalf("got %v, want %v", a, b)
			}
			continue
		}
		it := item{float64(r.IntN(50)), int32(r.IntN(50))}
		got.push(it)
		heap.Push(&want, it)
	}
}

// TestMarks holds marks against the paths through each edge, found one goal and
// one edge at a time.
func TestMarks(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		g := random(r, 4+r.IntN(8), 6+r.IntN(20), 3, 50)
		last := len(g.Vertices) - 1
		entries := []Entry{{0, 1}, {1, 0.3}}
		goals := []Goal{{"x", 1, []int{last}}, {"y", 0.5, []int{last - 1, last - 2}}}
		m := g.Marks(entries, goals)
		for i := range g.Steps {
			want := 0.0
			for _, e := range g.edges {
				if int(e.step) != i {
					continue
				}
				for _, entry := range entries {
					for _, goal := range goals {
						a, b := g.search(from([]int{entry.Vertex}), false), g.search(from(goal.Vertices), true)
						if !a.reach(e.from) || !b.reach(e.to) {
							continue
						}
						way := g.likelihoodOf(&a, e.from, true) * g.Steps[i].likelihood() * g.likelihoodOf(&b, e.to, false)
						want = max(want, way*entry.Likelihood*goal.Impact)
					}
				}
			}
			// The shorter of two ways may win although it is a little less likely.
			if got := m.steps[i].Risk; got < want*0.97 || got > want*1.0001 {
				t.Errorf("seed %d: step %d has risk %v, want %v", seed, i, got, want)
			}
			if mark := m.steps[i]; mark.Risk > 0 && !slices.ContainsFunc(entries, func(e Entry) bool { return e.Vertex == mark.Entry }) {
				t.Errorf("seed %d: step %d begins at %d, no entry", seed, i, mark.Entry)
			}
		}
	}
}

func (g *Graph) likelihoodOf(w *ways, v int32, against bool) float64 {
	p := 1.0
	for w.edge[v] >= 0 {
		e := g.edges[w.edge[v]]
		p *= g.Steps[e.step].likelihood()
		if v = e.to; against {
			v = e.from
		}
	}
	return p
}

// TestProofs wants each cut verified on its own as long as the graphs for it are
// small enough together, and the rest at once.
func TestProofs(t *testing.T) {
	cuts := []Cut{{Changes: []int{1, 2}}, {Changes: []int{1, 2}}, {Changes: []int{1}}, {Changes: []int{4, 5}}, {Changes: []int{1, 2}}, {Changes: []int{0, 4}}}
	for _, c := range []struct {
		edges int
		want  string
	}{
		{10, "[{[1 2] [0 1 4]} {[1] [2]} {[4 5] [3]} {[0 4] [5]}]"},
		{verifyWork / 4, "[{[1 2] [0 1 4]} {[1] [2]} {[4 5] [3]} {[0 4] [5]}]"},
		{verifyWork / 2, "[{[1 2] [0 1 4]} {[0 1 4 5] [2 3 5]}]"},
		{verifyWork * 2, "[{[0 1 2 4 5] [0 1 2 3 4 5]}]"},
	} {
		g := &Graph{edges: make([]edge, c.edges)}
		if got := fmt.Sprint(g.proofs(cuts)); got != c.want {
			t.Errorf("%d edges: %s, want %s", c.edges, got, c.want)
		}
	}
}
