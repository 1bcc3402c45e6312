package sign

import "math/bits"

// bitset holds a set of sample numbers. All sets over the same samples have
// the same length.
type bitset []uint64

func newBits(n int) bitset { return make(bitset, (n+63)/64) }

func allBits(n int) bitset {
	b := newBits(n)
	for i := range n {
		b.set(i)
	}
	return b
}

func (b bitset) set(i int) { b[i/64] |= 1 << (i % 64) }

func (b bitset) has(i int) bool { return b[i/64]>>(i%64)&1 == 1 }

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// countBoth counts what is in b and in c.
func (b bitset) countBoth(c bitset) int {
	n := 0
	for i, w := range b {
		n += bits.OnesCount64(w & c[i])
	}
	return n
}

// keep returns what is in b and in c.
func (b bitset) keep(c bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] & c[i]
	}
	return out
}

// remove takes out of b what is in c.
func (b bitset) remove(c bitset) {
	for i := range b {
		b[i] &^= c[i]
	}
}
