package admit

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"seawall/internal/kit/clock"
)

const (
	ways = 8
	// pinnable is how many entries of a set may be safe from newcomers. The
	// rest always turn over, so that a set cannot be filled up for good.
	pinnable = 6
	// forget is after how many idle seconds a safe entry is safe no longer.
	forget = 3600
	// ahead and above, modulo 2^16, a difference of seconds is a small negative
	// one: two goroutines read the clock a little apart.
	ahead = 1<<16 - 60
)

// table is a set-associative table of a fixed size: a key belongs to one set of
// eight entries and nowhere else, as in a processor's cache, so that a look-up
// touches one head and one cell. Sets are locked one at a time, never two.
type table[C any] struct {
	sets []set[C]
}

// set is a head of one cache line and eight cells.
type set[C any] struct {
	head
	cells [ways]C
}

// head is what a look-up needs of all eight cells: 64 bytes. Its fields, but
// for lock, belong to whoever holds the lock.
type head struct {
	lock   atomic.Uint32
	used   uint8 // bit i: cell i is taken
	pinned uint8 // bit i: newcomers may not push cell i out
	_      uint16
	// carry is the worst state of any budget that was pushed out of this set.
	// Who comes (back) starts from it, so that nobody gets a fresh budget by
	// being pushed out; and it is the shared budget of those for whom the set
	// has no room.
	carry clock.Instant
	tags  [ways]uint32 // 32 bits of the key that did not choose the set
	last  [ways]uint16 // second, modulo 2^16, in which it was last used
}

func newTable[C any](entries int) table[C] {
	sets := make([]set[C], max(1, (entries+ways-1)/ways))
	huge(sets)
	return table[C]{sets}
}

// at finds the set of a key.
func (t *table[C]) at(key uint64) *set[C] {
	// The upper 32 bits, scaled to the number of sets (Lemire, "Fast random
	// integer generation in an interval", 2019): any size will do.
	return &t.sets[(key>>32)*uint64(len(t.sets))>>32]
}

// acquire locks the set. Whoever holds it is running and done in nanoseconds;
// only if the scheduler has put it aside does waiting make sense.
func (h *head) acquire() {
	for spins := 0; !h.lock.CompareAndSwap(0, 1); spins++ {
		if spins >= 30 {
			runtime.Gosched()
		}
	}
}

func (h *head) release() { h.lock.Store(0) }

// find returns the cell of a key, -1 where there is none.
func (h *head) find(key uint64) int {
	tag := uint32(key)
	for i := range h.tags {
		if h.tags[i] == tag && h.used>>i&1 == 1 {
			return i
		}
	}
	return -1
}

// room is what place found for a newcomer.
type room uint8

const (
	roomNone   room = iota // all cells are taken by proven clients
	roomEmpty              // the cell was empty
	roomPushed             // the cell still holds what is pushed out
)

// place takes a cell for a new key: an empty one, else that of the newcomer who
// was idle longest, else that of a proven client who has not been seen for an
// hour. The caller overwrites the cell.
func (h *head) place(key uint64, sec uint32) (int, room) {
	now := uint16(sec)
	best, idle, found := -1, uint16(0), roomNone
	for i := range h.tags {
		bit := uint8(1) << i
		if h.used&bit == 0 {
			best, found = i, roomEmpty
			break
		}
		d := now - h.last[i]
		if d > ahead {
			d = 0 // another goroutine is a second ahead
		}
		if h.pinned&bit != 0 && d < forget {
			continue
		}
		if best < 0 || d > idle {
			best, idle, found = i, d, roomPushed
		}
	}
	if best >= 0 {
		bit := uint8(1) << best
		h.used |= bit
		h.pinned &^= bit
		h.tags[best], h.last[best] = uint32(key), now
	}
	return best, found
}

// pin makes cell i safe from newcomers, or no longer so. It refuses quietly
// when enough of the set is safe already.
func (h *head) pin(i int, safe bool) {
	bit := uint8(1) << i
	switch {
	case !safe:
		h.pinned &^= bit
	case h.pinned&bit == 0 && bits.OnesCount8(h.pinned) < pinnable:
		h.pinned |= bit
	}
}

// touch marks cell i as used now and returns for how many seconds it was not.
func (h *head) touch(i int, sec uint32) (idle uint16) {
	idle = uint16(sec) - h.last[i]
	if idle > ahead {
		return 0
	}
	h.last[i] = uint16(sec)
	return idle
}
