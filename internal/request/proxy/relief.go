package proxy

import "seawall/internal/mitigation"

// When many clients take their answers slowly, and as many streams as there may be
// are open already, they keep places at the origin while it waits for them as we do.
// Then a known or proven visitor who stands in line gets the place of somebody who was
// neither, and who has kept us waiting: of those the one who began it first.

// stuck are slots whose clients keep us waiting and which could not become streams:
// oldest first, of low ranks only.
type stuck struct {
	oldest, newest *Slot
	leaving        int // were told to give way and have not yet
}

// Stuck says that the slot's client keeps us waiting. giveWay is called once, at once
// or later but not after Release or Moves, where somebody else is to have the place:
// it must have the request end soon, and must not wait or call the gate.
func (s *Slot) Stuck(giveWay func()) {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.state != slotInFlight || s.giveWay != nil || s.leaves || s.rank <= mitigation.RankProven {
		return
	}
	s.giveWay = giveWay
	if s.prev = g.stuck.newest; s.prev != nil {
		s.prev.next = s
	} else {
		g.stuck.oldest = s
	}
	g.stuck.newest = s
	g.relieve()
}

// Moves takes Stuck back.
func (s *Slot) Moves() {
	if s.g == nil {
		return
	}
	s.g.mu.Lock()
	s.g.unstick(s)
	s.g.mu.Unlock()
}

func (g *Gate) unstick(s *Slot) {
	if s.giveWay == nil {
		return
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		g.stuck.oldest = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		g.stuck.newest = s.prev
	}
	s.prev, s.next, s.giveWay = nil, nil, nil
}

// relieve has as many of the stuck give way as there are better visitors in line.
func (g *Gate) relieve() {
	good := g.lines[mitigation.RankKnown].n + g.lines[mitigation.RankProven].n
	for good > 0 && g.stuck.oldest != nil && g.inFlight-g.left-g.stuck.leaving+good > g.limit.now {
		s := g.stuck.oldest
		f := s.giveWay
		g.unstick(s)
		s.leaves = true
		g.stuck.leaving++
		f()
	}
}
