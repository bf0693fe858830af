package attack

import "math"

// packing fills a web with paths, no change with more of them than it costs. What
// all of them carry together is a lower bound of each cut: whatever is made takes
// away no more than it costs.
type packing struct {
	*web
	room  []int64 // of each change, what it may still carry
	gates *gated  // where not nil, paths take no more of a pipe than left says
	left  []int64
	level []int32 // of each vertex, how many steps it is from a goal, -1 for too many
	next  []int32 // of each vertex, the next edge to try
	way   []int32 // the edges of the path that is tried
}

// packed returns a lower bound of the cost of cuts. Paths are taken from what flows
// through the gates, as far as it flows along steps (who goes in by the step of one
// may come out by that of another), then from what room is left. Short ones are taken
// first and never given back, so that the time is that of some searches.
func (w *web) packed(n *gated) int {
	p := &packing{
		web: w, room: make([]int64, len(w.g.Changes)), gates: n, left: make([]int64, len(n.pipes)),
		level: make([]int32, len(w.of)), next: make([]int32, len(w.of)),
	}
	for c := range p.room {
		p.room[c] = int64(w.g.Changes[c].Cost)
	}
	for _, i := range n.along {
		p.left[i] = n.through(i)
	}
	sum := p.fill()
	p.gates = nil
	return int(sum + p.fill())
}

// fill takes paths until none is left.
func (p *packing) fill() int64 {
	for sum := int64(0); ; {
		p.measure()
		before := sum
		for _, v := range p.entries {
			for p.level[v] > 0 && p.find(v) {
				sum += p.take()
			}
		}
		if sum == before {
			return sum
		}
	}
}

// pipes are those of an edge that are not to be overdrawn.
func (p *packing) pipes(i int32) []int32 {
	if p.gates == nil {
		return nil
	}
	return p.gates.along[p.gates.first[i]:p.gates.first[i+1]]
}

// open says that a step is not aside and that all of its changes carry more.
func (p *packing) open(i int32) bool {
	for _, c := range p.changes(p.edges[i]) {
		if p.room[c] <= 0 {
			return false
		}
	}
	for _, x := range p.pipes(i) {
		if p.left[x] <= 0 {
			return false
		}
	}
	return !p.aside[i]
}

// measure finds how far goals are by steps that are open.
func (p *packing) measure() {
	todo := make([]int32, 0, len(p.of))
	for v := range p.of {
		p.level[v], p.next[v] = -1, p.out[v]
		if p.goal[v] {
			p.level[v] = 0
			todo = append(todo, int32(v))
		}
	}
	for n := 0; n < len(todo); n++ {
		v := todo[n]
		for _, i := range p.back[p.in[v]:p.in[v+1]] {
			if from := p.edges[i].from; p.level[from] < 0 && p.open(i) {
				p.level[from] = p.level[v] + 1
				todo = append(todo, from)
			}
		}
	}
}

// find leaves a shortest open path from a vertex in p.way. An edge that leads
// nowhere is not tried again: none opens before the next measure.
func (p *packing) find(v int32) bool {
	p.way = p.way[:0]
	for at := v; !p.goal[at]; {
		i := p.next[at]
		switch {
		case i == p.out[at+1]:
			if at == v {
				return false
			}
			last := p.way[len(p.way)-1]
			p.way = p.way[:len(p.way)-1]
			at = p.edges[last].from
			p.next[at]++
		case p.level[p.edges[i].to] == p.level[at]-1 && p.open(i):
			p.way = append(p.way, i)
			at = p.edges[i].to
		default:
			p.next[at]++
		}
	}
	return true
}

// take fills the path that was found, and returns what it carries. A change that it
// meets twice carries it once.
func (p *packing) take() int64 {
	most := int64(math.MaxInt64)
	changes, pipes := map[int]bool{}, map[int32]bool{}
	for _, i := range p.way {
		for _, c := range p.changes(p.edges[i]) {
			changes[c] = true
			most = min(most, p.room[c])
		}
		for _, x := range p.pipes(i) {
			pipes[x] = true
			most = min(most, p.left[x])
		}
	}
	for c := range changes {
		p.room[c] -= most
	}
	for x := range pipes {
		p.left[x] -= most
	}
	return most
}
