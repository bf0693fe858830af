package imagescan_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/test/images"
)

func layer(t testing.TB, content images.Content, c images.Compression) *images.Layer {
	t.Helper()
	l, err := images.NewLayer(content, c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func build(t testing.TB, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := images.New(v1.Config{}, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// marker is a package that has to be found whatever is wrong beside it.
func marker() images.Content {
	return images.Entries(images.File("app/node_modules/lodash/package.json", `{"name":"lodash","version":"4.17.4"}`))
}

// TestBrokenLayersAreNamed scans images of which one layer cannot be read. The
// other layers are judged, and the result says what is missing.
func TestBrokenLayersAreNamed(t *testing.T) {
	long := images.Entries(images.File("first/node_modules/m/package.json", `{"name":"minimist","version":"1.2.0"}`), images.Zeros("zeros", 1<<20), images.File("last", "x"))
	tests := []struct {
		name  string
		bad   func(t *testing.T) *images.Layer
		spoil func(t *testing.T, blob string) // of the layout
		want  string                          // in the reason
		first bool                            // what stands before the damage is judged
	}{
		{name: "truncated-gzip", want: "layer 2 of 2", first: true, bad: func(t *testing.T) *images.Layer {
			t.Helper()
			l := layer(t, long, images.Gzip)
			l.Seal(l.Stored[:len(l.Stored)*3/4])
			return l
		}},
		{name: "truncated-tar", want: "breaks off", first: true, bad: func(t *testing.T) *images.Layer {
			t.Helper()
			l := layer(t, long, images.None)
			l.Seal(l.Stored[:200_000])
			return l
		}},
		{name: "no-tar", want: "layer 2 of 2", bad: func(t *testing.T) *images.Layer {
			t.Helper()
			l := layer(t, long, images.Gzip)
			l.Seal([]byte(strings.Repeat("this is no archive\n", 1000)))
			return l
		}},
		{name: "other-content", want: "sha256:", bad: func(t *testing.T) *images.Layer {
			t.Helper()
			l := layer(t, long, images.Gzip)
			l.Seal(layer(t, images.Entries(images.File("other", "content")), images.Gzip).Stored)
			return l
		}},
		{
			name: "changed-blob", want: "sha256:", bad: func(t *testing.T) *images.Layer { t.Helper(); return layer(t, long, images.None) }, first: true,
			spoil: func(t *testing.T, blob string) {
				t.Helper()
				data, err := os.ReadFile(blob)
				if err != nil {
					t.Fatal(err)
				}
				data[len(data)/2] ^= 1
				if err := os.WriteFile(blob, data, 0o600); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "missing-blob", want: "not found", bad: func(t *testing.T) *images.Layer { t.Helper(); return layer(t, long, images.Gzip) },
			spoil: func(t *testing.T, blob string) {
				t.Helper()
				if err := os.Remove(blob); err != nil {
					t.Fatal(err)
				}
			},
		},
		{name: "foreign", want: "not distributable", bad: func(t *testing.T) *images.Layer {
			t.Helper()
			l := layer(t, long, images.Gzip)
			l.Foreign()
			return l
		}, spoil: func(t *testing.T, blob string) {
			t.Helper()
			if err := os.Remove(blob); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := tt.bad(t)
			src := write(t, build(t, layer(t, marker(), images.Gzip), bad))
			if tt.spoil != nil {
				digest, err := bad.Digest()
				if err != nil {
					t.Fatal(err)
				}
				tt.spoil(t, filepath.Join(src.Path, "blobs", "sha256", digest.Hex))
			}
			o := options(t)
			o.Cache = t.TempDir()
			for range 2 { // what could not be read shall not be kept as if it could
				r := scan(t, src, o)
				if len(r.Incomplete) == 0 || !slices.ContainsFunc(reasons(r), func(s string) bool { return strings.Contains(s, tt.want) }) {
					t.Fatalf("incomplete: %q, want one with %q", reasons(r), tt.want)
				}
				want := []string{"05 lodash fixed"}
				if tt.first {
					want = append(want, "09 minimist fixed")
				}
				if got := named(r); !slices.Equal(got, want) {
					t.Errorf("flaws %q, want %q", got, want)
				}
			}
		})
	}
}

func reasons(r *imagescan.Result) []string {
	var out []string
	for _, h := range r.Incomplete {
		out = append(out, h.Location.Path+": "+h.Reason)
	}
	return out
}

// TestLimitsOfLayers scans layers that unpack to far more than is stored.
func TestLimitsOfLayers(t *testing.T) {
	bomb := images.Entries(images.Zeros("bomb", 64<<20))
	for _, c := range []images.Compression{images.Gzip, images.Zstd} {
		t.Run(string(c), func(t *testing.T) {
			src := write(t, build(t, layer(t, marker(), images.Gzip), layer(t, bomb, c)))
			o := options(t)
			if r := scan(t, src, o); len(r.Incomplete) > 0 || r.Description.Size < 64<<20 {
				t.Errorf("a large file is no fault: %q", reasons(r))
			}
			o.OCI.Limits.Layer = 8 << 20
			r := scan(t, src, o)
			if got := reasons(r); len(got) != 1 || !strings.Contains(got[0], "limit exceeded") {
				t.Errorf("incomplete: %q", got)
			}
			if got := named(r); !slices.Equal(got, []string{"05 lodash fixed"}) {
				t.Errorf("flaws %q", got)
			}
		})
	}
}

// TestSparseFile reads a file of 5 GB that the layer holds as a hole, in the old
// GNU form that archive/tar reads and does not write.
func TestSparseFile(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads 5 GB of zeros")
	}
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "disk.img", Mode: 0o644, Size: 512, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := raw.Bytes()
	const size = 5 << 30
	head := data[:512]
	head[156] = 'S'
	octal := func(at int, n int64) {
		for i := 10; i >= 0; i-- {
			head[at+i] = byte('0' + n&7)
			n >>= 3
		}
		head[at+11] = 0
	}
	octal(386, size-512) // one piece of data, at the end
	octal(398, 512)
	octal(483, size)
	copy(head[148:156], "        ")
	sum := 0
	for _, b := range head {
		sum += int(b)
	}
	for i := 5; i >= 0; i-- {
		head[148+i] = byte('0' + sum&7)
		sum >>= 3
	}
	head[154], head[155] = 0, ' '
	l := layer(t, images.Entries(), images.None)
	l.Reseal(data)
	r := scan(t, write(t, build(t, layer(t, marker(), images.Gzip), l)), options(t))
	if len(r.Incomplete) > 0 {
		t.Errorf("incomplete: %q", reasons(r))
	}
	if r.Description.Size < size {
		t.Errorf("%d bytes, want %d and more", r.Description.Size, int64(size))
	}
	if got := named(r); !slices.Equal(got, []string{"05 lodash fixed"}) {
		t.Errorf("flaws %q", got)
	}
}

// TestOddPaths scans layers whose entries try to leave the root, to lead in
// circles, or to be several things at once.
func TestOddPaths(t *testing.T) {
	const old = `{"name":"minimist","version":"1.2.0"}`
	const safe = `{"name":"minimist","version":"9.0.0"}`
	tests := []struct {
		name   string
		layers [][]images.Entry
		flaws  []string
		holes  []string // a part of each reason
	}{
		{
			name: "traversal", layers: [][]images.Entry{{images.File("../../../../app/node_modules/m/package.json", old), images.File("/abs/x", "y")}},
			flaws: []string{"09 minimist fixed"}, holes: []string{"leads out of the root"},
		},
		{name: "cyclic-links", layers: [][]images.Entry{
			{images.Symlink("a", "b"), images.Symlink("b", "a"), images.Symlink("self", "self"), images.Symlink("up", "../../..")},
			{images.File("up/app/node_modules/m/package.json", old), images.Whiteout("a/b/c"), images.Whiteout("self/x")},
		}, flaws: []string{"09 minimist fixed"}},
		{name: "file-below-cycle", layers: [][]images.Entry{
			{images.Symlink("a", "b"), images.Symlink("b", "a")}, {images.File("a/node_modules/m/package.json", old)},
		}, flaws: []string{"09 minimist fixed"}},
		{name: "link-to-host", layers: [][]images.Entry{
			{images.Symlink("etc", "/"), images.Symlink("lib", "usr/lib"), images.Dir("usr/lib"), images.File("lib/node_modules/m/package.json", old)}, {images.Whiteout("usr/lib/node_modules/m/package.json")},
		}},
		{name: "parent-over-a-lower-link", layers: [][]images.Entry{
			{images.Symlink("lib", "usr/lib"), images.Dir("usr/lib")}, {images.File("lib/node_modules/m/package.json", old)}, {images.Whiteout("usr/lib/node_modules")},
		}, flaws: []string{"09 minimist fixed"}},
		{name: "whiteout-and-folder", layers: [][]images.Entry{
			{images.File("app/node_modules/m/package.json", old)}, {images.Whiteout("app"), images.Dir("app")},
		}, flaws: []string{"09 minimist fixed"}}, // overlayfs shows the lower folder
		{name: "replaced-by-directory", layers: [][]images.Entry{
			{images.File("app", "x")}, {images.File("app/node_modules/m/package.json", old)},
		}, flaws: []string{"09 minimist fixed"}},
		{name: "replaced-by-file", layers: [][]images.Entry{
			{images.File("app/node_modules/m/package.json", old)}, {images.File("app", "x")},
		}},
		{name: "opaque", layers: [][]images.Entry{
			{images.File("app/node_modules/m/package.json", old)}, {images.File("app/new", "x"), images.Opaque("app")},
		}},
		{name: "whiteout-and-again", layers: [][]images.Entry{
			{images.File("app/node_modules/m/package.json", safe)}, {images.Whiteout("app"), images.File("app/node_modules/m/package.json", old)},
		}, flaws: []string{"09 minimist fixed"}},
		{name: "duplicate", layers: [][]images.Entry{{images.File("app/node_modules/m/package.json", old), images.File("app/node_modules/m/package.json", safe)}}},
		{name: "hard-link-below", layers: [][]images.Entry{
			{images.File("app/node_modules/m/package.json", old)}, {images.Hardlink("copy/node_modules/m/package.json", "app/node_modules/m/package.json"), images.Whiteout("nothing")}, {images.Whiteout("app")},
		}, flaws: []string{"09 minimist fixed"}},
		{
			name: "hard-link-to-nothing", layers: [][]images.Entry{{images.Hardlink("x", "y"), images.File("app/node_modules/m/package.json", old)}},
			flaws: []string{"09 minimist fixed"}, holes: []string{"which is not there"},
		},
		{name: "hard-link-cycle", layers: [][]images.Entry{{images.Hardlink("x", "y"), images.Hardlink("y", "x")}}, holes: []string{"leads to itself"}},
		{
			name: "hard-link-unread", layers: [][]images.Entry{{images.File("store/0a1b", old), images.Hardlink("app/node_modules/m/package.json", "store/0a1b")}},
			holes: []string{"under which name it was not read"},
		},
		{
			name: "long-names", layers: [][]images.Entry{{images.File(strings.Repeat("d/", 1500)+"node_modules/m/package.json", old), images.File(strings.Repeat("n", 5000), "x")}},
			flaws: []string{"09 minimist fixed"}, holes: []string{"a name of 5000 bytes"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var layers []v1.Layer
			for _, entries := range tt.layers {
				layers = append(layers, layer(t, images.Entries(entries...), images.Gzip))
			}
			r := scan(t, write(t, build(t, layers...)), options(t))
			if got := named(r); !slices.Equal(got, tt.flaws) {
				t.Errorf("flaws %q, want %q", got, tt.flaws)
			}
			got := reasons(r)
			for _, want := range tt.holes {
				if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("incomplete %q, want one with %q", got, want)
				}
			}
			if len(tt.holes) == 0 && len(got) > 0 {
				t.Errorf("incomplete %q, want nothing", got)
			}
		})
	}
}

// TestGarbageAfterGzip reads a layer as runtimes do, which stop at the end of
// the gzip stream.
func TestGarbageAfterGzip(t *testing.T) {
	l := layer(t, marker(), images.Gzip)
	l.Seal(append(slices.Clone(l.Stored), bytes.Repeat([]byte("garbage"), 100)...))
	r := scan(t, write(t, build(t, l)), options(t))
	if got := named(r); !slices.Equal(got, []string{"05 lodash fixed"}) {
		t.Errorf("flaws %q, incomplete %q", got, reasons(r))
	}
}

// TestManyPaths holds that a layer with more paths than are kept is said to be
// incomplete, at a limit that a test reaches soon. What three million cost is
// measured by test/e2e.
func TestManyPaths(t *testing.T) {
	src := write(t, build(t, layer(t, images.Many(20_000), images.Gzip)))
	img, err := oci.Open(t.Context(), src, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	stream, err := img.Layers[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	l, err := (&image.Reader{MaxEntries: 5000}).Read(stream)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := image.Merge([]*image.Layer{l})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(slices.Collect(tree.All())); n > 5000 || n < 4900 {
		t.Errorf("%d paths, want up to 5000", n)
	}
	if len(tree.Problems) != 1 || !strings.Contains(tree.Problems[0].Reason, "the rest is not examined") {
		t.Errorf("problems: %v", tree.Problems)
	}
}
