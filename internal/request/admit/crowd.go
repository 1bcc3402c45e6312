package admit

import (
	"math"
	"math/bits"
)

// How budgets grow. Behind one address there can be one person or a thousand.
// A prefix therefore keeps a bitmap of 64 bits of who has behaved well behind
// it for a while, counts them by linear counting (Whang, Vander-Zanden, Taylor,
// "A linear-time probabilistic counting algorithm", 1990), and its budget is
// that many times as large.
//
// Somebody who collects cookies or changes its name is kept from growing a
// budget quickly by four things: a clearance counts only a minute after it was
// issued, at the prefix where it was first used, while within its own budget;
// bits are set no faster than the pace below; names reach only eight of
// the bits; and bits are wiped again, one after the other, in half an hour.
const (
	growCalm   = 2  // seconds between two new bits in peace
	growAttack = 20 // the same under attack
	wipeEvery  = 28 // seconds between two bits wiped; all 64 take half an hour
	printBits  = 8  // bits that names can set
	crowdMost  = 64 // a budget grows to so many times its size
)

// crowdSize estimates, by how many of the 64 bits are set, how many are there.
var crowdSize = func() (size [65]uint8) {
	for set := range size {
		n := float64(crowdMost)
		if set < 64 {
			n = 64 * math.Log(64/float64(64-set))
		}
		size[set] = uint8(max(1, min(crowdMost, math.Round(n))))
	}
	return size
}()

// times is how many times its size the prefix's budget has.
func (c *prefixCell) times() int { return int(crowdSize[bits.OnesCount64(c.crowd)]) }

// wipe takes away the bits whose turn came during the last idle seconds.
func (c *prefixCell) wipe(sec uint32, idle uint16) {
	if c.crowd == 0 {
		return
	}
	from, to := (sec-uint32(idle))/wipeEvery, sec/wipeEvery
	for n := 0; from < to && n < 64; n++ {
		from++
		c.crowd &^= 1 << (from % 64)
	}
}

// grow notes somebody who behaves well, if the pace allows it.
func (c *prefixCell) grow(bit uint64, sec uint32, pace uint16) {
	if c.crowd&bit != 0 || bit == 0 || since(sec, c.grownAt) < pace {
		return
	}
	c.crowd |= bit
	c.grownAt = uint16(sec)
}
