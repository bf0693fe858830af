// Package gunzip unpacks gzip, which takes most of the time of reading an image.
// It does so in about half the time of the libraries, by ways that libdeflate is
// known for: it takes eight bytes of input at once, looks up a symbol together
// with its extra bits, and copies by words. It writes nothing and has no
// dictionaries. The format is RFC 1951 within RFC 1952.
package gunzip

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	window   = 32 << 10 // how far back a match may reach
	room     = 64 << 10 // bytes unpacked before some are handed out
	maxMatch = 258
	slack    = 16 // bytes beyond the end that copying by words may write
)

var (
	// ErrHeader says that there is no gzip header.
	ErrHeader = errors.New("gzip: the header is invalid")
	// ErrChecksum says that the data are not what was packed.
	ErrChecksum = errors.New("gzip: the checksum is wrong")
	// ErrCorrupt says that the compressed data make no sense.
	ErrCorrupt = errors.New("gzip: the compressed data are corrupt")
)

// Reader unpacks one member of a gzip file. It reads no further than its end,
// so that another member can follow.
type Reader struct {
	r    *bufio.Reader
	in   []byte // what r holds
	pos  int    // bytes of in that were taken, also those in bits
	bits uint64 // taken and not used yet, the next in bit 0
	n    uint   // how many of them count; those above are either 0 or what will come there

	out   []byte // the last 32 KiB that were handed out, and more
	wrote int    // bytes in out
	read  int    // bytes of out that were handed out

	block  func(*Reader) error // goes on with the block, nil between blocks
	stored int                 // bytes left of a stored block
	last   bool                // no block follows
	err    error

	sum  uint32
	size uint32

	tables
}

// NewReader reads the header of the member that r is at.
func NewReader(r *bufio.Reader) (*Reader, error) {
	z := &Reader{out: make([]byte, window+room+maxMatch+slack)}
	return z, z.Reset(r)
}

// Reset begins a new member.
func (z *Reader) Reset(r *bufio.Reader) error {
	z.r, z.in, z.pos, z.bits, z.n = r, nil, 0, 0, 0
	z.wrote, z.read, z.sum, z.size = 0, 0, 0, 0
	z.block, z.last = nil, false
	z.err = z.header()
	return z.err
}

// Read returns io.EOF once the member ended and its checksum and size are right.
func (z *Reader) Read(p []byte) (int, error) {
	for z.read == z.wrote {
		if z.err != nil {
			return 0, z.err
		}
		if z.wrote > window+room/2 {
			copy(z.out, z.out[z.wrote-window:z.wrote])
			z.wrote, z.read = window, window
		}
		z.err = z.unpack()
		fresh := z.out[z.read:z.wrote]
		z.sum = crc32.Update(z.sum, crc32.IEEETable, fresh)
		z.size += uint32(len(fresh)) //nolint:gosec // modulo 2^32, as the format has it
		if z.err == io.EOF {         //nolint:errorlint // set by unpack
			z.err = z.trailer()
		}
	}
	n := copy(p, z.out[z.read:z.wrote])
	z.read += n
	return n, nil
}

// header reads what stands before the compressed data.
func (z *Reader) header() error {
	var head [10]byte
	if _, err := io.ReadFull(z.r, head[:]); err != nil {
		return err //nolint:wrapcheck // the caller's own stream
	}
	if head[0] != 0x1f || head[1] != 0x8b || head[2] != 8 {
		return ErrHeader
	}
	sum := crc32.ChecksumIEEE(head[:])
	take := func(n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(z.r, b)
		sum = crc32.Update(sum, crc32.IEEETable, b)
		return b, unexpected(err)
	}
	flags := head[3]
	if flags&4 != 0 { // extra fields
		n, err := take(2)
		if err == nil {
			_, err = take(int(binary.LittleEndian.Uint16(n)))
		}
		if err != nil {
			return err
		}
	}
	for _, text := range []byte{8, 16} { // a name, a comment
		for length := 0; flags&text != 0; length++ {
			b, err := take(1)
			if err != nil {
				return err
			}
			if b[0] == 0 {
				break
			}
			if length == 64<<10 {
				return fmt.Errorf("%w: a name of more than %d bytes", ErrHeader, length)
			}
		}
	}
	if flags&2 != 0 { // a checksum of the header
		want := uint16(sum) //nolint:gosec // its lower half
		b, err := take(2)
		if err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(b) != want {
			return ErrHeader
		}
	}
	return nil
}

// trailer checks what stands behind the compressed data.
func (z *Reader) trailer() error {
	z.giveBack()
	var tail [8]byte
	if _, err := io.ReadFull(z.r, tail[:]); err != nil {
		return unexpected(err)
	}
	if binary.LittleEndian.Uint32(tail[:]) != z.sum || binary.LittleEndian.Uint32(tail[4:]) != z.size {
		return ErrChecksum
	}
	return io.EOF
}

func unexpected(err error) error {
	if err == io.EOF { //nolint:errorlint // readers return it unwrapped
		return io.ErrUnexpectedEOF
	}
	return err
}

// giveBack returns to r the whole bytes that were not used.
func (z *Reader) giveBack() {
	z.pos -= int(z.n >> 3)
	z.n &= 7
	z.bits &= 1<<z.n - 1
	_, _ = z.r.Discard(z.pos) // they were peeked at
	z.in, z.pos = nil, 0
}

// more gets input beyond the bytes that were taken and not used, which become
// part of it.
func (z *Reader) more() error {
	held := int(z.n >> 3)
	z.giveBack()
	var err error
	if z.r.Buffered() == held {
		_, err = z.r.Peek(held + 1)
	}
	if z.in, _ = z.r.Peek(z.r.Buffered()); len(z.in) > held {
		return nil
	}
	return unexpected(err)
}

// need makes sure that n bits, at most 32, are at hand.
func (z *Reader) need(n uint) error {
	for z.n < n {
		if z.pos == len(z.in) {
			held := z.n >> 3
			if err := z.more(); err != nil {
				return err
			}
			for ; held > 0; held-- { // more gave them back
				z.oneByte()
			}
		}
		z.oneByte()
	}
	return nil
}

func (z *Reader) oneByte() {
	z.bits |= uint64(z.in[z.pos]) << z.n
	z.pos++
	z.n += 8
}

// take returns the next n bits, at most 32.
func (z *Reader) take(n uint) (int, error) {
	if err := z.need(n); err != nil {
		return 0, err
	}
	v := z.bits & (1<<n - 1)
	z.use(n)
	return int(v), nil //nolint:gosec // 32 bits
}

func (z *Reader) use(n uint) {
	z.bits >>= n
	z.n -= n
}

// unpack fills out, or returns io.EOF at the end of the last block.
func (z *Reader) unpack() error {
	for z.wrote <= window+room {
		if z.block == nil {
			if z.last {
				return io.EOF
			}
			if err := z.begin(); err != nil {
				return err
			}
		}
		if err := z.block(z); err != nil {
			return err
		}
	}
	return nil
}

// begin reads the header of a block.
func (z *Reader) begin() error {
	v, err := z.take(3)
	if err != nil {
		return err
	}
	z.last = v&1 != 0
	switch v >> 1 {
	case 0:
		return z.beginStored()
	case 1:
		z.block = (*Reader).huffman
		return z.fixed()
	case 2:
		z.block = (*Reader).huffman
		return z.dynamic()
	}
	return ErrCorrupt
}

func (z *Reader) beginStored() error {
	z.use(z.n & 7)
	size, err := z.take(16)
	if err != nil {
		return err
	}
	inverse, err := z.take(16)
	if err != nil {
		return err
	}
	if size != ^inverse&0xffff {
		return ErrCorrupt
	}
	z.stored, z.block = size, (*Reader).copyStored
	return nil
}

func (z *Reader) copyStored() error {
	z.pos -= int(z.n >> 3)
	z.bits, z.n = 0, 0
	for z.stored > 0 && z.wrote <= window+room {
		if z.pos == len(z.in) {
			if err := z.more(); err != nil {
				return err
			}
		}
		n := copy(z.out[z.wrote:len(z.out)-slack], z.in[z.pos:min(len(z.in), z.pos+z.stored)])
		z.pos += n
		z.wrote += n
		z.stored -= n
	}
	if z.stored == 0 {
		z.block = nil
	}
	return nil
}

// huffman goes on with a compressed block.
func (z *Reader) huffman() error {
	for z.wrote <= window+room {
		if done, err := z.fast(); done || err != nil {
			return err
		}
		if z.wrote > window+room {
			break
		}
		// Near the end of the input at hand: symbol by symbol.
		if done, err := z.slow(); done || err != nil {
			return err
		}
	}
	return nil
}

// fast unpacks as long as 16 bytes of input and room for a match are at hand.
// What it keeps in variables would else be loaded and stored all the time.
//
//nolint:gosec // entries hold values of 8 and 16 bits
func (z *Reader) fast() (done bool, err error) {
	in, pos, bits, n := z.in, z.pos, z.bits, z.n
	out, at := z.out, z.wrote
	lit, dist := &z.lit, &z.dist
	for pos+16 <= len(in) && at <= window+room {
		bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int((63 - n) >> 3)
		n |= 56
		// 56 bits are three literals, or a match: 15 and 5, 15 and 13.
		e := lit[bits&litMask]
		if e&isLiteral != 0 {
			bits >>= e & 63
			n -= uint(e & 63)
			out[at] = byte(e >> 16)
			at++
			e = lit[bits&litMask]
			if e&isLiteral != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				out[at] = byte(e >> 16)
				at++
				e = lit[bits&litMask]
				if e&isLiteral != 0 {
					bits >>= e & 63
					n -= uint(e & 63)
					out[at] = byte(e >> 16)
					at++
					continue
				}
			}
			bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
			pos += int((63 - n) >> 3)
			n |= 56
		}
		if e&isLink != 0 {
			e = lit[(uint64(e>>16)+bits>>litBits&uint64(e&127))%litSize]
			if e&isLiteral != 0 {
				bits >>= e & 63
				n -= uint(e & 63)
				out[at] = byte(e >> 16)
				at++
				continue
			}
		}
		if e&isSpecial != 0 {
			bits >>= e & 63
			n -= uint(e & 63)
			if done = e>>16 == 0; !done {
				err = ErrCorrupt
			}
			break
		}
		length := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint(e & 63)

		e = dist[bits&distMask]
		if e&isLink != 0 {
			e = dist[(uint64(e>>16)+bits>>distBits&uint64(e&127))%distSize]
		}
		if e&isSpecial != 0 {
			err = ErrCorrupt
			break
		}
		distance := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint(e & 63)
		if distance > at {
			err = ErrCorrupt
			break
		}
		match(out, at, distance, length)
		at += length
	}
	z.pos, z.bits, z.n, z.wrote = pos, bits, n, at
	if done {
		z.block = nil
	}
	return done, err
}

// match repeats what was written distance bytes ago. It may write up to 7 bytes
// more than asked for.
func match(out []byte, at, distance, length int) {
	from, end := at-distance, at+length
	switch {
	case distance >= length && length > 32:
		copy(out[at:end], out[from:])
	case distance >= 8:
		for ; at < end; at, from = at+8, from+8 {
			binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[from:]))
		}
	case distance == 1:
		word := uint64(out[from]) * 0x0101010101010101
		for ; at < end; at += 8 {
			binary.LittleEndian.PutUint64(out[at:], word)
		}
	default:
		for ; at < end; at, from = at+1, from+1 {
			out[at] = out[from]
		}
	}
}

// slow unpacks one symbol.
func (z *Reader) slow() (done bool, err error) {
	e, extra, err := z.symbol(func() uint32 { return z.lit.find(z.bits) })
	if err != nil {
		return false, err
	}
	if e&isLiteral != 0 {
		z.out[z.wrote] = byte(e >> 16) //nolint:gosec // a literal
		z.wrote++
		return false, nil
	}
	if e&isSpecial != 0 {
		if e>>16 != 0 {
			return false, ErrCorrupt
		}
		z.block = nil
		return true, nil
	}
	length := int(e>>16) + extra
	e, extra, err = z.symbol(func() uint32 { return z.dist.find(z.bits) })
	if err != nil {
		return false, err
	}
	distance := int(e>>16) + extra
	if e&isSpecial != 0 || distance > z.wrote {
		return false, ErrCorrupt
	}
	match(z.out, z.wrote, distance, length)
	z.wrote += length
	return false, nil
}

// symbol returns the next entry that find finds, and the value of its extra bits.
func (z *Reader) symbol(find func() uint32) (e uint32, extra int, err error) {
	// An entry is the right one as soon as all bits that it takes are at hand.
	for e = find(); uint(e&63) > z.n; e = find() {
		if err := z.need(z.n + 1); err != nil {
			return 0, 0, err
		}
	}
	extra = int(z.bits & (1<<(e&63) - 1) >> (e >> 8 & 15)) //nolint:gosec // at most 13 bits
	z.use(uint(e & 63))
	return e, extra, nil
}
