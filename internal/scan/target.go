package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"seawall.io/seawall/internal/oci"
)

// kind tells what a target is.
type kind uint8

const (
	files kind = iota
	stdin
	chart
	snapshotFile
	liveCluster
	containerImage
	billOfMaterials
)

// target is one thing to scan.
type target struct {
	kind kind
	// name is as the user gave it; arg is the path or context in it.
	name, arg string
	// image is where the image of a containerImage lies.
	image oci.Source
}

// laterTargets are kinds of target that the contract names and this version
// does not read yet.
var laterTargets = []string{"cloud", "node"}

// wanted says what a target may be.
const wanted = "a path, -, cluster[:CONTEXT], snapshot:FILE, image:REF, oci:DIR, archive:FILE, rootfs:DIR or sbom:FILE"

// parseTargets tells what the targets are, and leaves out those that name what
// an earlier one names.
func parseTargets(names []string) ([]target, error) {
	var out []target
	for _, name := range names {
		t, err := parseTarget(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(other target) bool {
			return other.kind == t.kind && other.arg == t.arg && other.image == t.image
		}) {
			out = append(out, t)
		}
	}
	return out, nil
}

// parseTarget tells what a target is, by its prefix or by its content.
func parseTarget(name string) (target, error) {
	prefix, rest, _ := strings.Cut(name, ":")
	switch {
	case name == "-":
		return target{kind: stdin, name: name, arg: name}, nil
	case name == "cluster":
		return target{kind: liveCluster, name: name}, nil
	case name == prefix:
	case prefix == "cluster":
		return target{kind: liveCluster, name: name, arg: rest}, nil
	case prefix == "snapshot":
		return target{kind: snapshotFile, name: name, arg: rest}, nil
	case prefix == "sbom":
		return target{kind: billOfMaterials, name: name, arg: rest}, nil
	case prefix == "image":
		return imageTarget(name, "registry:"+rest)
	case slices.Contains([]string{"oci", "archive", "rootfs", "containerd"}, prefix):
		return imageTarget(name, name)
	}
	info, err := os.Stat(name)
	for _, later := range laterTargets {
		if strings.HasPrefix(name, later+":") || (later == "node" && name == later && err != nil) {
			return target{}, fmt.Errorf("target %q: this version cannot scan %s targets: name %s", name, later, wanted)
		}
	}
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err // the target is named already
		}
		return target{}, fmt.Errorf("target %q: %w: name %s", name, err, wanted)
	}
	switch {
	case info.Mode().IsRegular():
		k, err := sniff(name)
		if err != nil {
			return target{}, fmt.Errorf("target %q: %w", name, err)
		}
		if k == containerImage {
			return imageTarget(name, "archive:"+name)
		}
		return target{kind: k, name: name, arg: name}, nil
	case isLayout(name):
		return imageTarget(name, "oci:"+name)
	}
	return target{kind: files, name: name, arg: name}, nil
}

func imageTarget(name, source string) (target, error) {
	src, err := oci.ParseSource(source)
	if err != nil {
		return target{}, fmt.Errorf("target %q: %w", name, err)
	}
	return target{kind: containerImage, name: name, image: src}, nil
}

// isLayout says that a folder is an OCI layout (image-spec, image-layout.md).
func isLayout(dir string) bool {
	for _, name := range []string{"oci-layout", "index.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

var (
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	gzipMagic = []byte{0x1f, 0x8b}
)

// sniff tells snapshots, packed charts, image archives and SBOMs from manifests
// by their first bytes.
func sniff(name string) (kind, error) {
	f, err := os.Open(name)
	if err != nil {
		return files, err //nolint:wrapcheck // the caller names the target
	}
	defer f.Close() //nolint:errcheck // nothing was written
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && n == 0 {
		return files, nil // empty or unreadable: the reader says so
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, zstdMagic):
		return snapshotFile, nil
	case bytes.HasPrefix(head, gzipMagic) && (strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")):
		return chart, nil
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return containerImage, nil
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) && (bytes.Contains(head, []byte(`"bomFormat"`)) || bytes.Contains(head, []byte(`"spdxVersion"`))):
		return billOfMaterials, nil
	}
	return files, nil
}
