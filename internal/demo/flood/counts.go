package flood

import (
	"sync/atomic"
	"time"
)

// Counts is what a flood has done so far.
type Counts struct {
	At       time.Time     `json:"at"`       // when these were read
	Since    time.Duration `json:"since"`    // the first request was due, in nanoseconds
	Meant    uint64        `json:"meant"`    // requests due
	Sent     uint64        `json:"sent"`     // requests written, or being connected for
	Held     uint64        `json:"held"`     // due, but every connection of the source was waiting
	Answered uint64        `json:"answered"` // 2xx and 3xx: the site's own answer
	Refused  uint64        `json:"refused"`  // carried Seawall-Ref, or 403, 429
	Failed   uint64        `json:"failed"`   // any other answer: the site or the server in front gave up
	Errors   uint64        `json:"errors"`   // no answer: refused, reset, cut off
	GaveUp   uint64        `json:"gave_up"`  // no answer within patience
	Dials    uint64        `json:"dials"`    // connections opened
	Done     bool          `json:"done"`     // this is the last report
}

type counters struct {
	meant, sent, held, answered, refused, failed, errors, gaveUp, dials atomic.Uint64
}

func (c *counters) note(a answer) {
	switch {
	case a.ref || a.status == 403 || a.status == 429:
		c.refused.Add(1)
	case a.status >= 200 && a.status < 400:
		c.answered.Add(1)
	default:
		c.failed.Add(1)
	}
}

func (c *counters) read(begun time.Time) Counts {
	now := time.Now()
	return Counts{
		At: now, Since: now.Sub(begun),
		Meant: c.meant.Load(), Sent: c.sent.Load(), Held: c.held.Load(),
		Answered: c.answered.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Errors: c.errors.Load(), GaveUp: c.gaveUp.Load(), Dials: c.dials.Load(),
	}
}
