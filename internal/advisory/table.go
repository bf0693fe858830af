package advisory

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"unsafe"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/vuln"
)

// table reads a section of areas where it lies. Strings that it gives out lie in
// the section too.
type table struct {
	sums, body []byte
	areas      [areas]area
	checked    []atomic.Uint64 // a bit for each page whose checksum was found right
}

// area is a part of the body.
type area struct{ from, to uint64 }

func (a area) size() uint64 { return a.to - a.from }

func openTable(b []byte) (*table, error) {
	if len(b) < areasHeader {
		return nil, corrupt("%d bytes are less than a header", len(b))
	}
	t := &table{}
	at := uint64(0)
	for i := range t.areas {
		n := uint64(binary.LittleEndian.Uint32(b[4+4*i:]))
		t.areas[i] = area{at, at + n}
		at += n
	}
	pages := (at + pageSize - 1) / pageSize
	sumsEnd := areasHeader + 4*pages
	switch {
	case uint64(len(b)) != sumsEnd+at:
		return nil, corrupt("the areas do not fill it")
	case crc32.Checksum(b[4:sumsEnd], castagnoli) != binary.LittleEndian.Uint32(b):
		return nil, corrupt("the checksum of its header is wrong")
	}
	t.sums, t.body = b[areasHeader:sumsEnd], b[sumsEnd:]
	t.checked = make([]atomic.Uint64, (pages+63)/64)
	return t, nil
}

// bytes returns a part of the body once the checksums of its pages are right.
func (t *table) bytes(from, n uint64) ([]byte, error) {
	if from > uint64(len(t.body)) || n > uint64(len(t.body))-from {
		return nil, corrupt("%d bytes at %d lie outside", n, from)
	}
	if n == 0 {
		return nil, nil
	}
	for page := from / pageSize; page <= (from+n-1)/pageSize; page++ {
		bit := uint64(1) << (page % 64)
		if t.checked[page/64].Load()&bit != 0 {
			continue
		}
		end := min((page+1)*pageSize, uint64(len(t.body)))
		if crc32.Checksum(t.body[page*pageSize:end], castagnoli) != binary.LittleEndian.Uint32(t.sums[4*page:]) {
			return nil, corrupt("the checksum of page %d is wrong", page)
		}
		t.checked[page/64].Or(bit)
	}
	return t.body[from : from+n], nil
}

// piece returns what lies behind its length at a place of an area.
func (t *table) piece(in int, place uint64) ([]byte, error) {
	a := t.areas[in]
	if place >= a.size() {
		return nil, corrupt("place %d lies outside of its area", place)
	}
	at := a.from + place
	b, err := t.bytes(at, min(binary.MaxVarintLen32, a.to-at))
	if err != nil {
		return nil, err
	}
	n, w := binary.Uvarint(b)
	if w <= 0 || n > a.to-at-uint64(w) {
		return nil, corrupt("the length at %d is wrong", at)
	}
	return t.bytes(at+uint64(w), n)
}

func (t *table) text(place uint64) (string, error) {
	if place == 0 {
		return "", nil
	}
	// Most strings are short and lie in a page that was read before.
	if at := t.areas[areaTexts].from + place; at < t.areas[areaTexts].to {
		n := uint64(t.body[at])
		end := at + 1 + n
		page := at / pageSize
		if n-1 < 0x7f && end <= t.areas[areaTexts].to && (end-1)/pageSize == page && t.checked[page/64].Load()&(1<<(page%64)) != 0 {
			return unsafe.String(&t.body[at+1], int(n)), nil //nolint:gosec // less than 0x80
		}
	}
	b, err := t.piece(areaTexts, place)
	if err != nil || len(b) == 0 {
		return "", err
	}
	return unsafe.String(&b[0], len(b)), nil // the section is never written to
}

// find returns the entry of a package, nil if there is none.
func (t *table) find(ecosystem, name string) (*cursor, error) {
	slots := t.areas[areaSlots].size() / 4
	if slots == 0 || slots&(slots-1) != 0 {
		return nil, corrupt("%d slots are no power of two", slots)
	}
	at := hash(ecosystem, name) & (slots - 1)
	for range slots {
		b, err := t.bytes(4*at, 4)
		if err != nil {
			return nil, err
		}
		place := binary.LittleEndian.Uint32(b)
		if place == 0 {
			return nil, nil //nolint:nilnil // there is none
		}
		c, err := t.cursor(areaPackages, uint64(place)-1)
		if err != nil {
			return nil, err
		}
		if e, n := c.text(), c.text(); c.err != nil {
			return nil, c.err
		} else if e == ecosystem && n == name {
			return c, nil
		}
		at = (at + 1) & (slots - 1)
	}
	return nil, nil //nolint:nilnil // there is none
}

// cursor reads numbers and strings off a piece. After an error it gives zeros.
type cursor struct {
	t   *table
	b   []byte
	err error
}

func (t *table) cursor(in int, place uint64) (*cursor, error) {
	b, err := t.piece(in, place)
	if err != nil {
		return nil, err
	}
	return &cursor{t: t, b: b}, nil
}

func (c *cursor) number() uint64 {
	n, w := binary.Uvarint(c.b)
	if w <= 0 {
		if c.err == nil {
			c.err = corrupt("an entry ends early")
		}
		c.b = nil
		return 0
	}
	c.b = c.b[w:]
	return n
}

// count reads how many things follow, each of at least one byte.
func (c *cursor) count() int {
	n := c.number()
	if n > uint64(len(c.b)) {
		if c.err == nil {
			c.err = corrupt("%d things in %d bytes", n, len(c.b))
		}
		c.b = nil
		return 0
	}
	return int(n) //nolint:gosec // at most len(c.b)
}

func (c *cursor) text() string {
	place := c.number()
	if c.err != nil {
		return ""
	}
	text, err := c.t.text(place)
	if err != nil {
		c.err = err
	}
	return text
}

func (c *cursor) texts(into []string) []string {
	for range c.count() {
		into = append(into, c.text())
	}
	return into
}

func (c *cursor) severity() seawall.Severity {
	return seawall.Severity(min(c.number(), uint64(seawall.Critical)))
}

// maxLookup bounds what is decoded for one package: a crafted file could name one
// long claim any number of times. The Linux kernel of Ubuntu needs a hundredth.
const maxLookup = 64 << 20

// reading is the room in which an advisory is put together.
type reading struct {
	vuln.Advisory

	record, claim cursor
	budget        int      // bytes that may still be decoded
	imported      []string // what the slices of Imports are cut from
	cvss          []string
}

//nolint:gochecknoglobals // a pool holds no state
var readings = sync.Pool{New: func() any { return new(reading) }}

// advisories yields what is known of a package.
func (t *table) advisories(ecosystem, name string, yield func(*vuln.Advisory) bool) error {
	c, err := t.find(ecosystem, name)
	if c == nil {
		return err
	}
	r := readings.Get().(*reading)
	defer readings.Put(r)
	r.budget = maxLookup
	for range c.count() {
		record, claim := c.number(), c.number()
		if c.err != nil {
			break
		}
		r.Ecosystem, r.Package = ecosystem, name
		if err := r.read(t, record, claim); err != nil {
			return err
		}
		if !yield(&r.Advisory) {
			return nil
		}
	}
	return c.err
}

func (r *reading) read(t *table, record, claim uint64) error {
	b, err := t.piece(areaRecords, record)
	if err != nil {
		return err
	}
	r.record = cursor{t: t, b: b}
	if b, err = t.piece(areaClaims, claim); err != nil {
		return err
	}
	r.claim = cursor{t: t, b: b}
	if r.budget -= len(r.record.b) + len(r.claim.b); r.budget < 0 {
		return corrupt("more than %d bytes on one package", maxLookup)
	}
	r.readRecord(&r.record)
	r.readClaim(&r.claim)
	if r.record.err != nil {
		return r.record.err
	}
	return r.claim.err
}

func (r *reading) readRecord(c *cursor) {
	r.ID = c.text()
	r.Source = c.text()
	r.Upstream = c.texts(r.Upstream[:0])
	r.Modified = c.text()
	r.Severity = c.severity()
	r.Aliases = c.texts(r.Aliases[:0])
	r.cvss = c.texts(r.cvss[:0])
	r.CVSS = r.cvss
	r.CWEs = c.texts(r.CWEs[:0])
}

func (r *reading) readClaim(c *cursor) {
	r.Status = c.text()
	r.Module = c.text()
	if s := c.severity(); s != seawall.None {
		r.Severity = s
	}
	if n := c.count(); n > 0 {
		r.CVSS = r.cvss[:0]
		for range n {
			r.CVSS = append(r.CVSS, c.text())
		}
		r.cvss = r.CVSS
	}
	r.Ranges = r.Ranges[:0]
	for range c.count() {
		r.Ranges = append(r.Ranges, vuln.Range{Introduced: c.text(), Fixed: c.text(), LastAffected: c.text()})
	}
	r.Versions = c.texts(r.Versions[:0])
	r.Imports, r.imported = r.Imports[:0], r.imported[:0]
	for range c.count() {
		r.Imports = append(r.Imports, vuln.Import{Path: c.text(), Symbols: r.cut(c), GOOS: r.cut(c), GOARCH: r.cut(c)})
	}
}

// cut reads strings into the common room. Where that grows, slices cut before
// keep the old one.
func (r *reading) cut(c *cursor) []string {
	from := len(r.imported)
	r.imported = c.texts(r.imported)
	return r.imported[from:len(r.imported):len(r.imported)]
}
