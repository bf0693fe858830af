package attack

import "math"

// unbounded is more than the room of all steps together.
const unbounded = math.MaxInt64 / 4

// flow is a network for Dinic's algorithm.
type flow struct {
	gates map[int]int32      // change: the entrance of its gate; the exit is the next
	known map[[2]int32]int32 // the pipe between two vertices
	first []int32            // of each vertex, its first pipe, -1
	pipes []pipe
	level []int32
	next  []int32
}

type pipe struct {
	from, to int32
	after    int32 // the next pipe of the vertex
	room     int64
}

func (f *flow) vertex() int32 {
	f.first = append(f.first, -1)
	return int32(len(f.first) - 1) //nolint:gosec // fewer than 2^31
}

// pipe adds a pipe, and after it the one back that takes up what is undone.
func (f *flow) pipe(from, to int32, room int64) {
	for _, p := range [2]pipe{{from: from, to: to, room: room}, {from: to, to: from}} {
		p.after = f.first[p.from]
		f.first[p.from] = int32(len(f.pipes)) //nolint:gosec // fewer than 2^31
		f.pipes = append(f.pipes, p)
	}
}

// once returns the pipe between two vertices, which it adds unless it is there.
func (f *flow) once(from, to int32, room int64) int32 {
	k := [2]int32{from, to}
	i, ok := f.known[k]
	if !ok {
		i = int32(len(f.pipes)) //nolint:gosec // fewer than 2^31
		f.known[k] = i
		f.pipe(from, to, room)
	}
	return i
}

// gate is the entrance of a change; its exit is the next vertex.
func (f *flow) gate(change int) int32 {
	v, ok := f.gates[change]
	if !ok {
		v = f.vertex()
		f.vertex()
		f.gates[change] = v
	}
	return v
}

// through is what goes through a pipe that was empty at first.
func (f *flow) through(pipe int32) int64 { return f.pipes[pipe^1].room }

func (f *flow) run(source, sink int32) {
	f.level, f.next = make([]int32, len(f.first)), make([]int32, len(f.first))
	for f.layer(source, sink) {
		copy(f.next, f.first)
		for f.push(source, sink, unbounded) > 0 {
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
