package cri

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"seawall.io/seawall"
)

// Limits of a Backlog.
const (
	// Wait is how long an event waits for its container to be described.
	Wait = 250 * time.Millisecond
	// maxWaiting events wait at most, a quarter of them of one container.
	maxWaiting = 4096
)

// Backlog holds the events of pending containers back for a moment, so that most
// events of a container's first milliseconds go out with its name. Events of one
// container keep their order, and none is lost: what has waited for Wait, or finds
// no room, goes out as it is. It is for one goroutine.
type Backlog struct {
	resolver *Resolver
	waiting  map[uint64][]waiting // by Resolver.Container
	n        int
	// Held counts events that waited, Overdue those of them that went out before their
	// container was described, Overflowed those for which there was no room.
	Held, Overdue, Overflowed uint64
}

type waiting struct {
	ev    *seawall.Event
	since time.Time
}

// NewBacklog returns an empty backlog.
func NewBacklog(r *Resolver) *Backlog {
	return &Backlog{resolver: r, waiting: map[uint64][]waiting{}}
}

// Offer identifies an event and emits it, after those of its container that waited
// before it, unless it has to wait itself. Where nobody told the resolver of the
// event's group it returns false and does nothing else: the caller may Add the group
// and offer the event again, or use it as it is.
func (b *Backlog) Offer(ev *seawall.Event, now time.Time, emit func(*seawall.Event)) bool {
	if !b.resolver.Identify(ev) {
		return false
	}
	if ev.Identity != seawall.Pending && b.n == 0 {
		emit(ev)
		return true
	}
	id, ok := b.resolver.Container(groupOf(ev))
	if ev.Identity != seawall.Pending || !ok {
		b.release(id, now, emit)
		emit(ev)
		return true
	}
	queue := b.waiting[id]
	switch {
	case len(queue) >= maxWaiting/4, b.n >= maxWaiting && len(queue) > 0:
		b.Overflowed++
		emit(queue[0].ev)
		queue = queue[1:]
		b.n--
	case b.n >= maxWaiting:
		b.Overflowed++
		emit(ev)
		return true
	}
	b.Held++
	b.n++
	b.waiting[id] = append(queue, waiting{ev, now})
	return true
}

// Due emits the events that need not wait any longer, by the time when they
// happened.
func (b *Backlog) Due(now time.Time, emit func(*seawall.Event)) {
	if b.n == 0 {
		return
	}
	var out []*seawall.Event
	for _, id := range slices.Sorted(maps.Keys(b.waiting)) {
		b.release(id, now, func(ev *seawall.Event) { out = append(out, ev) })
	}
	slices.SortStableFunc(out, func(x, y *seawall.Event) int { return cmp.Compare(x.Boot, y.Boot) })
	for _, ev := range out {
		emit(ev)
	}
}

// Waiting returns how many events wait.
func (b *Backlog) Waiting() int { return b.n }

// release identifies the events of a container anew and emits those that can go.
func (b *Backlog) release(id uint64, now time.Time, emit func(*seawall.Event)) {
	queue, held := b.waiting[id]
	if !held {
		return
	}
	for len(queue) > 0 {
		first := queue[0]
		b.resolver.Identify(first.ev)
		if first.ev.Identity == seawall.Pending {
			if now.Sub(first.since) < Wait {
				break
			}
			b.Overdue++
		}
		emit(first.ev)
		queue = queue[1:]
		b.n--
	}
	if len(queue) == 0 {
		delete(b.waiting, id)
	} else {
		b.waiting[id] = queue
	}
}

// groupOf is the control group that an event belongs to.
func groupOf(ev *seawall.Event) uint64 {
	switch {
	case ev.Cgroup != nil:
		return ev.Cgroup.ID
	case ev.Process != nil:
		return ev.Process.Cgroup
	}
	return 0
}
