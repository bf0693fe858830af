// Package imagescan is the service behind image targets: it opens an image,
// reads its layers at the same time, merges them, tells what is installed and
// which known flaws that has, and describes the image for the checks. Layers
// that were read before are taken from a cache.
package imagescan

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/signature"
	"seawall.io/seawall/internal/vuln"
	"seawall.io/seawall/internal/vuln/vex"
)

// Options say how to scan images.
type Options struct {
	OCI oci.Options
	// Database is asked for known flaws; nil leaves them not evaluated, and
	// NoDatabase says why.
	Database   vuln.Database
	NoDatabase string
	// Judge changes a judgement before it is reported: VEX statements do.
	Judge func(*Result)
	// Trust, when set, says whose signatures count; images are verified then.
	// Bundles are signatures that lie elsewhere than beside the image.
	Trust   *signature.Policy
	Bundles []*signature.Candidate
	// Offline forbids asking registries.
	Offline bool
	// Cache is a folder for layers that were read; empty keeps none.
	Cache string
	// NoSecrets leaves credentials alone.
	NoSecrets bool
	// NoHistory leaves alone what git repositories keep of their past.
	NoHistory bool
	// Licenses makes objects of source files for the licences of their
	// dependencies, too.
	Licenses bool
	// VerifyFiles compares programs and libraries with the checksums of the
	// packages that brought them.
	VerifyFiles bool
	Malware     image.Malware
	// Parsers are asked beside those that every scan has.
	Parsers []inventory.Parser
	// Today is YYYY-MM-DD.
	Today string
}

// Result is what a scan of one image found.
type Result struct {
	// Image is nil for a root file system.
	Image  *oci.Image
	Source oci.Source
	// Named is the target as the user wrote it, where it is not Source's own text.
	Named     string
	Tree      *image.Tree
	Inventory inventory.Inventory
	Judgement vuln.Result
	// Judged says that a database was asked.
	Judged      bool
	Description image.Description
	// Incomplete is what could not be read or judged.
	Incomplete []seawall.Incomplete
	Warnings   []string

	layers []layerInfo
	owners owners
}

type layerInfo struct {
	digest, createdBy string
	files             int
	size              int64
}

// Scan reads one image. The result stands even where parts of the image could
// not be read; those are named in it. An error means that there is no image.
func Scan(ctx context.Context, src oci.Source, o Options) (*Result, error) {
	r := &Result{Source: src}
	layers, err := r.read(ctx, src, &o)
	if err != nil {
		return nil, err
	}
	if r.Tree, err = image.Merge(layers); err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	for _, p := range r.Tree.Problems {
		r.hole(p.Path, p.Reason)
	}
	r.Tree.Problems = nil
	r.install()
	r.judge(&o)
	r.describe(&o)
	if r.Image != nil && o.Trust != nil {
		r.Description.Signature = Signed(Verify(ctx, r.Image, o.Trust, o.Bundles))
	}
	if r.Image != nil {
		r.Warnings = append(r.Warnings, r.Image.Warnings...)
	}
	return r, nil
}

// Name is how findings name the image.
func (r *Result) Name() string {
	if r.Named != "" {
		return r.Named
	}
	return r.Source.String()
}

// Owner returns the distribution package that brought a file, "" for none.
func (r *Result) Owner(path string) string {
	pkg, _ := r.owners.of(path)
	return pkg
}

// Close lets go of the image.
func (r *Result) Close() error {
	if err := r.Image.Close(); err != nil {
		return fmt.Errorf("close %s: %w", r.Source, err)
	}
	return nil
}

// hole adds something that could not be read.
func (r *Result) hole(path, reason string) {
	loc := seawall.Location{File: r.Name(), Path: path}
	r.Incomplete = append(r.Incomplete, seawall.Incomplete{Location: loc, Reason: reason})
}

// read reads the layers of an image, or the folder of a root file system.
func (r *Result) read(ctx context.Context, src oci.Source, o *Options) ([]*image.Layer, error) {
	if src.Kind == oci.RootfsKind {
		l, err := r.readFolder(ctx, src, o)
		if err != nil {
			return nil, err
		}
		r.layers = []layerInfo{{files: l.Files, size: l.Bytes}}
		return []*image.Layer{l}, nil
	}
	if o.Offline && src.Kind == oci.RegistryKind {
		return nil, fmt.Errorf("%s is in a registry, and --offline forbids to ask it: save the image and scan archive:FILE", src)
	}
	img, err := oci.Open(ctx, src, o.OCI)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the source
	}
	r.Image = img
	layers := make([]*image.Layer, len(img.Layers))
	failed := make([]error, len(img.Layers))
	cache := newCache(o)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(runtime.GOMAXPROCS(0), 2))
	for i := range img.Layers {
		group.Go(func() error {
			layers[i], failed[i] = readLayer(groupCtx, &img.Layers[i], cache, o)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	created := createdBy(img)
	for i, l := range layers {
		if failed[i] != nil {
			r.hole("", fmt.Sprintf("layer %d of %d (%s): %v", i+1, len(layers), img.Layers[i].DiffID, failed[i]))
		}
		if l == nil {
			l = image.Empty()
			layers[i] = l
		}
		r.layers = append(r.layers, layerInfo{img.Layers[i].DiffID, created[i], l.Files, l.Bytes})
	}
	return layers, nil
}

// createdBy returns the instruction that made each layer, as the history tells.
func createdBy(img *oci.Image) []string {
	out := make([]string, len(img.Layers))
	i := 0
	for _, h := range img.Config.History {
		if h.EmptyLayer || i >= len(out) {
			continue
		}
		out[i] = strings.TrimSpace(h.CreatedBy)
		i++
	}
	return out
}

// readLayer reads one layer, or takes it from the cache. Where it breaks off,
// what was read until then is returned beside the error, and is not kept.
func readLayer(ctx context.Context, l *oci.Layer, c *cache, o *Options) (*image.Layer, error) {
	if kept := c.get(l.DiffID); kept != nil {
		return kept, nil
	}
	stream, err := l.Open(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the layer
	}
	out, err := newReader(o).Read(stream)
	if cerr := stream.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if out != nil {
		out.DiffID = l.DiffID
	}
	if err == nil {
		c.put(l.DiffID, out)
	}
	return out, err //nolint:wrapcheck // it says where the layer breaks off
}

// readFolder reads a root file system.
func (r *Result) readFolder(ctx context.Context, src oci.Source, o *Options) (*image.Layer, error) {
	reader := newReader(o)
	reader.Begin()
	skipped, err := oci.WalkDir(ctx, src.Path, func(h *tar.Header, open func() (io.ReadCloser, error)) error {
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeLink {
			return reader.Add(h, strings.NewReader(""))
		}
		f, err := open()
		if err != nil {
			r.hole(h.Name, err.Error())
			return nil
		}
		defer f.Close() //nolint:errcheck // nothing was written
		if err := reader.Add(h, f); err != nil {
			r.hole(h.Name, err.Error()) // one file that cannot be read is not the end of all others
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	for _, s := range skipped {
		if s.Err != nil {
			r.hole(s.Path, s.Err.Error())
		}
	}
	return reader.End(), nil
}

// judge holds what is installed against the database.
func (r *Result) judge(o *Options) {
	if o.Database == nil {
		reason := o.NoDatabase
		if reason == "" {
			reason = "there is no vulnerability database"
		}
		if len(r.Inventory.Packages) > 0 {
			r.Incomplete = append(r.Incomplete, seawall.Incomplete{
				Location: seawall.Location{File: r.Name()}, Check: "image-vulnerability",
				Reason: fmt.Sprintf("%d packages were not held against known vulnerabilities: %s", len(r.Inventory.Packages), reason),
			})
		}
		return
	}
	r.Judged = true
	r.Judgement = vuln.Judge(r.Inventory, o.Database, vuln.Options{})
	if o.Judge != nil {
		o.Judge(r)
	}
	for _, g := range r.Judgement.NotEvaluated {
		r.Incomplete = append(r.Incomplete, seawall.Incomplete{
			Location: seawall.Location{File: r.Name()}, Check: "image-vulnerability", Reason: gapText(g),
		})
	}
}

// gapText says which packages could not be judged, and why.
func gapText(g vuln.Gap) string {
	var names []string
	for _, p := range g.Packages[:min(len(g.Packages), 3)] {
		names = append(names, strings.TrimSpace(p.Name+" "+p.Version))
	}
	more := ""
	if n := len(g.Packages) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%d packages (%s) were not held against known vulnerabilities: %s: %s%s",
		len(g.Packages), g.Ecosystem, g.Reason, strings.Join(names, ", "), more)
}

// age returns the days since a time, -1 where that is unknown or made up:
// reproducible builds write 1970 or 1980.
func age(created time.Time, today string) int {
	now, err := time.Parse(time.DateOnly, today)
	if err != nil || created.Year() < 2000 {
		return -1
	}
	return max(int(now.Sub(created).Hours()/24), 0)
}

// ApplyVEX marks the findings that statements speak of.
func (r *Result) ApplyVEX(sources []vex.Source) {
	about := vex.Subject{Names: []string{r.Name()}}
	if r.Image != nil {
		about.Digests = []string{r.Image.Digest, r.Image.IndexDigest, r.Image.ID}
		about.Reference = r.Image.Name
	}
	vex.Apply(&r.Judgement, about, sources)
	for _, s := range sources {
		for _, p := range s.Document.Problems {
			r.Warnings = append(r.Warnings, s.Name+": "+p)
		}
	}
}
