// Package profile remembers what workloads were seen to do, and says of each event
// whether it is something new: the programs that a container runs, the files it
// reads and writes, whom it talks to, where it listens, the names it asks for, the
// system calls and the capabilities it uses.
//
// A profile belongs to a container of a workload and to one image digest, over all
// replicas and restarts. It learns until nothing new has come for a while, not for
// a fixed time: see [Options]. A new digest starts from what the old one did, and
// learns anew what is different.
//
// The package does no I/O and has no clock: time is what events say.
package profile

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"seawall.io/seawall"
)

// Key names a profile.
type Key struct {
	Namespace string           `json:"namespace"`
	Workload  seawall.Workload `json:"workload"`
	Container string           `json:"container"`
	Digest    string           `json:"digest"`
}

// Compare orders keys.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Workload.Kind, o.Workload.Kind), cmp.Compare(k.Workload.Name, o.Workload.Name),
		cmp.Compare(k.Container, o.Container), cmp.Compare(k.Digest, o.Digest))
}

// Class is a kind of behaviour.
type Class string

// The classes.
const (
	Programs     Class = "programs" // executable <- that of the parent
	Reads        Class = "reads"
	Writes       Class = "writes"
	Peers        Class = "peers" // protocol, name or address, port
	Listeners    Class = "listeners"
	Names        Class = "names" // asked of DNS
	Syscalls     Class = "syscalls"
	Capabilities Class = "capabilities"
)

// limits are how many items of a class a profile holds. What does not fit makes the
// class unlimited: nothing of it is news any more, and the profile says so.
var limits = map[Class]int{
	Programs: 512, Reads: 2000, Writes: 2000, Peers: 512, Listeners: 128, Names: 512, Syscalls: 512, Capabilities: 64,
}

// Classes returns all classes in the order of their names.
func Classes() []Class { return slices.Sorted(maps.Keys(limits)) }

// Item is something that was seen.
type Item struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count uint64    `json:"count"`
	// Startup items were seen in the first minute of a container only.
	Startup bool `json:"startup,omitempty"`
	// Inherited items come from the image's predecessor and were not seen with this
	// digest.
	Inherited bool `json:"inherited,omitempty"`
}

// Profile is what one container of a workload was seen to do with one image.
type Profile struct {
	Key   Key       `json:"key"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Containers counts the instances that were seen; Partial those that ran before
	// the agent did, of which the beginning is not known.
	Containers int `json:"containers"`
	Partial    int `json:"partial,omitempty"`
	// News is when something new was seen last, while it learnt; LongestGap the
	// longest time between two news.
	News       time.Time       `json:"news"`
	LongestGap time.Duration   `json:"longestGap"`
	Ready      bool            `json:"ready"`
	ReadyAt    time.Time       `json:"readyAt,omitzero"`
	Events     uint64          `json:"events"`
	Unlimited  map[Class]bool  `json:"unlimited,omitempty"`
	Items      map[Class]Items `json:"items"`

	seen map[string]bool // containers, by ID
}

// Items are the items of a class by their names.
type Items map[string]*Item

// Options say when a profile is ready. The zero value takes the defaults.
type Options struct {
	// Quiet is how long nothing new must have come, 10 minutes by default, or three
	// times the longest gap between news if that is longer.
	Quiet time.Duration
	// Containers is how many instances must have been seen from their start; 0 is 1.
	Containers int
	// Max is how many profiles are kept, 4,096 by default; the one that was not used
	// for longest goes first.
	Max int
}

// Book holds profiles. It is safe for many goroutines.
type Book struct {
	o  Options
	mu sync.Mutex

	profiles map[Key]*Profile
	dropped  uint64
}

// NewBook returns an empty book.
func NewBook(o Options) *Book {
	o.Quiet = cmp.Or(o.Quiet, 10*time.Minute)
	o.Containers = cmp.Or(o.Containers, 1)
	o.Max = cmp.Or(o.Max, 4096)
	return &Book{o: o, profiles: map[Key]*Profile{}}
}

// startup is how long a container counts as starting.
const startup = time.Minute

// Observe learns from an event of an identified container, or holds it against
// what was learnt, and returns how it stands; nil where the event has no container
// or says nothing of behaviour. What comes after a profile is ready does not
// become part of it: that takes [Book.Accept].
func (b *Book) Observe(ev *seawall.Event) *seawall.ProfileMatch {
	if ev.Container == nil || ev.Pod == nil || ev.Container.Sandbox || ev.Pod.Workload.Kind == "" || ev.Container.Digest == "" {
		return nil
	}
	class, names := behaviour(ev)
	if class == "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.profile(Key{ev.Pod.Namespace, ev.Pod.Workload, ev.Container.Name, ev.Container.Digest}, ev)
	p.Events++
	p.Last = later(p.Last, ev.Time)
	if !p.Ready && b.ripe(p, ev.Time) {
		p.Ready, p.ReadyAt = true, ev.Time
	}
	known := true
	for _, name := range names {
		known = p.see(class, name, ev, !p.Ready) && known
	}
	return &seawall.ProfileMatch{Ready: p.Ready, Known: known}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// profile finds or begins the profile of a key, and notes the container.
func (b *Book) profile(k Key, ev *seawall.Event) *Profile {
	p := b.profiles[k]
	if p == nil {
		if len(b.profiles) >= b.o.Max {
			b.drop()
		}
		p = &Profile{Key: k, First: ev.Time, News: ev.Time, Items: map[Class]Items{}, Unlimited: map[Class]bool{}, seen: map[string]bool{}}
		b.inherit(p)
		b.profiles[k] = p
	}
	if id := ev.Container.ID; !p.seen[id] && len(p.seen) < 4096 {
		if p.seen == nil {
			p.seen = map[string]bool{}
		}
		p.seen[id] = true
		if ev.Time.Sub(ev.Container.Started) > startup && !ev.Container.Started.IsZero() {
			p.Partial++
		} else {
			p.Containers++
		}
	}
	return p
}

// inherit takes over what the workload's latest other image was seen to do: as
// expected, until it is seen or the profile is ready.
func (b *Book) inherit(p *Profile) {
	var old *Profile
	for k, q := range b.profiles {
		k.Digest = p.Key.Digest
		if k == p.Key && (old == nil || q.Last.After(old.Last) || q.Last.Equal(old.Last) && q.Key.Digest > old.Key.Digest) {
			old = q
		}
	}
	if old == nil {
		return
	}
	for class, items := range old.Items {
		p.Items[class] = make(Items, len(items))
		for name, it := range items {
			p.Items[class][name] = &Item{First: it.First, Last: it.Last, Startup: it.Startup, Inherited: true}
		}
	}
	p.LongestGap = old.LongestGap
}

func (b *Book) drop() {
	var oldest *Profile
	for _, p := range b.profiles {
		if oldest == nil || p.Last.Before(oldest.Last) || p.Last.Equal(oldest.Last) && p.Key.Compare(oldest.Key) < 0 {
			oldest = p
		}
	}
	delete(b.profiles, oldest.Key)
	b.dropped++
}

// ripe says whether a profile has seen enough.
func (b *Book) ripe(p *Profile, now time.Time) bool {
	return p.Containers >= b.o.Containers && now.Sub(p.News) >= max(b.o.Quiet, 3*p.LongestGap)
}

// see notes an item, and says whether the profile had it.
func (p *Profile) see(class Class, name string, ev *seawall.Event, learn bool) bool {
	if p.Unlimited[class] {
		return true
	}
	items := p.Items[class]
	name = collapse(class, name, items, learn)
	if it := items[name]; it != nil {
		fresh := it.Inherited
		it.Count += max(ev.Count, 1)
		it.Last = later(it.Last, ev.Time)
		it.Inherited = false
		it.Startup = it.Startup && starting(ev)
		if fresh && learn {
			p.news(ev.Time)
		}
		return true
	}
	if !learn {
		return false
	}
	if len(items) >= limits[class] {
		p.Unlimited[class] = true
		return true
	}
	if items == nil {
		items = Items{}
		p.Items[class] = items
	}
	items[name] = &Item{First: ev.Time, Last: ev.Time, Count: max(ev.Count, 1), Startup: starting(ev)}
	p.news(ev.Time)
	return false
}

func (p *Profile) news(t time.Time) {
	// The start of a container is all news, and says nothing of the gaps to come.
	if gap := t.Sub(p.News); gap > p.LongestGap && t.Sub(p.First) > startup {
		p.LongestGap = gap
	}
	p.News = later(p.News, t)
}

func starting(ev *seawall.Event) bool {
	return !ev.Container.Started.IsZero() && ev.Time.Sub(ev.Container.Started) <= startup
}

// Accept makes items part of a profile, as somebody decided after an alert. It says
// whether there is such a profile.
func (b *Book) Accept(k Key, class Class, names []string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.profiles[k]
	if p == nil || limits[class] == 0 {
		return false
	}
	if p.Items[class] == nil {
		p.Items[class] = Items{}
	}
	for _, name := range names {
		if p.Items[class][name] == nil {
			p.Items[class][name] = &Item{First: now, Last: now}
		}
	}
	return true
}

// Profiles returns copies of all profiles, in the order of their keys.
func (b *Book) Profiles() []*Profile {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*Profile, 0, len(b.profiles))
	for _, p := range b.profiles {
		out = append(out, p.clone())
	}
	slices.SortFunc(out, func(a, b *Profile) int { return a.Key.Compare(b.Key) })
	return out
}

func (p *Profile) clone() *Profile {
	c := *p
	c.seen = nil
	c.Unlimited = maps.Clone(p.Unlimited)
	c.Items = make(map[Class]Items, len(p.Items))
	for class, items := range p.Items {
		c.Items[class] = make(Items, len(items))
		for name, it := range items {
			item := *it
			c.Items[class][name] = &item
		}
	}
	return &c
}

// Load puts profiles that were kept back into the book. Those that are there
// already stay.
func (b *Book) Load(profiles []*Profile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range profiles {
		if b.profiles[p.Key] != nil || len(b.profiles) >= b.o.Max {
			continue
		}
		c := p.clone()
		c.seen = map[string]bool{}
		if c.Unlimited == nil {
			c.Unlimited = map[Class]bool{}
		}
		b.profiles[c.Key] = c
	}
}

// Ready says whether the profile of a container has seen enough.
func (b *Book) Ready(pod *seawall.Pod, c *seawall.Container) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.profiles[Key{pod.Namespace, pod.Workload, c.Name, c.Digest}]
	return p != nil && p.Ready
}

// Dropped counts profiles that had to go for want of room.
func (b *Book) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
