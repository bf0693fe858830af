package procfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall"
)

// cgroups returns the tree of this machine and a new group of the test's own in it.
func cgroups(t *testing.T) (*Cgroups, seawall.Cgroup) {
	t.Helper()
	f := open(t)
	c, err := OpenCgroups("/sys/fs/cgroup", f)
	if err != nil {
		t.Skip(err)
	}
	g := seawall.Cgroup{Path: fmt.Sprintf("/seawall-procfs-%d-%s", os.Getpid(), strings.ToLower(t.Name()))}
	mkgroup(t, filepath.Join(c.Root, g.Path))
	if g.ID, err = c.ID(g.Path); err != nil {
		t.Fatal(err)
	}
	return c, g
}

func mkgroup(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("making a control group needs root: %v", err)
	}
	t.Cleanup(func() {
		for range 1000 { // the last task may still be on its way out
			if err := os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Errorf("%s remains", dir)
	})
}

// spin runs a program in a group that writes without end; what it writes can be
// read from the file that is returned.
func spin(t *testing.T, dirs ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do echo turn; done")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for _, dir := range dirs {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	return cmd, r
}

// moves says whether the spinning process still writes, once what it wrote before
// is read.
func moves(t *testing.T, r *os.File) bool {
	t.Helper()
	buffer := make([]byte, 1<<20)
	for range 3 { // a full pipe and what came while it was read
		if err := r.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(buffer); errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return true
}

func TestFreeze(t *testing.T) {
	c, g := cgroups(t)
	inner := filepath.Join(c.Root, g.Path, "inner")
	mkgroup(t, inner)
	cmd, out := spin(t, inner)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	of, err := c.Of(uint32(cmd.Process.Pid))
	if err != nil || of.Path != g.Path+"/inner" {
		t.Errorf("the process is in %+v: %v", of, err)
	}
	if !moves(t, out) {
		t.Fatal("the process does not run")
	}
	for range 3 {
		took, err := c.Freeze(ctx, g)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := c.Frozen(g); err != nil || !is {
			t.Errorf("frozen is %v: %v", is, err)
		}
		t.Logf("frozen in %v", took)
		if moves(t, out) {
			t.Fatal("a frozen process goes on")
		}
		if took, err = c.Thaw(ctx, g); err != nil {
			t.Fatal(err)
		}
		t.Logf("thawed in %v", took)
		if !moves(t, out) {
			t.Fatal("a thawed process does not go on")
		}
	}
	if _, err := c.Freeze(ctx, g); err != nil {
		t.Fatal(err)
	}
	took, err := c.Kill(ctx, g) // a frozen one
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("killed in %v", took)
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended well")
	}
}

// TestFreezeFirstVersion does the same with version 1's freezer, and kills without
// cgroup.kill.
func TestFreezeFirstVersion(t *testing.T) {
	c, g := cgroups(t)
	if c.freezer == "" {
		t.Skip("the freezer of version 1 is not mounted")
	}
	old := filepath.Join(c.freezer, g.Path)
	mkgroup(t, old)
	cmd, out := spin(t, filepath.Join(c.Root, g.Path), old)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	dir, err := c.open(g)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if dir.v1, err = os.OpenRoot(old); err != nil {
		t.Fatal(err)
	}
	if err := dir.freeze(ctx, true); err != nil {
		t.Fatal(err)
	}
	if moves(t, out) {
		t.Fatal("a frozen process goes on")
	}
	if err := dir.freeze(ctx, false); err != nil {
		t.Fatal(err)
	}
	if !moves(t, out) {
		t.Fatal("a thawed process does not go on")
	}
	if err := dir.kill(ctx); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended well")
	}
}

func TestFreezeRefuses(t *testing.T) {
	c, g := cgroups(t)
	fake := t.TempDir()
	if err := os.Mkdir(filepath.Join(fake, strconv.Itoa(os.Getpid())), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fake, strconv.Itoa(os.Getpid()), "cgroup"), []byte("0::"+g.Path+"/agent\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	within := *c
	within.proc = &FS{root: fake}
	mkgroup(t, filepath.Join(c.Root, g.Path, "agent"))
	for _, refused := range []struct {
		name string
		c    *Cgroups
		g    seawall.Cgroup
		want string
	}{
		{"root", c, seawall.Cgroup{Path: "/"}, "holds the whole node"},
		{"self", &within, g, "holds Seawall itself"},
		{"up", c, seawall.Cgroup{Path: "/../x"}, "cgroup namespace of the node"},
		{"dots", c, seawall.Cgroup{Path: "/a/../.."}, "no path of a control group"},
		{"relative", c, seawall.Cgroup{Path: "a"}, "no path of a control group"},
		{"absent", c, seawall.Cgroup{Path: "/seawall-none"}, "no such file"},
		{"another", c, seawall.Cgroup{ID: g.ID + 1, Path: g.Path}, "its container is gone"},
	} {
		_, err := refused.c.Freeze(t.Context(), refused.g)
		if err == nil || !strings.Contains(err.Error(), refused.want) {
			t.Errorf("%s: got %v, want %q", refused.name, err, refused.want)
		}
		if _, err := refused.c.Kill(t.Context(), refused.g); err == nil {
			t.Errorf("%s: it was killed", refused.name)
		}
	}
}

func TestWalk(t *testing.T) {
	c, g := cgroups(t)
	all, err := c.Walk()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(all, g) || all[0].Path != "/" || all[0].ID != 1 {
		t.Errorf("%d groups without %v, the first is %v", len(all), g, all[0])
	}
}

func TestOpenCgroups(t *testing.T) {
	if _, err := OpenCgroups(t.TempDir(), nil); !errors.Is(err, ErrNoCgroup2) || !strings.Contains(err.Error(), "mount -t cgroup2") {
		t.Errorf("a folder without groups: %v", err)
	}
	if _, err := OpenCgroups("/nowhere", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
	c, err := OpenCgroups("/sys/fs/cgroup", nil)
	if err != nil {
		t.Skip(err)
	}
	if want := map[Layout]string{Unified: "/sys/fs/cgroup", Hybrid: "/sys/fs/cgroup/unified"}[c.Layout]; c.Root != want {
		t.Errorf("%s at %s", c.Layout, c.Root)
	}
	if c.Layout == Hybrid { // the mount of version 2 by itself is a unified tree
		if c, err = OpenCgroups(c.Root, nil); err != nil || c.Layout != Unified {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
