package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// run runs a command to its end. The error holds what it said.
func run(ctx context.Context, argv ...string) error {
	return runWith(ctx, nil, argv...)
}

// runWith is run with a standard input.
func runWith(ctx context.Context, stdin io.Reader, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var output bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(output.String()))
	}
	return nil
}

// inNetwork is the beginning of a command line that runs in the network
// namespace called name. `ip netns exec` will not do: it mounts /sys anew,
// without the cgroups below it.
func inNetwork(name string) []string {
	return []string{"nsenter", "--net=" + netnsPath(name), "--"}
}

// inNode is the beginning of a command line that runs on node i.
func (l Layout) inNode(i int) []string {
	return []string{"nsenter", "--net=" + netnsPath(l.Node(i)), "--mount=" + l.mountNamespace(i), "--"}
}
