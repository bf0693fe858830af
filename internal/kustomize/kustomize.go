// Package kustomize builds kustomizations into objects whose findings point
// back to the file and line that set a field: the resource, the patch or the
// kustomization itself. It does what `kubectl kustomize` does, but reaches for
// no network, runs no program and writes nothing: what is remote, a plugin or
// a Helm chart is left out and reported.
package kustomize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Options say how to build. The zero value does what `kubectl kustomize` does.
type Options struct {
	// AnyPath lets a kustomization use files outside its directory, as
	// --load-restrictor=LoadRestrictionsNone does. Directories such as ../base
	// need no permission.
	AnyPath bool
	// Name turns the path of a file into the name that the user knows it by.
	// By default it is the path with / between its parts.
	Name func(path string) string
	// Timeout bounds the build: a minute by default.
	Timeout time.Duration
	// Bytes bounds all files that are read, and what is built: 64 MiB by
	// default.
	Bytes int64
}

// Result is what a kustomization builds to.
type Result struct {
	Objects []*cluster.Object
	// Documents counts the resources that were built.
	Documents int
	// Incomplete says what was left out, and why.
	Incomplete []seawall.Incomplete
	// Skipped says that the kustomization builds nothing by design.
	Skipped []seawall.Skipped
}

const (
	defaultTimeout = time.Minute
	defaultBytes   = 64 << 20
	componentKind  = "Component"
)

func (o Options) orDefault() Options {
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.Bytes = cmp.Or(o.Bytes, defaultBytes)
	if o.Name == nil {
		o.Name = filepath.ToSlash
	}
	return o
}

// IsKustomization says whether dir holds a kustomization.
func IsKustomization(dir string) bool { return kustomizationFile(dir) != "" }

// library lets one build run at a time: kustomize's library keeps the schema
// that it merges lists by in a variable of its own.
//
//nolint:gochecknoglobals // guards a global of the library
var library = make(chan struct{}, 1)

// Build builds the kustomization in dir. An error says that nothing could be
// built; what was left out is in the result.
func Build(ctx context.Context, dir string, opts Options) (Result, error) {
	opts = opts.orDefault()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	name := opts.Name(dir)
	file := kustomizationFile(dir)
	if file == "" {
		return Result{}, fmt.Errorf("building %s: there is no kustomization.yaml in it: name the directory that holds one", name)
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return Result{}, fmt.Errorf("building %s: %w", name, err)
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return Result{}, fmt.Errorf("building %s: %w", name, err)
	}
	b := &build{ctx: ctx, opts: opts, root: root, dir: dir, files: make(map[string]*parsedFile)}
	built, err := b.run()
	top := b.parse(filepath.Join(root, filepath.Base(file)))
	if nothing := err != nil || built.Size() == 0; nothing && top.node().Get("kind").Str() == componentKind {
		return Result{Skipped: []seawall.Skipped{{
			File: opts.Name(file), Reason: "a component that changes what others bring builds nothing by itself: scan the overlays that use it",
		}}}, nil
	}
	if err != nil {
		return Result{Incomplete: b.holes()}, fmt.Errorf("building %s: %w", name, b.explain(err))
	}
	return b.result(built)
}

// build is one build of one kustomization.
type build struct {
	ctx     context.Context //nolint:containedctx // the library has no way to hand one through
	opts    Options
	root    string // absolute, without symbolic links
	dir     string // as given
	disk    *safeDisk
	filesMu sync.Mutex
	files   map[string]*parsedFile // parsed, by absolute path; nil for what cannot be read
}

// run runs the library, and gives up on it when the time is over.
func (b *build) run() (resmap.ResMap, error) {
	select {
	case library <- struct{}{}:
	case <-b.ctx.Done():
		return nil, b.ctx.Err()
	}
	b.disk = &safeDisk{FileSystem: filesys.MakeFsOnDisk(), ctx: b.ctx, left: b.opts.Bytes}
	type outcome struct {
		built resmap.ResMap
		err   error
	}
	done := make(chan outcome, 1)
	go func() { // ends with the library's own work, which reads no more once ctx is done
		defer func() { <-library }()
		defer func() {
			if r := recover(); r != nil {
				done <- outcome{err: fmt.Errorf("internal error of the kustomize library: %v", r)}
			}
		}()
		o := krusty.MakeDefaultOptions()
		if b.opts.AnyPath {
			o.LoadRestrictions = types.LoadRestrictionsNone
		}
		built, err := krusty.MakeKustomizer(o).Run(b.disk, b.root)
		done <- outcome{built, err}
	}()
	select {
	case o := <-done:
		return o.built, o.err
	case <-b.ctx.Done():
		return nil, b.ctx.Err()
	}
}

// explain adds the remedy to errors of the library that users meet.
func (b *build) explain(err error) error {
	msg := err.Error()
	const nested = "recursed accumulation of path '"
	if i := strings.LastIndex(msg, nested); i >= 0 {
		msg = "in " + strings.Replace(msg[i+len(nested):], "': ", ": ", 1)
	}
	msg = strings.TrimRight(msg, `"`)
	msg = strings.ReplaceAll(msg, b.root+string(filepath.Separator), "")
	msg = strings.ReplaceAll(msg, b.root, b.opts.Name(b.dir))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("it took longer than %s: look for files that are very large", b.opts.Timeout)
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(msg, "security; file"):
		return fmt.Errorf("%s: kustomize only reads files in or below the directory: move the file, or build with --load-restrictor=LoadRestrictionsNone", msg)
	}
	if n := len(b.disk.dropped); n > 0 {
		return fmt.Errorf("%s: the cause may be what had to be left out, such as %s: scan the output of `kubectl kustomize` instead", msg, b.disk.dropped[0].entry)
	}
	return fmt.Errorf("%s: `kubectl kustomize %s` says the same", msg, b.opts.Name(b.dir))
}

// holes are the parts that the library never got to see.
func (b *build) holes() []seawall.Incomplete {
	if b.disk == nil {
		return nil
	}
	b.disk.mu.Lock()
	defer b.disk.mu.Unlock()
	out := make([]seawall.Incomplete, 0, len(b.disk.dropped))
	for _, d := range b.disk.dropped {
		loc := seawall.Location{File: b.name(d.file)}
		if f := b.parse(d.file); f != nil {
			loc.Line = f.lineOf(d.entry)
		}
		out = append(out, seawall.Incomplete{Location: loc, Reason: d.reason})
	}
	return out
}

// name returns the name that the user knows a file by, given its absolute
// path.
func (b *build) name(abs string) string {
	rel, err := filepath.Rel(b.root, abs)
	if err != nil {
		return b.opts.Name(abs)
	}
	return b.opts.Name(filepath.Join(b.dir, rel))
}

// result turns the library's resources into objects.
func (b *build) result(built resmap.ResMap) (Result, error) {
	res := Result{Incomplete: b.holes()}
	left := b.opts.Bytes
	for _, r := range built.Resources() {
		o, text, err := b.object(r)
		res.Documents++
		if err != nil {
			res.Incomplete = append(res.Incomplete, seawall.Incomplete{
				Location: seawall.Location{File: b.opts.Name(b.dir)},
				Reason:   fmt.Sprintf("reading %s %s as it was built: %v", r.GetKind(), r.GetName(), err),
			})
			continue
		}
		if left -= int64(text); left < 0 {
			return res, fmt.Errorf("building %s: the result is larger than %d MiB: scan its parts one by one", b.opts.Name(b.dir), b.opts.Bytes>>20)
		}
		res.Objects = append(res.Objects, o)
	}
	return res, nil
}

func (b *build) object(r *resource.Resource) (o *cluster.Object, size int, err error) {
	origin, _ := r.GetOrigin() // absent for what no file holds
	changes, _ := r.GetTransformations()
	if err := r.SetOrigin(nil); err != nil {
		return nil, 0, err
	}
	if err := r.ClearTransformations(); err != nil {
		return nil, 0, err
	}
	text, err := r.AsYAML()
	if err != nil {
		return nil, 0, err
	}
	docs := document.Parse(text, document.Limits{})
	if len(docs) != 1 || docs[0].Err != nil {
		return nil, 0, errors.New("it cannot be read back as YAML")
	}
	o, ok := cluster.New(docs[0].Root)
	if !ok {
		return nil, 0, errors.New("it has no apiVersion or kind")
	}
	p := &placer{build: b, object: o, origin: origin}
	for _, c := range slices.Backward(changes) {
		if c.ConfiguredIn != "" && c.Repo == "" {
			p.changes = append(p.changes, change{file: b.abs(c.ConfiguredIn), kind: c.ConfiguredBy.Kind})
		}
	}
	o.File = p.file()
	o.Place = p.place
	return o, len(text), nil
}

// abs returns the absolute path of a file that an annotation names, which is
// relative to the kustomization.
func (b *build) abs(rel string) string {
	return filepath.Join(b.root, filepath.FromSlash(path.Clean(filepath.ToSlash(rel))))
}
