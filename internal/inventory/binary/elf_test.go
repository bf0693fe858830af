package binary

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

var every = flag.Int("every", 16, "of the ELF files up to 4 MB on this machine, test every `n`th")

// installed calls yield for ELF files of this machine: for a part of the small
// ones, which differ little, and for all that are streamed in pieces.
func installed(t *testing.T, yield func(path string, body []byte)) {
	t.Helper()
	seen := 0
	for _, root := range []string{"/usr/bin", "/usr/lib"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // what cannot be read is no part of the test
			}
			info, err := d.Info()
			if err != nil || info.Size() < 64 || testing.Short() && info.Size() > 8<<20 {
				return nil //nolint:nilerr // as above
			}
			f, err := os.Open(path)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			defer f.Close()
			magic := make([]byte, 4)
			if _, err := io.ReadFull(f, magic); err != nil || string(magic) != elfMagic {
				return nil //nolint:nilerr // as above
			}
			if seen++; info.Size() <= keepWhole && seen%*every != 0 {
				return nil
			}
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			yield(path, body)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen == 0 {
		t.Skip("no ELF files under /usr/bin and /usr/lib")
	}
	t.Logf("%d files", seen)
}

func factsOf(t testing.TB, path string, body []byte) inventory.Facts {
	t.Helper()
	var facts inventory.Facts
	if err := parse(inventory.File{Path: path, Size: int64(len(body)), Body: body}, &facts); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return facts
}

func TestStreamTellsTheSame(t *testing.T) {
	var one Reader // of all files: what a later one leaves must not change what is told
	installed(t, func(path string, body []byte) {
		want := factsOf(t, path, body)
		if _, isGo := Head(body[:min(len(body), 4096)]); want.ELF.Language == "Go" && !isGo {
			t.Logf("%s: a Go binary that is not recognised by its head", path)
			return
		}
		var got, whole inventory.Facts
		if err := one.pieces(iotest.HalfReader(bytes.NewReader(body)), uint64(len(body)), path, &got); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		one.spoil()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: in memory (-) and streamed (+) differ:\n%s", path, d)
		}
		if err := one.Stream(bytes.NewReader(body), int64(len(body)), path, &whole); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		one.spoil()
		if d := cmp.Diff(want, whole); d != "" {
			t.Errorf("%s: Stream differs (+):\n%s", path, d)
		}
	})
}

// spoil overwrites the buffers, which no facts may hold on to.
func (s *Reader) spoil() {
	for _, b := range [][]byte{s.body[:cap(s.body)], s.work} {
		for i := range b {
			b[i] = 'x'
		}
	}
}

// The standard library's reader knows sections, which this package does not use.
func TestAgainstStandardLibrary(t *testing.T) {
	installed(t, func(path string, body []byte) {
		got := factsOf(t, path, body).ELF
		f, err := elf.NewFile(bytes.NewReader(body))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		var want inventory.ELF
		want.Needed, _ = f.ImportedLibraries()
		if s, _ := f.DynString(elf.DT_SONAME); len(s) > 0 {
			want.SONAME = s[0]
		}
		if s, _ := f.DynString(elf.DT_RUNPATH); len(s) > 0 {
			want.RunPath = strings.Split(s[0], ":")
		}
		if s, _ := f.DynString(elf.DT_RPATH); len(s) > 0 {
			want.RPath = strings.Split(s[0], ":")
		}
		if s := f.Section(".interp"); s != nil && s.Type != elf.SHT_NOBITS {
			b, _ := s.Data()
			want.Interpreter = string(bytes.TrimRight(b, "\x00"))
		}
		if s := f.Section(".note.gnu.build-id"); s != nil && s.Type == elf.SHT_NOTE {
			b, _ := s.Data()
			want.BuildID = hex.EncodeToString(b[16:])
		}
		want.Stripped = f.SectionByType(elf.SHT_SYMTAB) == nil
		have := inventory.ELF{
			Needed: got.Needed, SONAME: got.SONAME, RunPath: got.RunPath, RPath: got.RPath,
			Interpreter: got.Interpreter, BuildID: got.BuildID, Stripped: got.Stripped,
		}
		if got.Type == "REL" || got.Language == "Go" && want.BuildID == "" {
			have.BuildID, want.BuildID = "", "" // object files have no segments; Go binaries have an ID of their own
		}
		if d := cmp.Diff(want, have); d != "" {
			t.Errorf("%s: (-want +got)\n%s", path, d)
		}
	})
}

func compile(t *testing.T, source string, flags ...string) []byte {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("needs gcc")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "a.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "a.out")
	cmd := exec.CommandContext(t.Context(), gcc, append([]string{"-o", out, file}, flags...)...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, b)
	}
	body, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestFactsOfC(t *testing.T) {
	const copies = `#include <string.h>
#include <stdio.h>
int main(int n, char **v) { char b[64]; strcpy(b, v[0]); puts(b); return n; }`
	const loads = `const char *a = "libseawall-plugin.so.2", *b = "/opt/x/libnss_y.so", *c = "the lib.so", *d = "libz.socket", *e = "lib%s.so";
int main(void) { return 0; }`
	tests := []struct {
		name, source string
		flags        []string
		want         inventory.ELF
	}{
		{"hardened", copies, []string{"-O2", "-fPIE", "-pie", "-fstack-protector-all", "-Wl,-z,relro"}, inventory.ELF{Type: "DYN"}},
		{
			"bare", copies,
			[]string{"-no-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-O0", "-Wl,-z,norelro", "-z", "execstack", "-s"},
			inventory.ELF{Type: "EXEC", Stripped: true, Missing: []string{"pie", "relro", "nx", "canary"}},
		},
		{"nothing-to-guard", "int main(void) { return 0; }", []string{"-fPIE", "-pie", "-fno-stack-protector"}, inventory.ELF{Type: "DYN"}},
		{"static", "int main(void) { return 0; }", []string{"-static"}, inventory.ELF{Type: "EXEC", Static: true, Missing: []string{"pie"}}},
		{
			"library", "int f(void) { return 0; }",
			[]string{"-shared", "-fPIC", "-Wl,-soname,libf.so.1", "-Wl,-rpath,$ORIGIN/../lib:/opt/lib"},
			inventory.ELF{Type: "DYN", SONAME: "libf.so.1", RunPath: []string{"$ORIGIN/../lib", "/opt/lib"}},
		},
		{"loads", loads, []string{"-fPIE", "-pie"}, inventory.ELF{Type: "DYN", Dlopen: []string{"libnss_y.so", "libseawall-plugin.so.2"}}},
		{"one-code-segment", loads, []string{"-fPIE", "-pie", "-Wl,-z,noseparate-code"}, inventory.ELF{Type: "DYN", Dlopen: []string{"libnss_y.so", "libseawall-plugin.so.2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := factsOf(t, "a.out", compile(t, tt.source, tt.flags...)).ELF
			if e.Language != "C" || e.Class != 64 && e.Class != 32 {
				t.Errorf("language %q, class %d", e.Language, e.Class)
			}
			dlopen := e.Dlopen
			if tt.name == "static" {
				dlopen = nil // glibc's own
			}
			got := inventory.ELF{
				Type: e.Type, Stripped: e.Stripped, Static: e.Static, SONAME: e.SONAME,
				RPath: e.RPath, RunPath: e.RunPath, Missing: e.Missing, Dlopen: dlopen,
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestLibrary(t *testing.T) {
	tests := []struct{ in, want string }{
		{"\x00libc.so.6\x00", "libc.so.6"},
		{"/usr/lib/libfoo-1.2_x+y.so.1.2.3 not found", "libfoo-1.2_x+y.so.1.2.3"},
		{"libcrypto.so:libssl.so", "libcrypto.so"},
		{"libx.so.", ""},
		{"libx.so.conf", ""},
		{"lib.so", ""},
		{"pam_unix.so", ""},
		{"mylib.so", ""},
		{"lib%d.so", ""},
		{"libx.source", ""},
		{"lib" + strings.Repeat("x", 300) + ".so", ""},
	}
	for _, tt := range tests {
		name, ok := library([]byte(tt.in), strings.Index(tt.in, ".so"))
		if got := string(name); ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("library(%.40q) = %q, %v, want %q", tt.in, got, ok, tt.want)
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	ok := compile(t, "int main(void) { return 0; }")
	edit := func(change func(b []byte)) []byte {
		b := bytes.Clone(ok)
		change(b)
		return b
	}
	if ok[4] != 2 || ok[5] != 1 {
		t.Skip("needs a compiler for 64 bit, little endian")
	}
	tests := []struct {
		name, want string
		body       []byte
	}{
		{"short", "no ELF header", ok[:40]},
		{"class", "class 9", edit(func(b []byte) { b[4] = 9 })},
		{"order", "byte order 7", edit(func(b []byte) { b[5] = 7 })},
		{"many-programs", "65535 program headers", edit(func(b []byte) { b[56], b[57] = 0xff, 0xff })},
		{"far-programs", "lie outside", edit(func(b []byte) { b[39] = 0x7f })},
		{"short-programs", "shorter than 56", edit(func(b []byte) { b[54] = 8 })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var facts inventory.Facts
			err := parse(inventory.File{Path: "x", Body: tt.body}, &facts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	t.Run("cut", func(t *testing.T) {
		for n := 1024; n < len(ok); n += 512 {
			var facts inventory.Facts
			if err := parse(inventory.File{Path: "x", Body: ok[:n]}, &facts); err != nil || facts.ELF == nil {
				t.Fatalf("of %d bytes: %v, %v", n, facts.ELF, err)
			}
			if err := new(Reader).pieces(bytes.NewReader(ok[:n]), uint64(len(ok)), "x", &facts); err == nil {
				t.Fatalf("a stream that ends after %d of %d bytes is no error", n, len(ok))
			}
		}
	})
}

func TestPacked(t *testing.T) {
	// The shape that UPX leaves: no sections, no dynamic segment, its mark after
	// the program headers.
	b := make([]byte, 8192)
	copy(b, compile(t, "int main(void) { return 0; }", "-static")[:64+56])
	b[56], b[57] = 1, 0                      // one program header
	b[40], b[60], b[62] = 0, 0, 0            // no section headers
	clear(b[40:48])                          //
	copy(b[64+56+4:], "UPX!")                //
	copy(b[64:], "\x01\x00\x00\x00\x05\x00") // a code segment
	facts := factsOf(t, "packed", b)
	if facts.ELF.Packed != "UPX" || facts.ELF.Language != "" {
		t.Errorf("packed %q, language %q", facts.ELF.Packed, facts.ELF.Language)
	}
	if !slices.ContainsFunc(facts.Problems, func(s string) bool { return strings.Contains(s, "UPX") }) {
		t.Errorf("problems %q do not speak of UPX", facts.Problems)
	}
}

func TestWants(t *testing.T) {
	tests := []struct {
		path string
		mode fs.FileMode
		want bool
	}{
		{"usr/bin/ls", 0o755, true},
		{"usr/lib/libc.so.6", 0o644, true},
		{"app/server", 0o644, true}, // Go binaries that lost their mode
		{"app/server-v1.2", 0o755, true},
		{"usr/bin/run.sh", 0o755, false},
		{"etc/app.conf", 0o644, false},
		{"usr/share/x.dat", 0o644, false},
		{"usr/bin/python3.11", 0o755, true},
	}
	for _, tt := range tests {
		if got := wants(tt.path, tt.mode, 1<<20); got != tt.want {
			t.Errorf("wants(%s, %o) = %v", tt.path, tt.mode, got)
		}
	}
}

// readLarge returns a large program that is not Go.
func readLarge(b *testing.B) []byte {
	b.Helper()
	for _, path := range []string{"/usr/bin/node", "/usr/bin/gdb", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus"} {
		if body, err := os.ReadFile(path); err == nil {
			return body
		}
	}
	b.Skip("needs Debian's nodejs, gdb or g++")
	return nil
}
