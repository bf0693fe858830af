package agent

import (
	"path"
	"strings"

	"seawall.io/seawall"
)

// domain is the part of the control groups that is the node's: all of them, unless
// several nodes share a kernel, as in clusters whose nodes are containers. It is for
// one goroutine.
type domain struct {
	root string // a path below which the node's groups lie; empty is all
	in   map[uint64]bool
	// find looks up the group of a process.
	find func(pid uint32) (seawall.Cgroup, error)
}

func newDomain(root string, find func(uint32) (seawall.Cgroup, error)) domain {
	if root != "" {
		root = path.Clean("/" + root)
	}
	if root == "/" {
		root = ""
	}
	return domain{root: root, in: map[uint64]bool{}, find: find}
}

// covers says whether a group is the node's.
func (d *domain) covers(g seawall.Cgroup) bool {
	return d.root == "" || g.Path == d.root || strings.HasPrefix(g.Path, d.root+"/")
}

// note remembers whose a group is, for events that have its number only.
func (d *domain) note(g seawall.Cgroup) bool {
	in := d.covers(g)
	switch {
	case d.root == "":
	case g.Removed:
		delete(d.in, g.ID)
	default:
		d.in[g.ID] = in
	}
	return in
}

// holds says whether an event is the node's. Those of which it cannot be told are:
// what the sensor says of itself, and events of groups that nobody told of and whose
// process is gone.
func (d *domain) holds(ev *seawall.Event) bool {
	switch {
	case d.root == "":
		return true
	case ev.Cgroup != nil:
		return d.note(*ev.Cgroup)
	case ev.Process == nil || ev.Process.Cgroup == 0:
		return true
	}
	if in, known := d.in[ev.Process.Cgroup]; known {
		return in
	}
	if g, err := d.find(ev.Process.PID); err == nil && g.ID == ev.Process.Cgroup {
		return d.note(g)
	}
	return true
}
