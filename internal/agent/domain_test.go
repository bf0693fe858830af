package agent

import (
	"errors"
	"testing"

	"seawall.io/seawall"
)

func TestDomain(t *testing.T) {
	at := map[uint32]seawall.Cgroup{7: {ID: 70, Path: "/node2/kubepods/pod7"}, 8: {ID: 80, Path: "/node1/kubepods/pod8"}}
	d := newDomain("node1/", func(pid uint32) (seawall.Cgroup, error) {
		if g, ok := at[pid]; ok {
			return g, nil
		}
		return seawall.Cgroup{}, errors.New("gone")
	})
	group := func(id uint64, path string) *seawall.Event {
		return &seawall.Event{Kind: seawall.EventContainer, Cgroup: &seawall.Cgroup{ID: id, Path: path}}
	}
	from := func(pid uint32, cgroup uint64) *seawall.Event {
		return &seawall.Event{Kind: seawall.EventExec, Process: &seawall.Process{PID: pid, Cgroup: cgroup}}
	}
	gone := group(10, "/node1/a")
	gone.Cgroup.Removed = true
	for _, step := range []struct {
		name string
		ev   *seawall.Event
		want bool
	}{
		{"the root of all", group(1, "/"), false},
		{"its own root", group(9, "/node1"), true},
		{"a group of its own", group(10, "/node1/a"), true},
		{"a name that begins alike", group(11, "/node10/a"), false},
		{"a process of its own", from(100, 10), true},
		{"a process of another", from(101, 11), false},
		{"found by its process", from(8, 80), true},
		{"another's, found by its process", from(7, 70), false},
		{"remembered although the process is gone", from(107, 70), false},
		{"its process has moved since", from(8, 81), true},
		{"nobody knows", from(109, 109), true},
		{"the sensor itself", &seawall.Event{Kind: seawall.EventLoss}, true},
		{"a group of its own, removed", gone, true},
	} {
		if got := d.holds(step.ev); got != step.want {
			t.Errorf("%s: %t, want %t", step.name, got, step.want)
		}
	}
	if _, kept := d.in[10]; kept {
		t.Error("a group that is gone is remembered")
	}
	for _, all := range []string{"", "/"} {
		if d := newDomain(all, nil); !d.holds(group(1, "/")) || !d.holds(from(7, 70)) || len(d.in) > 0 {
			t.Errorf("%q leaves something out, or remembers groups", all)
		}
	}
}

func TestOfRuntime(t *testing.T) {
	shim := &seawall.Process{PID: 10, Entry: "node"}
	setup := &seawall.Process{PID: 11, Entry: "node", Parent: shim}
	again := &seawall.Process{PID: 12, Parent: setup}
	first := &seawall.Process{PID: 13, Entry: "init", Parent: again}
	child := &seawall.Process{PID: 14, Parent: first}
	put := &seawall.Process{PID: 15, Entry: "exec", Parent: setup}
	c := &seawall.Container{ID: "c"}
	for _, tt := range []struct {
		name      string
		kind      seawall.EventKind
		process   *seawall.Process
		container *seawall.Container
		want      bool
	}{
		{"runc mounts", seawall.EventMount, setup, c, true},
		{"runc from memory mounts", seawall.EventMount, again, c, true},
		{"the container's program mounts", seawall.EventMount, first, c, false},
		{"its child mounts", seawall.EventMount, child, c, false},
		{"what was put in mounts", seawall.EventMount, put, c, false},
		{"the node mounts", seawall.EventMount, setup, nil, false},
		{"somebody of whom nothing is known mounts", seawall.EventMount, &seawall.Process{PID: 20}, c, false},
		{"a program runs", seawall.EventExec, again, c, false},
		{"somebody connects", seawall.EventConnect, setup, c, false},
		{"the sensor says something", seawall.EventLoss, nil, c, false},
	} {
		if got := ofRuntime(&seawall.Event{Kind: tt.kind, Process: tt.process, Container: tt.container}); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}
