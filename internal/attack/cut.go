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
	// Least says that it is proven that no other changes of the graph do it for a
	// lower cost.
	Least bool
}

// cutWork bounds the search for a cheaper cut, in edges looked at: a tenth of a
// second. It is not begun where the first bound alone would take more.
const cutWork = 10_000_000

// Cut returns the changes of least cost that leave no path. To find the least is
// hard in general, since one change may remove steps in many places (minimum cut
// with labels, NP-hard): a minimum cut in which each change is a gate that all of
// its steps go through is never too little, and most often the least. Paths that
// together have as much of each change as it costs, and no more, prove it; where
// they fall short, a search does, or finds better, unless it is broken off.
func (g *Graph) Cut(entries, goals []int) Cut {
	w := g.web(entries, goals)
	cut := Cut{Fixed: w.fixed()}
	n := w.gated()
	s := w.cutSearch()
	s.best = s.needed(n.minimum())
	s.cost = g.cost(s.best)
	cut.Least = w.packed(n) == s.cost
	if !cut.Least && len(s.best)*len(w.edges) <= cutWork {
		s.branch(0)
		cut.Least = s.work > 0
	}
	cut.Changes, cut.Cost = s.best, s.cost
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
	in      []int32 // where those that lead to it begin in back
	back    []int32 // indexes of edges
	entries []int32
	goal    []bool
	aside   []bool // edges that are left out
}

func (g *Graph) web(entries, goals []int) *web {
	ahead, behind := g.search(from(entries), false), g.search(from(goals), true)
	w := &web{g: g}
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
	w.in, w.back = backwards(w.edges, len(w.of))
	w.aside = make([]bool, len(w.edges))
	return w
}

func (w *web) changes(e edge) []int { return w.g.Steps[e.step].Changes }

func (w *web) hop(e edge) Hop { return Hop{int(w.of[e.from]), int(w.of[e.to]), int(e.step)} }

// network is the web without its edges: a source before its entries, a sink behind
// its goals.
func (w *web) network() (f *flow, source, sink int32) {
	f = &flow{gates: map[int]int32{}, known: map[[2]int32]int32{}}
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

// fixed sets the fewest edges without a change aside that leave no path of nothing
// but such, and returns them.
func (w *web) fixed() []Hop {
	f, source, sink := w.network()
	var bare []int
	first := len(f.pipes)
	for i, e := range w.edges {
		if len(w.changes(e)) == 0 {
			bare = append(bare, i)
			f.pipe(e.from, e.to, 1)
		}
	}
	f.run(source, sink)
	side := f.side(source)
	var out []Hop
	for n, i := range bare {
		if x := &f.pipes[first+2*n]; side[x.from] && !side[x.to] {
			w.aside[i] = true
			out = append(out, w.hop(w.edges[i]))
		}
	}
	return out
}

// gated is a web as a network in which each change is a gate that all of its steps
// go through, filled to the most.
type gated struct {
	*flow
	source int32
	// along are the pipes of each edge, which begin at first; none for one aside.
	along, first []int32
}

func (w *web) gated() *gated {
	f, source, sink := w.network()
	n := &gated{flow: f, source: source, first: make([]int32, len(w.edges)+1)}
	for i, e := range w.edges {
		if !w.aside[i] {
			last := e.from
			for _, c := range w.changes(e) {
				at := f.gate(c)
				n.along = append(n.along, f.once(last, at, unbounded), f.once(at, at+1, int64(w.g.Changes[c].Cost)))
				last = at + 1
			}
			n.along = append(n.along, f.once(last, e.to, unbounded))
		}
		n.first[i+1] = int32(len(n.along)) //nolint:gosec // fewer than 2^31
	}
	f.run(source, sink)
	return n
}

// minimum returns the changes whose gates cut all paths at the least cost.
func (n *gated) minimum() []int {
	side := n.side(n.source)
	var changes []int
	for c, entrance := range n.gates {
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
	used []bool // changes that the paths of a bound have had
	now  []int  // those made, in order
	came []int32
}

func (w *web) cutSearch() *cutSearch {
	n := len(w.g.Changes)
	return &cutSearch{
		web: w, work: cutWork, made: make([]bool, n), kept: make([]bool, n), used: make([]bool, n), came: make([]int32, len(w.of)),
	}
}

// needed leaves out changes that the others make needless: a gate may have let
// through what no edge does. The dearest are tried first.
func (s *cutSearch) needed(changes []int) []int {
	for _, c := range changes {
		s.made[c] = true
	}
	steps := make(map[int][]int32, len(changes)) // the edges that each takes away
	for i, e := range s.edges {
		for _, c := range s.changes(e) {
			if s.made[c] {
				steps[c] = append(steps[c], int32(i))
			}
		}
	}
	ahead, behind := s.spread(false), s.spread(true)
	order := slices.Clone(changes)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.g.Changes[b].Cost, s.g.Changes[a].Cost) })
	for _, c := range order {
		s.made[c] = false
		if !s.extend(steps[c], ahead, behind) {
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

// extend adds to what entries reach what they reach by some steps that have come
// to be open, unless that is a goal or what leads to one: then it is false, and
// nothing is added. What leads to a goal may be more than behind says.
func (s *cutSearch) extend(steps []int32, ahead, behind []bool) bool {
	var added, todo []int32
	visit := func(i int32) (goal bool) {
		e := s.edges[i]
		if ahead[e.to] || s.gone(i) {
			return false
		}
		ahead[e.to], added, todo = true, append(added, e.to), append(todo, e.to)
		return behind[e.to]
	}
	goal := slices.ContainsFunc(steps, func(i int32) bool { return ahead[s.edges[i].from] && visit(i) })
	for !goal && len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for i := s.out[v]; i < s.out[v+1] && !goal; i++ {
			goal = visit(i)
		}
	}
	if goal {
		for _, v := range added {
			ahead[v] = false
		}
	}
	return !goal
}

// spread says which vertices entries reach when changes are made, or from which
// goals are reached.
func (s *cutSearch) spread(against bool) []bool {
	at := make([]bool, len(s.of))
	todo := slices.Clone(s.entries)
	if against {
		todo = todo[:0]
		for v, is := range s.goal {
			if is {
				todo = append(todo, int32(v))
			}
		}
	}
	for _, v := range todo {
		at[v] = true
	}
	visit := func(i, to int32) {
		if !at[to] && !s.gone(i) {
			at[to], todo = true, append(todo, to)
		}
	}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if against {
			for _, i := range s.back[s.in[v]:s.in[v+1]] {
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
	var all []int
	defer func() {
		for _, c := range all {
			s.used[c] = false
		}
	}()
	for {
		path := s.path()
		if path == nil {
			return bound, choice, found, true
		}
		found = true
		var here []int
		for _, e := range path {
			for _, c := range s.changes(e) {
				if !s.kept[c] && !s.used[c] {
					s.used[c] = true
					here = append(here, c)
				}
			}
		}
		all = append(all, here...)
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
func (s *cutSearch) path() []edge {
	todo := make([]int32, 0, len(s.entries))
	defer func() {
		for _, v := range todo {
			s.came[v] = 0
		}
	}()
	for _, v := range s.entries { // came is by which edge, from 1; -1 at an entry
		s.came[v] = -1
		todo = append(todo, v)
	}
	for n := 0; n < len(todo); n++ {
		v := todo[n]
		for i := s.out[v]; i < s.out[v+1]; i++ {
			to := s.edges[i].to
			s.work--
			if s.came[to] != 0 || s.gone(i) {
				continue
			}
			s.came[to] = i + 1
			todo = append(todo, to)
			if s.goal[to] {
				return s.trace(to)
			}
		}
	}
	return nil
}

func (s *cutSearch) gone(i int32) bool {
	for _, c := range s.changes(s.edges[i]) {
		if s.made[c] || s.used[c] {
			return true
		}
	}
	return s.aside[i]
}

func (s *cutSearch) trace(v int32) []edge {
	var out []edge
	for s.came[v] > 0 {
		e := s.edges[s.came[v]-1]
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
