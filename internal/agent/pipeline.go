package agent

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/respond"
)

// Who is whose a cgroup is.
type Who struct {
	Container *seawall.Container
	Pod       *seawall.Pod
	Identity  seawall.Identity
}

// Identities tells whose cgroups are. Its methods never wait.
type Identities interface {
	// Made and Removed hear of cgroups as they come and go.
	Made(id uint64, path string)
	Removed(id uint64)
	// Lookup says whose a cgroup is; Pending while the runtime is being asked.
	Lookup(id uint64) Who
	// ContainerCgroup returns the cgroup of the container that a cgroup is or lies in.
	ContainerCgroup(id uint64) (uint64, bool)
	// Target finds a pod of this node to act on.
	Target(namespace, name string) (respond.Target, bool)
}

// take is the first half of the way of an event: who did it.
func (a *Agent) take(ev *seawall.Event) {
	a.events.Add(1)
	ev.Node = a.o.Node
	if ev.Kind == seawall.EventContainer && ev.Cgroup != nil {
		if ev.Cgroup.Removed {
			a.o.Identities.Removed(ev.Cgroup.ID)
		} else {
			a.o.Identities.Made(ev.Cgroup.ID, ev.Cgroup.Path)
		}
	}
	if ev.Process != nil {
		a.processes.Observe(ev)
	}
	if !a.identify(ev) {
		a.waiting.add(ev)
		return
	}
	a.judge(ev)
}

// identify puts the container and pod into an event, and says whether that is all
// that will be known.
func (a *Agent) identify(ev *seawall.Event) bool {
	cgroup := uint64(0)
	switch {
	case ev.Process != nil && ev.Process.Cgroup != 0:
		cgroup = ev.Process.Cgroup
	case ev.Cgroup != nil:
		cgroup = ev.Cgroup.ID
	default:
		ev.Identity = seawall.OnHost
		return true
	}
	who := a.o.Identities.Lookup(cgroup)
	ev.Container, ev.Identity = who.Container, who.Identity
	if who.Pod != nil {
		ev.Pod = a.modes.mark(who.Pod)
	}
	return who.Identity != seawall.Pending
}

// waitFor is how long an event waits for the name of its container.
const waitFor = 250 * time.Millisecond

// waiting holds events whose container the runtime has not described yet. Events of
// other containers pass them; those of one container keep their order.
type waiting struct {
	queue []waitingEvent
	again func(*seawall.Event) bool
}

type waitingEvent struct {
	ev    *seawall.Event
	until time.Time
}

// maxWaiting bounds the queue: what does not fit goes on at once, as pending.
const maxWaiting = 16384

func (w *waiting) add(ev *seawall.Event) {
	w.queue = append(w.queue, waitingEvent{ev, time.Now().Add(waitFor)})
}

// due sends on what has waited long enough, or no longer needs to.
func (w *waiting) due(now time.Time, judge func(*seawall.Event)) {
	if len(w.queue) == 0 {
		return
	}
	keep := w.queue[:0]
	excess := max(len(w.queue)-maxWaiting, 0)
	for i, q := range w.queue {
		if w.again(q.ev) || now.After(q.until) || i < excess {
			judge(q.ev)
			continue
		}
		keep = append(keep, q)
	}
	clear(w.queue[len(keep):])
	w.queue = keep
}

// judge is the second half of the way of an event: what it means.
func (a *Agent) judge(ev *seawall.Event) {
	if m := a.profiles.Observe(ev); m != nil {
		ev.Profile = m
	}
	a.recent.add(ev)
	a.hub.publish(ev)
	if ev.Pod != nil && Mode(ev.Pod.Mode) == Observe {
		return
	}
	a.deliver(a.engine.Observe(ev))
}

// deliver records alerts, and answers those that ask for it.
func (a *Agent) deliver(alerts []*seawall.Alert) {
	for _, alert := range alerts {
		changed := a.incidents.Add(alert)
		a.writer.put("alert", alert.ID, alert.Time, alert)
		a.keepIncidents(changed)
		a.answer(alert)
	}
}

func (a *Agent) keepIncidents(changed []*seawall.Incident) {
	for _, i := range changed {
		a.writer.put("incident", incidentEntry(i), i.Last, i)
	}
}

// recent keeps the last events of each pod, for evidence.
type recent struct {
	mu   sync.Mutex
	pods map[string]*lastEvents
}

type lastEvents struct {
	events [512]*seawall.Event
	next   int
	used   time.Time
}

// maxRecent is of how many pods events are kept.
const maxRecent = 256

func (r *recent) add(ev *seawall.Event) {
	if ev.Pod == nil || ev.Pod.UID == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pods == nil {
		r.pods = map[string]*lastEvents{}
	}
	l := r.pods[ev.Pod.UID]
	if l == nil {
		if len(r.pods) >= maxRecent {
			var oldest string
			for uid, o := range r.pods {
				if oldest == "" || o.used.Before(r.pods[oldest].used) {
					oldest = uid
				}
			}
			delete(r.pods, oldest)
		}
		l = &lastEvents{}
		r.pods[ev.Pod.UID] = l
	}
	l.events[l.next%len(l.events)] = ev
	l.next++
	l.used = ev.Time
}

// of returns the last events of a pod, oldest first.
func (r *recent) of(uid string) []*seawall.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.pods[uid]
	if l == nil {
		return nil
	}
	var out []*seawall.Event
	for i := max(0, l.next-len(l.events)); i < l.next; i++ {
		out = append(out, l.events[i%len(l.events)])
	}
	return out
}

func bootNow() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano()) //nolint:gosec // time since boot is not negative
}
