package sketch

import (
	"math/bits"
	"math/rand/v2"
)

// Reservoir keeps an even sample of a stream of unknown length: every item
// seen so far is in it with the same probability.
type Reservoir[T any] struct {
	items []T
	limit int // how many may be kept; below cap(items) after an uneven Merge
	seen  uint64
	coin  *rand.PCG
}

// NewReservoir makes a reservoir of capacity items, allocated at once. The
// same seed draws the same coins.
func NewReservoir[T any](capacity int, seed uint64) *Reservoir[T] {
	capacity = max(capacity, 1)
	return &Reservoir[T]{
		items: make([]T, 0, capacity),
		limit: capacity,
		coin:  rand.NewPCG(seed, 0x9e3779b97f4a7c15),
	}
}

// Offer counts one more item and tosses the coin. It returns the place to put
// the item in, or nil when it is not to be kept; so an item that is not kept
// costs no copy. The place may hold an older item, to be overwritten whole.
func (r *Reservoir[T]) Offer() *T {
	r.seen++
	if n := len(r.items); n < r.limit {
		r.items = r.items[:n+1]
		return &r.items[n]
	}
	if i := r.draw(r.seen); i < uint64(len(r.items)) {
		return &r.items[i]
	}
	return nil
}

// draw returns a number below n. (The bias of not rejecting is below n/2^64.)
func (r *Reservoir[T]) draw(n uint64) uint64 {
	hi, _ := bits.Mul64(r.coin.Uint64(), n)
	return hi
}

// Items returns the sample, in no particular order. It is the reservoir's own
// and valid until the next call.
func (r *Reservoir[T]) Items() []T { return r.items }

// Seen returns how many items were offered.
func (r *Reservoir[T]) Seen() uint64 { return r.seen }

// Merge makes r an even sample of what both saw; o keeps its items in another
// order.
func (r *Reservoir[T]) Merge(o *Reservoir[T]) {
	MergeAs(r, o, func(to, from *T) { *to = *from })
}

// MergeAs is Merge for a reservoir of another type, whose chosen items are
// converted. Both may end with fewer items than fit: the sparser sample of the
// two decides how dense an even one can be.
func MergeAs[T, U any](r *Reservoir[T], o *Reservoir[U], convert func(to *T, from *U)) {
	if o.seen == 0 {
		return
	}
	total := float64(r.seen + o.seen)
	rate := min(1, float64(cap(r.items))/total, float64(len(o.items))/float64(o.seen))
	if r.seen > 0 {
		rate = min(rate, float64(len(r.items))/float64(r.seen))
	}
	keep := r.share(rate, r.seen, len(r.items))
	room := cap(r.items) - keep
	take := min(r.share(rate, o.seen, len(o.items)), room)
	shuffle(r.items, keep, r)
	shuffle(o.items, take, r)
	clear(r.items[keep:])
	r.items = r.items[:keep+take]
	for i := range take {
		convert(&r.items[keep+i], &o.items[i])
	}
	r.seen += o.seen
	r.limit = cap(r.items)
	if r.seen > uint64(len(r.items)) {
		r.limit = len(r.items)
	}
}

// share returns rate * seen, rounded by a coin, at most have.
func (r *Reservoir[T]) share(rate float64, seen uint64, have int) int {
	if rate == 1 {
		return have
	}
	x := rate * float64(seen)
	n := int(x)
	if float64(r.coin.Uint64()>>11)/(1<<53) < x-float64(n) {
		n++
	}
	return min(n, have)
}

// shuffle puts a random choice of k items first.
func shuffle[T, U any](items []U, k int, r *Reservoir[T]) {
	if k == len(items) {
		return
	}
	for i := range k {
		j := i + int(r.draw(uint64(len(items)-i)))
		items[i], items[j] = items[j], items[i]
	}
}

// Reset empties the reservoir. The items stay in memory until overwritten.
func (r *Reservoir[T]) Reset() {
	r.items, r.seen, r.limit = r.items[:0], 0, cap(r.items)
}
