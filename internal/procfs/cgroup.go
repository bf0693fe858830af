package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"seawall.io/seawall"
)

// Layout says how a node mounts its control groups.
type Layout string

// The layouts that Seawall works with.
const (
	Unified Layout = "unified" // version 2 alone
	Hybrid  Layout = "hybrid"  // version 2 beside the controllers of version 1
)

// Cgroups is the tree of control groups: the version 2 hierarchy. Paths in it
// begin with / and are below its mount. The number of a group is the inode of its
// directory, which is what bpf_get_current_cgroup_id returns.
type Cgroups struct {
	Layout Layout
	// Root is where version 2 is mounted.
	Root string
	// freezer is where version 1's freezer is mounted, "" where it is not.
	freezer string
	proc    *FS
}

// ErrNoCgroup2 says that only version 1 of control groups is mounted, where the
// kernel has one number for all processes.
var ErrNoCgroup2 = errors.New("cgroup version 2 is not mounted")

// OpenCgroups finds the hierarchy of version 2 at a mount point: usually
// /sys/fs/cgroup, or where the node's is mounted.
func OpenCgroups(mount string, proc *FS) (*Cgroups, error) {
	c := &Cgroups{proc: proc}
	switch {
	case mounted(mount, cgroup2Magic):
		c.Layout, c.Root = Unified, mount
	case mounted(filepath.Join(mount, "unified"), cgroup2Magic):
		c.Layout, c.Root = Hybrid, filepath.Join(mount, "unified")
	default:
		if _, err := os.Stat(mount); err != nil {
			return nil, fmt.Errorf("finding control groups: %w", err)
		}
		return nil, fmt.Errorf("finding control groups: neither %s nor %s/unified: %w; boot with systemd.unified_cgroup_hierarchy=1, or mount it beside version 1: mount -t cgroup2 none %s/unified",
			mount, mount, ErrNoCgroup2, mount)
	}
	if v1 := filepath.Join(mount, "freezer"); c.Layout == Hybrid && mounted(v1, cgroup1Magic) {
		c.freezer = v1
	}
	return c, nil
}

func mounted(dir string, magic int64) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(dir, &st) == nil && st.Type == magic
}

// ID returns the number of the group at a path.
func (c *Cgroups) ID(cgroup string) (uint64, error) {
	dir, err := c.dir(cgroup)
	if err != nil {
		return 0, err
	}
	id, err := inode(dir)
	if err != nil {
		return 0, fmt.Errorf("finding control group %s: %w", cgroup, err)
	}
	return id, nil
}

func (c *Cgroups) dir(cgroup string) (string, error) {
	if strings.HasPrefix(cgroup, "/..") {
		return "", fmt.Errorf("control group %s lies outside of what this process may see: the agent must run in the cgroup namespace of the node", cgroup)
	}
	if !path.IsAbs(cgroup) || path.Clean(cgroup) != cgroup {
		return "", fmt.Errorf("%q is no path of a control group", cgroup)
	}
	return filepath.Join(c.Root, cgroup), nil
}

func inode(dir string) (uint64, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return 0, fmt.Errorf("%s is no directory", dir)
	}
	return st.Ino, nil
}

// Walk returns all groups, parents before their children, by path. Groups that
// vanish meanwhile are left out; those that could not be read are in the error,
// which does not mean that the others are wrong.
func (c *Cgroups) Walk() ([]seawall.Cgroup, error) {
	var out []seawall.Cgroup
	var failed []error
	err := filepath.WalkDir(c.Root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil {
			if !gone(err) {
				failed = append(failed, err)
			}
			return nil
		}
		if !d.IsDir() {
			return nil
		}
		id, err := inode(dir)
		if err != nil {
			if !gone(err) {
				failed = append(failed, err)
			}
			return nil
		}
		out = append(out, seawall.Cgroup{ID: id, Path: path.Join("/", filepath.ToSlash(strings.TrimPrefix(dir, c.Root)))})
		return nil
	})
	if err = errors.Join(append(failed, err)...); err != nil {
		return out, fmt.Errorf("walking control groups: %w", err)
	}
	return out, nil
}

// Of returns the group of a process.
func (c *Cgroups) Of(pid uint32) (seawall.Cgroup, error) {
	cgroup, err := c.proc.cgroupOf(filepath.Join(c.proc.root, strconv.FormatUint(uint64(pid), 10)))
	if err != nil {
		return seawall.Cgroup{}, fmt.Errorf("finding the control group of process %d: %w", pid, err)
	}
	id, err := c.ID(cgroup)
	return seawall.Cgroup{ID: id, Path: cgroup}, err
}

// cgroupOf returns the path of a process in the version 2 hierarchy.
func (f *FS) cgroupOf(dir string) (string, error) {
	raw, err := readSome(filepath.Join(dir, "cgroup"), 64<<10)
	if err != nil {
		return "", err
	}
	return parseCgroup(raw)
}

// parseCgroup finds the line of version 2 in /proc/PID/cgroup. Names of groups may
// hold anything but slashes and newlines.
func parseCgroup(raw []byte) (string, error) {
	for line := range bytes.Lines(raw) {
		if cgroup, ok := bytes.CutPrefix(line, []byte("0::")); ok {
			cgroup = bytes.TrimSuffix(cgroup, []byte("\n"))
			return strings.TrimSuffix(string(cgroup), " (deleted)"), nil
		}
	}
	return "", ErrNoCgroup2
}
