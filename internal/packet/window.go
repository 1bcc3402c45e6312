package packet

import (
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/packet/filter"
	"seawall/internal/traffic"
)

// mostSamples is how many samples a window has, at most.
const mostSamples = 4000

// aimed is how many samples a second are aimed at.
const aimed = 2000

// firstEvery is the pace of samples until the first window. It is said before
// the first packet comes: a processor that met one earlier looks for a pace only
// 1024 packets later, which on a small site are minutes in which nothing is
// learnt.
const firstEvery = 8

// Cut tells what came in since it was asked last. now is the moment on the clock
// of whoever asks. For one goroutine.
func (p *Packet) Cut(now clock.Instant) traffic.Packets {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filter == nil || len(p.at) == 0 {
		p.cut = mark{}
		return traffic.Packets{}
	}
	counts, err := p.filter.Counts()
	if err != nil {
		p.log.Error("count packets", "err", err)
		return traffic.Packets{}
	}
	hits, err := p.filter.Hits()
	if err != nil {
		p.log.Error("count what signatures hit", "err", err)
	}
	was := p.cut
	p.cut = mark{at: now, counts: counts, hits: hits}
	if was.at == 0 {
		was.at, was.counts = now, counts // what a Seawall before this one counted
	}
	w := since(&was.counts, &counts)
	w.Hits = make(map[uint32]uint64, len(hits))
	for id, n := range hits {
		// A signature that is new, or was replaced, has begun at 0.
		if before := was.hits[id].Packets; n.Packets >= before {
			n.Packets -= before
		}
		w.Hits[id] = n.Packets
	}
	w.Every = p.every
	mono, wall := filter.Monotonic(), time.Now()
	err = p.filter.Samples(mostSamples, func(s *filter.Sample) {
		if p.capture != nil {
			p.capture.take(s, mono, wall)
		}
		packet, ok := s.Packet()
		if !ok || s.Every != p.every {
			return // from before the pace was changed
		}
		packet.At = now - clock.Instant(mono-s.At)
		w.Samples = append(w.Samples, packet)
	})
	if err != nil {
		p.log.Error("sample packets", "err", err)
	}
	if p.capture != nil {
		p.capture.window(w.Stopped.Packets, w.Passed.Packets, w.Lost)
	}
	p.pace(&w, now.Sub(was.at).Seconds())
	return w
}

// Yet counts the packets for protected ports that came since Cut was asked last,
// by kind. For the same goroutine.
func (p *Packet) Yet() (kinds [traffic.PacketKinds]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filter == nil || p.cut.at == 0 {
		return kinds
	}
	counts, err := p.filter.Counts()
	if err != nil {
		return kinds // Cut says it
	}
	for k := range kinds {
		kinds[k] = counts.Kinds[k] - min(p.cut.counts.Kinds[k], counts.Kinds[k])
	}
	return kinds
}

// mark is where the counters stood.
type mark struct {
	at     clock.Instant
	counts filter.Counts
	hits   map[uint32]filter.Tally // of signatures, by the mitigation's ID
}

// pace has as many packets sampled as are aimed at, whatever comes.
func (p *Packet) pace(w *traffic.Packets, seconds float64) {
	var all uint64
	for _, n := range w.Kinds {
		all += n
	}
	every := uint32(1)
	if seconds > 0 {
		every = uint32(min(max(1, float64(all)/seconds/aimed), 1<<20))
	}
	// Small changes are not worth one: samples of two paces cannot be added.
	if p.every != 0 && every < 2*p.every && every > p.every/2 {
		return
	}
	p.sampleEvery(every)
}

func (p *Packet) sampleEvery(n uint32) {
	if err := p.filter.SampleEvery(n); err != nil {
		p.log.Error("sample packets", "err", err)
		return
	}
	p.every = n
}

// since is what was counted between two moments.
func since(was, now *filter.Counts) traffic.Packets {
	w := traffic.Packets{Filtered: true, Kinds: now.Kinds, Reasons: map[string]traffic.Counted{}, Lost: now.SamplesLost - was.SamplesLost}
	for k := range w.Kinds {
		w.Kinds[k] -= was.Kinds[k]
	}
	for r := range filter.Reasons {
		n := traffic.Counted{Packets: now.Done[r].Packets - was.Done[r].Packets, Bytes: now.Done[r].Bytes - was.Done[r].Bytes}
		if n.Packets == 0 {
			continue
		}
		w.Reasons[r.String()] = n
		sum := &w.Stopped
		switch r {
		case filter.PassOther:
			continue // not for a protected port
		case filter.PassOurs, filter.PassAllowed, filter.PassLease:
			sum = &w.Passed
		case filter.StopCookie:
			w.Cookies = n.Packets
		}
		sum.Packets += n.Packets
		sum.Bytes += n.Bytes
	}
	return w
}
