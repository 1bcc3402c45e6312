package clock

import (
	"sync/atomic"
	"time"
)

// Instant is a moment in nanoseconds since an hour before its Clock was made.
// The zero Instant is therefore always in the past and can mean "never yet".
type Instant int64

// start keeps the zero Instant well before anything a Clock can return.
const start = Instant(time.Hour)

// Add returns the moment d after i.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub returns how long after j the moment i is.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }

// Clock reads time. The zero value is not usable; make one with New, and one
// only for a process, since Instants of two Clocks cannot be compared.
type Clock struct {
	epoch time.Time
	hand  *atomic.Int64 // the Instant it is set to; nil: it goes by itself
}

// New starts a clock.
func New() *Clock { return &Clock{epoch: time.Now()} }

// NewStopped makes a clock that shows at until it is Set.
func NewStopped(at time.Time) *Clock {
	c := &Clock{epoch: at.Round(0), hand: new(atomic.Int64)}
	c.hand.Store(int64(start))
	return c
}

// Set moves a stopped clock on to i; it never goes back.
func (c *Clock) Set(i Instant) {
	if i > Instant(c.hand.Load()) {
		c.hand.Store(int64(i))
	}
}

// Now costs one monotonic clock read (about 40 ns) and no allocation.
func (c *Clock) Now() Instant {
	if c.hand != nil {
		return Instant(c.hand.Load())
	}
	return start + Instant(time.Since(c.epoch))
}

// Wall tells what the wall clock shows, or showed, or will show, at i, judged
// by how far the two clocks are apart right now.
func (c *Clock) Wall(i Instant) time.Time {
	if c.hand != nil {
		return c.epoch.Add(time.Duration(i - start))
	}
	now := time.Now()
	return now.Add(time.Duration(i - c.at(now))).Round(0)
}

// At is the reverse of Wall: the Instant at which the wall clock shows t.
func (c *Clock) At(t time.Time) Instant {
	if c.hand != nil {
		return start + Instant(t.Round(0).Sub(c.epoch))
	}
	now := time.Now()
	// Round(0) strips the monotonic reading, so that t and now are both wall.
	return c.at(now) + Instant(t.Round(0).Sub(now.Round(0)))
}

func (c *Clock) at(now time.Time) Instant { return start + Instant(now.Sub(c.epoch)) }
