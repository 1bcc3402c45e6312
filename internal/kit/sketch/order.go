package sketch

import (
	"cmp"
	"slices"
)

// few is how many nodes are put in order one by one, and not sorted with all others.
const few = 32

// order returns the held keys' nodes, largest first, at most n. The slice is the
// caller's. Ties are in the order of slots; alone: in that of the heap, which is the order
// of slots in an empty sketch of the same size that this one is merged into.
func (c *core) order(n int, alone bool) []node {
	c.settle()
	n = min(n, len(c.heap))
	before := func(a, b *node) bool {
		return a.count > b.count || a.count == b.count && !alone && a.slot < b.slot
	}
	if n > few {
		all := slices.Clone(c.heap)
		slices.SortStableFunc(all, func(a, b node) int {
			if alone || a.count != b.count {
				return cmp.Compare(b.count, a.count)
			}
			return cmp.Compare(a.slot, b.slot)
		})
		return all[:n]
	}
	out := make([]node, 0, n)
	for i := range c.heap {
		k := &c.heap[i]
		at := len(out)
		switch {
		case at < n:
			out = append(out, node{})
		case at == 0 || !before(k, &out[at-1]):
			continue
		default:
			at--
		}
		for ; at > 0 && before(k, &out[at-1]); at-- {
			out[at] = out[at-1]
		}
		out[at] = *k
	}
	return out
}
