package scan

import (
	"context"
	"fmt"
	"slices"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/manifest"
)

// sources scans what stands beside manifests in the folders and files given:
// dependencies that lock files name, and credentials.
func (r *reader) sources(ctx context.Context) error {
	if r.options.ManifestsOnly {
		return nil
	}
	// Credentials in objects are the business of the checks on objects.
	objects := map[string]bool{}
	for _, o := range r.objects {
		// A Dockerfile is searched as any other source file is.
		if o.File != "" && o.GVK() != "seawall.io/v1/Dockerfile" {
			objects[o.File] = true
		}
	}
	for _, tree := range r.trees {
		r.options.Progress("looking for dependencies and credentials in "+tree.Root, 0, 0)
		found, err := imagescan.Sources(ctx, tree.Root, imagescan.SourceOptions{
			Options: r.options.Image,
			Exclude: r.options.Exclude,
			Known:   func(name string) bool { return objects[name] },
			Once:    func(name string) bool { return r.onceSource(manifest.Real(name)) },
		})
		if err != nil {
			return err //nolint:wrapcheck // it names the folder
		}
		r.objects = append(r.objects, found.Objects...)
		r.dependencies += len(found.Packages)
		if found.Examples > 0 {
			r.warnings = append(r.warnings, fmt.Sprintf("%s: %d credentials that look like examples of documentation or tests are not listed: --check 'source-*secret' lists them", tree.Root, found.Examples))
		}
		for _, hole := range found.Incomplete {
			if !slices.Contains(r.coverage.Incomplete, hole) { // a manifest that cannot be read was named
				r.coverage.Incomplete = append(r.coverage.Incomplete, hole)
			}
		}
		r.coverage.NotEvaluated = append(r.coverage.NotEvaluated, found.NotEvaluated...)
		r.coverage.Skipped = append(r.coverage.Skipped, found.Skipped...)
	}
	return nil
}

// onceSource says whether a file is searched for the first time: targets may
// overlap.
func (r *reader) onceSource(place string) bool {
	place = "source " + place
	if r.seen[place] {
		return false
	}
	r.seen[place] = true
	return true
}
