// Package images makes container images for tests, benchmarks and measurements:
// small ones in Go alone, within milliseconds and with every oddity that a test
// asks for, and large ones out of real packages (see Large), on request.
//
// No image holds anything secret: credentials in them are made up, and those
// that would trip other people's scanners are put together when the image is
// made.
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Entry is one entry of a layer's tar. Where Body is nil and the header states a
// size, that many zeros are written.
type Entry struct {
	tar.Header
	Body []byte
}

// File is a regular file that everyone may read.
func File(path, content string) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content))}, []byte(content)}
}

// Program is a file that everyone may execute.
func Program(path string, content []byte) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o755, Size: int64(len(content))}, content}
}

// Zeros is a file of that many zeros.
func Zeros(path string, size int64) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: size}}
}

// Dir is a directory.
func Dir(path string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: 0o755}}
}

// Symlink is a symbolic link.
func Symlink(path, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777}}
}

// Hardlink is another name of a file that stands before it or in a lower layer.
func Hardlink(path, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: path, Linkname: target, Mode: 0o644}}
}

// Whiteout removes a path of lower layers.
func Whiteout(path string) Entry {
	dir, file := filepath.Split(path)
	return File(dir+".wh."+file, "")
}

// Opaque hides everything that lower layers have in a directory.
func Opaque(dir string) Entry { return File(dir+"/.wh..wh..opq", "") }

// Content writes the entries of a layer.
type Content func(w *tar.Writer) error

// Entries is the content that consists of the entries, in their order.
func Entries(entries ...Entry) Content {
	return func(w *tar.Writer) error {
		for i := range entries {
			if err := write(w, &entries[i]); err != nil {
				return fmt.Errorf("%s: %w", entries[i].Name, err)
			}
		}
		return nil
	}
}

func write(w *tar.Writer, e *Entry) error {
	h := e.Header
	if strings.Contains(h.Name, "\x00") {
		return errors.New("a tar cannot hold a NUL in a name")
	}
	if err := w.WriteHeader(&h); err != nil {
		return err //nolint:wrapcheck // the caller names the entry
	}
	if e.Body != nil {
		_, err := w.Write(e.Body)
		return err //nolint:wrapcheck // the caller names the entry
	}
	zeros := make([]byte, min(h.Size, 1<<20))
	for left := h.Size; left > 0; left -= int64(len(zeros)) {
		if _, err := w.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return err //nolint:wrapcheck // the caller names the entry
		}
	}
	return nil
}

// Many is n empty files, a thousand in each folder.
func Many(n int) Content {
	return func(w *tar.Writer) error {
		for i := range n {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("data/%05d/%03d", i/1000, i%1000), Mode: 0o644}
			if err := w.WriteHeader(h); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
		}
		return nil
	}
}

// Compression is how a layer is stored.
type Compression string

// The compressions that registries know.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
	None Compression = "none"
)

// Layer is a layer as it is stored. It is a v1.Layer.
type Layer struct {
	Stored         []byte
	media          types.MediaType
	digest, diffID v1.Hash
}

// NewLayer writes and compresses a layer.
func NewLayer(content Content, c Compression) (*Layer, error) {
	var stored bytes.Buffer
	var pack io.WriteCloser
	l := &Layer{}
	switch c {
	case Gzip:
		pack, l.media = gzip.NewWriter(&stored), types.OCILayer
	case Zstd:
		e, err := zstd.NewWriter(&stored, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		pack, l.media = e, types.OCILayerZStd
	case None:
		pack, l.media = plain{&stored}, types.OCIUncompressedLayer
	default:
		return nil, fmt.Errorf("compression %q is not known", c)
	}
	whole := sha256.New()
	w := tar.NewWriter(io.MultiWriter(pack, whole))
	if err := content(w); err != nil {
		return nil, fmt.Errorf("writing a layer: %w", err)
	}
	if err := errors.Join(w.Close(), pack.Close()); err != nil {
		return nil, fmt.Errorf("writing a layer: %w", err)
	}
	l.diffID = sum(whole)
	l.Seal(stored.Bytes())
	return l, nil
}

// Seal replaces what is stored, and the digest that the manifest will give; the
// diffID remains that of the true content.
func (l *Layer) Seal(stored []byte) {
	h := sha256.New()
	h.Write(stored)
	l.Stored, l.digest = stored, sum(h)
}

// Reseal replaces the tar of an uncompressed layer, and both digests.
func (l *Layer) Reseal(tar []byte) {
	l.Seal(tar)
	l.diffID = l.digest
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// plain is a writer that compresses nothing.
type plain struct{ io.Writer }

// Close does nothing.
func (plain) Close() error { return nil }

// Digest is of the stored bytes.
func (l *Layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID is of the tar.
func (l *Layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Compressed returns the stored bytes.
func (l *Layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.Stored)), nil
}

// Uncompressed returns the tar.
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	r := bytes.NewReader(l.Stored)
	switch l.media {
	case types.OCILayer:
		return gzip.NewReader(r) //nolint:wrapcheck // for go-containerregistry alone
	case types.OCILayerZStd:
		d, err := zstd.NewReader(r)
		if err != nil {
			return nil, err //nolint:wrapcheck // for go-containerregistry alone
		}
		return d.IOReadCloser(), nil
	default:
		return io.NopCloser(r), nil
	}
}

// Size is of the stored bytes.
func (l *Layer) Size() (int64, error) { return int64(len(l.Stored)), nil }

// MediaType says how the layer is stored.
func (l *Layer) MediaType() (types.MediaType, error) { return l.media, nil }

// Foreign makes the layer one that sources need not hold.
func (l *Layer) Foreign() { l.media = types.DockerForeignLayer }

// Made is the time that all images say they were made.
func Made() time.Time { return time.Date(2024, time.March, 1, 12, 0, 0, 0, time.UTC) }

// New makes an image for linux/amd64. Each layer's instruction in the history is
// "RUN layer N".
func New(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	var err error
	for i, l := range layers {
		add := mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: Made()}, CreatedBy: fmt.Sprintf("RUN layer %d", i)}}
		if img, err = mutate.Append(img, add); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Created, c.Config = "linux", "amd64", v1.Time{Time: Made()}, config
	if img, err = mutate.ConfigFile(img, c); err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	return img, nil
}

// WriteLayout writes an image as an OCI layout, a folder.
func WriteLayout(dir string, img v1.Image) error {
	l, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = l.AppendImage(img)
	}
	if err != nil {
		return fmt.Errorf("the layout %s: %w", dir, err)
	}
	return nil
}

// WriteArchive writes an image as docker save does.
func WriteArchive(file, tag string, img v1.Image) error {
	ref, err := name.NewTag(tag)
	if err == nil {
		err = tarball.WriteToFile(file, ref, img)
	}
	if err != nil {
		return fmt.Errorf("the archive %s: %w", file, err)
	}
	return nil
}

// Unpack writes the root file system of an image into an empty folder, as far as
// anybody may: owners and devices are left out.
func Unpack(dir string, img v1.Image) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err //nolint:wrapcheck // names the folder
	}
	defer root.Close() //nolint:errcheck // nothing is left to write
	stream := mutate.Extract(img)
	defer stream.Close()    //nolint:errcheck // it was only read
	var links []*tar.Header // upper layers come first, and what they link to later
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		if h.Typeflag == tar.TypeLink {
			links = append(links, h)
			continue
		}
		if err := unpack(root, h, r); err != nil {
			return fmt.Errorf("unpacking %s: %w", h.Name, err)
		}
	}
	for _, h := range links {
		if err := unpack(root, h, nil); err != nil {
			return fmt.Errorf("unpacking %s: %w", h.Name, err)
		}
	}
	return nil
}

func unpack(root *os.Root, h *tar.Header, body io.Reader) error {
	path := strings.Trim(h.Name, "/")
	if dir := filepath.Dir(path); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err //nolint:wrapcheck // the caller names the entry
		}
	}
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(path, mode.Perm()|0o700) //nolint:wrapcheck // the caller names the entry
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, path) //nolint:wrapcheck // the caller names the entry
	case tar.TypeLink:
		return root.Link(strings.Trim(h.Linkname, "/"), path) //nolint:wrapcheck // the caller names the entry
	case tar.TypeReg:
		f, err := root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err //nolint:wrapcheck // the caller names the entry
		}
		_, err = io.Copy(f, body)
		return errors.Join(err, f.Chmod(mode), f.Close())
	}
	return nil
}
