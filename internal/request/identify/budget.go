package identify

import (
	"sync/atomic"
	"time"
)

// budget bounds how many new clearances a wide prefix gets in a minute, so that
// who rotates through the addresses of a rented block cannot farm them at will.
// It is a fixed table (128 KiB): sets of a few slots, found by a keyed hash that
// nobody outside can aim at. Where all slots of a set are in use in this minute,
// a further prefix gets none until the next; it is served all the same. Safe for
// concurrent use, without locks.
type budget struct {
	perMinute uint64
	slots     [budgetSets][budgetWays]atomic.Uint64
}

// A slot holds, from the top: 32 bits of the prefix's hash, 20 bits of the
// minute (wraps after two years), 12 bits of count.
const (
	budgetSets   = 4096
	budgetWays   = 4
	countBits    = 12
	minuteBits   = 20
	maxPerMinute = 1<<countBits - 1
)

// take takes one clearance from the budget of a prefix, by its keyed hash.
func (b *budget) take(prefix uint64, now time.Time) bool {
	minute := uint64(now.Unix()/60) & (1<<minuteBits - 1)
	tag := prefix >> 32
	set := &b.slots[prefix%budgetSets]
	fresh := tag<<(minuteBits+countBits) | minute<<countBits | 1
	for range 4 { // times that another goroutine may get in between
		free, old := -1, uint64(0)
		raced := false
		for i := range set {
			s := set[i].Load()
			current := s>>countBits&(1<<minuteBits-1) == minute && s != 0
			if current && s>>(minuteBits+countBits) == tag {
				if s&maxPerMinute >= b.perMinute {
					return false
				}
				if set[i].CompareAndSwap(s, s+1) {
					return true
				}
				raced = true
				break
			}
			if !current && free < 0 {
				free, old = i, s
			}
		}
		if raced {
			continue
		}
		if free < 0 {
			return false
		}
		if set[free].CompareAndSwap(old, fresh) {
			return true
		}
	}
	return false
}
