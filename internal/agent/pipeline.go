package agent

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// made takes an event that the agent itself made, through the same way as others.
func (a *Agent) made(ev *seawall.Event) {
	select {
	case a.own <- ev:
	default:
		a.ownLost.Add(1)
	}
}

// take is the first half of the way of an event: who did it.
func (a *Agent) take(ev *seawall.Event) {
	a.events.Add(1)
	ev.Node = a.o.Node
	if !a.domain.holds(ev) {
		a.foreign.Add(1)
		if ev.Process != nil {
			a.processes.Observe(ev) // processes of the node may come from it
		}
		return
	}
	if ev.Cgroup != nil {
		a.pods.group(*ev.Cgroup)
		a.watch(*ev.Cgroup)
		if ev.Cgroup.Removed {
			a.resolver.Remove(*ev.Cgroup)
		} else {
			a.resolver.Add(*ev.Cgroup)
		}
	}
	if ev.Process != nil {
		a.processes.Observe(ev)
	}
	now := time.Now()
	if a.backlog.Offer(ev, now, a.judge) {
		return
	}
	// Nobody told of the group: the hierarchy was mounted late, or its news were lost.
	if ev.Process != nil && a.o.Cgroups != nil {
		if g, err := a.o.Cgroups.Of(ev.Process.PID); err == nil && g.ID == ev.Process.Cgroup {
			a.pods.group(g)
			a.watch(g)
			a.resolver.Add(g)
			if a.backlog.Offer(ev, now, a.judge) {
				return
			}
		}
	}
	if ev.Identity == "" {
		ev.Identity = seawall.Unidentified
	}
	a.judge(ev)
}

// judge is the second half of the way of an event: what it means.
func (a *Agent) judge(ev *seawall.Event) {
	if ofRuntime(ev) || a.itself(ev) {
		a.recent.add(ev)
		a.hub.publish(ev)
		return
	}
	if m := a.profiles.Observe(ev); m != nil {
		ev.Profile = m
	}
	a.recent.add(ev)
	a.hub.publish(ev)
	if ev.Pod != nil && a.mode(ev.Pod) == Observe {
		return
	}
	a.deliver(a.engine.Observe(ev))
}

// itself says whether the agent did it: it loads programs into the kernel and enters
// the namespaces of others, which from anybody else would be an attack. A process that
// has its PID in another PID namespace is in another control group.
func (a *Agent) itself(ev *seawall.Event) bool {
	p := ev.Process
	if p == nil || a.group == 0 || p.Cgroup != a.group {
		return false
	}
	// Where it is at home was read while one of its threads was elsewhere, perhaps.
	return ev.Kind == seawall.EventNamespace || int(p.PID) == os.Getpid() && ev.Kind != seawall.EventTamper
}

// ofRuntime says whether an event is the runtime's own work on a container: runc
// mounts the container's file system and changes its root as a member of the
// container's control group, before the container's program is there. That is neither
// the workload's behaviour nor an attack. It comes from a process of the node without
// an entry into the container between them; programs that such a process runs, and
// whom it talks to, are judged all the same, since runtimes do neither there.
func ofRuntime(ev *seawall.Event) bool {
	if ev.Container == nil || ev.Process == nil {
		return false
	}
	switch ev.Kind { //nolint:exhaustive // the others are what runtimes do
	case seawall.EventExec, seawall.EventConnect, seawall.EventListen, seawall.EventBind, seawall.EventSend, seawall.EventDNS, seawall.EventTLS,
		seawall.EventVerdict, seawall.EventTamper, seawall.EventContainer:
		return false
	}
	for p := ev.Process; p != nil; p = p.Parent {
		switch p.Entry {
		case "init", "exec":
			return false
		case "node":
			return true
		}
	}
	return false
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
