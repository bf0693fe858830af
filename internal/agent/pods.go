package agent

import (
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cri"
	"seawall.io/seawall/internal/probe"
	"seawall.io/seawall/internal/respond"
)

// pods knows what runs on the node in terms of what can be acted on: the control
// group of each pod, and its containers.
type pods struct {
	mu   sync.Mutex
	byID map[string]*podState // by UID
}

type podState struct {
	group      seawall.Cgroup // the pod's own
	pod        *seawall.Pod
	containers map[string]*seawall.Container
	// groups are those of the pod's containers: when the last is gone, so is the pod.
	groups map[uint64]bool
}

// group notes a control group that was made or is gone.
func (p *pods) group(g seawall.Cgroup) {
	place := cri.ParseCgroup(g.Path)
	if place.PodUID == "" || place.Monitor {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.byID[place.PodUID]
	if s == nil {
		if g.Removed {
			return
		}
		if p.byID == nil {
			p.byID = map[string]*podState{}
		}
		s = &podState{containers: map[string]*seawall.Container{}, groups: map[uint64]bool{}}
		p.byID[place.PodUID] = s
	}
	switch {
	case place.ContainerID == "" && g.Removed:
		delete(p.byID, place.PodUID)
	case place.ContainerID == "":
		s.group = g
	case g.Removed:
		delete(s.groups, g.ID)
		if place.Container == g.Path {
			delete(s.containers, place.ContainerID)
		}
	default:
		s.groups[g.ID] = true
	}
}

// described hears of each step in what the runtime says of a container.
func (a *Agent) described(c cri.Change) {
	first := a.pods.changed(c)
	if c.State.Container == nil || c.State.Identity != seawall.Resolved {
		return
	}
	if ns := c.State.Container.NS; ns != nil {
		for _, group := range c.Cgroups {
			if err := a.o.Sensor.SetNamespaces(group, *ns); err != nil {
				a.problem("namespaces", "a container's own namespaces cannot be set: "+err.Error())
			}
		}
	}
	if !first || c.State.Pod == nil || c.State.Pod.HostNetwork || c.State.Container.PID == 0 || a.o.Links == nil {
		return
	}
	// The pod's network is made ready to be cut, so that cutting is one write.
	links, err := a.o.Links(int(c.State.Container.PID))
	for _, link := range links {
		err = errors.Join(err, a.o.Sensor.WatchLink(link))
	}
	if err != nil {
		a.problem("links", "raw packets of pods cannot be cut: "+err.Error())
	}
}

// changed takes over what the runtime says of a container.
// first says that it is the first that is known of its pod.
func (p *pods) changed(c cri.Change) (first bool) {
	if c.State.Pod == nil || c.State.Container == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.byID[c.State.Pod.UID]
	if s == nil {
		return false // its groups are gone already
	}
	first = s.pod == nil
	s.pod = c.State.Pod
	s.containers[c.State.Container.ID] = c.State.Container
	return first
}

// find returns a pod by its name. Of two with one name (a StatefulSet's, as one ends
// and the next starts) it is the one that started last.
func (p *pods) find(namespace, name string) (*podState, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found *podState
	for _, s := range p.byID {
		if s.pod == nil || s.pod.Namespace != namespace || s.pod.Name != name {
			continue
		}
		if found == nil || s.started().After(found.started()) {
			found = s
		}
	}
	if found == nil {
		return nil, false
	}
	c := *found
	c.containers = make(map[string]*seawall.Container, len(found.containers))
	maps.Copy(c.containers, found.containers)
	return &c, true
}

func (s *podState) started() time.Time {
	var last time.Time
	for _, c := range s.containers {
		if c.Started.After(last) {
			last = c.Started
		}
	}
	return last
}

// target finds a pod of this node to act on.
func (a *Agent) target(namespace, name string) (respond.Target, bool) {
	s, ok := a.pods.find(namespace, name)
	if !ok || s.group.ID == 0 || a.o.Cgroups == nil {
		return respond.Target{}, false
	}
	pod := s.pod
	if known := a.modes.Pod(pod.UID); known != nil {
		pod = known
	}
	t := respond.Target{Pod: pod, Cgroup: s.group.ID, Dir: filepath.Join(a.o.Cgroups.Root, s.group.Path)}
	for _, c := range s.containers {
		t.Containers = append(t.Containers, c)
	}
	slices.SortFunc(t.Containers, func(x, y *seawall.Container) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) })
	if a.o.Links != nil && !pod.HostNetwork {
		for _, c := range t.Containers {
			if c.PID == 0 {
				continue
			}
			if links, err := a.o.Links(int(c.PID)); err == nil {
				t.Links = links
				break
			}
		}
	}
	return t, true
}

// findGroups tells of the control groups that there are.
func (a *Agent) findGroups() {
	if a.o.Cgroups == nil {
		return
	}
	began := time.Now()
	list, err := a.o.Cgroups.Walk()
	if err != nil {
		a.problem("cgroups", err.Error())
	}
	list = slices.DeleteFunc(list, func(g seawall.Cgroup) bool { return !a.domain.note(g) })
	for _, g := range list {
		a.pods.group(g)
		a.watch(g)
	}
	a.resolver.Sync(began, list)
}

// watch tells the sensor which groups are containers', and holds pods to their
// policy, before anything runs in them.
func (a *Agent) watch(g seawall.Cgroup) {
	place := cri.ParseCgroup(g.Path)
	switch {
	case place.PodUID != "" && place.ContainerID == "" && !place.Monitor && g.Removed:
		a.groupGone(g.ID)
	case place.PodUID != "" && place.ContainerID == "" && !place.Monitor:
		a.hold(place.PodUID)
	}
	if place.ContainerID == "" || place.Monitor {
		return
	}
	var err error
	if g.Removed {
		err = a.o.Sensor.Unwatch(g.ID)
	} else {
		err = a.o.Sensor.Watch(g.ID, nil, probe.OfContainer)
	}
	if err != nil {
		a.problem("watch", "the sensor cannot be told of a container: "+err.Error())
	}
}

// groups returns the groups of containers, and what is known of them.
func (a *Agent) groups() map[uint64]*cri.State {
	a.pods.mu.Lock()
	var ids []uint64
	for _, s := range a.pods.byID {
		for id := range s.groups {
			ids = append(ids, id)
		}
	}
	a.pods.mu.Unlock()
	out := map[uint64]*cri.State{}
	for _, id := range ids {
		if state := a.resolver.Lookup(id); state != nil {
			out[id] = state
		}
	}
	return out
}
