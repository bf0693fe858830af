package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/secret"
)

// entry is written "path", "dir/", "link -> target", "link => target" (a hard
// link) and "path = content".
func layer(t testing.TB, r *image.Reader, entries ...string) *image.Layer {
	t.Helper()
	l, err := r.Read(bytes.NewReader(pack(t, entries...)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func pack(t testing.TB, entries ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Name: e}
		var body string
		if name, target, ok := strings.Cut(e, " -> "); ok {
			h.Typeflag, h.Name, h.Linkname, h.Mode = tar.TypeSymlink, name, target, 0o777
		} else if name, target, ok := strings.Cut(e, " => "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeLink, name, target
		} else if name, content, ok := strings.Cut(e, " = "); ok {
			h.Name, body = name, content
		} else if strings.HasSuffix(e, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// listing writes a tree as sorted lines: path, what it is, the layer.
func listing(tree *image.Tree) []string {
	var out []string
	for f := range tree.All() {
		line := f.Path()
		switch f.Kind() {
		case image.Dir:
			line += "/"
		case image.Symlink:
			line += " -> " + f.Link()
		default:
			line += fmt.Sprintf(" %d", f.Size())
		}
		if f.Kind() != image.Dir {
			line += fmt.Sprintf(" @%d", f.Layer())
		}
		if f.Linked() {
			line += " linked"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func hidden(tree *image.Tree) []string {
	var out []string
	for h := range tree.Hidden() {
		out = append(out, fmt.Sprintf("%s %d @%d by %d", h.Path, h.Size, h.Layer, h.By))
	}
	slices.Sort(out)
	return out
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name     string
		layers   [][]string
		want     []string
		hidden   []string
		problems int
	}{
		{
			name:   "a file is overwritten and another added",
			layers: [][]string{{"a/", "a/x = 1", "a/y = 22"}, {"a/x = 333", "b = 4"}},
			want:   []string{"a/", "a/x 3 @1", "a/y 2 @0", "b 1 @1"},
			hidden: []string{"a/x 1 @0 by 1"},
		},
		{
			name:   "a hard link stays when what it was linked to goes, and counts as the file then",
			layers: [][]string{{"a = 333"}, {"b => a", "c => a"}, {"d => c", ".wh.a"}, {".wh.b"}},
			want:   []string{"c 3 @1", "d 3 @2 linked"},
			hidden: []string{"a 3 @0 by 2", "b 3 @1 by 3"},
		},
		{
			name:   "a whiteout removes a file, and one a folder with all in it",
			layers: [][]string{{"d/x = 1", "d/e/y = 22", "k = 1"}, {".wh.k", ".wh.d"}},
			want:   nil,
			hidden: []string{"d/e/y 2 @0 by 1", "d/x 1 @0 by 1", "k 1 @0 by 1"},
		},
		{
			name:   "whiteouts hide nothing of their own layer, whatever the order",
			layers: [][]string{{"x = 1", "y = 1"}, {"x = 22", ".wh.x", ".wh.y", "y = 22"}},
			want:   []string{"x 2 @1", "y 2 @1"},
			hidden: []string{"x 1 @0 by 1", "y 1 @0 by 1"},
		},
		{
			name:   "an opaque folder hides what was below, not what comes with it",
			layers: [][]string{{"d/old = 1", "d/sub/old = 1", "e = 1"}, {"d/", "d/new = 22", "d/.wh..wh..opq", "d/sub/new = 22"}},
			want:   []string{"d/", "d/new 2 @1", "d/sub/", "d/sub/new 2 @1", "e 1 @0"},
			hidden: []string{"d/old 1 @0 by 1", "d/sub/old 1 @0 by 1"},
		},
		{
			name:   "a folder removed in one layer comes back empty in the next",
			layers: [][]string{{"d/x = 1"}, {".wh.d"}, {"d/", "d/y = 22"}},
			want:   []string{"d/", "d/y 2 @2"},
			hidden: []string{"d/x 1 @0 by 1"},
		},
		{
			name:   "a removed file may come back",
			layers: [][]string{{"x = 1"}, {".wh.x"}, {"x = 333"}},
			want:   []string{"x 3 @2"},
			hidden: []string{"x 1 @0 by 1"},
		},
		{
			name:   "a file in the place of a folder, and the other way",
			layers: [][]string{{"d/x = 1", "f = 1"}, {"d = 22", "f/y = 22"}},
			want:   []string{"d 2 @1", "f/", "f/y 2 @1"},
			hidden: []string{"d/x 1 @0 by 1", "f 1 @0 by 1"},
		},
		{
			name:   "a parent takes the place of a link of a lower layer",
			layers: [][]string{{"usr/lib/", "lib -> usr/lib"}, {"lib/x.so = 1", "lib/sub/y = 1"}},
			want:   []string{"lib/", "lib/sub/", "lib/sub/y 1 @1", "lib/x.so 1 @1", "usr/", "usr/lib/"},
		},
		{
			name:   "an explicit folder takes the place of a link",
			layers: [][]string{{"usr/lib/", "lib -> usr/lib"}, {"lib/", "lib/x = 1"}},
			want:   []string{"lib/", "lib/x 1 @1", "usr/", "usr/lib/"},
		},
		{
			name:   "a whiteout below a link of a lower layer removes nothing of what the link leads to",
			layers: [][]string{{"usr/lib/x = 1", "lib -> usr/lib"}, {"lib/.wh.x"}},
			want:   []string{"lib/", "usr/", "usr/lib/", "usr/lib/x 1 @0"},
		},
		{
			name:   "a parent that is a link of its layer is followed, and what it leads to is made",
			layers: [][]string{{"run/lock/old = 1"}, {"lock -> ../x/../run/lock", "lock/.wh.old", "lock/new = 22", "lock -> opt", "lock/y = 1"}},
			want:   []string{"lock -> opt @1", "opt/", "opt/y 1 @1", "run/", "run/lock/", "run/lock/new 2 @1"},
			hidden: []string{"run/lock/old 1 @0 by 1"},
		},
		{
			name:   "a folder after its whiteout is the lower one again, as overlayfs has it",
			layers: [][]string{{"d/x = 1", "e/x = 1"}, {".wh.d", "d/", "d/y = 22", ".wh.e", "e/y = 22"}},
			want:   []string{"d/", "d/x 1 @0", "d/y 2 @1", "e/", "e/y 2 @1"},
			hidden: []string{"e/x 1 @0 by 1"},
		},
		{
			name:   "a hard link keeps what was at its target when it was made",
			layers: [][]string{{"a = 1", "b => a", "a = 333", "c => b", "d => a", "e/x = 22", "f => e/x", "e = 1"}, {"g => a"}},
			want:   []string{"a 3 @0", "b 1 @0", "c 1 @0 linked", "d 3 @0 linked", "e 1 @0", "f 2 @0", "g 3 @1 linked"},
		},
		{
			name:   "a hard link to a symbolic link, to a whiteout and over a link",
			layers: [][]string{{"x = 1", "y = 1", "usr/z = 22"}, {"lib -> usr", "usr/z = 333", "s => lib", ".wh.x", "y => x", "z => lib/z"}},
			want:   []string{"lib -> usr @1", "s -> usr @1", "usr/", "usr/z 3 @1", "z 3 @1 linked"},
			hidden: []string{"usr/z 2 @0 by 1", "x 1 @0 by 1", "y 1 @0 by 1"},
		},
		{
			name:   "a whiteout of a link leaves what it leads to",
			layers: [][]string{{"usr/lib/x = 1", "lib -> usr/lib"}, {".wh.lib"}},
			want:   []string{"usr/", "usr/lib/", "usr/lib/x 1 @0"},
		},
		{
			name:   "links do not lead out of the root",
			layers: [][]string{{"etc/", "up -> ../../../etc", "up/x = 1"}},
			want:   []string{"etc/", "etc/x 1 @0", "up -> ../../../etc @0"},
		},
		{
			name:     "links in a circle",
			layers:   [][]string{{"a -> b", "b -> a", "a/x = 1"}},
			want:     []string{"a -> b @0", "b/", "b/x 1 @0"},
			problems: 1,
		},
		{
			name:     "a file below a file, and a hard link to itself",
			layers:   [][]string{{"a = 1", "a/x = 1", "b = 1", "b => b"}},
			want:     []string{"a/", "a/x 1 @0", "b 1 @0"},
			problems: 2,
		},
		{
			name:   "a link and files below it in one layer",
			layers: [][]string{{"usr/lib/", "lib -> usr/lib", "lib/x = 1"}},
			want:   []string{"lib -> usr/lib @0", "usr/", "usr/lib/", "usr/lib/x 1 @0"},
		},
		{
			name:   "a hard link within a layer",
			layers: [][]string{{"x = 333", "y => x"}},
			want:   []string{"x 3 @0", "y 3 @0 linked"},
		},
		{
			name:   "a hard link to a lower layer",
			layers: [][]string{{"d/x = 333"}, {"y => d/x", ".wh.nothing"}},
			want:   []string{"d/", "d/x 3 @0", "y 3 @1 linked"},
		},
		{
			name:     "a hard link to nothing",
			layers:   [][]string{{"y => gone"}},
			want:     []string{"y 0 @0 linked"},
			problems: 1,
		},
		{
			name:     "hard links in a circle",
			layers:   [][]string{{"a => b", "b => a"}},
			want:     []string{"a 0 @0 linked", "b 0 @0 linked"},
			problems: 1,
		},
		{
			name:   "of two entries of a name the later one wins",
			layers: [][]string{{"x = 1", "x = 22", "d/", "d/y = 1", "d = 1", "e = 1", "e/", "e/z = 1"}},
			want:   []string{"d 1 @0", "e/", "e/z 1 @0", "x 2 @0"},
		},
		{
			name:     "names that would leave the root",
			layers:   [][]string{{"../../etc/x = 1", "/abs = 1", "./dot = 1", "a//b = 1"}},
			want:     []string{"a/", "a/b 1 @0", "abs 1 @0", "dot 1 @0", "etc/", "etc/x 1 @0"},
			problems: 1,
		},
		{
			name:   "no layers",
			layers: nil,
		},
		{
			name:   "whiteouts of what is not there, and of the root",
			layers: [][]string{{"x = 1"}, {".wh.y", ".wh..", ".wh...", "a/b/.wh.c", ".wh..wh.plnk"}},
			want:   []string{"a/", "a/b/", "x 1 @0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var layers []*image.Layer
			for _, entries := range tt.layers {
				l := layer(t, &image.Reader{}, entries...)
				data, err := l.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if l, err = image.Decode(data); err != nil {
					t.Fatal(err)
				}
				layers = append(layers, l)
			}
			tree, err := image.Merge(layers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, listing(tree)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.hidden, hidden(tree)); diff != "" {
				t.Errorf("hidden (-want +got):\n%s", diff)
			}
			if len(tree.Problems) != tt.problems {
				t.Errorf("want %d problems, have %v", tt.problems, tree.Problems)
			}
		})
	}
}

func TestStat(t *testing.T) {
	tree, err := image.Merge([]*image.Layer{layer(t, &image.Reader{},
		"usr/bin/node = 1", "bin -> usr/bin", "usr/local/app -> ../../opt/app", "opt/app/main.js = 22", "loop -> loop", "abs -> /opt/app/main.js")})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/bin/node": "usr/bin/node", "usr/local/app/main.js": "opt/app/main.js", "loop": "", "abs": "opt/app/main.js",
		"../../bin/./node": "usr/bin/node", "opt/none": "", "opt/app/main.js/x": "", "": "",
	} {
		f, ok := tree.Stat(path)
		if ok != (want != "" || path == "") || ok && f.Path() != want {
			t.Errorf("Stat(%q) = %q, %v, want %q", path, f.Path(), ok, want)
		}
	}
	if f, ok := tree.Lstat("abs"); !ok || f.Link() != "/opt/app/main.js" {
		t.Errorf("Lstat follows the link: %v %v", f.Path(), ok)
	}
}

func TestPackagesKeepTheirLayer(t *testing.T) {
	r := &image.Reader{Parsers: []inventory.Parser{{
		Name: "list", Limit: 100,
		Wants: func(path string, _ fs.FileMode, _ int64) bool { return path == "db" },
		Parse: func(f inventory.File, facts *inventory.Facts) error {
			for name := range strings.FieldsSeq(string(f.Body)) {
				name, version, _ := strings.Cut(name, "=")
				facts.Packages = append(facts.Packages, inventory.Package{Type: inventory.Deb, Name: name, Version: version})
			}
			return nil
		},
	}}}
	tree, err := image.Merge([]*image.Layer{
		layer(t, r, "db = a=1 b=1"), layer(t, r, "other = 1"), layer(t, r, "db = a=1 b=2 c=1"), layer(t, r, ".wh.db"), layer(t, r, "db = a=1 b=2 c=1 d=1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := tree.Stat("db")
	got := map[string]int{}
	for _, p := range f.Facts().Packages {
		got[p.Name] = p.Layer
	}
	// A database that was removed and comes back is a new one.
	if diff := cmp.Diff(map[string]int{"a": 4, "b": 4, "c": 4, "d": 4}, got); diff != "" {
		t.Error(diff)
	}
	tree, err = image.Merge([]*image.Layer{
		layer(t, r, "db = a=1 b=1"), layer(t, r, "other = 1"), layer(t, r, "db = a=1 b=2 c=1"), layer(t, r, "db = a=1 b=2 c=1 d=1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	f, _ = tree.Stat("db")
	clear(got)
	for _, p := range f.Facts().Packages {
		got[p.Name] = p.Layer
	}
	if diff := cmp.Diff(map[string]int{"a": 0, "b": 2, "c": 2, "d": 3}, got); diff != "" {
		t.Error(diff)
	}
}

func TestContent(t *testing.T) {
	var elf []string
	r := &image.Reader{
		Parsers: []inventory.Parser{{
			Name: "failing", Limit: 8,
			Wants: func(path string, _ fs.FileMode, _ int64) bool { return strings.HasPrefix(path, "p") },
			Parse: func(inventory.File, *inventory.Facts) error { return errors.New("line 1: malformed") },
		}},
		ELF: func(r io.Reader, size int64, path string, facts *inventory.Facts) error {
			data, err := io.ReadAll(r)
			elf = append(elf, fmt.Sprintf("%s %d %d", path, size, len(data)))
			facts.ELF = &inventory.ELF{Machine: "EM_X86_64"}
			return err
		},
		WantSecrets: func(path string, _ fs.FileMode, _ int64) bool { return path == "env" },
		Secrets:     func(string, []byte) ([]secret.Hit, bool) { return []secret.Hit{{Rule: "r", Line: 1}}, false },
		Hash:        func(path string, _ fs.FileMode, _ int64) bool { return path == "hashed" },
	}
	long := "\x7fELF" + strings.Repeat("x", 5000)
	tree, err := image.Merge([]*image.Layer{layer(t, r, "p1 = 12345678", "p2 = 123456789", "bin = "+long, "run = #!/bin/sh -e\nexit", "env = K=v", "hashed = abc", "db => p1", "p3 => env")})
	if err != nil {
		t.Fatal(err)
	}
	facts := func(path string) *inventory.Facts {
		f, ok := tree.Stat(path)
		if !ok || f.Facts() == nil {
			t.Fatalf("%s has no facts", path)
		}
		return f.Facts()
	}
	if diff := cmp.Diff([]string{"bin 5004 5004"}, elf); diff != "" || facts("bin").ELF == nil {
		t.Errorf("ELF: %s", diff)
	}
	if got := facts("run").Shebang; got != "/bin/sh -e" {
		t.Errorf("shebang %q", got)
	}
	if len(facts("env").Secrets) != 1 || len(facts("p3").Secrets) != 1 {
		t.Error("the secret is not found at both links")
	}
	if h := facts("hashed"); h.MD5 != "900150983cd24fb0d6963f7d28e17f72" || h.SHA256 != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("sums %+v", h)
	}
	want := []image.Problem{
		{Path: "p1", Reason: "failing: line 1: malformed"},
		{Path: "p2", Reason: "9 bytes are more than the 8 that are read of such a file"},
		{Path: "p3", Reason: "it is a hard link to env, under which name it was not read"},
	}
	if diff := cmp.Diff(want, tree.Problems); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenLayers(t *testing.T) {
	whole := pack(t, "a = "+strings.Repeat("x", 4000), "b = 1")
	for name, data := range map[string][]byte{
		"cut in a header": whole[:300], "cut in content": whole[:2000], "not a tar": bytes.Repeat([]byte("hello "), 400), "cut between": whole[:4608],
	} {
		l, err := (&image.Reader{Hash: func(string, fs.FileMode, int64) bool { return true }}).Read(bytes.NewReader(data))
		if name == "cut between" { // an archive without its end mark is one that ends
			if err != nil || l.Files != 1 {
				t.Errorf("%s: %v, %d files", name, err, l.Files)
			}
			continue
		}
		if err == nil || l == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLimits(t *testing.T) {
	var entries []string
	for i := range 50 {
		entries = append(entries, fmt.Sprintf("f%d = 1", i))
	}
	l := layer(t, &image.Reader{MaxEntries: 11}, entries...)
	if l.Files != 10 || len(l.Problems) != 1 || !strings.Contains(l.Problems[0].Reason, "more than 11 paths") {
		t.Errorf("%d files, %v", l.Files, l.Problems)
	}
	l = layer(t, &image.Reader{}, strings.Repeat("n", 5000)+" = 1", strings.Repeat("d", 5000)+"/x = 1")
	if len(l.Problems) != 2 {
		t.Errorf("long names: %v", l.Problems)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(pack(f, "a/x = 1", ".wh.b", "c -> a", "c/y = 2", "d => a/x"), pack(f, "a/.wh..wh..opq", "a/x = 2", "e -> e", "e/f = 1"))
	f.Add(pack(f, "a = 1", "b => a", "a = 2", "l -> d/../x", "l/y = 1", "l => a", "d/", "d = 1", "d/"), pack(f, ".wh.d", "d/", "d/.wh..wh..opq", "c => b", "x/.wh.y", "y => x/y"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var layers []*image.Layer
		for _, data := range [][]byte{one, two} {
			l, err := (&image.Reader{MaxEntries: 1000}).Read(bytes.NewReader(data))
			if err != nil && l == nil {
				t.Fatal("no layer beside the error")
			}
			layers = append(layers, l)
		}
		tree, err := image.Merge(layers)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for file := range tree.All() {
			path := file.Path()
			if seen[path] {
				t.Fatalf("%q is there twice", path)
			}
			seen[path] = true
			if got, ok := tree.Lstat(path); !ok || got != file {
				t.Fatalf("%q is listed but not found", path)
			}
		}
		for range tree.Hidden() { // it must end
		}
	})
}

func FuzzDecode(f *testing.F) {
	data, err := layer(f, &image.Reader{}, "a/x = 1", ".wh.b", "c -> a", "d => a/x", "a = 1", "e => nothing").Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := image.Decode(data)
		if err != nil {
			return
		}
		tree, err := image.Merge([]*image.Layer{l})
		if err != nil {
			t.Fatal(err)
		}
		for file := range tree.All() {
			_ = file.Path()
		}
	})
}

func BenchmarkRead(b *testing.B) {
	entries := make([]string, 0, 100_000)
	for i := range 100_000 {
		entries = append(entries, fmt.Sprintf("usr/share/d%d/file-%d = x", i/100, i))
	}
	data := pack(b, entries...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (&image.Reader{}).Read(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
