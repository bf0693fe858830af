package scan

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
)

// image scans the image or the bill of materials that a target names.
func (r *reader) image(ctx context.Context, t target) error {
	r.options.Progress("scanning "+t.name, 0, 0)
	var res *imagescan.Result
	var err error
	if t.kind == billOfMaterials {
		res, err = r.bill(t)
	} else {
		res, err = imagescan.Scan(ctx, t.image, r.options.Image)
	}
	if err != nil {
		return fmt.Errorf("target %q: %w", t.name, err)
	}
	res.Named = t.name
	r.takeImage(res)
	return nil
}

func (r *reader) bill(t target) (*imagescan.Result, error) {
	data, err := os.ReadFile(t.arg)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller names the target
	}
	return imagescan.FromBill(t.arg, data, r.options.Image) //nolint:wrapcheck // the caller names the target
}

// takeImage takes over what the scan of an image found.
func (r *reader) takeImage(res *imagescan.Result) {
	r.coverage.Incomplete = append(r.coverage.Incomplete, res.Incomplete...)
	r.warnings = append(r.warnings, res.Warnings...)
	r.images = append(r.images, res.Object())
	r.scanned = append(r.scanned, res)
	r.coverage.Images = append(r.coverage.Images, res.Coverage())
}

// imagesAtOnce is how many images are scanned at the same time: each reads its
// layers in parallel already.
const imagesAtOnce = 2

// workloadImages scans the images that workloads run, when asked to. One that
// cannot be had is named and does not stop the others.
func (r *reader) workloadImages(ctx context.Context) error {
	if !r.options.WorkloadImages {
		return nil
	}
	var refs []string
	gather := func(objects []*cluster.Object) {
		for _, o := range objects {
			for _, t := range cluster.PodTemplates(o) {
				for i := range t.Containers {
					if ref := t.Containers[i].Image(); ref != "" {
						refs = append(refs, ref)
					}
				}
			}
		}
	}
	for _, s := range r.snaps {
		gather(s.Objects)
	}
	gather(r.objects)
	slices.Sort(refs)
	refs = slices.Compact(refs)
	keys := r.pullSecrets(ctx)
	found, failed := make([]*imagescan.Result, len(refs)), make([]error, len(refs))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(imagesAtOnce)
	for i, ref := range refs {
		group.Go(func() error {
			r.options.Progress("scanning "+ref, i, len(refs))
			o := r.options.Image
			if chain := keys[ref]; len(chain) > 0 {
				if o.OCI.Registry.Keychain != nil {
					chain = append(slices.Clone(chain), o.OCI.Registry.Keychain)
				}
				o.OCI.Registry.Keychain = chain
			}
			found[i], failed[i] = imagescan.Scan(groupCtx, oci.Source{Kind: oci.RegistryKind, Name: ref}, o)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("scanning images: %w", err)
	}
	for i, res := range found {
		if failed[i] != nil {
			r.coverage.Incomplete = append(r.coverage.Incomplete, seawall.Incomplete{
				Location: seawall.Location{File: refs[i]}, Reason: failed[i].Error(),
			})
			continue
		}
		r.takeImage(res)
	}
	return nil
}
