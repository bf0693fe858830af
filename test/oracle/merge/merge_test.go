//go:build linux

package merge

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/pkg/archive"
	continuity "github.com/containerd/continuity/fs"
	"github.com/containerd/log"
	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/image"
)

var seeds = flag.Uint64("seeds", 1000, "how many random images are compared")

// TestMergeIsAsContainerd draws images of up to five layers from few names, so
// that entries meet often: files, pipes, directories, symbolic and hard links, kinds that
// replace one another, whiteouts and opaque directories anywhere in a layer.
// An entry that containerd refuses, such as a file below a file, is left out of
// its image; all images are compared.
func TestMergeIsAsContainerd(t *testing.T) {
	o := newOverlay(t)
	layers, entries, refused := 0, 0, 0
	for seed := range *seeds {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // to be the same each time
		var all []*image.Layer
		var story []string
		o.begin(t)
		for i := range 1 + r.IntN(5) {
			drawn := draw(r)
			accepted, raw := o.apply(t, drawn)
			l, err := new(image.Reader).Read(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Problems) > 0 {
				t.Errorf("seed %d: what containerd accepts is a problem: %v", seed, l.Problems)
			}
			all = append(all, l)
			story = append(story, fmt.Sprintf("layer %d: %s", i, words(accepted)))
			layers, entries, refused = layers+1, entries+len(accepted), refused+len(drawn)-len(accepted)
		}
		want, files := o.end(t)
		tree, err := image.Merge(all)
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.Problems) > 0 {
			t.Errorf("seed %d: what containerd accepts is a problem: %v", seed, tree.Problems)
		}
		got, gotFiles := o.merged(tree)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("seed %d (-containerd +seawall):\n%s\n%s", seed, d, strings.Join(story, "\n"))
		}
		if d := cmp.Diff(files, gotFiles); d != "" {
			t.Errorf("seed %d: files of each layer, hidden ones too (-containerd +seawall):\n%s\n%s", seed, d, strings.Join(story, "\n"))
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d images, %d layers, %d entries were compared; %d entries were refused by containerd and left out", *seeds, layers, entries, refused)
	if entries < 2*layers {
		t.Errorf("only %d entries in %d layers: the test compares too little", entries, layers)
	}
}

// overlay unpacks layers as containerd does for Kubernetes, by its snapshotter
// overlayfs: each into a folder of its own, which the kernel puts over one another.
type overlay struct {
	dir     string // holds the folders of one image's layers
	parents []string
	// unsure are directories that only their children speak of. Containerd gives
	// them the mode of some lower layer's directory of that path, also one that a
	// layer between has removed, or that only the lower layer's links lead to.
	unsure map[string]bool
}

// newOverlay skips the test where overlayfs cannot be mounted.
func newOverlay(t *testing.T) *overlay {
	t.Helper()
	if err := log.SetLevel("error"); err != nil { // it warns of every odd entry
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("overlayfs is mounted by root alone")
	}
	o := &overlay{}
	o.begin(t)
	for range 2 {
		o.apply(t, []tar.Header{{Typeflag: tar.TypeDir, Name: "a", Mode: 0o755}})
	}
	mnt := filepath.Join(o.dir, "probe")
	if err := o.mount(mnt); err != nil {
		t.Skipf("overlayfs cannot be mounted here: %v", err)
	}
	o.unmount(t, mnt)
	return o
}

func (o *overlay) begin(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(o.dir); err != nil {
		t.Fatal(err)
	}
	*o = overlay{dir: filepath.Join(t.TempDir(), "image"), unsure: map[string]bool{}}
	if err := os.Mkdir(o.dir, 0o755); err != nil { //nolint:gosec // the mode is that of the image's root
		t.Fatal(err)
	}
}

// apply unpacks a layer, without the entries that containerd refuses, and returns
// those that are left, also as a tar.
func (o *overlay) apply(t *testing.T, entries []tar.Header) (accepted []tar.Header, raw []byte) {
	t.Helper()
	upper := filepath.Join(o.dir, fmt.Sprint(len(o.parents)))
	var named map[string]bool
	for accepted = slices.Clone(entries); ; {
		if err := errors.Join(os.RemoveAll(upper), os.Mkdir(upper, 0o755)); err != nil { //nolint:gosec // as above
			t.Fatal(err)
		}
		raw = pack(t, accepted)
		named = map[string]bool{}
		at := -1
		_, err := archive.Apply(t.Context(), upper, bytes.NewReader(raw),
			archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(o.parents),
			archive.WithFilter(func(h *tar.Header) (bool, error) {
				at++
				dir, err := continuity.RootPath(upper, path.Dir(h.Name))
				place := path.Join(dir, path.Base(h.Name))
				if h.Typeflag != tar.TypeDir {
					maps.DeleteFunc(named, func(p string, _ bool) bool { return strings.HasPrefix(p+"/", place+"/") })
				}
				named[place] = h.Typeflag == tar.TypeDir
				return true, err //nolint:wrapcheck // containerd refuses for the same reason
			}))
		if err == nil {
			break
		}
		accepted = slices.Delete(accepted, at, at+1)
	}
	walk(t, upper, func(rel string, info fs.FileInfo, _ string) {
		switch {
		case named[filepath.Join(upper, rel)]:
			delete(o.unsure, rel)
		case info.IsDir() && (unusual(upper, path.Dir(rel)) || slices.ContainsFunc(o.parents, func(p string) bool { return unusual(p, rel) })):
			o.unsure[rel] = true
		}
	})
	o.parents = slices.Insert(o.parents, 0, upper)
	return accepted, raw
}

// unusual says whether a layer has something other than plain directories on the
// way to a directory.
func unusual(layer, rel string) bool {
	at := layer
	for part := range strings.SplitSeq(rel, "/") {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return false
		}
		if n, err := syscall.Getxattr(at, "trusted.overlay.opaque", make([]byte, 1)); !info.IsDir() || err == nil && n == 1 {
			return true
		}
	}
	return false
}

func (o *overlay) mount(mnt string) error {
	empty := filepath.Join(o.dir, "empty")                                            // the kernel wants two layers at least
	if err := errors.Join(os.Mkdir(mnt, 0o755), os.Mkdir(empty, 0o755)); err != nil { //nolint:gosec // as above
		return err
	}
	lower := strings.Join(append(slices.Clone(o.parents), empty), ":")
	return syscall.Mount("overlay", mnt, "overlay", syscall.MS_RDONLY, "lowerdir="+lower)
}

func (o *overlay) unmount(t *testing.T, mnt string) {
	t.Helper()
	if err := errors.Join(syscall.Unmount(mnt, 0), os.Remove(mnt), os.Remove(filepath.Join(o.dir, "empty"))); err != nil {
		t.Fatal(err)
	}
}

// end lists the root file system that a container would see, and of each layer the
// files that it holds.
func (o *overlay) end(t *testing.T) (tree, files []string) {
	t.Helper()
	mnt := filepath.Join(o.dir, "root")
	if err := o.mount(mnt); err != nil {
		t.Fatal(err)
	}
	defer o.unmount(t, mnt)
	walk(t, mnt, func(rel string, info fs.FileInfo, target string) {
		tree = append(tree, o.line(rel, info.Mode(), info.Size(), target))
	})
	for i, dir := range o.parents {
		walk(t, dir, func(rel string, info fs.FileInfo, _ string) {
			if info.Mode().IsRegular() {
				files = append(files, fmt.Sprintf("%s in layer %d", rel, len(o.parents)-1-i))
			}
		})
	}
	slices.Sort(tree)
	slices.Sort(files)
	return tree, files
}

// walk visits all below a folder.
func walk(t *testing.T, root string, visit func(rel string, info fs.FileInfo, target string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // overlayfs lists a whiteout of what is in no layer, and does not find it
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(file); err != nil {
				return err
			}
		}
		visit(rel, info, target)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// draw makes the entries of one layer.
func draw(r *rand.Rand) []tar.Header {
	modes := []int64{0o644, 0o755, 0o700, 0o4755, 0o1777}
	out := make([]tar.Header, 2+r.IntN(7))
	for i := range out {
		h := tar.Header{Name: name(r), Mode: modes[r.IntN(len(modes))]}
		switch n := r.IntN(24); {
		case n < 8:
			h.Typeflag, h.Size = tar.TypeReg, r.Int64N(9)
		case n < 13:
			h.Typeflag = tar.TypeDir
		case n < 16:
			h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
			h.Linkname = []string{"", "/", "../", "../../../"}[r.IntN(4)] + name(r)
			if to := path.Join("/", path.Dir(h.Name), h.Linkname); strings.HasPrefix(to+"/", "/"+h.Name+"/") {
				h.Linkname = "." // each link into itself costs containerd a tenth of a second
			}
		case n < 18:
			h.Typeflag, h.Mode, h.Linkname = tar.TypeLink, 0o644, name(r)
		case n < 19:
			h.Typeflag = tar.TypeFifo
		case n < 20:
			h.Typeflag, h.Name = tar.TypeReg, h.Name+"/.wh..wh..opq"
		default:
			dir, file := path.Split(h.Name)
			h.Typeflag, h.Name = tar.TypeReg, dir+".wh."+file
		}
		out[i] = h
	}
	return out
}

func name(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(3))
	for i := range parts {
		parts[i] = string(rune('a' + r.IntN(3)))
	}
	return strings.Join(parts, "/")
}

func pack(t *testing.T, entries []tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := range entries {
		err := w.WriteHeader(&entries[i])
		if err == nil {
			_, err = io.CopyN(w, zeros{}, entries[i].Size)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func words(entries []tar.Header) string {
	out := make([]string, len(entries))
	for i := range entries {
		h := &entries[i]
		out[i] = fmt.Sprintf("%c %s %o %s", h.Typeflag, h.Name, h.Mode, h.Linkname)
	}
	return strings.Join(out, ", ")
}

func (o *overlay) merged(tree *image.Tree) (paths, files []string) {
	in := func(path string, layer int) { files = append(files, fmt.Sprintf("%s in layer %d", path, layer)) }
	for f := range tree.All() {
		paths = append(paths, o.line(f.Path(), f.Mode(), f.Size(), f.Link()))
		if f.Kind() == image.Regular {
			in(f.Path(), f.Layer())
		}
	}
	for h := range tree.Hidden() {
		in(h.Path, h.Layer)
	}
	slices.Sort(paths)
	slices.Sort(files)
	return paths, files
}

func (o *overlay) line(path string, mode fs.FileMode, size int64, target string) string {
	switch {
	case mode.IsDir() && o.unsure[path]:
		return path + " is a directory"
	case mode&fs.ModeSymlink != 0:
		return path + " -> " + target
	case mode.IsRegular():
		return fmt.Sprintf("%s %v %d bytes", path, mode, size)
	}
	return fmt.Sprintf("%s %v", path, mode)
}
