// Seawall secures Kubernetes: what goes into containers, what they may do, and
// what they do. `seawall help` lists the commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"seawall.io/seawall/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.System(), os.Args[1:])
	stop()
	os.Exit(code)
}
