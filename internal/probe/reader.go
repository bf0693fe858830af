package probe

import (
	"sync"
	"sync/atomic"

	"seawall.io/seawall"
)

// reader counts what came out of the rings.
type reader struct {
	kinds [64]atomic.Uint64

	mu      sync.Mutex
	streams map[stream]*numbers
}

// stream is what numbers the events of a ring: each CPU counts for itself.
type stream struct {
	ring Ring
	cpu  uint16
}

// numbers are those of the events of one stream. They may come out of order, where
// one event was made while another was.
type numbers struct {
	before  uint64 // the last that was not the reader's
	highest uint64
	count   uint64
}

// read counts an event. Rings that were begun by an earlier sensor count from what
// that one left.
func (r *reader) read(ev *seawall.Event, from Ring, cpu uint16, adopted bool) {
	r.kinds[ev.Kind].Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	key := stream{from, cpu}
	n := r.streams[key]
	if n == nil {
		if r.streams == nil {
			r.streams = map[stream]*numbers{}
		}
		n = &numbers{}
		if adopted {
			n.before = ev.Seq - 1
		}
		r.streams[key] = n
	}
	n.highest = max(n.highest, ev.Seq)
	n.count++
}

// gaps counts the numbers that never came, below the highest of each stream.
func (r *reader) gaps() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out uint64
	for _, n := range r.streams {
		if due := n.highest - n.before; due > n.count {
			out += due - n.count
		}
	}
	return out
}
