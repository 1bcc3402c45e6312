package proxy

import (
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// Slot is one place at the origin. Its holder calls Release once; Stream may
// come before. Its fields belong to the Gate's mutex, except those that say
// otherwise.
type Slot struct {
	g     *Gate
	rank  mitigation.Rank
	state uint8
	with  int // in flight when it was given, itself among them; never changes
	bill  bill
	since clock.Instant // when it was given

	giveWay    func() // nil: it is not stuck
	prev, next *Slot  // of the stuck
	leaves     bool   // was told to give way
	left       bool   // its client has left
}

const (
	slotNone = iota
	slotInFlight
	slotStream
)

// slot is a place that was taken.
func (g *Gate) slot(rank mitigation.Rank, b bill, now clock.Instant) Slot {
	return Slot{g: g, rank: rank, state: slotInFlight, with: g.inFlight, bill: b, since: now}
}

// Release gives the slot back. It does nothing the second time.
func (s *Slot) Release() {
	if s.g == nil {
		return
	}
	g := s.g
	g.mu.Lock()
	g.unstick(s)
	switch s.state {
	case slotInFlight:
		now := g.clk.Now()
		g.fair.settle(s.bill, now.Sub(s.since), now)
		g.give(s.rank)
		if s.leaves {
			g.stuck.leaving--
		}
		if s.left {
			g.left--
		}
		if g.waiting > 0 {
			g.dispatch(now)
			g.relieve() // the limit may be another than it was
		}
	case slotStream:
		g.streams--
	}
	s.state = slotNone
	g.mu.Unlock()
}

// Stream says that the slot's request lives long: it no longer counts as in
// flight, but as a stream. False means that the bound on streams is reached and
// the request should be cut off. Newcomers and suspects may fill three quarters
// of that bound; beyond it, better ranks keep their slot and go on.
func (s *Slot) Stream() bool {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.state != slotInFlight {
		return true
	}
	good := s.rank <= mitigation.RankProven
	switch {
	case g.streams < g.maxStreams*3/4, good && g.streams < g.maxStreams:
	default:
		return good
	}
	if s.leaves { // it was told to, and ends all the same
		g.stuck.leaving--
		s.leaves = false
	}
	g.unstick(s)
	now := g.clk.Now()
	g.fair.settle(s.bill, now.Sub(s.since), now)
	g.give(s.rank)
	g.streams++
	s.state = slotStream
	if g.waiting > 0 {
		g.dispatch(now)
	}
	return true
}

// InFlight says whether the slot is a place still, and no stream.
func (s *Slot) InFlight() bool {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	return s.state == slotInFlight
}

// Left says that the client has left, and that the origin works on for a while: then
// the slot is given back. It takes the place of Release.
func (s *Slot) Left(d time.Duration) {
	g := s.g
	g.mu.Lock()
	if s.state == slotInFlight && !s.left {
		if s.leaves { // it is counted once
			g.stuck.leaving--
			s.leaves = false
		}
		s.left = true
		g.left++
		if g.waiting > 0 {
			g.dispatch(g.clk.Now())
		}
	}
	g.mu.Unlock()
	time.AfterFunc(d, s.Release)
}

// StillWorks is how much longer the origin is to be expected to work on a request of
// a class that was sent at sent and that nobody waits for any more. Closing the
// connection does not end the work of many.
func (g *Gate) StillWorks(class uint8, sent clock.Instant) time.Duration {
	g.mu.Lock()
	usual := time.Duration(g.limit.usual[class] * g.limit.slower)
	g.mu.Unlock()
	if usual == 0 {
		usual = time.Second // nothing of the kind was answered yet
	}
	return min(usual, mostStillWorks) - g.clk.Now().Sub(sent)
}

// mostStillWorks bounds what clients that leave can do to the limit.
const mostStillWorks = 5 * time.Second
