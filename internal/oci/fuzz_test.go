package oci

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func FuzzDocument(f *testing.F) {
	raw, err := imageOf(f, "amd64", tarOf(f, "a", "b")).RawManifest()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(raw), `{"manifests":[]}`, `{"schemaVersion":1,"fsLayers":[]}`, `{"manifests":[],"layers":[]}`,
		`{"manifests":[{"digest":"sha256:../../etc/passwd"}]}`, `{"config":{}}`, `null`, `[]`, `{"layers":null,"config":null}`,
		`{"manifests":[{"digest":"sha256:` + strings.Repeat("a", 64) + `","size":-1}]}`,
	} {
		f.Add([]byte(seed), "")
		f.Add([]byte(seed), typeIndex)
		f.Add([]byte(seed), typeManifest)
	}
	f.Fuzz(func(t *testing.T, data []byte, mediaType string) {
		doc, err := parseDocument(data, mediaType)
		if err != nil {
			return
		}
		if doc.index && (len(doc.Layers) > 0 || isManifest(mediaType)) || !doc.index && isIndex(mediaType) {
			t.Fatalf("two things at once: %s", data)
		}
		for _, d := range append(doc.Manifests, doc.Layers...) {
			name, err := blobPath(d.Digest)
			if err != nil || !filepath.IsLocal(name) || strings.Count(name, "/") != 2 || d.Size < 0 {
				t.Fatalf("descriptor %+v", d)
			}
		}
		if doc.index {
			if d, err := choose(doc.Manifests, nil); err == nil && (d == nil || d.attestation()) {
				t.Fatalf("chosen: %+v", d)
			}
			if _, err := byName(doc, "x"); err == nil && !strings.Contains(string(data), "x") {
				t.Fatalf("a name that is not there was found in %s", data)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	raw, err := imageOf(f, "amd64", tarOf(f, "a", "b")).RawConfigFile()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(raw), `{"config":{"Cmd":"one"}}`, `{"created":"yesterday"}`, `{"config":{"ExposedPorts":{"1/tcp":{}},"Healthcheck":{"Test":["NONE"]}}}`,
		`{"config":{"ExposedPorts":null}}`, `{"rootfs":{"diff_ids":["x"]}}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		for _, id := range c.DiffIDs {
			if Digest(id).validate() != nil {
				t.Fatalf("diffID %q", id)
			}
		}
		if _, err := json.Marshal(c); err != nil && !strings.Contains(err.Error(), "year outside of range") {
			t.Fatal(err)
		}
	})
}

// FuzzArchive opens whatever claims to be an archive, and reads what it finds.
func FuzzArchive(f *testing.F) {
	dir := f.TempDir()
	tag := name.MustParseReference("example.com/app:1").(name.Tag)
	file := filepath.Join(dir, "seed.tar")
	if err := tarball.MultiWriteToFile(file, map[name.Tag]v1.Image{tag: imageOf(f, "amd64", tarOf(f, "a", "b"))}); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(gzipped(f, seed))
	var written bytes.Buffer
	if _, err := Write(&written, New{Name: "a:1", Layers: []Part{{Tar: bytes.NewReader(tarOf(f, "a", "b"))}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(written.Bytes())
	f.Add(tarOf(f, "manifest.json", `[{"Config":"../../etc/passwd","Layers":["manifest.json"]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		img, err := Open(t.Context(), Source{Kind: ArchiveKind, Path: "-"}, Options{
			Stdin: bytes.NewReader(data), TempDir: dir, Limits: Limits{Spool: 4 << 20, Layer: 1 << 20},
		})
		if err != nil {
			return
		}
		defer img.Close()
		for i := range img.Layers {
			if got, _, err := readLayer(t, &img.Layers[i]); err == nil && string(DigestOf(got)) != img.Layers[i].DiffID && !strings.HasPrefix(img.Layers[i].DiffID, "sha512") {
				t.Fatalf("layer %d came to a verified end and is another", i)
			}
		}
	})
}
