package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
)

// archived is one image of docker's manifest.json.
type archived struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func openArchive(ctx context.Context, src Source, want *Platform, o Options) (*Image, error) {
	t, err := openTar(ctx, src.Path, o)
	if err != nil {
		return nil, err
	}
	img, err := readArchive(ctx, t, src, want, o)
	if err != nil {
		t.file.Close() //nolint:errcheck // it was only read
		return nil, err
	}
	img.close = t.file.Close
	return img, nil
}

// readArchive prefers the OCI layout that current versions of docker write beside
// their manifest.json: it has digests for everything. Where the name is known to
// manifest.json only, and in older archives, that decides.
func readArchive(ctx context.Context, t *tarFile, src Source, want *Platform, o Options) (*Image, error) {
	_, noIndex := t.find("index.json")
	_, noManifest := t.find("manifest.json")
	switch {
	case noIndex != nil && noManifest != nil:
		return nil, fmt.Errorf("there is neither a manifest.json nor an index.json: this is no archive of images: %w", ErrUnsupported)
	case noManifest != nil, src.Kind == LayoutKind && noIndex == nil:
		return readLayout(ctx, t, src.Name, want, o)
	case strings.HasPrefix(src.Name, "@") && noIndex == nil:
		if img, err := readLayout(ctx, t, src.Name, want, o); !errors.Is(err, ErrNotFound) {
			return img, err
		}
	}
	raw, err := readFile(t, "manifest.json", o.Limits.Manifest)
	if err != nil {
		return nil, err
	}
	images, err := parseArchive(raw)
	if err != nil {
		return nil, err
	}
	chosen, err := chooseArchived(images, src.Name)
	if err != nil {
		return nil, err
	}
	return chosen.open(ctx, t, noIndex == nil, want, o)
}

func parseArchive(raw []byte) ([]archived, error) {
	var images []archived
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("manifest.json is not as it should be: %w", err)
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("manifest.json names no image: %w", ErrNotFound)
	}
	for _, i := range images {
		if n := len(i.Layers); n > maxDescriptors {
			return nil, fmt.Errorf("manifest.json names %d layers, at most %d are read: %w", n, maxDescriptors, ErrLimit)
		}
	}
	return images, nil
}

// chooseArchived finds the image that is called name, or the only one.
func chooseArchived(images []archived, name string) (*archived, error) {
	if name == "" {
		if len(images) == 1 {
			return &images[0], nil
		}
		return nil, fmt.Errorf("there are %d images, name one of them: %s", len(images), archivedNames(images))
	}
	digest := Digest(strings.TrimPrefix(name, "@")) // of the configuration, which is in the name of its file
	for i := range images {
		a := &images[i]
		if slices.Contains(a.RepoTags, name) || digest.validate() == nil && strings.Contains(a.Config, digest.sum()) {
			return a, nil
		}
	}
	// What users leave out: the registry, the organisation, the tag latest.
	for i := range images {
		for _, tag := range images[i].RepoTags {
			if strings.HasSuffix(tag, "/"+name) || tag == name+":latest" || strings.HasSuffix(tag, "/"+name+":latest") || strings.HasSuffix(tag, ":"+name) {
				return &images[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no image is called %q, but: %s: %w", name, archivedNames(images), ErrNotFound)
}

func archivedNames(images []archived) string {
	var names []string
	for _, a := range images {
		if len(names) >= 20 {
			names = append(names, "and more")
			break
		}
		if len(a.RepoTags) == 0 {
			names = append(names, a.Config)
		}
		names = append(names, a.RepoTags...)
	}
	return strings.Join(names, ", ")
}

// open reads the configuration, whose digest is only known if the archive names
// it by its digest, as all versions since docker 1.10 do.
func (a *archived) open(ctx context.Context, t *tarFile, layout bool, want *Platform, o Options) (*Image, error) {
	raw, err := readFile(t, a.Config, o.Limits.Config)
	if err != nil {
		return nil, fmt.Errorf("image configuration: %w", err)
	}
	id := DigestOf(raw)
	if named := digestInName(a.Config); named != "" && named != id {
		return nil, fmt.Errorf("image configuration: %w", &DigestError{Want: named, Got: id})
	}
	if layout {
		if img := a.fromLayout(ctx, t, id, want, o); img != nil {
			return img, nil
		}
	}
	img := &Image{Name: a.name(), content: t, limits: o.Limits}
	if err := img.configure(raw, id); err != nil {
		return nil, err
	}
	if err := img.serves(want); err != nil {
		return nil, err
	}
	if len(a.Layers) != len(img.Config.DiffIDs) {
		return nil, fmt.Errorf("manifest.json names %d layers and the configuration %d", len(a.Layers), len(img.Config.DiffIDs))
	}
	total := new(atomic.Int64)
	for i, name := range a.Layers {
		l := Layer{DiffID: img.Config.DiffIDs[i], MediaType: typeLayer, limits: o.Limits, total: total}
		if m, err := t.find(name); err == nil {
			l.Size = m.size
		}
		l.Digest = string(digestInName(name))
		l.open = func(context.Context) (io.ReadCloser, error) { return t.open(name) }
		img.Layers = append(img.Layers, l)
	}
	return img, nil
}

// fromLayout finds the manifest of the image in the layout that lies in the same
// archive. It returns nothing where there is none that is sound and agrees:
// manifest.json is what docker load reads.
func (a *archived) fromLayout(ctx context.Context, t *tarFile, id Digest, want *Platform, o Options) *Image {
	index, err := layoutIndex(t, o.Limits)
	if err != nil {
		return nil
	}
	r := resolver{content: t, platform: want, limits: o.Limits}
	for _, d := range index.Manifests {
		if d.attestation() {
			continue
		}
		if img, err := r.image(ctx, d); err == nil && img.ID == string(id) {
			img.attest(index.Manifests)
			img.Name = a.name()
			return img
		}
	}
	return nil
}

func (a *archived) name() string {
	if len(a.RepoTags) > 0 {
		return a.RepoTags[0]
	}
	return ""
}

// serves is an error if the image is for another platform than is wanted.
func (i *Image) serves(want *Platform) error {
	if want != nil && i.Config.OS != "" && i.Config.platform().fit(*want) == 0 {
		return fmt.Errorf("the image is for %s and not for %s: %w", i.Platform, want, ErrNotFound)
	}
	return nil
}

// digestInName reads the digest off names like blobs/sha256/HEX and HEX.json.
func digestInName(name string) Digest {
	base := name[strings.LastIndexByte(name, '/')+1:]
	d := Digest("sha256:" + strings.TrimSuffix(base, ".json"))
	if (strings.HasPrefix(name, "blobs/sha256/") || strings.HasSuffix(base, ".json") && base == name) && d.validate() == nil {
		return d
	}
	return ""
}
