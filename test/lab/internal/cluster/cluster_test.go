package cluster

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	p := Plan{Index: 3}
	for _, test := range []struct{ name, got, want string }{
		{"nodes", p.Nodes().String(), "10.77.3.0/24"},
		{"host", p.Host().String(), "10.77.3.1"},
		{"node", p.Node(2).String(), "10.77.3.12"},
		{"pods", p.Pods().String(), "10.131.0.0/16"},
		{"pods-of-a-node", p.NodePods(2).String(), "10.131.2.0/24"},
		{"services", p.Services().String(), "10.99.0.0/16"},
		{"api-service", p.APIService().String(), "10.99.0.1"},
		{"server", p.Server(), "https://10.77.3.11:6443"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, test.got, test.want)
		}
	}
}

func TestPlansDoNotOverlap(t *testing.T) {
	for i := range MaxIndex + 1 {
		p := Plan{i}
		if !p.Nodes().Contains(p.Node(MaxNodes)) || !p.Pods().Overlaps(p.NodePods(MaxNodes)) {
			t.Errorf("index %d: node %d is outside of its ranges", i, MaxNodes)
		}
		if len(p.link()) > 15 {
			t.Errorf("the interface name %s is too long for the kernel", p.link())
		}
		for j := range i {
			for _, other := range []netip.Prefix{(Plan{j}).Nodes(), (Plan{j}).Pods(), (Plan{j}).Services()} {
				if p.overlaps(other) {
					t.Errorf("indexes %d and %d share addresses of %s", i, j, other)
				}
			}
		}
	}
}

func TestChooseIndex(t *testing.T) {
	taken := map[int]string{0: "a"}
	local := []netip.Prefix{netip.MustParsePrefix("10.129.7.7/24"), netip.MustParsePrefix("192.168.0.2/16")}
	tests := []struct {
		name   string
		wanted int
		want   int
		err    string
	}{
		{"first-free", AnyIndex, 2, ""}, // 0 is taken, 1 has 10.129.0.0/16
		{"wanted", 7, 7, ""},
		{"of-another-cluster", 0, 0, "cluster a has it"},
		{"of-the-machine", 1, 0, "10.129.7.7/24"},
		{"too-high", MaxIndex + 1, 0, "use 0 to"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := chooseIndex(test.wanted, taken, local)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"seawall": true, "a": true, "e2e-2": true,
		"": false, "A": false, "2a": false, "a-": false, "a_b": false, "../x": false, strings.Repeat("a", 32): false,
	} {
		if _, err := NewLayout("/cache", name); (err == nil) != want {
			t.Errorf("name %q: %v, want it taken: %t", name, err, want)
		}
	}
	l := layout(t)
	for name, want := range map[string]bool{
		"lab-switch": true, "lab-node1": true, "lab-node20": true,
		"lab-b-node1": false, "lab-node": false, "lab-nodes": false, "lab": false, "b-lab-node1": false, "lab-node1-x": false,
	} {
		if got := l.ownsNamespace(name); got != want {
			t.Errorf("namespace %s belongs to cluster lab: %t, want %t", name, got, want)
		}
	}
	for in, want := range map[string]int{"node2": 2, "lab-node2": 2, "2": 2, "node0": 0, "other-node1": 0, "node99": 0, "": 0} {
		if got, err := l.ParseNode(in); got != want || (err == nil) != (want > 0) {
			t.Errorf("node %q is %d, %v, want %d", in, got, err, want)
		}
	}
}

func TestRecord(t *testing.T) {
	l := layout(t)
	if _, err := l.Record(); !errors.Is(err, ErrNotUp) {
		t.Fatalf("without a record: %v, want %v", err, ErrNotUp)
	}
	want := Record{Name: "lab", Index: 3, Nodes: 2, Programs: "/p", Server: "https://s", Host: "h"}
	if err := l.writeRecord(want); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Record(); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	other := Layout{Name: "other", Cache: l.Cache}
	if got, err := other.takenIndexes(); err != nil || got[3] != "lab" {
		t.Errorf("other clusters see %v, %v, want index 3 taken by lab", got, err)
	}
	if got, err := l.takenIndexes(); err != nil || len(got) != 0 {
		t.Errorf("the cluster itself sees %v, %v, want none taken", got, err)
	}
}

func TestProcessMembership(t *testing.T) {
	l := layout(t)
	for environment, want := range map[string]bool{
		"A=b\x00" + marker + "=lab\x00C=d": true,
		marker + "=lab2":                   false,
		"X" + marker + "=lab":              false,
		"":                                 false,
	} {
		if got := l.marked([]byte(environment)); got != want {
			t.Errorf("environment %q: %t, want %t", environment, got, want)
		}
	}
	for cgroup, want := range map[string]bool{
		"4:memory:/lab-node1/kubepods/podx/y\n0::/\n": true,
		"0::/../../lab-node2/kubepods\n":              true,
		"0::/lab-b-node1/kubepods\n":                  false,
		"0::/user.slice/session-lab-node.scope\n":     false,
		"0::/\n": false,
	} {
		if got := l.grouped([]byte(cgroup)); got != want {
			t.Errorf("cgroup %q: %t, want %t", cgroup, got, want)
		}
	}
}

func TestHierarchies(t *testing.T) {
	mounts := "proc /proc proc rw 0 0\n" +
		"cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n" +
		"cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
	want := []hierarchy{{"/sys/fs/cgroup/cpu", 1}, {"/sys/fs/cgroup/unified", 2}}
	if got := hierarchies([]byte(mounts)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Directories stand in for the two kinds of cgroup trees.
func TestCgroups(t *testing.T) {
	l := layout(t)
	cpuset, unified := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{
		filepath.Join(cpuset, "cpuset.cpus"):              "0-3\n",
		filepath.Join(cpuset, "cpuset.mems"):              "0\n",
		filepath.Join(unified, "cgroup.controllers"):      "cpu memory\n",
		filepath.Join(unified, "cgroup.subtree_control"):  "",
		filepath.Join(unified, "lab-b-node1", "kubepods"): "",
	} {
		if err := writeFile(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	trees := []hierarchy{{cpuset, 1}, {unified, 2}}
	if err := createCgroup(trees, l.Node(1)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(cpuset, "lab-node1", "cpuset.cpus")); err != nil || string(got) != "0-3\n" {
		t.Errorf("CPUs of the new cgroup: %q, %v, want those of its parent", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(unified, "cgroup.subtree_control")); err != nil || string(got) != "+memory" {
		t.Errorf("the last controller enabled is %q, %v, want +memory", got, err)
	}

	// In a real tree, files of a cgroup vanish with it.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if err := os.Remove(filepath.Join(cpuset, "lab-node1", file)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(unified, "lab-node1", "kubepods", "pod"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.removeCgroups(trees); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(cpuset), "*", "lab-node*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := os.Stat(filepath.Join(unified, "lab-b-node1")); err != nil {
		t.Errorf("the cgroup of another cluster: %v", err)
	}
}

func TestMountsBelow(t *testing.T) {
	mountinfo := `21 1 8:1 / / rw - ext4 /dev/a rw
30 21 8:1 /c /cache/my\040lab rw - ext4 /dev/a rw
31 30 0:4 net:[1] /cache/my\040lab/ns/a rw - nsfs nsfs rw
32 21 0:4 net:[2] /cache/my\040lab2 rw - nsfs nsfs rw
`
	want := []string{"/cache/my lab/ns/a", "/cache/my lab"}
	if got := mountsBelow([]byte(mountinfo), "/cache/my lab"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReady(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"ready", `{"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True"}]}}`, ""},
		{"not-ready", `{"status":{"conditions":[{"type":"Ready","status":"False","message":"no network"}]}}`, "no network"},
		{"silent", `{}`, "has not reported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := ready([]byte(test.in))
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestAwaitShowsTheLog(t *testing.T) {
	never := func(context.Context) error { return errors.New("connection refused") }

	t.Run("daemon-that-stops", func(t *testing.T) {
		c := &cluster{Layout: layout(t)}
		if err := c.start("broken", nil, "sh", "-c", "echo bad flag >&2; exit 3"); err != nil {
			t.Fatal(err)
		}
		err := c.await(t.Context(), "the server", time.Minute, nil, never)
		for _, want := range []string{"waiting for the server", "broken has stopped (exit status 3)", "bad flag"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error lacks %q: %v", want, err)
			}
		}
	})
	t.Run("daemon-that-hangs", func(t *testing.T) {
		c := &cluster{Layout: layout(t)}
		if err := writeFile(filepath.Join(c.Logs(), "slow.log"), []byte("old\nstill starting\n")); err != nil {
			t.Fatal(err)
		}
		err := c.await(t.Context(), "the server", 10*time.Millisecond, []string{"slow"}, never)
		for _, want := range []string{"not there after", "connection refused", "log of slow", "still starting"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error lacks %q: %v", want, err)
			}
		}
	})
}

func TestKillEndsMarkedProcesses(t *testing.T) {
	l := layout(t)
	l.Name = "lab-unit-test" // so that no real cluster is meant
	c := &cluster{Layout: l}
	if err := c.start("sleeper", nil, "sh", "-c", "sleep 1000 & wait"); err != nil {
		t.Fatal(err)
	}
	if pids, err := l.processes(); err != nil || len(pids) == 0 {
		t.Fatalf("processes %v, %v, want the one started", pids, err)
	}
	if err := l.kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pids, err := l.processes(); err != nil || len(pids) != 0 {
		t.Errorf("processes %v, %v, want none", pids, err)
	}
	<-c.daemons[0].done
}

func layout(t *testing.T) Layout {
	t.Helper()
	l, err := NewLayout(t.TempDir(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
