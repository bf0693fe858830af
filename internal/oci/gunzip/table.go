package gunzip

import "math/bits"

// An entry of a table says what symbol the next bits are:
//
//	bits  0-5   how many bits the symbol and its extra bits take
//	bits  8-11  how many of them the symbol takes
//	bits 13-15  what it is
//	bits 16-31  a literal; what a length or distance is at least; where a link
//	            leads. Of a special one: 0 for the end of the block, else an error
//
// A link leads to a second table for symbols longer than the first one's index;
// its lower bits are a mask for the bits that follow.
const (
	isLiteral = 1 << 15
	isLink    = 1 << 14
	isSpecial = 1 << 13

	endOfBlock = isSpecial
	invalid    = 1<<16 | isSpecial
)

const (
	litBits  = 11
	litMask  = 1<<litBits - 1
	litSize  = 1 << 13 // 2,048 and at most 143 times 16
	distBits = 8
	distMask = 1<<distBits - 1
	distSize = 1 << 12 // 256 and at most 15 times 128

	maxLength = 15 // of a symbol
	lits      = 286
	dists     = 30
)

type tables struct {
	lit  litTable
	dist distTable

	isFixed bool // lit and dist are those of fixed blocks
}

type (
	litTable  [litSize]uint32
	distTable [distSize]uint32
)

func (t *litTable) find(next uint64) uint32 {
	e := t[next&litMask]
	if e&isLink != 0 {
		e = t[(uint64(e>>16)+next>>litBits&uint64(e&127))%litSize]
	}
	return e
}

func (t *distTable) find(next uint64) uint32 {
	e := t[next&distMask]
	if e&isLink != 0 {
		e = t[(uint64(e>>16)+next>>distBits&uint64(e&127))%distSize]
	}
	return e
}

// Entries without the symbol's own bits.
var litBase, distBase, lengthBase = bases() //nolint:gochecknoglobals // constant tables

func bases() (lit [lits + 2]uint32, dist [dists + 2]uint32, length [len(order)]uint32) {
	for i := range 256 {
		lit[i] = uint32(i)<<16 | isLiteral
	}
	lit[256] = endOfBlock
	least := uint32(3)
	for i := range 28 { // the 29th is 258 alone
		extra := uint32(0)
		if i >= 8 {
			extra = uint32(i)/4 - 1
		}
		lit[257+i] = least<<16 | extra
		least += 1 << extra
	}
	lit[285] = maxMatch << 16
	lit[286], lit[287] = invalid, invalid
	least = 1
	for i := range dists {
		extra := uint32(0)
		if i >= 4 {
			extra = uint32(i)/2 - 1
		}
		dist[i] = least<<16 | extra
		least += 1 << extra
	}
	dist[30], dist[31] = invalid, invalid
	for i := range length {
		length[i] = uint32(i)<<16 | isLiteral
	}
	return lit, dist, length
}

// build makes a table for symbols of the given lengths, 0 for those that do not
// occur. first is how many bits index the table itself; what follows those 1<<first
// entries are second tables. A code must be complete, but for one of a single
// symbol and for one of none.
//
//nolint:gosec // lengths are at most 15, and codes no longer
func build(table []uint32, first uint, lengths []uint8, base []uint32) error {
	var count, next [maxLength + 2]uint32
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	longest, code := uint(0), uint32(0)
	for l := uint(1); l <= maxLength; l++ {
		if count[l] > 0 {
			longest = l
		}
		next[l] = code
		code = (code + count[l]) << 1
	}
	code >>= maxLength + 1 - longest // the code after the last one
	if longest == 0 || code != 1<<longest {
		if longest > 1 || code > 1 {
			return ErrCorrupt
		}
		for i := range 1 << first {
			table[i] = invalid | 1
		}
	}
	free, second := uint32(1)<<first, longest-min(first, longest)
	if second > 0 {
		clear(table[:1<<first]) // no link is left of the last table
	}
	for symbol, length := range lengths {
		l := uint(length)
		if l == 0 {
			continue
		}
		e := base[symbol] + uint32(l)<<8 + uint32(l)
		reversed := uint(bits.Reverse16(uint16(next[l]))) >> (16 - l)
		next[l]++
		if l <= first {
			for i := reversed; i < 1<<first; i += 1 << l {
				table[i] = e
			}
			continue
		}
		link := &table[reversed&(1<<first-1)]
		if *link == 0 {
			*link = free<<16 | isLink | (1<<second - 1)
			free += 1 << second
		}
		sub := table[*link>>16:][:1<<second]
		for i := reversed >> first; i < 1<<second; i += 1 << (l - first) {
			sub[i] = e
		}
	}
	return nil
}

// fixed makes the tables of fixed blocks.
func (z *Reader) fixed() error {
	if z.isFixed {
		return nil
	}
	var l [lits + 2]uint8
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	if err := build(z.lit[:], litBits, l[:], litBase[:]); err != nil {
		return err
	}
	var d [dists + 2]uint8
	for i := range d {
		d[i] = 5
	}
	z.isFixed = true
	return build(z.dist[:], distBits, d[:], distBase[:])
}

// order is that of the lengths of the code in which lengths are written.
var order = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} //nolint:gochecknoglobals // a constant table

// dynamic reads the tables of a block.
func (z *Reader) dynamic() error {
	z.isFixed = false
	v, err := z.take(14)
	if err != nil {
		return err
	}
	nlit, ndist, n := v&31+257, v>>5&31+1, v>>10+4
	if nlit > lits || ndist > dists {
		return ErrCorrupt
	}
	var short [len(order)]uint8
	for _, i := range order[:n] {
		if v, err = z.take(3); err != nil {
			return err
		}
		short[i] = uint8(v) //nolint:gosec // 3 bits
	}
	// The table of distances serves for a moment.
	if err := build(z.dist[:], distBits, short[:], lengthBase[:]); err != nil {
		return err
	}
	var lengths [lits + dists]uint8
	for at := 0; at < nlit+ndist; {
		e, _, err := z.symbol(func() uint32 { return z.dist.find(z.bits) })
		if err != nil {
			return err
		}
		if e&isSpecial != 0 {
			return ErrCorrupt
		}
		symbol := uint8(e >> 16) //nolint:gosec // at most 18
		if symbol <= maxLength {
			lengths[at] = symbol
			at++
			continue
		}
		var again uint8
		times, extra := 3, uint(2)
		switch symbol {
		case 16: // the last length
			if at == 0 {
				return ErrCorrupt
			}
			again = lengths[at-1] //nolint:gosec // at is not 0
		case 17: // none, a few times
			extra = 3
		case 18: // none, many times
			times, extra = 11, 7
		}
		more, err := z.take(extra)
		if err != nil {
			return err
		}
		if times += more; at+times > nlit+ndist {
			return ErrCorrupt
		}
		for range times {
			lengths[at] = again
			at++
		}
	}
	if err := build(z.lit[:], litBits, lengths[:nlit], litBase[:]); err != nil {
		return err
	}
	return build(z.dist[:], distBits, lengths[nlit:nlit+ndist], distBase[:])
}
