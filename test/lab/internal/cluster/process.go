package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// processes finds the processes of a cluster, whoever started them: daemons by
// the mark in their environment, containers by their cgroup, and anything else
// that holds one of the nodes' network namespaces.
func (l Layout) processes() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	namespaces := l.namespaceIDs()
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if l.owns(filepath.Join("/proc", entry.Name()), namespaces) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// owns reports whether the process whose directory in /proc is dir belongs to
// the cluster. One that has just ended does not.
func (l Layout) owns(dir string, namespaces []os.FileInfo) bool {
	if environment, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil && l.marked(environment) {
		return true
	}
	if cgroup, err := os.ReadFile(filepath.Join(dir, "cgroup")); err == nil && l.grouped(cgroup) {
		return !isZombie(dir)
	}
	network, err := os.Stat(filepath.Join(dir, "ns", "net"))
	return err == nil && slices.ContainsFunc(namespaces, func(n os.FileInfo) bool { return os.SameFile(n, network) })
}

func (l Layout) marked(environment []byte) bool {
	want := []byte(marker + "=" + l.Name)
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if bytes.Equal(variable, want) {
			return true
		}
	}
	return false
}

// grouped reports whether a process with this /proc/PID/cgroup runs in a
// cgroup of one of the nodes.
func (l Layout) grouped(cgroup []byte) bool {
	for line := range strings.Lines(string(cgroup)) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":/")
		if slices.ContainsFunc(strings.Split(path, "/"), l.isNode) {
			return true
		}
	}
	return false
}

// isZombie reports whether the process has ended and only waits for its
// parent to notice. The state is the first field after the name, which is in
// parentheses and may contain any character.
func isZombie(dir string) bool {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte{' '})
	return len(rest) > 0 && (rest[0] == 'Z' || rest[0] == 'X')
}

func (l Layout) namespaceIDs() []os.FileInfo {
	var ids []os.FileInfo
	for _, name := range l.networkNamespaces() {
		if info, err := os.Stat(netnsPath(name)); err == nil {
			ids = append(ids, info)
		}
	}
	return ids
}

// networkNamespaces lists the cluster's, by name.
func (l Layout) networkNamespaces() []string {
	entries, err := os.ReadDir(netnsPath(""))
	if err != nil {
		return nil // there has never been one
	}
	var names []string
	for _, entry := range entries {
		if l.ownsNamespace(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names
}

// kill ends every process of the cluster. A kubelet may start another while
// this goes on, so it looks again until none is left.
func (l Layout) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		pids, err := l.processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		namespaces := l.namespaceIDs()
		for _, pid := range pids {
			// The process is held first and then looked at again, lest the
			// number has passed to another one.
			process, err := os.FindProcess(pid)
			if err != nil {
				continue
			}
			if l.owns(filepath.Join("/proc", strconv.Itoa(pid)), namespaces) {
				err = process.Kill()
			}
			if err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("ending process %d: %w", pid, err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("ending the processes of cluster %s: %v are still there: %w", l.Name, pids, ctx.Err())
		}
	}
}
