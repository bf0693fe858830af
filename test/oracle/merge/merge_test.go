package merge

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/pkg/archive"
	continuity "github.com/containerd/continuity/fs"
	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/image"
)

var seeds = flag.Uint64("seeds", 1000, "how many random images are compared")

// TestMergeIsAsContainerd draws images of up to five layers from few names, so
// that entries meet often: files, directories, symbolic and hard links, kinds
// that replace one another, whiteouts and opaque directories.
//
// Some things are left out. A whiteout that follows entries of its own layer
// removes those too in containerd; by the specification it is for lower layers
// alone, as package image has it, so whiteouts come first here, in order. A layer above the
// first does not put something in the place of a directory that it has put files
// below: containerd has sent them elsewhere by then if a lower layer has a link
// there, package image has forgotten them, and no builder writes such a layer.
// Neither does one layer reach one place by two names, over links of lower ones or its own:
// what comes of that depends on the order; nor is a
// hard link or its target replaced, or put below, after it. And containerd refuses some images, such as those with a file below a file,
// which a scanner has to make something of.
func TestMergeIsAsContainerd(t *testing.T) {
	compared, layers := 0, 0
	for seed := range *seeds {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // to be the same each time
		root := t.TempDir()
		var all []*image.Layer
		var story []string
		refused := false
		for i := range 1 + r.IntN(5) {
			raw, entries, names := draw(t, r, i == 0)
			if crossed(t, root, names) {
				continue
			}
			story = append(story, fmt.Sprintf("layer %d: %s", i, strings.Join(entries, ", ")))
			if _, err := archive.Apply(t.Context(), root, bytes.NewReader(raw), archive.WithNoSameOwner()); err != nil {
				refused = true
				break
			}
			l, err := new(image.Reader).Read(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
			layers++
		}
		if refused {
			continue
		}
		compared++
		tree, err := image.Merge(all)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(onDisk(t, root), merged(tree)); d != "" {
			t.Fatalf("seed %d (-containerd +seawall):\n%s\n%s", seed, d, strings.Join(story, "\n"))
		}
	}
	t.Logf("%d images of %d were compared, %d layers", compared, *seeds, layers)
	if uint64(compared) < *seeds/4 {
		t.Errorf("containerd refused all but %d images of %d: the test compares too little", compared, *seeds)
	}
}

// draw makes one layer, and says in words what is in it.
func draw(t *testing.T, r *rand.Rand, first bool) (raw []byte, words, names []string) {
	t.Helper()
	var out bytes.Buffer
	var links []string  // symbolic links
	var linked []string // hard links and their targets
	w := tar.NewWriter(&out)
	put := func(h tar.Header, body string) {
		below := func(name string) bool { return strings.HasPrefix(name, h.Name+"/") }
		if slices.ContainsFunc(linked, func(l string) bool { return strings.HasPrefix(h.Name+"/", l+"/") }) {
			return
		}
		if slices.ContainsFunc(links, func(l string) bool { return strings.HasPrefix(h.Name, l+"/") }) {
			return
		}
		if h.Typeflag == tar.TypeSymlink {
			links = append(links, h.Name)
		}
		if h.Typeflag == tar.TypeLink {
			linked = append(linked, h.Name, h.Linkname)
		}
		if !first && h.Typeflag != tar.TypeDir && slices.ContainsFunc(names, below) {
			return
		}
		names = append(names, strings.TrimSuffix(strings.ReplaceAll(h.Name, ".wh.", ""), "/"))
		h.Size = int64(len(body))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		words = append(words, fmt.Sprintf("%c %s %o %s", h.Typeflag, h.Name, h.Mode, h.Linkname))
	}
	modes := []int64{0o644, 0o755, 0o700, 0o4755, 0o1777}
	mode := func() int64 { return modes[r.IntN(len(modes))] }
	gone := []string{name(r), name(r)}[:r.IntN(3)]
	slices.Sort(gone)
	gone = slices.Compact(gone)
	for _, p := range gone {
		if r.IntN(3) == 0 {
			put(tar.Header{Typeflag: tar.TypeReg, Name: p + "/.wh..wh..opq", Mode: 0o644}, "")
		} else {
			dir, file := path.Split(p)
			put(tar.Header{Typeflag: tar.TypeReg, Name: dir + ".wh." + file, Mode: 0o644}, "")
		}
	}
	for range 1 + r.IntN(6) {
		switch n := r.IntN(20); {
		case n < 8:
			put(tar.Header{Typeflag: tar.TypeReg, Name: name(r), Mode: mode()}, strings.Repeat("x", r.IntN(9)))
		case n < 13:
			put(tar.Header{Typeflag: tar.TypeDir, Name: name(r) + "/", Mode: mode()}, "")
		case n < 17:
			target := name(r)
			switch r.IntN(4) {
			case 0:
				target = "/" + target
			case 1:
				target = "../" + target
			case 2:
				target = "../../../" + target
			}
			put(tar.Header{Typeflag: tar.TypeSymlink, Name: name(r), Linkname: target, Mode: 0o777}, "")
		default:
			put(tar.Header{Typeflag: tar.TypeLink, Name: name(r), Linkname: name(r), Mode: 0o644}, "")
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), words, names
}

// crossed says whether entries of one layer meet at one place, or one below the
// other, by way of links of lower layers, though their names do not.
func crossed(t *testing.T, root string, names []string) bool {
	t.Helper()
	places := make([]string, len(names))
	for i, name := range names {
		dir, err := continuity.RootPath(root, path.Dir(name))
		if err != nil {
			return true
		}
		places[i] = path.Join(dir, path.Base(name))
	}
	for i := range names {
		for j := range i {
			if related(names[i], names[j]) != related(places[i], places[j]) {
				return true
			}
		}
	}
	return false
}

func related(a, b string) string {
	switch {
	case a == b:
		return "same"
	case strings.HasPrefix(a, b+"/"):
		return "below"
	case strings.HasPrefix(b, a+"/"):
		return "above"
	}
	return ""
}

func name(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(3))
	for i := range parts {
		parts[i] = string(rune('a' + r.IntN(3)))
	}
	return strings.Join(parts, "/")
}

// onDisk lists a folder: path, kind, mode, size or target.
func onDisk(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		info, err := e.Info()
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
		out = append(out, line(rel, info.Mode(), info.Size(), target))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func merged(tree *image.Tree) []string {
	var out []string
	for f := range tree.All() {
		mode := f.Mode()
		switch f.Kind() {
		case image.Dir:
			mode |= fs.ModeDir
		case image.Symlink:
			mode |= fs.ModeSymlink
		}
		out = append(out, line(f.Path(), mode, f.Size(), f.Link()))
	}
	slices.Sort(out)
	return out
}

func line(path string, mode fs.FileMode, size int64, target string) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return path + " -> " + target
	case mode.IsDir():
		return fmt.Sprintf("%s/ %v", path, mode)
	}
	return fmt.Sprintf("%s %v %d bytes", path, mode, size)
}
