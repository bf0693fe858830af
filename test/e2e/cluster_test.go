package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// kubeconfigVariable names a cluster to use instead of one of the tests' own.
// It is not taken down, and tests leave objects in it.
const kubeconfigVariable = "SEAWALL_TEST_KUBECONFIG"

// labName is the name of the cluster: not that of the lab's own tests, which may
// run at the same time.
const labName = "seawall-main"

// lab is the cluster of all tests of the package.
type lab struct {
	once sync.Once
	dir  string // of the program and the cluster's files
	bin  string // the program; empty where no cluster was started

	kubeconfig string
	api        *api
	skip       string // why there is no cluster
	err        error
}

var shared lab //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if err := shared.down(); err != nil {
		fmt.Fprintf(os.Stderr, "taking the cluster down: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// cluster returns the API server of the tests' cluster, which the first test
// that asks starts. It skips where the machine cannot run one.
func cluster(t *testing.T) *api {
	t.Helper()
	shared.once.Do(shared.up)
	if shared.skip != "" {
		t.Skip(shared.skip)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.api
}

func (l *lab) up() {
	if l.kubeconfig = os.Getenv(kubeconfigVariable); l.kubeconfig == "" {
		if l.skip = whyNoCluster(); l.skip != "" {
			return
		}
		if l.err = l.start(); l.err != nil {
			return
		}
	}
	l.api, l.err = connect(l.kubeconfig)
}

// whyNoCluster says what the machine lacks to run a cluster; empty is nothing.
func whyNoCluster() string {
	switch {
	case testing.Short():
		return "-short: a real cluster takes half a minute"
	case runtime.GOOS != "linux":
		return "a real cluster needs Linux"
	case os.Geteuid() != 0:
		return "a real cluster needs root"
	}
	var missing []string
	for _, name := range []string{"containerd", "runc", "ip", "nft", "conntrack", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return "a real cluster needs " + strings.Join(missing, ", ") + ": test/lab/README.md says which packages to install"
	}
	return ""
}

// start builds the lab's program and starts a cluster, after one that an
// interrupted run may have left.
func (l *lab) start() error {
	var err error
	if l.dir, err = os.MkdirTemp("", "seawall-e2e-"); err != nil {
		return fmt.Errorf("making a directory for the lab: %w", err)
	}
	bin := filepath.Join(l.dir, "lab")
	if _, err := run(5*time.Minute, "go", "-C", filepath.Join("..", "lab"), "build", "-o", bin, "."); err != nil {
		return err
	}
	l.bin = bin
	if _, err := run(2*time.Minute, bin, "down", "--name", labName); err != nil {
		return err
	}
	out, err := run(20*time.Minute, bin, "up", "2", "--name", labName)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	l.kubeconfig = lines[len(lines)-1]
	return nil
}

// down takes the cluster down and removes what start made.
func (l *lab) down() error {
	var err error
	if l.bin != "" {
		_, err = run(2*time.Minute, l.bin, "down", "--name", labName)
		err = errors.Join(err, removePins())
	}
	if l.dir != "" {
		err = errors.Join(err, os.RemoveAll(l.dir))
	}
	return err
}

// run runs a command and returns its standard output.
func run(limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited a minute in vain until %s", what)
		}
	}
}
