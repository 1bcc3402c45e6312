package observe

import (
	"seawall/internal/kit/sketch"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// stopped counts whom the door stopped, or would have stopped in watch mode.
type stopped struct {
	refused, slowed, challenged, cleared uint64
	reasons                              [mitigation.Reasons]uint64
	clients                              *sketch.Distinct // refused ones; a window's are those of both kinds
	visitors                             *sketch.Distinct // of those, with a clearance; as above
}

// The two kinds.
const (
	didStop = iota
	wouldStop
	stops
)

func newStopped(seed sketch.Seed) (both [stops]stopped) {
	for i := range both {
		both[i].clients, both[i].visitors = sketch.NewDistinct(seed), sketch.NewDistinct(seed)
	}
	return both
}

// ofWindow is newStopped for a window, in which there is one kind as a rule: in watch mode
// only people and rules stop anybody. So both kinds share who it was, for half the memory.
func ofWindow(seed sketch.Seed) (both [stops]stopped) {
	clients, visitors := sketch.NewDistinct(seed), sketch.NewDistinct(seed)
	for i := range both {
		both[i].clients, both[i].visitors = clients, visitors
	}
	return both
}

// stop counts a visit, if it was stopped, or would have been. What a rule stops is
// the operator's will and no news.
func (t *tally) stop(v *traffic.Visit, d mitigation.Verdict, client uint64, known bool) {
	s, action, why := &t.stopped[didStop], d.Action, d.Reason
	if d.Would.Action != mitigation.Admit {
		s, action, why = &t.stopped[wouldStop], d.Would.Action, d.Would.Reason
	}
	switch {
	case action == mitigation.Admit || why == mitigation.ReasonRule || int(why) >= len(s.reasons):
		return
	case action == mitigation.Slow:
		s.slowed++
		s.reasons[why]++
		return
	case action == mitigation.Challenge:
		s.challenged++
		s.reasons[why]++
		return
	}
	s.refused++
	s.reasons[why]++
	if known {
		s.clients.Add(client)
	}
	if v.Clearance != traffic.ClearanceNone {
		s.cleared++
		if known {
			s.visitors.Add(client)
		}
	}
}

func (s *stopped) merge(o *stopped) {
	s.refused += o.refused
	s.slowed += o.slowed
	s.challenged += o.challenged
	s.cleared += o.cleared
	sum(s.reasons[:], o.reasons[:])
	if o.refused > 0 {
		s.clients.Merge(o.clients)
		s.visitors.Merge(o.visitors)
	}
}

func (s *stopped) reset() {
	if s.refused > 0 {
		s.clients.Reset()
		s.visitors.Reset()
	}
	s.refused, s.slowed, s.challenged, s.cleared = 0, 0, 0, 0
	clear(s.reasons[:])
}

func (s *stopped) told() traffic.Stopped {
	out := traffic.Stopped{Refused: s.refused, Slowed: s.slowed, Challenged: s.challenged, Cleared: s.cleared, Reasons: map[string]uint64{}}
	for r, n := range s.reasons {
		if n > 0 {
			out.Reasons[mitigation.Reason(r).String()] = n
		}
	}
	return out
}

// Refusals is how many different clients were refused, and how many of those had a
// clearance. Both are estimates, 1.6 % off.
type Refusals struct{ Clients, Visitors uint64 }

// Refused counts those of all windows that were cut since Forget was last called:
// those that were refused, and those that would have been in watch mode. For the
// control loop's goroutine only.
func (o *Observer) Refused() (did, would Refusals) {
	of := func(s *stopped) Refusals { return Refusals{s.clients.Count(), s.visitors.Count()} }
	return of(&o.ever[didStop]), of(&o.ever[wouldStop])
}

// Forget lets Refused begin anew.
func (o *Observer) Forget() {
	for i := range o.ever {
		o.ever[i].reset()
	}
}
