package agent

import (
	"context"
	"slices"
	"time"

	"seawall.io/seawall"
)

// learnEvery is how often the system calls that containers made are read.
const learnEvery = 5 * time.Second

// learnSyscalls records the system calls of containers whose profile is not ready,
// and looks at none while all are.
func (a *Agent) learnSyscalls(ctx context.Context) {
	known := map[uint64][]string{}
	tick := time.NewTicker(learnEvery)
	defer tick.Stop()
	defer func() { _ = a.o.Sensor.Detach("syscalls") }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		learning := a.learning()
		for group := range known {
			if learning[group] == nil {
				_ = a.o.Sensor.Unlearn(group) // it may be gone
				delete(known, group)
			}
		}
		if len(learning) == 0 {
			_ = a.o.Sensor.Detach("syscalls") // nothing is lost by one that stays
			continue
		}
		if err := a.o.Sensor.Attach("syscalls"); err != nil {
			a.problem("syscalls", "system calls cannot be recorded: "+err.Error())
			return
		}
		for group, who := range learning {
			old, begun := known[group]
			if !begun {
				if err := a.o.Sensor.Learn(group); err != nil {
					a.problem("syscalls", err.Error())
					continue
				}
				known[group] = nil
				continue
			}
			made, denied, err := a.o.Sensor.Syscalls(group)
			if err != nil {
				continue // it is gone
			}
			var news []string
			for _, name := range made {
				if !slices.Contains(old, name) {
					news = append(news, name)
				}
			}
			known[group] = made
			if len(news) > 0 {
				a.made(a.syscallEvent(seawall.EventSyscall, group, who, news))
			}
			if len(denied) > 0 && !begun {
				a.made(a.syscallEvent(seawall.EventDenied, group, who, denied))
			}
		}
	}
}

func (a *Agent) syscallEvent(kind seawall.EventKind, group uint64, who *seawall.Container, names []string) *seawall.Event {
	return &seawall.Event{
		Kind: kind, Time: time.Now(), Boot: bootNow(), Syscalls: names,
		Process: &seawall.Process{PID: who.PID, Cgroup: group},
	}
}

// learning are the groups of containers whose profile is not ready.
func (a *Agent) learning() map[uint64]*seawall.Container {
	out := map[uint64]*seawall.Container{}
	for group, s := range a.groups() {
		if s.Pod == nil || s.Container == nil || s.Container.Sandbox || s.Pod.Workload.Kind == "" {
			continue
		}
		if !a.profiles.Ready(s.Pod, s.Container) {
			out[group] = s.Container
		}
	}
	return out
}
