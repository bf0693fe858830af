package slimming

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/oci"
)

// place is where an entry stands: the layer, and its number in it.
type place struct{ layer, number int }

// wanted is one path of the reduced image.
type wanted struct {
	header *tar.Header
	// inode is where the content of a regular file stands. Paths with the same are
	// hard links of each other.
	inode place
	exact bool // the entry has the path's own name, and does not lead there over links
}

// content is what was put by of one regular file.
type content struct {
	header *tar.Header
	offset int64
	path   string // under which it was written
}

// contents are the paths of the reduced image, with what they hold.
type contents struct {
	result *Result
	paths  map[string]*wanted
	bodies map[place]*content
	spool  *os.File
	size   int64
}

// gather reads the layers twice: for what each path is in the end, since hard
// links may lead to files that do not stay, and for the contents, which are put
// by in a file without a name. The caller closes it.
func (r *Result) gather(ctx context.Context, temp string) (*contents, error) {
	c := &contents{result: r, paths: map[string]*wanted{}, bodies: map[place]*content{}}
	if err := c.headers(ctx); err != nil {
		return nil, err
	}
	for _, w := range c.paths {
		if w.header.Typeflag == tar.TypeReg {
			c.bodies[w.inode] = &content{offset: -1}
		}
	}
	spool, err := os.CreateTemp(temp, "seawall-slim-*")
	if err != nil {
		return nil, fmt.Errorf("a place for the files that stay: %w", err)
	}
	os.Remove(spool.Name()) //nolint:errcheck // it goes when it is closed, in any case
	c.spool = spool
	if err := c.fill(ctx); err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return c, nil
}

func (c *contents) Close() error {
	return c.spool.Close() //nolint:wrapcheck // nobody will read it
}

// headers finds the entry of each path that stays.
func (c *contents) headers(ctx context.Context) error {
	tree, plan := c.result.Scan.Tree, c.result.Plan
	inodes := map[string]place{} // of regular files, as far as the layers were read
	return c.result.entries(ctx, func(at place, h *tar.Header, _ io.Reader) error {
		name := entryName(h.Name)
		f, ok := tree.Lstat(name)
		if !ok || strings.HasPrefix(path.Base(name), ".wh.") {
			return nil
		}
		final := f.Path()
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
			inodes[final] = at
		case tar.TypeLink:
			target := entryName(h.Linkname)
			if t, ok := tree.Lstat(target); ok {
				target = t.Path()
			}
			from, ok := inodes[target]
			if !ok {
				return nil // its target is not there: the scan says so
			}
			inodes[final] = from
		}
		if final != "" && !plan.Keeps(final) || !settles(f, h, at.layer) {
			return nil
		}
		if have := c.paths[final]; have != nil && have.exact && name != final && f.Kind() != image.Dir {
			return nil
		}
		copied := *h
		if f.Kind() == image.Regular {
			copied.Typeflag = tar.TypeReg
		}
		c.paths[final] = &wanted{header: &copied, inode: inodes[final], exact: name == final}
		return nil
	})
}

// settles says that an entry of a layer is what the path is in the end.
func settles(f image.File, h *tar.Header, layer int) bool {
	switch f.Kind() {
	case image.Dir:
		return h.Typeflag == tar.TypeDir && layer <= f.Layer()
	case image.Regular:
		return layer == f.Layer() && (h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeLink || h.Typeflag == tar.TypeGNUSparse || h.Typeflag == tar.TypeCont)
	case image.Symlink:
		return layer == f.Layer() && h.Typeflag == tar.TypeSymlink
	case image.Device:
		return layer == f.Layer() && (h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock)
	case image.Pipe:
		return layer == f.Layer() && h.Typeflag == tar.TypeFifo
	default:
		return false
	}
}

// fill puts the contents by.
func (c *contents) fill(ctx context.Context) error {
	return c.result.entries(ctx, func(at place, h *tar.Header, body io.Reader) error {
		want := c.bodies[at]
		if want == nil {
			return nil
		}
		n, err := io.Copy(c.spool, body)
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		copied := *h
		copied.Size = n
		want.header, want.offset = &copied, c.size
		c.size += n
		return nil
	})
}

// entries visits every entry of every layer, from the base upwards.
func (r *Result) entries(ctx context.Context, visit func(at place, h *tar.Header, body io.Reader) error) error {
	if r.Scan.Image == nil {
		return r.folderEntries(ctx, visit)
	}
	for i := range r.Scan.Image.Layers {
		if err := layerEntries(ctx, &r.Scan.Image.Layers[i], i, visit); err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	return nil
}

func layerEntries(ctx context.Context, l *oci.Layer, number int, visit func(at place, h *tar.Header, body io.Reader) error) error {
	stream, err := l.Open(ctx)
	if err != nil {
		return err //nolint:wrapcheck // it names the layer
	}
	defer stream.Close() //nolint:errcheck // it was only read
	tr := tar.NewReader(stream)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, stream) // only at the end it is verified
			return err                           //nolint:wrapcheck // the stream names the layer
		}
		if err != nil {
			return fmt.Errorf("reading its tar: %w", err)
		}
		if err := visit(place{number, n}, h, tr); err != nil {
			return err
		}
	}
}

func (r *Result) folderEntries(ctx context.Context, visit func(at place, h *tar.Header, body io.Reader) error) error {
	n := 0
	_, err := oci.WalkDir(ctx, r.source.Path, func(h *tar.Header, open func() (io.ReadCloser, error)) error {
		n++
		if h.Typeflag != tar.TypeReg {
			if h.Typeflag == tar.TypeLink {
				h.Size = 0 // a tar has the content with the first name alone
			}
			return visit(place{0, n}, h, strings.NewReader(""))
		}
		f, err := open()
		if err != nil {
			if r.Plan.Keeps(h.Name) {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			return nil
		}
		defer f.Close()                                    //nolint:errcheck // it was only read
		addCapability(h, path.Join(r.source.Path, h.Name)) //nolint:gosec // the walk of the user's own folder named it
		return visit(place{0, n}, h, f)
	})
	return err //nolint:wrapcheck // it names the folder or file
}

// entryName is the path of an entry as the tree knows it.
func entryName(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// xattr begins the names under which tar holds extended attributes: the
// capabilities of programs are such.
const xattr = "SCHILY.xattr."

// trimmed is a header with what a layer should say of a path and no more.
func trimmed(h *tar.Header, name string) *tar.Header {
	out := &tar.Header{
		Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid,
		ModTime: h.ModTime, Devmajor: h.Devmajor, Devminor: h.Devminor,
	}
	for key, value := range h.PAXRecords {
		if strings.HasPrefix(key, xattr) {
			if out.PAXRecords == nil {
				out.PAXRecords = map[string]string{}
			}
			out.PAXRecords[key] = value
		}
	}
	if out.ModTime.Nanosecond() != 0 || out.PAXRecords != nil {
		out.Format = tar.FormatPAX
	}
	if h.Typeflag != tar.TypeReg {
		out.Size = 0
	}
	if h.Typeflag == tar.TypeDir {
		out.Name += "/"
	}
	return out
}

// names are the paths in the order in which they are written: folders before what
// is in them.
func (c *contents) names() []string {
	var out []string
	for p := range c.result.Plan.Paths() {
		out = append(out, p)
	}
	if c.paths[""] != nil {
		out = slices.Insert(out, 0, "")
	}
	return out
}
