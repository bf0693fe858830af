// Package oci finds container images where they lie and hands over what they
// are made of: the configuration, the layers in order, and the attestations
// beside them. It reads registries, OCI layouts (folders and tar files), the
// archives of docker save, the content store of containerd, and root file
// systems in folders.
//
// Nothing that it hands over is taken on trust. Manifests and configurations are
// checked against their digests before they are parsed, layers while they are
// read: a layer's stream ends in io.EOF only if both its stored bytes and its
// uncompressed bytes have the digests that the image names. All sizes are
// bounded, see Limits.
package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

var (
	// ErrNotFound is wrapped where a source does not hold what was asked for.
	ErrNotFound = errors.New("not found")
	// ErrForeign is returned for layers that the image's builder may not pass on,
	// Windows base layers mostly, and that the source therefore does not hold. The
	// addresses that the manifest gives for them are not asked.
	ErrForeign = errors.New("the layer is not distributable and the source does not hold it")
	// ErrUnsupported is wrapped where something is well formed but of a kind that
	// is not read: manifests of schema 1, artifacts that are no images.
	ErrUnsupported = errors.New("not supported")
	// ErrLimit is wrapped where something is larger than Limits allow.
	ErrLimit = errors.New("limit exceeded")
)

// Image is one image for one platform.
type Image struct {
	// Ref is what the user named, as it was given.
	Ref string
	// Name is the repository with the tag, if one is known: docker.io/library/nginx:1.27.
	Name string
	// Digest is the manifest's, IndexDigest that of the index it was chosen from.
	// Archives of older docker versions have neither.
	Digest, IndexDigest string
	// ID is the digest of the configuration, by which docker knows images.
	ID string
	// Platform is os/arch or os/arch/variant.
	Platform string
	// Platforms lists what the index offers, the chosen one among them.
	Platforms []string
	Config    Config
	// RawConfig and RawManifest are the bytes that ID and Digest stand for.
	RawConfig, RawManifest []byte
	// Layers are in order from the base.
	Layers []Layer
	// Attestations are the manifests that BuildKit puts into an index beside the
	// image: SBOMs and provenance.
	Attestations []Attestation
	// Warnings are oddities that do no harm to what was read.
	Warnings []string

	content content
	limits  Limits
	close   func() error
}

// Close lets go of files and connections. Layers cannot be opened any more.
func (i *Image) Close() error {
	if i == nil || i.close == nil {
		return nil
	}
	return i.close()
}

// Layer is one layer of an image.
type Layer struct {
	// Digest is of the bytes as they are stored; empty in docker archives, where
	// nothing states it.
	Digest string
	// DiffID is the digest of the uncompressed tar. It is known before the layer
	// is read, from the image's configuration.
	DiffID    string
	MediaType string
	// Size is of the stored bytes.
	Size int64
	// Foreign marks layers that may not be passed on. Opening one fails with
	// ErrForeign unless the source holds it all the same.
	Foreign bool

	open   func(ctx context.Context) (io.ReadCloser, error)
	limits Limits
	total  *atomic.Int64 // uncompressed bytes of the image's layers so far
}

// Open returns the layer's uncompressed tar. Layers may be opened at the same
// time, and more than once.
func (l *Layer) Open(ctx context.Context) (*Stream, error) {
	raw, err := l.open(ctx)
	if err != nil {
		if l.Foreign && errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("layer %s: %w", l.name(), ErrForeign)
		}
		return nil, fmt.Errorf("layer %s: %w", l.name(), err)
	}
	return newStream(ctx, raw, l), nil
}

func (l *Layer) name() string {
	if l.Digest != "" {
		return l.Digest
	}
	return l.DiffID
}

// Limits bound what a source can make a reader do. Zero values stand for the
// defaults.
type Limits struct {
	// Manifest is the most bytes of one manifest or index, 4 MiB by default, as
	// registries have it. Config is for configurations, 8 MiB.
	Manifest, Config int64
	// Layer is the most uncompressed bytes of one layer, 32 GiB; Total of the
	// layers of an image together, each counted each time it is read, 64 GiB.
	Layer, Total int64
	// Ratio is how many times larger than its stored bytes a layer may become,
	// counted after the first GiB: 2000, which gzip cannot reach and a file of
	// zeros under zstd can.
	Ratio int64
	// Spool is the most bytes of an archive that has to be written to a temporary
	// file because it is compressed or comes from a pipe, 16 GiB.
	Spool int64
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Manifest, 4<<20)
	set(&l.Config, 8<<20)
	set(&l.Layer, 32<<30)
	set(&l.Total, 64<<30)
	set(&l.Ratio, 2000)
	set(&l.Spool, 16<<30)
	return l
}

// Options say how images are found and read. The zero value is usable.
type Options struct {
	// Platform is os/arch or os/arch/variant. Without it linux/amd64 is taken,
	// then linux/arm64, then the only platform there is.
	Platform string
	Limits   Limits
	Registry Registry
	// Containerd is the root folder of containerd, /var/lib/containerd by default,
	// and the namespace, k8s.io by default.
	Containerd, Namespace string
	// Stdin is read for the path "-".
	Stdin io.Reader
	// TempDir is where archives are spooled, the system's by default. The files
	// have no name there once they are open.
	TempDir string
}

// content is a store of blobs by digest.
type content interface {
	// blob returns the bytes as they are stored, not yet verified, or an error
	// that wraps ErrNotFound.
	blob(ctx context.Context, d Descriptor) (io.ReadCloser, error)
}

// Open finds the image that the source names, and verifies its manifest and
// configuration. No layer is read yet.
func Open(ctx context.Context, src Source, o Options) (*Image, error) {
	o.Limits = o.Limits.withDefaults()
	want, err := ParsePlatform(o.Platform)
	if err != nil {
		return nil, err
	}
	var img *Image
	switch src.Kind {
	case RegistryKind:
		img, err = openRegistry(ctx, src, want, o)
	case LayoutKind:
		img, err = openLayout(ctx, src, want, o)
	case ArchiveKind:
		img, err = openArchive(ctx, src, want, o)
	case ContainerdKind:
		img, err = openContainerd(ctx, src, want, o)
	case RootfsKind:
		return nil, fmt.Errorf("%s is a folder with a root file system and no image: %w", src, ErrUnsupported)
	default:
		return nil, fmt.Errorf("image source of kind %q: %w", src.Kind, ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src, err)
	}
	img.Ref = src.String()
	return img, nil
}

// fetch reads a whole blob of at most limit bytes and verifies it.
func fetch(ctx context.Context, c content, d Descriptor, limit int64) ([]byte, error) {
	if err := d.Digest.validate(); err != nil {
		return nil, err
	}
	if d.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read: %w", d.Digest, d.Size, limit, ErrLimit)
	}
	r, err := c.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s has more than %d bytes: %w", d.Digest, limit, ErrLimit)
	}
	if err := d.Digest.verify(data); err != nil {
		return nil, err
	}
	return data, nil
}

// instant is a time of the image configuration; what cannot be read as a time is
// the zero time, since dates decide nothing.
type instant struct{ time.Time }

func (t *instant) UnmarshalJSON(data []byte) error {
	if err := t.Time.UnmarshalJSON(data); err != nil {
		t.Time = time.Time{}
	}
	return nil
}
