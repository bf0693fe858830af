package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"seawall.io/seawall/test/lab/internal/images"
	"seawall.io/seawall/test/lab/internal/toolchain"
)

// ownImages returns the archives of the images that every node has.
func (c *cluster) ownImages(ctx context.Context) ([][]byte, error) {
	pause, err := os.ReadFile(c.program(toolchain.Pause))
	if err != nil {
		return nil, fmt.Errorf("making the pause image: %w", err)
	}
	busybox, err := os.ReadFile(c.options.Tools.Busybox)
	if err != nil {
		return nil, fmt.Errorf("making the busybox image: %w", err)
	}
	list, err := exec.CommandContext(ctx, c.options.Tools.Busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("listing the commands of busybox: %w", err)
	}
	var a, b bytes.Buffer
	if err := images.WritePause(&a, pause); err != nil {
		return nil, err
	}
	if err := images.WriteBusybox(&b, images.Busybox, busybox, strings.Fields(string(list))); err != nil {
		return nil, err
	}
	return [][]byte{a.Bytes(), b.Bytes()}, nil
}
