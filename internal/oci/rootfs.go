package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Skipped is a path of a root file system that could not be read.
type Skipped struct {
	Path string
	Err  error
}

// kernelDirs are what a kernel mounts into a root file system; their content is
// no part of it.
var kernelDirs = []string{"proc", "sys", "dev"} //nolint:gochecknoglobals // constant table

// WalkDir hands out what is in a folder as the entries of a layer would be, a
// directory before what is in it and names in order: headers with paths relative
// to the folder, hard links as such once the first of them was seen but with the
// file's size, and with open for both and for regular files. Symbolic links are not followed, other file systems
// that are mounted in it and the content of /proc, /sys and /dev are left out.
// What cannot be read is skipped and named in the result. An error of visit ends
// the walk and is returned.
func WalkDir(ctx context.Context, dir string, visit func(h *tar.Header, open func() (io.ReadCloser, error)) error) ([]Skipped, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the folder
	}
	defer root.Close() //nolint:errcheck // it was only read
	info, err := root.Stat(".")
	if err != nil {
		return nil, err //nolint:wrapcheck // names the folder
	}
	w := walker{root: root, visit: visit, links: map[inode]string{}}
	w.device = identify(info).dev
	err = w.walk(ctx, ".")
	return w.skipped, err
}

type walker struct {
	root    *os.Root
	visit   func(h *tar.Header, open func() (io.ReadCloser, error)) error
	device  uint64
	links   map[inode]string // files with several names, to the first of them
	skipped []Skipped
}

// inode is what tells files apart. links counts names.
type inode struct{ dev, ino, links uint64 }

func (w *walker) skip(name string, err error) {
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		err = in.Err
	}
	w.skipped = append(w.skipped, Skipped{name, err})
}

func (w *walker) walk(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err //nolint:wrapcheck // the caller's own
	}
	names, err := w.names(dir)
	if err != nil {
		w.skip(dir, err)
	}
	for _, name := range names {
		name = path.Join(dir, name)
		info, err := w.root.Lstat(name)
		if err != nil {
			w.skip(name, err)
			continue
		}
		id := identify(info)
		if id.dev != w.device {
			continue
		}
		if err := w.entry(name, info, id); err != nil {
			return err
		}
		if info.IsDir() && !slices.Contains(kernelDirs, name) {
			if err := w.walk(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) names(dir string) ([]string, error) {
	f, err := w.root.Open(dir)
	if err != nil {
		return nil, err //nolint:wrapcheck // kept with the path
	}
	defer f.Close() //nolint:errcheck // it was only read
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err //nolint:wrapcheck // kept with the path
}

func (w *walker) entry(name string, info fs.FileInfo, id inode) error {
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = w.root.Readlink(name); err != nil {
			w.skip(name, err)
			return nil
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return nil //nolint:nilerr // sockets, which no layer can hold
	}
	h.Name = name
	if info.IsDir() {
		h.Name += "/"
	}
	if info.Mode().IsRegular() && id.links > 1 {
		if first, seen := w.links[id]; seen {
			h.Typeflag, h.Linkname = tar.TypeLink, first
		} else {
			w.links[id] = name
		}
	}
	if !info.Mode().IsRegular() {
		return w.visit(h, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil })
	}
	return w.visit(h, func() (io.ReadCloser, error) { return w.regular(name, info) })
}

// regular opens a file, if it still is the one that was seen.
func (w *walker) regular(name string, seen fs.FileInfo) (io.ReadCloser, error) {
	f, err := w.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(now, seen) {
		f.Close() //nolint:errcheck // it was not read
		return nil, fmt.Errorf("%s changed while it was read", name)
	}
	return f, nil
}
