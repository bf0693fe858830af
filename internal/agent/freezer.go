package agent

import (
	"context"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/procfs"
	"seawall.io/seawall/internal/respond"
)

// freezer stops the processes of pods through the control groups of the node.
type freezer struct{ cgroups *procfs.Cgroups }

// freezeTime is how long the kernel may take until the last process has stopped;
// one that hangs in the kernel (a dead NFS server) stops when it comes out.
const freezeTime = 5 * time.Second

func (f freezer) group(t respond.Target) seawall.Cgroup {
	return seawall.Cgroup{ID: t.Cgroup, Path: strings.TrimPrefix(t.Dir, strings.TrimSuffix(f.cgroups.Root, "/"))}
}

// Freeze implements respond.Freezer.
func (f freezer) Freeze(t respond.Target) error {
	ctx, cancel := context.WithTimeout(context.Background(), freezeTime)
	defer cancel()
	_, err := f.cgroups.Freeze(ctx, f.group(t))
	return err //nolint:wrapcheck // it names the group
}

// Thaw implements respond.Freezer.
func (f freezer) Thaw(t respond.Target) error {
	ctx, cancel := context.WithTimeout(context.Background(), freezeTime)
	defer cancel()
	_, err := f.cgroups.Thaw(ctx, f.group(t))
	return err //nolint:wrapcheck // it names the group
}
