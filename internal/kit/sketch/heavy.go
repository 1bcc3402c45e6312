package sketch

import "slices"

// Entry is one key that a sketch holds. Its true count is at most Count and at
// least Count - Error.
type Entry[K any] struct {
	Key   K
	Count uint64
	Error uint64
}

// maxKeys bounds the capacity of a sketch of heavy hitters: slots are 16 bits.
const maxKeys = 1 << 14

// node is a held key's place in the heap.
type node struct {
	count uint64
	slot  uint16
}

// core is space-saving without the keys: a min-heap by count, so that the key
// to give up is at hand, and an open-addressing index from hash to slot. A slot
// is where a key's bytes are kept by Numbers or Strings; it stays while counts
// move in the heap. An increment rarely moves a heavy key, for heavy ones are
// leaves already.
type core struct {
	heap    []node
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
	return core{
		heap:  make([]node, 0, capacity),
		place: make([]uint16, capacity),
		hash:  make([]uint64, capacity),
		errs:  make([]uint64, capacity),
		index: make([]uint16, size),
		mask:  uint64(size - 1),
		last:  -1,
	}
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
func (c *core) Len() int { return len(c.heap) }

// Total returns the sum of everything added.
func (c *core) Total() uint64 { return c.total }

// Floor bounds what is not held: any other key was added at most so often.
func (c *core) Floor() uint64 {
	c.settle()
	if len(c.heap) < cap(c.heap) {
		return 0
	}
	return c.heap[0].count
}

// bump adds n to a held key.
func (c *core) bump(slot int, n uint64) {
	i := int(c.place[slot])
	c.heap[i].count += n
	c.down(i)
}

// claim makes room for a key that is not held, giving up the least frequent
// one if need be, and returns the slot to put its bytes in.
func (c *core) claim(h, n uint64) int {
	if len(c.heap) < cap(c.heap) {
		slot := len(c.heap)
		c.push(slot, h, n, 0)
		return slot
	}
	root := &c.heap[0]
	slot := int(root.slot)
	c.unlink(slot)
	c.hash[slot], c.errs[slot] = h, root.count
	root.count += n
	c.link(slot)
	c.down(0)
	return slot
}

func (c *core) push(slot int, h, count, err uint64) {
	c.hash[slot], c.errs[slot] = h, err
	c.heap = append(c.heap, node{count, uint16(slot)})
	c.place[slot] = uint16(len(c.heap) - 1)
	c.link(slot)
	c.up(len(c.heap) - 1)
}

func (c *core) down(i int) {
	h := c.heap
	moving := h[i]
	for {
		kid := 2*i + 1
		if kid >= len(h) {
			break
		}
		k := h[kid]
		if kid+1 < len(h) {
			// Which one is smaller cannot be foreseen: chosen without a branch.
			other, at := h[kid+1], kid+1
			if other.count >= k.count {
				other, at = k, kid
			}
			k, kid = other, at
		}
		if k.count >= moving.count {
			break
		}
		h[i] = k
		c.place[k.slot] = uint16(i)
		i = kid
	}
	h[i] = moving
	c.place[moving.slot] = uint16(i)
}

func (c *core) up(i int) {
	h := c.heap
	moving := h[i]
	for i > 0 && h[(i-1)/2].count > moving.count {
		h[i] = h[(i-1)/2]
		c.place[h[i].slot] = uint16(i)
		i = (i - 1) / 2
	}
	h[i] = moving
	c.place[moving.slot] = uint16(i)
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
	c.heap = c.heap[:0]
	clear(c.index)
	c.total, c.last, c.owed = 0, -1, 0
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
	for _, n := range c.heap {
		k := candidate{count: n.count, err: c.errs[n.slot], hash: c.hash[n.slot], slot: n.slot}
		if s := find(int(n.slot)); s >= 0 {
			k.count += o.heap[o.place[s]].count
			k.err += o.errs[s]
		} else {
			k.count += theirs
			k.err += theirs
		}
		all = append(all, k)
	}
	for _, n := range o.heap {
		if s, h := seek(int(n.slot)); s < 0 {
			all = append(all, candidate{n.count + ours, o.errs[n.slot] + ours, h, n.slot, true})
		}
	}
	c.scratch = all
	slices.SortStableFunc(all, func(a, b candidate) int {
		switch {
		case a.count > b.count:
			return -1
		case a.count < b.count:
			return 1
		}
		return 0
	})
	total := c.total + o.total
	free := all[min(len(all), cap(c.heap)):] // the slots of ours among these can be reused
	all = all[:len(all)-len(free)]
	next := len(c.heap)
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
		if next < cap(c.heap) {
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
