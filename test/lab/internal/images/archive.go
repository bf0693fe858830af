// Package images makes the two container images that every lab cluster has,
// for want of a registry: the pause image that each pod needs to start, and a
// busybox to run things in. It writes archives and knows nothing of clusters.
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
)

// entry is one file, directory or symbolic link of an image.
type entry struct {
	name   string // without a leading slash; directories end in one
	mode   int64
	body   []byte
	target string // of a symbolic link
}

// image is what an archive says about an image of a single layer.
type image struct {
	reference string
	command   []string
	entries   []entry
}

// write writes i to w in the format of `docker save`. The same image gives the
// same bytes, as no time and no owner is taken from the machine.
func (i image) write(w io.Writer) error {
	layer, err := tarball(i.entries)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(layer)
	digest := hex.EncodeToString(sum[:])

	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"Cmd": i.command,
			"Env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return fmt.Errorf("encoding the configuration of %s: %w", i.reference, err)
	}
	layerName := digest + "/layer.tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config":   "config.json",
		"RepoTags": []string{i.reference},
		"Layers":   []string{layerName},
	}})
	if err != nil {
		return fmt.Errorf("encoding the manifest of %s: %w", i.reference, err)
	}
	archive, err := tarball([]entry{
		{name: "manifest.json", mode: 0o644, body: manifest},
		{name: "config.json", mode: 0o644, body: config},
		{name: digest + "/", mode: 0o755},
		{name: layerName, mode: 0o644, body: layer},
	})
	if err != nil {
		return err
	}
	if _, err := w.Write(archive); err != nil {
		return fmt.Errorf("writing the archive of %s: %w", i.reference, err)
	}
	return nil
}

func tarball(entries []entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: e.mode, Format: tar.FormatUSTAR}
		switch {
		case e.target != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.target
		case e.name[len(e.name)-1] == '/':
			header.Typeflag = tar.TypeDir
		default:
			header.Typeflag, header.Size = tar.TypeReg, int64(len(e.body))
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("adding %s to an image: %w", e.name, err)
		}
		if _, err := w.Write(e.body); err != nil {
			return nil, fmt.Errorf("adding %s to an image: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("closing an image: %w", err)
	}
	return out.Bytes(), nil
}
