package twin

import (
	"time"

	"seawall/internal/kit/clock"
)

// windowBits of nanoseconds, 33.6 ms, are a window in which strays are counted.
const windowBits = 25

// budget lets one packet through every gap, and an eighth of a second's worth at once:
// the generic cell rate algorithm in its plainest form (fragments.h).
type budget struct{ full clock.Instant }

func (b *budget) spent(now, gap clock.Instant) bool {
	full := max(b.full, now)
	if full-now > clock.Instant(time.Second/8) {
		return true
	}
	b.full = full + gap
	return false
}

// gap is the time between two of n a second.
func gap(n int) clock.Instant { return clock.Instant(time.Second) / clock.Instant(max(1, n)) }

// patience is how long a source may have been over its rate before it is stopped.
const patience = clock.Instant(250 * time.Millisecond)

// cells are the budgets of sources (sources.h): a source has two cells of a line, and is
// over its budget when both are.
type cells [8]clock.Instant

func (c *cells) take(now clock.Instant, h uint64, cost clock.Instant) bool {
	first := h >> 20 & 7
	second := (first + 1 + h>>24&3) & 7
	a, b := max(c[first], now), max(c[second], now)
	if a-now > patience && b-now > patience {
		return true
	}
	c[first], c[second] = a+cost, b+cost
	return false
}

// Lines of cells; powers of two.
const (
	sourceLines  = 2048
	initialLines = 512
)

// mix spreads a key over 64 bits. Nobody can choose addresses by what a replay shows, so
// that it needs no secret.
func mix(key uint64) uint64 {
	key *= 0xd1342543de82ef95
	key ^= key >> 32
	return key * 0x9e3779b97f4a7c15
}

// hash is of the source: an IPv4 address, an IPv6 /64.
func (p *packet) hash() uint64 {
	if p.family == 4 {
		return mix(p.source[1] & 0xffffffff)
	}
	return mix(p.source[0])
}

func (t *Twin) overBudget(p *packet) reason {
	h := p.hash()
	cost := clock.Instant(uint64(p.size) * t.sourceByteGap >> 10)
	if t.sources[h>>40&(sourceLines-1)].take(t.now, h, max(cost, t.sourceGap)) {
		return stopBudget
	}
	return goOn
}

// tooManyInitials is asked of Initials only.
func (t *Twin) tooManyInitials(p *packet) reason {
	if p.left < 8+1200 { // no server takes it (RFC 9000, section 14.1)
		return stopInitials
	}
	h := p.hash()
	if t.initials[h>>40&(initialLines-1)].take(t.now, h, t.initialGap) || t.initialBudget.spent(t.now, t.initialsGap) {
		return stopInitials
	}
	return goOn
}

// asks remembers questions that were seen going out, for a minute: answers to them were
// asked for. A place for each of 65,536; the youngest has it.
type asks [1 << 16]struct{ tag, second uint32 }

const askedFor = 60

// note takes up a question: a SYN, or a datagram to a service used to amplify.
func (a *asks) note(t *Twin, p *packet) {
	switch {
	case !p.ports:
		return
	case p.proto == protoTCP:
		if h := p.next(14); h == nil || h[13]&(flagSYN|flagACK) != flagSYN {
			return
		}
	case !t.amplifiers.has(p.dport):
		return
	}
	h := flow(p.proto, p.source, p.dest, p.sport, p.dport)
	e := &a[h>>48]
	e.tag, e.second = uint32(h), uint32(t.now/clock.Instant(time.Second))
	t.noted = true
}

func (t *Twin) asked(p *packet) bool {
	if !t.noted {
		return false
	}
	h := flow(p.proto, p.dest, p.source, p.dport, p.sport)
	e := &t.asks[h>>48]
	return e.tag == uint32(h) && uint32(t.now/clock.Instant(time.Second))-e.second <= askedFor
}

func flow(proto uint8, source, dest [2]uint64, sport, dport uint16) uint64 {
	h := mix(source[0] ^ uint64(proto))
	h = mix(h ^ source[1])
	h = mix(h ^ dest[0])
	h = mix(h ^ dest[1])
	return mix(h ^ uint64(sport)<<16 ^ uint64(dport))
}
