package twin

import (
	"cmp"
	"maps"
	"slices"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// As in internal/packet: how many samples a window has at most, how many a second are
// aimed at, and how far apart they are at first.
const (
	mostSamples = 4000
	aimed       = 2000
	firstEvery  = 8
)

// counts is what was counted since Cut was asked last.
type counts struct {
	of    [reasons]traffic.Counted
	kinds [traffic.PacketKinds]uint64
}

func (c *counts) add(why reason, p *packet) {
	c.of[why].Packets++
	c.of[why].Bytes += uint64(p.size)
}

// count counts a judged packet, and samples it now and then.
func (t *Twin) count(p *packet, why reason) {
	t.counts.add(why, p)
	switch {
	case why == passOther && p.ports:
		t.totals.Other++
		t.elsewhere(p)
	case p.ports && !t.protects(p.proto, p.dport):
		t.totals.Other++
		t.elsewhere(p)
		if why.stops() {
			t.totals.Strays++
		}
	case why.stops():
		t.totals.Judged++
		t.totals.Stopped++
	default:
		t.totals.Judged++
		t.totals.Passed++
	}
	if p.kind == kindNone {
		return
	}
	t.counts.kinds[p.kind]++
	if t.until > 1 {
		t.until--
		return
	}
	// How far apart they are varies, as in the filter, so that no rhythm of a flood's is
	// mistaken for what it consists of.
	t.until = 1 + uint32(t.rng.Uint64()>>32*uint64(2*t.every-1)>>32)
	if len(t.samples) >= mostSamples {
		t.lost++
		return
	}
	s := *t.show(p)
	s.At, s.Kind, s.Reason, s.Stopped = t.now, traffic.PacketKind(p.kind), why.String(), why.stops()
	t.samples = append(t.samples, s)
}

func (t *Twin) elsewhere(p *packet) {
	of := 0
	if p.proto == protoUDP {
		of = 1
	}
	if n := &t.wherePort[of][p.dport]; *n+1 != 0 {
		*n++
	}
}

// Yet counts by kind what came since Cut was asked last.
func (t *Twin) Yet() [traffic.PacketKinds]uint64 { return t.counts.kinds }

// Cut tells what came in since it was asked last. Before the first packet there is no
// filter.
func (t *Twin) Cut(now clock.Instant) traffic.Packets {
	if !t.began {
		t.cutAt = now
		return traffic.Packets{}
	}
	w := traffic.Packets{
		Filtered: true, Kinds: t.counts.kinds, Reasons: map[string]traffic.Counted{}, Hits: make(map[uint32]uint64, len(t.signs)),
		Samples: t.samples, Every: t.every, Lost: t.lost,
	}
	if t.totals.Reasons == nil {
		t.totals.Reasons = map[string]uint64{}
	}
	for r, n := range t.counts.of {
		if n.Packets == 0 {
			continue
		}
		name := reason(r).String()
		w.Reasons[name] = n
		t.totals.Reasons[name] += n.Packets
		switch why := reason(r); {
		case why == passOther: // not for a protected port
		case why.stops():
			w.Stopped.Packets += n.Packets
			w.Stopped.Bytes += n.Bytes
		default:
			w.Passed.Packets += n.Packets
			w.Passed.Bytes += n.Bytes
		}
	}
	for i := range t.signs {
		s := &t.signs[i]
		w.Hits[s.id] = s.hits
		t.hits[s.id] += s.hits
		s.hits = 0
	}
	t.pace(now.Sub(t.cutAt).Seconds())
	t.samples = make([]traffic.Packet, 0, min(len(t.samples)*5/4, mostSamples)) // the window has the others
	t.counts, t.lost, t.cutAt = counts{}, 0, now
	return w
}

// pace has as many packets sampled as are aimed at, whatever comes.
func (t *Twin) pace(seconds float64) {
	var all uint64
	for _, n := range t.counts.kinds {
		all += n
	}
	every := uint32(1)
	if seconds > 0 {
		every = uint32(min(max(1, float64(all)/seconds/aimed), 1<<20))
	}
	if every >= 2*t.every || every <= t.every/2 {
		t.every = every
		t.until = min(t.until, every)
	}
}

// Totals tells what was read so far. What was counted since Cut was asked last is not
// in Reasons and Hits yet.
func (t *Twin) Totals() Totals {
	out := t.totals
	out.Reasons, out.Hits = maps.Clone(t.totals.Reasons), maps.Clone(t.hits)
	for of := range t.wherePort {
		for n, packets := range t.wherePort[of] {
			if packets > 0 {
				out.Ports = append(out.Ports, Port{UDP: of == 1, Number: uint16(n), Packets: uint64(packets)})
			}
		}
	}
	slices.SortStableFunc(out.Ports, func(a, b Port) int { return cmp.Compare(b.Packets, a.Packets) })
	out.Ports = out.Ports[:min(len(out.Ports), 5)]
	return out
}

// Addressed says that it is known which addresses are protected.
func (t *Twin) Addressed() bool { return len(t.to) > 0 }

// All says that packets are taken to come in, whatever they are for.
func (t *Twin) All() bool { return t.cfg.AnyPort && len(t.to) == 0 }
