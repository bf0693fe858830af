package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestWriteBusybox(t *testing.T) {
	var archive bytes.Buffer
	if err := WriteBusybox(&archive, Busybox, []byte("program"), []string{"busybox", "sh", "nc"}); err != nil {
		t.Fatal(err)
	}
	outer := readTar(t, archive.Bytes())

	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	decode(t, outer["manifest.json"].body, &manifest)
	if len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{Busybox}) || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest %+v, want one image %s of one layer", manifest, Busybox)
	}
	layer, ok := outer[manifest[0].Layers[0]]
	if !ok {
		t.Fatalf("the archive lacks the layer %s that its manifest names", manifest[0].Layers[0])
	}

	var config struct {
		Architecture string
		Config       struct{ Cmd []string }
		RootFS       struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	decode(t, outer[manifest[0].Config].body, &config)
	sum := sha256.Sum256(layer.body)
	if want := []string{"sha256:" + hex.EncodeToString(sum[:])}; !slices.Equal(config.RootFS.DiffIDs, want) {
		t.Errorf("diff_ids %q, want %q", config.RootFS.DiffIDs, want)
	}
	if config.Architecture == "" || !slices.Equal(config.Config.Cmd, []string{"/bin/sh"}) {
		t.Errorf("configuration %+v", config)
	}

	inner := readTar(t, layer.body)
	if got := string(inner["bin/busybox"].body); got != "program" {
		t.Errorf("bin/busybox holds %q", got)
	}
	if got := inner["bin/sh"]; got.header.Typeflag != tar.TypeSymlink || got.header.Linkname != "busybox" {
		t.Errorf("bin/sh is %+v, want a link to busybox", got.header)
	}
	if got := inner["tmp/"].header.Mode; got != 0o1777 {
		t.Errorf("tmp has mode %o, want 1777", got)
	}
	if got := inner["bin/busybox"].header; got.Typeflag != tar.TypeReg {
		t.Errorf("bin/busybox became %+v, a link to itself", got)
	}
}

func TestArchiveIsReproducible(t *testing.T) {
	var a, b bytes.Buffer
	for _, w := range []io.Writer{&a, &b} {
		if err := WritePause(w, []byte("program")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two archives of the same image differ")
	}
}

func TestPauseSourceIsAProgram(t *testing.T) {
	if got := string(PauseSource()); !strings.Contains(got, "package main") {
		t.Errorf("pause source is %q", got)
	}
}

type tarEntry struct {
	header *tar.Header
	body   []byte
}

func readTar(t *testing.T, archive []byte) map[string]tarEntry {
	t.Helper()
	entries := make(map[string]tarEntry)
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		entries[header.Name] = tarEntry{header, body}
	}
}

func decode(t *testing.T, document []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(document, into); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
}
