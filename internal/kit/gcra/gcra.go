package gcra

import (
	"math"
	"time"

	"seawall/internal/kit/clock"
)

// Limit is a rate with a burst. The zero Limit lets nothing pass; make one with
// New. It is immutable and copied freely.
type Limit struct {
	interval time.Duration // the time that one request pays for
	depth    time.Duration // how far the state may run ahead of the clock
}

// New makes the limit of rate requests a second with at most burst at once. A
// rate or burst that is not positive makes the zero Limit.
func New(rate float64, burst int) Limit {
	if !(rate > 0) || burst <= 0 {
		return Limit{}
	}
	// Rounded up: a limit may be a hair too strict and is never too loose.
	ns := math.Ceil(float64(time.Second) / rate)
	if most := float64(math.MaxInt64/4) / float64(burst); ns > most {
		ns = most // a rate of almost nothing: the sums below must not overflow
	}
	i := max(time.Duration(ns), 1)
	return Limit{interval: i, depth: i * time.Duration(burst)}
}

// Times returns the limit with n times the rate and n times the burst.
func (l Limit) Times(n int) Limit {
	if n > 1 {
		// Time is what is counted: n times as many requests, each paying for an
		// n-th of the time, make the same depth.
		l.interval = (l.interval + time.Duration(n) - 1) / time.Duration(n)
	}
	return l
}

// Deeper returns the limit with n times the burst at the same rate. Two limits
// that differ in depth only may share one state: what is beyond the shallow
// one's reach is a reserve for those who are asked the deep one.
func (l Limit) Deeper(n int) Limit {
	if n > 1 {
		l.depth *= time.Duration(n)
	}
	return l
}

// Depth is how far ahead of the clock a state can be: a state that was left
// alone for so long is as good as new.
func (l Limit) Depth() time.Duration { return l.depth }

// Take asks whether a request of the given cost may pass at now, where tat is
// the state; the zero Instant is a state that has never been used.
//
// On yes the caller must store the new state. On no the state comes back as it
// was: a refused request is NOT charged, so that asking too often does not make
// the wait longer; retryAfter is how long until the same request would pass if
// nobody else came. A cost above the burst never passes, whatever retryAfter
// says. Take does not look at the clock and does not store anything.
func (l Limit) Take(tat, now clock.Instant, cost int) (newTAT clock.Instant, ok bool, retryAfter time.Duration) {
	next := max(tat, now).Add(l.interval * time.Duration(cost))
	if over := next.Sub(now) - l.depth; over > 0 || l.interval == 0 {
		return tat, false, max(over, 0)
	}
	return next, true, 0
}
