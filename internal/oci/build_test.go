package oci

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// tarOf returns a tar of the files, which are names and contents by turns.
func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layerOf returns a layer that is stored as raw, compressed or not.
func layerOf(t testing.TB, raw []byte) v1.Layer {
	t.Helper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// imageOf returns an image for linux/arch with layers of the given tars.
func imageOf(t testing.TB, arch string, tars ...[]byte) v1.Image {
	t.Helper()
	img, err := random.Image(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range tars {
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layerOf(t, raw), History: v1.History{CreatedBy: "COPY"}}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", arch
	c.Config.User, c.Config.Env, c.Config.Entrypoint = "1000:1000", []string{"A=b"}, []string{"/app"}
	c.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}, "53/udp": {}}
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
}

// digestOf returns the digest of an image or index.
func digestOf(t testing.TB, i interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// contents reads all layers of an image to their verified ends.
func contents(t testing.TB, img *Image) [][]byte {
	t.Helper()
	var out [][]byte
	for i := range img.Layers {
		s, err := img.Layers[i].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}
