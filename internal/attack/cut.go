package attack

import (
	"cmp"
	"fmt"
	"slices"
)

// Cut is what must change so that no path leads from some vertices to others.
type Cut struct {
	// Changes are indexes of Graph.Changes.
	Changes []int
	// Fixed are steps that would have to go too, and that no change of an object
	// removes: what they rest on must be decided by people.
	Fixed []Hop
	// Cost is that of all changes.
	Cost int
	// Least says that no other changes of the graph do it for a lower cost. It is
	// false where the search for better ones was broken off.
	Least bool
}

// cutWork bounds the search for a cheaper cut, in edges looked at: a tenth of a
// second. It is not begun where the first bound alone would take more.
const cutWork = 10_000_000

// Cut returns the changes of least cost that leave no path. To find the least is
// hard in general, since one change may remove steps in many places (minimum cut
// with labels, NP-hard): a minimum cut in which each change is a gate that all of
// its steps go through is never too little, and most often the least; a search
// that is bounded from below by paths without a change in common then proves that
// or finds better.
func (g *Graph) Cut(entries, goals []int) Cut {
	w := g.web(entries, goals)
	cut := Cut{Fixed: w.fixed()}
	for _, h := range cut.Fixed {
		w.aside[h] = true
	}
	s := cutSearch{web: w, work: cutWork, made: make([]bool, len(g.Changes)), kept: make([]bool, len(g.Changes))}
	s.best = s.needed(w.minimum())
	s.cost = g.cost(s.best)
	if len(s.best)*len(w.edges) > cutWork {
		s.work = 0
	}
	s.branch(0)
	cut.Changes, cut.Cost, cut.Least = s.best, s.cost, s.work > 0
	slices.Sort(cut.Changes)
	return cut
}

func (g *Graph) cost(changes []int) int {
	sum := 0
	for _, c := range changes {
		sum += g.Changes[c].Cost
	}
	return sum
}

// web is the part of a graph that lies on paths from some vertices to others.
type web struct {
	g       *Graph
	edges   []edge  // between vertices of the web, in order
	of      []int32 // the vertices of the graph that those of the web are
	out     []int32 // where the edges of each vertex begin
	entries []int32
	goal    []bool
	aside   map[Hop]bool // steps that are left out
}

func (g *Graph) web(entries, goals []int) *web {
	ahead, behind := g.search(from(entries), false), g.search(from(goals), true)
	w := &web{g: g, aside: map[Hop]bool{}}
	isGoal := make(map[int32]bool, len(goals))
	for _, v := range goals {
		isGoal[int32(v)] = true //nolint:gosec // an index
	}
	number := make([]int32, len(g.Vertices)) // of each vertex in the web, from 1
	for v := range number {
		if i := int32(v); ahead.reach(i) && behind.reach(i) {
			w.of = append(w.of, i)
			w.goal = append(w.goal, isGoal[i])
			number[v] = int32(len(w.of)) //nolint:gosec // an index
		}
	}
	for _, v := range slices.Compact(slices.Sorted(slices.Values(entries))) {
		if number[v] > 0 && !isGoal[int32(v)] { //nolint:gosec // an index
			w.entries = append(w.entries, number[v]-1)
		}
	}
	w.out = make([]int32, len(w.of)+1)
	for i, v := range w.of {
		w.out[i] = int32(len(w.edges)) //nolint:gosec // an index
		if w.goal[i] {
			continue
		}
		for _, e := range g.edges[g.out[v]:g.out[v+1]] {
			if to := number[e.to]; to > 0 {
				w.edges = append(w.edges, edge{int32(i), to - 1, e.step})
			}
		}
	}
	w.out[len(w.of)] = int32(len(w.edges)) //nolint:gosec // an index
	return w
}

func (w *web) changes(e edge) []int { return w.g.Steps[e.step].Changes }

func (w *web) hop(e edge) Hop { return Hop{int(w.of[e.from]), int(w.of[e.to]), int(e.step)} }

// network is the web without its edges: a source before its entries, a sink behind
// its goals.
func (w *web) network() (f *flow, source, sink int32) {
	f = &flow{gates: map[int]int32{}, known: map[[2]int32]bool{}}
	for range w.of {
		f.vertex()
	}
	source, sink = f.vertex(), f.vertex()
	for _, v := range w.entries {
		f.pipe(source, v, unbounded)
	}
	for v, is := range w.goal {
		if is {
			f.pipe(int32(v), sink, unbounded)
		}
	}
	return f, source, sink
}

// fixed returns the fewest edges without a change that leave no path of nothing
// but such.
func (w *web) fixed() []Hop {
	f, source, sink := w.network()
	var bare []edge
	first := len(f.pipes)
	for _, e := range w.edges {
		if len(w.changes(e)) == 0 {
			bare = append(bare, e)
			f.pipe(e.from, e.to, 1)
		}
	}
	f.run(source, sink)
	side := f.side(source)
	var out []Hop
	for i, e := range bare {
		if x := &f.pipes[first+2*i]; side[x.from] && !side[x.to] {
			out = append(out, w.hop(e))
		}
	}
	return out
}

// minimum cuts all paths but those aside, by changes as gates.
func (w *web) minimum() []int {
	f, source, sink := w.network()
	for _, e := range w.edges {
		if len(w.aside) > 0 && w.aside[w.hop(e)] {
			continue
		}
		last := e.from
		for _, c := range w.changes(e) {
			entrance, exit := f.gate(c, int64(w.g.Changes[c].Cost))
			f.once(last, entrance)
			last = exit
		}
		f.once(last, e.to)
	}
	f.run(source, sink)
	side := f.side(source)
	var changes []int
	for c, entrance := range f.gates {
		if side[entrance] && !side[entrance+1] {
			changes = append(changes, c)
		}
	}
	slices.Sort(changes)
	return changes
}

// cutSearch looks for cheaper changes than those known: each path that is left
// must lose one of its steps, so it is tried which.
type cutSearch struct {
	*web
	work int // edges that may still be looked at
	best []int
	cost int
	made []bool // by change
	kept []bool // changes that are decided not to be made
	now  []int  // those made, in order
}

// needed leaves out changes that the others make needless: a gate may have let
// through what no edge does. The dearest are tried first.
func (s *cutSearch) needed(changes []int) []int {
	for _, c := range changes {
		s.made[c] = true
	}
	sure := s.alone()
	order := slices.Clone(changes)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.g.Changes[b].Cost, s.g.Changes[a].Cost) })
	for _, c := range order {
		if sure[c] {
			continue
		}
		s.made[c] = false
		if s.work <= 0 || s.path(nil) != nil {
			s.made[c] = true
		}
	}
	var out []int
	for _, c := range changes {
		if s.made[c] {
			out = append(out, c)
		}
		s.made[c] = false
	}
	return out
}

// alone returns the changes that are all that stands between an entry and a goal:
// those which alone close a step from where entries still reach to where goals are
// still reached from. Nothing else that is made can replace one.
func (s *cutSearch) alone() map[int]bool {
	ahead, behind := s.spread(false), s.spread(true)
	out := map[int]bool{}
	for _, e := range s.edges {
		if !ahead[e.from] || !behind[e.to] || len(s.aside) > 0 && s.aside[s.hop(e)] {
			continue
		}
		only, count := -1, 0
		for _, c := range s.changes(e) {
			if s.made[c] && c != only {
				only = c
				count++
			}
		}
		if count == 1 {
			out[only] = true
		}
	}
	return out
}

// spread says which vertices entries reach when changes are made, or from which
// goals are reached.
func (s *cutSearch) spread(against bool) []bool {
	at := make([]bool, len(s.of))
	var todo []int32
	var next [][]int32
	if against {
		next = make([][]int32, len(s.of)) // edges by where they lead
		for i, e := range s.edges {
			next[e.to] = append(next[e.to], int32(i))
		}
		for v, is := range s.goal {
			if is {
				at[v], todo = true, append(todo, int32(v))
			}
		}
	} else {
		for _, v := range s.entries {
			at[v], todo = true, append(todo, v)
		}
	}
	visit := func(i, to int32) {
		if !at[to] && !s.gone(s.edges[i], nil) {
			at[to], todo = true, append(todo, to)
		}
	}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if against {
			for _, i := range next[v] {
				visit(i, s.edges[i].from)
			}
			continue
		}
		for i := s.out[v]; i < s.out[v+1]; i++ {
			visit(i, s.edges[i].to)
		}
	}
	return at
}

// branch tries what else could be made beside what is.
func (s *cutSearch) branch(cost int) {
	if s.work <= 0 {
		return
	}
	bound, choice, found, possible := s.bound()
	switch {
	case s.work <= 0 || !possible || cost+bound >= s.cost:
		return
	case !found:
		s.best, s.cost = slices.Clone(s.now), cost
		return
	}
	for _, c := range choice {
		s.made[c], s.now = true, append(s.now, c)
		s.branch(cost + s.g.Changes[c].Cost)
		s.made[c], s.now = false, s.now[:len(s.now)-1]
		s.kept[c] = true
	}
	for _, c := range choice {
		s.kept[c] = false
	}
}

// bound returns what is to be paid at least: paths that have no change in common
// must each lose a step. The choice is that of the path with the fewest changes.
// found says whether there is any path, possible whether each can be cut.
func (s *cutSearch) bound() (bound int, choice []int, found, possible bool) {
	used := map[int]bool{}
	for {
		path := s.path(used)
		if path == nil {
			return bound, choice, found, true
		}
		found = true
		var here []int
		for _, e := range path {
			for _, c := range s.changes(e) {
				if !s.kept[c] && !used[c] {
					used[c] = true
					here = append(here, c)
				}
			}
		}
		if len(here) == 0 {
			return 0, nil, true, false
		}
		slices.SortFunc(here, func(a, b int) int {
			return cmp.Or(cmp.Compare(s.g.Changes[a].Cost, s.g.Changes[b].Cost), cmp.Compare(a, b))
		})
		bound += s.g.Changes[here[0]].Cost
		if choice == nil || len(here) < len(choice) {
			choice = here
		}
	}
}

// path returns the edges of a shortest path that is left when changes are made,
// without steps that have a change in used; nil if there is none.
func (s *cutSearch) path(used map[int]bool) []edge {
	came := make([]int32, len(s.of)) // by which edge, from 1; -1 at an entry
	todo := make([]int32, 0, len(s.entries))
	for _, v := range s.entries {
		came[v] = -1
		todo = append(todo, v)
	}
	for i := 0; i < len(todo); i++ {
		v := todo[i]
		for j := s.out[v]; j < s.out[v+1]; j++ {
			e := s.edges[j]
			s.work--
			if came[e.to] != 0 || s.gone(e, used) {
				continue
			}
			came[e.to] = j + 1
			if s.goal[e.to] {
				return s.trace(came, e.to)
			}
			todo = append(todo, e.to)
		}
	}
	return nil
}

func (s *cutSearch) gone(e edge, used map[int]bool) bool {
	for _, c := range s.changes(e) {
		if s.made[c] || used[c] {
			return true
		}
	}
	return len(s.aside) > 0 && s.aside[s.hop(e)]
}

func (s *cutSearch) trace(came []int32, v int32) []edge {
	var out []edge
	for came[v] > 0 {
		e := s.edges[came[v]-1]
		out = append(out, e)
		v = e.from
	}
	return out
}

// Check makes the changes of a cut for real, on the objects, builds the graph
// anew, and returns the paths that are still there or have come to be. Steps that
// the cut could not remove are taken for removed: see Fixed. An error says which
// change could not be made.
func (g *Graph) Check(cut Cut, entries []Entry, goals []Goal) ([]Path, *Graph, error) {
	after, err := g.Changed(cut.Changes)
	if err != nil {
		return nil, nil, fmt.Errorf("checking the cut: %w", err)
	}
	e, q := after.Same(g, entries, goals)
	return after.without(g, cut.Fixed).Paths(e, q), after, nil
}

// without is the graph without some steps of another.
func (g *Graph) without(other *Graph, hops []Hop) *Graph {
	if len(hops) == 0 {
		return g
	}
	type same struct {
		from, to int32
		*Primitive
	}
	gone := map[same]bool{}
	for _, h := range hops {
		from, to := g.Find(other.Vertices[h.From].Key), g.Find(other.Vertices[h.To].Key)
		gone[same{int32(from), int32(to), other.Steps[h.Step].Primitive}] = true //nolint:gosec // indexes
	}
	out := *g
	out.edges = slices.DeleteFunc(slices.Clone(g.edges), func(e edge) bool {
		return gone[same{e.from, e.to, g.Steps[e.step].Primitive}]
	})
	out.index()
	return &out
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
