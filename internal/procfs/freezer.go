package procfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"seawall.io/seawall"
)

// Freeze stops all processes of a group and of those below it, and returns how
// long that took. The processes keep their memory, files and connections and can
// be let go on with Thaw. Where c.ID is set, a group that has the path but another
// number, which is another container's, is left alone.
//
// A group that the calling process is in is refused, and so is the root.
func (c *Cgroups) Freeze(ctx context.Context, g seawall.Cgroup) (time.Duration, error) {
	return c.freeze(ctx, g, true)
}

// Thaw lets the processes of a frozen group go on.
func (c *Cgroups) Thaw(ctx context.Context, g seawall.Cgroup) (time.Duration, error) {
	return c.freeze(ctx, g, false)
}

func (c *Cgroups) freeze(ctx context.Context, g seawall.Cgroup, frozen bool) (time.Duration, error) {
	begun := time.Now()
	act := "thawing"
	if frozen {
		act = "freezing"
	}
	dir, err := c.open(g)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", act, err)
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	if err := dir.freeze(ctx, frozen); err != nil {
		return time.Since(begun), fmt.Errorf("%s control group %s: %w", act, g.Path, err)
	}
	return time.Since(begun), nil
}

// Frozen says whether all processes of a group are stopped.
func (c *Cgroups) Frozen(g seawall.Cgroup) (bool, error) {
	dir, err := c.open(g)
	if err != nil {
		return false, fmt.Errorf("asking whether it is frozen: %w", err)
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	return dir.frozen()
}

// Kill ends all processes of a group and of those below it, frozen ones too, and
// returns when none is left.
func (c *Cgroups) Kill(ctx context.Context, g seawall.Cgroup) (time.Duration, error) {
	begun := time.Now()
	dir, err := c.open(g)
	if err != nil {
		return 0, fmt.Errorf("killing: %w", err)
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	if err := dir.kill(ctx); err != nil {
		return time.Since(begun), fmt.Errorf("killing control group %s: %w", g.Path, err)
	}
	return time.Since(begun), nil
}

// group is an open directory of a control group. A group that takes its path later
// is not it.
type group struct {
	*os.Root
	v1 *os.Root // its directory in version 1's freezer, where version 2 has none
}

func (g *group) Close() error {
	if g.v1 != nil {
		return errors.Join(g.Root.Close(), g.v1.Close())
	}
	return g.Root.Close()
}

func (c *Cgroups) open(g seawall.Cgroup) (*group, error) {
	dir, err := c.dir(g.Path)
	if err != nil {
		return nil, err
	}
	if g.Path == "/" {
		return nil, errors.New("the root of control groups holds the whole node")
	}
	own, err := c.Of(uint32(os.Getpid())) //nolint:gosec // a PID
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(own.Path+"/", g.Path+"/") {
		return nil, fmt.Errorf("control group %s holds Seawall itself", g.Path)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening control group %s: %w", g.Path, err)
	}
	if g.ID != 0 {
		info, err := root.Stat(".")
		if err != nil {
			return nil, errors.Join(err, root.Close())
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Ino != g.ID {
			return nil, errors.Join(fmt.Errorf("control group %s is no longer number %d: its container is gone", g.Path, g.ID), root.Close())
		}
	}
	out := &group{Root: root}
	if _, err := root.Stat("cgroup.freeze"); errors.Is(err, fs.ErrNotExist) && c.freezer != "" {
		// Linux before 5.2.
		if out.v1, err = os.OpenRoot(filepath.Join(c.freezer, g.Path)); err != nil {
			return nil, errors.Join(fmt.Errorf("opening control group %s of version 1: %w", g.Path, err), root.Close())
		}
	}
	return out, nil
}

// write writes to a file of the kernel, which is never to be made.
func write(dir *os.Root, name, value string) error {
	file, err := dir.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	return errors.Join(err, file.Close())
}

func read(dir *os.Root, name string) ([]byte, error) {
	file, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(file, 1<<20))
}

// event returns a value of cgroup.events.
func (g *group) event(key string) (bool, error) {
	raw, err := read(g.Root, "cgroup.events")
	if err != nil {
		return false, err
	}
	for line := range bytes.Lines(raw) {
		if name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" ")); ok && string(name) == key {
			return string(value) == "1", nil
		}
	}
	return false, fmt.Errorf("cgroup.events says nothing of %q", key)
}

func (g *group) frozen() (bool, error) {
	if g.v1 == nil {
		return g.event("frozen")
	}
	raw, err := read(g.v1, "freezer.state")
	return strings.TrimSpace(string(raw)) == "FROZEN", err
}

func (g *group) freeze(ctx context.Context, frozen bool) error {
	set := func() error {
		switch {
		case g.v1 == nil && frozen:
			return write(g.Root, "cgroup.freeze", "1")
		case g.v1 == nil:
			return write(g.Root, "cgroup.freeze", "0")
		case frozen:
			return write(g.v1, "freezer.state", "FROZEN")
		}
		return write(g.v1, "freezer.state", "THAWED")
	}
	if err := set(); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		is, err := g.frozen()
		if err == nil && is != frozen && g.v1 != nil {
			err = set() // version 1 misses tasks that are forked meanwhile
		}
		return is == frozen, err
	})
}

func (g *group) kill(ctx context.Context) error {
	var err error
	if g.v1 == nil {
		err = write(g.Root, "cgroup.kill", "1")
	}
	if g.v1 != nil || errors.Is(err, fs.ErrNotExist) { // Linux before 5.14
		err = g.killEach(ctx)
	}
	if err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		populated, err := g.event("populated")
		return !populated, err
	})
}

// killEach ends the processes one by one: stopped, so that none can fork away.
func (g *group) killEach(ctx context.Context) error {
	if err := g.freeze(ctx, true); err != nil {
		return err
	}
	err := fs.WalkDir(g.FS(), ".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		raw, err := read(g.Root, filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return err
		}
		for word := range strings.FieldsSeq(string(raw)) {
			pid, err := strconv.Atoi(word)
			if err != nil || pid <= 0 { // 0 stands for one that is not seen from here
				return fmt.Errorf("process %q cannot be killed: the agent must run in the PID namespace of the node", word)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("killing process %d: %w", pid, err)
			}
		}
		return nil
	})
	return errors.Join(err, g.freeze(ctx, false))
}

// until asks again and again, at growing distances, whether something is so.
func until(ctx context.Context, is func() (bool, error)) error {
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		if ok, err := is(); ok || err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}
