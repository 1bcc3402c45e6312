package admit

import (
	"math"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// prefixCell is what is remembered of one prefix, at whatever level: 32 bytes.
// Fields of 16 bits named ...At are seconds modulo 2^16 (18 hours); after so
// long a time being wrong about them costs nothing.
type prefixCell struct {
	tat   clock.Instant // state of its budget, see kit/gcra
	crowd uint64        // who behaves well behind it, see crowd.go

	refused    uint16 // refusals in the current minute, less what was forgiven
	refusedAt  uint16 // when that minute began
	reportedAt uint16 // when it was last reported
	recordedAt uint16 // when it was last put on the list of Recent
	grownAt    uint16 // when crowd last gained a bit
	clearedAt  uint16 // when a visitor with a clearance was last let in
	pages      uint8  // asked for from here, whoever asked; halved where it is full
	assets     uint8  // the same
	prints     uint8  // programs that behave well, three hash bits each
	triedAt    uint8  // second modulo 2^8 in which one that was not wanted last went through, see greet.go
}

// newPrefixCell starts a cell whose budget stands at carry and whose waits are
// all over.
func newPrefixCell(carry clock.Instant, sec uint32) prefixCell {
	s := uint16(sec)
	return prefixCell{
		tat:        carry,
		refusedAt:  s,
		reportedAt: s - reportEvery,
		recordedAt: s - recordEvery,
		grownAt:    s - growCalm,
		clearedAt:  s - liveFor,
		triedAt:    uint8(s) - tryEvery,
	}
}

// clearanceCell is what is remembered of one clearance: 24 bytes.
type clearanceCell struct {
	tat    clock.Instant
	first  uint32 // second of its first visit
	home   uint32 // hash bits of the client prefix that it lives at
	visits uint16
	over   uint16 // times over its budget; halved every minute
	fadeAt uint16 // minute that over was last halved in
	_      uint16
}

// standingCell is what is remembered of a client prefix together with a program:
// 24 bytes. Its counts are halved every minute, so that behaviour weighs
// less the longer ago it was.
type standingCell struct {
	first     uint32 // second of its first visit
	goodSince uint32 // second since which it is good without a break; 0 is not
	fadeAt    uint16 // minute that the counts were last halved in
	pages     uint16
	assets    uint16
	cleared   uint16 // visits that brought a clearance
	over      uint16 // times over its budget
	bare      uint16 // assets that were fetched without a clearance
	askedAt   uint16 // second in which a sign was last asked for
	asked     uint8  // times that one was, and did not come
	askedBy   uint8  // last byte of the number of the mitigation that asked last
}

// BytesPerClient is what one unit of Config.Clients costs in memory: an entry
// for the client prefix, one for its standing, and half an entry each for wider
// prefixes and for clearances, with their share of the sets' heads.
const BytesPerClient = (8 + 32) + (8 + 24) + (8+32)/2 + (8+24)/2

// liveClearance says whether a visitor with a clearance was let in from this
// prefix lately.
func (c *prefixCell) liveClearance(sec uint32) bool {
	return since(sec, c.clearedAt) < liveFor
}

// note counts what is asked for.
func (c *prefixCell) note(k traffic.Kind) {
	n := &c.pages
	switch k {
	case traffic.KindPage:
	case traffic.KindAsset:
		n = &c.assets
	default:
		return
	}
	if *n++; *n == math.MaxUint8 {
		c.pages, c.assets = c.pages/2, c.assets/2
	}
}

// browses says whether those behind the prefix fetch assets with their pages.
func (c *prefixCell) browses() bool {
	return c.assets > 0 && c.pages > 0 && int(c.assets)*pagesPerAsset >= int(c.pages)
}

// thin says whether whoever is behind the prefix asks for page after page and hardly for
// what they are made of, and no program there has behaved well for a while nor anybody
// brought a clearance lately. Where there is no asset at all, recallPrefix knows more.
func (c *prefixCell) thin(sec uint32) bool {
	return c.pages >= rotatedPages && c.assets > 0 && int(c.assets)*thinPages <= int(c.pages) &&
		c.prints == 0 && !c.liveClearance(sec)
}

// add adds one and stops at the top.
func add(n *uint16) {
	if *n < math.MaxUint16 {
		*n++
	}
}

// fade returns for how many minutes counts have to be halved, and marks it done.
func fade(at *uint16, sec uint32) (times int) {
	minute := uint16(sec / 60)
	d := minute - *at
	if d == 0 || d > ahead {
		return 0
	}
	*at = minute
	return int(min(d, 16))
}

// keepOne halves a count times times, but not below one: that something ever
// happened is not forgotten while the entry lasts.
func keepOne(n uint16, times int) uint16 {
	if n == 0 {
		return 0
	}
	return max(n>>times, 1)
}

// elapsed is how many seconds after from the second sec is. Two goroutines read
// the clock a little apart, so that from may lie a second ahead.
func elapsed(sec, from uint32) uint32 {
	if sec < from {
		return 0
	}
	return sec - from
}

// since is how many seconds after at the second sec is, modulo 2^16.
func since(sec uint32, at uint16) uint16 {
	if d := uint16(sec) - at; d <= ahead {
		return d
	}
	return 0
}
