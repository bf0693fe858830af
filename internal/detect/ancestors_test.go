package detect

import (
	"testing"

	"seawall.io/seawall"
)

// TestAncestorsEndAtTheEntry: the runtime that started a container is no ancestor of
// its programs, so that a check which spares what a runtime does spares no container.
func TestAncestorsEndAtTheEntry(t *testing.T) {
	runtime := &seawall.Process{PID: 1, Exe: "/usr/bin/containerd", Entry: "node"}
	runc := &seawall.Process{PID: 2, Exe: "/usr/sbin/runc", Entry: "node", Parent: runtime}
	first := &seawall.Process{PID: 3, Exe: "/bin/sh", Entry: "exec", Parent: runc}
	child := &seawall.Process{PID: 4, Exe: "/bin/cp", Parent: first}
	c, err := ParseCondition(`process.ancestors.exists(a, a.name == "containerd")`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		p    *seawall.Process
		size int
		runs bool // below the runtime
	}{{runc, 1, true}, {first, 0, false}, {child, 1, false}} {
		if got := (*chain)(tt.p).size(); got != tt.size {
			t.Errorf("%s has %d ancestors, want %d", tt.p.Exe, got, tt.size)
		}
		if got := c.Holds(&seawall.Event{Kind: seawall.EventExec, Process: tt.p}); got != tt.runs {
			t.Errorf("%s runs below the runtime: %t, want %t", tt.p.Exe, got, tt.runs)
		}
	}
}
