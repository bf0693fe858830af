package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agents"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cri"
	"seawall.io/seawall/internal/probe"
	"seawall.io/seawall/internal/spool"
)

const (
	podUID      = "11111111-2222-3333-4444-555555555555"
	containerID = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	group       = 77
)

// sensor hands out the events that a test gives it, and remembers what it was told.
type sensor struct {
	mu     sync.Mutex
	events []*seawall.Event
	told   []string
	cut    []uint64
}

func (s *sensor) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *sensor) add(events ...*seawall.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range events {
		if ev.Time.IsZero() {
			ev.Time, ev.Boot = time.Now(), bootNow()
		}
		s.events = append(s.events, ev)
	}
}

func (s *sensor) Poll(f func(*seawall.Event)) error {
	s.mu.Lock()
	events := s.events
	s.events = nil
	s.mu.Unlock()
	for _, ev := range events {
		f(ev)
	}
	return nil
}

func (s *sensor) Coverage() probe.Coverage {
	return probe.Coverage{Kernel: "test", Hooks: []string{"process"}}
}
func (s *sensor) Ledger() (probe.Ledger, error)          { return probe.Ledger{}, nil }
func (s *sensor) Processes() ([]*seawall.Process, error) { return nil, nil }
func (s *sensor) Watch(cgroup uint64, _ []seawall.EventKind, flags probe.Interest) error {
	s.say("watch %d %d", cgroup, flags)
	return nil
}
func (s *sensor) Unwatch(cgroup uint64) error { s.say("unwatch %d", cgroup); return nil }
func (s *sensor) SetNamespaces(cgroup uint64, _ seawall.Namespaces) error {
	s.say("home %d", cgroup)
	return nil
}

func (s *sensor) WatchLink(index int) error { s.say("link %d", index); return nil }

func (s *sensor) Attach(hook string) error                           { s.say("attach %s", hook); return nil }
func (s *sensor) Detach(string) error                                { return nil }
func (s *sensor) Learn(uint64) error                                 { return nil }
func (s *sensor) Unlearn(uint64) error                               { return nil }
func (s *sensor) Syscalls(uint64) (made, denied []string, err error) { return nil, nil, nil }
func (s *sensor) Cut(cgroup uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = append(s.cut, cgroup)
	return nil
}
func (s *sensor) Release(uint64) error  { return nil }
func (s *sensor) CutLink(int) error     { return nil }
func (s *sensor) ReleaseLink(int) error { return nil }

// runtime describes one container, once it is let.
type runtime struct{ ready chan struct{} }

func (r runtime) Container(ctx context.Context, id string) (*cri.Description, error) {
	select {
	case <-r.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if id != containerID {
		return nil, cri.ErrNotFound
	}
	return &cri.Description{
		Container: seawall.Container{ID: id, Name: "web", Image: "web:1", Digest: "sha256:1", Started: time.Now(), NS: &seawall.Namespaces{Mnt: 5}},
		Pod:       seawall.Pod{Namespace: "shop", Name: "web-1", UID: podUID},
	}, nil
}

func (runtime) Sandbox(context.Context, string) (*cri.Description, error) {
	return nil, cri.ErrNotFound
}

func rule(t *testing.T, text string) *check.Rule {
	t.Helper()
	r, err := check.ParseRule("runtime/test.txtar", []byte("# A test\n\nWhy.\n\nFix: nothing.\n\n-- check.yaml --\n"+text+`
-- pass/x.jsonl --
{"kind":"exit","process":{"pid":1,"uid":0,"euid":0,"gid":0}}
-- fail/x.jsonl --
{"kind":"exec","process":{"pid":1,"uid":0,"euid":0,"gid":0,"exe":"/evil"}}
-- fail/x.want --
x
`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type running struct {
	*Agent
	sensor *sensor
	ready  chan struct{}
	dir    string
	stop   func()
}

func start(t *testing.T, change func(*Options)) *running {
	t.Helper()
	r := &running{sensor: &sensor{}, ready: make(chan struct{}), dir: t.TempDir()}
	o := Options{
		Node: "n1", Sensor: r.sensor, Runtime: runtime{r.ready}, State: filepath.Join(r.dir, "state"), Mode: AlertOnly, Poll: time.Millisecond,
		Rules: []*check.Rule{rule(t, "id: test\nseverity: high\nmatch: exec\ndeny: process.exe == '/evil'\nmessage: '{process.exe} ran'\nrespond: isolate\n")},
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Agent = a
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := errors.Join(<-done, a.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// container makes the group of the test's container.
func (r *running) container() {
	path := "/kubepods/burstable/pod" + podUID
	r.sensor.add(
		&seawall.Event{Kind: seawall.EventContainer, Cgroup: &seawall.Cgroup{ID: group - 1, Path: path}},
		&seawall.Event{Kind: seawall.EventContainer, Cgroup: &seawall.Cgroup{ID: group, Path: path + "/" + containerID}},
	)
}

func exec(pid uint32, exe string) *seawall.Event {
	return &seawall.Event{Kind: seawall.EventExec, Process: &seawall.Process{PID: pid, Start: uint64(pid) * 1e9, Exe: exe, Args: []string{exe}, Cgroup: group}}
}

// entries waits until the spool holds so many of a kind.
func (r *running) entries(t *testing.T, kind string, n int) []spool.Entry {
	t.Helper()
	var out []spool.Entry
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		out = nil
		if err := r.spool.Read(0, 0, func(e spool.Entry) error {
			if e.Kind == kind {
				out = append(out, e)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(out) >= n {
			return out
		}
	}
	t.Fatalf("%d entries of the kind %s, want %d", len(out), kind, n)
	return nil
}

// TestAlert follows an event from the sensor to the spool: it waits for the name of
// its container, and its alert has it.
func TestAlert(t *testing.T) {
	r := start(t, nil)
	r.container()
	r.sensor.add(exec(10, "/evil"))
	time.Sleep(20 * time.Millisecond)
	if n := r.spool.Stats().Entries; n != 0 {
		t.Error("the event did not wait for its container")
	}
	close(r.ready)
	var alert seawall.Alert
	if err := json.Unmarshal(r.entries(t, "alert", 1)[0].Value, &alert); err != nil {
		t.Fatal(err)
	}
	if alert.Message != "/evil ran" || alert.Node != "n1" || alert.Event.Pod.Name != "web-1" || alert.Event.Container.Name != "web" || alert.Event.Identity != seawall.Resolved {
		t.Errorf("%+v %+v", alert, alert.Event)
	}
	var incident seawall.Incident
	if err := json.Unmarshal(r.entries(t, "incident", 1)[0].Value, &incident); err != nil || incident.ID != alert.Incident || len(incident.Timeline) == 0 {
		t.Errorf("%+v %v", incident, err)
	}
	r.sensor.mu.Lock()
	defer r.sensor.mu.Unlock()
	if told := strings.Join(r.sensor.told, ", "); !strings.Contains(told, fmt.Sprintf("watch %d %d", group, probe.OfContainer)) || !strings.Contains(told, fmt.Sprintf("home %d", group)) {
		t.Errorf("the sensor was told %s", told)
	}
}

// TestRuntimeAway: without an answer the event goes on, and says what it lacks.
func TestRuntimeAway(t *testing.T) {
	r := start(t, nil)
	r.container()
	r.sensor.add(exec(10, "/evil"))
	var alert seawall.Alert
	if err := json.Unmarshal(r.entries(t, "alert", 1)[0].Value, &alert); err != nil {
		t.Fatal(err)
	}
	if id := alert.Event.Identity; id != seawall.Pending && id != seawall.Unidentified {
		t.Errorf("identity %s", id)
	}
	if alert.Event.Container == nil || alert.Event.Container.ID != containerID || alert.Event.Pod == nil || alert.Event.Pod.UID != podUID {
		t.Errorf("what the path says is missing: %+v", alert.Event)
	}
	close(r.ready)
}

func TestModes(t *testing.T) {
	r := start(t, func(o *Options) { o.Mode = Observe })
	close(r.ready)
	r.modes.setNamespaces(func(m map[string]Mode) { m["shop"] = Observe })
	r.modes.pod(podUID, &seawall.Pod{Namespace: "shop", Name: "web-1", UID: podUID})
	r.container()
	r.sensor.add(exec(10, "/evil"))
	for r.events.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if n := r.spool.Stats().Entries; n != 0 {
		t.Error("something was judged where it is to be observed only")
	}
	r.modes.setNamespaces(func(m map[string]Mode) { m["shop"] = AlertOnly })
	r.sensor.add(exec(11, "/evil"))
	r.entries(t, "alert", 1)
	if _, err := ParseMode("sometimes"); err == nil {
		t.Error("a mode that is none was taken")
	}
}

func TestFollow(t *testing.T) {
	r := start(t, nil)
	close(r.ready)
	r.container()
	socket := filepath.Join(r.dir, "a.sock")
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, socket) }()
	agent := agents.Local(socket)
	for {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := agent.Events(t.Context(), agents.Filter{Where: "process.nothing"}, func(*seawall.Event) error { return nil }); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a wrong condition: %v", err)
	}
	var got []string
	stop := errors.New("enough")
	go func() {
		for r.hub.any.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		r.sensor.add(exec(20, "/a"), exec(21, "/b"), exec(22, "/c"))
	}()
	err := agent.Events(t.Context(), agents.Filter{Kinds: []string{"exec"}, Pod: "web-1", Where: `process.exe != "/b"`}, func(ev *seawall.Event) error {
		if got = append(got, ev.Process.Exe); len(got) == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || !slices.Equal(got, []string{"/a", "/c"}) {
		t.Errorf("%v %v", got, err)
	}
	status, err := agent.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var s Status
	if err := json.Unmarshal(status, &s); err != nil || s.Node != "n1" || s.Checks != 1 || s.Coverage.Kernel != "test" {
		t.Errorf("%s %v", status, err)
	}
	if _, err := agent.Isolate(t.Context(), agents.ActRequest{Namespace: "shop", Pod: "web-1"}); err == nil || !strings.Contains(err.Error(), "cannot contain") {
		t.Errorf("isolated without a kernel to do it: %v", err)
	}
	if err := r.Serve(ctx, socket); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second agent on one socket: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	if err := agent.Call(t.Context(), "GET", "/v1/status", nil, &out); err == nil || !strings.Contains(err.Error(), "no agent answers") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestSlowFollower loses events, is told, and holds up nobody.
func TestSlowFollower(t *testing.T) {
	var h hub
	slow := h.follow(func(*seawall.Event) bool { return true })
	quick := h.follow(func(ev *seawall.Event) bool { return ev.Kind == seawall.EventExec })
	for range followerRoom + 10 {
		h.publish(&seawall.Event{Kind: seawall.EventOpen})
	}
	h.publish(exec(1, "/x"))
	if len(quick.events) != 1 || slow.lost.Load() != 11 || quick.lost.Load() != 0 {
		t.Errorf("quick has %d, slow lost %d", len(quick.events), slow.lost.Load())
	}
	h.leave(slow)
	h.leave(quick)
	if h.any.Load() != 0 {
		t.Error("somebody is left")
	}
}

// TestProfilesOutliveTheAgent keeps what was learnt.
func TestProfilesOutliveTheAgent(t *testing.T) {
	r := start(t, nil)
	close(r.ready)
	r.modes.pod(podUID, &seawall.Pod{Namespace: "shop", Name: "web-1", UID: podUID, Workload: seawall.Workload{Kind: "Deployment", Name: "web"}})
	r.container()
	r.sensor.add(exec(10, "/server"))
	for len(r.profiles.Profiles()) == 0 {
		time.Sleep(time.Millisecond)
	}
	state := r.o.State
	r.stop()
	again := start(t, func(o *Options) { o.State = state })
	close(again.ready)
	if p := again.profiles.Profiles(); len(p) != 1 || p[0].Key.Workload.Name != "web" {
		t.Errorf("%+v", p)
	}
	again.stop()
	if err := os.WriteFile(filepath.Join(state, "profiles.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := start(t, func(o *Options) { o.State = state })
	close(broken.ready)
	if s, _ := broken.Status(); !strings.Contains(s.Problems["profiles"], "learnt anew") {
		t.Errorf("%v", s.Problems)
	}
}

func TestRecentIsBounded(t *testing.T) {
	var r recent
	for n := range maxRecent + 5 {
		ev := exec(uint32(n), "/x")
		ev.Pod = &seawall.Pod{UID: strconv.Itoa(n)}
		ev.Time = time.Unix(int64(n), 0)
		r.add(ev)
	}
	if len(r.pods) != maxRecent || r.of("0") != nil || len(r.of("5")) != 1 {
		t.Errorf("%d pods", len(r.pods))
	}
	for n := range 1000 {
		ev := exec(uint32(n), "/x")
		ev.Pod = &seawall.Pod{UID: "last"}
		ev.Time = time.Unix(10_000, 0)
		r.add(ev)
	}
	if got := r.of("last"); len(got) != 512 || got[0].Process.PID != 488 || got[511].Process.PID != 999 {
		t.Errorf("%d events", len(got))
	}
}
