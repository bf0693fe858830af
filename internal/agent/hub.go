package agent

import (
	"sync"
	"sync/atomic"

	"seawall.io/seawall"
)

// hub hands events to those who follow them. A follower that does not keep up
// loses events, which it is told, and holds up nobody.
type hub struct {
	mu        sync.Mutex
	followers map[*follower]struct{}
	any       atomic.Int32 // followers, to be read without the lock
}

// follower is one who follows events.
type follower struct {
	wants  func(*seawall.Event) bool
	events chan *seawall.Event
	lost   atomic.Uint64
}

// followerRoom is how many events a follower may lag behind.
const followerRoom = 8192

func (h *hub) follow(wants func(*seawall.Event) bool) *follower {
	f := &follower{wants: wants, events: make(chan *seawall.Event, followerRoom)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followers == nil {
		h.followers = map[*follower]struct{}{}
	}
	h.followers[f] = struct{}{}
	h.any.Add(1)
	return f
}

func (h *hub) leave(f *follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.followers, f)
	h.any.Add(-1)
}

func (h *hub) publish(ev *seawall.Event) {
	if h.any.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.followers {
		if !f.wants(ev) {
			continue
		}
		select {
		case f.events <- ev:
		default:
			f.lost.Add(1)
		}
	}
}
