package baseline

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

const (
	// mostPackets and mostOpenings are how many ordinary packets, and how many
	// of those that ask for a connection, are kept.
	mostPackets  = 2000
	mostOpenings = 1000
	// payloadKept is how much of a TCP payload is kept with them, bytes: enough
	// to tell protocols apart, too little for what somebody searched for.
	payloadKept = 16
)

// packetState is what is learnt of packets and outlives a restart.
type packetState struct {
	learned               time.Duration
	kinds                 [traffic.PacketKinds]rolling // a second
	packets, passed, size rolling                      // size: bytes a second
}

// rings lists the numbers that are kept, by the names they have on disk.
func (s *packetState) rings() map[string]*rolling {
	out := map[string]*rolling{"packets": &s.packets, "passed": &s.passed, "bytes": &s.size}
	for k := range traffic.PacketKinds {
		out["kind_"+k.String()] = &s.kinds[k]
	}
	return out
}

// packetDigest is what is learnt from a window's packets.
type packetDigest struct {
	some     bool // there is a filter, and something came
	calm     bool // hardly anything was stopped: all of it tells of ordinary traffic
	kinds    [traffic.PacketKinds]float64
	packets  float64
	passed   float64
	bytes    float64
	ordinary []traffic.Packet
	openings []traffic.Packet
}

func digestPackets(w *traffic.Window, coin *rand.Rand) (d packetDigest) {
	p := &w.Packets
	total := p.Total()
	if !p.Filtered || total.Packets == 0 || w.Span <= 0 {
		return d
	}
	d.some = true
	d.calm = p.Stopped.Packets*10 <= total.Packets
	for k, n := range p.Kinds {
		d.kinds[k] = w.Rate(n)
	}
	d.packets, d.passed, d.bytes = w.Rate(total.Packets), w.Rate(p.Passed.Packets), w.Rate(total.Bytes)
	for i := range p.Samples {
		if s := &p.Samples[i]; !s.Stopped {
			d.ordinary = append(d.ordinary, anonymous(s))
			if s.Kind.Opens() {
				d.openings = append(d.openings, anonymous(s))
			}
		}
	}
	// A tenth of the whole is the most that one window may bring.
	d.ordinary = choose(coin, d.ordinary, mostPackets/10)
	d.openings = choose(coin, d.openings, mostOpenings/10)
	return d
}

// anonymous copies a packet without what tells of its sender.
func anonymous(p *traffic.Packet) traffic.Packet {
	c := *p
	bits := 48
	if c.Source.Unmap().Is4() {
		c.Source, bits = c.Source.Unmap(), 24
	}
	if prefix, err := c.Source.WithZone("").Prefix(bits); err == nil {
		c.Source = prefix.Addr()
	} else {
		c.Source = netip.Addr{}
	}
	if c.Protocol == 6 && c.PayloadLen > payloadKept {
		clear(c.Payload[payloadKept:])
		c.PayloadLen = payloadKept
	}
	return c
}

// absorb learns from a window that has waited long enough.
func (s *packetState) absorb(d *packetDigest, span time.Duration) {
	s.passed.addRate(d.passed)
	if !d.calm {
		return
	}
	s.learned += span
	for k := range s.kinds {
		s.kinds[k].addRate(d.kinds[k])
	}
	s.packets.addRate(d.packets)
	s.size.addRate(d.bytes)
}

// forget drops the short memory.
func (s *packetState) forget() { *s = packetState{learned: s.learned} }

func (s *packetState) normal() traffic.PacketNormal {
	rates := func(r *rolling) traffic.Rates {
		return traffic.Rates{Usual: r.rate(0.5), Peak: r.rate(0.95)}
	}
	n := traffic.PacketNormal{Learned: s.learned, Packets: rates(&s.packets), Passed: rates(&s.passed), Bytes: rates(&s.size)}
	for k := range s.kinds {
		n.Kinds[k] = rates(&s.kinds[k])
	}
	return n
}

// pool is a rolling sample of packets, even over time at first; when it is full,
// half of it is from the last hour. What it has published is never written to
// again: it appends behind, or changes a copy.
type pool struct {
	most    int
	items   []traffic.Packet
	pending []traffic.Packet // to replace others at the next renewal
	renewed clock.Instant
}

// add takes up packets of one window, of a pool that is full only as many as
// keep it even over time. age is how much was learnt.
func (p *pool) add(coin *rand.Rand, packets []traffic.Packet, span, age time.Duration) {
	if room := p.most - len(p.items); room > 0 {
		p.items = append(p.items, packets[:min(room, len(packets))]...)
		return
	}
	turnover := 1 - math.Exp2(-span.Seconds()/halfLife.Seconds())
	if age > 0 {
		turnover = max(turnover, span.Seconds()/age.Seconds())
	}
	x := min(turnover, 1) * float64(p.most)
	k := int(x)
	if coin.Float64() < x-float64(k) {
		k++
	}
	p.pending = append(p.pending, choose(coin, packets, min(k, p.most-len(p.pending)))...)
}

// renew puts pending packets in, when it is time to.
func (p *pool) renew(coin *rand.Rand, now clock.Instant) {
	if len(p.pending) == 0 || now.Sub(p.renewed) < every {
		return
	}
	p.renewed = now
	p.items = slices.Clone(p.items)
	for i := range p.pending {
		p.items[coin.IntN(len(p.items))] = p.pending[i]
	}
	p.pending = p.pending[:0]
}

func (p *pool) published() []traffic.Packet { return p.items[:len(p.items):len(p.items)] }

// choose returns a random choice of n packets, in the order they came (Knuth's
// selection sampling).
func choose(coin *rand.Rand, from []traffic.Packet, n int) []traffic.Packet {
	if n >= len(from) {
		return from
	}
	out := make([]traffic.Packet, 0, max(n, 0))
	for i := range from {
		if coin.IntN(len(from)-i) < n-len(out) {
			out = append(out, from[i])
		}
	}
	return out
}
