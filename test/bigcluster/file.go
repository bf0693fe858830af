package bigcluster

import (
	"archive/tar"
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/redact"
)

// WriteFile writes the cluster as a snapshot file, without ever holding more of
// it than a namespace. On an error nothing is left behind.
func (c *Cluster) WriteFile(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing cluster %s: %w", c.o.Name, err)
	}
	err = errors.Join(c.Write(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing cluster %s to %s: %w", c.o.Name, path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// Write writes the cluster in the format of package snapshotfile, whose own
// Write wants all objects in memory: a test holds the two to the same bytes.
// The objects of each kind go through a temporary file, since the format wants
// their number and size before them.
func (c *Cluster) Write(w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "bigcluster")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := spool{dir: dir, entries: map[string]*entry{}}
	defer s.close()
	for o := range c.Objects() {
		if err := s.add(o); err != nil {
			return err
		}
	}
	z, err := zstd.NewWriter(w)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	if err := s.pack(t, c.o); err != nil {
		return errors.Join(err, z.Close())
	}
	return errors.Join(t.Close(), z.Close())
}

// spool keeps the objects of each kind, as lines of JSON, in a file.
type spool struct {
	dir     string
	entries map[string]*entry
	total   int
	line    []byte
}

type entry struct {
	Name    string `json:"name"`
	Objects int    `json:"objects"`

	group, version, kind string

	file *os.File
	w    *bufio.Writer
	size int64
}

func (s *spool) add(o *cluster.Object) error {
	e := s.entries[o.GVK()]
	if e == nil {
		f, err := os.Create(filepath.Join(s.dir, strconv.Itoa(len(s.entries))))
		if err != nil {
			return err
		}
		e = &entry{group: o.Group(), version: strings.TrimPrefix(o.APIVersion, o.Group()+"/"), kind: o.Kind, file: f, w: bufio.NewWriterSize(f, 32<<10)}
		e.Name = "objects/" + cmp.Or(e.group, "core") + "/" + e.version + "/" + e.kind + ".jsonl"
		s.entries[o.GVK()] = e
	}
	s.line = append(redact.Redactor{}.Object(o.Root).AppendJSON(s.line[:0]), '\n')
	e.size += int64(len(s.line))
	e.Objects++
	s.total++
	_, err := e.w.Write(s.line)
	return err
}

// pack writes what was spooled as the entries of a tar.
func (s *spool) pack(t *tar.Writer, o Options) error {
	var entries []*entry
	for _, e := range s.entries {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.version, b.version), cmp.Compare(a.kind, b.kind))
	})
	about, err := json.MarshalIndent(struct {
		Format        int       `json:"format"`
		Seawall       string    `json:"seawall"`
		Cluster       string    `json:"cluster"`
		ServerVersion string    `json:"serverVersion"`
		Time          time.Time `json:"time"`
		Whole         bool      `json:"whole"`
		Objects       int       `json:"objects"`
		Entries       []*entry  `json:"entries"`
	}{1, writer, o.Name, o.Version, Time, true, s.total, entries}, "", "  ")
	if err != nil {
		return err
	}
	head := func(name string, size int64) error {
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Unix(0, 0)})
	}
	if err := head("manifest.json", int64(len(about))); err != nil {
		return err
	}
	if _, err := t.Write(about); err != nil {
		return err
	}
	for _, e := range entries {
		if err := errors.Join(e.w.Flush(), head(e.Name, e.size)); err != nil {
			return err
		}
		if _, err := e.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(t, e.file); err != nil {
			return err
		}
	}
	return nil
}

// writer is what the file says of the program that wrote it.
const writer = "bigcluster"

func (s *spool) close() {
	for _, e := range s.entries {
		e.file.Close() //nolint:errcheck // it was read, and is removed
	}
}
