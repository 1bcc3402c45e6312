package sketch

import (
	"cmp"
	"math"
	"slices"
)

// Entry is one key that a sketch holds. Its true count is at most Count and at
// least Count - Error.
type Entry[K any] struct {
	Key   K
	Count uint64
	Error uint64
}

// maxKeys bounds the capacity of a sketch of heavy hitters: slots are 16 bits.
const maxKeys = 1 << 14

// core is a sketch of heavy hitters without the keys: counts, and an open-addressing index
// from hash to slot. A slot is where a key's bytes are kept by Numbers or Strings.
//
// A key that comes when all slots are taken has many of them given up at once, those of
// the lowest counts, so that most additions cost a look into the index and nothing has
// to be kept in order (after Anderson and others, "A High-Performance Algorithm for
// Identifying Frequent Items in Data Streams", IMC 2017). What was given up is no more
// than floor, which is what a key that comes anew may have been before, and no count is
// below it. Where the floor rises, at least capacity keys stood above it by as much or
// more: of what counts are above the floor, in all, capacity times as much is gone. What
// is added is all that ever came to that: so the floor is at most the stream's length by
// the capacity.
type core struct {
	counts  []uint64 // by slot, at most so often; 0 where there is no key
	errs    []uint64 // by slot
	free    []uint16 // of the slots below used, those without a key; the next one last
	used    int      // slots below it have had a key
	give    int      // how many keys are given up at once, at least
	floor   uint64
	total   uint64
	last    int      // slot of the key that was added last; -1 none
	index   []uint16 // slot + 1, 0 none; a power of two, at most 5/8 full
	mask    uint64
	scratch []candidate
	hash    func(slot int) uint64 // of the key there
}

// candidate is a key that may stay when two sketches become one.
type candidate struct {
	count, err uint64
	slot       uint16
	theirs     bool // slot is the other sketch's
}

// newCore makes a core for capacity keys, and a share of capacity more between two times
// that keys are given up: the more, the quicker and the larger.
func newCore(capacity int, more float64) core {
	capacity = min(max(capacity, 1), maxKeys)
	room := capacity + int(math.Ceil(float64(capacity)*more))
	size := 4
	for 5*size < 8*room {
		size *= 2
	}
	return core{
		counts: make([]uint64, room),
		errs:   make([]uint64, room),
		free:   make([]uint16, 0, room),
		give:   room - capacity + 1,
		index:  make([]uint16, size),
		mask:   uint64(size - 1),
		last:   -1,
	}
}

// Len returns how many keys are held.
func (c *core) Len() int { return c.used - len(c.free) }

// Total returns the sum of everything added.
func (c *core) Total() uint64 { return c.total }

// Floor bounds what is not held: any other key was added at most so often.
func (c *core) Floor() uint64 { return c.floor }

// claim makes room for a key that is not held, of hash h, giving up others if need be,
// and returns the slot to put its bytes in.
func (c *core) claim(h, n uint64) int {
	if c.Len() == len(c.counts) {
		c.giveUp()
	}
	slot := c.slot()
	c.counts[slot], c.errs[slot] = c.floor+n, c.floor
	c.link(slot, h)
	return slot
}

// slot returns one without a key; there must be one.
func (c *core) slot() int {
	if n := len(c.free) - 1; n >= 0 {
		slot := c.free[n]
		c.free = c.free[:n]
		return int(slot)
	}
	c.used++
	return c.used - 1
}

// giveUp gives up the least frequent keys; all slots must be taken. Of equal ones more go
// than have to, down to half the capacity: where all are equal it is not soon done again.
func (c *core) giveUp() {
	slots := c.lowest(c.give)
	out, rest := slots[:c.give], slots[c.give:]
	c.floor = c.counts[out[c.give-1]]
	for _, slot := range out {
		c.counts[slot] = 0
	}
	more := len(rest) / 2 // rest is one less than the capacity
	for _, slot := range rest {
		if more > 0 && c.counts[slot] == c.floor {
			c.counts[slot] = 0
			more--
		}
	}
	c.settle()
}

// settle makes free and index of counts, after keys were given up.
func (c *core) settle() {
	clear(c.index)
	c.free, c.last = c.free[:0], -1
	for slot := c.used - 1; slot >= 0; slot-- {
		if c.counts[slot] == 0 {
			c.free = append(c.free, uint16(slot))
		} else {
			c.link(slot, c.hash(slot))
		}
	}
}

// lowest returns all slots, which must be taken: those of the k lowest counts first, the
// highest of which is the k-th. They are valid until free is used again. It is Hoare's quickselect
// ("Algorithm 65: Find", CACM 4(7), 1961), among slots in the memory of free, which has
// none then.
func (c *core) lowest(k int) []uint16 {
	at := c.free[:len(c.counts)]
	for slot := range at {
		at[slot] = uint16(slot)
	}
	k--
	for lo, hi := 0, len(at)-1; lo < hi; {
		a, b, d := c.counts[at[lo]], c.counts[at[(lo+hi)/2]], c.counts[at[hi]]
		pivot := max(min(a, b), min(max(a, b), d))
		i, j := lo, hi
		for i <= j {
			for c.counts[at[i]] < pivot {
				i++
			}
			for c.counts[at[j]] > pivot {
				j--
			}
			if i <= j {
				at[i], at[j] = at[j], at[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			lo, hi = k, k // between the two all are the pivot's
		}
	}
	return at
}

func (c *core) link(slot int, h uint64) {
	i := h & c.mask
	for c.index[i] != 0 {
		i = (i + 1) & c.mask
	}
	c.index[i] = uint16(slot + 1)
}

func (c *core) reset() {
	clear(c.index)
	clear(c.counts[:c.used])
	c.free = c.free[:0]
	c.used, c.floor, c.total, c.last = 0, 0, 0, -1
}

// merge adds o to c so that all bounds hold (Agarwal and others, "Mergeable
// Summaries", PODS 2012): a key that one side does not hold may have been
// there as often as that side's floor says. find looks up c's slot in o, seek
// looks up o's slot in c, take copies a key from o's slot to c's.
func (c *core) merge(o *core, find, seek func(slot int) int, take func(to, from int)) {
	all := c.scratch[:0]
	for slot, n := range c.counts[:c.used] {
		if n == 0 {
			continue
		}
		k := candidate{count: n, err: c.errs[slot], slot: uint16(slot)}
		if s := find(slot); s >= 0 {
			k.count += o.counts[s]
			k.err += o.errs[s]
		} else {
			k.count += o.floor
			k.err += o.floor
		}
		all = append(all, k)
	}
	for slot, n := range o.counts[:o.used] {
		if n == 0 {
			continue
		}
		if seek(slot) < 0 {
			all = append(all, candidate{n + c.floor, o.errs[slot] + c.floor, uint16(slot), true})
		}
	}
	c.scratch = all
	// Of equal ones ours stay first, and then those of lower slots.
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.count, a.count) })
	c.floor += o.floor
	c.total += o.total
	if room := len(c.counts); len(all) > room {
		c.floor = max(c.floor, all[room].count)
		all = all[:room]
	}
	clear(c.counts[:c.used])
	for _, k := range all {
		if !k.theirs {
			c.counts[k.slot], c.errs[k.slot] = k.count, k.err
		}
	}
	c.settle()
	for _, k := range all {
		if k.theirs {
			slot := c.slot()
			take(slot, int(k.slot))
			c.counts[slot], c.errs[slot] = k.count, k.err
			c.link(slot, c.hash(slot))
		}
	}
}
