package spell

import (
	"time"

	"seawall/internal/kit/clock"
)

// Spell is something that comes and goes. The zero value has not come yet.
type Spell struct {
	on    bool
	since clock.Instant
	calm  time.Duration
}

// Step enters what was seen of the step of length span that ended at at: here,
// enough to begin; lingers, enough to go on. It ends after so much calm. It
// says whether the spell runs.
func (s *Spell) Step(at clock.Instant, span time.Duration, here, lingers bool, after time.Duration) bool {
	switch {
	case here && !s.on:
		*s = Spell{on: true, since: at.Add(-span)}
	case here || lingers:
		s.calm = 0
	case s.on:
		if s.calm += span; s.calm >= after {
			s.on = false
		}
	}
	return s.on
}

// On says whether it runs.
func (s *Spell) On() bool { return s.on }

// Since is when it began; valid iff On.
func (s *Spell) Since() clock.Instant { return s.since }
