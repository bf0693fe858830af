package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// cgroupRoot returns where the default cgroup hierarchy is mounted: /sys/fs/cgroup,
// or /sys/fs/cgroup/unified beside those of version 1.
func (p *Probe) cgroupRoot() (string, error) {
	if p.options.CgroupRoot != "" {
		return p.options.CgroupRoot, nil
	}
	// A node has thousands of mounts, and a cut must not wait for them.
	if root := p.root.Load(); root != nil {
		return *root, nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	root, err := findCgroupRoot(string(mounts))
	if err == nil {
		p.root.Store(&root)
	}
	return root, err
}

func findCgroupRoot(mountinfo string) (string, error) {
	for line := range strings.Lines(mountinfo) {
		// ID parent dev root mountpoint options tags... - type source options
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if ok && len(fields) >= 5 && fields[3] == "/" && strings.HasPrefix(after, "cgroup2 ") {
			return fields[4], nil
		}
	}
	return "", errors.New("no cgroup2 file system is mounted with its root: mount one (mount -t cgroup2 none /sys/fs/cgroup/unified), or share the node's with the agent")
}

// linkCgroup attaches a program to all cgroups. The links of a hook that pins
// outlive the sensor; one that an earlier sensor left is taken over, without a
// moment in which neither program runs.
func (p *Probe) linkCgroup(a *attached, spec *ebpf.ProgramSpec, prog *ebpf.Program) (link.Link, error) {
	attach := func() (link.Link, error) {
		root, err := p.cgroupRoot()
		if err != nil {
			return nil, err
		}
		return link.AttachCgroup(link.CgroupOptions{Path: root, Attach: spec.AttachType, Program: prog})
	}
	if a.pinned == nil {
		return attach()
	}
	return p.linkPinned(spec.Name, prog, attach)
}

// linkPinned takes over the link of that name, or makes it and pins it.
func (p *Probe) linkPinned(name string, prog *ebpf.Program, attach func() (link.Link, error)) (link.Link, error) {
	if p.options.Pins == "" {
		return attach()
	}
	pin := filepath.Join(p.options.Pins, name)
	old, err := link.LoadPinnedLink(pin, nil)
	switch {
	case err == nil:
		if err = old.Update(prog); err == nil {
			return old, nil
		}
		// What it was attached to is gone.
		if err := errors.Join(old.Unpin(), old.Close()); err != nil {
			return nil, fmt.Errorf("removing the dead link %s: %w", pin, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("taking over the link %s: %w", pin, err)
	}
	l, err := attach()
	if err != nil {
		return nil, err
	}
	if err := l.Pin(pin); err != nil {
		return nil, errors.Join(fmt.Errorf("pinning the link %s: %w", pin, err), l.Close())
	}
	return l, nil
}

// fileIDKernfs is the type of a handle that names a kernfs directory by its number.
const fileIDKernfs = 0xfe

// cgroupPath returns the path of a cgroup below the hierarchy's root: "/" for the
// root itself.
func (p *Probe) cgroupPath(id uint64) (string, error) {
	root, err := p.cgroupRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.Open(root)
	if err != nil {
		return "", err
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	fd, err := unix.OpenByHandleAt(int(dir.Fd()), unix.NewFileHandle(fileIDKernfs, binary.NativeEndian.AppendUint64(nil, id)), unix.O_PATH)
	switch {
	case errors.Is(err, unix.ESTALE):
		return "", fmt.Errorf("no cgroup has the number %d: it is gone", id)
	case errors.Is(err, unix.EPERM):
		return "", fmt.Errorf("finding the cgroup %d: %w: it takes CAP_DAC_READ_SEARCH", id, err)
	case err != nil:
		return "", fmt.Errorf("finding the cgroup %d: %w", id, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "", err
	}
	below, err := filepath.Rel(root, path)
	if err != nil {
		return "", err
	}
	return filepath.Join("/", below), nil
}
