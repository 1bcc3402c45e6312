package callers

import "net/netip"

// ways is how many entries a prefix may stand in.
const ways = 8

// entry is what is kept of one. A zero n is a free place.
type entry[V any] struct {
	who netip.Prefix
	n   uint64
	v   V
}

// Table keeps a V of each. Make it with New.
type Table[V any] struct{ sets [][ways]entry[V] }

// New makes a table of at least size entries.
func New[V any](size int) *Table[V] {
	return &Table[V]{sets: make([][ways]entry[V], max((size+ways-1)/ways, 1))}
}

// Count adds n to who's count and returns what is kept of who: a zero V for whoever is
// new. It is valid until the next call.
func (t *Table[V]) Count(who netip.Prefix, n uint64) *V {
	set := &t.sets[hash(who)%uint64(len(t.sets))]
	least := 0
	for i := range set {
		e := &set[i]
		if e.n > 0 && e.who == who {
			e.n += n
			return &e.v
		}
		if e.n < set[least].n {
			least = i
		}
	}
	set[least] = entry[V]{who: who, n: n}
	return &set[least].v
}

// Each calls f with every entry, in an order that depends on nothing but what was
// counted.
func (t *Table[V]) Each(f func(who netip.Prefix, n uint64, v *V)) {
	for s := range t.sets {
		for i := range t.sets[s] {
			if e := &t.sets[s][i]; e.n > 0 {
				f(e.who, e.n, &e.v)
			}
		}
	}
}

// Clear forgets all.
func (t *Table[V]) Clear() { clear(t.sets) }

// hash is FNV-1a of the address and the length, mixed.
func hash(p netip.Prefix) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range p.Addr().As16() {
		h = (h ^ uint64(b)) * 1099511628211
	}
	h = (h ^ uint64(p.Bits())) * 1099511628211
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	return h ^ h>>33
}
