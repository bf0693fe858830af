package cri

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
)

// fake is a runtime that knows what it was told, after a while.
type fake struct {
	mu         sync.Mutex
	containers map[string]*Description
	sandboxes  map[string]*Description
	err        error
	hang       bool
	asked      int
}

func (f *fake) Container(ctx context.Context, id string) (*Description, error) {
	return f.find(ctx, func() *Description { return f.containers[id] })
}

func (f *fake) Sandbox(ctx context.Context, id string) (*Description, error) {
	return f.find(ctx, func() *Description { return f.sandboxes[id] })
}

func (f *fake) find(ctx context.Context, in func() *Description) (*Description, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.hang {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if f.err != nil {
		return nil, f.err
	}
	d := in()
	if d == nil {
		return nil, fmt.Errorf("asking: %w", ErrNotFound)
	}
	found := *d
	return &found, nil
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

type pods map[string]*seawall.Pod

func (p pods) Pod(uid string) *seawall.Pod { return p[uid] }

const (
	sandboxGroup, appGroup, innerGroup, hostGroup, podGroup = 10, 11, 12, 13, 14
)

var (
	podPath = "/kubepods/burstable/pod" + uid
	appPath = podPath + "/" + one
)

func described() *fake {
	pod := seawall.Pod{Namespace: "shop", Name: "web-1", UID: uid, IP: []string{"10.0.0.5"}}
	return &fake{
		containers: map[string]*Description{one: {
			Container: seawall.Container{ID: one, Name: "web", Image: "web:1", PID: 77}, Pod: seawall.Pod{Namespace: "shop", Name: "web-1", UID: uid}, Sandbox: two,
		}},
		sandboxes: map[string]*Description{two: {Container: seawall.Container{ID: two, PID: 70, Sandbox: true}, Pod: pod, Sandbox: two}},
	}
}

type changes struct {
	mu  sync.Mutex
	got []Change
}

func (c *changes) add(change Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, change)
}

func (c *changes) all() []Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := described(), &changes{}
		known := pods{}
		r := NewResolver(f, known, nil, seen.add)
		defer r.Close()
		for _, g := range []seawall.Cgroup{
			{ID: 1, Path: "/"},
			{ID: hostGroup, Path: "/system.slice/sshd.service"},
			{ID: podGroup, Path: podPath},
			{ID: sandboxGroup, Path: podPath + "/" + two},
			{ID: appGroup, Path: appPath},
			{ID: innerGroup, Path: appPath + "/init.scope"},
		} {
			r.Add(g)
		}
		if s := r.Lookup(appGroup); s.Identity != seawall.Pending || s.Container.ID != one || s.Pod.UID != uid {
			t.Errorf("at once: %+v", s)
		}
		if r.Lookup(99) != nil {
			t.Error("a group is known that nobody told of")
		}
		synctest.Wait()
		s := r.Lookup(appGroup)
		want := &State{
			Identity: seawall.Resolved, Container: &seawall.Container{ID: one, Name: "web", Image: "web:1", PID: 77},
			Pod: &seawall.Pod{Namespace: "shop", Name: "web-1", UID: uid, IP: []string{"10.0.0.5"}},
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Error(diff)
		}
		if r.Lookup(innerGroup) != s {
			t.Error("a group inside a container is not of it")
		}
		if sandbox := r.Lookup(sandboxGroup); !sandbox.Container.Sandbox || sandbox.Pod.Name != "web-1" {
			t.Errorf("the sandbox: %+v", sandbox)
		}
		for id, identity := range map[uint64]seawall.Identity{1: seawall.OnHost, hostGroup: seawall.OnHost, podGroup: seawall.Unidentified} {
			if got := r.Lookup(id); got.Identity != identity || got.Container != nil {
				t.Errorf("group %d: %+v", id, got)
			}
		}
		if a, _ := r.Container(appGroup); a != appGroup {
			t.Errorf("the container's number is %d", a)
		}
		if a, ok := r.Container(innerGroup); !ok || a != appGroup {
			t.Errorf("that of a group inside it is %d", a)
		}
		if _, ok := r.Container(hostGroup); ok {
			t.Error("a service is a container")
		}
		if got := seen.all(); len(got) != 2 {
			t.Errorf("%d changes", len(got))
		} else if i := slices.IndexFunc(got, func(c Change) bool { return c.State == s }); i < 0 || !slices.Equal(got[i].Cgroups, []uint64{appGroup, innerGroup}) {
			t.Errorf("changes: %+v", got)
		}

		known[uid] = &seawall.Pod{Namespace: "shop", Name: "web-1", ServiceAccount: "web", Labels: map[string]string{"app": "web"}, Workload: seawall.Workload{Kind: "Deployment", Name: "web"}}
		r.PodChanged(uid)
		if got := r.Lookup(innerGroup).Pod; got.Workload.Name != "web" || got.UID != uid || !slices.Equal(got.IP, []string{"10.0.0.5"}) {
			t.Errorf("with what the API knows: %+v", got)
		}
		if s.Pod.ServiceAccount != "" {
			t.Error("a pod that an event may have was changed")
		}

		ev := &seawall.Event{Kind: seawall.EventOpen, Process: &seawall.Process{Cgroup: innerGroup}}
		if !r.Identify(ev) || ev.Container.Name != "web" || ev.Identity != seawall.Resolved {
			t.Errorf("%+v", ev)
		}
		ev = &seawall.Event{Kind: seawall.EventContainer, Process: &seawall.Process{Cgroup: hostGroup}, Cgroup: &seawall.Cgroup{ID: appGroup}}
		if r.Identify(ev); ev.Container == nil {
			t.Error("an event of a group is of the one who made it")
		}
		ev = &seawall.Event{Kind: seawall.EventOpen, Process: &seawall.Process{Cgroup: 99}}
		if r.Identify(ev) || ev.Identity != seawall.Unidentified || r.Stats().Unknown != 1 {
			t.Errorf("an event of an unknown group: %+v", ev)
		}

		r.Remove(seawall.Cgroup{ID: appGroup, Path: appPath})
		r.Remove(seawall.Cgroup{ID: innerGroup, Path: appPath + "/init.scope"})
		time.Sleep(grace - time.Second)
		r.Add(seawall.Cgroup{ID: 50, Path: "/x"})
		if r.Lookup(appGroup) == nil {
			t.Error("a removed container is forgotten before its grace is over")
		}
		time.Sleep(2 * time.Second)
		r.Add(seawall.Cgroup{ID: 51, Path: "/y"})
		if r.Lookup(appGroup) != nil || r.Lookup(innerGroup) != nil || len(r.containers) != 1 {
			t.Error("a removed container is kept after its grace")
		}
		if s := r.Stats(); s.Pending != 0 || s.Resolved != 2 || s.Unidentified != 0 || s.Groups != 6 {
			t.Errorf("%+v", s)
		}
	})
}

// TestLate has a runtime that describes a container only after a while, first
// without its PID.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := described(), &changes{}
		whole := f.containers[one]
		f.containers[one] = nil
		r := NewResolver(f, nil, nil, seen.add)
		defer r.Close()
		r.Add(seawall.Cgroup{ID: appGroup, Path: appPath})
		time.Sleep(80 * time.Millisecond)
		f.set(func() {
			created := *whole
			created.Container.PID = 0
			f.containers[one] = &created
		})
		time.Sleep(60 * time.Millisecond)
		s := r.Lookup(appGroup)
		if s.Identity != seawall.Resolved || s.Container.PID != 0 || s.Took < 80*time.Millisecond || s.Took > 130*time.Millisecond {
			t.Errorf("%+v", s)
		}
		f.set(func() { f.containers[one] = whole })
		time.Sleep(60 * time.Millisecond)
		if s := r.Lookup(appGroup); s.Container.PID != 77 {
			t.Errorf("%+v", s.Container)
		}
		if got := seen.all(); len(got) != 2 {
			t.Errorf("%d changes", len(got))
		}
		asked := f.asked
		time.Sleep(time.Hour)
		if f.asked != asked {
			t.Errorf("a container that is known was asked for %d times more", f.asked-asked)
		}
	})
}

// TestAway has a runtime that is away, or hangs, for a minute: groups keep the names
// that their paths hold, and get the rest when it is back.
func TestAway(t *testing.T) {
	for name, away := range map[string]func(*fake, bool){
		"refuses": func(f *fake, is bool) {
			if f.err = nil; is {
				f.err = fmt.Errorf("asking: %w", ErrUnavailable)
			}
		},
		"hangs":     func(f *fake, is bool) { f.hang = is },
		"is broken": func(f *fake, is bool) { f.err = map[bool]error{true: errors.New("database is locked")}[is] },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, seen := described(), &changes{}
				away(f, true)
				r := NewResolver(f, nil, nil, seen.add)
				defer r.Close()
				for i := range uint64(50) { // more than may be asked for at a time
					r.Add(seawall.Cgroup{ID: 1000 + i, Path: fmt.Sprintf("/kubepods/pod%s/%064x", uid, i)})
				}
				r.Add(seawall.Cgroup{ID: appGroup, Path: appPath})
				time.Sleep(patience - time.Millisecond)
				if s := r.Lookup(appGroup); s.Identity != seawall.Pending {
					t.Errorf("before its time: %+v", s)
				}
				time.Sleep(slowWait + 100*time.Millisecond)
				if s := r.Lookup(appGroup); s.Identity != seawall.Unidentified || s.Container.ID != one || s.Pod.UID != uid {
					t.Errorf("after its time: %+v", s)
				}
				time.Sleep(time.Minute)
				if s := r.Stats(); s.Unidentified != 51 || s.Pending != 0 || s.Resolved != 0 {
					t.Errorf("%+v", s)
				}
				f.set(func() { away(f, false) })
				time.Sleep(10 * time.Second)
				if s := r.Lookup(appGroup); s.Identity != seawall.Resolved || s.Pod.Name != "web-1" {
					t.Errorf("when it is back: %+v", s)
				}
				if s := r.Stats(); s.Late != 1 || s.Resolved != 1 {
					t.Errorf("%+v", s)
				}
				if got := seen.all(); len(got) != 52 {
					t.Errorf("%d changes", len(got))
				}
				time.Sleep(2 * untold)
				asked := f.asked
				time.Sleep(time.Hour)
				if f.asked != asked {
					t.Errorf("containers that the runtime does not know are asked for without end: %d times more", f.asked-asked)
				}
			})
		})
	}
}

func TestSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewResolver(described(), nil, nil, nil)
		defer r.Close()
		app, host := seawall.Cgroup{ID: appGroup, Path: appPath}, seawall.Cgroup{ID: hostGroup, Path: "/x"}
		r.Sync(time.Now(), []seawall.Cgroup{app, host})
		time.Sleep(time.Second)
		begun := time.Now()
		time.Sleep(time.Millisecond)
		r.Add(seawall.Cgroup{ID: 90, Path: "/made-while-listing"})
		r.Sync(begun, []seawall.Cgroup{host})
		if s := r.Lookup(appGroup); s == nil || s.Container.Name != "web" {
			t.Errorf("in its grace: %+v", s)
		}
		time.Sleep(2 * grace)
		r.Sync(time.Now(), []seawall.Cgroup{host, {ID: 90, Path: "/made-while-listing"}})
		if r.Lookup(appGroup) != nil || r.Lookup(hostGroup) == nil || r.Lookup(90) == nil {
			t.Error("a group that is listed no more is kept, or another is forgotten")
		}
	})
}

// TestStartedAgain starts a container again under its identifier, as docker does.
func TestStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := described()
		r := NewResolver(f, nil, nil, nil)
		defer r.Close()
		r.Add(seawall.Cgroup{ID: appGroup, Path: appPath})
		synctest.Wait()
		r.Remove(seawall.Cgroup{ID: appGroup, Path: appPath})
		f.set(func() {
			again := *f.containers[one]
			again.Container.PID = 99
			f.containers[one] = &again
		})
		r.Add(seawall.Cgroup{ID: 500, Path: appPath})
		synctest.Wait()
		if before, after := r.Lookup(appGroup), r.Lookup(500); before.Container.PID != 77 || after.Container.PID != 99 {
			t.Errorf("before %+v, after %+v", before.Container, after.Container)
		}
	})
}

func TestMismatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := described()
		r := NewResolver(f, nil, nil, nil)
		defer r.Close()
		r.Add(seawall.Cgroup{ID: appGroup, Path: "/kubepods/pod" + static + "/" + one})
		synctest.Wait()
		if s := r.Lookup(appGroup); s.Pod.UID != static || r.Stats().Mismatched != 1 {
			t.Errorf("%+v", s.Pod)
		}
	})
}

func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewResolver(described(), nil, nil, nil)
		defer r.Close()
		for i := range uint64(maxRemoved + 100) {
			g := seawall.Cgroup{ID: 1000 + i, Path: fmt.Sprintf("/short/%d", i)}
			r.Add(g)
			r.Remove(g)
		}
		if s := r.Stats(); s.Groups != maxRemoved || s.Forgotten != 100 {
			t.Errorf("%+v", s)
		}
	})
}

// TestShortLived has ten thousand containers come and go within seconds.
func TestShortLived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := described()
		r := NewResolver(f, nil, nil, nil)
		defer r.Close()
		for i := range uint64(10_000) {
			id := fmt.Sprintf("%064x", i)
			f.set(func() {
				f.containers[id] = &Description{Container: seawall.Container{ID: id, PID: uint32(i) + 1}, Sandbox: two, Ended: true}
			})
			g := seawall.Cgroup{ID: 1000 + i, Path: podPath + "/" + id}
			r.Add(g)
			time.Sleep(time.Millisecond)
			if s := r.Lookup(g.ID); s.Identity != seawall.Resolved || s.Container.ID != id || s.Pod.Name != "web-1" {
				t.Fatalf("container %d: %+v", i, s)
			}
			r.Remove(g)
		}
		if s := r.Stats(); s.Resolved != 10_000 || s.Unidentified != 0 || s.Pending != 0 || s.Groups != maxRemoved || len(r.containers) != maxRemoved {
			t.Errorf("%+v, %d containers", s, len(r.containers))
		}
		time.Sleep(2 * grace)
		r.Add(seawall.Cgroup{ID: 1, Path: "/"})
		if s := r.Stats(); s.Groups != 1 || len(r.containers) != 0 || len(r.sandboxes) != 0 {
			t.Errorf("in the end: %+v, %d containers, %d sandboxes", s, len(r.containers), len(r.sandboxes))
		}
	})
}

func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := described()
		whole := f.containers[one]
		f.containers[one] = nil
		r := NewResolver(f, nil, nil, nil)
		defer r.Close()
		b := NewBacklog(r)
		var out []string
		emit := func(ev *seawall.Event) { out = append(out, fmt.Sprintf("%d %s", ev.Boot, ev.Identity)) }
		offer := func(boot, cgroup uint64) {
			b.Offer(&seawall.Event{Kind: seawall.EventOpen, Boot: boot, Process: &seawall.Process{Cgroup: cgroup}}, time.Now(), emit)
		}
		expect := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, out); diff != "" {
				t.Error(diff)
			}
			out = nil
		}
		r.Add(seawall.Cgroup{ID: hostGroup, Path: "/x"})
		offer(1, hostGroup)
		expect("1 host")
		if b.Offer(&seawall.Event{Kind: seawall.EventOpen, Process: &seawall.Process{Cgroup: 99}}, time.Now(), emit) || len(out) > 0 {
			t.Error("an event of an unknown group is taken")
		}
		r.Add(seawall.Cgroup{ID: appGroup, Path: appPath})
		r.Add(seawall.Cgroup{ID: innerGroup, Path: appPath + "/inner"})
		offer(2, appGroup)
		time.Sleep(200 * time.Millisecond)
		offer(3, innerGroup)
		offer(4, hostGroup)
		b.Due(time.Now(), emit)
		expect("4 host")
		time.Sleep(60 * time.Millisecond)
		b.Due(time.Now(), emit)
		expect("2 pending")
		f.set(func() { f.containers[one] = whole })
		time.Sleep(100 * time.Millisecond)
		offer(5, appGroup) // takes along what waited
		expect("3 resolved", "5 resolved")
		if b.Waiting() != 0 || b.Held != 2 || b.Overdue != 1 || b.Overflowed != 0 {
			t.Errorf("%+v", b)
		}

		// A container with a flood of events.
		r.Add(seawall.Cgroup{ID: 600, Path: podPath + "/" + fmt.Sprintf("%064x", 6)})
		for i := range uint64(maxWaiting) {
			offer(1000+i, 600)
		}
		if b.Waiting() != maxWaiting/4 || len(out) != maxWaiting*3/4 || out[0] != "1000 pending" {
			t.Errorf("%d wait, %d went on", b.Waiting(), len(out))
		}
		time.Sleep(time.Second)
		b.Due(time.Now(), emit)
		if b.Waiting() != 0 || len(out) != maxWaiting || out[maxWaiting-1] != fmt.Sprintf("%d pending", 1000+maxWaiting-1) {
			t.Errorf("%d wait, %d went on", b.Waiting(), len(out))
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	r := NewResolver(described(), nil, nil, nil)
	defer r.Close()
	r.Add(seawall.Cgroup{ID: appGroup, Path: appPath})
	for r.Lookup(appGroup).Identity != seawall.Resolved {
		time.Sleep(time.Millisecond)
	}
	backlog := NewBacklog(r)
	ev := &seawall.Event{Kind: seawall.EventOpen, Process: &seawall.Process{Cgroup: appGroup}}
	emit := func(*seawall.Event) {}
	b.ReportAllocs()
	for b.Loop() {
		backlog.Offer(ev, time.Time{}, emit)
	}
}
