package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"seawall.io/seawall/test/lab/internal/progress"
)

// Down stops the cluster and removes all of it. There need not be one, and
// what a crash has left is removed as well.
func (l Layout) Down(ctx context.Context, p *progress.Lines) error {
	unlock, err := l.exclusive(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	return l.remove(ctx, false)
}

// remove removes everything, or all but the logs. It goes on after an error,
// to leave as little as it can.
func (l Layout) remove(ctx context.Context, keepLogs bool) error {
	errs := []error{
		l.kill(ctx),
		l.removeNetwork(ctx),
		unmountBelow(l.run()),
		unmountBelow(l.state()),
	}
	trees, err := mountedHierarchies()
	if err == nil {
		err = persist(ctx, 10*time.Second, func() error { return l.removeCgroups(trees) })
	}
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing cluster %s: %w", l.Name, err)
	}
	// A process that was killed may still be writing its last file.
	err = persist(ctx, 10*time.Second, func() error { return l.removeFiles(keepLogs) })
	if err != nil {
		return fmt.Errorf("removing cluster %s: %w", l.Name, err)
	}
	return nil
}

func (l Layout) removeFiles(keepLogs bool) error {
	if err := os.RemoveAll(l.run()); err != nil {
		return fmt.Errorf("removing the run directory: %w", err)
	}
	if !keepLogs {
		if err := os.RemoveAll(l.state()); err != nil {
			return fmt.Errorf("removing the state: %w", err)
		}
		return nil
	}
	entries, err := os.ReadDir(l.state())
	if err != nil {
		return fmt.Errorf("removing the state: %w", err)
	}
	for _, entry := range entries {
		if path := l.state(entry.Name()); path != l.Logs() {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("removing the state: %w", err)
			}
		}
	}
	return nil
}

// removeNetwork deletes the cluster's network namespaces and with them all
// interfaces in them.
func (l Layout) removeNetwork(ctx context.Context) error {
	var errs []error
	if record, err := l.Record(); err == nil {
		// The kernel would remove it with the switch, but at its own time,
		// and the next cluster wants one of the same name.
		link := Plan{record.Index}.link()
		if _, err := os.Stat(filepath.Join("/sys/class/net", link)); err == nil && len(l.networkNamespaces()) > 0 {
			errs = append(errs, run(ctx, "ip", "link", "delete", link))
		}
	}
	for _, name := range l.networkNamespaces() {
		errs = append(errs, run(ctx, "ip", "netns", "delete", name))
	}
	return errors.Join(errs...)
}

// unmountBelow unmounts dir and all below it, the latest mount first.
func unmountBelow(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("listing mounts: %w", err)
	}
	var errs []error
	for _, point := range mountsBelow(mounts, dir) {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmounting %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

// mountsBelow finds, in the text of a mountinfo, what is mounted at dir and
// below it, in the order in which it can be unmounted.
func mountsBelow(mountinfo []byte, dir string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	lines := bufio.NewScanner(bytes.NewReader(mountinfo))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if point := unescape.Replace(fields[4]); point == dir || strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	slices.Reverse(points)
	return points
}

// persist repeats step until it succeeds or the time is over.
func persist(ctx context.Context, limit time.Duration, step func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := step()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}
