package profile

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seawall.io/seawall"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// event is one of a container of Deployment/web, so many seconds after its start.
func event(second int, digest string, change func(*seawall.Event)) *seawall.Event {
	ev := &seawall.Event{
		Time:      began.Add(time.Duration(second) * time.Second),
		Process:   &seawall.Process{PID: 7, Exe: "/app/server", Parent: &seawall.Process{Exe: "/pause"}},
		Container: &seawall.Container{ID: "c1", Name: "web", Digest: digest, Started: began},
		Pod:       &seawall.Pod{Namespace: "shop", Name: "web-1", Workload: seawall.Workload{Kind: "Deployment", Name: "web"}},
	}
	change(ev)
	return ev
}

func run(exe string) func(*seawall.Event) {
	return func(ev *seawall.Event) { ev.Kind, ev.Process.Exe = seawall.EventExec, exe }
}

func read(path string) func(*seawall.Event) {
	return func(ev *seawall.Event) { ev.Kind, ev.File = seawall.EventOpen, &seawall.File{Path: path} }
}

func connect(remote, name string) func(*seawall.Event) {
	return func(ev *seawall.Event) {
		ev.Kind = seawall.EventConnect
		ev.Socket = &seawall.Socket{Protocol: "tcp", Remote: netip.MustParseAddrPort(remote), Name: name}
	}
}

func TestLearnsUntilQuiet(t *testing.T) {
	b := NewBook(Options{})
	for _, step := range []struct {
		second       int
		change       func(*seawall.Event)
		ready, known bool
	}{
		{0, run("/app/server"), false, false},
		{1, read("/etc/app.conf"), false, false},
		{1, read("/etc/app.conf"), false, true},
		{300, connect("10.0.0.9:5432", "db.shop.svc.cluster.local"), false, false}, // a gap of 299 s
		{890, connect("10.0.0.8:5432", "db.shop.svc.cluster.local"), false, true},  // another address of the same name
		{1196, read("/etc/app.conf"), false, true},                                 // 896 s without news: not yet three gaps
		{1198, read("/etc/app.conf"), true, true},
		{1200, run("/bin/sh"), true, false},
		{1201, run("/bin/sh"), true, false}, // news stay news
		{1202, connect("203.0.113.9:443", ""), true, false},
		{1203, run("/app/server"), true, true},
	} {
		m := b.Observe(event(step.second, "sha256:a", step.change))
		if m == nil || m.Ready != step.ready || m.Known != step.known {
			t.Errorf("at %d s: %+v, want ready %v, known %v", step.second, m, step.ready, step.known)
		}
	}
	k := b.Profiles()[0].Key
	if !b.Accept(k, Programs, []string{"/bin/sh <- /pause"}, began) {
		t.Error("nothing to accept for")
	}
	if m := b.Observe(event(1300, "sha256:a", run("/bin/sh"))); !m.Known {
		t.Error("what was accepted is still news")
	}
}

func TestNewImageInheritsAndLearns(t *testing.T) {
	b := NewBook(Options{})
	b.Observe(event(0, "sha256:a", run("/app/server")))
	b.Observe(event(700, "sha256:a", run("/app/server")))
	m := b.Observe(event(800, "sha256:b", run("/app/server")))
	if m.Ready || !m.Known {
		t.Errorf("%+v: the first image ran the same", m)
	}
	if m := b.Observe(event(801, "sha256:b", run("/app/helper"))); m.Ready || m.Known {
		t.Errorf("%+v", m)
	}
	p := b.Profiles()[1]
	if p.Items[Programs]["/app/server <- /pause"].Inherited || p.Partial != 1 {
		t.Errorf("%+v", p)
	}
}

func TestGeneralises(t *testing.T) {
	b := NewBook(Options{})
	for n := range 30 {
		b.Observe(event(n, "d", read(fmt.Sprintf("/data/f%d", n))))
		b.Observe(event(n, "d", read(fmt.Sprintf("/etc/f%d", n))))
		b.Observe(event(n, "d", connect(fmt.Sprintf("10.0.0.%d:443", n), "")))
		b.Observe(event(n, "d", read(fmt.Sprintf("/proc/%d/stat", n))))
	}
	p := b.Profiles()[0]
	if p.Items[Reads]["/data/*"] == nil || p.Items[Reads]["/data/f3"] != nil || p.Items[Peers]["tcp *:443"] == nil || p.Items[Reads]["/proc/*/stat"] == nil {
		t.Errorf("%v %v", p.Items[Reads], p.Items[Peers])
	}
	// A ready profile does not generalise from what an attacker does.
	b.Observe(event(2000, "d", read("/etc/f1")))
	for n := range 60 {
		if m := b.Observe(event(2001+n, "d", read(fmt.Sprintf("/tmp/x%d", n)))); !m.Ready || m.Known {
			t.Fatalf("file %d: %+v", n, m)
		}
	}
	if m := b.Observe(event(3000, "d", read("/etc/shadow"))); m.Known {
		t.Error("/etc/shadow is known by its neighbours")
	}
	if m := b.Observe(event(3000, "d", read("/data/deep/er"))); !m.Known {
		t.Error("a folder that stands for its files does not stand for those below")
	}
}

func TestGeneralPath(t *testing.T) {
	for path, want := range map[string]string{
		"/proc/123/stat": "/proc/*/stat", "/etc/passwd": "/etc/passwd", "/var/lib/0123456789abcdef01/x": "/var/lib/*/x",
		"/var/run/secrets/kubernetes.io/serviceaccount/..2026_11_21_10_00_00.123/token": "/var/run/secrets/kubernetes.io/serviceaccount/..*/token",
		"/app/..2026x/y": "/app/..2026x/y",
	} {
		if got := generalPath(path); got != want {
			t.Errorf("%s becomes %s, want %s", path, got, want)
		}
	}
}

func TestNoRoomIsNotNews(t *testing.T) {
	b := NewBook(Options{})
	for n := range 600 {
		b.Observe(event(n, "d", run(fmt.Sprintf("/app/%d", n))))
	}
	if p := b.Profiles()[0]; !p.Unlimited[Programs] || len(p.Items[Programs]) != limits[Programs] {
		t.Errorf("%d programs, unlimited %v", len(p.Items[Programs]), p.Unlimited)
	}
}

func TestBookIsBounded(t *testing.T) {
	b := NewBook(Options{Max: 3})
	for n := range 10 {
		b.Observe(event(n, fmt.Sprint("sha256:", n), run("/x")))
	}
	if got := len(b.Profiles()); got != 3 || b.Dropped() != 7 {
		t.Errorf("%d profiles, %d dropped", got, b.Dropped())
	}
}

func TestKeptProfilesGoOn(t *testing.T) {
	b := NewBook(Options{})
	b.Observe(event(0, "d", run("/app/server")))
	b.Observe(event(900, "d", run("/app/server")))
	text, err := json.Marshal(b.Profiles())
	if err != nil {
		t.Fatal(err)
	}
	var kept []*Profile
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	c := NewBook(Options{})
	c.Load(kept)
	if m := c.Observe(event(901, "d", run("/bin/sh"))); m == nil || !m.Ready || m.Known {
		t.Errorf("%+v", m)
	}
}

func TestNothingWithoutIdentity(t *testing.T) {
	b := NewBook(Options{})
	for name, change := range map[string]func(*seawall.Event){
		"no container": func(ev *seawall.Event) { ev.Container = nil },
		"no pod":       func(ev *seawall.Event) { ev.Pod = nil },
		"sandbox":      func(ev *seawall.Event) { ev.Container.Sandbox = true },
		"no digest":    func(ev *seawall.Event) { ev.Container.Digest = "" },
		"an exit":      func(ev *seawall.Event) { ev.Kind = seawall.EventExit },
	} {
		ev := event(0, "d", run("/x"))
		change(ev)
		if m := b.Observe(ev); m != nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	book := NewBook(Options{})
	events := make([]*seawall.Event, 500)
	for n := range events {
		events[n] = event(n, "d", read(fmt.Sprintf("/usr/lib/%d/lib%d.so", n%40, n)))
		book.Observe(events[n])
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		book.Observe(events[n%len(events)])
	}
}

func TestProgramsOfOneFile(t *testing.T) {
	for _, tt := range []struct {
		exe  string
		args []string
		want string
	}{
		{"/bin/busybox", []string{"sleep", "10"}, "/bin/busybox sleep"},
		{"/bin/busybox", []string{"/bin/sh", "-c", "true"}, "/bin/busybox sh"},
		{"/bin/busybox", []string{"-sh"}, "/bin/busybox sh"},
		{"/bin/busybox", []string{"busybox", "nc", "-l"}, "/bin/busybox nc"},
		{"/bin/busybox", []string{"busybox"}, "/bin/busybox busybox"},
		{"/bin/busybox", nil, "/bin/busybox"},
		{"/bin/bash", []string{"sh"}, "/bin/bash"},
	} {
		if got := program(&seawall.Process{Exe: tt.exe, Args: tt.args}); got != tt.want {
			t.Errorf("%s %q is %q, want %q", tt.exe, tt.args, got, tt.want)
		}
	}
}
