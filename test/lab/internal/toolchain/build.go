package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"seawall.io/seawall/test/lab/internal/filelock"
	"seawall.io/seawall/test/lab/internal/progress"
)

// heartbeat is how often a long build says that it is alive.
const heartbeat = 30 * time.Second

// Builder builds a recipe into a cache.
type Builder struct {
	Cache    string // directory; each recipe has one of its own below it
	Recipe   Recipe
	Progress *progress.Lines
}

// Build returns the directory of the programs, after building those that are
// not there. Each is built under another name and then renamed: what is there
// is complete, and a build that was interrupted goes on where it stopped.
func (b Builder) Build(ctx context.Context) (dir string, err error) {
	source, err := os.MkdirTemp("", "seawall-lab-build-")
	if err != nil {
		return "", fmt.Errorf("creating a directory to build in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(source)) }()
	if err := b.Recipe.unpack(source); err != nil {
		return "", err
	}
	env, err := goTool(ctx, source, "env", "GOVERSION", "GOARCH")
	if err != nil {
		return "", err
	}
	fields := strings.Fields(env)
	if len(fields) != 2 {
		return "", fmt.Errorf("go env answered %q, want a version and an architecture", env)
	}
	key, err := b.Recipe.key(fields[0], fields[1])
	if err != nil {
		return "", err
	}
	dir = filepath.Join(b.Cache, key)
	if todo, err := missing(dir); err != nil || len(todo) == 0 {
		return dir, err
	}

	unlock, err := filelock.Lock(ctx, filepath.Join(b.Cache, "build.lock"), func() {
		b.Progress.Printf("another build is running; waiting for it")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	todo, err := missing(dir) // the one we waited for may have done it
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("creating the cache: %w", err)
	}
	for i, p := range todo {
		b.Progress.Printf("building %s (%d of %d)", p.name, i+1, len(todo))
		if err := b.build(ctx, source, dir, p); err != nil {
			return "", err
		}
	}
	b.Progress.Printf("built %s", dir)
	return dir, nil
}

func (b Builder) build(ctx context.Context, source, dir string, p program) error {
	start := time.Now()
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				b.Progress.Printf("building %s, for %s now", p.name, time.Since(start).Round(time.Second))
			}
		}
	}()

	flags, err := b.Recipe.flags()
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, "."+p.name+".unfinished")
	args := append([]string{"build"}, flags...)
	if _, err := goTool(ctx, source, append(args, "-o", temporary, p.pkg)...); err != nil {
		return fmt.Errorf("building %s: %w", p.name, err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, p.name)); err != nil {
		return fmt.Errorf("putting %s into the cache: %w", p.name, err)
	}
	return nil
}

// unpack writes the module that the programs are built in.
func (r Recipe) unpack(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, "pause"), 0o755); err != nil {
		return fmt.Errorf("preparing the build: %w", err)
	}
	for name, content := range map[string][]byte{
		"go.mod":        r.GoMod,
		"go.sum":        r.GoSum,
		"pause/main.go": r.Pause,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("preparing the build: %w", err)
		}
	}
	return nil
}

func missing(dir string) ([]program, error) {
	var todo []program
	for _, p := range programs() {
		switch _, err := os.Stat(filepath.Join(dir, p.name)); {
		case errors.Is(err, fs.ErrNotExist):
			todo = append(todo, p)
		case err != nil:
			return nil, fmt.Errorf("looking for built programs: %w", err)
		}
	}
	return todo, nil
}

// goTool runs the go command in dir and returns what it prints. Programs are
// built without cgo, so that they need neither a C compiler nor shared
// libraries.
func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "PWD="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("the go command is not in PATH, and the cluster's programs are built with it: install Go from https://go.dev/dl")
	case ctx.Err() != nil:
		return "", fmt.Errorf("go %s: %w", args[0], ctx.Err())
	case err != nil:
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
