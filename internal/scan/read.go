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
	"seawall.io/seawall/internal/archive"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/helm"
	"seawall.io/seawall/internal/kube"
	"seawall.io/seawall/internal/kustomize"
	"seawall.io/seawall/internal/manifest"
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
	tree, err := manifest.Walk(root)
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
	for _, name := range tree.Files {
		if !used[clean(name)] && !manifest.IsKustomization(name) {
			names = append(names, name)
		}
	}
	read := make([]manifest.File, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range names {
		group.Go(func() error {
			read[i] = manifest.Read(names[i])
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

func clean(name string) string { return filepath.ToSlash(filepath.Clean(name)) }
