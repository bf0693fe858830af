package oci

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestLayoutAndArchive(t *testing.T) {
	base, top := tarOf(t, "etc/os-release", "ID=debian\n"), tarOf(t, "app", "#!/bin/sh\n")
	amd, arm := imageOf(t, "amd64", base, top), imageOf(t, "arm64", base)
	dir := t.TempDir()
	p, err := layout.Write(filepath.Join(dir, "one"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}})
	if err := p.AppendIndex(index, layout.WithAnnotations(map[string]string{annotationRefName: "1.0"})); err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(arm, layout.WithAnnotations(map[string]string{annotationRefName: "arm"})); err != nil {
		t.Fatal(err)
	}
	tag := name.MustParseReference("example.com/app:2.0").(name.Tag)
	other := name.MustParseReference("example.com/other:1").(name.Tag)
	archive := filepath.Join(dir, "archive.tar")
	if err := tarball.MultiWriteToFile(archive, map[name.Tag]v1.Image{tag: amd, other: arm}); err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(plain)
	z.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{"archive.tar.gz": zipped.Bytes(), "archive.tar.zst": enc.EncodeAll(plain, nil)} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)

	for _, c := range []struct {
		source, platform string
		digest           string
		arch, name       string
		layers           [][]byte
	}{
		{"oci:one:1.0", "", digestOf(t, amd), "linux/amd64", "1.0", [][]byte{base, top}},
		{"oci:one:1.0", "linux/arm64/v8", digestOf(t, arm), "linux/arm64", "1.0", [][]byte{base}},
		{"oci:one:arm", "", digestOf(t, arm), "linux/arm64", "arm", [][]byte{base}},
		{"oci:one@" + digestOf(t, arm), "", digestOf(t, arm), "linux/arm64", "arm", [][]byte{base}},
		{"oci:one@" + digestOf(t, amd), "", digestOf(t, amd), "linux/amd64", "", [][]byte{base, top}},
		{"archive:archive.tar:example.com/app:2.0", "", "", "linux/amd64", "example.com/app:2.0", [][]byte{base, top}},
		{"archive:archive.tar.gz:app:2.0", "", "", "linux/amd64", "example.com/app:2.0", [][]byte{base, top}},
		{"archive:archive.tar.zst:other:1", "linux/arm64", "", "linux/arm64", "example.com/other:1", [][]byte{base}},
		{"archive:-:other:1", "", "", "linux/arm64", "example.com/other:1", [][]byte{base}},
	} {
		t.Run(c.source+" "+c.platform, func(t *testing.T) {
			src, err := ParseSource(c.source)
			if err != nil {
				t.Fatal(err)
			}
			if src.String() != c.source {
				t.Errorf("the source is spelled %q", src)
			}
			img, err := Open(t.Context(), src, Options{Platform: c.platform, Stdin: bytes.NewReader(zipped.Bytes())})
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			if img.Digest != c.digest || img.Platform != c.arch || img.Name != c.name || img.Ref != c.source {
				t.Errorf("image is %q %q %q %q", img.Digest, img.Platform, img.Name, img.Ref)
			}
			if got := contents(t, img); !slices.EqualFunc(got, c.layers, bytes.Equal) {
				t.Errorf("layers differ: %d, want %d", len(got), len(c.layers))
			}
			if img.Config.User != "1000:1000" || !slices.Equal(img.Config.ExposedPorts, []string{"53/udp", "8080/tcp"}) {
				t.Errorf("configuration: %+v", img.Config)
			}
		})
	}
}
