package snapshotfile

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall/internal/cluster"
)

// Limits bound what reading one file may cost. A zero field stands for its
// default; a cluster of 100,000 pods needs about half of each.
type Limits struct {
	// Bytes is how large the file may be unpacked: 2 GiB by default.
	Bytes int64
	// Entries is how many kinds of object it may hold: 10,000 by default.
	Entries int
	// Values is how many JSON values all objects may have together: 50 million
	// by default, which take about 6 GB of memory.
	Values int64
	// Object is how large one object may be: 32 MiB by default.
	Object int
}

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 2 << 30
	}
	if l.Entries <= 0 {
		l.Entries = 10_000
	}
	if l.Values <= 0 {
		l.Values = 50_000_000
	}
	if l.Object <= 0 {
		l.Object = 32 << 20
	}
	return l
}

const (
	// maxManifest bounds manifest.json: 10,000 kinds and as many reasons.
	maxManifest = 16 << 20
	// maxWindow is how far back zstd may refer: what it writes at its highest
	// ordinary level.
	maxWindow = 64 << 20
)

// again ends messages about damaged files.
const again = "copy the file again, or take the snapshot again with `seawall snapshot`"

// ReadFile reads a snapshot from a file.
func ReadFile(path string, l Limits) (*cluster.Snapshot, Meta, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("reading snapshot: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	s, m, err := Read(f, l)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("reading snapshot %s: %w", path, err)
	}
	return s, m, nil
}

// Read reads a snapshot. A file that is damaged in any part is refused as a
// whole, and so is one that exceeds a limit.
func Read(r io.Reader, l Limits) (*cluster.Snapshot, Meta, error) {
	in := bufio.NewReader(r)
	magic, err := in.Peek(4)
	switch {
	case len(magic) == 0 && errors.Is(err, io.EOF):
		return nil, Meta{}, errors.New("the file is empty: " + again)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, Meta{}, err
	case !bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return nil, Meta{}, errors.New("this is no snapshot file, which is a tar in zstd: `seawall snapshot` writes one")
	}
	// Without WithDecodeBuffersBelow(0) an input in memory would be unpacked as
	// a whole, before any limit.
	z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		return nil, Meta{}, err
	}
	defer z.Close()
	return readTar(z, l.orDefault())
}

// readTar reads what is inside of the zstd.
func readTar(r io.Reader, l Limits) (*cluster.Snapshot, Meta, error) {
	in := &bounded{r: r, left: l.Bytes, limit: l.Bytes}
	t := tar.NewReader(in)
	about, err := readManifest(t, l)
	if err != nil {
		return nil, Meta{}, damaged(manifestName, err)
	}
	objects, err := readObjects(t, about, l)
	if err != nil {
		return nil, Meta{}, err
	}
	if len(objects) != about.Objects {
		return nil, Meta{}, fmt.Errorf("the file has %d objects, its manifest promises %d: %s", len(objects), about.Objects, again)
	}
	// The checksum stands at the very end.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, Meta{}, damaged("the end", err)
	}
	s := cluster.NewSnapshot(objects)
	s.Version, s.Whole, s.Incomplete = about.ServerVersion, about.Whole, about.Incomplete
	return s, Meta{Cluster: about.Cluster, Time: about.Time, Seawall: about.Seawall}, nil
}

func readManifest(t *tar.Reader, l Limits) (manifest, error) {
	var m manifest
	h, err := t.Next()
	if err != nil {
		return m, err
	}
	if h.Name != manifestName || !regular(h) {
		return m, fmt.Errorf("it is not the first entry, %q is: this is no snapshot file", h.Name)
	}
	if h.Size > maxManifest {
		return m, fmt.Errorf("it has %d bytes, the limit is %d", h.Size, maxManifest)
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return m, err
	}
	var version struct{ Format int }
	if err := json.Unmarshal(text, &version); err != nil {
		return m, err
	}
	if version.Format != format {
		return m, formatError(version.Format)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	if len(m.Entries) > l.Entries {
		return m, fmt.Errorf("it names %d entries, the limit is %d", len(m.Entries), l.Entries)
	}
	return m, nil
}

func readObjects(t *tar.Reader, about manifest, l Limits) ([]*cluster.Object, error) {
	p := newParser(about.Cluster, l)
	err := p.readEntries(t, about.Entries)
	objects, counts, parseErr := p.wait(about.Entries)
	switch {
	case parseErr != nil: // it stands before the place where reading ended
		return nil, parseErr
	case err != nil:
		return nil, err
	}
	for i, e := range about.Entries {
		if counts[i] != e.Objects {
			return nil, damaged(e.Name, fmt.Errorf("it has %d objects, the manifest promises %d", counts[i], e.Objects))
		}
	}
	return objects, nil
}

func (p *parser) readEntries(t *tar.Reader, entries []manifestEntry) error {
	for i := range entries {
		name := entries[i].Name
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return damaged(name, errors.New("it is missing"))
		case err != nil:
			return damaged(name, err)
		case h.Name != name || !regular(h):
			return damaged(name, fmt.Errorf("%q stands in its place", h.Name))
		}
		if err := p.readEntry(t, i, h.Size); err != nil {
			if errors.Is(err, errStopped) {
				return nil
			}
			return damaged(name, err)
		}
	}
	h, err := t.Next()
	if err == nil {
		return damaged(h.Name, errors.New("the manifest does not name it"))
	}
	if !errors.Is(err, io.EOF) {
		return damaged("the end", err)
	}
	return nil
}

// regular says that an entry is a plain file. Sparse ones can be of any size
// in a few bytes.
func regular(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return false
		}
	}
	return h.Typeflag == tar.TypeReg
}

// formatError is a format that this program does not know.
type formatError int

func (e formatError) Error() string {
	if e <= 0 {
		return "it does not say which format the file has: " + again
	}
	if e > format {
		return fmt.Sprintf("the file has format %d, this program reads format %d: use a newer seawall", int(e), format)
	}
	return fmt.Sprintf("the file has format %d, this program reads format %d: take the snapshot again with `seawall snapshot`", int(e), format)
}

// limitError is a limit that a file exceeds.
type limitError struct {
	what  string
	limit int64
}

func (e limitError) Error() string {
	return fmt.Sprintf("more than %d %s: if the file can be trusted, take the snapshot of one --namespace at a time", e.limit, e.what)
}

// damaged says which entry cannot be read and what to do.
func damaged(name string, err error) error {
	var unknown formatError
	var limit limitError
	switch {
	case errors.As(err, &unknown), errors.As(err, &limit):
		return fmt.Errorf("%s: %w", name, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the file ends too early: %s", name, again)
	}
	return fmt.Errorf("%s: %w: %s", name, err, again)
}

// bounded ends with an error where a reader goes on behind a limit.
type bounded struct {
	r           io.Reader
	left, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, limitError{"bytes", b.limit}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}
