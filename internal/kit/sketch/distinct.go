package sketch

import (
	"math"
	"math/bits"
)

// Precision of Distinct: 2^12 registers give a standard error of
// 1.04 / sqrt(4096) = 1.6 %.
const (
	precision = 12
	registers = 1 << precision
	maxRank   = 64 - precision + 1
)

// Distinct estimates how many different keys it saw. It takes 4 KiB.
type Distinct struct {
	seed Seed
	rank [registers]uint8
}

// NewDistinct makes an empty sketch. Only those of the same Seed can be merged.
func NewDistinct(seed Seed) *Distinct { return &Distinct{seed: seed} }

// Add sees a key.
func (d *Distinct) Add(key uint64) {
	h := d.seed.number(key)
	i := h >> (64 - precision)
	// The sentinel bit bounds the rank when the rest is all zeros.
	r := uint8(bits.LeadingZeros64(h<<precision|1<<(precision-1))) + 1
	if r > d.rank[i] {
		d.rank[i] = r
	}
}

// Count estimates the number of different keys.
func (d *Distinct) Count() uint64 {
	var have [maxRank + 1]int
	for _, r := range &d.rank {
		have[r]++
	}
	// Algorithm 6 of Ertl: no tables and no jumps between ranges.
	const m = float64(registers)
	z := m * tau(1-float64(have[maxRank])/m)
	for k := maxRank - 1; k >= 1; k-- {
		z = (z + float64(have[k])) / 2
	}
	z += m * sigma(float64(have[0])/m)
	return uint64(math.Round(m * m / (2 * math.Ln2 * z)))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		was := z
		z += x * y
		y += y
		if z == was {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		was := z
		y /= 2
		z -= (1 - x) * (1 - x) * y
		if z == was {
			return z / 3
		}
	}
}

// Merge adds what o saw; o must be of the same Seed and is left as it is.
func (d *Distinct) Merge(o *Distinct) {
	if d.seed != o.seed {
		panic("sketch: merging distinct counts of different seeds")
	}
	for i, r := range &o.rank {
		if r > d.rank[i] {
			d.rank[i] = r
		}
	}
}

// Reset forgets everything.
func (d *Distinct) Reset() { clear(d.rank[:]) }
