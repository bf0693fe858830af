package binary

import (
	"bytes"
	"cmp"
	endian "encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

const elfMagic = "\x7fELF"

// Limits on what one file may ask for; real files stay far below.
const (
	maxProgs    = 256      // program headers
	maxSections = 1 << 16  // section headers
	maxDynamic  = 64 << 10 // bytes of the dynamic section
	maxNotes    = 64 << 10 // bytes of each note segment
	maxNeeded   = 1024     // libraries needed
	maxString   = 4096     // bytes of a name or path
)

// The numbers of the ELF format that are read here (System V ABI, chapter 4 and
// 5; GNU and Linux extensions).
const (
	typeREL, typeEXEC, typeDYN, typeCORE = 1, 2, 3, 4

	segLoad, segDynamic, segInterp, segNote = 1, 2, 3, 4
	segStack, segRelro                      = 0x6474e551, 0x6474e552

	flagX, flagW, flagR = 1, 2, 4

	sectionSymtab = 2

	dtNull, dtNeeded, dtStrtab, dtRelocs, dtRelocsz = 0, 1, 5, 7, 8
	dtStrsz, dtSoname, dtRpath, dtRunpath           = 10, 14, 15, 29
)

// view is the part of a file that is held in memory.
type view struct {
	size  uint64
	spans []span // in no order; they may overlap
	// lacks says why the tables of a Go binary are not held, if they are not.
	lacks string
}

type span struct {
	off  uint64
	data []byte
}

// at returns n bytes from an offset on, nil where they are not all held.
func (v *view) at(off, n uint64) []byte {
	b := v.from(off, n)
	if uint64(len(b)) < n {
		return nil
	}
	return b
}

// from returns at most n bytes from an offset on, as many as are held in a row.
func (v *view) from(off, n uint64) []byte {
	var best []byte
	for i := range v.spans {
		s := &v.spans[i]
		if off < s.off || off-s.off >= uint64(len(s.data)) {
			continue
		}
		b := s.data[off-s.off:]
		if uint64(len(b)) >= n {
			return b[:n:n]
		}
		if len(b) > len(best) {
			best = b
		}
	}
	return best
}

// text returns the string that ends with a NUL at or after an offset, empty
// where it is not held or longer than maxString.
func (v *view) text(off uint64) string {
	b := v.from(off, maxString)
	s, _, ended := bytes.Cut(b, []byte{0})
	if !ended {
		return ""
	}
	return strings.ToValidUTF8(string(s), "\uFFFD")
}

// extent is a range of a file.
type extent struct{ off, end uint64 }

// header is an ELF header with its program headers.
type header struct {
	order         endian.ByteOrder
	wide          bool // 64 bit
	abi           byte
	typ, machine  uint16
	shoff         uint64
	shentsize     uint64
	shnum         uint64
	progs         []prog
	readOnly      []extent // sorted and apart: what may hold strings and tables
	writable      []extent
	sectionsEarly bool // the section headers follow the program headers
	packed        string
}

type prog struct {
	typ, flags            uint32
	off, vaddr, size, mem uint64
}

// word reads an address or offset.
func (h *header) word(b []byte) uint64 {
	if h.wide {
		return h.order.Uint64(b)
	}
	return uint64(h.order.Uint32(b))
}

// width is the size of an address in bytes.
func (h *header) width() uint64 {
	if h.wide {
		return 8
	}
	return 4
}

// readHeader reads the ELF header and the program headers from the first bytes
// of a file of size bytes.
func readHeader(b []byte, size uint64) (*header, error) {
	if len(b) < 52 || string(b[:4]) != elfMagic {
		return nil, fmt.Errorf("%d bytes are no ELF header", len(b))
	}
	h := &header{abi: b[7]}
	switch b[4] {
	case 1:
	case 2:
		h.wide = true
		if len(b) < 64 {
			return nil, fmt.Errorf("%d bytes are no ELF header of 64 bit", len(b))
		}
	default:
		return nil, fmt.Errorf("ELF class %d at byte 4 is neither 1 nor 2", b[4])
	}
	switch b[5] {
	case 1:
		h.order = endian.LittleEndian
	case 2:
		h.order = endian.BigEndian
	default:
		return nil, fmt.Errorf("ELF byte order %d at byte 5 is neither 1 nor 2", b[5])
	}
	u16 := func(at int) uint64 { return uint64(h.order.Uint16(b[at:])) }
	h.typ, h.machine = h.order.Uint16(b[16:]), h.order.Uint16(b[18:])
	var phoff, phentsize, phnum uint64
	if h.wide {
		phoff, h.shoff = h.order.Uint64(b[32:]), h.order.Uint64(b[40:])
		phentsize, phnum, h.shentsize, h.shnum = u16(54), u16(56), u16(58), u16(60)
	} else {
		phoff, h.shoff = uint64(h.order.Uint32(b[28:])), uint64(h.order.Uint32(b[32:]))
		phentsize, phnum, h.shentsize, h.shnum = u16(42), u16(44), u16(46), u16(48)
	}
	if phnum == 0 {
		return h, nil
	}
	want := uint64(32)
	if h.wide {
		want = 56
	}
	switch {
	case phnum > maxProgs:
		return nil, fmt.Errorf("%d program headers are more than %d", phnum, maxProgs)
	case phentsize < want:
		return nil, fmt.Errorf("program headers of %d bytes are shorter than %d", phentsize, want)
	case phoff > uint64(len(b)) || phnum*phentsize > uint64(len(b))-phoff:
		return nil, fmt.Errorf("%d program headers at %d lie outside of the %d bytes that are read", phnum, phoff, len(b))
	}
	for i := range phnum {
		h.progs = append(h.progs, h.readProg(b[phoff+i*phentsize:]))
	}
	h.sectionsEarly = h.shoff == phoff+phnum*phentsize
	h.ranges(size)
	if len(h.dynamicProg()) == 0 && h.shnum == 0 && bytes.Contains(b[:min(len(b), 4096)], []byte("UPX!")) {
		h.packed = "UPX"
	}
	return h, nil
}

func (h *header) readProg(b []byte) prog {
	if h.wide {
		return prog{
			typ: h.order.Uint32(b), flags: h.order.Uint32(b[4:]),
			off: h.order.Uint64(b[8:]), vaddr: h.order.Uint64(b[16:]),
			size: h.order.Uint64(b[32:]), mem: h.order.Uint64(b[40:]),
		}
	}
	return prog{
		typ: h.order.Uint32(b), flags: h.order.Uint32(b[24:]),
		off: uint64(h.order.Uint32(b[4:])), vaddr: uint64(h.order.Uint32(b[8:])),
		size: uint64(h.order.Uint32(b[16:])), mem: uint64(h.order.Uint32(b[20:])),
	}
}

// dynamicProg returns the dynamic segment, if there is one.
func (h *header) dynamicProg() []prog {
	for i := range h.progs {
		if h.progs[i].typ == segDynamic {
			return h.progs[i : i+1]
		}
	}
	return nil
}

// ranges finds where strings and tables may be: in the segments that are neither
// written nor executed or, where a linker put them beside the code, in the code's.
func (h *header) ranges(size uint64) {
	var plain, code, data []extent
	for _, p := range h.progs {
		if p.typ != segLoad || p.size == 0 || p.off >= size {
			continue
		}
		e := extent{p.off, p.off + min(p.size, size-p.off)}
		switch {
		case p.flags&flagW != 0:
			data = append(data, e)
		case p.flags&flagX != 0:
			code = append(code, e)
		default:
			plain = append(plain, e)
		}
	}
	if len(plain) == 0 {
		plain = code
	}
	h.readOnly, h.writable = union(plain), union(data)
}

// union sorts extents and joins those that overlap, so that nothing is read
// twice however often a hostile file names it.
func union(in []extent) []extent {
	slices.SortFunc(in, func(a, b extent) int { return cmp.Compare(a.off, b.off) })
	var out []extent
	for _, e := range in {
		if n := len(out); n > 0 && e.off <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, e.end)
			continue
		}
		out = append(out, e)
	}
	return out
}

// offset tells where in the file an address is loaded from.
func (h *header) offset(addr uint64) (uint64, bool) {
	for _, p := range h.progs {
		if p.typ == segLoad && addr >= p.vaddr && addr-p.vaddr < p.size && addr-p.vaddr <= math.MaxUint64-p.off {
			return p.off + (addr - p.vaddr), true
		}
	}
	return 0, false
}

// address tells where a place in the file is loaded to.
func (h *header) address(off uint64) (uint64, bool) {
	for _, p := range h.progs {
		if p.typ == segLoad && off >= p.off && off-p.off < p.size {
			return p.vaddr + (off - p.off), true
		}
	}
	return 0, false
}

// dynamic is what the dynamic section says.
type dynamic struct {
	strtab, strsz    uint64 // strtab is an offset in the file
	relocs, relocsz  uint64 // relocs is an offset in the file
	needed           []string
	soname           string
	rpath, runpath   []string
	present, strings bool
}

func (h *header) readDynamic(v *view) dynamic {
	var d dynamic
	progs := h.dynamicProg()
	if len(progs) == 0 {
		return d
	}
	d.present = true
	b := v.from(progs[0].off, min(progs[0].size, maxDynamic))
	w := h.width()
	var names []struct{ tag, value uint64 }
	for ; uint64(len(b)) >= 2*w && h.word(b) != dtNull; b = b[2*w:] {
		tag, value := h.word(b), h.word(b[w:])
		switch tag {
		case dtStrtab:
			d.strtab, d.strings = h.offset(value)
		case dtStrsz:
			d.strsz = value
		case dtRelocs:
			d.relocs, _ = h.offset(value)
		case dtRelocsz:
			d.relocsz = value
		case dtNeeded, dtSoname, dtRpath, dtRunpath:
			names = append(names, struct{ tag, value uint64 }{tag, value})
		}
	}
	if !d.strings {
		return d
	}
	for _, n := range names {
		s := v.text(d.strtab + n.value)
		switch {
		case s == "":
		case n.tag == dtSoname:
			d.soname = s
		case n.tag == dtRpath:
			d.rpath = strings.Split(s, ":")
		case n.tag == dtRunpath:
			d.runpath = strings.Split(s, ":")
		case len(d.needed) < maxNeeded:
			d.needed = append(d.needed, s)
		}
	}
	return d
}

// describe tells what an ELF file says of itself.
func describe(h *header, v *view, m *marks) *inventory.ELF {
	d := h.readDynamic(v)
	e := &inventory.ELF{
		Class: 32, Machine: machineName(h.machine), Type: typeName(h.typ),
		SONAME: d.soname, Needed: d.needed, RPath: d.rpath, RunPath: d.runpath,
		Stripped: !h.hasSymtab(v), Packed: h.packed,
	}
	if h.wide {
		e.Class = 64
	}
	goID := ""
	for _, p := range h.progs {
		switch p.typ {
		case segInterp:
			if s := v.text(p.off); strings.HasPrefix(s, "/") { // of files with debug information only, the place holds anything
				e.Interpreter = s
			}
		case segNote:
			// Go's linker puts the note with the GNU build ID behind the segment.
			for kind, desc := range h.notes(v.from(p.off, min(p.size, maxNotes)+gnuNote)) {
				switch kind {
				case noteGNU:
					e.BuildID = hex.EncodeToString(desc[:min(len(desc), 64)])
				case noteGo:
					m.goNote = true
					goID = strings.ToValidUTF8(string(desc[:min(len(desc), 256)]), "\uFFFD")
				}
			}
		}
	}
	if e.BuildID == "" {
		e.BuildID = goID
	}
	linked := h.typ == typeEXEC || h.typ == typeDYN
	e.Static = linked && e.Interpreter == "" && len(e.Needed) == 0 && e.SONAME == ""
	switch {
	case e.Packed != "":
	case m.isGo():
		e.Language = "Go"
	case m.rust || m.auditableAt != nowhere:
		e.Language = "Rust"
	case linked:
		e.Language = "C"
	}
	for _, name := range m.libraries() {
		if name != e.SONAME && !slices.Contains(e.Needed, name) {
			e.Dlopen = append(e.Dlopen, name)
		}
	}
	if linked && e.Packed == "" {
		e.Missing = h.missing(v, d, m, e.Language)
	}
	return e
}

// note is a kind of note that is read, with the name that it stands under.
type note string

const (
	noteGNU note = "GNU\x003" // a build ID
	noteGo  note = "Go\x004"  // Go's build ID
	gnuNote      = 40         // bytes of the first at most, in practice
)

// notes yields the kinds and contents of the notes of a segment.
func (h *header) notes(b []byte) iter.Seq2[note, []byte] {
	return func(yield func(note, []byte) bool) {
		for len(b) >= 12 {
			n, d := uint64(h.order.Uint32(b)), uint64(h.order.Uint32(b[4:]))
			start := 12 + (n+3)&^3
			end := start + d
			if end > uint64(len(b)) {
				return
			}
			name := strings.TrimRight(string(b[12:12+min(n, 32)]), "\x00")
			kind := note(name + "\x00" + strconv.Itoa(int(h.order.Uint32(b[8:]))))
			if !yield(kind, b[start:end]) {
				return
			}
			b = b[min((end+3)&^3, uint64(len(b))):]
		}
	}
}

// sections returns where the section headers are, as far as they are read.
func (h *header) sections() (off, n uint64) {
	if h.shoff == 0 || h.shentsize < 40 {
		return 0, 0
	}
	return h.shoff, max(h.shnum, 1) * h.shentsize
}

// hasSymtab looks for a symbol table, which strip takes away.
func (h *header) hasSymtab(v *view) bool {
	off, n := h.sections()
	for b := v.from(off, n); uint64(len(b)) >= h.shentsize && h.shentsize >= 40; b = b[h.shentsize:] {
		if h.order.Uint32(b[4:]) == sectionSymtab {
			return true
		}
	}
	return false
}

// missing lists the hardening that a linked file lacks. Partial RELRO counts as
// RELRO. A canary is only missed where the file is C or C++, calls what fills
// buffers, and never the function that a broken canary calls.
func (h *header) missing(v *view, d dynamic, m *marks, language string) []string {
	var out []string
	relro, nx := false, false
	for _, p := range h.progs {
		switch p.typ {
		case segRelro:
			relro = true
		case segStack:
			nx = p.flags&flagX == 0
		}
	}
	if h.typ == typeEXEC {
		out = append(out, "pie")
	}
	if !relro {
		out = append(out, "relro")
	}
	if !nx {
		out = append(out, "nx")
	}
	if language == "C" && d.strings && !m.stackCheck && fillsBuffers(v.from(d.strtab, min(d.strsz, keepHead))) {
		out = append(out, "canary")
	}
	return out
}

// fillsBuffers says whether functions that overflow buffers when misused are
// among the names of a dynamic string table.
func fillsBuffers(names []byte) bool {
	for _, f := range []string{"memcpy", "strcpy", "strcat", "sprintf", "vsprintf", "gets", "sscanf", "read", "recv", "fgets"} {
		if bytes.Contains(names, []byte("\x00"+f+"\x00")) {
			return true
		}
	}
	return false
}

func typeName(t uint16) string {
	switch t {
	case typeREL:
		return "REL"
	case typeEXEC:
		return "EXEC"
	case typeDYN:
		return "DYN"
	case typeCORE:
		return "CORE"
	}
	return strconv.Itoa(int(t))
}

// machine is one row of the table of processors.
type machine struct {
	name   string
	goarch string // of little endian binaries, where both orders exist
}

// machineOf names the processors that images are built for, by the numbers of
// the System V ABI.
func machineOf(n uint16) machine {
	switch n {
	case 2:
		return machine{"sparc", ""}
	case 3:
		return machine{"386", "386"}
	case 8:
		return machine{"mips", "mipsle"}
	case 20:
		return machine{"ppc", ""}
	case 21:
		return machine{"ppc64", "ppc64le"}
	case 22:
		return machine{"s390", "s390x"}
	case 40:
		return machine{"arm", "arm"}
	case 43:
		return machine{"sparc64", ""}
	case 62:
		return machine{"amd64", "amd64"}
	case 183:
		return machine{"arm64", "arm64"}
	case 243:
		return machine{"riscv64", "riscv64"}
	case 247:
		return machine{"bpf", ""}
	case 258:
		return machine{"loong64", "loong64"}
	}
	return machine{strconv.Itoa(int(n)), ""}
}

func machineName(n uint16) string { return machineOf(n).name }
