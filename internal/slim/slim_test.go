package slim_test

import (
	"archive/tar"
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/binary"
	"seawall.io/seawall/internal/inventory/script"
	"seawall.io/seawall/internal/slim"
	"seawall.io/seawall/internal/vuln"
)

// rootfs is a tree as text: names that end with / are folders, contents that begin
// with -> links. What begins with #! or is machine code can be run.
type rootfs map[string]string

func (r rootfs) tree(t testing.TB) *image.Tree {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := make([]string, 0, len(r))
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text := r[name]
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}
		switch {
		case strings.HasSuffix(name, "/"):
			h.Typeflag, h.Size, h.Mode = tar.TypeDir, 0, 0o755
		case strings.HasPrefix(text, "->"):
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, strings.TrimSpace(text[2:]), 0
		case strings.HasPrefix(text, "#!") || strings.HasPrefix(text, "\x7fELF") || strings.Contains(name, "bin/"):
			h.Mode = 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	reader := image.Reader{Parsers: script.Parsers(), ELF: binary.Stream}
	layer, err := reader.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := image.Merge([]*image.Layer{layer})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// goes lists the regular files and links that do not stay.
func goes(tree *image.Tree, p *slim.Plan) []string {
	var out []string
	for f := range tree.All() {
		if f.Kind() != image.Dir && !p.Keeps(f.Path()) {
			out = append(out, f.Path())
		}
	}
	slices.Sort(out)
	return out
}

// owned makes an owner of a list of paths for each package.
func owned(packages map[string]string) func(string) string {
	by := map[string]string{}
	for name, paths := range packages {
		for p := range strings.FieldsSeq(paths) {
			by[p] = name
		}
	}
	return func(p string) string { return by[p] }
}

func deb(name string, depends ...string) inventory.Package {
	return inventory.Package{Type: inventory.Deb, Name: name, Version: "1", Depends: depends}
}

const sh = "#!/bin/busybox" // stands for a shell: what matters is that it can be run

func TestAnalyse(t *testing.T) {
	shell := rootfs{"bin/busybox": sh, "bin/sh": "-> busybox"}
	owners := map[string]string{"busybox": "bin/busybox bin/sh", "perl": "usr/bin/perl", "sed": "usr/bin/sed usr/share/sed/data usr/bin/sed-tool", "tool": "usr/bin/tool usr/lib/tool/data", "libtool": "usr/lib/libtool.dat", "curl": "usr/bin/curl usr/share/doc/curl/changelog usr/share/doc/curl/copyright"}
	packages := []inventory.Package{deb("busybox"), deb("perl"), deb("sed"), deb("tool", "libtool", "debconf"), deb("libtool"), deb("curl"), deb("debconf")}
	for _, tt := range []struct {
		name  string
		files rootfs
		in    slim.Input
		want  []string // what goes
		tight []string // what goes at the level tight, where it differs
		lacks []string
	}{
		{
			name:  "what-an-entrypoint-runs-stays", // docker-slim's users lost their shells: slim#14, #69, #716
			files: rootfs{"entry.sh": "#!/bin/sh\nsed x\nexec \"$@\"\n", "usr/bin/sed": sh, "usr/share/sed/data": "x", "usr/bin/sed-tool": sh, "usr/bin/tool": sh, "usr/lib/tool/data": "x", "usr/lib/libtool.dat": "x", "usr/bin/perl": sh},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"/entry.sh", "tool", "--x"}, Why: "the image's command"}}},
			want:  []string{"usr/bin/perl"},
			tight: []string{"usr/bin/perl", "usr/bin/sed-tool", "usr/lib/libtool.dat"},
		},
		{
			name:  "a-probe-keeps-its-program",
			files: rootfs{"app": sh, "usr/bin/curl": sh, "usr/bin/perl": sh, "usr/share/doc/curl/changelog": "x", "usr/share/doc/curl/copyright": "x"},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"/app"}, Why: "c"}, {Argv: []string{"sh", "-c", "curl -f localhost || exit 1"}, Why: "probe"}}},
			want:  []string{"usr/bin/perl", "usr/share/doc/curl/changelog"},
		},
		{
			name:  "a-script-that-may-run-anything-keeps-basic-commands",
			files: rootfs{"entry.sh": "#!/bin/sh\n$TOOL\n", "usr/bin/sed": sh, "usr/bin/perl": sh},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"/entry.sh"}, Why: "c"}}},
			want:  []string{"usr/bin/perl"},
			tight: []string{"usr/bin/perl", "usr/bin/sed"},
		},
		{
			name:  "left-overs-go-and-certificates-stay",
			files: rootfs{"app": sh, "var/lib/apt/lists/x": "x", "var/cache/apt/y.deb": "x", "usr/share/man/man1/x": "x", "etc/ssl/certs/ca.pem": "-> /usr/share/ca-certificates/ca.crt", "usr/share/ca-certificates/ca.crt": "x", "etc/passwd": "x", "usr/share/zoneinfo/UTC": "x", "data/own": "x"},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"/app"}, Why: "c"}}},
			want:  []string{"usr/share/man/man1/x", "var/cache/apt/y.deb", "var/lib/apt/lists/x"},
		},
		{
			name: "modules-that-nothing-requires-go",
			files: rootfs{
				"usr/bin/node": sh, "app/server.js": "require('a'); require('./lib/x')", "app/lib/x.js": "import('@s/b/sub')",
				"app/node_modules/a/package.json": `{"main": "lib/main"}`, "app/node_modules/a/lib/main.js": "require('c')", "app/node_modules/a/README.md": "x",
				"app/node_modules/a/node_modules/c/index.js": "", "app/node_modules/c/index.js": "another c", "app/node_modules/@s/b/sub.js": "", "app/node_modules/@s/b/package.json": "{}",
				"app/node_modules/dev/index.js": "require('a')",
			},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"node", "server.js"}, Why: "c"}}, WorkDir: "/app"},
			want:  []string{"app/node_modules/c/index.js", "app/node_modules/dev/index.js"},
			tight: []string{"app/node_modules/a/README.md", "app/node_modules/c/index.js", "app/node_modules/dev/index.js"},
		},
		{
			name: "what-package.json-asks-for-stays-where-names-are-made-at-run-time",
			files: rootfs{
				"usr/bin/node": sh, "app/package.json": `{"dependencies": {"view": "1"}, "devDependencies": {"dev": "1"}}`, "app/server.js": "require('web')",
				"app/node_modules/web/index.js": "require(engine)", "app/node_modules/view/index.js": "", "app/node_modules/view/package.json": `{"dependencies": {"deep": "1"}}`,
				"app/node_modules/deep/index.js": "", "app/node_modules/dev/index.js": "",
			},
			in:   slim.Input{Roots: []slim.Root{{Argv: []string{"node", "/app/server.js"}, Why: "c"}}},
			want: []string{"app/node_modules/dev/index.js"},
		},
		{
			name: "python-stays-whole-but-for-tests",
			files: rootfs{
				"usr/bin/python3": "-> python3.11", "usr/bin/python3.11": sh, "usr/lib/python3.11/os.py": "", "usr/lib/python3.11/test/x.py": "", "usr/lib/python3/dist-packages/m/__init__.py": "import subprocess\nsubprocess.run(['tool'])",
				"srv/app.py": "import m", "usr/bin/tool": sh, "usr/bin/perl": sh,
			},
			in:   slim.Input{Roots: []slim.Root{{Argv: []string{"python3", "/srv/app.py"}, Why: "c"}}},
			want: []string{"usr/bin/perl", "usr/lib/python3.11/test/x.py"},
		},
		{
			name:  "what-was-seen-in-use-stays", // slim#517: a folder that static reading does not find
			files: rootfs{"app": sh, "usr/bin/perl": sh, "usr/bin/sed": sh},
			in: slim.Input{
				Roots:   []slim.Root{{Argv: []string{"/app"}, Why: "c"}},
				Profile: &slim.Profile{Version: 1, Executed: []string{"/usr/bin/perl"}},
			},
			want: []string{"usr/bin/sed"},
		},
		{
			name:  "what-the-user-names-stays", // slim#115, #83: apt and git were wanted
			files: rootfs{"app": sh, "usr/bin/perl": sh, "usr/bin/sed": sh, "usr/share/sed/data": "x", "usr/bin/tool": sh},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"/app"}, Why: "c"}}, Keep: []string{"perl", "/usr/share/s*/data"}},
			want:  []string{"usr/bin/sed", "usr/bin/tool"},
		},
		{
			name:  "links-to-what-goes-go",
			files: rootfs{"app": sh, "usr/bin/perl": sh, "usr/bin/perl5": "-> perl", "etc/alternatives/p": "-> /usr/bin/perl5", "etc/broken": "-> /nowhere", "loop": "-> loop"},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"/app"}, Why: "c"}}},
			want:  []string{"etc/alternatives/p", "usr/bin/perl", "usr/bin/perl5"},
		},
		{
			name:  "commands-that-are-not-there",
			files: rootfs{"usr/bin/perl": sh},
			in:    slim.Input{Roots: []slim.Root{{Argv: []string{"nosuch"}, Why: "c"}, {Argv: []string{"perl", "/no/script"}, Why: "c"}}},
			lacks: []string{"nosuch", "/no/script"},
		},
	} {
		for _, level := range []slim.Level{slim.Safe, slim.Tight} {
			t.Run(tt.name+"/"+string(level), func(t *testing.T) {
				files := rootfs{}
				maps.Copy(files, shell)
				maps.Copy(files, tt.files)
				in := tt.in
				in.Tree, in.Level, in.Owner, in.Packages = files.tree(t), level, owned(owners), packages
				p := slim.Analyse(in)
				want := tt.want
				if level == slim.Tight && tt.tight != nil {
					want = tt.tight
				}
				got := slices.DeleteFunc(goes(in.Tree, p), func(p string) bool { return p == "bin/busybox" || p == "bin/sh" })
				if !slices.Equal(got, want) {
					t.Errorf("goes: %q\nwant: %q", got, want)
				}
				var lacks []string
				for _, u := range p.Unresolved {
					lacks = append(lacks, u.Name)
				}
				if !slices.Equal(lacks, tt.lacks) {
					t.Errorf("lacks %q, want %q", lacks, tt.lacks)
				}
				for q := range p.Paths() {
					if steps := p.Why(q); len(steps) == 0 {
						t.Errorf("nothing says why /%s stays", q)
					}
				}
			})
		}
	}
}

func TestWhy(t *testing.T) {
	tree := rootfs{"app": "#!/bin/sh\n. /lib/f.sh\n", "bin/sh": sh, "bin/busybox": sh, "lib/f.sh": "tool\n", "usr/bin/tool": sh}.tree(t)
	p := slim.Analyse(slim.Input{Tree: tree, Roots: []slim.Root{{Argv: []string{"/app"}, Why: "the image's command"}}})
	want := []slim.Step{
		{Path: "usr/bin/tool", Why: "a command that lib/f.sh runs"}, {Path: "lib/f.sh", Why: "read in by app"}, {Path: "app", Why: "the image's command"},
	}
	if got := p.Why("usr/bin/tool"); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestFlawsThatGo(t *testing.T) {
	tree := rootfs{"app": sh, "bin/busybox": sh, "usr/bin/perl": sh + strings.Repeat(" ", 1000), "usr/lib/liba": "x", "usr/bin/a": sh}.tree(t)
	packages := []inventory.Package{deb("perl"), deb("liba"), deb("a-tools"), deb("busybox")}
	match := func(id string, p *inventory.Package, binaries ...string) vuln.Match {
		return vuln.Match{Package: p, Vulnerability: seawall.Vulnerability{ID: id, Binaries: binaries}}
	}
	p := slim.Analyse(slim.Input{
		Tree: tree, Packages: packages, Owner: owned(map[string]string{"perl": "usr/bin/perl", "liba": "usr/lib/liba", "a-tools": "usr/bin/a", "busybox": "bin/busybox"}),
		Roots: []slim.Root{{Argv: []string{"/app"}, Why: "c"}}, Keep: []string{"/usr/lib/liba"}, Judged: true,
		// The second flaw is in two packages of which one stays.
		Matches: []vuln.Match{match("CVE-1", &packages[0], "perl"), match("CVE-2", &packages[1], "a-tools", "liba"), match("CVE-3", &packages[0], "perl")},
	})
	if p.Before.Vulnerabilities != 3 || p.After.Vulnerabilities != 1 {
		t.Errorf("%d vulnerabilities before and %d after, want 3 and 1", p.Before.Vulnerabilities, p.After.Vulnerabilities)
	}
	if it := p.Items[0]; it.Name != "perl" || it.Vulnerabilities != 2 || !slices.Equal(it.IDs, []string{"CVE-1", "CVE-3"}) || it.Bytes < 1000 {
		t.Errorf("the dearest item is %+v", it)
	}
	state := map[string]slim.State{}
	for _, v := range p.Packages {
		state[v.Name] = v.State
	}
	if state["perl"] != slim.Unneeded || state["liba"] != slim.Data || state["a-tools"] != slim.Unneeded || state["busybox"] != slim.Needed {
		t.Errorf("states: %v", state)
	}
}

// TestNothingTellsOfFiles has packages of which no record says which files they
// have: none of them may be said to go.
func TestNothingTellsOfFiles(t *testing.T) {
	tree := rootfs{"app": sh, "bin/busybox": sh, "var/lib/rpmmanifest/container-manifest-2": "x"}.tree(t)
	p := slim.Analyse(slim.Input{Tree: tree, Packages: []inventory.Package{{Type: inventory.RPM, Name: "bash", Version: "5"}}, Roots: []slim.Root{{Argv: []string{"/app"}}}})
	if v := p.Packages[0]; v.State != slim.Needed || p.After.Packages != 1 || !p.Keeps("var/lib/rpmmanifest/container-manifest-2") {
		t.Errorf("%+v", v)
	}
}

func TestWaste(t *testing.T) {
	layer := func(entries ...string) *image.Layer {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range entries {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: 2_000_000})
			w.Write(make([]byte, 2_000_000))
		}
		w.Close()
		l, err := (&image.Reader{}).Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	tree, err := image.Merge([]*image.Layer{layer("app", "build/cache", "other"), layer("app", "build/.wh.cache")})
	if err != nil {
		t.Fatal(err)
	}
	p := slim.Analyse(slim.Input{Tree: tree, Roots: []slim.Root{{Argv: []string{"/app"}}}, Layers: []slim.Layer{{CreatedBy: "RUN make"}, {CreatedBy: "RUN rm -rf /build/cache"}}})
	if len(p.Waste) != 1 || p.Waste[0].Bytes != 4_000_000 || p.Waste[0].Layer != 0 || p.Waste[0].By != 1 {
		t.Errorf("waste: %+v", p.Waste)
	}
	if len(p.Advice) == 0 || !strings.Contains(p.Advice[0], "RUN make") || !strings.Contains(p.Advice[0], "4.0 MB") {
		t.Errorf("advice: %q", p.Advice)
	}
}

// TestLibrariesAsTheLoaderFindsThem holds the closure of programs of this machine
// against what its loader loads.
func TestLibrariesAsTheLoaderFindsThem(t *testing.T) {
	if _, err := exec.LookPath("ldd"); err != nil {
		t.Skip("needs ldd (Debian package libc-bin)")
	}
	for _, program := range []string{"/bin/ls", "/bin/bash", "/usr/bin/perl", "/usr/bin/curl", "/usr/bin/git", "/usr/bin/ssh", "/usr/bin/openssl", "/usr/bin/gdb"} {
		if _, err := os.Stat(program); err != nil {
			continue // the first two are everywhere, the others make the test better
		}
		t.Run(filepath.Base(program), func(t *testing.T) {
			out, err := exec.Command("ldd", program).Output()
			if err != nil {
				t.Fatal(err)
			}
			files := rootfs{"etc/ld.so.conf": "/lib/x86_64-linux-gnu\n/usr/local/lib\n"}
			add := func(file string) string {
				final, err := filepath.EvalSymlinks(file)
				if err != nil {
					t.Fatal(err)
				}
				body, err := os.ReadFile(final)
				if err != nil {
					t.Fatal(err)
				}
				files[final[1:]] = string(body)
				if file = filepath.Join(mustEval(t, filepath.Dir(file)), filepath.Base(file)); file != final {
					files[file[1:]] = "-> " + final
				}
				return final[1:]
			}
			start := add(program)
			want := []string{start}
			for line := range strings.Lines(string(out)) {
				for w := range strings.FieldsSeq(line) {
					if strings.HasPrefix(w, "/") {
						want = append(want, add(w))
						break
					}
				}
			}
			for _, link := range []string{"bin", "lib", "lib64"} {
				if to, err := os.Readlink("/" + link); err == nil {
					files[link] = "-> " + to
				}
			}
			want = append(want, "decoy")
			files["usr/lib/x86_64-linux-gnu/libdecoy.so.1"] = files[want[1]] // a library that nothing asks for
			slices.Sort(want)
			want = slices.DeleteFunc(slices.Compact(want), func(s string) bool { return s == "decoy" })
			tree := files.tree(t)
			owner := func(p string) string { return "all" } // so that what nothing leads to goes
			p := slim.Analyse(slim.Input{Tree: tree, Owner: owner, Level: slim.Tight, Roots: []slim.Root{{Argv: []string{"/" + start}, Why: "c"}}})
			var got []string
			for q := range p.Paths() {
				if p.Runs(q) {
					got = append(got, q)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
}

func mustEval(t *testing.T, path string) string {
	t.Helper()
	final, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return final
}
