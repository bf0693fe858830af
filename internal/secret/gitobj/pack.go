package gitobj

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// Pack reads the objects of a pack file of a size in bytes, in the order in
// which they stand there; the file needs no index. Objects that are kept as
// changes to others are put together. An object that cannot be read is an error
// of its own with the offset it begins at, and the rest goes on where that is
// possible.
func Pack(file io.ReaderAt, size int64, l Limits) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		p := &pack{file: file, end: size - trailer, limits: l, left: l.total(), ids: map[ID]int64{}, waiting: map[ID][]entry{}, pending: map[int64]ID{}}
		p.read(yield)
	}
}

const (
	packHeader = 12
	trailer    = 20 // the SHA-1 of all before
	// overhead is what reading any object counts for beside its bytes, so that
	// very many small ones end too.
	overhead = 256
)

// pack is a pack file on its way.
type pack struct {
	file   io.ReaderAt
	end    int64
	limits Limits
	left   int64 // of limits.Total
	// ids says where objects begin, for deltas that name their base.
	ids map[ID]int64
	// waiting holds deltas by the name of a base that has not come yet, and those
	// that are changes to them; pending has the offsets of all of them.
	waiting map[ID][]entry
	pending map[int64]ID
	cache   cache
	// base and changed are of the object that was put together last, if it was
	// one change to an object that was handed over before.
	base    ID
	changed []Span
	zr      io.ReadCloser
	in      *bufio.Reader
}

// entry is an object as it stands in the pack.
type entry struct {
	kind Kind
	size int64
	at   int64 // of the entry
	data int64 // of what is compressed
	base int64 // offset of the base of a delta
	name ID    // of the base, where the delta names it so
}

func (p *pack) read(yield func(Object, error) bool) {
	head := make([]byte, packHeader)
	if _, err := p.file.ReadAt(head, 0); err != nil || string(head[:4]) != "PACK" {
		yield(Object{}, errors.New("reading a pack: no header"))
		return
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
		yield(Object{}, fmt.Errorf("reading a pack: unknown version %d", v))
		return
	}
	count := binary.BigEndian.Uint32(head[8:])
	at := int64(packHeader)
	for range count {
		e, err := p.entry(at)
		if err != nil {
			yield(Object{}, err) // where the next one begins is not known
			return
		}
		body, next, err := p.inflate(e)
		if next == 0 {
			yield(Object{}, err)
			return
		}
		at = next
		if name, waits := p.waitsFor(e); err == nil && waits {
			p.waiting[name] = append(p.waiting[name], e)
			p.pending[e.at] = name
			continue
		}
		if !p.emit(e, body, err, yield) {
			return
		}
	}
	for name, some := range p.waiting {
		if !yield(Object{}, fmt.Errorf("reading a pack: %d objects change %s, which is not there", len(some), name)) {
			return
		}
	}
}

// waitsFor is the object that must come before a delta can be put together.
// Packs that were fetched name bases that stand behind, and have changes to
// such changes.
func (p *pack) waitsFor(e entry) (ID, bool) {
	switch e.kind {
	case refDelta:
		at, known := p.ids[e.name]
		if !known {
			return e.name, true
		}
		name, waits := p.pending[at]
		return name, waits
	case offsetDelta:
		name, waits := p.pending[e.base]
		return name, waits
	default:
		return ID{}, false
	}
}

// emit puts an object together and hands it over, and then those that waited
// for it. False ends all.
func (p *pack) emit(e entry, body []byte, err error, yield func(Object, error) bool) bool {
	var ready []entry
	for {
		kind := e.kind
		if err == nil {
			kind, body, err = p.resolve(e, body)
		}
		base, changed := p.base, p.changed
		p.base, p.changed = ID{}, nil
		if err != nil {
			if !yield(Object{}, fmt.Errorf("reading the object at %d of a pack: %w", e.at, err)) || p.left < 0 {
				return false
			}
		} else {
			id := nameOf(kind, body)
			p.ids[id] = e.at
			p.cache.put(e.at, cached{kind, id, body})
			ready = append(ready, p.waiting[id]...)
			delete(p.waiting, id)
			if !yield(Object{Kind: kind, ID: id, Body: body, Base: base, Changed: changed}, nil) {
				return false
			}
		}
		if len(ready) == 0 {
			return true
		}
		e, ready = ready[len(ready)-1], ready[:len(ready)-1]
		delete(p.pending, e.at)
		body, _, err = p.inflate(e)
	}
}

// resolve applies deltas down to an object that is whole.
func (p *pack) resolve(e entry, body []byte) (Kind, []byte, error) {
	var deltas [][]byte
	held := int64(0)
	for e.kind >= offsetDelta {
		deltas = append(deltas, body)
		if held += int64(len(body)); held > p.limits.object() || len(deltas) > maxDepth {
			return 0, nil, fmt.Errorf("a chain of %d changes: %w", len(deltas), ErrTooLarge)
		}
		base := e.base
		if e.kind == refDelta {
			base = p.ids[e.name]
		}
		if known, ok := p.cache.objects[base]; ok {
			e, body = entry{kind: known.kind}, known.body
			if len(deltas) == 1 {
				p.base = known.id
			}
			break
		}
		below, err := p.entry(base)
		if err != nil {
			return 0, nil, err
		}
		// Offsets of bases are smaller than those of their deltas; names of bases
		// are known only of objects read before: no chain comes back to itself.
		e = below
		if _, known := p.ids[e.name]; e.kind == refDelta && !known {
			return 0, nil, errors.New("the base of its base is not there")
		}
		if body, _, err = p.inflate(e); err != nil {
			return 0, nil, err
		}
	}
	for _, delta := range slices.Backward(deltas) {
		var err error
		if body, err = p.apply(body, delta); err != nil {
			return 0, nil, err
		}
	}
	if p.base == (ID{}) {
		p.changed = nil
	}
	return e.kind, body, nil
}

// entry reads what stands before an object: its type and size, and its base.
func (p *pack) entry(at int64) (entry, error) {
	var buf [48]byte
	n, err := p.file.ReadAt(buf[:min(int64(len(buf)), max(0, p.end-at))], at)
	if n == 0 {
		return entry{}, fmt.Errorf("reading the object at %d of a pack: it is cut off (%w)", at, cutOff(err))
	}
	head := buf[:n]
	bad := fmt.Errorf("reading the object at %d of a pack: malformed header", at)
	e := entry{at: at, kind: Kind(head[0] >> 4 & 7), size: int64(head[0] & 15)}
	i, shift := 1, 4
	for c := head[0]; c&0x80 != 0; i++ {
		if i == len(head) || shift > 56 {
			return entry{}, bad
		}
		c = head[i]
		e.size |= int64(c&0x7f) << shift
		shift += 7
	}
	switch e.kind {
	case Commit, Tree, Blob, Tag:
	case offsetDelta:
		back := int64(0)
		for first := true; ; first = false {
			if i == len(head) || back > 1<<48 {
				return entry{}, bad
			}
			c := head[i]
			i++
			if !first {
				back++
			}
			back = back<<7 | int64(c&0x7f)
			if c&0x80 == 0 {
				break
			}
		}
		if e.base = at - back; back <= 0 || e.base < packHeader {
			return entry{}, bad
		}
	case refDelta:
		if len(head)-i < len(e.name) {
			return entry{}, bad
		}
		i += copy(e.name[:], head[i:])
	default:
		return entry{}, bad
	}
	e.data = at + int64(i)
	if e.size < 0 || e.data > p.end {
		return entry{}, bad
	}
	return e, nil
}

func cutOff(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// inflate returns the content of an entry, and where the next begins; that is 0
// if it cannot be known. Content beyond the limits is passed over.
func (p *pack) inflate(e entry) (body []byte, next int64, err error) {
	section := &counted{r: io.NewSectionReader(p.file, e.data, p.end-e.data)}
	if p.in == nil {
		p.in = bufio.NewReaderSize(section, 16<<10)
	} else {
		p.in.Reset(section)
	}
	if p.zr == nil {
		p.zr, err = zlib.NewReader(p.in)
	} else {
		err = p.zr.(zlib.Resetter).Reset(p.in, nil)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the object at %d of a pack: %w", e.at, err)
	}
	if p.left -= e.size + overhead; p.left < 0 {
		return nil, 0, fmt.Errorf("reading the object at %d of a pack: all objects together are %w", e.at, ErrTooLarge)
	}
	tooLarge := e.size > p.limits.object()
	if tooLarge {
		var n int64
		if n, err = io.CopyN(io.Discard, p.zr, e.size); err == nil && n == e.size {
			err = p.atEnd()
		}
	} else {
		body, err = p.exactly(e.size)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the object at %d of a pack: %w", e.at, cutOff(err))
	}
	next = e.data + section.n - int64(p.in.Buffered())
	if tooLarge {
		return nil, next, fmt.Errorf("%d bytes: %w", e.size, ErrTooLarge)
	}
	return body, next, nil
}

// exactly reads n bytes and the end behind them. Memory grows with what is
// there, not with what a header says.
func (p *pack) exactly(n int64) ([]byte, error) {
	body := make([]byte, 0, min(n, 64<<10))
	for int64(len(body)) < n {
		if len(body) == cap(body) {
			bigger := make([]byte, len(body), min(n, int64(4*cap(body))))
			copy(bigger, body)
			body = bigger
		}
		m, err := p.zr.Read(body[len(body):cap(body)])
		body = body[:len(body)+m]
		if err != nil && (!errors.Is(err, io.EOF) || int64(len(body)) < n) {
			return nil, err
		}
	}
	return body, p.atEnd()
}

// atEnd demands that nothing more is compressed, and reads the checksum.
func (p *pack) atEnd() error {
	var one [1]byte
	switch n, err := p.zr.Read(one[:]); {
	case n > 0:
		return errors.New("it is longer than it says")
	case err == nil:
		return errors.New("no end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// apply makes an object from its base and a delta: the two sizes, then copies
// from the base and new bytes. It notes what is new, and where copies meet.
func (p *pack) apply(base, delta []byte) ([]byte, error) {
	bad := errors.New("malformed change")
	from, n := binary.Uvarint(delta)
	if n <= 0 || from != uint64(len(base)) {
		return nil, bad
	}
	delta = delta[n:]
	size, n := binary.Uvarint(delta)
	if n <= 0 {
		return nil, bad
	}
	delta = delta[n:]
	if size > uint64(p.limits.object()) { //nolint:gosec // positive
		return nil, fmt.Errorf("%d bytes: %w", size, ErrTooLarge)
	}
	if p.left -= int64(size); p.left < 0 { //nolint:gosec // within the limit
		return nil, fmt.Errorf("all objects together: %w", ErrTooLarge)
	}
	out := make([]byte, 0, size)
	p.changed = nil
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		if op&0x80 == 0 {
			n := int(op)
			if n == 0 || n > len(delta) || len(out)+n > int(size) { //nolint:gosec // within the limit
				return nil, bad
			}
			p.note(len(out), len(out)+n)
			out = append(out, delta[:n]...)
			delta = delta[n:]
			continue
		}
		offset, length := 0, 0
		for i := range 7 {
			if op>>i&1 == 0 {
				continue
			}
			if len(delta) == 0 {
				return nil, bad
			}
			if i < 4 {
				offset |= int(delta[0]) << (8 * i)
			} else {
				length |= int(delta[0]) << (8 * (i - 4))
			}
			delta = delta[1:]
		}
		if length == 0 {
			length = 0x10000
		}
		if offset > len(base) || length > len(base)-offset || len(out)+length > int(size) { //nolint:gosec // within the limit
			return nil, bad
		}
		p.note(len(out), len(out))
		out = append(out, base[offset:offset+length]...)
	}
	if uint64(len(out)) != size {
		return nil, bad
	}
	p.note(len(out), len(out))
	return out, nil
}

// maxSpans is how many changes of an object are told apart.
const maxSpans = 4096

// note adds to what is new.
func (p *pack) note(start, end int) {
	if n := len(p.changed); n > 0 && (p.changed[n-1].End == start || n == maxSpans) {
		p.changed[n-1].End = end
		return
	}
	p.changed = append(p.changed, Span{start, end})
}

// counted counts the bytes read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// cache keeps the objects read last, which are the bases of the next, up to
// cacheBytes.
type cache struct {
	objects map[int64]cached
	order   []int64
	bytes   int
}

type cached struct {
	kind Kind
	id   ID
	body []byte
}

func (c *cache) put(at int64, o cached) {
	if len(o.body) > cacheBytes/4 {
		return
	}
	if c.objects == nil {
		c.objects = map[int64]cached{}
	}
	if _, ok := c.objects[at]; ok {
		return
	}
	c.objects[at] = o
	c.order = append(c.order, at)
	c.bytes += len(o.body) + 128
	for c.bytes > cacheBytes {
		first := c.order[0]
		c.order = c.order[1:]
		c.bytes -= len(c.objects[first].body) + 128
		delete(c.objects, first)
	}
}
