package callers

import "net/netip"

// ways is how many entries a prefix may stand in: as many as so many bits can tell apart.
const (
	waysBits = 3
	ways     = 1 << waysBits
)

// set is a few entries, any of which a prefix may stand in. What decides which one stands
// together, apart from the entries: they may be large, and one look-up needs only one.
type set[V any] struct {
	tags    [ways]uint32 // the upper half of who's hash
	n       [ways]uint64 // 0: a free place
	entries [ways]entry[V]
}

// entry is whose it is, and what is kept.
type entry[V any] struct {
	who netip.Prefix
	v   V
}

// Table keeps a V of each. Make it with New.
type Table[V any] struct{ sets []set[V] }

// New makes a table of at least size entries.
func New[V any](size int) *Table[V] {
	return &Table[V]{sets: make([]set[V], max((size+ways-1)/ways, 1))}
}

// Count adds n to who's count and returns what is kept of who, and whether anything is. Of
// whoever is new it is what was kept of somebody else: the caller begins it anew, as far as
// he will look at it, which spares writing a large V of which little is used. It is valid
// until the next call.
func (t *Table[V]) Count(who netip.Prefix, n uint64) (v *V, known bool) {
	h := hash(who)
	s, tag := t.at(h), uint32(h>>32)
	for i := range s.tags {
		if s.tags[i] == tag && s.n[i] > 0 && s.entries[i].who == who {
			s.n[i] += n
			return &s.entries[i].v, true
		}
	}
	// The first of those that came least, found without a branch that nobody can foresee.
	fewest := s.n[0] << waysBits
	for i, n := range s.n[1:] {
		fewest = min(fewest, n<<waysBits|uint64(i+1))
	}
	least := fewest % ways
	e := &s.entries[least]
	s.tags[least], s.n[least], e.who = tag, n, who
	return &e.v, false
}

// at is h modulo the number of sets: where that is a power of two, without a division.
func (t *Table[V]) at(h uint64) *set[V] {
	n := uint64(len(t.sets))
	if n&(n-1) == 0 {
		return &t.sets[h&(n-1)]
	}
	return &t.sets[h%n]
}

// Each calls f with every entry, in an order that depends on nothing but what was
// counted.
func (t *Table[V]) Each(f func(who netip.Prefix, n uint64, v *V)) {
	for k := range t.sets {
		s := &t.sets[k]
		for i, n := range s.n {
			if n > 0 {
				f(s.entries[i].who, n, &s.entries[i].v)
			}
		}
	}
}

// Clear forgets all.
func (t *Table[V]) Clear() { clear(t.sets) }

// FNV-1a's offset and prime, and what it comes to after the twelve bytes that all IPv4
// addresses begin with in 16.
const offset, prime, offsetFour = 14695981039346656037, 1099511628211, 0x540b81da1cc1b60b

// hash is FNV-1a of the address and the length, mixed.
func hash(p netip.Prefix) uint64 {
	var h uint64
	if a := p.Addr(); a.Is4() {
		b := a.As4()
		h = (offsetFour ^ uint64(b[0])) * prime
		h = (h ^ uint64(b[1])) * prime
		h = (h ^ uint64(b[2])) * prime
		h = (h ^ uint64(b[3])) * prime
	} else {
		h = offset
		for _, c := range a.As16() {
			h = (h ^ uint64(c)) * prime
		}
	}
	h = (h ^ uint64(p.Bits())) * prime
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	return h ^ h>>33
}
