package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"seawall.io/seawall/test/lab/internal/cluster"
	"seawall.io/seawall/test/lab/internal/host"
	"seawall.io/seawall/test/lab/internal/images"
	"seawall.io/seawall/test/lab/internal/progress"
	"seawall.io/seawall/test/lab/internal/toolchain"
)

// The versions of everything in a cluster are those of these two files.
var (
	//go:embed go.mod
	goMod []byte
	//go:embed go.sum
	goSum []byte
)

// downLimit bounds the removal of a cluster.
const downLimit = 2 * time.Minute

// environment is what the program takes from outside.
type environment struct {
	args           []string
	getenv         func(string) string
	stdout, stderr io.Writer
	uid            int
	exec           func(path string, argv, env []string) error
}

// lab is one call of the program.
type lab struct {
	environment
	settings settings
	layout   cluster.Layout
	progress *progress.Lines
}

func run(ctx context.Context, env environment) error {
	s, err := parse(env.args, env.getenv)
	if err != nil {
		return err
	}
	if s.command == "help" {
		_, err := io.WriteString(env.stdout, usage)
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("finding the cache directory: %w; set HOME or XDG_CACHE_HOME", err)
	}
	layout, err := cluster.NewLayout(filepath.Join(cache, "seawall-lab"), s.name)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	l := &lab{environment: env, settings: s, layout: layout, progress: progress.To(env.stderr)}
	switch s.command {
	case "build":
		return l.build(ctx)
	case "kubeconfig":
		return l.kubeconfig()
	}
	if err := host.Root(env.uid); err != nil {
		return err
	}
	switch s.command {
	case "up":
		return l.up(ctx)
	case "down":
		return l.down(ctx)
	case "load":
		return l.load(ctx)
	case "status":
		return l.status(ctx)
	case "kubectl":
		return l.kubectl()
	case "on":
		return l.on()
	}
	return fmt.Errorf("%w: there is no command %q", errUsage, s.command)
}

func (l *lab) programs(ctx context.Context) (dir string, err error) {
	return toolchain.Builder{
		Cache:    l.layout.Cache,
		Recipe:   toolchain.Recipe{GoMod: goMod, GoSum: goSum, Pause: images.PauseSource()},
		Progress: l.progress,
	}.Build(ctx)
}

func (l *lab) build(ctx context.Context) error {
	dir, err := l.programs(ctx)
	if err != nil {
		return err
	}
	return l.print(dir)
}

func (l *lab) up(ctx context.Context) error {
	nodes := 1
	if len(l.settings.args) == 1 {
		var err error
		if nodes, err = strconv.Atoi(l.settings.args[0]); err != nil {
			return fmt.Errorf("%w: up takes a number of nodes, not %q", errUsage, l.settings.args[0])
		}
	}
	tools, err := host.Local().Tools() // before a build of minutes
	if err != nil {
		return err
	}
	programs, err := l.programs(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.settings.timeout)
	defer cancel()
	err = l.layout.Up(ctx, cluster.Options{
		Nodes:          nodes,
		Index:          l.settings.index,
		APIServerFlags: l.settings.apiServerFlags,
		Programs:       programs,
		Tools:          tools,
		Progress:       l.progress,
	})
	if err != nil {
		return err
	}
	l.progress.Printf("cluster %s is up", l.settings.name)
	return l.print(l.layout.Kubeconfig())
}

func (l *lab) down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, downLimit)
	defer cancel()
	if err := l.layout.Down(ctx, l.progress); err != nil {
		return err
	}
	l.progress.Printf("cluster %s is down", l.settings.name)
	return nil
}

func (l *lab) load(ctx context.Context) error {
	if err := l.layout.Load(ctx, l.settings.args[0]); err != nil {
		return err
	}
	l.progress.Printf("loaded %s", l.settings.args[0])
	return nil
}

func (l *lab) status(ctx context.Context) error {
	stopped, err := l.layout.WriteStatus(l.stdout)
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"get", "nodes", "-o", "wide"}, {"get", "pods", "-A", "-o", "wide"}} {
		argv, env, err := l.kubectlCommand(args)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], "--request-timeout=5s")...)
		cmd.Env, cmd.Stdout, cmd.Stderr = env, l.stdout, l.stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("asking the API server: %w", err)
		}
	}
	if stopped > 0 {
		return fmt.Errorf("%d daemon(s) have stopped: see %s, and start the cluster again with `up`", stopped, l.layout.Logs())
	}
	return nil
}

func (l *lab) kubeconfig() error {
	if _, err := l.layout.Record(); err != nil {
		return err
	}
	return l.print(l.layout.Kubeconfig())
}

// kubectl becomes kubectl, whose exit status and signals are then its own.
func (l *lab) kubectl() error {
	argv, env, err := l.kubectlCommand(l.settings.args)
	if err != nil {
		return err
	}
	return l.become(argv, env)
}

func (l *lab) kubectlCommand(args []string) (argv, env []string, err error) {
	record, err := l.layout.Record()
	if err != nil {
		return nil, nil, err
	}
	argv = append([]string{filepath.Join(record.Programs, toolchain.Kubectl)}, args...)
	return argv, append(os.Environ(), "KUBECONFIG="+l.layout.Kubeconfig()), nil
}

// on becomes the command, within the node.
func (l *lab) on() error {
	node, err := l.layout.ParseNode(l.settings.args[0])
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	argv, err := l.layout.Enter(node, l.settings.args[1:])
	if err != nil {
		return err
	}
	return l.become(argv, os.Environ())
}

func (l *lab) become(argv, env []string) error {
	path, err := exec.LookPath(argv[0])
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: run `build`, or install the package util-linux for nsenter", err)
	}
	if err != nil {
		return fmt.Errorf("finding %s: %w", argv[0], err)
	}
	if err := l.exec(path, argv, env); err != nil {
		return fmt.Errorf("running %s: %w", path, err)
	}
	return nil
}

// print writes a result: the only thing that goes to standard output.
func (l *lab) print(result string) error {
	if _, err := fmt.Fprintln(l.stdout, result); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
