//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// enteredVariable marks an agent that has been moved, so that it is not moved again.
const enteredVariable = "SEAWALL_IN_NODE_CGROUPS"

// enterNodeCgroups moves the agent into the cgroup namespace of the process that
// started it, which for a container is the runtime's, and so the node's. Runtimes give
// containers one of their own where control groups are version 2 alone (Kubernetes has
// no field to ask for the node's), and in that the groups of all others have paths
// like /../../x. A namespace is a thread's, so the program starts anew from the thread
// that has moved; its PID stays. It takes SYS_ADMIN and the node's PID namespace.
func enterNodeCgroups() error {
	own, err := os.Readlink("/proc/self/ns/cgroup")
	if err != nil {
		return fmt.Errorf("finding the agent's cgroup namespace: %w", err)
	}
	file := fmt.Sprintf("/proc/%d/ns/cgroup", os.Getppid())
	node, err := os.Readlink(file)
	if err != nil {
		return fmt.Errorf("finding the node's cgroup namespace: %w", err)
	}
	if own == node {
		return nil
	}
	if os.Getenv(enteredVariable) != "" {
		return errors.New("the agent was moved into the node's cgroup namespace, and is not in it")
	}
	ns, err := os.Open(file)
	if err != nil {
		return err
	}
	defer ns.Close() //nolint:errcheck // nothing was written
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("entering the node's cgroup namespace: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(program, os.Args, append(os.Environ(), enteredVariable+"=1"))
}
