package scan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/helm"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/kube"
	"seawall.io/seawall/internal/kustomize"
	"seawall.io/seawall/internal/manifest"
	"seawall.io/seawall/internal/snapshotfile"
)

// Reading is what targets hold, unjudged.
type Reading struct {
	// Snapshots are the clusters, and last the files of all targets together, if
	// there are any.
	Snapshots []*cluster.Snapshot
	// Coverage and Warnings say what they do in a report.
	Coverage seawall.Coverage
	Warnings []string
}

// Read reads targets for questions other than what is wrong: of the options it
// takes those on targets. Source files and images beside manifests are left
// alone.
func Read(ctx context.Context, o Options) (*Reading, error) {
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	o.ManifestsOnly = true
	snaps, _, report, err := read(ctx, &o)
	if err != nil {
		return nil, err
	}
	if len(snaps) == 0 && len(report.Coverage.Incomplete) == 0 {
		return nil, fmt.Errorf("%w: no Kubernetes object in %s", ErrNothing, strings.Join(o.Targets, ", "))
	}
	if text := withoutNamespace(report.Coverage.WithoutNamespace); text != "" {
		report.Warnings = append(report.Warnings, text)
	}
	return &Reading{Snapshots: snaps, Coverage: report.Coverage, Warnings: report.Warnings}, nil
}

// read reads all targets: the files of all of them together as one snapshot,
// each cluster as one of its own.
func read(ctx context.Context, o *Options) ([]*cluster.Snapshot, *reader, *seawall.Report, error) {
	report := &seawall.Report{Version: o.Version, Targets: o.Targets, Findings: []*seawall.Finding{}}
	targets, err := parseTargets(o.Targets)
	if err != nil {
		return nil, nil, nil, err
	}
	if o.Probe && !slices.ContainsFunc(targets, func(t target) bool { return t.kind == liveCluster }) {
		return nil, nil, nil, errors.New("--probe asks the Services of a live cluster: name the target cluster or cluster:CONTEXT (a snapshot holds what `seawall snapshot --probe` was told)")
	}
	r := reader{options: o, coverage: &report.Coverage, seen: map[string]bool{}, clients: map[*cluster.Snapshot]*kube.Client{}}
	for _, t := range targets {
		switch t.kind {
		case liveCluster:
			live, err := readClusters(ctx, o, t)
			if err != nil {
				return nil, nil, nil, err
			}
			for _, l := range live {
				r.snaps = append(r.snaps, l.snap)
				r.clients[l.snap] = l.client
			}
		case snapshotFile:
			snap, err := readArchive(o, t)
			if err != nil {
				return nil, nil, nil, err
			}
			r.snaps = append(r.snaps, snap)
		case containerImage, billOfMaterials:
			if err := r.image(ctx, t); err != nil {
				return nil, nil, nil, err
			}
		case stdin:
			r.take(manifest.ReadFrom(t.arg, o.Stdin))
		case chart:
			r.chart(ctx, manifest.Place{Name: t.arg, Real: manifest.Real(t.arg)})
		case files:
			tree, err := manifest.Walk(t.arg, o.Exclude)
			if err != nil {
				return nil, nil, nil, err //nolint:wrapcheck // it names the folder already
			}
			r.trees = append(r.trees, tree)
		}
	}
	if err := r.readTrees(ctx); err != nil {
		return nil, nil, nil, err
	}
	if err := r.place(); err != nil {
		return nil, nil, nil, err
	}
	if o.Namespace != "" {
		if r.objects, err = inNamespace(r.objects, o.Namespace); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := r.sources(ctx); err != nil {
		return nil, nil, nil, err
	}
	if err := r.workloadImages(ctx); err != nil {
		return nil, nil, nil, err
	}
	for _, s := range r.snaps {
		s.Beside = r.images
	}
	if objects := slices.Concat(r.objects, r.images); len(objects) > 0 {
		r.snaps = append(r.snaps, cluster.NewSnapshot(objects))
	}
	for _, s := range r.snaps {
		report.Coverage.Objects += len(s.Objects)
		report.Coverage.Incomplete = append(report.Coverage.Incomplete, s.Incomplete...)
		if s.Version != "" {
			report.Coverage.Documents += len(s.Objects)
		}
	}
	report.Warnings = append(report.Warnings, r.warnings...)
	return r.snaps, &r, report, nil
}

// inNamespace keeps the objects of one namespace, and those that name none. A
// namespace that no object is in is a slip of the user.
func inNamespace(objects []*cluster.Object, namespace string) ([]*cluster.Object, error) {
	others, named := map[string]bool{}, false
	var kept []*cluster.Object
	for _, o := range objects {
		ns := o.Namespace
		if o.Kind == "Namespace" && o.Group() == "" {
			ns = o.Name
		}
		switch ns {
		case namespace:
			named = true
			kept = append(kept, o)
		case "":
			kept = append(kept, o)
		default:
			others[ns] = true
		}
	}
	if !named && len(others) > 0 {
		return nil, fmt.Errorf("%w: no object is in namespace %q: there are %s",
			ErrNothing, namespace, strings.Join(slices.Sorted(maps.Keys(others)), ", "))
	}
	return kept, nil
}

// reader gathers what the targets hold.
type reader struct {
	options  *Options
	coverage *seawall.Coverage
	snaps    []*cluster.Snapshot
	// clients are those of the live clusters among snaps.
	clients map[*cluster.Snapshot]*kube.Client
	objects []*cluster.Object
	trees   []*manifest.Tree
	// images are the images that were scanned, as objects.
	images  []*cluster.Object
	scanned []*imagescan.Result
	// dependencies counts packages of source trees.
	dependencies int
	warnings     []string
	// seen are the real paths of what was read or is part of something that was:
	// targets may overlap, and links lead to one file twice.
	seen map[string]bool
}

// take takes over what one file, chart or kustomization held.
func (r *reader) take(f manifest.File) {
	r.coverage.Documents += f.Documents
	r.coverage.Incomplete = append(r.coverage.Incomplete, f.Incomplete...)
	r.coverage.Skipped = append(r.coverage.Skipped, f.Skipped...)
	r.objects = append(r.objects, f.Objects...)
}

// made takes over what a chart or kustomization was made to, and why it was
// not.
func (r *reader) made(f manifest.File, err error) {
	if err != nil {
		r.coverage.Incomplete = append(r.coverage.Incomplete, seawall.Incomplete{
			Location: seawall.Location{File: f.Name}, Reason: err.Error(),
		})
	}
	r.take(f)
}

// once says whether a path comes for the first time.
func (r *reader) once(place string) bool {
	if r.seen[place] {
		return false
	}
	r.seen[place] = true
	return true
}

// readTrees reads files and folders: charts and kustomizations as what they are
// made to, and the files that neither uses as they stand.
func (r *reader) readTrees(ctx context.Context) error {
	var kustomizations []manifest.Place
	for _, tree := range r.trees {
		r.coverage.Incomplete = append(r.coverage.Incomplete, tree.Incomplete...)
		r.coverage.Skipped = append(r.coverage.Skipped, tree.Skipped...)
		for _, dir := range tree.Charts {
			r.chart(ctx, dir)
		}
		kustomizations = append(kustomizations, tree.Kustomizations...)
	}
	r.kustomizations(ctx, kustomizations)

	var names []string
	for _, tree := range r.trees {
		for _, file := range tree.Files {
			if !manifest.IsKustomization(file.Name) && r.once(file.Real) {
				names = append(names, file.Name)
			}
		}
		names = append(names, r.onlyInOverlay(tree.Root)...)
	}
	read := make([]manifest.File, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range names {
		group.Go(func() error {
			if text, ok := r.options.Overlay[names[i]]; ok {
				read[i] = manifest.Parse(names[i], text)
			} else {
				read[i] = manifest.Read(names[i])
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("reading files: %w", err)
	}
	for i := range read {
		r.take(read[i])
	}
	return nil
}

// onlyInOverlay returns the files that exist only in the overlay and belong to
// the target: those below the folder, or beside the file.
func (r *reader) onlyInOverlay(root string) []string {
	dir := manifest.Real(root)
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	var added []string
	for _, name := range slices.Sorted(maps.Keys(r.options.Overlay)) {
		place := filepath.Join(manifest.Real(filepath.Dir(name)), filepath.Base(name))
		below, err := filepath.Rel(dir, place)
		if err != nil || !filepath.IsLocal(below) {
			continue
		}
		if _, err := os.Lstat(name); err != nil && r.once(place) {
			added = append(added, name)
		}
	}
	return added
}

// chart renders a Helm chart.
func (r *reader) chart(ctx context.Context, place manifest.Place) {
	if !r.once(place.Real) {
		return
	}
	r.options.Progress("rendering "+place.Name, 0, 0)
	res, err := helm.Render(ctx, place.Name, r.options.Helm)
	r.made(manifest.File{
		Name: place.Name, Objects: res.Objects, Documents: res.Documents,
		Incomplete: res.Incomplete, Skipped: res.Skipped,
	}, err)
}

// kustomizations builds the kustomizations that no other one builds on, and
// notes the files that any of them uses: those are parts, not objects.
func (r *reader) kustomizations(ctx context.Context, dirs []manifest.Place) {
	uses := make([][]string, len(dirs))
	isBase := map[string]bool{}
	for i, dir := range dirs {
		if !r.once(dir.Real) {
			continue
		}
		uses[i] = kustomize.Referenced(dir.Real)
		for _, name := range uses[i] {
			r.seen[name] = true
			if base := filepath.Dir(name); manifest.IsKustomization(name) && base != dir.Real {
				isBase[base] = true
			}
		}
	}
	covered := map[string]bool{}
	build := func(i int) {
		if covered[dirs[i].Real] {
			return
		}
		covered[dirs[i].Real] = true
		for _, name := range uses[i] {
			covered[filepath.Dir(name)] = covered[filepath.Dir(name)] || manifest.IsKustomization(name)
		}
		r.kustomization(ctx, dirs[i].Name)
	}
	for i := range dirs {
		if !isBase[dirs[i].Real] {
			build(i)
		}
	}
	// What is left builds on itself in a circle; building it says so.
	for i := range dirs {
		build(i)
	}
}

func (r *reader) kustomization(ctx context.Context, dir string) {
	res, err := kustomize.Build(ctx, dir, kustomize.Options{})
	r.made(manifest.File{
		Name: clean(dir), Objects: res.Objects, Documents: res.Documents,
		Incomplete: res.Incomplete, Skipped: res.Skipped,
	}, err)
}

func clean(name string) string { return filepath.ToSlash(filepath.Clean(name)) }

// liveSnapshot is what was read of a cluster, and what read it: nil if nothing
// could be.
type liveSnapshot struct {
	snap   *cluster.Snapshot
	client *kube.Client
}

// readClusters reads a live cluster, or those of all contexts.
func readClusters(ctx context.Context, o *Options, t target) ([]liveSnapshot, error) {
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
	var snaps []liveSnapshot
	for _, name := range contexts {
		opts.Context = name
		live, err := readCluster(ctx, o, opts)
		if err != nil {
			if !o.AllContexts {
				return nil, err
			}
			// One cluster that is down must not hide the others.
			live.snap = cluster.NewSnapshot(nil)
			live.snap.Incomplete = []seawall.Incomplete{{Location: seawall.Location{Path: name}, Reason: err.Error()}}
		}
		snaps = append(snaps, live)
	}
	return snaps, nil
}

func readCluster(ctx context.Context, o *Options, opts kube.Options) (liveSnapshot, error) {
	client, err := kube.Connect(opts)
	if err != nil {
		return liveSnapshot{}, err //nolint:wrapcheck // it says what to do
	}
	snap, err := client.Read(ctx, kube.ReadOptions{
		Namespace: o.Namespace,
		Progress: func(p kube.Progress) {
			o.Progress(fmt.Sprintf("reading %s, %d objects", p.Resource, p.Objects), p.Done, p.Total)
		},
	})
	if err != nil {
		return liveSnapshot{}, err //nolint:wrapcheck // it says what to do
	}
	if o.Probe {
		snap = client.Probe(ctx, snap, kube.ProbeOptions{
			Progress: func(done, total int) { o.Progress("asking services", done, total) },
		})
	}
	snap, err = part(snap, o.Namespace)
	return liveSnapshot{snap, client}, err
}

// readArchive reads a snapshot file.
func readArchive(o *Options, t target) (*cluster.Snapshot, error) {
	o.Progress("reading "+t.arg, 0, 0)
	snap, _, err := snapshotfile.ReadFile(t.arg, snapshotfile.Limits{})
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", t.name, err)
	}
	return part(snap, o.Namespace)
}

// part returns what a snapshot holds of one namespace, or all of it.
func part(snap *cluster.Snapshot, namespace string) (*cluster.Snapshot, error) {
	if namespace == "" {
		return snap, nil
	}
	kept, err := inNamespace(snap.Objects, namespace)
	if err != nil {
		return nil, err
	}
	out := cluster.NewSnapshot(kept)
	out.Version, out.Incomplete = snap.Version, snap.Incomplete
	return out, nil
}
