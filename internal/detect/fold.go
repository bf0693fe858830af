package detect

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"seawall.io/seawall"
)

// foldWindow is how long repeats of an alert are counted before one alert says
// how many there were, in nanoseconds.
const foldWindow = 60e9

// raise makes an alert of the event, unless somebody accepted it or it repeats one
// that went out.
func (e *Engine) raise(r *rule, earlier []*seawall.Event, n uint64) *seawall.Alert {
	ev := e.frame.event
	if e.options.Exceptions.accept(&e.frame, r.ID) {
		r.stats.Accepted += n
		e.stats.Accepted += n
		return nil
	}
	node := ev.Node
	if node == "" {
		node = e.options.Node
	}
	cause := ""
	if r.Count == 0 {
		cause = causeOf(ev)
	}
	return e.folds.add(&seawall.Alert{
		Fingerprint: fingerprint(r.ID, node, ev, cause),
		Rule:        r.shared,
		Severity:    r.severity,
		Respond:     r.Respond,
		Time:        ev.Time,
		Node:        node,
		Message:     r.say(&e.frame),
		Event:       ev,
		Earlier:     earlier,
		Count:       n,
	}, e.now, func() string { return fingerprint(r.ID, node, ev, "and more") })
}

// fingerprint names a check, where it matched and why. Pods of one workload share
// it; processes of the node's own are told apart by node.
func fingerprint(id, node string, ev *seawall.Event, cause string) string {
	parts := []string{id}
	if ev.Pod != nil {
		w := ev.Pod.Workload.String()
		if w == "" {
			w = ev.Pod.Name
		}
		parts = append(parts, ev.Pod.Namespace, w)
	} else {
		parts = append(parts, node)
	}
	if c := ev.Container; c != nil {
		name := c.Name
		if name == "" {
			name = c.ID
		}
		parts = append(parts, name)
	}
	if ev.Process != nil && cause != "and more" {
		parts = append(parts, ev.Process.Exe)
	}
	return hash(append(parts, cause)...)
}

// causeOf is what an event acted on, as far as it tells one cause from another.
func causeOf(ev *seawall.Event) string {
	var parts []string
	add := func(s string) { parts = append(parts, s) }
	if ev.File != nil {
		add(ev.File.Path)
		add(ev.File.To)
	}
	if s := ev.Socket; s != nil {
		add(s.Protocol)
		if s.Remote.IsValid() {
			add(s.Remote.Addr().Unmap().String())
		} else if s.Local.IsValid() {
			add(s.Local.String())
		}
		add(s.Path)
	}
	if ev.DNS != nil {
		add(ev.DNS.Name)
	}
	if ev.TLS != nil {
		add(ev.TLS.ServerName)
	}
	if ev.Call != nil {
		add(ev.Call.Name)
		add(ev.Call.Op)
	}
	add(ev.Capability)
	parts = append(parts, ev.Syscalls...)
	return strings.Join(parts, "\x00")
}

// hash returns 128 bits of the texts as hex.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p) //nolint:errcheck // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// folds counts repeats: the first alert of a fingerprint in a container goes out at
// once, what follows within the window becomes one alert at its end. Pods of one
// workload share fingerprints, and are told apart all the same: each may have to be
// isolated.
type folds struct {
	limits Limits
	open   map[foldKey]*fold
	queue  *list.List // of *fold, the oldest first
	// perContainer counts those of one check in one container.
	perContainer map[foldOwner]int
	sent, folded uint64
	due          []*seawall.Alert // of folds that had to make room
}

type foldOwner struct{ check, container string }

type foldKey struct{ fingerprint, container string }

// fold is an alert that is being counted.
type fold struct {
	key   foldKey
	owner foldOwner
	since uint64 // nanoseconds since boot
	last  *seawall.Alert
	more  uint64
	place *list.Element
}

func newFolds(l Limits) *folds {
	return &folds{limits: l, open: map[foldKey]*fold{}, queue: list.New(), perContainer: map[foldOwner]int{}}
}

// add returns the alert where it is the first, nil where it was counted. Beyond
// the limit for its check and container, alerts of all causes are one: other
// returns their fingerprint.
func (f *folds) add(a *seawall.Alert, now uint64, other func() string) *seawall.Alert {
	fo := foldOwner{a.Check, owner(a.Event)}
	key := foldKey{a.Fingerprint, fo.container}
	if f.open[key] == nil && f.perContainer[fo] >= f.limits.ContainerFolds {
		a.Fingerprint = other()
		key.fingerprint = a.Fingerprint
	}
	if known := f.open[key]; known != nil {
		known.more += a.Count
		known.last = a
		f.folded += a.Count
		return nil
	}
	if f.queue.Len() >= f.limits.Folds {
		f.close(f.queue.Front().Value.(*fold))
	}
	n := &fold{key: key, owner: fo, since: now, last: a}
	n.place = f.queue.PushBack(n)
	f.open[key] = n
	f.perContainer[fo]++
	return f.send(a)
}

func (f *folds) send(a *seawall.Alert) *seawall.Alert {
	f.sent++
	a.ID = hash(a.Fingerprint, a.Node, owner(a.Event), fmt.Sprint(a.Event.Boot, a.Time.UnixNano(), a.Event.Seq, a.Count), "alert")
	return a
}

// close forgets a fold; what it counted is due.
func (f *folds) close(n *fold) {
	f.queue.Remove(n.place)
	delete(f.open, n.key)
	if f.perContainer[n.owner]--; f.perContainer[n.owner] == 0 {
		delete(f.perContainer, n.owner)
	}
	if n.more > 0 {
		f.due = append(f.due, f.summary(n))
	}
}

func (f *folds) summary(n *fold) *seawall.Alert {
	a := *n.last
	a.Count = n.more
	return f.send(&a)
}

// expire returns the summaries of windows that have ended. Where there was
// something to tell the window begins anew.
func (f *folds) expire(now uint64) []*seawall.Alert {
	out := f.due
	f.due = nil
	for front := f.queue.Front(); front != nil; front = f.queue.Front() {
		n := front.Value.(*fold)
		if now-n.since < foldWindow {
			break
		}
		if n.more == 0 {
			f.close(n)
			continue
		}
		out = append(out, f.summary(n))
		n.since, n.more = now, 0
		f.queue.MoveToBack(front)
	}
	return out
}

func (f *folds) flush() []*seawall.Alert {
	for f.queue.Len() > 0 {
		f.close(f.queue.Front().Value.(*fold))
	}
	out := f.due
	f.due = nil
	return out
}
