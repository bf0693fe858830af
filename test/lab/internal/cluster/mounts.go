package cluster

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

// binding puts a directory of the node where programs expect it by default.
type binding struct {
	from string // on the machine
	to   string // on the node
}

func (l Layout) bindings(i int) []binding {
	return []binding{
		{l.nodeRun(i), "/run/containerd"},
		{l.nodeState(i, "netns"), "/run/netns"},
		{l.nodeState(i, "containerd"), "/var/lib/containerd"},
		{l.nodeState(i, "kubelet"), "/var/lib/kubelet"},
		{l.nodeState(i, "cni"), "/etc/cni/net.d"},
		{l.nodeState(i, "cni-state"), "/var/lib/cni"},
		{l.nodeState(i, "log"), "/var/log"},
		{l.nodeState(i, "seawall"), "/var/lib/seawall"},
		{l.nodeState(i, "seawall-run"), "/run/seawall"},
	}
}

// createRunDir makes the place of the files that keep mount namespaces. They
// may only lie on a mount that is not shared with other namespaces, or the
// kernel refuses them.
func (l Layout) createRunDir() error {
	if err := os.MkdirAll(l.run("mnt"), 0o755); err != nil {
		return fmt.Errorf("creating the run directory: %w", err)
	}
	if err := syscall.Mount(l.run(), l.run(), "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s on itself: %w", l.run(), err)
	}
	if err := syscall.Mount("", l.run(), "", syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making %s private: %w", l.run(), err)
	}
	return nil
}

// createMounts makes the mount namespace of node i.
//
// It receives what the machine mounts and above all unmounts ("slave"), as it
// would otherwise hold on to the network namespaces of other clusters; nothing
// goes the other way. Within the node all is shared, so that pods may ask for
// any mount propagation.
func (l Layout) createMounts(ctx context.Context, i int) error {
	const script = `mount --make-rshared /
while [ $# -gt 0 ]; do
	mount --bind "$1" "$2"
	shift 2
done`
	file := l.mountNamespace(i)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("creating the mount namespace of node %d: %w", i, err)
	}
	argv := []string{"unshare", "--mount=" + file, "--propagation", "slave", "--", "sh", "-euc", script, "sh"}
	for _, b := range l.bindings(i) {
		for _, dir := range []string{b.from, b.to} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("creating the directories of node %d: %w", i, err)
			}
		}
		argv = append(argv, b.from, b.to)
	}
	if err := run(ctx, argv...); err != nil {
		return fmt.Errorf("creating the mount namespace of node %d: %w", i, err)
	}
	return nil
}
