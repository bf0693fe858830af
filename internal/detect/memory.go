package detect

import (
	"cmp"
	"container/list"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
)

// Limits bound what an engine remembers. The zero value takes the defaults.
type Limits struct {
	// Entries are counters and begun sequences: of all containers together, of one
	// container, and of one check within one of what it counts by. Defaults 16384,
	// 1024, 128. Begun sequences that wait for the same file, process or other value
	// are alike: JoinedEntries of them are kept, by default 8.
	Entries, ContainerEntries, ScopeEntries, JoinedEntries int
	// Folds are the repeated alerts that are being counted: of all containers, and
	// of one check in one container. Defaults 8192, 32.
	Folds, ContainerFolds int
}

func (l Limits) orDefaults() Limits {
	for _, d := range []struct {
		limit    *int
		fallback int
	}{{&l.Entries, 16384}, {&l.ContainerEntries, 1024}, {&l.ScopeEntries, 128}, {&l.JoinedEntries, 8}, {&l.Folds, 8192}, {&l.ContainerFolds, 32}} {
		if *d.limit <= 0 {
			*d.limit = d.fallback
		}
	}
	return l
}

// scope names what counts and sequences belong to: a container, a pod or the node,
// and within it maybe a process.
type scope struct {
	id    string
	pid   uint32
	start uint64
}

// scopeOf returns the scope of an event. The node's own processes are those of one
// container that has no name.
func scopeOf(by check.By, ev *seawall.Event) scope {
	s := scope{id: owner(ev)}
	switch p := ev.Process; by {
	case check.ByProcess:
		if p != nil {
			s.pid, s.start = p.PID, p.Start
		}
	case check.ByTree:
		if p != nil {
			p = treeRoot(p, ev.Container != nil)
			s.pid, s.start = p.PID, p.Start
		}
	case check.ByContainer:
	case check.ByPod:
		if ev.Pod != nil {
			s.id = ev.Pod.UID
			if s.id == "" {
				s.id = ev.Pod.Namespace + "/" + ev.Pod.Name
			}
		}
	case check.ByNode:
		s.id = ""
	}
	return s
}

// owner names who pays for what is remembered: a container, or the node.
func owner(ev *seawall.Event) string {
	if ev.Container == nil {
		return ""
	}
	return ev.Container.ID
}

// maxDepth is how far up a tree of processes is followed.
const maxDepth = 64

// treeRoot returns the process that a session began with: what the container
// runtime started, or on the node the one whose parent is the first process.
func treeRoot(p *seawall.Process, contained bool) *seawall.Process {
	for range maxDepth {
		parent := p.Parent
		switch {
		case parent == nil, parent.PID <= 2: // init and kthreadd
			return p
		case contained && parent.Entry == "node":
			return p
		case (p.Entry == "init" || p.Entry == "exec") && parent.Entry != p.Entry: // forks of it are the same
			return p
		}
		p = parent
	}
	return p
}

// slot is where the entries of one rule, step, scope and joined value lie. The
// counter of a rule is at the step before the first.
type slot struct {
	rule *rule
	step int
	scope
	join joinValue
}

// counter is the step at which counters lie.
const counterStep = -1

// entry is a counter or a begun sequence.
type entry struct {
	slot
	share   *share
	place   *list.Element // in share.entries
	number  uint64        // of entries, in the order in which they were made
	expires uint64        // nanoseconds since boot
	trail   trail
	counter counter
}

// trail is a sequence as far as it has come: the event of each step, and when the
// last one happened.
type trail struct {
	events [check.MaxSteps]*seawall.Event
	at     uint64
}

// share is what is remembered of one container, the oldest first, so that what one
// container does pushes nothing of another's out.
type share struct {
	owner   string
	entries *list.List
}

func (s *share) oldest() *entry { return s.entries.Front().Value.(*entry) }

// memory is all that an engine remembers of events.
type memory struct {
	limits  Limits
	slots   map[slot][]*entry
	shares  map[string]*share
	total   int
	added   uint64
	evicted uint64
}

func newMemory(l Limits) *memory {
	return &memory{limits: l, slots: map[slot][]*entry{}, shares: map[string]*share{}}
}

// add makes an entry and pushes others out where there is no room.
func (m *memory) add(s slot, ownerID string, now, expires uint64) *entry {
	sh := m.shares[ownerID]
	if sh == nil {
		sh = &share{owner: ownerID, entries: list.New()}
		m.shares[ownerID] = sh
	}
	m.dropExpired(sh, now)
	if sh.entries.Len() >= m.limits.ContainerEntries {
		m.evict(sh.oldest(), now)
	}
	if len(m.slots[s]) >= m.limitOf(s) {
		m.evict(crowded(m.slots[s]), now)
	}
	if m.total >= m.limits.Entries {
		m.shrink(now)
	}
	// What was pushed out may have been the share's last.
	m.shares[ownerID] = sh
	m.added++
	e := &entry{slot: s, share: sh, number: m.added, expires: expires}
	e.place = sh.entries.PushBack(e)
	m.slots[s] = append(m.slots[s], e)
	m.total++
	if s.step == len(s.rule.steps)-1 {
		s.rule.trails++
	}
	return e
}

func (m *memory) limitOf(s slot) int {
	if s.step != counterStep && s.rule.steps[s.step].join != nil {
		return m.limits.JoinedEntries
	}
	return m.limits.ScopeEntries
}

// dropExpired takes away what is too old, as far as it lies at the front.
func (m *memory) dropExpired(sh *share, now uint64) {
	for front := sh.entries.Front(); front != nil; front = sh.entries.Front() {
		e := front.Value.(*entry)
		if e.expires >= now {
			return
		}
		m.remove(e)
	}
}

// crowded returns the oldest entry of the container that has most of them.
func crowded(entries []*entry) *entry {
	counts := map[*share]int{}
	most := entries[0].share
	for _, e := range entries {
		if counts[e.share]++; counts[e.share] > counts[most] {
			most = e.share
		}
	}
	return entries[slices.IndexFunc(entries, func(e *entry) bool { return e.share == most })]
}

// shrink makes room for a while, at the cost of the containers that have most: it
// takes entries down to the level at which enough are gone, and of containers that
// have equally many from those whose oldest entry is older.
func (m *memory) shrink(now uint64) {
	shares := slices.Collect(maps.Values(m.shares))
	slices.SortFunc(shares, func(a, b *share) int {
		return cmp.Or(cmp.Compare(b.entries.Len(), a.entries.Len()), cmp.Compare(a.oldest().number, b.oldest().number))
	})
	gone := m.limits.Entries/16 + 1
	level, above := shares[0].entries.Len(), 0
	for level > 0 && above < gone {
		level--
		i, _ := slices.BinarySearchFunc(shares, level, func(sh *share, level int) int { return cmp.Compare(level, sh.entries.Len()) })
		above += i // each share before has one entry more than the level
	}
	for _, sh := range shares {
		for gone > 0 && sh.entries.Len() > level {
			m.evict(sh.oldest(), now)
			gone--
		}
	}
}

func (m *memory) evict(e *entry, now uint64) {
	if e.expires >= now {
		m.evicted++
	}
	m.remove(e)
}

func (m *memory) remove(e *entry) {
	e.share.entries.Remove(e.place)
	if e.share.entries.Len() == 0 {
		delete(m.shares, e.share.owner)
	}
	rest := slices.DeleteFunc(m.slots[e.slot], func(o *entry) bool { return o == e })
	if len(rest) == 0 {
		delete(m.slots, e.slot)
	} else {
		m.slots[e.slot] = rest
	}
	m.total--
	if e.step == len(e.rule.steps)-1 {
		e.rule.trails--
	}
}

// renew makes an entry the newest of its container.
func (m *memory) renew(e *entry, expires uint64) {
	e.expires = max(e.expires, expires)
	e.share.entries.MoveToBack(e.place)
}

// counter counts matches, or different values, within a window.
type counter struct {
	times  []uint64          // of matches, nanoseconds since boot
	values map[string]uint64 // of values, when last seen
	recent []*seawall.Event
}

// maxRecent is how many events of a count an alert shows beside the last.
const maxRecent = 4

// maxDistinct is how much of a value is told apart, in bytes.
const maxDistinct = 256

// add counts n matches, or one value, and says whether the count is reached; it
// then begins anew.
func (c *counter) add(r *rule, ev *seawall.Event, at, n uint64, v string) bool {
	full := false
	if r.distinct == nil {
		for range min(n, uint64(r.Count)) { //nolint:gosec // the parser refuses negative ones
			c.times = append(c.times, at)
		}
		if len(c.times) >= r.Count {
			c.times = slices.DeleteFunc(c.times, func(t uint64) bool { return past(t, at, r.within) })
			full = len(c.times) >= r.Count
		}
	} else {
		if c.values == nil {
			c.values = map[string]uint64{}
		}
		v = clip(v, maxDistinct)
		if _, known := c.values[v]; !known {
			v = strings.Clone(v) // what it is part of may be long
		}
		c.values[v] = at
		if len(c.values) >= r.Count {
			for v, t := range c.values {
				if past(t, at, r.within) {
					delete(c.values, v)
				}
			}
			full = len(c.values) >= r.Count
		}
	}
	if full {
		c.times, c.values = nil, nil
		return true
	}
	if len(c.recent) == maxRecent {
		copy(c.recent, c.recent[1:])
		c.recent = c.recent[:maxRecent-1]
	}
	c.recent = append(c.recent, ev)
	return false
}

// past says whether a time lies further back than a window reaches.
func past(t, now, window uint64) bool { return t < now && now-t > window }
