package process

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
)

// Records as the kernel's programs make them.

const (
	host = 1 // cgroups
	web  = 100
	bomb = 200
)

func bare(pid uint32, start, cgroup uint64) *seawall.Process {
	return &seawall.Process{PID: pid, Start: start, Cgroup: cgroup, Comm: "task", UID: 1000, EUID: 1000}
}

func fork(boot uint64, parent, child *seawall.Process) *seawall.Event {
	p := *child
	p.Start = boot
	p.Parent = &seawall.Process{PID: parent.PID, Start: parent.Start}
	return &seawall.Event{Kind: seawall.EventFork, Boot: boot, Process: &p}
}

func exec(boot uint64, p *seawall.Process, args ...string) *seawall.Event {
	q := *p
	q.Exe, q.Args, q.Cwd, q.Comm = args[0], args, "/", args[0][strings.LastIndex(args[0], "/")+1:]
	return &seawall.Event{Kind: seawall.EventExec, Boot: boot, Process: &q}
}

func event(kind seawall.EventKind, boot uint64, p *seawall.Process) *seawall.Event {
	q := *p
	return &seawall.Event{Kind: kind, Boot: boot, Process: &q}
}

func observe(t *Table, events ...*seawall.Event) *seawall.Process {
	for _, ev := range events {
		t.Observe(ev)
	}
	return events[len(events)-1].Process
}

// line is a process and those it comes from, by their programs.
func line(p *seawall.Process) string {
	var names []string
	for ; p != nil; p = p.Parent {
		names = append(names, fmt.Sprintf("%d:%s", p.PID, p.Exe))
	}
	return strings.Join(names, " < ")
}

func TestObserve(t *testing.T) {
	table := New(Options{})
	shell := bare(10, 5, web)
	child := bare(11, 20, web)
	observe(table, exec(6, shell, "/bin/sh", "-c", "ls | wc"))
	forked := observe(table, fork(20, shell, child))
	if got, want := line(forked), "11:/bin/sh < 10:/bin/sh"; got != want {
		t.Errorf("a forked process is %s, want %s", got, want)
	}
	if !slices.Equal(forked.Args, []string{"/bin/sh", "-c", "ls | wc"}) {
		t.Errorf("a forked process has the arguments %q", forked.Args)
	}
	ls := exec(30, child, "/bin/ls", "-l")
	observe(table, ls)
	opened := observe(table, event(seawall.EventOpen, 40, &seawall.Process{PID: 11, Start: 20}))
	if opened != ls.Process {
		t.Error("an event of a known process has a value of its own")
	}
	if got, want := line(opened), "11:/bin/ls < 10:/bin/sh"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	// What happened before the exec is the shell's, though it comes later.
	if before := observe(table, event(seawall.EventOpen, 25, bare(11, 20, web))); before.Exe != "/bin/sh" {
		t.Errorf("an event from before the exec is of %s", before.Exe)
	}
	if forked.Exe != "/bin/sh" {
		t.Error("a process that an event had was changed")
	}

	// The parent goes; its child still knows it.
	observe(table, event(seawall.EventExit, 50, shell))
	late := event(seawall.EventConnect, 50+2*uint64(DefaultGrace), child)
	if got, want := line(observe(table, late)), "11:/bin/ls < 10:/bin/sh"; got != want {
		t.Errorf("after the parent's end: got %s, want %s", got, want)
	}
	if table.Get(10, 5) == nil {
		t.Error("the parent of a running process is forgotten")
	}
	observe(table, event(seawall.EventExit, late.Boot, child), event(seawall.EventOpen, late.Boot+3*uint64(DefaultGrace), bare(99, 7, host)))
	if table.Get(10, 5) != nil || table.Get(11, 20) != nil {
		t.Error("processes are kept after their grace")
	}
	if s := table.Stats(); s.Live != 1 || s.Exited != 0 || s.Images != 1 || s.Text != 0 || s.LostExits != 0 {
		t.Errorf("in the end: %+v", s)
	}
}

func TestCredentials(t *testing.T) {
	table := New(Options{})
	p := bare(10, 5, web)
	observe(table, exec(6, p, "/app"))
	root := *p
	root.UID, root.EUID, root.Caps, root.Comm = 0, 0, 1<<21, "app"
	changed := observe(table, event(seawall.EventOpen, 10, &root))
	if changed.UID != 0 || changed.Caps != 1<<21 || changed.Exe != "/app" {
		t.Errorf("after it became root: %+v", changed)
	}
	// A record from before does not take it back, and has what was true then.
	user := *p
	user.Comm = "app"
	if before := observe(table, event(seawall.EventOpen, 8, &user)); before.UID != 1000 || before.Exe != "/app" {
		t.Errorf("a record from before: %+v", before)
	}
	if got := table.Get(10, 5); got != changed {
		t.Errorf("an old record changed the process: %+v", got)
	}
	// A record without a header says nothing of credentials.
	if got := observe(table, event(seawall.EventClose, 11, &seawall.Process{PID: 10, Start: 5})); got != changed {
		t.Errorf("a record without header: %+v", got)
	}
	// Records of one process need not know the same namespaces.
	some, others := root, root
	some.NS, others.NS = &seawall.Namespaces{Mnt: 1, UTS: 2}, &seawall.Namespaces{Mnt: 1, Net: 3}
	observe(table, event(seawall.EventOpen, 11, &some))
	both := observe(table, event(seawall.EventOpen, 11, &others))
	if want := (seawall.Namespaces{Mnt: 1, Net: 3, UTS: 2}); *both.NS != want {
		t.Errorf("namespaces %+v, want %+v", *both.NS, want)
	}
	if again := observe(table, event(seawall.EventOpen, 11, &some)); again != both {
		t.Errorf("a record that knows less: %+v", again)
	}
	thread := root
	thread.TID = 17
	if got := observe(table, event(seawall.EventOpen, 12, &thread)); got.TID != 17 || got.Exe != "/app" || got.PID != 10 {
		t.Errorf("a thread's event: %+v", got)
	}
	creds := event(seawall.EventCreds, 13, &root)
	creds.Creds = &seawall.CredChange{NewUID: 33, NewEUID: 33}
	if got := observe(table, creds); got.UID != 33 || got.EUID != 33 || got.Caps != 0 {
		t.Errorf("after setuid: %+v", got)
	}
}

// TestAnyOrder delivers the records of a small tree in every order: in the end the
// table always says the same.
func TestAnyOrder(t *testing.T) {
	shell, sub, cat := bare(10, 100, web), bare(11, 200, web), bare(12, 300, web)
	records := func() []*seawall.Event {
		return []*seawall.Event{
			fork(100, bare(1, 1, host), shell), exec(110, shell, "/bin/sh"), fork(200, shell, sub),
			fork(300, sub, cat), exec(310, cat, "/bin/cat"), exec(400, shell, "/bin/late"),
		}
	}
	want := []string{
		"10:/bin/late < 1:/sbin/init",
		"11:/bin/sh < 10:/bin/sh < 1:/sbin/init",
		"12:/bin/cat < 11:/bin/sh < 10:/bin/sh < 1:/sbin/init",
	}
	permutations(len(records()), func(order []int) {
		// One exec of a process waits for the one before, as they come through one ring.
		if slices.Index(order, 5) < slices.Index(order, 1) {
			return
		}
		table := New(Options{})
		table.Add(&seawall.Process{PID: 1, Exe: "/sbin/init", Cgroup: host})
		events := records()
		for _, i := range order {
			table.Observe(events[i])
		}
		got := []string{line(table.Get(10, 100)), line(table.Get(11, 200)), line(table.Get(12, 300))}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in the order %v: %s", order, diff)
		}
		if missing := table.Missing(10); len(missing) != 0 {
			t.Fatalf("in the order %v: %d are missing", order, len(missing))
		}
		consistent(t, table)
	})
}

func permutations(n int, visit func([]int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var step func(int)
	step = func(k int) {
		if k == n {
			visit(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			step(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	step(0)
}

// TestSettled runs program after program: what is not needed any more is given up.
func TestSettled(t *testing.T) {
	table := New(Options{})
	parent, child := bare(10, 10, web), bare(11, 20, web)
	observe(table, exec(11, parent, "/first"), fork(20, parent, child), exec(30, parent, "/second"))
	if s := table.Stats(); s.Images != 3 {
		t.Errorf("%+v", s)
	}
	late := observe(table, event(seawall.EventOpen, 30+2*uint64(settled), child))
	if got, want := line(late), "11:/first < 10:/first"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// What made the child is kept for it, and goes with it.
	observe(table, event(seawall.EventExit, 31+2*uint64(settled), child), event(seawall.EventOpen, 3*uint64(DefaultGrace), parent))
	if s := table.Stats(); s.Images != 1 || s.Live != 1 || s.Exited != 0 {
		t.Errorf("%+v", s)
	}
	consistent(t, table)
}

func TestReuseOfPID(t *testing.T) {
	table := New(Options{})
	observe(table, exec(11, bare(10, 10, web), "/old"))
	observe(table, exec(21, bare(10, 20, web), "/new")) // whose predecessor's end was lost
	if old := observe(table, event(seawall.EventOpen, 15, &seawall.Process{PID: 10, Start: 10})); old.Exe != "/old" {
		t.Errorf("a late event of the first process is of %s", old.Exe)
	}
	if now := observe(table, event(seawall.EventOpen, 25, &seawall.Process{PID: 10, Start: 20})); now.Exe != "/new" {
		t.Errorf("an event of the second process is of %s", now.Exe)
	}
	if got := table.Get(10, 0); got.Exe != "/new" {
		t.Errorf("PID 10 is %s", got.Exe)
	}
	observe(table, exec(6, bare(10, 5, web), "/oldest"))
	if s := table.Stats(); s.LostExits != 1 || s.Live != 1 || s.Exited != 2 {
		t.Errorf("%+v", s)
	}
	consistent(t, table)
}

// TestList mixes a list, which knows starts in ticks, with events, which know them
// in nanoseconds.
func TestList(t *testing.T) {
	tick := uint64(Tick)
	list := []*seawall.Process{
		{PID: 1, Exe: "/sbin/init", Cgroup: host, Comm: "init"},
		{PID: 2, Cgroup: host, Comm: "kthreadd"},
		{PID: 10, Start: 5 * tick, Exe: "/app", Args: []string{"/app"}, Cgroup: web, Comm: "app", Parent: &seawall.Process{PID: 1}},
		{PID: 12, Start: 6 * tick, Exe: "/listed", Cgroup: web, Comm: "exed", Parent: &seawall.Process{PID: 10, Start: 5 * tick}},
	}
	table := New(Options{})
	// Seen before the list came: one that did something, one that executed.
	first := observe(table, event(seawall.EventOpen, 900*tick, bare(10, 5*tick+1234, web)))
	if first.Exe != "" || first.Comm != "task" {
		t.Errorf("before the list: %+v", first)
	}
	if got := table.Missing(5); len(got) != 1 || got[0].PID != 10 {
		t.Errorf("missing: %v", got)
	}
	observe(table, exec(901*tick, bare(12, 6*tick+77, web), "/executed"))
	table.Sync(902*tick, list)
	if got, want := line(table.Get(10, 5*tick+1234)), "10:/app < 1:/sbin/init"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := line(table.Get(12, 6*tick+77)), "12:/executed < 10:/app < 1:/sbin/init"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// One that was only listed gets the kernel's start by its first event.
	init := observe(table, event(seawall.EventOpen, 903*tick, bare(1, 4321, host)))
	if init.Start != 4321 || init.Exe != "/sbin/init" {
		t.Errorf("%+v", init)
	}
	s := table.Stats()
	if s.Live != 4 || s.Filled != 1 || s.LostExits != 0 || s.Unannounced != 2 {
		t.Errorf("%+v", s)
	}
	table.Sync(950*tick, list[:3])
	if s := table.Stats(); s.Live != 3 || s.LostExits != 1 {
		t.Errorf("after 12 was gone: %+v", s)
	}
	consistent(t, table)
}

// TestTwoLists has one list know the program, another how it was started.
func TestTwoLists(t *testing.T) {
	table := New(Options{})
	start := 5*uint64(Tick) + 77
	table.Add(&seawall.Process{PID: 10, Start: start, Exe: "/app", Program: seawall.FileTraits{Inode: 7, Upper: true}, Cgroup: web, UID: 5})
	table.Add(&seawall.Process{PID: 10, Start: 5 * uint64(Tick), Exe: "/other", Args: []string{"app", "-v"}, ArgsBytes: 7, Cwd: "/srv", Program: seawall.FileTraits{Inode: 8}, NS: &seawall.Namespaces{Mnt: 3}})
	want := &seawall.Process{
		PID: 10, Start: start, Exe: "/app", Args: []string{"app", "-v"}, ArgsBytes: 7, Cwd: "/srv", Program: seawall.FileTraits{Inode: 7, Upper: true},
		Cgroup: web, UID: 5, NS: &seawall.Namespaces{Mnt: 3},
	}
	if diff := cmp.Diff(want, table.Get(10, start)); diff != "" {
		t.Error(diff)
	}
	ran := observe(table, exec(900*uint64(Tick), bare(10, start, web), "/new"))
	table.Add(&seawall.Process{PID: 10, Start: start, Exe: "/app", Args: []string{"app", "-v", "old"}, Cwd: "/srv"})
	if got := table.Get(10, start); got != ran {
		t.Errorf("a list that was read before an exec: %+v", got)
	}
	consistent(t, table)
}

func TestEntry(t *testing.T) {
	const nested = 101
	table := New(Options{Container: func(cgroup uint64) (uint64, bool) {
		switch cgroup {
		case web, nested:
			return web, true
		}
		return 0, false
	}})
	in := func(pid uint32, start, cgroup uint64, mnt, nspid uint32) *seawall.Process {
		p := bare(pid, start, cgroup)
		p.NS, p.NSPID = &seawall.Namespaces{Mnt: mnt}, nspid
		return p
	}
	table.Add(&seawall.Process{PID: 1, Exe: "/sbin/init", Cgroup: host, NS: &seawall.Namespaces{Mnt: 1}})
	runc := in(20, 20, host, 1, 20)
	if got := observe(table, fork(20, bare(1, 0, host), runc), exec(21, runc, "/usr/sbin/runc", "create")); got.Entry != "node" {
		t.Errorf("the runtime is %q", got.Entry)
	}
	// runc forks itself, joins the container's cgroup, and executes itself there.
	stage := in(30, 30, host, 1, 30)
	observe(table, fork(30, runc, stage))
	stage.Cgroup = web
	if got := observe(table, exec(31, stage, "/usr/sbin/runc", "init")); got.Entry != "" {
		t.Errorf("runc init is %q", got.Entry)
	}
	app := in(40, 40, web, 7, 1)
	observe(table, fork(40, stage, app))
	if got := observe(table, exec(41, app, "/entrypoint.sh")); got.Entry != "init" {
		t.Errorf("the first program is %q", got.Entry)
	}
	worker := in(50, 50, nested, 7, 2)
	if got := observe(table, fork(50, app, worker)); got.Entry != "init" {
		t.Errorf("a copy of the first process is %q", got.Entry)
	}
	if got := observe(table, exec(51, worker, "/bin/ls")); got.Entry != "" {
		t.Errorf("what the first program runs is %q", got.Entry)
	}
	if got := observe(table, exec(60, app, "/app")); got.Entry != "init" {
		t.Errorf("what the first process becomes is %q", got.Entry)
	}
	// For a session, runc enters the namespaces first and the group last.
	stage = in(69, 69, host, 7, 69)
	observe(table, fork(69, runc, stage))
	session := in(70, 70, web, 7, 9)
	observe(table, fork(70, stage, session))
	if got := observe(table, exec(71, session, "/bin/sh")); got.Entry != "exec" {
		t.Errorf("a program that was put into the container is %q", got.Entry)
	}
	command := in(72, 72, web, 7, 10)
	if got := observe(table, fork(72, session, command), exec(73, command, "/bin/id")); got.Entry != "" || got.Parent.Entry != "exec" {
		t.Errorf("what a session runs is %q, made by %q", got.Entry, got.Parent.Entry)
	}

	// Where the fork that made it is not known yet, nothing is said.
	late := in(81, 81, web, 7, 11)
	late.Parent = &seawall.Process{PID: 80, Start: 80}
	if got := observe(table, exec(82, late, "/bin/ls")); got.Entry != "" {
		t.Errorf("of a program whose maker is not known is said that it is %q", got.Entry)
	}
	observe(table, fork(80, runc, in(80, 80, host, 7, 80)))
	if got := table.Get(81, 81); got.Entry != "exec" {
		t.Errorf("once its maker is known it is %q", got.Entry)
	}
	consistent(t, table)
}

// TestBomb has one container fork without end: it loses its own processes only.
func TestBomb(t *testing.T) {
	const limit = 1000
	for name, dies := range map[string]bool{"short-lived": true, "living": false} {
		t.Run(name, func(t *testing.T) {
			table := New(Options{Processes: limit})
			quiet := bare(10, 10, web)
			observe(table, exec(11, quiet, "/quiet"))
			for i := range uint32(300) {
				p := bare(11+i, 20+uint64(i), web)
				observe(table, fork(p.Start, quiet, p))
			}
			first := bare(1000, 1000, bomb)
			observe(table, exec(1001, first, "/bomb"))
			for i := range uint32(5 * limit) {
				p := bare(2000+i, 2000+uint64(i), bomb)
				got := observe(table, fork(p.Start, first, p))
				if got.Exe != "/bomb" {
					t.Fatalf("child %d is %+v", i, got)
				}
				if dies {
					observe(table, event(seawall.EventExit, p.Start, p))
				}
			}
			for i := range uint32(300) {
				if table.Get(11+i, 20+uint64(i)) == nil {
					t.Fatalf("process %d of another container is forgotten", i)
				}
			}
			if table.Get(1000, 1000) == nil {
				t.Error("the root of the bomb is forgotten")
			}
			s := table.Stats()
			if s.Live+s.Exited > limit || s.Evicted+s.Refused != 5*limit+1-(limit-301) {
				t.Errorf("%+v", s)
			}
			consistent(t, table)
		})
	}
}

// TestText has one container with long arguments, which are cut at its share.
func TestText(t *testing.T) {
	const limit = 64 << 10
	table := New(Options{Text: limit})
	long := strings.Repeat("x", 1000)
	observe(table, exec(1, bare(5, 1, web), "/web", "--flag"))
	for i := range uint32(500) {
		p := bare(10+i, 10+uint64(i), bomb)
		got := observe(table, exec(p.Start+1, p, "/bomb", long, long))
		if got.Exe != "/bomb" || got.ArgsBytes == 0 && len(got.Args) != 3 {
			t.Fatalf("%+v", got)
		}
	}
	s := table.Stats()
	if s.Text > limit/4+len("/web")*2+100 || s.Cut < 480 {
		t.Errorf("%+v", s)
	}
	if got := table.Get(5, 1); len(got.Args) != 2 {
		t.Errorf("arguments of another container are %q", got.Args)
	}
	if got := table.Get(509, 509); got != nil && got.ArgsBytes != uint64(len("/bomb")+1+2*1001) {
		t.Errorf("the true length is %d", got.ArgsBytes)
	}
	consistent(t, table)
}

// TestEndlessLine forks and exits for ever, as a program does that wants to be
// forgotten.
func TestEndlessLine(t *testing.T) {
	table := New(Options{Grace: time.Nanosecond})
	p := bare(10, 10, web)
	observe(table, exec(11, p, "/start"))
	for i := range uint32(10_000) {
		child := bare(11+i, 20+uint64(i), web)
		observe(table, fork(child.Start, p, child), event(seawall.EventExit, child.Start, p))
		p = child
	}
	observe(table, event(seawall.EventOpen, 1<<40, p))
	s := table.Stats()
	if s.Images > 2*maxDepth {
		t.Errorf("one process keeps %d images", s.Images)
	}
	depth := 0
	for a := table.Get(p.PID, p.Start); a != nil; a = a.Parent {
		depth++
	}
	if depth < keepDepth || depth > maxDepth+1 {
		t.Errorf("it knows %d generations", depth)
	}
	consistent(t, table)
}

// consistent checks what must hold in a table at any time.
func consistent(t *testing.T, table *Table) {
	t.Helper()
	images := map[*image]int{}
	texts := map[*text]bool{}
	perGroup := map[*group]int{}
	owned := func(i *image) {
		for ; i != nil; i = i.parent {
			if images[i]++; images[i] > 1 {
				return
			}
			if i.text != nil {
				texts[i.text] = true
			}
			if i.depth > maxDepth+1 || (i.parent == nil) != (i.Parent == nil) || i.parent != nil && i.Parent != &i.parent.Process {
				t.Errorf("a broken chain at %d", i.PID)
			}
		}
	}
	n := 0
	settling := 0
	for _, e := range table.all() {
		n++
		if e.old != nil {
			settling++
		}
		owned(e.cur)
		owned(e.old)
		perGroup[e.group]++
		if e.cur.PID != e.pid || e.cur.Start != e.start {
			t.Errorf("%d/%d has the image of %d/%d", e.pid, e.start, e.cur.PID, e.cur.Start)
		}
		if e.dying != (e.exited && e.running == 0) {
			t.Errorf("%d: dying is %v", e.pid, e.dying)
		}
		running := 0
		for c := e.children; c != nil; c = c.next {
			if !c.exited {
				running++
			}
			if c.parent != e {
				t.Errorf("%d is no child of %d", c.pid, e.pid)
			}
		}
		if running != e.running {
			t.Errorf("%d has %d running children, counted %d", e.pid, running, e.running)
		}
		if e.older != nil && e.older.start > e.start {
			t.Errorf("the generations of %d are out of order", e.pid)
		}
	}
	if settling != table.settle.n {
		t.Errorf("%d entries have what they were before, counted %d", settling, table.settle.n)
	}
	if n != table.entries || n > table.options.Processes {
		t.Errorf("%d entries, counted %d", n, table.entries)
	}
	for i, owners := range images {
		if i.refs != owners {
			t.Fatalf("an image of %d has %d owners, counted %d", i.PID, owners, i.refs)
		}
	}
	if len(images) != table.images || len(images) > 2*table.options.Processes {
		t.Errorf("%d images, counted %d", len(images), table.images)
	}
	bytes := 0
	for x := range texts {
		bytes += x.bytes
	}
	if bytes != table.text || bytes > table.options.Text {
		t.Errorf("%d bytes of text, counted %d", bytes, table.text)
	}
	sum := 0
	for _, g := range table.order {
		sum += g.n
		if g.n != perGroup[g] || g.live.n+g.exited.n+g.held.n != g.n || table.groups[g.id] != g || g.n == 0 && g.text == 0 {
			t.Errorf("group %d: %d entries, counted %d", g.id, perGroup[g], g.n)
		}
	}
	if sum != n || len(table.order) != len(table.groups) {
		t.Errorf("groups hold %d of %d entries", sum, n)
	}
}

// world is the slow model: all that ever happened, kept for ever.
type world struct {
	random *rand.Rand
	boot   uint64
	tasks  []*task
	events []*seawall.Event
	check  []func(*testing.T) // for the event of the same index; nil for none
}

type task struct {
	process  seawall.Process // header
	parent   *task
	programs []program // each from a moment on
	exited   bool
	lastExec uint64
}

type program struct {
	from uint64
	exe  string
	of   *task // that executed it
}

func (k *task) exe(at uint64) string {
	name := ""
	for _, p := range k.programs {
		if p.from <= at {
			name = p.exe
		}
	}
	return name
}

// line is what the table should say of a task at a time.
func (k *task) line(at uint64) string {
	names := []string{fmt.Sprintf("%d:%s", k.process.PID, k.exe(at))}
	for child := k; child.parent != nil; child = child.parent {
		names = append(names, fmt.Sprintf("%d:%s", child.parent.process.PID, child.parent.exe(child.process.Start)))
	}
	return strings.Join(names, " < ")
}

// history makes up what happened on a node of few PIDs, which are used again.
// Between two execs of one process lies more than jitter.
func history(seed uint64, steps int, jitter uint64) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 1)), boot: 1000}
	first := &task{process: *bare(1, 1, host), programs: []program{{1, "/sbin/init", nil}}}
	w.tasks = []*task{first}
	pids := map[uint32]uint64{} // when each was last free
	for range steps {
		w.boot += 1 + w.random.Uint64N(50)
		k := w.tasks[w.random.IntN(len(w.tasks))]
		if k.exited {
			continue
		}
		switch n := w.random.IntN(10); {
		case n < 4:
			pid := 2 + w.random.Uint32N(300)
			if free, used := pids[pid]; used && (free == 0 || w.boot < free+2*jitter) {
				continue
			}
			pids[pid] = 0
			child := &task{process: *bare(pid, w.boot, uint64(100+w.random.IntN(4))), parent: k, programs: []program{{w.boot, k.exe(w.boot), nil}}}
			child.process.UID = k.process.UID
			w.tasks = append(w.tasks, child)
			w.events = append(w.events, fork(w.boot, &k.process, &child.process))
		case n < 6:
			if w.boot < k.lastExec+2*jitter || w.boot < k.process.Start+2 {
				continue
			}
			k.lastExec = w.boot
			exe := fmt.Sprintf("/bin/%d", w.random.IntN(50))
			k.programs = append(k.programs, program{w.boot, exe, k})
			ev := exec(w.boot, &k.process, exe)
			k.process.Comm = ev.Process.Comm
			w.events = append(w.events, ev)
		case n < 7 && k != first:
			k.exited = true
			pids[k.process.PID] = w.boot
			w.events = append(w.events, event(seawall.EventExit, w.boot, &k.process))
		case n < 8:
			k.process.UID = w.random.Uint32N(5)
			w.events = append(w.events, event(seawall.EventCreds, w.boot, &k.process))
		default:
			w.events = append(w.events, event(seawall.EventOpen, w.boot, &k.process))
		}
		last := len(w.events) - 1
		if last == len(w.check) {
			ev, boot, want, uid := w.events[last], w.boot, k.line(w.boot), k.process.UID
			if ev.Kind == seawall.EventFork {
				child := w.tasks[len(w.tasks)-1]
				want, uid = child.line(w.boot), child.process.UID
			}
			w.check = append(w.check, func(t *testing.T) {
				t.Helper()
				if got := line(ev.Process); got != trim(want, got) || ev.Process.UID != uid {
					t.Fatalf("%s at %d\n got %s (uid %d)\nwant %s (uid %d)", ev.Kind, boot, got, ev.Process.UID, want, uid)
				}
			})
		}
	}
	return w
}

// trim cuts a line where the table did, which it may only beyond keepDepth.
func trim(want, got string) string {
	all, have := strings.Split(want, " < "), strings.Count(got, " < ")+1
	if have > keepDepth && have < len(all) {
		all = all[:have]
	}
	return strings.Join(all, " < ")
}

func TestAgainstModel(t *testing.T) {
	const jitter = 2000
	for seed := range uint64(60) {
		w := history(seed, 3000, jitter)
		start := func() *Table {
			table := New(Options{Grace: 10 * jitter})
			table.Add(&seawall.Process{PID: 1, Start: 1, Exe: "/sbin/init", Cgroup: host, Comm: "task", UID: 1000, EUID: 1000})
			return table
		}
		clone := func(ev *seawall.Event) seawall.Event {
			c, p := *ev, *ev.Process
			c.Process = &p
			return c
		}
		records := make([]seawall.Event, len(w.events))
		for i, ev := range w.events {
			records[i] = clone(ev)
		}

		// In order each event says exactly what is true.
		table := start()
		for i, ev := range w.events {
			table.Observe(ev)
			w.check[i](t)
		}
		consistent(t, table)

		// Out of order, all is true in the end.
		table = start()
		type delivery struct {
			at uint64
			ev *seawall.Event
		}
		var late []delivery
		for i := range records {
			late = append(late, delivery{records[i].Boot + w.random.Uint64N(jitter), &records[i]})
		}
		slices.SortStableFunc(late, func(a, b delivery) int { return int(a.at) - int(b.at) })
		for _, d := range late {
			table.Observe(d.ev)
		}
		consistent(t, table)
		for _, k := range w.tasks {
			if k.exited {
				continue
			}
			got := table.Get(k.process.PID, k.process.Start)
			if want := k.line(w.boot); got == nil || line(got) != trim(want, line(got)) || got.UID != k.process.UID {
				t.Fatalf("seed %d: in the end\n got %s %+v\nwant %s uid %d", seed, line(got), got, want, k.process.UID)
			}
		}
		if s := table.Stats(); len(table.Missing(1)) > 0 || s.LostExits > 0 || s.Evicted > 0 {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}

// TestTightLimits runs the same histories through tables that are too small.
func TestTightLimits(t *testing.T) {
	for seed := range uint64(20) {
		w := history(seed, 2000, 100)
		table := New(Options{Processes: 20, Text: 400, Grace: 500})
		for i, ev := range w.events {
			table.Observe(ev)
			if i%20 == 0 {
				consistent(t, table)
			}
		}
		consistent(t, table)
	}
}

// FuzzObserve feeds records that no kernel would make: nothing breaks, and the
// limits hold.
func FuzzObserve(f *testing.F) {
	f.Add([]byte{1, 1, 2, 1, 3, 2, 1, 1, 2, 2, 2, 3, 3, 1, 1, 1})
	f.Add([]byte("forks, execs and exits of a few processes in any order whatsoever"))
	f.Add([]byte{2, 5, 5, 5, 5, 5, 2, 4, 4, 5, 5, 4, 3, 4, 4, 4, 4, 4, 1, 5, 5, 4, 4, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		table := New(Options{Processes: 8, Text: 256, Grace: 5, Container: func(c uint64) (uint64, bool) { return c / 2, c%3 == 0 }})
		for ; len(data) >= 6; data = data[6:] {
			p := &seawall.Process{
				PID: uint32(data[1] % 6), Start: uint64(data[2]%8) * uint64(Tick) / 2, Cgroup: uint64(data[3] % 8),
				Comm: string(data[3:4]), TID: uint32(data[3] % 2), Exe: string(data[:3]), Args: []string{string(data[:4])},
			}
			if data[4]%2 == 0 {
				p.Parent = &seawall.Process{PID: uint32(data[4] / 2 % 6), Start: uint64(data[5]%8) * uint64(Tick) / 2}
			}
			ev := &seawall.Event{Kind: seawall.EventKind(data[0] % 6), Boot: uint64(data[5]), Process: p}
			switch data[0] {
			case 255:
				table.Sync(uint64(data[5]), []*seawall.Process{p})
			case 254:
				table.Add(p)
			default:
				table.Observe(ev)
				if ev.Process.PID != uint32(data[1]%6) {
					t.Fatalf("an event of %d has the process %d", data[1]%6, ev.Process.PID)
				}
			}
			consistent(t, table)
		}
	})
}

func TestAllocations(t *testing.T) {
	table := New(Options{})
	p := bare(10, 10, web)
	observe(table, exec(11, p, "/app"))
	known := event(seawall.EventOpen, 12, p)
	record := *known.Process
	record.Comm = "app"
	scratch := record
	if n := testing.AllocsPerRun(100, func() {
		known.Process = &scratch
		table.Observe(known)
	}); n != 0 {
		t.Errorf("an event of a known process allocates %v times", n)
	}
	record.TID = 11
	if n := testing.AllocsPerRun(100, func() {
		scratch = record
		known.Process = &scratch
		table.Observe(known)
	}); n != 0 {
		t.Errorf("an event of a thread allocates %v times", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	fill := func() *Table {
		table := New(Options{})
		for i := range uint32(2000) {
			observe(table, exec(100, bare(10+i, 10, uint64(100+i%100)), "/app", "--flag"))
		}
		return table
	}
	b.Run("open", func(b *testing.B) {
		table, ev := fill(), &seawall.Event{Kind: seawall.EventOpen}
		records := make([]seawall.Process, 2000)
		for i := range records {
			records[i] = *bare(10+uint32(i), 10, uint64(100+i%100))
			records[i].Comm = "app"
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			ev.Process, ev.Boot = &records[i%2000], uint64(200+i)
			table.Observe(ev)
		}
	})
	b.Run("forkExecExit", func(b *testing.B) {
		table := fill()
		parent := bare(10, 10, 100)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			boot := 1000 + uint64(i)*400_000
			child := bare(5000+uint32(i%20000), boot, 100)
			observe(table, fork(boot, parent, child), exec(boot+1, child, "/bin/true"), event(seawall.EventExit, boot+2, child))
		}
	})
	b.Run("bomb", func(b *testing.B) {
		table := fill()
		parent := bare(10, 10, 100)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			child := bare(5000+uint32(i%2_000_000), 1000+uint64(i), 100)
			observe(table, fork(child.Start, parent, child))
		}
	})
}
