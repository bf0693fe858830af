package cri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"seawall.io/seawall"
)

// Times and limits of a Resolver.
const (
	// A container is asked for at once, then after firstWait, and twice as long each
	// time up to lastWait; after patience it counts as unidentified, and is asked for
	// at slowWait.
	firstWait = time.Millisecond
	lastWait  = 50 * time.Millisecond
	patience  = 2 * time.Second
	slowWait  = time.Second
	// untold is how long the runtime may say that it does not know a container before
	// it is asked no more: there are containers that are none of its own.
	untold = time.Minute
	// timeout of one question.
	timeout = 5 * time.Second
	// grace is how long a removed group is kept, for events that come late.
	grace = 60 * time.Second
	// maxRemoved groups are kept in their grace.
	maxRemoved = 8192
	// maxAsking questions are open at a time.
	maxAsking = 8
)

// Describer describes containers: *Client does.
type Describer interface {
	Container(ctx context.Context, id string) (*Description, error)
	Sandbox(ctx context.Context, id string) (*Description, error)
}

// PodSource knows more of pods than runtimes do: labels as they are now, what made
// the pod, its service account, and what Seawall may do in its namespace.
type PodSource interface {
	// Pod returns the pod with a UID, nil where it is not known (yet). It must not
	// block.
	Pod(uid string) *seawall.Pod
}

// State is what is known of a control group. It is never changed.
type State struct {
	Identity  seawall.Identity
	Container *seawall.Container
	Pod       *seawall.Pod
	// Took is the time from when the group was seen to when the runtime had described
	// its container.
	Took time.Duration
}

// Change says that more is known of a container than before.
type Change struct {
	// Cgroups are the container's own group and those inside it.
	Cgroups []uint64
	State   *State
}

// Stats counts what a Resolver did since it was made.
type Stats struct {
	// Groups are kept now; Pending containers wait for the runtime.
	Groups  int `json:"groups"`
	Pending int `json:"pending"`
	// Resolved containers were described by the runtime, Late ones of them after they
	// had counted as unidentified. Unidentified counts all that ever did.
	Resolved     uint64 `json:"resolved"`
	Late         uint64 `json:"late"`
	Unidentified uint64 `json:"unidentified"`
	// Asked counts questions, Unavailable those that the runtime did not answer.
	Asked       uint64 `json:"asked"`
	Unavailable uint64 `json:"unavailable"`
	// Unknown counts events of groups that nobody had told of.
	Unknown uint64 `json:"unknown"`
	// Mismatched containers are, by the runtime, of another pod than by their group.
	Mismatched uint64 `json:"mismatched"`
	// Forgotten groups were removed and had to go before their grace was over.
	Forgotten uint64 `json:"forgotten"`
}

// Resolver knows which container and pod each control group belongs to. The agent
// tells it of groups as they come and go; it asks the runtime by itself. All
// methods may be called by several goroutines, and none waits for the runtime.
type Resolver struct {
	// Namespaces, where it is set before the first group is added, reads those of a
	// process: Container.NS is then that of the container's first process.
	Namespaces func(pid uint32) (*seawall.Namespaces, error)

	runtime Describer
	pods    PodSource
	log     *slog.Logger
	changed func(Change)

	ctx     context.Context // ends the goroutines, by Close
	end     context.CancelFunc
	running sync.WaitGroup
	asking  chan struct{}

	mu         sync.RWMutex
	groups     map[uint64]*group
	host       *container            // of groups that are in none
	containers map[string]*container // by identifier
	sandboxes  map[string]*Description
	removed    []removal
	awake      chan struct{} // closed when the runtime is back
	away       bool
	stats      Stats
	unknown    atomic.Uint64
}

type group struct {
	of      *container // its own, that which it lies in, or one that stands for none
	path    string
	added   time.Time
	removed bool
}

type container struct {
	place  Place
	number uint64 // the first group of it that was seen
	groups map[uint64]bool
	seen   time.Time
	state  *State
	told   *Description
	gone   bool // its own group was removed
	ended  context.CancelFunc
}

type removal struct {
	id uint64
	at time.Time
}

// NewResolver returns a resolver without groups. pods and log may be nil. changed,
// which may be nil too, is called from other goroutines, once for each step in what is
// known of a container, and must not call Close.
func NewResolver(runtime Describer, pods PodSource, log *slog.Logger, changed func(Change)) *Resolver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, end := context.WithCancel(context.Background())
	return &Resolver{
		runtime: runtime, pods: pods, log: log, changed: changed, ctx: ctx, end: end, asking: make(chan struct{}, maxAsking),
		groups: map[uint64]*group{}, host: &container{state: &State{Identity: seawall.OnHost}}, containers: map[string]*container{}, sandboxes: map[string]*Description{}, awake: make(chan struct{}),
	}
}

// Close ends all questions and waits for their end.
func (r *Resolver) Close() {
	r.end()
	r.running.Wait()
}

// Add tells of a control group: one that was made, or that was there before.
func (r *Resolver) Add(g seawall.Cgroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prune()
	r.add(g)
}

func (r *Resolver) add(g seawall.Cgroup) {
	if known := r.groups[g.ID]; known != nil && known.path == g.Path && !known.removed {
		return
	}
	place := ParseCgroup(g.Path)
	entry := &group{path: g.Path, added: time.Now()}
	r.groups[g.ID] = entry
	switch {
	case place.ContainerID != "":
		entry.of = r.container(place, g)
		entry.of.groups[g.ID] = true
	case place.PodUID != "" && !place.Monitor:
		// The pod's own group: whoever runs in it is in no container that one knows.
		entry.of = &container{state: &State{Identity: seawall.Unidentified, Pod: &seawall.Pod{UID: place.PodUID}}}
	default:
		entry.of = r.host
	}
}

// container returns the container of a group; a new one is asked for.
func (r *Resolver) container(place Place, g seawall.Cgroup) *container {
	c := r.containers[place.ContainerID]
	if c != nil {
		if !c.gone || len(place.Container) != len(g.Path) {
			return c
		}
		c.ended() // docker starts a container again under its identifier
	}
	ctx, ended := context.WithCancel(r.ctx)
	c = &container{
		place: place, number: g.ID, groups: map[uint64]bool{}, seen: time.Now(), ended: ended,
		state: &State{Identity: seawall.Pending, Container: &seawall.Container{ID: place.ContainerID}},
	}
	if place.PodUID != "" {
		c.state.Pod = r.merge(&seawall.Pod{UID: place.PodUID})
	}
	r.containers[place.ContainerID] = c
	r.stats.Pending++
	r.running.Go(func() { r.resolve(ctx, c) })
	return c
}

// Remove tells that a control group is gone. What is known of it is kept for a
// minute.
func (r *Resolver) Remove(g seawall.Cgroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(g.ID)
	r.prune()
}

func (r *Resolver) remove(id uint64) {
	entry := r.groups[id]
	if entry == nil || entry.removed {
		return
	}
	entry.removed = true
	if len(entry.of.place.Container) == len(entry.path) {
		entry.of.gone = true
	}
	r.removed = append(r.removed, removal{id, time.Now()})
}

// Sync makes the resolver agree with a list of all groups that was begun at a time:
// those of the list are added, and those that were there before and are not in it
// are gone. It is for the start, and for when news of groups were lost.
func (r *Resolver) Sync(begun time.Time, groups []seawall.Cgroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	listed := make(map[uint64]bool, len(groups))
	for _, g := range groups {
		listed[g.ID] = true
		r.add(g)
	}
	for _, id := range slices.Sorted(maps.Keys(r.groups)) {
		if !listed[id] && r.groups[id].added.Before(begun) {
			r.remove(id)
		}
	}
	r.prune()
}

// prune forgets removed groups whose grace is over.
func (r *Resolver) prune() {
	n := 0
	for now := time.Now(); n < len(r.removed); n++ {
		if now.Sub(r.removed[n].at) < grace {
			if len(r.removed)-n <= maxRemoved {
				break
			}
			r.stats.Forgotten++
		}
		r.forget(r.removed[n].id)
	}
	r.removed = append(r.removed[:0], r.removed[n:]...)
}

func (r *Resolver) forget(id uint64) {
	entry := r.groups[id]
	if entry == nil || !entry.removed {
		return
	}
	delete(r.groups, id)
	c := entry.of
	if !c.groups[id] {
		return
	}
	delete(c.groups, id)
	if len(c.groups) > 0 {
		return
	}
	c.ended()
	if r.containers[c.place.ContainerID] == c {
		delete(r.containers, c.place.ContainerID)
	}
	if c.told != nil && c.told.Container.Sandbox {
		delete(r.sandboxes, c.told.Sandbox)
	}
}

// Lookup returns what is known of a control group; nil where nobody told of it.
func (r *Resolver) Lookup(cgroup uint64) *State {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if g := r.groups[cgroup]; g != nil {
		return g.of.state
	}
	return nil
}

// Identify puts into an event the container and pod that its process belongs to or,
// for an event of a control group itself, that it is. It returns false where nobody
// told of the group: the caller may find its path, Add it, and ask again. Until then
// the event is unidentified.
func (r *Resolver) Identify(ev *seawall.Event) bool {
	id := groupOf(ev)
	if id == 0 {
		return true // of the node or the sensor
	}
	s := r.Lookup(id)
	if s == nil {
		ev.Identity = seawall.Unidentified
		r.unknown.Add(1)
		return false
	}
	ev.Identity, ev.Container, ev.Pod = s.Identity, s.Container, s.Pod
	return true
}

// Container returns a number that the groups of one container share, and whether a
// group is of a container at all. It is what process.Options asks for.
func (r *Resolver) Container(cgroup uint64) (uint64, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if g := r.groups[cgroup]; g != nil && g.of.place.ContainerID != "" {
		return g.of.number, true
	}
	return 0, false
}

// PodChanged says that the pod source knows something new of a pod.
func (r *Resolver) PodChanged(uid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		if s := c.state; s.Pod != nil && s.Pod.UID == uid {
			next := *s
			next.Pod = r.merge(s.Pod)
			c.state = &next
		}
	}
}

// Stats returns the counts as of now.
func (r *Resolver) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.stats
	s.Groups, s.Unknown = len(r.groups), r.unknown.Load()
	return s
}

// merge returns a pod with what the pod source knows of it.
func (r *Resolver) merge(p *seawall.Pod) *seawall.Pod {
	if r.pods == nil || p.UID == "" {
		return p
	}
	more := r.pods.Pod(p.UID)
	if more == nil {
		return p
	}
	merged := *more
	merged.UID = p.UID
	if len(merged.IP) == 0 {
		merged.IP = p.IP
	}
	merged.HostNetwork = merged.HostNetwork || p.HostNetwork
	merged.HostPID = merged.HostPID || p.HostPID
	return &merged
}

// resolve asks for a container until the runtime has said all, or it is forgotten.
func (r *Resolver) resolve(ctx context.Context, c *container) {
	defer func() {
		r.mu.Lock()
		if c.state.Identity == seawall.Pending {
			r.stats.Pending--
		}
		r.mu.Unlock()
	}()
	wait := firstWait
	for {
		limit := patience - time.Since(c.seen) // a runtime that hangs must not hide that
		if limit <= 0 {
			limit = timeout
		}
		told, err := r.ask(ctx, c, limit)
		since := time.Since(c.seen)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			r.tell(c, told, since)
			if told.Container.PID != 0 || told.Ended {
				return
			}
		case since >= patience:
			r.giveUp(c, err)
			if errors.Is(err, ErrNotFound) && since >= untold {
				return
			}
		}
		r.mu.RLock()
		awake := r.awake
		r.mu.RUnlock()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-awake:
			timer.Stop()
			wait = firstWait
		case <-timer.C:
			if wait *= 2; since < patience {
				wait = min(wait, lastWait)
			} else {
				wait = min(wait, slowWait)
			}
		}
	}
}

// ask asks the runtime for a container, which may be a sandbox, and for its pod.
func (r *Resolver) ask(ctx context.Context, c *container, limit time.Duration) (*Description, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %d questions to it are open", ErrUnavailable, maxAsking)
	}
	id := c.place.ContainerID
	d, err := r.runtime.Container(ctx, id)
	if errors.Is(err, ErrNotFound) {
		if d, err = r.runtime.Sandbox(ctx, id); err == nil {
			r.keepSandbox(d)
		}
	}
	r.noted(err)
	if err != nil || d.Container.Sandbox || d.Sandbox == "" {
		return d, err
	}
	r.mu.RLock()
	sandbox := r.sandboxes[d.Sandbox]
	r.mu.RUnlock()
	if sandbox == nil {
		// Without it the container is known all the same.
		if sandbox, err = r.runtime.Sandbox(ctx, d.Sandbox); err != nil {
			r.log.Warn("the runtime does not describe the sandbox of a container", "container", id, "sandbox", d.Sandbox, "error", err)
			return d, nil
		}
		r.keepSandbox(sandbox)
	}
	d.Pod = sandbox.Pod
	d.Container.Resolvers = sandbox.Container.Resolvers
	return d, nil
}

// keepSandbox keeps the description of a sandbox for the containers of its pod, for
// as long as its own group is known.
func (r *Resolver) keepSandbox(d *Description) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[d.Sandbox] != nil {
		r.sandboxes[d.Sandbox] = d
	}
}

// noted counts an answer, and wakes those who wait for a runtime that was away.
func (r *Resolver) noted(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Asked++
	if errors.Is(err, ErrUnavailable) {
		r.stats.Unavailable++
		if !r.away {
			r.away = true
			r.log.Warn("the container runtime does not answer; containers are named by their control groups until it does", "error", err)
		}
		return
	}
	if r.away {
		r.away = false
		close(r.awake)
		r.awake = make(chan struct{})
		r.log.Info("the container runtime answers again")
	}
}

// tell takes over what the runtime said.
func (r *Resolver) tell(c *container, told *Description, since time.Duration) {
	container := told.Container
	if r.Namespaces != nil && container.PID != 0 && !told.Ended {
		ns, err := r.Namespaces(container.PID)
		if err != nil {
			r.log.Debug("the namespaces of a container are not known", "container", container.ID, "error", err)
		}
		container.NS = ns
	}
	r.mu.Lock()
	before := c.state
	c.told = told
	pod := told.Pod
	if c.place.PodUID != "" && pod.UID != c.place.PodUID {
		if pod.UID != "" && before.Identity != seawall.Resolved {
			r.stats.Mismatched++
			r.log.Warn("the runtime says that a container is of another pod than its control group is", "container", c.place.ContainerID, "runtime", pod.UID, "cgroup", c.place.PodUID)
		}
		pod.UID = c.place.PodUID
	}
	next := &State{Identity: seawall.Resolved, Container: &container, Took: since}
	if pod.UID != "" || pod.Name != "" {
		next.Pod = r.merge(&pod)
	}
	switch before.Identity {
	case seawall.Pending:
		r.stats.Pending--
		r.stats.Resolved++
	case seawall.Unidentified:
		r.stats.Resolved++
		r.stats.Late++
	default:
		next.Took = before.Took
	}
	news := before.Identity != seawall.Resolved || before.Container.PID != container.PID
	c.state = next
	change := Change{Cgroups: slices.Sorted(maps.Keys(c.groups)), State: next}
	r.mu.Unlock()
	if news && r.changed != nil {
		r.changed(change)
	}
}

// giveUp makes a container unidentified for which the runtime has no answer yet.
func (r *Resolver) giveUp(c *container, err error) {
	r.mu.Lock()
	before := c.state
	if before.Identity != seawall.Pending {
		r.mu.Unlock()
		return
	}
	next := *before
	next.Identity = seawall.Unidentified
	c.state = &next
	r.stats.Pending--
	r.stats.Unidentified++
	change := Change{Cgroups: slices.Sorted(maps.Keys(c.groups)), State: &next}
	r.mu.Unlock()
	level := slog.LevelWarn
	if errors.Is(err, ErrUnavailable) {
		level = slog.LevelDebug // said once, of all
	}
	r.log.Log(r.ctx, level, "the runtime does not describe a container", "container", c.place.ContainerID, "pod", c.place.PodUID, "error", err)
	if r.changed != nil {
		r.changed(change)
	}
}
