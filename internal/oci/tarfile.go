package oci

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxMembers bounds the files of an archive of images: three for each layer of
// old archives, and an archive may hold hundreds of images.
const maxMembers = 1 << 17

// maxLinks bounds how many links of an archive lead to one another.
const maxLinks = 8

// tarFile is a tar file whose members are read where they lie.
type tarFile struct {
	file    *os.File
	members map[string]member
}

type member struct {
	offset, size int64
	link         string // the member that this one stands for
}

// openTar opens a tar file, or standard input for "-". What is compressed or
// cannot seek is first written to a temporary file without a name.
func openTar(ctx context.Context, name string, o Options) (*tarFile, error) {
	var source io.Reader
	var file *os.File
	if name == "-" {
		if source = o.Stdin; source == nil {
			return nil, errors.New("there is no standard input to read")
		}
		file, _ = source.(*os.File)
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err //nolint:wrapcheck // names the file
		}
		source, file = f, f
	}
	if file != nil {
		if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
			if err == nil && info.IsDir() {
				err = fmt.Errorf("%s is a folder, not a tar file", name)
				file.Close() //nolint:errcheck // it was only read
				return nil, err
			}
			file = nil
		}
	}
	buffered := bufio.NewReaderSize(source, 64<<10)
	head, err := buffered.Peek(ustar + 5)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	format := compression(head)
	if file == nil || format != "" {
		spooled, err := spool(ctx, buffered, format, o)
		if c, ok := source.(io.Closer); ok && name != "-" {
			c.Close() //nolint:errcheck // it was only read
		}
		if err != nil {
			return nil, err
		}
		file = spooled
	}
	t := &tarFile{file: file}
	if err := t.scan(ctx); err != nil {
		file.Close() //nolint:errcheck // it was only read
		return nil, err
	}
	return t, nil
}

// spool writes a stream to a temporary file, uncompressed.
func spool(ctx context.Context, r io.Reader, format string, o Options) (*os.File, error) {
	switch format {
	case "":
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("the archive's gzip: %w", err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("the archive's zstd: %w", err)
		}
		defer z.Close()
		r = z
	default:
		return nil, fmt.Errorf("the archive is compressed with %s: %w", format, ErrUnsupported)
	}
	file, err := os.CreateTemp(o.TempDir, "seawall-archive-*")
	if err != nil {
		return nil, fmt.Errorf("a place for the archive: %w", err)
	}
	// Without its name the file goes when the process does, however that ends.
	// Systems that cannot remove an open file keep it in their temporary folder.
	os.Remove(file.Name()) //nolint:errcheck // see above
	err = func() error {
		for written := int64(0); ; {
			if err := ctx.Err(); err != nil {
				return err //nolint:wrapcheck // the caller's own
			}
			n, err := io.CopyN(file, r, 1<<20)
			if written += n; written > o.Limits.Spool {
				return fmt.Errorf("the archive has more than %d bytes: %w", o.Limits.Spool, ErrLimit)
			}
			if errors.Is(err, io.EOF) {
				_, err = file.Seek(0, io.SeekStart)
				return err //nolint:wrapcheck // wrapped below
			}
			if err != nil {
				return err //nolint:wrapcheck // wrapped below
			}
		}
	}()
	if err != nil {
		file.Close() //nolint:errcheck // nobody will read it
		return nil, fmt.Errorf("unpacking the archive: %w", err)
	}
	return file, nil
}

// scan notes where each member lies.
func (t *tarFile) scan(ctx context.Context) error {
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	t.members = map[string]member{}
	tr := tar.NewReader(t.file)
	for {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // the caller's own
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the archive is no sound tar file after %d members: %w", len(t.members), err)
		}
		if len(t.members) == maxMembers {
			return fmt.Errorf("the archive has more than %d members: %w", maxMembers, ErrLimit)
		}
		name := clean(h.Name)
		var m member
		switch h.Typeflag {
		case tar.TypeReg:
			// The tar reader has read the header and nothing after it, so the file
			// stands where the content begins. Sparse members store less than they
			// have, and nobody writes them here.
			if sparse(h) {
				return fmt.Errorf("the archive's %.200q is sparse: %w", h.Name, ErrUnsupported)
			}
			m.size = h.Size
			if m.offset, err = t.file.Seek(0, io.SeekCurrent); err != nil {
				return fmt.Errorf("reading the archive: %w", err)
			}
		case tar.TypeSymlink:
			// Archives of docker before 1.10 link equal layers to one another.
			m.link = clean(path.Join(path.Dir(name), h.Linkname)) //nolint:gosec // a key of the members, no path of this machine
		case tar.TypeLink:
			m.link = clean(h.Linkname)
		default:
			continue
		}
		t.members[name] = m // of two with one name the last, as docker unpacks it
	}
}

func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (t *tarFile) find(name string) (member, error) {
	at := clean(name)
	for range maxLinks {
		m, ok := t.members[at]
		if !ok {
			return member{}, fmt.Errorf("%s in the archive: %w", name, ErrNotFound)
		}
		if m.link == "" {
			return m, nil
		}
		at = m.link
	}
	return member{}, fmt.Errorf("%s in the archive leads through more than %d links", name, maxLinks)
}

func (t *tarFile) open(name string) (io.ReadCloser, error) {
	m, err := t.find(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(t.file, m.offset, m.size)), nil
}

func (t *tarFile) blob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	name, err := blobPath(d.Digest)
	if err != nil {
		return nil, err
	}
	return t.open(name)
}
