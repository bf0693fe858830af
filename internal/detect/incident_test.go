package detect_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/detect"
)

// alertOf is an alert of a check in a pod of that name, or on the node where it
// has none, at a second.
func alertOf(id, pod string, pid uint32, at float64, refs ...string) *seawall.Alert {
	ev := event(seawall.EventExec, "", pid, at)
	if pod != "" {
		ev.Container = &seawall.Container{ID: "container-of-" + pod, Name: "app"}
		ev.Pod = &seawall.Pod{Namespace: "shop", Name: pod, UID: "uid-" + pod, IP: []string{podIP(pod)}}
		ev.Process.Entry = "exec"
	}
	return &seawall.Alert{
		ID: fmt.Sprint(id, pod, pid, at), Rule: &seawall.Rule{Check: id, Refs: refs}, Severity: seawall.Medium,
		Time: ev.Time, Node: "n1", Message: "about " + id, Event: ev, Count: 1,
	}
}

func podIP(pod string) string { return "10.0.0." + pod[len(pod)-1:] }

// to makes an alert one on a connection to another pod.
func to(a *seawall.Alert, pod string) *seawall.Alert {
	a.Event.Kind = seawall.EventConnect
	a.Event.Socket = &seawall.Socket{Protocol: "tcp", Remote: netip.AddrPortFrom(netip.MustParseAddr(podIP(pod)), 80)}
	return a
}

func TestIncidentsGroup(t *testing.T) {
	sshd := &seawall.Process{PID: 60, Start: 60, Parent: &seawall.Process{PID: 1, Start: 1}}
	onNode := func(pid uint32, at float64) *seawall.Alert {
		a := alertOf("a", "", pid, at)
		a.Event.Process.Parent = sshd
		return a
	}
	hostNetwork := func(a *seawall.Alert) *seawall.Alert {
		a.Event.Pod.HostNetwork = true
		return a
	}
	lost := &seawall.Alert{ID: "l", Rule: &seawall.Rule{Check: "events-lost"}, Node: "n1", Time: day, Event: &seawall.Event{Kind: seawall.EventLoss, Boot: second}}
	tests := []struct {
		name   string
		alerts []*seawall.Alert
		want   string // a letter for each alert: the same letter is the same incident
	}{
		{"one-container", []*seawall.Alert{alertOf("a", "p1", 5, 1), alertOf("b", "p1", 6, 2)}, "aa"},
		{"two-pods", []*seawall.Alert{alertOf("a", "p1", 5, 1), alertOf("a", "p2", 6, 2)}, "ab"},
		{"a-pause", []*seawall.Alert{alertOf("a", "p1", 5, 1), alertOf("a", "p1", 5, 600), alertOf("a", "p1", 5, 1201)}, "aab"},
		{"tree-on-the-node", []*seawall.Alert{onNode(61, 1), onNode(62, 2), alertOf("a", "", 70, 3)}, "aab"},
		{"moves-on", []*seawall.Alert{to(alertOf("a", "p1", 5, 1), "p2"), alertOf("b", "p2", 6, 2), to(alertOf("c", "p2", 6, 3), "p3"), alertOf("d", "p3", 7, 4)}, "aaaa"},
		{"came-from", []*seawall.Alert{alertOf("b", "p2", 6, 1), to(alertOf("a", "p1", 5, 2), "p2")}, "aa"},
		{"same-peer-is-nothing", []*seawall.Alert{to(alertOf("a", "p1", 5, 1), "p9"), to(alertOf("a", "p2", 6, 2), "p9")}, "ab"},
		{"node-network", []*seawall.Alert{hostNetwork(alertOf("a", "p1", 5, 1)), to(alertOf("a", "p2", 6, 2), "p1")}, "ab"},
		{"found-to-be-one", []*seawall.Alert{alertOf("a", "p1", 5, 1), alertOf("a", "p2", 6, 2), to(alertOf("b", "p2", 6, 3), "p1"), alertOf("c", "p2", 6, 4)}, "abaa"},
		{"sensor", []*seawall.Alert{lost, alertOf("a", "p1", 5, 2)}, "ab"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var in detect.Incidents
			var got []byte
			letters := map[string]byte{}
			for _, a := range tt.alerts {
				changed := in.Add(a)
				if changed[0].ID != a.Incident {
					t.Errorf("the alert is of %s, the incident is %s", a.Incident, changed[0].ID)
				}
				for _, other := range changed[1:] {
					if !other.Closed {
						t.Errorf("%s changed and is not closed", other.ID)
					}
				}
				if letters[a.Incident] == 0 {
					letters[a.Incident] = 'a' + byte(len(letters))
				}
				got = append(got, letters[a.Incident])
			}
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestIncidentTellsItsStory(t *testing.T) {
	var in detect.Incidents
	apache := &seawall.Process{PID: 7, Start: second, Exe: "/usr/sbin/apache2", Entry: "init"}
	sh := &seawall.Process{PID: 20, Start: 90 * second, Exe: "/bin/sh", Args: []string{"sh", "-c", "id\n"}, Parent: apache}
	drop := event(seawall.EventWrite, "c", 20, 95)
	drop.Process, drop.File = sh, &seawall.File{Path: "/tmp/x"}
	first := alertOf("shell", "p1", 20, 100, "mitre:T1059.004")
	first.Event.Process, first.Earlier = sh, []*seawall.Event{drop}
	in.Add(first)
	second := alertOf("miner", "p1", 21, 110, "mitre:T1496", "mitre:T1496.001")
	second.Event.Process = &seawall.Process{PID: 21, Start: 105e9, Exe: "/tmp/x", Parent: sh}
	second.Count = 3
	got := in.Add(second)[0]
	var story []string
	for _, e := range got.Timeline {
		story = append(story, fmt.Sprintf("%s %d %s %s", e.Time.Format("15:04:05"), e.PID, e.Check, e.Text))
	}
	want := []string{
		`12:00:01 7  process /usr/sbin/apache2`,
		`12:01:30 20  process /bin/sh -c id\n, started by apache2 (7)`,
		`12:01:35 20  sh: write /tmp/x`,
		`12:01:40 20 shell about shell`,
		`12:01:45 21  process /tmp/x, started by sh (20)`,
		`12:01:50 21 miner about miner (3 times)`,
	}
	if !slices.Equal(story, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(story, "\n"), strings.Join(want, "\n"))
	}
	if got.Root.PID != 7 || got.Alerts != 2 || !slices.Equal(got.Checks, []string{"shell", "miner"}) || !got.First.Equal(drop.Time) || !got.Last.Equal(second.Time) {
		t.Errorf("%+v", got)
	}
	if got.Severity != seawall.Medium {
		t.Errorf("two tactics: %s", got.Severity)
	}
	if got := in.Add(alertOf("scan", "p1", 22, 120, "mitre:T1046", "cis:5.1"))[0]; got.Severity != seawall.High {
		t.Errorf("three tactics: %s", got.Severity)
	}
	act := seawall.TimelineEntry{Time: second.Time, Text: "isolated", Act: "isolate"}
	if got := in.Note(first.Incident, act); got == nil || !slices.Contains(got.Timeline, act) {
		t.Errorf("the act is not in the story: %+v", got)
	}
	if over := in.Advance(2000e9); len(over) != 1 || !over[0].Closed || in.Note(first.Incident, act) != nil {
		t.Errorf("not closed: %+v", over)
	}
}

func TestIncidentsAreBounded(t *testing.T) {
	var in detect.Incidents
	var last *seawall.Incident
	for i := range uint32(1000) {
		last = in.Add(alertOf("a", "p1", 1000+i, 10+float64(i)/10))[0]
	}
	if len(last.Timeline) != 256 || last.Dropped == 0 || last.Alerts != 1000 {
		t.Errorf("%d lines, %d dropped, %d alerts", len(last.Timeline), last.Dropped, last.Alerts)
	}
	if !slices.IsSortedFunc(last.Timeline, func(a, b seawall.TimelineEntry) int { return a.Time.Compare(b.Time) }) {
		t.Error("the story is out of order")
	}
	closed := 0
	for i := range uint32(3000) {
		closed += len(in.Add(alertOf("a", fmt.Sprint("q", i), 5000+i, 200+float64(i)/100))) - 1
	}
	if closed != 3001-1024 || in.Evicted() != 3001-1024 {
		t.Errorf("%d closed, %d counted", closed, in.Evicted())
	}
}

func TestIncidentIDsAreStable(t *testing.T) {
	id := func(at float64) string {
		var in detect.Incidents
		return in.Add(alertOf("a", "p1", 5, at))[0].ID
	}
	first := id(1)
	if first != id(1) || first == id(2) {
		t.Error("an ID must follow from the first alert, and from nothing else")
	}
}

// TestTacticsAreKnown holds the references of checks to techniques that the table
// of tactics has.
func TestTacticsAreKnown(t *testing.T) {
	for _, r := range runtimeRules(t) {
		for _, ref := range r.Refs {
			if strings.HasPrefix(ref, "mitre:") && len(detect.Tactics([]string{ref})) == 0 {
				t.Errorf("%s: no tactic is known for %s: add it in internal/detect/tactic.go", r.File, ref)
			}
		}
	}
}
