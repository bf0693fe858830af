package detect

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"seawall.io/seawall"
)

// Limits of incidents.
const (
	// incidentIdle is how long after its last alert an incident is open, in
	// nanoseconds.
	incidentIdle = 10 * 60e9
	// maxOpen is how many are open at once; the one that was idle longest is closed
	// before its time.
	maxOpen = 1024
	// maxTimeline is how many lines a story has. Its first quarter stays, since how
	// it began matters most; the oldest of the rest go.
	maxTimeline = 256
	// maxKnown is how many processes and peers an incident knows.
	maxKnown = 256
	// raisingTactics is how many tactics raise the severity by one step.
	raisingTactics = 3
)

// Incidents groups alerts: those of one tree of processes, one container or one
// pod, with no pause of ten minutes between them, are one incident, and so are
// those of a pod that another incident's alert has as its peer. The zero value is
// ready to use, by one goroutine at a time.
type Incidents struct {
	open map[string]*incident // by ID
	keys map[string]*incident // by what alerts have in common
	now  uint64               // nanoseconds since boot
	due  uint64               // until then no incident is over
	// evicted counts those that were closed before their time.
	evicted uint64
}

// incident is one that is open.
type incident struct {
	seawall.Incident
	worst   seawall.Severity
	tactics map[string]bool
	known   map[scope]bool // processes that the story has told of
	keys    map[string]bool
	last    uint64 // nanoseconds since boot
}

// Add puts an alert into an incident, says so in the alert, and returns the
// incidents that changed, the alert's own first: others were closed because they
// turned out to be the same, or because their time was over.
func (in *Incidents) Add(a *seawall.Alert) []*seawall.Incident {
	if in.open == nil {
		in.open, in.keys = map[string]*incident{}, map[string]*incident{}
	}
	over := in.Advance(a.Event.Boot)
	looked, own := incidentKeys(a)
	found := in.find(looked)
	var i *incident
	if len(found) == 0 {
		if len(in.open) >= maxOpen {
			in.evicted++
			over = append(over, in.close(in.idlest()))
		}
		i = newIncident(a)
		in.open[i.ID] = i
	} else {
		i = found[0]
		for _, other := range found[1:] {
			over = append(over, in.merge(i, other))
		}
	}
	i.add(a, in.now)
	for _, k := range own {
		if in.keys[k] == nil && len(i.keys) < maxKnown {
			in.keys[k] = i
			i.keys[k] = true
		}
	}
	a.Incident = i.ID
	return append([]*seawall.Incident{i.snapshot()}, over...)
}

// find returns the open incidents that alerts with the keys belong to, the first
// to begin first.
func (in *Incidents) find(keys []string) []*incident {
	var out []*incident
	for _, k := range keys {
		if i := in.keys[k]; i != nil && !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *incident) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Advance tells what time it is, in nanoseconds since boot, and returns the
// incidents that are over.
func (in *Incidents) Advance(boot uint64) []*seawall.Incident {
	in.now = max(in.now, boot)
	if in.now <= in.due {
		return nil
	}
	var out []*seawall.Incident
	earliest := in.now
	for _, id := range slices.Sorted(maps.Keys(in.open)) {
		i := in.open[id]
		if past(i.last, in.now, incidentIdle) {
			out = append(out, in.close(i))
		} else {
			earliest = min(earliest, i.last)
		}
	}
	in.due = later(earliest, incidentIdle)
	return out
}

// Note adds what Seawall did to the story of an incident. It returns nil where the
// incident is no longer open.
func (in *Incidents) Note(id string, entry seawall.TimelineEntry) *seawall.Incident {
	i := in.open[id]
	if i == nil {
		return nil
	}
	i.tell(entry)
	return i.snapshot()
}

// Evicted returns how many incidents were closed before their time because too
// many were open.
func (in *Incidents) Evicted() uint64 { return in.evicted }

func (in *Incidents) idlest() *incident {
	return slices.MinFunc(slices.Collect(maps.Values(in.open)), func(a, b *incident) int {
		return cmp.Or(cmp.Compare(a.last, b.last), cmp.Compare(a.ID, b.ID))
	})
}

func (in *Incidents) close(i *incident) *seawall.Incident {
	for k := range i.keys {
		if in.keys[k] == i {
			delete(in.keys, k)
		}
	}
	delete(in.open, i.ID)
	i.Closed = true
	return i.snapshot()
}

// merge makes one incident of two, and closes the second.
func (in *Incidents) merge(into, other *incident) *seawall.Incident {
	closed := in.close(other)
	for k := range other.keys {
		in.keys[k] = into
		into.keys[k] = true
	}
	for _, e := range other.Timeline {
		into.tell(e)
	}
	into.Dropped += other.Dropped
	into.Alerts += other.Alerts
	for _, c := range other.Checks {
		if !slices.Contains(into.Checks, c) {
			into.Checks = append(into.Checks, c)
		}
	}
	maps.Copy(into.tactics, other.tactics)
	maps.Copy(into.known, other.known)
	into.worst = max(into.worst, other.worst)
	if other.Last.After(into.Last) {
		into.Last = other.Last
	}
	if other.First.Before(into.First) {
		into.First = other.First
	}
	closed.Timeline = append(closed.Timeline, seawall.TimelineEntry{Time: other.Last, Text: "found to be one with incident " + into.ID})
	return closed
}

// incidentKeys returns the keys under which an alert looks for its incident, and
// those under which later alerts find it.
func incidentKeys(a *seawall.Alert) (looked, own []string) {
	ev := a.Event
	both := func(parts ...string) {
		k := strings.Join(parts, "\x00")
		looked, own = append(looked, k), append(own, k)
	}
	if p := ev.Process; p != nil {
		root := treeRoot(p, ev.Container != nil)
		both("tree", a.Node, strconv.FormatUint(uint64(root.PID), 10), strconv.FormatUint(root.Start, 10))
	}
	if ev.Container != nil {
		both("container", ev.Container.ID)
	}
	if pod := ev.Pod; pod != nil {
		both("pod", pod.Namespace, pod.Name, pod.UID)
		if !pod.HostNetwork {
			for _, ip := range pod.IP {
				looked, own = append(looked, "peer\x00"+ip), append(own, "ip\x00"+ip)
			}
		}
	}
	if len(own) == 0 {
		both("node", a.Node)
	}
	for _, e := range append([]*seawall.Event{ev}, a.Earlier...) {
		if e.Socket == nil {
			continue
		}
		if peer := e.Socket.Remote.Addr().Unmap(); isPeer(peer) {
			looked, own = append(looked, "ip\x00"+peer.String()), append(own, "peer\x00"+peer.String())
		}
	}
	return looked, own
}

// isPeer says whether an address may be another pod's.
func isPeer(a netip.Addr) bool {
	return a.IsValid() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsLinkLocalUnicast()
}

func newIncident(a *seawall.Alert) *incident {
	ev := a.Event
	i := &incident{
		Incident: seawall.Incident{First: a.Time, Node: a.Node, Pod: ev.Pod, Container: ev.Container},
		tactics:  map[string]bool{}, known: map[scope]bool{}, keys: map[string]bool{},
	}
	var pid, start uint64
	if ev.Process != nil {
		i.Root = treeRoot(ev.Process, ev.Container != nil)
		pid, start = uint64(i.Root.PID), i.Root.Start
	}
	i.ID = hash("incident", a.Node, fmt.Sprint(pid, start), a.ID)
	return i
}

func (i *incident) add(a *seawall.Alert, now uint64) {
	i.last = now
	i.Alerts++
	if a.Time.After(i.Last) {
		i.Last = a.Time
	}
	if !slices.Contains(i.Checks, a.Check) {
		i.Checks = append(i.Checks, a.Check)
	}
	i.worst = max(i.worst, a.Severity)
	for _, t := range Tactics(a.Refs) {
		i.tactics[t] = true
	}
	for _, ev := range a.Earlier {
		if ev.Time.Before(i.First) && !ev.Time.IsZero() {
			i.First = ev.Time
		}
		i.origin(ev)
		i.tell(seawall.TimelineEntry{Time: ev.Time, Text: describe(ev), PID: pidOf(ev)})
	}
	i.origin(a.Event)
	text := a.Message
	if a.Count > 1 {
		text += fmt.Sprintf(" (%d times)", a.Count)
	}
	i.tell(seawall.TimelineEntry{Time: a.Time, Text: text, Check: a.Check, PID: pidOf(a.Event)})
}

// origin tells of the start of each process that an event comes from and that the
// story has not told of.
func (i *incident) origin(ev *seawall.Event) {
	if ev.Process == nil {
		return
	}
	root := treeRoot(ev.Process, ev.Container != nil)
	for p, depth := ev.Process, 0; p != nil && depth <= maxDepth; p, depth = p.Parent, depth+1 {
		key := scope{pid: p.PID, start: p.Start}
		if !i.known[key] && len(i.known) < maxKnown {
			i.known[key] = true
			i.tell(seawall.TimelineEntry{Time: started(p, ev), Text: "process " + processText(p), PID: p.PID})
		}
		if p == root {
			return
		}
	}
}

// started is when a process started, on the clock of the event.
func started(p *seawall.Process, ev *seawall.Event) time.Time {
	if p.Start == 0 || ev.Boot < p.Start {
		return ev.Time
	}
	return ev.Time.Add(-time.Duration(ev.Boot - p.Start)) //nolint:gosec // centuries fit
}

// maxArguments is how much of a command line the story shows, in bytes.
const maxArguments = 200

func processText(p *seawall.Process) string {
	text := p.Exe
	if text == "" {
		text = p.Comm
	}
	if len(p.Args) > 1 {
		text += " " + shorten(strings.Join(p.Args[1:], " "), maxArguments)
	}
	if parent := p.Parent; parent != nil {
		text += fmt.Sprintf(", started by %s (%d)", programName(parent), parent.PID)
	}
	return printable(text, 2*maxArguments)
}

// describe says what happened, in the fewest words.
func describe(ev *seawall.Event) string {
	var parts []string
	if ev.Process != nil {
		parts = append(parts, programName(ev.Process)+":")
	}
	parts = append(parts, ev.Kind.String())
	for s := range strings.SplitSeq(causeOf(ev), "\x00") {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return printable(strings.Join(parts, " "), 2*maxArguments)
}

func pidOf(ev *seawall.Event) uint32 {
	if ev.Process == nil {
		return 0
	}
	return ev.Process.PID
}

// tell puts a line into the story where its time is.
func (i *incident) tell(e seawall.TimelineEntry) {
	at, _ := slices.BinarySearchFunc(i.Timeline, e, func(a, b seawall.TimelineEntry) int {
		return cmp.Or(a.Time.Compare(b.Time), -1) // after those of the same time
	})
	i.Timeline = slices.Insert(i.Timeline, at, e)
	if len(i.Timeline) > maxTimeline {
		i.Timeline = slices.Delete(i.Timeline, maxTimeline/4, maxTimeline/4+1)
		i.Dropped++
	}
}

// snapshot returns the incident as it is now.
func (i *incident) snapshot() *seawall.Incident {
	out := i.Incident
	out.Checks, out.Timeline = slices.Clone(i.Checks), slices.Clone(i.Timeline)
	out.Severity = i.worst
	if len(i.tactics) >= raisingTactics {
		out.Severity = min(i.worst+1, seawall.Critical)
	}
	return &out
}
