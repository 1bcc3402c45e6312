package sketch

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// Seed is the secret of the hashes, so that keys cannot be chosen to collide.
// Sketches of Distinct are merged only with others of the same Seed.
type Seed struct {
	text       maphash.Seed
	a, b, c, d uint64
}

// NewSeed draws a seed.
func NewSeed() Seed {
	return Seed{
		text: maphash.MakeSeed(),
		a:    rand.Uint64(), c: rand.Uint64(),
		// Odd, so that multiplying loses nothing of the low half.
		b: rand.Uint64() | 1, d: rand.Uint64() | 1,
	}
}

// FixedSeed is no secret: it is for what is recorded, which must give the same whenever
// it is replayed. Only Distinct's estimates depend on it, which take no texts.
func FixedSeed(n uint64) Seed {
	r := rand.New(rand.NewPCG(n, n))
	return Seed{text: maphash.MakeSeed(), a: r.Uint64(), c: r.Uint64(), b: r.Uint64() | 1, d: r.Uint64() | 1}
}

func (s *Seed) string(k string) uint64 { return maphash.String(s.text, k) }

// number mixes by folding 128-bit products, twice, keyed each time.
func (s *Seed) number(k uint64) uint64 {
	hi, lo := bits.Mul64(k^s.a, s.b)
	hi, lo = bits.Mul64(hi^lo^s.c, s.d)
	return hi ^ lo
}
