// Package process knows the processes of a node: for each event it gives the whole
// process that acted, with the program it runs, what it was started with and the
// processes that it comes from, where the kernel's record holds little more than
// its PID.
//
// A process is named by its PID and the time of its start. Records may arrive in
// any order, as they come through several rings: an exec before the fork that made
// the process, a child before its parent. What is missing is left empty, kept as
// such and filled in once it comes; nothing is guessed.
//
// The table does no I/O, has no clock (time is what events say) and is not safe
// for use by several goroutines at once. The processes that it gives out are never
// changed: a process that executes another program becomes a new value.
package process

import (
	"cmp"
	"slices"
	"time"

	"seawall.io/seawall"
)

// Limits of a table whose options say nothing else.
const (
	DefaultProcesses = 32768
	DefaultText      = 4 << 20
	DefaultGrace     = 60 * time.Second
)

// Tick is the unit in which /proc states the start of a process: a process that
// was listed from there starts up to one tick later than is said. It is the same
// for all architectures that Seawall runs on (USER_HZ is 100).
const Tick = 10 * time.Millisecond

// settled is how long what a process was before its last exec is kept for records
// that come late.
const settled = 5 * time.Second

// Options of a table. The zero value is good.
type Options struct {
	// Processes is how many are kept at most, exited ones included.
	Processes int
	// Text is how many bytes of arguments, paths and working directories are kept.
	// One container is given a quarter of them.
	Text int
	// Grace is how long an exited process is kept for records that come late.
	Grace time.Duration
	// Container returns the cgroup of the container that a cgroup is or lies in, and
	// whether there is one. Limits are shared out by container, so that one cannot
	// push the processes of others out of the table. Where it is nil each cgroup
	// counts for itself and Process.Entry stays as the records have it.
	Container func(cgroup uint64) (uint64, bool)
}

// Stats counts what a table holds and what befell it.
type Stats struct {
	Live   int `json:"live"`
	Exited int `json:"exited"`
	// Images is how many values of processes are kept, those of ancestors and of
	// programs that were replaced by another included.
	Images int `json:"images"`
	Text   int `json:"text"` // bytes
	// Evicted exited processes had to go before their time; Refused are running ones
	// for which their container had no room left.
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"`
	// Unannounced processes were first seen by something else than their fork.
	Unannounced uint64 `json:"unannounced"`
	// Filled counts processes that became known after something of theirs was seen.
	Filled uint64 `json:"filled"`
	// LostExits are processes whose end was noticed only because their PID was used
	// again or a list had them no more.
	LostExits uint64 `json:"lostExits"`
	// Cut counts processes of which not all arguments could be kept.
	Cut uint64 `json:"cut"`
}

// Table holds the processes of a node. Use New.
type Table struct {
	options Options
	byPID   map[uint32]*entry
	groups  map[uint64]*group
	order   []*group // those of groups, by id: the same input evicts the same
	expiry  list     // exited entries without running children, oldest first
	settle  list     // entries with an old image, by the time of their last exec
	now     uint64   // newest Boot of all events
	entries int
	images  int
	text    int
	stats   Stats
}

// New returns an empty table.
func New(o Options) *Table {
	o.Processes = cmp.Or(max(o.Processes, 0), DefaultProcesses)
	o.Text = cmp.Or(max(o.Text, 0), DefaultText)
	o.Grace = cmp.Or(max(o.Grace, 0), DefaultGrace)
	return &Table{options: o, byPID: map[uint32]*entry{}, groups: map[uint64]*group{}}
}

// Observe takes over what an event says of its process and puts the whole process
// into the event. ev.Process must have PID and Start; where Cgroup is set the
// credentials, name and namespaces are taken as of the event, otherwise they are
// not looked at. Parent, where set, needs no more than PID and Start. Of a fork,
// Process is the child.
//
// The process that was passed belongs to the event from then on: where it says
// more than the table's (the thread that acted, or credentials of an earlier
// moment) it is completed in place instead of being replaced.
func (t *Table) Observe(ev *seawall.Event) {
	t.now = max(t.now, ev.Boot)
	t.expire()
	if ev.Call != nil && ev.Call.Target != nil {
		if whole := t.Get(ev.Call.Target.PID, ev.Call.Target.Start); whole != nil {
			ev.Call.Target = whole
		}
	}
	bare := ev.Process
	if bare == nil || bare.PID == 0 {
		return
	}
	e := t.find(bare.PID, bare.Start)
	if e == nil {
		e = t.insert(bare, ev.Kind == seawall.EventFork)
	} else {
		t.startsAt(e, bare.Start)
	}
	if bare.Parent != nil && (!e.linked || ev.Kind == seawall.EventFork && !e.madeBy(bare.Parent)) {
		t.adopt(e, bare)
	}

	switch ev.Kind {
	case seawall.EventExec:
		t.exec(e, bare, ev.Boot)
	case seawall.EventCreds:
		if c := ev.Creds; c != nil {
			bare.UID, bare.EUID, bare.Caps = c.NewUID, c.NewEUID, c.NewCaps
		}
		t.header(e, bare, ev.Boot)
	default:
		t.header(e, bare, ev.Boot)
	}
	ev.Process = t.present(e, bare, ev.Boot)
	if ev.Kind == seawall.EventExit {
		t.exit(e, ev.Boot)
	}
	t.shrink(e.group)
}

// Add takes over a process from a list. What events said of it stays; of several
// lists the later ones complete what the earlier ones left empty.
func (t *Table) Add(p *seawall.Process) {
	if p == nil || p.PID == 0 {
		return
	}
	e := t.find(p.PID, p.Start)
	if e == nil {
		e = t.insert(p, true)
	}
	if !e.linked && p.Parent != nil {
		t.adopt(e, p)
	}
	if !e.cur.own || e.listed {
		t.program(e, p)
		t.relinkChildren(e)
	}
	t.shrink(e.group)
}

// Sync makes the table agree with a list of all processes that was begun at a
// time, in nanoseconds since boot: those of the list are added, and those that are
// no longer in it have exited. Events that came before the list was read should be
// observed first: exits among them count as lost otherwise.
func (t *Table) Sync(at uint64, list []*seawall.Process) {
	t.now = max(t.now, at)
	listed := make(map[uint32]uint64, len(list))
	for _, p := range list {
		listed[p.PID] = p.Start
		t.Add(p)
	}
	for _, e := range t.all() {
		start, ok := listed[e.pid]
		if e.exited || e.start >= at || ok && e.same(start) {
			continue
		}
		t.stats.LostExits++
		t.exit(e, t.now)
	}
}

// Get returns a process, nil where it is not known. Start 0 is the process that
// had the PID last.
func (t *Table) Get(pid uint32, start uint64) *seawall.Process {
	if e := t.find(pid, start); e != nil {
		return &e.cur.Process
	}
	return nil
}

// Live returns the processes that have not exited, by PID.
func (t *Table) Live() []*seawall.Process {
	out := make([]*seawall.Process, 0, len(t.byPID))
	for _, e := range t.all() {
		if !e.exited {
			out = append(out, &e.cur.Process)
		}
	}
	return out
}

// Missing returns up to n running processes of which something was seen, but not
// the program they run: who has /proc can Add them.
func (t *Table) Missing(n int) []*seawall.Process {
	var out []*seawall.Process
	for _, e := range t.all() {
		if len(out) == n {
			break
		}
		if !e.exited && !e.cur.known {
			out = append(out, &e.cur.Process)
		}
	}
	return out
}

// Stats returns the counts as of now.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Live, s.Exited, s.Images, s.Text = 0, 0, t.images, t.text
	for _, g := range t.order {
		s.Live += g.live.n
		s.Exited += g.exited.n + g.held.n
	}
	return s
}

// all returns every entry, by PID and start.
func (t *Table) all() []*entry {
	out := make([]*entry, 0, t.entries)
	for _, e := range t.byPID {
		for ; e != nil; e = e.older {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.pid, b.pid), cmp.Compare(a.start, b.start))
	})
	return out
}
