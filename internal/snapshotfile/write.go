package snapshotfile

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/redact"
)

// WriteFile writes a snapshot to a file that only its owner may read. The file
// appears under its name when it is complete; on an error, what stood there
// before remains.
func WriteFile(path string, s *cluster.Snapshot, m Meta) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing snapshot %s: %w", path, err)
		}
	}()
	// os.CreateTemp gives 0600.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(Write(f, s, m), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Write writes a snapshot. Objects keep neither the file that they may have
// come from nor positions in it; their order becomes that of the file.
func Write(w io.Writer, s *cluster.Snapshot, m Meta) error {
	entries, err := group(s.Objects)
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(w)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	if err := writeAll(t, s, m, entries); err != nil {
		return errors.Join(err, z.Close())
	}
	return errors.Join(t.Close(), z.Close())
}

func writeAll(t *tar.Writer, s *cluster.Snapshot, m Meta, entries []entry) error {
	if m.Cluster == "" && len(s.Objects) > 0 {
		m.Cluster = s.Objects[0].Cluster
	}
	about := manifest{
		Format: format, Seawall: m.Seawall, Cluster: m.Cluster, ServerVersion: s.Version,
		Time: m.Time.UTC(), Whole: s.Whole, Objects: len(s.Objects),
		Entries: make([]manifestEntry, 0, len(entries)), Incomplete: s.Incomplete,
	}
	for _, e := range entries {
		about.Entries = append(about.Entries, manifestEntry{e.name, len(e.objects)})
	}
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return err
	}
	if err := header(t, manifestName, int64(len(text))); err != nil {
		return err
	}
	if _, err := t.Write(text); err != nil {
		return err
	}
	for _, e := range entries {
		if err := e.write(t); err != nil {
			return fmt.Errorf("entry %s: %w", e.name, err)
		}
	}
	return nil
}

// header begins an entry. Everything but name and size is the same for all, so
// that the same snapshot makes the same bytes.
func header(t *tar.Writer, name string, size int64) error {
	return t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Unix(0, 0),
	})
}

// entry is all objects of one kind.
type entry struct {
	name    string
	objects []*cluster.Object
}

func group(objects []*cluster.Object) ([]entry, error) {
	objects = sorted(objects)
	var out []entry
	for start, i := 0, 0; i < len(objects); i++ {
		o := objects[i]
		if o.Root.Get("apiVersion").Str() != o.APIVersion || o.Root.Get("kind").Str() != o.Kind || o.APIVersion == "" || o.Kind == "" {
			return nil, fmt.Errorf("%s is no object that can be read again: its content does not say the same kind", o.Subject())
		}
		if i+1 == len(objects) || kind(objects[i+1]) != kind(o) {
			out = append(out, entry{kind(o).entryName(), objects[start : i+1]})
			start = i + 1
		}
	}
	return out, nil
}

// write writes the entry. tar wants the size first, so each object is encoded
// twice: that is cheaper than holding a hundred megabytes of Pods as text.
func (e entry) write(t *tar.Writer) error {
	clean := make([]*document.Node, 0, len(e.objects))
	var size int64
	var line []byte
	for _, o := range e.objects {
		root := withoutSecrets(o.Root)
		clean = append(clean, root)
		line = appendLine(line[:0], root)
		size += int64(len(line))
	}
	if err := header(t, e.name, size); err != nil {
		return err
	}
	w := bufio.NewWriterSize(t, 64<<10)
	for _, root := range clean {
		line = appendLine(line[:0], root)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// withoutSecrets returns an object without what must not be in a file. Markers
// from reading the cluster stay; any other value of a Secret gets one without
// a fingerprint.
func withoutSecrets(root *document.Node) *document.Node { return redact.Redactor{}.Object(root) }

func appendLine(dst []byte, root *document.Node) []byte { return append(root.AppendJSON(dst), '\n') }
