// Build makes the large test images:
//
//	go run ./test/images/build [-cache DIR] [IMAGE...]
//
// and prints where each lies. It wants root, debootstrap, npm and the network.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"seawall.io/seawall/test/images"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run() error {
	usual, err := images.DefaultCache()
	if err != nil {
		return err //nolint:wrapcheck // says what is missing
	}
	cache := flag.String("cache", usual, "folder that keeps images and the trees they are made of")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = images.Names()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	large := images.Large{Cache: *cache, Log: os.Stderr}
	for _, name := range names {
		file, err := large.Archive(ctx, name)
		if err != nil {
			return err //nolint:wrapcheck // names the image
		}
		fmt.Println(file) //nolint:forbidigo // it is a command
	}
	return nil
}
