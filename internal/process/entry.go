package process

import (
	"cmp"
	"slices"

	"seawall.io/seawall"
)

// entry is one process of the table, from what was first seen of it until its
// grace is over.
type entry struct {
	pid   uint32
	start uint64
	// cur is the process as it is, old as it was before its last exec, which was at
	// since: records from before it may come later. Before is when old began.
	cur, old      *image
	since, before uint64
	seen          uint64 // the Boot of the newest header

	linked bool // the parent was named
	listed bool // the program is as lists have it
	root   bool // the runtime put it into its container
	open   bool // whether it did is not known yet
	blank  bool // an event had it without its program
	exited bool
	ended  uint64

	older  *entry // that had the PID before
	parent *entry
	// Children, how many of them run, and the newest start among them.
	children, next, prev *entry
	running              int
	youngest             uint64

	group  *group
	where  *list // live, exited or held of the group
	inList link
	expiry link
	dying  bool // in the table's list of those that expire
	settle link // in the table's list where there is an old image
}

// group is what shares a limit: a container, or a cgroup elsewhere.
type group struct {
	id      uint64
	n, text int
	entered bool // its first program was seen
	// Entries: live in the order they came; exited in the order they ended; held
	// have exited too, but have running children.
	live, exited, held list
}

// same says whether a start is that of the entry. Lists know ticks only.
func (e *entry) same(start uint64) bool {
	if start == e.start || start == 0 {
		return true
	}
	const tick = uint64(Tick)
	return e.start%tick == 0 && start-start%tick == e.start || start%tick == 0 && e.start-e.start%tick == start
}

// tick is the start as lists have it. It never changes.
func (e *entry) tick() uint64 { return e.start / uint64(Tick) }

// madeBy says whether a stub names the parent that the entry has.
func (e *entry) madeBy(stub *seawall.Process) bool {
	return e.parent != nil && e.parent.pid == stub.PID && e.parent.same(stub.Start)
}

// startsAt replaces the start that a list gave, in ticks, by the kernel's.
func (t *Table) startsAt(e *entry, start uint64) {
	if e.start%uint64(Tick) != 0 || start <= e.start {
		return
	}
	e.start = start
	next := *e.cur
	next.Start = start
	t.replace(e, next)
	t.relinkChildren(e)
}

func (t *Table) find(pid uint32, start uint64) *entry {
	for e := t.byPID[pid]; e != nil; e = e.older {
		if e.same(start) {
			return e
		}
	}
	return nil
}

// insert makes an entry of a record.
func (t *Table) insert(bare *seawall.Process, announced bool) *entry {
	e := &entry{pid: bare.PID, start: bare.Start}
	if !announced {
		t.stats.Unannounced++
	}
	newer := t.byPID[e.pid]
	switch {
	case newer == nil || newer.start <= e.start:
		e.older, t.byPID[e.pid] = newer, e
	default:
		for newer.older != nil && newer.older.start > e.start {
			newer = newer.older
		}
		e.older, newer.older = newer.older, e
	}
	t.entries++

	t.setParent(e, bare.Parent)
	version := t.version(e)
	i := image{Process: seawall.Process{PID: e.pid, Start: e.start, NSPID: bare.NSPID, Entry: bare.Entry}}
	if bare.Cgroup != 0 {
		setHeader(&i.Process, bare)
	}
	if version != nil {
		inherit(&i, version)
	}
	e.cur = t.newImage(i, version)
	t.join(e, e.cur.Cgroup)

	if e.older != nil && !e.older.exited {
		t.stats.LostExits++
		t.exit(e.older, e.start)
	}
	if t.byPID[e.pid] != e {
		t.exit(e, t.now)
	}
	return e
}

// adopt links an entry to a parent that was not known of, or is another.
func (t *Table) adopt(e *entry, bare *seawall.Process) {
	t.setParent(e, bare.Parent)
	t.relink(e)
}

// setParent links an entry to its parent, which is made where nothing was seen of
// it yet. Parents are no younger than their children; records that say otherwise,
// or that make a circle, are not believed.
func (t *Table) setParent(e *entry, stub *seawall.Process) {
	if stub == nil || stub.PID == 0 || stub.PID == e.pid && e.same(stub.Start) || stub.Start/uint64(Tick) > e.tick() {
		return
	}
	p := t.find(stub.PID, stub.Start)
	if p == nil {
		if stub.Start == 0 {
			return
		}
		p = t.insert(stub, true)
	} else {
		t.startsAt(p, stub.Start)
	}
	if p.tick() > e.tick() {
		return
	}
	for a := p; a != nil && a.tick() == e.tick(); a = a.parent {
		if a == e {
			return
		}
	}
	t.leaveParent(e)
	e.linked, e.parent = true, p
	e.next = p.children
	if e.next != nil {
		e.next.prev = e
	}
	p.children = e
	p.youngest = max(p.youngest, e.start)
	if !e.exited {
		p.running++
	}
	t.file(p)
}

func (t *Table) leaveParent(e *entry) {
	p := e.parent
	if p == nil {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		p.children = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	e.parent, e.next, e.prev = nil, nil, nil
	if !e.exited {
		p.running--
	}
	t.file(p)
}

// version returns the parent of an entry as it was when it made the entry; as it is,
// where what it was is settled and forgotten.
func (t *Table) version(e *entry) *image {
	p := e.parent
	if p == nil {
		return nil
	}
	v := &p.cur
	if e.start < p.since {
		switch {
		case e.cur != nil && e.cur.parent != nil && (p.old == nil || e.start < p.before):
			return e.cur.parent // chosen when it was still known
		case p.old != nil:
			v = &p.old
		}
	}
	if (*v).depth >= maxDepth {
		short := t.cut(*v, keepDepth)
		t.release(*v)
		*v = short
	}
	return *v
}

// relink gives an entry and those that come from it what is known of its parent by
// now.
func (t *Table) relink(e *entry) {
	v := t.version(e)
	if v == nil {
		return
	}
	if e.old != nil {
		old := e.old
		e.old = t.rebuilt(old, v)
		t.release(old)
	}
	cur := e.cur
	next := *cur
	if e.open {
		t.enter(e, &next.Process)
	}
	e.cur = t.rebuilt(&next, v)
	t.release(cur)
	t.join(e, e.cur.Cgroup)
	t.filled(e)
	t.relinkChildren(e)
}

func (t *Table) relinkChildren(e *entry) {
	for c := e.children; c != nil; c = c.next {
		t.relink(c)
	}
}

func (t *Table) filled(e *entry) {
	if e.blank && e.cur.known {
		e.blank = false
		t.stats.Filled++
	}
}

// header takes over what a record says of the moment, unless a later one did.
func (t *Table) header(e *entry, bare *seawall.Process, boot uint64) {
	if bare.Cgroup == 0 || boot != 0 && boot < e.seen {
		return
	}
	e.seen = boot
	if sameHeader(e.cur, bare) {
		return
	}
	next := *e.cur
	setHeader(&next.Process, bare)
	t.replace(e, next)
}

// replace makes an image the current one of an entry in place of the last.
func (t *Table) replace(e *entry, next image) {
	cur := e.cur
	e.cur = t.newImage(next, cur.parent)
	t.release(cur)
	t.join(e, e.cur.Cgroup)
}

// exec makes an entry run another program.
func (t *Table) exec(e *entry, bare *seawall.Process, boot uint64) {
	i := image{Process: *bare, own: true, known: true}
	if bare.Cgroup == 0 {
		i.Cgroup = 0
		setHeader(&i.Process, &e.cur.Process)
	}
	if i.NS == nil {
		i.NS = e.cur.NS
	}
	if i.NSPID == 0 {
		i.NSPID = e.cur.NSPID
	}
	i.Start = e.start
	if boot != 0 && boot < e.seen && e.cur.Cgroup != 0 {
		setHeader(&i.Process, &e.cur.Process) // which is of later
	}
	if boot != 0 && boot < e.since { // the program before the one that is known of
		if e.old == nil || !e.old.own {
			i.text = t.keep(e, &i.Process)
			t.forgetOld(e)
			e.old = t.newImage(i, e.cur.parent)
			t.settle.append(e, settleLink)
			t.relinkChildren(e)
		}
		return
	}
	t.join(e, i.Cgroup)
	t.enter(e, &i.Process)
	i.text = t.keep(e, &i.Process)
	e.listed = false
	t.forgetOld(e)
	e.old, e.before, e.since, e.seen = e.cur, e.since, boot, max(e.seen, boot)
	t.settle.append(e, settleLink)
	e.cur = t.newImage(i, e.old.parent)
	t.filled(e)
	if boot != 0 && e.youngest >= boot { // children whose records came first
		t.relinkChildren(e)
	}
}

// program takes over what a list says of an entry.
func (t *Table) program(e *entry, p *seawall.Process) {
	next := *e.cur
	if !e.listed {
		next.Exe, next.Args, next.ArgsBytes, next.Cwd = "", nil, 0, ""
		next.TTY, next.Program, next.Stdio, next.Entry = false, seawall.FileTraits{}, [3]seawall.Stdio{}, ""
	}
	if len(next.Args) == 0 {
		next.Args, next.ArgsBytes = p.Args, p.ArgsBytes
	}
	if next.Program.Inode == 0 {
		next.Program = p.Program
	}
	if next.Stdio == ([3]seawall.Stdio{}) {
		next.Stdio = p.Stdio
	}
	next.Exe, next.Cwd, next.Entry, next.TTY = cmp.Or(next.Exe, p.Exe), cmp.Or(next.Cwd, p.Cwd), cmp.Or(next.Entry, p.Entry), next.TTY || p.TTY
	if next.Cgroup == 0 {
		setHeader(&next.Process, p)
	} else if next.NS == nil {
		next.NS = p.NS
	}
	e.listed = true
	t.join(e, next.Cgroup)
	t.enter(e, &next.Process)
	next.text = t.keep(e, &next.Process)
	next.own, next.known = true, true
	t.replace(e, next)
	t.filled(e)
}

// enter says what a program is to its container: the first one, one that was put
// into it later, or none of both, since one of these made it. The runtime's own
// program, which may run in the group of the container but sees the files of the
// node, is none of them either. As long as the processes that made it are not known
// that stays open.
func (t *Table) enter(e *entry, p *seawall.Process) {
	e.open = false
	if p.Entry == "" && t.options.Container != nil {
		if c, ok := t.options.Container(p.Cgroup); ok {
			p.Entry, e.open = t.entryInto(c, e, p)
		} else {
			p.Entry = "node"
		}
	}
	e.root = p.Entry == "init" || p.Entry == "exec"
}

func (t *Table) entryInto(c uint64, e *entry, p *seawall.Process) (entry string, open bool) {
	if e.root {
		return e.cur.Entry, false
	}
	for v := t.version(e); v != nil; v = v.parent {
		switch above, ok := t.options.Container(v.Cgroup); {
		case ok && above == c:
			if v.Entry == "init" || v.Entry == "exec" {
				return "", false
			}
		case !v.known:
			return "", true
		case v.own: // the runtime; what it forks may be in the container's namespaces already
			if p.NS != nil && v.NS != nil && p.NS.Mnt == v.NS.Mnt {
				return "", false
			}
			return t.entered(e, p), false
		}
	}
	// Nothing is known of whoever made it.
	if p.NSPID == 1 {
		return t.entered(e, p), false
	}
	return "", true
}

func (t *Table) entered(e *entry, p *seawall.Process) string {
	if e.group.entered && p.NSPID != 1 {
		return "exec"
	}
	e.group.entered = true
	return "init"
}

// present returns the process for an event: the table's own value wherever that
// says what the record says.
func (t *Table) present(e *entry, bare *seawall.Process, boot uint64) *seawall.Process {
	v := e.cur
	if e.old != nil && boot != 0 && boot < e.since {
		v = e.old
	}
	if !v.known {
		e.blank = true
	}
	thread := bare.TID != 0 && bare.TID != bare.PID
	differs := bare.Cgroup != 0 && !sameHeader(v, bare)
	if !thread && !differs {
		return &v.Process
	}
	record := *bare
	*bare = v.Process
	if differs {
		setHeader(bare, &record)
	}
	if thread {
		bare.TID = record.TID
	}
	return bare
}

// exit marks the end of a process.
func (t *Table) exit(e *entry, boot uint64) {
	if e.exited {
		return
	}
	e.exited, e.ended = true, max(boot, e.seen)
	t.file(e)
	if e.parent != nil {
		e.parent.running--
		t.file(e.parent)
	}
}

// file puts an entry into the lists where it belongs.
func (t *Table) file(e *entry) {
	to := &e.group.live
	switch {
	case e.exited && e.running > 0:
		to = &e.group.held
	case e.exited:
		to = &e.group.exited
	}
	if to != e.where {
		if e.where != nil {
			e.where.remove(e, groupLink)
		}
		to.append(e, groupLink)
		e.where = to
	}
	if dying := e.exited && e.running == 0; dying != e.dying {
		if e.dying = dying; dying {
			t.expiry.append(e, expiryLink)
		} else {
			t.expiry.remove(e, expiryLink)
		}
	}
}

// forgetOld gives up what an entry was before its last exec.
func (t *Table) forgetOld(e *entry) {
	if e.old != nil {
		t.settle.remove(e, settleLink)
		t.release(e.old)
		e.old = nil
	}
}

// expire removes what exited long enough ago, and what others were before.
func (t *Table) expire() {
	for e := t.settle.first; e != nil && e.since+uint64(settled) < t.now; e = t.settle.first {
		t.forgetOld(e)
	}
	for e := t.expiry.first; e != nil && e.ended+uint64(t.options.Grace) < t.now; e = t.expiry.first { //nolint:gosec // not negative
		t.remove(e)
	}
}

// remove takes an entry out of the table. Its children keep what they know of it.
func (t *Table) remove(e *entry) {
	if first := t.byPID[e.pid]; first == e {
		if e.older == nil {
			delete(t.byPID, e.pid)
		} else {
			t.byPID[e.pid] = e.older
		}
	} else {
		for first.older != e {
			first = first.older
		}
		first.older = e.older
	}
	for c := e.children; c != nil; {
		next := c.next
		c.parent, c.next, c.prev = nil, nil, nil
		c = next
	}
	e.children, e.running = nil, 0
	if e.dying {
		t.expiry.remove(e, expiryLink)
	}
	e.where.remove(e, groupLink)
	e.group.n--
	t.entries--
	t.forgetOld(e)
	t.release(e.cur)
	t.drop(e.group)
	t.leaveParent(e)
}

// join puts an entry into the group of a cgroup.
func (t *Table) join(e *entry, cgroup uint64) {
	id := cgroup
	if t.options.Container != nil {
		if c, ok := t.options.Container(cgroup); ok {
			id = c
		}
	}
	from := e.group
	if from != nil && from.id == id {
		return
	}
	to := t.groups[id]
	if to == nil {
		to = &group{id: id}
		t.groups[id] = to
		t.order = slices.Insert(t.order, t.rank(id), to)
	}
	if from != nil {
		e.where.remove(e, groupLink)
		e.where = nil
		from.n--
	}
	e.group = to
	to.n++
	t.file(e)
	if from != nil {
		t.drop(from)
	}
}

func (t *Table) rank(id uint64) int {
	i, _ := slices.BinarySearchFunc(t.order, id, func(g *group, id uint64) int {
		switch {
		case g.id < id:
			return -1
		case g.id > id:
			return 1
		}
		return 0
	})
	return i
}

// drop forgets a group that has nothing any more.
func (t *Table) drop(g *group) {
	if g.n > 0 || g.text > 0 || t.groups[g.id] != g {
		return
	}
	delete(t.groups, g.id)
	i := t.rank(g.id)
	t.order = slices.Delete(t.order, i, i+1)
}

// shrink holds the table to its limits, and the group that grew to its own. Whoever
// has most gives: first what has exited, oldest first; then the running process
// that came last.
func (t *Table) shrink(grown *group) {
	for grown.text > t.share() && grown.n > 0 {
		t.evict(grown)
	}
	for t.entries > t.options.Processes || t.images > 2*t.options.Processes {
		most := t.most(func(g *group) int { return g.n })
		if most == nil {
			return
		}
		t.evict(most)
	}
	for t.text > t.options.Text {
		most := t.most(func(g *group) int { return g.text })
		if most == nil {
			return
		}
		t.evict(most)
	}
}

func (t *Table) most(weight func(*group) int) *group {
	var most *group
	for _, g := range t.order {
		if g.n > 0 && (most == nil || weight(g) > weight(most)) {
			most = g
		}
	}
	return most
}

func (t *Table) evict(from *group) {
	victim := from.exited.first
	if victim == nil {
		victim = from.held.first
	}
	if victim != nil {
		t.stats.Evicted++
	} else {
		victim = from.live.last
		t.stats.Refused++
	}
	t.remove(victim)
}
