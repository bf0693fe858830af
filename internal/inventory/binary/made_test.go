package binary

import (
	"bytes"
	"compress/zlib"
	endian "encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

// program is a file as the linkers of old and new Go releases write it, with
// nothing in it but what this package reads.
type program struct {
	gen       generation
	goVersion string
	modules   string
	functions []string
	inlined   []string // calls that were inlined into the first function
	readOnly  []byte   // more of the read only segment
}

const (
	roAt   = 0x1000 // offset of the read only segment
	rwAt   = 0x9000 // and of the written one
	loaded = 0x400000
)

// file lays the program out: tables at roAt, build information and module data at
// rwAt, each loaded at its offset + loaded.
func (p program) file() []byte {
	le := endian.LittleEndian
	b := make([]byte, rwAt+0x2000)
	copy(b, elfMagic+"\x02\x01\x01")
	le.PutUint16(b[16:], typeEXEC)
	le.PutUint16(b[18:], 62)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	for i, s := range []struct{ flags, at, size int }{{flagR, roAt, rwAt - roAt}, {flagR | flagW, rwAt, 0x2000}} {
		h := b[64+i*56:]
		le.PutUint32(h, segLoad)
		le.PutUint32(h[4:], uint32(s.flags))
		le.PutUint64(h[8:], uint64(s.at))
		le.PutUint64(h[16:], uint64(s.at+loaded))
		le.PutUint64(h[32:], uint64(s.size))
		le.PutUint64(h[40:], uint64(s.size))
	}
	table, names, tree := p.table()
	copy(b[roAt:], table)
	copy(b[roAt+0x4000:], tree)
	copy(b[roAt+0x6000:], p.readOnly)
	p.buildInfo(b[rwAt:])
	word := map[generation]int{go118: wordGofunc118, go120: wordGofunc120}[p.gen]
	data := b[rwAt+0x1000:]
	le.PutUint64(data, roAt+loaded)
	le.PutUint64(data[8:], uint64(roAt+loaded+names))
	le.PutUint64(data[word*8:], roAt+0x4000+loaded)
	if p.gen < go118 {
		clear(data)
	}
	return b
}

func (p program) buildInfo(b []byte) {
	le := endian.LittleEndian
	modules := ""
	if p.modules != "" {
		modules = strings.Repeat("<", 16) + p.modules + strings.Repeat(">", 16)
	}
	copy(b, buildInfoMagic)
	b[14] = 8
	if p.gen >= go118 {
		b[15] = 2
		s := endian.AppendUvarint(nil, uint64(len(p.goVersion)))
		s = append(s, p.goVersion...)
		s = endian.AppendUvarint(s, uint64(len(modules)))
		copy(b[32:], append(s, modules...))
		return
	}
	at := 0x100
	for i, s := range []string{p.goVersion, modules} {
		le.PutUint64(b[16+8*i:], uint64(rwAt+loaded+64+16*i))
		le.PutUint64(b[64+16*i:], uint64(rwAt+loaded+at))
		le.PutUint64(b[72+16*i:], uint64(len(s)))
		at += copy(b[at:], s)
	}
}

// table writes the function table, and the tree of inlined calls.
func (p program) table() (b []byte, names int, tree []byte) {
	le := endian.LittleEndian
	magic := map[generation]uint32{go12: 0xfffffffb, go116: 0xfffffffa, go118: 0xfffffff0, go120: 0xfffffff1}[p.gen]
	b = le.AppendUint32(nil, magic)
	b = append(b, 0, 0, 1, 8)
	// Names stand at 0x100, tables of values at 0x1000, functions at 0x2000.
	const namesAt, valuesAt, funcsAt = 0x100, 0x1000, 0x2000
	n := len(p.functions)
	fields := map[generation][]int{
		go12:  {n},
		go116: {n, 0, namesAt, 0, 0, valuesAt, funcsAt},
		go118: {n, 0, 0, namesAt, 0, 0, valuesAt, funcsAt},
		go120: {n, 0, 0, namesAt, 0, 0, valuesAt, funcsAt},
	}[p.gen]
	for _, f := range fields {
		b = le.AppendUint64(b, uint64(f))
	}
	first := len(b)
	b = append(b, make([]byte, 0x3800-len(b))...)
	if p.gen == go12 {
		names = 0
	} else {
		names = namesAt
		first = funcsAt
	}
	nameAt := namesAt
	put := func(name string) uint32 {
		at := nameAt
		nameAt += copy(b[nameAt:], name+"\x00")
		return uint32(at - names)
	}
	// The tree: each call 16 or 20 bytes; the table says that all are reached.
	for _, name := range p.inlined {
		e := make([]byte, map[generation]int{go118: 20, go120: 16}[p.gen])
		le.PutUint32(e[map[generation]int{go118: 12, go120: 4}[p.gen]:], put(name))
		tree = append(tree, e...)
	}
	copy(b[valuesAt+8:], []byte{byte(2 * len(p.inlined)), 1, 0})
	record := 0x3000
	for i, f := range p.functions {
		switch p.gen {
		case go12:
			le.PutUint64(b[first+16*i+8:], uint64(record))
			le.PutUint32(b[record+8:], put(f))
		case go116:
			le.PutUint64(b[first+16*i+8:], uint64(record-funcsAt))
			le.PutUint32(b[record+8:], put(f))
		case go118, go120:
			le.PutUint32(b[first+8*i+4:], uint32(record-funcsAt))
			le.PutUint32(b[record+4:], put(f))
			fixed := 40
			if p.gen == go120 {
				fixed = 44
			}
			if i == 0 && len(p.inlined) > 0 {
				le.PutUint32(b[record+28:], 3)
				b[record+fixed-1] = 4
				le.PutUint32(b[record+fixed+8:], 8)
			}
		}
		record += 128
	}
	return b, names, tree
}

const madeModules = "path\texample.com/app\nmod\texample.com/app\tv1.2.0\t\ndep\texample.com/lib\tv0.3.0\th1:x=\n"

func TestGenerations(t *testing.T) {
	tests := []struct {
		gen     generation
		version string
		inlined []string
		known   bool
	}{
		{go12, "go1.13.4", nil, false},
		{go116, "go1.17.13", nil, false},
		{go118, "go1.19.3", []string{"example.com/lib.Inlined", "strings.Cut"}, true},
		{go120, "go1.21.5", []string{"example.com/lib.Inlined", "strings.Cut"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.version, func(t *testing.T) {
			p := program{
				gen: tt.gen, goVersion: tt.version, modules: madeModules, inlined: tt.inlined,
				functions: []string{"main.main", "example.com/lib.(*T).Do", "example.com/lib.(*T).Do.func1", "fmt.Println", "type:.eq.example.com/lib.T"},
			}
			facts := factsOf(t, "app", p.file())
			if len(facts.Problems) > 0 || facts.ELF.Language != "Go" {
				t.Fatalf("%s, problems %q", facts.ELF.Language, facts.Problems)
			}
			got := map[string][]string{}
			for _, m := range facts.Packages {
				if m.Go.Known != tt.known || m.Go.GOOS != "linux" || m.Go.GOARCH != "amd64" {
					t.Errorf("%s: %+v", m.Name, m.Go)
				}
				got[m.Name+" "+m.Version] = m.Go.Functions
			}
			want := map[string][]string{
				"stdlib " + strings.TrimPrefix(tt.version, "go"): {"fmt.Println"},
				"example.com/app 1.2.0":                          {"example.com/app.main"},
				"example.com/lib 0.3.0":                          {"example.com/lib.(*T).Do"},
			}
			if tt.inlined != nil {
				want["example.com/lib 0.3.0"] = []string{"example.com/lib.(*T).Do", "example.com/lib.Inlined"}
				want["stdlib "+strings.TrimPrefix(tt.version, "go")] = []string{"fmt.Println", "strings.Cut"}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestGoWithoutBuildInfo(t *testing.T) {
	p := program{gen: go120, goVersion: "go1.21.5", functions: []string{"main.main", "fmt.Println"}}
	body := p.file()
	facts := factsOf(t, "app", body)
	if len(facts.Packages) != 1 || facts.Packages[0].Version != "1.21.5" || len(facts.Problems) != 1 {
		t.Errorf("without modules: %v, %q", facts.Packages, facts.Problems)
	}
	p.goVersion = "unknown" // what garble writes
	facts = factsOf(t, "app", p.file())
	if len(facts.Packages) != 0 || len(facts.Problems) != 1 {
		t.Errorf("garbled: %v, %q", facts.Packages, facts.Problems)
	}
}

func deflate(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const crates = `{"packages":[{"name":"libc","version":"0.2.150","source":"crates.io"},` +
	`{"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"},` +
	`{"name":"ripgrep","version":"13.0.0","source":"local","dependencies":[0,1],"root":true}]}`

func TestCargoAuditable(t *testing.T) {
	p := program{gen: go12, readOnly: append([]byte("x\x9c\x00\x00xx\x9c /rustc/0123456789012345678901234567890123456789/library x\x01"), deflate(t, crates)...)}
	body := p.file()
	clear(body[rwAt:]) // no Go
	facts := factsOf(t, "usr/bin/rg", body)
	want := []inventory.Package{
		{Type: inventory.Cargo, Name: "libc", Version: "0.2.150", Path: "usr/bin/rg"},
		{Type: inventory.Cargo, Name: "ripgrep", Version: "13.0.0", Path: "usr/bin/rg"},
	}
	if d := cmp.Diff(want, facts.Packages); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if facts.ELF.Language != "Rust" || len(facts.Problems) > 0 {
		t.Errorf("language %s, problems %q", facts.ELF.Language, facts.Problems)
	}
	var streamed inventory.Facts
	if err := new(Reader).pieces(bytes.NewReader(body), uint64(len(body)), "usr/bin/rg", &streamed); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(facts, streamed); d != "" {
		t.Errorf("in memory (-) and streamed (+) differ:\n%s", d)
	}
	bomb := deflate(t, `{"packages":[`+strings.Repeat(" ", maxCrates))
	if _, err := readAuditable(bomb, "x"); err == nil || !strings.Contains(err.Error(), "8388608 bytes") {
		t.Errorf("a bomb: %v", err)
	}
}

// Streams are searched in windows: what lies across their edges is found too.
func TestWindows(t *testing.T) {
	const size = 3*chunk + 4096
	for _, edge := range []int{chunk, chunk + lap, 2 * chunk, 3 * chunk} {
		for shift := -lap - 40; shift < 40; shift += 13 {
			b := make([]byte, size)
			copy(b, program{gen: go12}.file()[:64+56])
			b[56] = 1
			endian.LittleEndian.PutUint64(b[64+32:], size-roAt)
			copy(b[edge+shift:], "\x00libedge.so.1\x00/rustc/0123456789012345678901234567890123456789/\x00__stack_chk_fail\x00")
			want := factsOf(t, "x", b)
			if !slices.Equal(want.ELF.Dlopen, []string{"libedge.so.1"}) || want.ELF.Language != "Rust" {
				t.Fatalf("%d: %v", edge+shift, want.ELF)
			}
			var got inventory.Facts
			if err := new(Reader).pieces(bytes.NewReader(b), size, "x", &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("at %d (-memory +stream):\n%s", edge+shift, d)
			}
		}
	}
}

func FuzzELF(f *testing.F) {
	f.Add(compileSeed(f))
	f.Fuzz(func(t *testing.T, body []byte) {
		check(t, body)
	})
}

func FuzzGo(f *testing.F) {
	for gen := go12; gen <= go120; gen++ {
		f.Add(program{gen: gen, goVersion: "go1.2", modules: madeModules, functions: []string{"main.main", "a.b/c.F[...]"}, inlined: map[bool][]string{true: {"x.y"}}[gen >= go118]}.file())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		check(t, body)
	})
}

func FuzzCargoAuditable(f *testing.F) {
	f.Add(deflate(f, crates))
	f.Add([]byte("x\x9c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		packages, err := readAuditable(b, "x")
		if err == nil && new(inflater).auditable(b) && len(packages) == 0 && !bytes.Contains(b, []byte("build")) {
			t.Skip() // build crates only, or crates without names
		}
		for _, p := range packages {
			if p.Name == "" || p.Type != inventory.Cargo {
				t.Errorf("%+v", p)
			}
		}
	})
}

// check holds what must be true of any bytes, in memory and as a stream.
func check(t *testing.T, body []byte) {
	t.Helper()
	var facts, streamed inventory.Facts
	err := parse(inventory.File{Path: "x", Body: body}, &facts)
	if bytes.HasPrefix(body, []byte(elfMagic)) && (err == nil) != (facts.ELF != nil) {
		t.Errorf("facts %v, error %v", facts.ELF, err)
	}
	for _, p := range facts.Packages {
		if p.Name == "" || p.Path != "x" || p.Go != nil && !slices.IsSorted(p.Go.Functions) {
			t.Errorf("package %+v", p)
		}
	}
	if isELF, _ := Head(body); isELF != bytes.HasPrefix(body, []byte(elfMagic)) {
		t.Error("Head does not know an ELF file")
	}
	serr := new(Reader).pieces(bytes.NewReader(body), uint64(len(body)), "x", &streamed)
	if err == nil && facts.ELF != nil && serr != nil && len(body) <= keepFirst {
		t.Errorf("in memory fine, as a stream: %v", serr)
	}
}

// compileSeed is a small ELF file with a dynamic section, a note and strings.
func compileSeed(f *testing.F) []byte {
	f.Helper()
	le := endian.LittleEndian
	b := program{gen: go12, readOnly: []byte("\x00libdl.so.2\x00/opt/lib:$ORIGIN\x00memcpy\x00/lib/ld.so\x00")}.file()
	clear(b[rwAt:])
	b[56] = 5
	for i, s := range []struct{ typ, at, size int }{{segDynamic, rwAt + 0x100, 0x60}, {segNote, rwAt + 0x200, 0x20}, {segInterp, roAt + 0x6000 + 36, 11}} {
		h := b[64+(i+2)*56:]
		le.PutUint32(h, uint32(s.typ))
		le.PutUint64(h[8:], uint64(s.at))
		le.PutUint64(h[32:], uint64(s.size))
	}
	for i, w := range []uint64{dtStrtab, roAt + 0x6000 + loaded, dtStrsz, 64, dtNeeded, 1, dtRunpath, 12, dtSoname, 1, dtNull, 0} {
		le.PutUint64(b[rwAt+0x100+8*i:], w)
	}
	copy(b[rwAt+0x200:], "\x04\x00\x00\x00\x04\x00\x00\x00\x03\x00\x00\x00GNU\x00\x01\x02\x03\x04")
	return b
}

func BenchmarkGoBinary(b *testing.B) {
	body := build(b, "cmd/go", []string{"GOFLAGS=-buildvcs=false"})
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		factsOf(b, "go", body)
	}
}

func BenchmarkStreamNode(b *testing.B) {
	body := readLarge(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var facts inventory.Facts
		if err := Stream(bytes.NewReader(body), int64(len(body)), "node", &facts); err != nil {
			b.Fatal(err)
		}
	}
}
