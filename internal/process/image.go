package process

import (
	"cmp"
	"strings"

	"seawall.io/seawall"
)

// Chains of ancestors are cut to keepDepth when they reach maxDepth, so that a
// process that forks and exits for ever does not leave an endless line behind it.
// Checks look at 16 ancestors.
const (
	maxDepth  = 32
	keepDepth = 16
)

// image is a process while it ran one program with one set of credentials. It is
// never changed once an event has it. Entries and the images of children own it;
// when nobody does it no longer counts against the table's limits, though events
// may still have it.
type image struct {
	seawall.Process
	parent *image
	text   *text
	depth  int
	refs   int
	// known images have their program, by exec, by a list or from a parent that had
	// it; own ones did not get it from the parent.
	known, own bool
}

// text is what the strings of a program cost, shared by all images of it.
type text struct {
	group *group
	bytes int
	refs  int
}

// newImage returns an image that its caller owns.
func (t *Table) newImage(i image, parent *image) *image {
	i.refs, i.depth, i.parent, i.TID, i.Parent = 1, 0, parent, 0, nil
	if parent != nil {
		parent.refs++
		i.depth, i.Parent = parent.depth+1, &parent.Process
	}
	if i.text != nil {
		i.text.refs++
	}
	t.images++
	return &i
}

// release gives up one ownership of an image.
func (t *Table) release(i *image) {
	for i != nil {
		if i.refs--; i.refs > 0 {
			return
		}
		t.images--
		t.forget(i.text)
		i = i.parent
	}
}

func (t *Table) forget(x *text) {
	if x == nil {
		return
	}
	if x.refs--; x.refs == 0 {
		t.text -= x.bytes
		x.group.text -= x.bytes
		t.drop(x.group)
	}
}

// cut copies the last keepDepth images of a chain.
func (t *Table) cut(i *image, n int) *image {
	if n == 0 || i == nil {
		return nil
	}
	parent := t.cut(i.parent, n-1)
	out := t.newImage(*i, parent)
	t.release(parent)
	return out
}

// rebuilt returns an image as it is with another parent: what it did not get by
// itself it has from there.
func (t *Table) rebuilt(i, parent *image) *image {
	next := *i
	if parent != nil && !i.own {
		inherit(&next, parent)
	}
	return t.newImage(next, parent)
}

// inherit gives an image the program of its parent, as fork does.
func inherit(i, parent *image) {
	i.Exe, i.Args, i.ArgsBytes, i.Cwd = parent.Exe, parent.Args, parent.ArgsBytes, parent.Cwd
	i.TTY, i.Program, i.Stdio, i.Entry = parent.TTY, parent.Program, parent.Stdio, parent.Entry
	i.text, i.known = parent.text, parent.known
	if i.Cgroup == 0 { // no header: the child is what its parent was
		i.Comm, i.UID, i.EUID, i.GID, i.Caps = parent.Comm, parent.UID, parent.EUID, parent.GID, parent.Caps
		i.NS, i.Cgroup = parent.NS, parent.Cgroup
	}
}

// sameHeader says whether an image agrees with what a record says of the moment.
func sameHeader(i *image, bare *seawall.Process) bool {
	return i.Cgroup == bare.Cgroup && i.Comm == bare.Comm && i.UID == bare.UID && i.EUID == bare.EUID && i.GID == bare.GID &&
		i.Caps == bare.Caps && (bare.NSPID == 0 || i.NSPID == bare.NSPID) &&
		(bare.NS == nil || i.NS != nil && *i.NS == merged(*i.NS, bare.NS))
}

// merged returns namespaces as a record has them, which need not know all.
func merged(known seawall.Namespaces, record *seawall.Namespaces) seawall.Namespaces {
	known.Mnt = cmp.Or(record.Mnt, known.Mnt)
	known.Net = cmp.Or(record.Net, known.Net)
	known.PID = cmp.Or(record.PID, known.PID)
	known.User = cmp.Or(record.User, known.User)
	known.UTS = cmp.Or(record.UTS, known.UTS)
	known.IPC = cmp.Or(record.IPC, known.IPC)
	known.Cgroup = cmp.Or(record.Cgroup, known.Cgroup)
	return known
}

// setHeader takes over what a record says of the moment.
func setHeader(p, bare *seawall.Process) {
	p.Cgroup, p.Comm, p.UID, p.EUID, p.GID, p.Caps = bare.Cgroup, bare.Comm, bare.UID, bare.EUID, bare.GID, bare.Caps
	if bare.NSPID != 0 {
		p.NSPID = bare.NSPID
	}
	switch {
	case bare.NS == nil:
	case p.NS == nil:
		p.NS = bare.NS
	default:
		if ns := merged(*p.NS, bare.NS); ns != *p.NS {
			p.NS = &ns
		}
	}
}

// keep charges the strings of a program to the group of its entry and cuts what the
// group has no room for: arguments first, then the working directory.
func (t *Table) keep(e *entry, p *seawall.Process) *text {
	g, share := e.group, t.share()
	for g.text+size(p) > share && g.exited.first != nil && g.exited.first != e {
		t.stats.Evicted++
		t.remove(g.exited.first)
	}
	if over := g.text + size(p) - share; over > 0 && len(p.Args) > 0 {
		t.stats.Cut++
		if p.ArgsBytes == 0 {
			for _, a := range p.Args {
				p.ArgsBytes += uint64(len(a)) + 1
			}
		}
		n := len(p.Args)
		for ; n > 0 && over > 0; n-- {
			over -= argCost(p.Args[n-1])
		}
		kept := make([]string, n)
		for i := range kept {
			kept[i] = strings.Clone(p.Args[i]) // the rest of a long string goes
		}
		p.Args = kept
	}
	if g.text+size(p) > share {
		p.Cwd = ""
	}
	x := &text{group: g, bytes: size(p)}
	g.text += x.bytes
	t.text += x.bytes
	return x
}

// share is how much text one group may have.
func (t *Table) share() int { return t.options.Text / 4 }

const headerOfString = 16

func argCost(a string) int { return len(a) + headerOfString }

func size(p *seawall.Process) int {
	n := len(p.Exe) + len(p.Cwd)
	for _, a := range p.Args {
		n += argCost(a)
	}
	return n
}
