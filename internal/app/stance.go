package app

import (
	"time"

	"seawall/internal/request/admit"
)

// stance passes on what the loop says of the times, unless a person has said
// that an attack runs.
type stance struct {
	door   *admit.Admit
	always bool
}

func (s stance) UnderAttack(since time.Time) { s.door.UnderAttack(since) }

// Crowded is less than an attack: whoever said that one runs has said more.
func (s stance) Crowded(since time.Time) {
	if !s.always {
		s.door.Crowded(since)
	}
}

func (s stance) Calm() {
	if !s.always {
		s.door.Calm()
	}
}
