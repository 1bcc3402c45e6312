package defense

import (
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
)

const (
	// leastWindow is how long a window must be to be judged: rates of less are
	// chance, and there are too few samples to say what packets have in common.
	leastWindow = 300 * time.Millisecond
	// A kind of packet abounds above so many a second, and so many times its usual
	// peak. No detector sees a flood in less by default.
	aboundLeast = 2000
	aboundTimes = 3
	// mostEarly windows may end early in each earlyEvery: what abounds and is no
	// flood is a crowd, whose windows end as always.
	mostEarly  = 4
	earlyEvery = 10 * time.Second
)

// earlyLooks counts the windows that ended early.
type earlyLooks struct {
	from clock.Instant // since when
	n    int
}

// packetsAbound says whether the window, which has lasted for since, should end
// now: a flood of packets that is not stopped yet is plain from the counters. A
// window has its true length, so that every rate in it is right; only how often
// requests are looked at changes by it, for a second or two.
func (l *Loop) packetsAbound(now decide.Moment, since time.Duration) bool {
	if l.deps.PacketsYet == nil || since < leastWindow-glanceEvery/2 || l.packets.held() {
		return false
	}
	if now.At.Sub(l.early.from) >= earlyEvery {
		l.early = earlyLooks{from: now.At}
	}
	if l.early.n >= mostEarly {
		return false
	}
	n := l.baseline.Normal()
	for k, came := range l.deps.PacketsYet() {
		if float64(came)/since.Seconds() > max(aboundLeast, aboundTimes*n.Packets.Kinds[k].Peak) {
			l.early.n++
			return true
		}
	}
	return false
}

// held says whether there are floods, and most of each is stopped.
func (b *packetBook) held() bool {
	for _, a := range b.current {
		if a.Mitigated == nil {
			return false
		}
	}
	return len(b.current) > 0
}
