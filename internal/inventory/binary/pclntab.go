package binary

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// Limits on the function table.
const (
	maxFuncName   = 4096    // bytes of a function's name; longer ones are left out
	maxTables     = 64      // places that look like a function table
	maxRelocs     = 1 << 21 // relocations that are searched
	noFuncdata    = ^uint32(0)
	inlineTree    = 3 // index of the tree of inlined calls among a function's tables
	inlineIndexes = 2 // index of the table that tells of which entry each instruction is
)

// The generations of the table, by the release that brought them. They are told
// by the first four bytes (cmd/link/internal/ld/pcln.go, debug/gosym/pclntab.go).
type generation uint8

const (
	go12 generation = iota
	go116
	go118
	go120
)

// funcTable is Go's table of functions, .gopclntab, which programs need at run
// time to print stack traces: it is there also in stripped binaries.
type funcTable struct {
	h     *header
	gen   generation
	at    uint64 // offset in the file
	b     []byte // from there on as far as is held
	ptr   uint64
	quant uint32
	n     uint64 // functions
	names uint64 // offsets in b
	pctab uint64
	funcs uint64 // functab, and what its entries count from
	// inline holds what the functions' inline trees count from; nil if that place
	// was not found.
	inline []byte
}

// linkFunctions gives each module the names of its functions that are linked in.
// They are known to be all where the trees of inlined calls could be read too:
// of Go 1.18 and later, in ELF files.
func linkFunctions(h *header, v *view, info *buildInfo, modules []inventory.Package) error {
	t, err := findFuncTable(h, v)
	if err != nil {
		return err
	}
	offsets, err := t.nameOffsets()
	if err != nil {
		return err
	}
	t.assign(offsets, info, modules)
	return nil
}

// findFuncTable searches the table by its first bytes. Binaries that carry
// another Go binary hold two: the one that the runtime's module data point at is
// the right one, and else the largest.
func findFuncTable(h *header, v *view) (*funcTable, error) {
	var best *funcTable
	tries := 0
	mark := []byte{0xff, 0xff, 0xff, 0, 0}
	back := 1 // from the mark to the table
	if h.order.Uint16([]byte{0, 1}) == 1 {
		mark, back = []byte{0xff, 0xff, 0xff}, 0
	}
	for _, e := range union(append(slices.Clone(h.readOnly), h.writable...)) {
		all := v.from(e.off, e.end-e.off)
		for at := 0; tries < maxTables; {
			i := bytes.Index(all[at:], mark)
			if i < 0 {
				break
			}
			start := at + i - back
			at += i + 1
			if start < 0 || (e.off+uint64(start))%4 != 0 {
				continue
			}
			t := readFuncTable(h, all[start:], e.off+uint64(start))
			if t == nil {
				continue
			}
			tries++
			if t.inline = t.findInline(v); t.inline != nil {
				return t, nil
			}
			if best == nil || t.n > best.n {
				best = t
			}
		}
	}
	if best == nil {
		return nil, errors.New("there is none")
	}
	return best, nil
}

// readFuncTable reads the head of a table, nil where there is none.
func readFuncTable(h *header, b []byte, at uint64) *funcTable {
	if len(b) < 80 || b[4] != 0 || b[5] != 0 {
		return nil
	}
	t := &funcTable{h: h, at: at, b: b, quant: uint32(b[6]), ptr: uint64(b[7])}
	switch h.order.Uint32(b) {
	case 0xfffffffb:
		t.gen = go12
	case 0xfffffffa:
		t.gen = go116
	case 0xfffffff0:
		t.gen = go118
	case 0xfffffff1:
		t.gen = go120
	default:
		return nil
	}
	if t.quant != 1 && t.quant != 2 && t.quant != 4 || t.ptr != h.width() {
		return nil
	}
	field := func(i uint64) uint64 { return h.word(b[8+i*t.ptr:]) }
	t.n = field(0)
	switch t.gen {
	case go12:
		t.funcs = 8 + t.ptr
	case go116:
		t.names, t.pctab, t.funcs = field(2), field(5), field(6)
	case go118, go120:
		t.names, t.pctab, t.funcs = field(3), field(6), field(7)
	}
	size := uint64(len(b))
	if t.n == 0 || t.n > size || t.names >= size || t.pctab >= size || t.funcs >= size ||
		t.n*t.entry() > size-t.funcs {
		return nil
	}
	// The first and the last function must have names.
	for _, i := range []uint64{0, t.n - 1} {
		f, ok := t.record(i)
		if !ok || len(t.name(t.nameOffset(f))) == 0 {
			return nil
		}
	}
	return t
}

// entry is the size of an entry of functab: where a function's code starts, and
// where its record is.
func (t *funcTable) entry() uint64 {
	if t.gen >= go118 {
		return 8
	}
	return 2 * t.ptr
}

// record returns the record of a function, at least 48 bytes.
func (t *funcTable) record(i uint64) ([]byte, bool) {
	e := t.b[t.funcs+i*t.entry():]
	var off uint64
	switch t.gen {
	case go12:
		off = t.h.word(e[t.ptr:]) // from the start of the table
	case go116:
		off = t.h.word(e[t.ptr:])
		if off > uint64(len(t.b)) {
			return nil, false
		}
		off += t.funcs
	case go118, go120:
		off = t.funcs + uint64(t.h.order.Uint32(e[4:]))
	}
	if size := uint64(len(t.b)); size < 48 || off > size-48 {
		return nil, false
	}
	return t.b[off:], true
}

func (t *funcTable) nameOffset(record []byte) uint32 {
	if t.gen >= go118 {
		return t.h.order.Uint32(record[4:])
	}
	return t.h.order.Uint32(record[t.ptr:])
}

// name returns the name at an offset, nil where there is none.
func (t *funcTable) name(off uint32) []byte {
	start := t.names + uint64(off)
	if start >= uint64(len(t.b)) {
		return nil
	}
	b := t.b[start:min(start+maxFuncName, uint64(len(t.b)))]
	end := bytes.IndexByte(b, 0)
	if end <= 0 {
		return nil
	}
	return b[:end]
}

// nameOffsets returns the places of the names of all functions, inlined ones
// too, sorted and without repetitions.
func (t *funcTable) nameOffsets() ([]uint32, error) {
	out := make([]uint32, 0, t.n)
	// Functions may share tables, so a hostile file could name one large table a
	// million times: work is bounded by a multiple of the table's size.
	budget := 1<<20 + 16*len(t.b)
	for i := range t.n {
		f, ok := t.record(i)
		if !ok {
			return nil, fmt.Errorf("function %d of %d lies outside of it", i, t.n)
		}
		out = append(out, t.nameOffset(f))
		if t.inline != nil {
			if out, budget = t.inlined(f, out, budget); budget <= 0 {
				return nil, errors.New("its trees of inlined calls are larger than it is")
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// inlined adds the places of the names of the calls that were inlined into a
// function, and returns what is left of the budget.
func (t *funcTable) inlined(f []byte, out []uint32, budget int) ([]uint32, int) {
	order := t.h.order
	fixed := uint64(40) // bytes of the record before its tables
	if t.gen >= go120 {
		fixed = 44
	}
	npcdata, nfuncdata := uint64(order.Uint32(f[28:])), uint64(f[fixed-1])
	if npcdata <= inlineIndexes || nfuncdata <= inlineTree || npcdata > 64 || uint64(len(f)) < fixed+4*(npcdata+nfuncdata) {
		return out, budget
	}
	indexes := order.Uint32(f[fixed+4*inlineIndexes:])
	tree := order.Uint32(f[fixed+4*(npcdata+inlineTree):])
	if indexes == 0 || tree == noFuncdata || uint64(tree) >= uint64(len(t.inline)) {
		return out, budget
	}
	last, steps := t.largest(indexes, budget)
	budget -= steps
	size, nameAt := 20, 12
	if t.gen >= go120 {
		size, nameAt = 16, 4
	}
	b := t.inline[tree:]
	for i := 0; i <= last && len(b) >= size && budget > 0; i++ {
		out = append(out, order.Uint32(b[nameAt:]))
		b = b[size:]
		budget--
	}
	return out, budget
}

// largest returns the largest value of a table that gives instructions values,
// -1 if it has none, and the steps that it took. The table holds pairs of
// variable length numbers: the change of the value, zigzag coded, and how many
// instructions it is for.
func (t *funcTable) largest(off uint32, budget int) (largest, steps int) {
	b := t.b[min(t.pctab+uint64(off), uint64(len(t.b))):]
	largest = -1
	value := int32(-1)
	for steps < budget {
		steps++
		change, n := varint(b)
		if n == 0 || change == 0 && steps > 1 {
			break
		}
		value += int32(change>>1) ^ -int32(change&1)
		b = b[n:]
		if _, n = varint(b); n == 0 {
			break
		}
		b = b[n:]
		largest = max(largest, int(value))
	}
	return largest, steps
}

// varint reads a number of at most 32 bits; n is 0 where there is none.
func varint(b []byte) (value uint32, n int) {
	for shift := uint(0); n < len(b) && shift < 35; shift += 7 {
		c := b[n]
		n++
		value |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return value, n
		}
	}
	return 0, 0
}

// The runtime's module data start with a pointer to the table and slices of it;
// these are the numbers of the words (runtime/symtab.go, moduledata).
const (
	wordGofunc118 = 38
	wordGofunc120 = 40
)

// findInline returns what the offsets of inline trees count from. The module
// data tell where that is: in the file's bytes or, in position independent
// programs, in the relocations that fill them in.
func (t *funcTable) findInline(v *view) []byte {
	if t.gen < go118 {
		return nil
	}
	addr, ok := t.h.address(t.at)
	if !ok {
		return nil
	}
	word := uint64(wordGofunc120)
	if t.gen == go118 {
		word = wordGofunc118
	}
	gofunc, ok := t.pointed(v, addr, word)
	if !ok {
		if gofunc, ok = t.relocated(v, addr, word); !ok {
			return nil
		}
	}
	off, ok := t.h.offset(gofunc)
	if !ok {
		return nil
	}
	return v.from(off, v.size)
}

// pointed searches the module data in what is written at run time.
func (t *funcTable) pointed(v *view, table, word uint64) (uint64, bool) {
	h, w := t.h, t.ptr
	mark := make([]byte, 2*w)
	put := func(b []byte, n uint64) {
		if h.wide {
			h.order.PutUint64(b, n)
		} else {
			h.order.PutUint32(b, uint32(n&math.MaxUint32))
		}
	}
	put(mark, table)
	put(mark[w:], table+t.names)
	for _, e := range h.writable {
		b := v.from(e.off, e.end-e.off)
		i := bytes.Index(b, mark)
		if i < 0 {
			continue
		}
		if b = b[i:]; uint64(len(b)) >= (word+1)*w {
			return h.word(b[word*w:]), true
		}
	}
	return 0, false
}

// relocated searches the module data among relocations with addends, which only
// 64 bit systems use.
func (t *funcTable) relocated(v *view, table, word uint64) (uint64, bool) {
	h := t.h
	d := h.readDynamic(v)
	if !h.wide || d.relocsz == 0 {
		return 0, false
	}
	all := v.from(d.relocs, min(d.relocsz, maxRelocs*24))
	each := func(yield func(place, addend uint64) bool) {
		for b := all; len(b) >= 24; b = b[24:] {
			if !yield(h.order.Uint64(b), h.order.Uint64(b[16:])) {
				return
			}
		}
	}
	heads := map[uint64]bool{}
	for place, addend := range each {
		if addend == table && len(heads) < 64 {
			heads[place] = true
		}
	}
	for place, addend := range each {
		// Only module data have the table of names one word after the table.
		if addend != table+t.names || !heads[place-8] {
			continue
		}
		head := place - 8
		for place, addend := range each {
			if place == head+word*8 {
				return addend, true
			}
		}
		return 0, false
	}
	return 0, false
}

// assign gives each module the functions whose package path it is the longest
// prefix of. Names stand in what they were compiled from: those of package main
// are given its import path, those of a replaced module the replacement's.
func (t *funcTable) assign(offsets []uint32, info *buildInfo, modules []inventory.Package) {
	owners := make(map[string]int, len(modules))
	for i := range modules {
		m := &modules[i]
		m.Go.Known = t.inline != nil
		if m.Go.Replaced != "" && !strings.HasPrefix(m.Go.Replaced, ".") && !strings.HasPrefix(m.Go.Replaced, "/") {
			owners[m.Go.Replaced] = i
		} else {
			owners[m.Name] = i
		}
	}
	names := make([][]funcName, len(modules))
	var lastPath []byte
	var last target
	for _, off := range offsets {
		name := t.name(off)
		pkg, ok := packagePath(name)
		if !ok {
			continue
		}
		if !bytes.Equal(pkg, lastPath) {
			lastPath, last = pkg, owner(string(pkg), owners, info, modules)
		}
		if last.module >= 0 {
			names[last.module] = append(names[last.module], funcName{last.path, name[len(pkg):]})
		}
	}
	for i := range modules {
		modules[i].Go.Functions = spell(names[i])
	}
}

// funcName is a function's name in two parts: the package path as it is to be
// spelled, and the rest, which is still a part of the file.
type funcName struct {
	pkg  string
	rest []byte
}

// spell writes names into one string, sorted, which takes half the memory of
// strings of their own.
func spell(names []funcName) []string {
	if len(names) == 0 {
		return nil
	}
	slices.SortFunc(names, func(a, b funcName) int {
		if a.pkg != b.pkg {
			return strings.Compare(a.pkg, b.pkg)
		}
		return bytes.Compare(a.rest, b.rest)
	})
	var all strings.Builder
	n, size := 0, 0
	keep := func(i int) bool { // closures say no more than the function around them
		return n == 0 || names[n-1].pkg != names[i].pkg || !within(names[i].rest, names[n-1].rest)
	}
	for i := range names {
		if keep(i) {
			names[n] = names[i]
			size += len(names[i].pkg) + len(names[i].rest)
			n++
		}
	}
	all.Grow(size)
	for _, f := range names[:n] {
		all.WriteString(f.pkg)
		all.Write(f.rest)
	}
	text := strings.ToValidUTF8(all.String(), "?") // of one byte, so that places stay
	out := make([]string, 0, n)
	for _, f := range names[:n] {
		size := len(f.pkg) + len(f.rest)
		out = append(out, text[:size])
		text = text[size:]
	}
	slices.Sort(out) // a package path may be a prefix of another
	return slices.Compact(out)
}

// target is where the functions of a package belong.
type target struct {
	module int    // -1 for none
	path   string // the package path that they are spelled with, escaped
}

// owner finds the module of a package. path is escaped as the linker does.
func owner(path string, owners map[string]int, info *buildInfo, modules []inventory.Package) target {
	if path == "main" || strings.HasPrefix(path, "main.") {
		if info.Path == "" || info.Path == "command-line-arguments" {
			return target{mainModule(modules), path}
		}
		path = escapePath(info.Path)
	}
	plain := unescapePath(path)
	for p := plain; p != ""; {
		if i, ok := owners[p]; ok {
			if m := &modules[i]; m.Go.Replaced == p {
				return target{i, escapePath(m.Name + plain[len(p):])}
			}
			return target{i, path}
		}
		cut := strings.LastIndexByte(p, '/')
		if cut < 0 {
			break
		}
		p = p[:cut]
	}
	first, _, _ := strings.Cut(plain, "/")
	switch {
	case first == "cmd":
		if i, ok := owners[toolchain]; ok {
			return target{i, path}
		}
		return target{owners[stdlib], path}
	case strings.Contains(first, "."):
		return target{-1, ""} // of a module that the list does not name
	}
	return target{owners[stdlib], path}
}

func mainModule(modules []inventory.Package) int {
	for i := range modules {
		if modules[i].Go.Main {
			return i
		}
	}
	return -1
}

// packagePath returns the package path that a function's name starts with:
// net/http of net/http.(*Transport).dial.
func packagePath(name []byte) ([]byte, bool) {
	head := name
	if i := bytes.IndexAny(head, "[("); i >= 0 {
		head = head[:i]
	}
	slash := bytes.LastIndexByte(head, '/') + 1
	dot := bytes.IndexByte(name[slash:], '.')
	if dot <= 0 || bytes.IndexByte(head, ':') >= 0 { // type:.eq.T and go:buildid are of no package
		return nil, false
	}
	return name[:slash+dot], true
}
