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
const maxKeys = 1 << slotBits

// node is a held key in the heap: its count, and below that, in slotBits, its slot. So
// nodes are compared at once, of equal counts by slot.
type node uint64

const (
	slotBits = 14
	// mostCount is the largest count, some 10^15: what is more is left out.
	mostCount = 1<<(64-slotBits) - 1
	// kids is how many nodes stand below one: those of four levels are as many as those
	// of eight levels of two, and four stand in one cache line or two.
	kids = 4
	// absent stands where the heap has no node: it is above all others.
	absent = node(math.MaxUint64)
)

func nodeOf(count uint64, slot int) node {
	return node(min(count, mostCount)<<slotBits | uint64(slot))
}

func (n node) count() uint64 { return uint64(n) >> slotBits }

func (n node) slot() uint16 { return uint16(n & (maxKeys - 1)) }

// core is space-saving without the keys: a min-heap by count, so that the key
// to give up is at hand, and an open-addressing index from hash to slot. A slot
// is where a key's bytes are kept by Numbers or Strings; it stays while counts
// move in the heap. An increment rarely moves a heavy key, for heavy ones are
// leaves already.
type core struct {
	heap    []node   // held nodes, and after them absent, at least kids
	held    int      // in slots 0 to held-1
	room    int      // how many may be held
	place   []uint16 // of a slot in heap
	hash    []uint64 // by slot
	errs    []uint64 // by slot
	index   []uint16 // slot + 1, 0 none; a power of two, at most a quarter full
	mask    uint64
	total   uint64
	last    int    // slot of the key that was added last; -1 none
	owed    uint64 // what it has still to be given, see settle
	scratch []candidate
}

// candidate is a key that may stay when two sketches become one.
type candidate struct {
	count, err, hash uint64
	slot             uint16
	theirs           bool // slot is the other sketch's
}

func newCore(capacity int) core {
	capacity = min(max(capacity, 1), maxKeys)
	size := 4
	for size < 4*capacity {
		size *= 2
	}
	c := core{
		heap:  make([]node, capacity+kids),
		room:  capacity,
		place: make([]uint16, capacity),
		hash:  make([]uint64, capacity),
		errs:  make([]uint64, capacity),
		index: make([]uint16, size),
		mask:  uint64(size - 1),
	}
	c.reset()
	return c
}

// settle counts what the last key is owed. Streams repeat themselves: as long as the
// same key is added, it costs one comparison and no look for its place.
func (c *core) settle() {
	if c.owed > 0 {
		c.bump(c.last, c.owed)
		c.owed = 0
	}
}

// Len returns how many keys are held.
func (c *core) Len() int { return c.held }

// Total returns the sum of everything added.
func (c *core) Total() uint64 { return c.total }

// Floor bounds what is not held: any other key was added at most so often.
func (c *core) Floor() uint64 {
	c.settle()
	if c.held < c.room {
		return 0
	}
	return c.heap[0].count()
}

// count returns that of a held key.
func (c *core) count(slot int) uint64 { return c.heap[c.place[slot]].count() }

// bump adds n to a held key.
func (c *core) bump(slot int, n uint64) {
	i := int(c.place[slot])
	c.down(i, nodeOf(c.heap[i].count()+n, slot))
}

// claim makes room for a key that is not held, giving up the least frequent
// one if need be, and returns the slot to put its bytes in.
func (c *core) claim(h, n uint64) int {
	if c.held < c.room {
		slot := c.held
		c.push(slot, h, n, 0)
		return slot
	}
	least := c.heap[0]
	slot := int(least.slot())
	c.unlink(slot)
	c.hash[slot], c.errs[slot] = h, least.count()
	c.link(slot)
	c.down(0, nodeOf(least.count()+n, slot))
	return slot
}

func (c *core) push(slot int, h, count, err uint64) {
	c.hash[slot], c.errs[slot] = h, err
	c.link(slot)
	c.up(c.held, nodeOf(count, slot))
	c.held++
}

// down finds the place for a node, from i away from the root.
func (c *core) down(i int, n node) {
	h := c.heap
	for first := kids*i + 1; first < c.held; first = kids*i + 1 {
		// Which one is the smallest cannot be foreseen: chosen without a branch.
		k := h[first : first+kids : first+kids]
		least := min(k[0], k[1], k[2], k[3])
		if least >= n {
			break
		}
		// Where it stands is told by its slot.
		kid := int(c.place[least.slot()])
		h[i] = least
		c.place[least.slot()] = uint16(i)
		i = kid
	}
	h[i] = n
	c.place[n.slot()] = uint16(i)
}

// up finds the place for a node, from i towards the root.
func (c *core) up(i int, n node) {
	h := c.heap
	for i > 0 && h[(i-1)/kids] > n {
		h[i] = h[(i-1)/kids]
		c.place[h[i].slot()] = uint16(i)
		i = (i - 1) / kids
	}
	h[i] = n
	c.place[n.slot()] = uint16(i)
}

func (c *core) link(slot int) {
	i := c.hash[slot] & c.mask
	for c.index[i] != 0 {
		i = (i + 1) & c.mask
	}
	c.index[i] = uint16(slot + 1)
}

// unlink takes a slot out of the index and closes the gap, so that probing
// still finds what stood behind it.
func (c *core) unlink(slot int) {
	i := c.hash[slot] & c.mask
	for c.index[i] != uint16(slot+1) {
		i = (i + 1) & c.mask
	}
	for j := i; ; {
		c.index[i] = 0
		for {
			j = (j + 1) & c.mask
			s := c.index[j]
			if s == 0 {
				return
			}
			// Move j's entry into the gap unless its home lies after the gap.
			if home := c.hash[s-1] & c.mask; (j-home)&c.mask >= (j-i)&c.mask {
				c.index[i] = s
				i = j
				break
			}
		}
	}
}

func (c *core) reset() {
	for i := range c.heap {
		c.heap[i] = absent
	}
	clear(c.index)
	c.held, c.total, c.last, c.owed = 0, 0, -1, 0
}

// merge adds o to c so that all bounds hold (Agarwal and others, "Mergeable
// Summaries", PODS 2012): a key that one side does not hold may have been
// there as often as that side's floor says. find looks up c's slot in o, seek
// looks up o's slot in c and returns its hash in c, take copies a key from o's
// slot to c's.
func (c *core) merge(o *core, find func(slot int) int, seek func(slot int) (int, uint64), take func(to, from int)) {
	c.settle()
	o.settle()
	ours, theirs := c.Floor(), o.Floor()
	all := c.scratch[:0]
	for slot := range c.held {
		k := candidate{count: c.count(slot), err: c.errs[slot], hash: c.hash[slot], slot: uint16(slot)}
		if s := find(slot); s >= 0 {
			k.count += o.count(s)
			k.err += o.errs[s]
		} else {
			k.count += theirs
			k.err += theirs
		}
		all = append(all, k)
	}
	for slot := range o.held {
		if s, h := seek(slot); s < 0 {
			all = append(all, candidate{o.count(slot) + ours, o.errs[slot] + ours, h, uint16(slot), true})
		}
	}
	c.scratch = all
	// Of equal ones ours stay first, and then those of lower slots.
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.count, a.count) })
	total := c.total + o.total
	free := all[min(len(all), c.room):] // the slots of ours among these can be reused
	all = all[:len(all)-len(free)]
	next := c.held
	c.reset()
	c.total = total
	for _, k := range all {
		if !k.theirs {
			c.push(int(k.slot), k.hash, k.count, k.err)
		}
	}
	for _, k := range all {
		if !k.theirs {
			continue
		}
		slot := next
		if next < c.room {
			next++
		} else {
			for free[0].theirs {
				free = free[1:]
			}
			slot, free = int(free[0].slot), free[1:]
		}
		take(slot, int(k.slot))
		c.push(slot, k.hash, k.count, k.err)
	}
}
