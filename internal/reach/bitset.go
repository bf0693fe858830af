package reach

import "math/bits"

// bitset is a set of class numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) has(i int) bool { return b != nil && b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) add(i int) { b[i/64] |= 1 << (i % 64) }

// split returns the members of b that are in c, and those that are not. One that
// is empty is nil.
func (b bitset) split(c bitset) (in, out bitset) {
	if c == nil {
		return nil, b
	}
	var anyIn, anyOut uint64
	for i, w := range b {
		anyIn |= w & c[i]
		anyOut |= w &^ c[i]
	}
	switch {
	case anyIn == 0:
		return nil, b
	case anyOut == 0:
		return b, nil
	}
	in, out = make(bitset, len(b)), make(bitset, len(b))
	for i, w := range b {
		in[i], out[i] = w&c[i], w&^c[i]
	}
	return in, out
}

func (b bitset) union(c bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] | c[i]
	}
	return out
}

// each calls f for the members in order.
func (b bitset) each(f func(int)) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			f(i*64 + bits.TrailingZeros64(w))
		}
	}
}

func (b bitset) size() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}
