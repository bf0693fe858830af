package binary

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"seawall.io/seawall/internal/inventory"
)

// How much of a stream is held, in bytes.
const (
	keepWhole = 4 << 20        // a file up to this size is held as it is
	keepFirst = 64 << 10       // holds the program headers
	keepHead  = 5 << 19        // of other files: dynamic symbols and their names stand here
	keepGo    = 256 << 20      // of Go binaries: all that is neither code nor debug information
	chunk     = 256 << 10      // is read at once
	lap       = before + after // of a chunk is seen again with the next
	maxTable  = 1 << 20        // section headers
	maxNoted  = 8              // note segments
)

// Head tells from the first bytes of a file, 4 KB or more, whether it is an ELF
// file and whether it is likely to be a Go binary. Go binaries whose build ID
// was left out and that another linker than Go's wrote are not recognised.
func Head(prefix []byte) (isELF, isGo bool) {
	if !bytes.HasPrefix(prefix, []byte(elfMagic)) {
		return false, false
	}
	h, err := readHeader(prefix, math.MaxUint64)
	if err != nil {
		return true, false
	}
	return true, h.looksGo(prefix)
}

// looksGo goes by the note of Go's build ID or, since that is often left out, by
// Go's linker being the only common one that writes section headers in front.
func (h *header) looksGo(prefix []byte) bool {
	if h.sectionsEarly && h.shnum > 0 {
		return true
	}
	v := &view{spans: []span{{0, prefix}}}
	for _, p := range h.progs {
		if p.typ != segNote {
			continue
		}
		for kind := range h.notes(v.from(p.off, min(p.size, maxNotes))) {
			if kind == noteGo {
				return true
			}
		}
	}
	return bytes.Contains(prefix, []byte(buildInfoMagic))
}

// Stream reads an ELF file of size bytes, forward and once, and adds the facts
// that the parser in memory would, but for the functions of Go binaries that
// Head does not recognise. At most 4 MB are held of files that are no Go
// binaries, and of Go binaries what is neither code nor debug information, up to
// 256 MB. It stops reading when it has seen what it needs. An error says what is
// malformed, or comes from r.
func Stream(r io.Reader, size int64, path string, facts *inventory.Facts) error {
	return new(Reader).Stream(r, size, path, facts)
}

// Reader reads many files one after the other, and takes less memory for it. The
// zero value is ready.
type Reader struct {
	body []byte // of a file that is held as it is, or ranges of one; no facts hold on to it
	work []byte // the bytes at hand of others
}

// Stream is like the function of that name.
func (s *Reader) Stream(r io.Reader, size int64, path string, facts *inventory.Facts) error {
	if size > keepWhole {
		return s.pieces(r, uint64(size), path, facts)
	}
	if int64(cap(s.body)) < size {
		s.body = make([]byte, min(size+size/4, keepWhole))
	}
	body := s.body[:max(size, 0)]
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("reading %d bytes: %w", size, err)
	}
	if !bytes.HasPrefix(body, []byte(elfMagic)) {
		return errors.New("no ELF file")
	}
	return parse(inventory.File{Path: path, Size: size, Body: body}, facts)
}

// pieces reads a stream of which only some ranges are held.
func (s *Reader) pieces(r io.Reader, size uint64, path string, facts *inventory.Facts) error {
	first := make([]byte, min(size, keepFirst))
	if _, err := io.ReadFull(r, first); err != nil {
		return fmt.Errorf("reading the first %d bytes: %w", len(first), err)
	}
	h, err := readHeader(first, size)
	if err != nil {
		return err
	}
	c := newCollector(h, first)
	if s.work == nil {
		s.work = make([]byte, lap+chunk)
	}
	if cap(s.body) < keepHead {
		s.body = make([]byte, keepHead)
	}
	err = c.read(io.MultiReader(bytes.NewReader(first), r), size, s.work)
	tell(h, c.view(size), c.marks, path, facts)
	return err
}

// collector keeps the ranges of a stream that are needed.
type collector struct {
	h     *header
	marks *marks
	kept  []*kept
	// strings are kept of what the dynamic section may name.
	snippets []span
	isGo     bool
	lacks    string
	free     []byte // serves for ranges that fit in
}

// kept is a range of the file of which data have come so far.
type kept struct {
	extent
	data []byte
}

func newCollector(h *header, first []byte) *collector {
	c := &collector{h: h, marks: newMarks()}
	want := []extent{{0, keepHead}}
	if off, n := h.sections(); n > 0 {
		want = append(want, extent{off, off + min(n, maxTable)})
	}
	noted := 0
	for _, p := range h.progs {
		switch p.typ {
		case segDynamic:
			want = append(want, extent{p.off, p.off + min(p.size, maxDynamic)})
		case segInterp:
			want = append(want, extent{p.off, p.off + min(p.size, maxString)})
		case segNote:
			if noted++; noted <= maxNoted {
				want = append(want, extent{p.off, p.off + min(p.size, maxNotes) + gnuNote})
			}
		}
	}
	if h.looksGo(first) {
		all := union(append(append([]extent(nil), h.readOnly...), h.writable...))
		var sum uint64
		for _, e := range all {
			sum += e.end - e.off
		}
		if c.isGo = sum <= keepGo; c.isGo {
			want = append(want, all...)
		} else {
			c.lacks = fmt.Sprintf("%d bytes that may hold tables are more than %d", sum, keepGo)
		}
	} else {
		c.lacks = "nothing at its start told that it is one"
	}
	for _, e := range union(want) {
		if e.end > e.off {
			c.kept = append(c.kept, &kept{extent: e})
		}
	}
	return c
}

// last is the end of what is needed of the stream.
func (c *collector) last() uint64 {
	var end uint64
	for _, k := range c.kept {
		end = max(end, k.end)
	}
	for _, all := range [][]extent{c.h.readOnly, c.h.writable} {
		for _, e := range all {
			end = max(end, e.end)
		}
	}
	return end
}

// read takes the stream chunk by chunk. Each is searched together with the end
// of the one before. buf has room for both.
func (c *collector) read(r io.Reader, size uint64, buf []byte) error {
	carried := 0      // bytes of the last chunk at the start of buf
	next := uint64(0) // offset of the chunk to come
	for next < min(c.last(), size) {
		n, err := io.ReadFull(r, buf[carried:carried+int(min(chunk, min(c.last(), size)-next))])
		work := buf[:carried+n]
		for _, k := range c.kept {
			c.add(k, next, work[carried:], size)
		}
		base := next - uint64(carried)
		next += uint64(len(work[carried:]))
		c.search(work, base, carried, err != nil || next >= min(c.last(), size))
		if err != nil {
			return fmt.Errorf("reading at %d of %d bytes: %w", next, size, err)
		}
		carried = copy(buf, work[max(len(work)-lap, 0):])
	}
	return nil
}

// add takes the part of a chunk that belongs to a range of a file of some size.
func (c *collector) add(k *kept, off uint64, b []byte, size uint64) {
	next := k.off + uint64(len(k.data))
	end := min(k.end, off+uint64(len(b)))
	if next < off || next >= end {
		return
	}
	if k.data == nil {
		n := min(k.end, size) - k.off
		if n <= uint64(len(c.free)) {
			k.data, c.free = c.free[:0:n], c.free[n:]
		} else {
			k.data = make([]byte, 0, n)
		}
	}
	k.data = append(k.data, b[next-off:end-off]...)
}

// search looks for marks in the bytes that came and in those before them that
// lacked what follows them. Where nothing follows, done is true.
func (c *collector) search(work []byte, base uint64, carried int, done bool) {
	var keep func(off uint64, s []byte)
	if !c.isGo && base+uint64(len(work)) > keepHead {
		keep = func(off uint64, s []byte) {
			if off+uint64(len(s)) > keepHead && len(c.snippets) < maxSnippets {
				c.snippets = append(c.snippets, span{off, bytes.Clone(s)})
			}
		}
	}
	m := c.marks
	for _, e := range c.h.readOnly {
		if w, ok := cut(e, work, base, carried, done); ok {
			had := m.auditableAt
			if m.strings(w, keep); m.auditableAt != had {
				c.grab(m.auditableAt, maxAuditable, work, base)
			}
		}
	}
	for _, e := range c.h.writable {
		if w, ok := cut(e, work, base, carried, done); ok {
			had := m.buildInfoAt
			if m.buildInfo(w); m.buildInfoAt != had && !c.isGo {
				c.grab(m.buildInfoAt, maxBuildInfo, work, base)
			}
		}
	}
}

// cut returns the window on the part of an extent that is at hand: marks that
// start where an earlier window ended, and end where the next will start.
func cut(e extent, work []byte, base uint64, carried int, done bool) (window, bool) {
	end := base + uint64(len(work))
	low, high := max(e.off, base), min(e.end, end)
	if low >= high {
		return window{}, false
	}
	w := window{data: work[low-base : high-base], base: low}
	if first := base + uint64(max(carried-after, 0)); first > low {
		w.from = len(w.data[:min(first-low, uint64(len(w.data)))])
	}
	w.to = len(w.data)
	if high != e.end && !done {
		w.to = max(len(w.data)-after, 0) // the next window sees these with what follows them
	}
	return w, w.from < w.to
}

// grab keeps a range that starts within the bytes at hand.
func (c *collector) grab(at, n uint64, work []byte, base uint64) {
	k := &kept{extent: extent{at, at + n}}
	c.add(k, at, work[at-base:], at+n)
	c.kept = append(c.kept, k)
}

func (c *collector) view(size uint64) *view {
	v := &view{size: size, spans: c.snippets, lacks: c.lacks}
	for _, k := range c.kept {
		v.spans = append(v.spans, span{k.off, k.data})
	}
	return v
}
