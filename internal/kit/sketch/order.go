package sketch

import "slices"

// few is how many nodes are put in order one by one, and not sorted with all others.
const few = 32

// before says whether a node is listed before another: by count, the largest first, and
// then by slot.
func (n node) before(o node) bool { return n^(maxKeys-1) > o^(maxKeys-1) }

// order returns the held keys' nodes, largest first, at most n. The slice is the
// caller's. Ties are in the order of slots, as they are after an empty sketch of the same
// size was merged with this one.
func (c *core) order(n int) []node {
	c.settle()
	held := c.heap[:c.held]
	n = min(n, len(held))
	if n > few {
		all := slices.Clone(held)
		slices.SortFunc(all, func(a, b node) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		return all[:n]
	}
	out := make([]node, 0, n)
	for _, k := range held {
		at := len(out)
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
