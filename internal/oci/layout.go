package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// folder is the content of an OCI layout in a folder. Links that lead out of it
// are not followed.
type folder struct{ root *os.Root }

func (f folder) blob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	name, err := blobPath(d.Digest)
	if err != nil {
		return nil, err
	}
	return f.open(name)
}

func (f folder) open(name string) (io.ReadCloser, error) {
	file, err := f.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	// A pipe would block for ever, a directory has no bytes.
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close() //nolint:errcheck // it was only read
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return file, nil
}

// blobPath is where a layout holds a blob.
func blobPath(d Digest) (string, error) {
	if err := d.validate(); err != nil {
		return "", err
	}
	algorithm, sum := d.split()
	return path.Join("blobs", algorithm, sum), nil
}

// files is a folder or a tar file that holds a layout.
type files interface {
	content
	// open returns the bytes of a file, or an error that wraps ErrNotFound.
	open(name string) (io.ReadCloser, error)
}

func openLayout(ctx context.Context, src Source, want *Platform, o Options) (*Image, error) {
	info, err := os.Stat(src.Path)
	if src.Path == "-" || err == nil && !info.IsDir() {
		return openArchive(ctx, src, want, o)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	root, err := os.OpenRoot(src.Path)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	img, err := readLayout(ctx, folder{root}, src.Name, want, o)
	if err != nil {
		root.Close() //nolint:errcheck // it was only read
		return nil, err
	}
	img.close = root.Close
	return img, nil
}

// readLayout opens the image of that name in a layout.
func readLayout(ctx context.Context, f files, name string, want *Platform, o Options) (*Image, error) {
	index, err := layoutIndex(f, o.Limits)
	if err != nil {
		return nil, err
	}
	r := resolver{content: f, platform: want, limits: o.Limits}
	if digest, ok := strings.CutPrefix(name, "@"); ok {
		return r.byDigest(ctx, index, Digest(digest))
	}
	candidates, err := byName(index, name)
	if err != nil {
		return nil, err
	}
	img, d := &Image{content: f, limits: o.Limits}, &candidates[0]
	if len(candidates) > 1 {
		// The layout's own index is that of one image for several platforms.
		if d, err = r.descend(img, candidates); err != nil {
			return nil, err
		}
	}
	found, err := r.image(ctx, *d)
	if err != nil {
		return nil, err
	}
	if found.Platforms == nil {
		found.Platforms = img.Platforms
	}
	found.attest(index.Manifests)
	found.Name = layoutName(d)
	return found, nil
}

// layoutIndex reads index.json.
func layoutIndex(f files, limits Limits) (*document, error) {
	raw, err := readFile(f, "index.json", limits.Manifest)
	if errors.Is(err, ErrNotFound) {
		return nil, errors.New("there is no index.json: this is no OCI layout")
	}
	if err != nil {
		return nil, err
	}
	index, err := parseDocument(raw, "")
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	if !index.index {
		return nil, errors.New("index.json is no index")
	}
	return index, nil
}

func readFile(f files, name string, limit int64) ([]byte, error) {
	r, err := f.open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	r.Close() //nolint:errcheck // it was only read
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, limit, ErrLimit)
	}
	return data, nil
}

// byDigest finds a manifest that the index names, or that lies among the blobs.
func (r *resolver) byDigest(ctx context.Context, index *document, digest Digest) (*Image, error) {
	if err := digest.validate(); err != nil {
		return nil, err
	}
	d := Descriptor{Digest: digest}
	for i := range index.Manifests {
		if index.Manifests[i].Digest == digest {
			d = index.Manifests[i]
		}
	}
	img, err := r.image(ctx, d)
	if err != nil {
		return nil, err
	}
	img.Name = layoutName(&d)
	return img, nil
}

// byName chooses in a layout's index: the one image of that name, or those of
// one image for several platforms.
func byName(index *document, name string) ([]Descriptor, error) {
	var named, images []Descriptor
	for _, d := range index.Manifests {
		if d.attestation() || d.artifact() {
			continue
		}
		images = append(images, d)
		if answersTo(&d, name) {
			named = append(named, d)
		}
	}
	if name == "" {
		named = images
	}
	switch {
	case len(images) == 0:
		return nil, fmt.Errorf("the layout holds no image: %w", ErrNotFound)
	case len(named) == 0:
		return nil, fmt.Errorf("no image is called %q, but: %s: %w", name, layoutNames(images), ErrNotFound)
	case one(named, func(d Descriptor) any { return d.Digest }):
		return named[:1], nil // one image with several names
	case one(named, func(d Descriptor) any { return [2]any{layoutName(&d), d.Platform != nil} }) && named[0].Platform != nil:
		return named, nil
	}
	return nil, fmt.Errorf("there are %d images, name one of them: %s", len(named), layoutNames(named))
}

// one says that all descriptors have the same key.
func one(ds []Descriptor, key func(Descriptor) any) bool {
	return !slices.ContainsFunc(ds, func(d Descriptor) bool { return key(d) != key(ds[0]) })
}

// answersTo says whether an index entry is called name: its full name, its tag,
// or the end of its name.
func answersTo(d *Descriptor, name string) bool {
	for _, key := range []string{annotationRefName, annotationContainerdName} {
		if have := d.Annotations[key]; have != "" && (have == name || strings.HasSuffix(have, "/"+name) || strings.HasSuffix(have, ":"+name)) {
			return true
		}
	}
	return false
}

// layoutName is the fullest name of an index entry.
func layoutName(d *Descriptor) string {
	if name := d.Annotations[annotationContainerdName]; name != "" {
		return name
	}
	return d.Annotations[annotationRefName]
}

func layoutNames(ds []Descriptor) string {
	var names []string
	for _, d := range ds {
		name := layoutName(&d)
		if name == "" {
			name = "@" + string(d.Digest)
		}
		if names = append(names, name); len(names) == 20 && len(ds) > 20 {
			names = append(names, fmt.Sprintf("and %d more", len(ds)-20))
			break
		}
	}
	return strings.Join(names, ", ")
}
