package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// kind tells what a target is.
type kind uint8

const (
	files kind = iota
	stdin
	chart
	snapshotFile
	liveCluster
)

// target is one thing to scan.
type target struct {
	kind kind
	// name is as the user gave it; arg is the path or context in it.
	name, arg string
}

// laterTargets are kinds of target that the contract names and this version
// does not read yet.
var laterTargets = []string{"image", "oci", "archive", "rootfs", "cloud", "node"}

// parseTargets tells what the targets are, and leaves out those that name what
// an earlier one names.
func parseTargets(names []string) ([]target, error) {
	var out []target
	for _, name := range names {
		t, err := parseTarget(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(other target) bool { return other.kind == t.kind && other.arg == t.arg }) {
			out = append(out, t)
		}
	}
	return out, nil
}

// parseTarget tells what a target is, by its prefix or by its content.
func parseTarget(name string) (target, error) {
	switch {
	case name == "-":
		return target{stdin, name, name}, nil
	case name == "cluster":
		return target{liveCluster, name, ""}, nil
	case strings.HasPrefix(name, "cluster:"):
		return target{liveCluster, name, strings.TrimPrefix(name, "cluster:")}, nil
	case strings.HasPrefix(name, "snapshot:"):
		return target{snapshotFile, name, strings.TrimPrefix(name, "snapshot:")}, nil
	}
	info, err := os.Stat(name)
	for _, later := range laterTargets {
		if strings.HasPrefix(name, later+":") || (later == "node" && name == later && err != nil) {
			return target{}, fmt.Errorf("target %q: this version cannot scan %s targets: it scans paths, -, cluster[:CONTEXT] and snapshot:FILE", name, later)
		}
	}
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err // the target is named already
		}
		return target{}, fmt.Errorf("target %q: %w: name a file, a folder, -, cluster[:CONTEXT] or snapshot:FILE", name, err)
	}
	if info.Mode().IsRegular() {
		k, err := sniff(name)
		if err != nil {
			return target{}, fmt.Errorf("target %q: %w", name, err)
		}
		return target{k, name, name}, nil
	}
	return target{files, name, name}, nil
}

var (
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	gzipMagic = []byte{0x1f, 0x8b}
)

// sniff tells a snapshot and a packed chart from a manifest by the first bytes.
func sniff(name string) (kind, error) {
	f, err := os.Open(name)
	if err != nil {
		return files, err //nolint:wrapcheck // the caller names the target
	}
	defer f.Close() //nolint:errcheck // nothing was written
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if err != nil && n == 0 {
		return files, nil // empty or unreadable: the reader says so
	}
	switch {
	case bytes.HasPrefix(head, zstdMagic):
		return snapshotFile, nil
	case bytes.HasPrefix(head, gzipMagic) && (strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")):
		return chart, nil
	}
	return files, nil
}
