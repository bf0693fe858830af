package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"seawall.io/seawall/test/lab/internal/filelock"
	"seawall.io/seawall/test/lab/internal/host"
	"seawall.io/seawall/test/lab/internal/progress"
)

// Options say how a cluster shall be.
type Options struct {
	Nodes          int
	Index          int      // AnyIndex for the first free one
	APIServerFlags []string // added to those of the lab, and stronger
	Programs       string   // directory, as toolchain.Builder returns it
	Tools          host.Tools
	Progress       *progress.Lines
}

// cluster is one that is being started.
type cluster struct {
	Layout
	plan    Plan
	options Options
	daemons []*daemon
}

// nodes counts the nodes from 1.
func (c *cluster) nodes() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 1; i <= c.options.Nodes && yield(i); i++ {
		}
	}
}

// Up starts the cluster, in place of one of the same name, and returns when
// its nodes are ready, pods can be created and names resolve. If that fails,
// all is stopped again and only the logs stay.
func (l Layout) Up(ctx context.Context, options Options) (err error) {
	if options.Nodes < 1 || options.Nodes > MaxNodes {
		return fmt.Errorf("%d nodes: use 1 to %d", options.Nodes, MaxNodes)
	}
	unlock, err := l.exclusive(ctx, options.Progress)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.remove(ctx, false); err != nil {
		return fmt.Errorf("removing the former cluster %s: %w", l.Name, err)
	}
	c := &cluster{Layout: l, options: options}
	if err := c.reserve(ctx); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		// The caller's context may be why it failed.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(
			fmt.Errorf("starting cluster %s: %w\nall logs are in %s until the next `up` or `down`", l.Name, err, l.Logs()),
			l.remove(cleanup, true),
		)
	}()
	if err := c.prepare(ctx); err != nil {
		return err
	}
	return c.launch(ctx)
}

// exclusive keeps others from starting or stopping the same cluster.
func (l Layout) exclusive(ctx context.Context, p *progress.Lines) (unlock func(), err error) {
	return filelock.Lock(ctx, l.lock(), func() {
		p.Printf("cluster %s is being started or stopped elsewhere; waiting", l.Name)
	})
}

// reserve chooses the index and writes the record, which makes the index known
// as taken.
func (c *cluster) reserve(ctx context.Context) error {
	unlock, err := filelock.Lock(ctx, filepath.Join(clusters(c.Cache), "index.lock"), nil)
	if err != nil {
		return err
	}
	defer unlock()
	taken, err := c.takenIndexes()
	if err != nil {
		return err
	}
	local, err := localPrefixes()
	if err != nil {
		return err
	}
	index, err := chooseIndex(c.options.Index, taken, local)
	if err != nil {
		return err
	}
	c.plan = Plan{index}
	return c.writeRecord(Record{
		Name: c.Name, Index: index, Nodes: c.options.Nodes, Programs: c.options.Programs,
		Server: c.plan.Server(), Host: c.plan.Host().String(),
	})
}

// prepare makes everything that is no process.
func (c *cluster) prepare(ctx context.Context) error {
	c.options.Progress.Printf("preparing cluster %s: %d node(s), index %d", c.Name, c.options.Nodes, c.plan.Index)
	if err := c.createCredentials(); err != nil {
		return err
	}
	if err := c.createNetwork(ctx); err != nil {
		return err
	}
	if err := c.createRunDir(); err != nil {
		return err
	}
	trees, err := mountedHierarchies()
	if err != nil {
		return err
	}
	for i := range c.nodes() {
		if err := createCgroup(trees, c.Node(i)); err != nil {
			return err
		}
		if err := c.configureNode(i); err != nil {
			return err
		}
		if err := c.createMounts(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// launch starts the daemons, and waits as late as possible, so that they come
// up side by side.
func (c *cluster) launch(ctx context.Context) error {
	p := c.options.Progress
	p.Printf("starting etcd, kube-apiserver and containerd")
	if err := c.startEtcd(); err != nil {
		return err
	}
	if err := c.startAPIServer(); err != nil {
		return err
	}
	for i := range c.nodes() {
		if err := c.startContainerd(i); err != nil {
			return err
		}
	}
	if err := c.loadOwnImages(ctx); err != nil {
		return err
	}
	api, err := c.newAPI()
	if err != nil {
		return err
	}
	err = c.await(ctx, "the API server at "+c.plan.Server(), time.Minute, []string{"apiserver", "etcd"}, api.exists("/readyz"))
	if err != nil {
		return err
	}
	p.Printf("the API server is ready; starting controllers, kubelets and DNS")
	if err := c.startControllers(); err != nil {
		return err
	}
	if err := c.startDNS(); err != nil {
		return err
	}
	for i := range c.nodes() {
		if err := c.startKubelet(i); err != nil {
			return err
		}
	}
	return c.awaitUsable(ctx, api)
}

func (c *cluster) loadOwnImages(ctx context.Context) error {
	archives, err := c.ownImages(ctx)
	if err != nil {
		return err
	}
	for i := range c.nodes() {
		if err := c.awaitContainerd(ctx, i); err != nil {
			return err
		}
		for _, archive := range archives {
			if err := c.load(ctx, i, bytes.NewReader(archive)); err != nil {
				return fmt.Errorf("%w%s", err, c.tails([]string{containerdOf(i)}))
			}
		}
	}
	return nil
}

// awaitUsable waits for all that a test will need at once.
func (c *cluster) awaitUsable(ctx context.Context, api *api) error {
	for i := range c.nodes() {
		err := c.await(ctx, "node "+c.Node(i), 90*time.Second, []string{kubeletOf(i), containerdOf(i)},
			func(ctx context.Context) error { return api.nodeReady(ctx, c.Node(i)) })
		if err != nil {
			return err
		}
	}
	c.options.Progress.Printf("%d node(s) ready", c.options.Nodes)
	// Without it, pods of the default namespace are refused.
	err := c.await(ctx, "the default service account", 30*time.Second, []string{"controller-manager"},
		api.exists("/api/v1/namespaces/default/serviceaccounts/default"))
	if err != nil {
		return err
	}
	c.options.Progress.Printf("pods can be created")
	return c.await(ctx, "DNS", 30*time.Second, []string{"coredns"}, func(ctx context.Context) error {
		return resolves(ctx, c.plan.Node(1), "kubernetes.default.svc."+domain+".", c.plan.APIService())
	})
}

// Enter returns the command line that runs argv on node i.
func (l Layout) Enter(i int, argv []string) ([]string, error) {
	if _, err := os.Stat(l.mountNamespace(i)); err != nil {
		return nil, fmt.Errorf("node %d of cluster %s %w", i, l.Name, ErrNotUp)
	}
	return append(l.inNode(i), argv...), nil
}
