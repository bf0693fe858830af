package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"

	"github.com/klauspost/compress/gzip"
)

// Part is one layer of an image that is to be written.
type Part struct {
	// Tar is the uncompressed layer. It is read once.
	Tar io.Reader
	// CreatedBy and Comment are for the image's history.
	CreatedBy, Comment string
}

// New is an image that is to be written.
type New struct {
	// Name is what the image is to be called: repository:tag.
	Name string
	// Config is the configuration of the image that this one is made from. Layers
	// and history in it are replaced, all else stays as it is, also what this
	// package does not know.
	Config json.RawMessage
	Layers []Part
	// TempDir is where layers are kept until their digests are known, the system's
	// temporary folder by default.
	TempDir string
}

// Write writes the image to a tar file that is an OCI layout and an archive as
// docker load reads it at once, and returns the digest of its manifest. The same
// image makes the same bytes.
func Write(w io.Writer, image New) (digest string, err error) {
	b := builder{tar: tar.NewWriter(w), written: map[Digest]bool{}}
	config := map[string]json.RawMessage{}
	if len(image.Config) > 0 {
		if err := json.Unmarshal(image.Config, &config); err != nil {
			return "", fmt.Errorf("the image configuration is not as it should be: %w", err)
		}
	}
	for _, p := range image.Layers {
		if err := b.layer(p, image.TempDir); err != nil {
			return "", err
		}
	}
	return b.finish(config, image.Name)
}

type builder struct {
	tar     *tar.Writer
	written map[Digest]bool
	layers  []Descriptor
	diffIDs []Digest
	history []historyJSON
}

type historyJSON struct {
	CreatedBy string `json:"created_by,omitempty"`
	Comment   string `json:"comment,omitempty"`
}

// layer compresses a layer to a temporary file, since a tar wants its size
// before its bytes, and copies it into the archive.
func (b *builder) layer(p Part, temp string) error {
	file, err := os.CreateTemp(temp, "seawall-layer-*")
	if err != nil {
		return fmt.Errorf("a place for the layer: %w", err)
	}
	os.Remove(file.Name()) //nolint:errcheck // see spool
	defer file.Close()     //nolint:errcheck // nobody will read it
	stored, plain := sha256.New(), sha256.New()
	z := gzip.NewWriter(io.MultiWriter(file, stored))
	if _, err = io.Copy(io.MultiWriter(z, plain), p.Tar); err == nil {
		err = z.Close()
	}
	if err != nil {
		return fmt.Errorf("layer %d: %w", len(b.layers), err)
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("layer %d: %w", len(b.layers), err)
	}
	d := Descriptor{MediaType: typeLayer + "+gzip", Digest: sumOf(stored), Size: size}
	b.layers = append(b.layers, d)
	b.diffIDs = append(b.diffIDs, sumOf(plain))
	b.history = append(b.history, historyJSON{p.CreatedBy, p.Comment})
	return b.blob(d, file)
}

func sumOf(h hash.Hash) Digest { return Digest("sha256:" + hex.EncodeToString(h.Sum(nil))) }

// blob writes a blob, once.
func (b *builder) blob(d Descriptor, content io.Reader) error {
	if b.written[d.Digest] {
		return nil
	}
	b.written[d.Digest] = true
	name, err := blobPath(d.Digest)
	if err != nil {
		return err
	}
	return b.file(name, d.Size, content)
}

func (b *builder) file(name string, size int64, content io.Reader) error {
	if err := b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Format: tar.FormatUSTAR}); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if _, err := io.Copy(b.tar, content); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// json writes a value as a blob.
func (b *builder) json(mediaType string, v any) (Descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Descriptor{}, fmt.Errorf("writing a %s: %w", mediaType, err)
	}
	d := Descriptor{MediaType: mediaType, Digest: DigestOf(data), Size: int64(len(data))}
	return d, b.blob(d, bytes.NewReader(data))
}

// finish writes all that names the layers.
func (b *builder) finish(config map[string]json.RawMessage, name string) (string, error) {
	var errs []error
	set := func(key string, v any) {
		data, err := json.Marshal(v)
		config[key] = data
		errs = append(errs, err)
	}
	set("rootfs", map[string]any{"type": "layers", "diff_ids": append([]Digest{}, b.diffIDs...)})
	set("history", append([]historyJSON{}, b.history...))
	c, err := b.json(typeConfig, config)
	errs = append(errs, err)
	m, err := b.json(typeManifest, map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": c, "layers": append([]Descriptor{}, b.layers...),
	})
	errs = append(errs, err)
	archive := archived{Config: path.Join("blobs/sha256", c.Digest.sum()), Layers: []string{}}
	if name != "" {
		m.Annotations = map[string]string{annotationRefName: name, annotationContainerdName: name}
		archive.RepoTags = []string{name}
	}
	for _, l := range b.layers {
		archive.Layers = append(archive.Layers, path.Join("blobs/sha256", l.Digest.sum()))
	}
	for _, f := range []struct {
		name string
		v    any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
		{"index.json", map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []Descriptor{m}}},
		{"manifest.json", []archived{archive}},
	} {
		data, err := json.Marshal(f.v)
		errs = append(errs, err, b.file(f.name, int64(len(data)), bytes.NewReader(data)))
	}
	errs = append(errs, b.tar.Close())
	return string(m.Digest), errors.Join(errs...)
}
