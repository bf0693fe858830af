package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/helm"
	"seawall.io/seawall/internal/kube"
	"seawall.io/seawall/internal/kustomize"
	"seawall.io/seawall/internal/manifest"
	"seawall.io/seawall/internal/snapshotfile"
)

// read reads all targets: the files of all of them together as one snapshot,
// each cluster as one of its own.
func read(ctx context.Context, o *Options) ([]*cluster.Snapshot, *seawall.Report, error) {
	report := &seawall.Report{Version: o.Version, Targets: o.Targets, Findings: []seawall.Finding{}}
	var objects []*cluster.Object
	var snaps []*cluster.Snapshot
	for _, name := range o.Targets {
		t, err := parseTarget(name)
		if err != nil {
			return nil, nil, err
		}
		switch t.kind {
		case liveCluster:
			live, err := readClusters(ctx, o, t)
			if err != nil {
				return nil, nil, err
			}
			snaps = append(snaps, live...)
		case snapshotFile:
			snap, err := readArchive(o, t)
			if err != nil {
				return nil, nil, err
			}
			snaps = append(snaps, snap)
		case stdin:
			objects = addFile(objects, manifest.ReadFrom(t.arg, o.Stdin), &report.Coverage)
		case chart:
			objects = addChart(ctx, o, objects, t.arg, &report.Coverage)
		case files:
			if objects, err = addTree(ctx, o, objects, t.arg, &report.Coverage); err != nil {
				return nil, nil, err
			}
		}
	}
	if o.Namespace != "" {
		objects = slices.DeleteFunc(objects, func(obj *cluster.Object) bool {
			return obj.Namespace != "" && obj.Namespace != o.Namespace
		})
	}
	if len(objects) > 0 {
		snaps = append(snaps, cluster.NewSnapshot(objects))
	}
	for _, s := range snaps {
		report.Coverage.Objects += len(s.Objects)
		report.Coverage.Incomplete = append(report.Coverage.Incomplete, s.Incomplete...)
		if s.Version != "" {
			report.Coverage.Documents += len(s.Objects)
		}
	}
	return snaps, report, nil
}

func addFile(objects []*cluster.Object, f manifest.File, c *seawall.Coverage) []*cluster.Object {
	c.Documents += f.Documents
	c.Incomplete = append(c.Incomplete, f.Incomplete...)
	c.Skipped = append(c.Skipped, f.Skipped...)
	return append(objects, f.Objects...)
}

// addTree reads a file or a folder: charts and kustomizations as what they are
// made to, and the files that neither uses as they stand.
func addTree(ctx context.Context, o *Options, objects []*cluster.Object, root string, c *seawall.Coverage) ([]*cluster.Object, error) {
	tree, err := manifest.Walk(root, o.Exclude)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the folder already
	}
	c.Incomplete = append(c.Incomplete, tree.Incomplete...)
	c.Skipped = append(c.Skipped, tree.Skipped...)
	for _, dir := range tree.Charts {
		objects = addChart(ctx, o, objects, dir, c)
	}
	used := map[string]bool{}
	objects = addKustomizations(ctx, objects, tree.Kustomizations, used, c)

	var names []string
	for _, name := range withOverlay(tree.Files, root, o.Overlay) {
		if !used[clean(name)] && !manifest.IsKustomization(name) {
			names = append(names, name)
		}
	}
	read := make([]manifest.File, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range names {
		group.Go(func() error {
			if text, ok := o.Overlay[names[i]]; ok {
				read[i] = manifest.Parse(names[i], text)
			} else {
				read[i] = manifest.Read(names[i])
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", root, err)
	}
	for i := range read {
		objects = addFile(objects, read[i], c)
	}
	return objects, nil
}

// withOverlay adds the files that exist only in the overlay and belong to the
// target: those below the folder, or beside the file.
func withOverlay(names []string, root string, overlay map[string][]byte) []string {
	dir := clean(root)
	if len(names) == 1 && clean(names[0]) == dir {
		dir = clean(filepath.Dir(root))
	}
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	var added []string
	for name := range overlay {
		if !known[name] && (dir == "." || strings.HasPrefix(clean(name), dir+"/")) {
			if _, err := os.Lstat(name); err != nil {
				added = append(added, name)
			}
		}
	}
	slices.Sort(added)
	return append(names, added...)
}

func clean(name string) string { return filepath.ToSlash(filepath.Clean(name)) }

// addChart renders a Helm chart.
func addChart(ctx context.Context, o *Options, objects []*cluster.Object, path string, c *seawall.Coverage) []*cluster.Object {
	o.Progress("rendering "+path, 0, 0)
	result, err := helm.Render(ctx, path, o.Helm)
	if err != nil {
		c.Incomplete = append(c.Incomplete, seawall.Incomplete{
			Location: seawall.Location{File: clean(path)}, Reason: err.Error(),
		})
	}
	c.Documents += result.Documents
	c.Incomplete = append(c.Incomplete, result.Incomplete...)
	c.Skipped = append(c.Skipped, result.Skipped...)
	return append(objects, result.Objects...)
}

// addKustomizations builds the kustomizations that no other one builds on, and
// notes the files that any of them uses: those are parts, not objects.
func addKustomizations(ctx context.Context, objects []*cluster.Object, dirs []string, used map[string]bool, c *seawall.Coverage) []*cluster.Object {
	built := map[string]bool{}
	for _, dir := range dirs {
		for _, name := range kustomize.Referenced(dir) {
			built[clean(name)] = true
			used[clean(name)] = true
		}
	}
	for _, dir := range dirs {
		if built[clean(dir)] {
			continue
		}
		result, err := kustomize.Build(ctx, dir, kustomize.Options{})
		if err != nil {
			c.Incomplete = append(c.Incomplete, seawall.Incomplete{
				Location: seawall.Location{File: clean(dir)}, Reason: err.Error(),
			})
		}
		c.Documents += result.Documents
		c.Incomplete = append(c.Incomplete, result.Incomplete...)
		objects = append(objects, result.Objects...)
	}
	return objects
}

// readClusters reads a live cluster, or those of all contexts.
func readClusters(ctx context.Context, o *Options, t target) ([]*cluster.Snapshot, error) {
	opts := o.Kube
	if t.arg != "" {
		opts.Context = t.arg
	}
	contexts := []string{opts.Context}
	if o.AllContexts {
		var err error
		if contexts, _, err = kube.Contexts(opts.Kubeconfig); err != nil {
			return nil, err //nolint:wrapcheck // it says what to do
		}
		if len(contexts) == 0 {
			return nil, errors.New("--all-contexts: the kubeconfig has no context: name another with --kubeconfig")
		}
	}
	var snaps []*cluster.Snapshot
	for _, name := range contexts {
		opts.Context = name
		snap, err := readCluster(ctx, o, opts)
		if err != nil {
			if !o.AllContexts {
				return nil, err
			}
			// One cluster that is down must not hide the others.
			snap = cluster.NewSnapshot(nil)
			snap.Incomplete = []seawall.Incomplete{{Location: seawall.Location{Path: name}, Reason: err.Error()}}
		}
		snaps = append(snaps, snap)
	}
	return snaps, nil
}

func readCluster(ctx context.Context, o *Options, opts kube.Options) (*cluster.Snapshot, error) {
	client, err := kube.Connect(opts)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what to do
	}
	return client.Read(ctx, kube.ReadOptions{ //nolint:wrapcheck // it says what to do
		Namespace: o.Namespace,
		Progress: func(p kube.Progress) {
			o.Progress(fmt.Sprintf("reading %s, %d objects", p.Resource, p.Objects), p.Done, p.Total)
		},
	})
}

// readArchive reads a snapshot file.
func readArchive(o *Options, t target) (*cluster.Snapshot, error) {
	o.Progress("reading "+t.arg, 0, 0)
	snap, _, err := snapshotfile.ReadFile(t.arg, snapshotfile.Limits{})
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", t.name, err)
	}
	if o.Namespace == "" {
		return snap, nil
	}
	kept := slices.DeleteFunc(slices.Clone(snap.Objects), func(obj *cluster.Object) bool {
		return obj.Namespace != "" && obj.Namespace != o.Namespace
	})
	part := cluster.NewSnapshot(kept)
	part.Version, part.Incomplete = snap.Version, snap.Incomplete
	return part, nil
}
