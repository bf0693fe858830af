// Command lab runs a real Kubernetes cluster on this machine, for end-to-end
// tests: etcd, API server, controllers, and a kubelet, kube-proxy and
// containerd per node, without a registry, Docker or systemd.
//
// It needs root and Linux, installs nothing and keeps nothing alive; a cluster
// is there until `lab down`. README.md says why its odd steps are needed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, environment{
		args:   os.Args[1:],
		getenv: os.Getenv,
		stdout: os.Stdout,
		stderr: os.Stderr,
		uid:    os.Geteuid(),
		exec:   syscall.Exec,
	})
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "lab: %v\n\n%s", err, usage)
		stop()
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		stop()
		os.Exit(1)
	}
}
