package sketch

import (
	"math"
	"math/bits"
)

// smallBits is how many bits a Small has.
const smallBits = 1024

// Small estimates how many different keys it saw, up to some thousands, in 128 bytes
// and with no secret, for whom a wrong estimate does no harm: linear counting (Whang,
// Vander-Zanden and Taylor, ACM TODS 15(2), 1990), some 4 % off at a thousand. The
// zero value is empty.
type Small [smallBits / 64]uint64

// Add sees a key.
func (s *Small) Add(key string) { s.AddHash(Hash(key)) }

// AddHash sees a key by its Hash.
func (s *Small) AddHash(h uint64) {
	s[h>>6%uint64(len(s))] |= 1 << (h & 63)
}

// Count estimates the number of different keys.
func (s *Small) Count() float64 {
	empty := smallBits
	for _, w := range s {
		empty -= bits.OnesCount64(w)
	}
	return smallBits * math.Log(smallBits/float64(max(empty, 1)))
}

// Hash is the same for the same key in every process: FNV-1a, its bits mixed by the
// finalizer of MurmurHash3. Who chooses keys can make them collide.
func Hash(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
