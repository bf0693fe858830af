// Bigcluster makes snapshot files of clusters that exist nowhere, as large as
// real ones, for benchmarks and trials:
//
//	go run ./test/bigcluster/cmd/bigcluster -pods 30000 -o /tmp/cluster.tar.zst
//	seawall scan snapshot:/tmp/cluster.tar.zst
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"seawall.io/seawall/test/bigcluster"
)

func main() {
	debug.SetGCPercent(400) // nearly all that is made is thrown away at once
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bigcluster:", err)
		os.Exit(2)
	}
}

const usage = `bigcluster writes snapshots of made-up clusters, which every seawall command reads
as snapshot:FILE. The same flags make the same bytes. All names, keys and tokens
in them are invented.

    bigcluster [flags]

With -clusters N it writes N files, FILE-1.tar.zst and so on, of clusters that
hold keys to one another.

`

func run(args []string, stdout, stderr io.Writer) error {
	var o bigcluster.Options
	f := flag.NewFlagSet("bigcluster", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage) //nolint:errcheck // there is nobody else to tell
		f.PrintDefaults()
	}
	f.StringVar(&o.Name, "name", "prod", "the cluster's `name`; with -clusters, what their names begin with")
	f.Uint64Var(&o.Seed, "seed", 0, "another `number` makes another cluster of the same size")
	f.IntVar(&o.Pods, "pods", 30_000, "`pods` in all, those of the platform and of the nodes' agents included")
	f.IntVar(&o.Namespaces, "namespaces", 0, "`namespaces` of teams (one for every 100 pods)")
	f.IntVar(&o.Nodes, "nodes", 0, "`nodes`, three with the control plane included (one for every 60 pods)")
	f.StringVar(&o.Version, "kubernetes", "v1.36.3", "the `version` of Kubernetes that servers and nodes name")
	f.StringVar(&o.Provider, "provider", "aws", "whose identities workloads use: `aws, gcp or azure`")
	clusters := f.Int("clusters", 1, "how many clusters to make, each in a `file` of its own")
	out := f.String("o", "cluster.tar.zst", "the `file` to write")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see bigcluster -help", f.Arg(0))
	}
	for flagName, n := range map[string]int{"pods": o.Pods, "clusters": *clusters} {
		if n < 1 {
			return fmt.Errorf("-%s %d: want a positive number", flagName, n)
		}
	}
	made, err := plan(o, *clusters)
	if err != nil {
		return err
	}
	for i, c := range made {
		file := *out
		if len(made) > 1 {
			file = fmt.Sprintf("%s-%d.tar.zst", strings.TrimSuffix(file, ".tar.zst"), i+1)
		}
		if err := c.WriteFile(file); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(stdout, file); err != nil {
			return err
		}
	}
	return nil
}

func plan(o bigcluster.Options, n int) ([]*bigcluster.Cluster, error) {
	if n > 1 {
		return bigcluster.Fleet(o, n)
	}
	c, err := bigcluster.New(o)
	return []*bigcluster.Cluster{c}, err
}
