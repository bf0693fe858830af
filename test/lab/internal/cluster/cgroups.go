package cluster

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// hierarchy is one mounted tree of cgroups. A machine has a tree per
// controller (version 1), a single one (version 2), or both side by side.
type hierarchy struct {
	dir     string
	version int
}

// hierarchies finds them in the text of /proc/mounts.
func hierarchies(mounts []byte) []hierarchy {
	var found []hierarchy
	lines := bufio.NewScanner(bytes.NewReader(mounts))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		switch fields[2] {
		case "cgroup":
			found = append(found, hierarchy{fields[1], 1})
		case "cgroup2":
			found = append(found, hierarchy{fields[1], 2})
		}
	}
	return found
}

func mountedHierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return nil, fmt.Errorf("looking for cgroups: %w", err)
	}
	found := hierarchies(mounts)
	if len(found) == 0 {
		return nil, errors.New("no cgroups are mounted: mount them at /sys/fs/cgroup")
	}
	return found, nil
}

// createCgroup makes the cgroup called name in every hierarchy, for a kubelet
// to keep its pods in. Two kubelets with one root would end each other's pods.
func createCgroup(all []hierarchy, name string) error {
	for _, h := range all {
		dir := filepath.Join(h.dir, name)
		if h.version == 2 {
			if err := delegate(h.dir); err != nil {
				return err
			}
		}
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("creating a cgroup: %w", err)
		}
		if h.version == 1 {
			if err := inheritCPUs(h.dir, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// inheritCPUs fills in the CPUs and memory nodes of a new cgroup of version 1.
// They begin empty, and a process cannot enter a cgroup without a CPU.
func inheritCPUs(parent, dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another controller's hierarchy
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), value, 0o644)
		}
		if err != nil {
			return fmt.Errorf("setting %s of a cgroup: %w", file, err)
		}
	}
	return nil
}

// delegate lets the children of the root of version 2 have its controllers;
// systemd has done so for most, but not for all.
func delegate(root string) error {
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading the controllers of cgroups: %w", err)
	}
	for controller := range strings.FieldsSeq(string(controllers)) {
		err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		if err != nil && needed(controller) {
			return fmt.Errorf("enabling the %s controller of cgroups in %s: %w; "+
				"in a container, run the lab with the machine's cgroup namespace (docker run --privileged --cgroupns=host)", controller, root, err)
		}
	}
	return nil
}

func needed(controller string) bool {
	switch controller {
	case "cpu", "cpuset", "memory", "pids":
		return true
	}
	return false
}

// removeCgroups removes the cluster's cgroups, the innermost first. A cgroup
// stays busy for a moment after its last process has ended.
func (l Layout) removeCgroups(all []hierarchy) error {
	var errs []error
	for _, h := range all {
		entries, err := os.ReadDir(h.dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("looking for cgroups: %w", err))
			continue
		}
		for _, entry := range entries {
			if entry.IsDir() && l.isNode(entry.Name()) {
				errs = append(errs, removeTree(filepath.Join(h.dir, entry.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("removing cgroups: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a cgroup: %w", err)
	}
	return nil
}
