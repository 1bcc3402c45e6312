package sketch

import (
	"math"
	"slices"
)

// few is how many nodes are put in order one by one, and not sorted with all others.
const few = 32

// node is a held key: its count, and below that, in slotBits, its slot. So nodes are
// compared at once.
type node uint64

const (
	slotBits = 15
	slotMask = 1<<slotBits - 1
	// mostCount, some 10^14, is what more counts as in the order.
	mostCount = math.MaxUint64 >> slotBits
)

func nodeOf(count uint64, slot int) node {
	return node(min(count, mostCount)<<slotBits | uint64(slot))
}

func (n node) slot() int { return int(n & slotMask) }

// before says whether a node is listed before another: by count, the largest first, and
// then by slot.
func (n node) before(o node) bool { return n^slotMask > o^slotMask }

// order returns the held keys' nodes, largest first, at most n. The slice is the
// caller's. Ties are in the order of slots, as they are after an empty sketch of the same
// size was merged with this one.
func (c *core) order(n int) []node {
	n = min(n, c.Len())
	if n > few {
		all := make([]node, 0, c.Len())
		for slot, count := range c.counts[:c.used] {
			if count > 0 {
				all = append(all, nodeOf(count, slot))
			}
		}
		slices.SortFunc(all, func(a, b node) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		return all[:n]
	}
	out := make([]node, 0, n)
	for slot, count := range c.counts[:c.used] {
		if count == 0 {
			continue
		}
		k, at := nodeOf(count, slot), len(out)
		switch {
		case at < n:
			out = append(out, k)
		case at == 0 || !k.before(out[at-1]):
			continue
		default:
			at--
		}
		for ; at > 0 && k.before(out[at-1]); at-- {
			out[at] = out[at-1]
		}
		out[at] = k
	}
	return out
}
