package proxy

import (
	"math"
	"slices"
	"time"

	"seawall/internal/kit/clock"
)

// Bounds of the adaptive limit.
const (
	limitStart = 32
	limitMin   = 4
	limitMax   = 1024

	// What a quiet site did not use for a span is closed again, down to
	// limitQuiet or spare times what was used: whatever stands open, a flood's
	// first moment fills.
	limitQuiet = 16
	spare      = 4
	span       = 2 * time.Second

	// A limit that has rested for this long grows all the same: the usual times
	// are only estimates, and only growing shows whether it makes answers slower.
	restless = 500 * time.Millisecond
)

// Constants of the adaptation.
const (
	interval   = 100 * time.Millisecond // between decisions
	minSamples = 8                      // for a decision; even
	maxSamples = 256                    // kept of an interval

	// An answer is slow beyond slowTimes its usual time and slowMore, and quick
	// up to quickTimes and quickMore. Between the two the limit rests. The
	// absolute parts keep noise of a few milliseconds from counting.
	slowTimes, quickTimes = 2.0, 1.5
	slowMore, quickMore   = float64(5 * time.Millisecond), float64(3 * time.Millisecond)

	// alone is how many may be in flight for a sample to show what a page costs
	// when nobody queues inside the origin.
	alone     = limitMin
	learnFast = 1.0 / 32
	learnSlow = 1.0 / 1024
	firsts    = 8  // samples of a class that count as its beginning
	surely    = 28 // samples while nobody queued; the first ones count more than later ones
	doubt     = 4  // of them, for what may have been guessed in a crowd
	outlier   = 4  // times usual: more counts as this much
)

// pace says how one answer compares with its class's usual.
type pace uint8

const (
	paceUsual pace = iota
	paceQuick
	paceSlow
)

// paceOf judges a time against the usual one, both in nanoseconds.
func paceOf(x, u float64) pace {
	switch {
	case x > slowTimes*u+slowMore:
		return paceSlow
	case x <= quickTimes*u+quickMore:
		return paceQuick
	}
	return paceUsual
}

// limiter finds how many requests the origin bears at a time, from how long it
// takes to begin its answers: more in flight than it has workers makes answers
// slower and no more numerous.
//
// The idea is TCP Vegas's (Brakmo and Peterson, 1995) as Netflix's
// concurrency-limits (Gradient2, Vegas) brought it to servers: compare the time
// now with the time without a queue, shrink by their ratio, grow by the square
// root. Two things differ. What pages usually cost is kept by class of path,
// since a poster may take ten times as long as a page; and it is learnt from
// requests that had the origin nearly to themselves, so that a long flood does
// not pass for usual. At the smallest limit every request is of that kind, so a
// site that has truly become slower is learnt anew there.
//
// It has no lock of its own; the Gate's guards it.
type limiter struct {
	now   int
	fixed bool
	used  bool // the limit stopped somebody during this interval, or nearly
	waits bool // somebody is in line, whatever it is that stops them

	rested clock.Instant // when the limit moved or was not used, last

	spanned clock.Instant // when this span began
	peak    int           // most in flight during this span
	busy    bool          // used during this span
	opens   bool          // nobody needed it for a span, and it has not been felt since

	usual [256]float64 // by class: nanoseconds to the first byte, alone
	seen  [256]uint8   // samples of the class, up to firsts
	sure  [256]uint8   // samples of it while nobody queued, up to surely; where several were
	// in flight, one of an interval: the first to come back are the quick ones
	grew [256]clock.Instant // when sure did

	began   clock.Instant // of this interval
	shrunk  clock.Instant // the limit, last; requests sent before it show the past
	slower  float64       // how many times the usual time answers took, last interval; at least 1
	n       int
	ratios  [maxSamples]float64
	paces   [maxSamples]pace
	sorting [maxSamples]float64
}

func (l *limiter) init(fixed int, now clock.Instant) {
	l.now, l.fixed, l.began, l.spanned, l.slower = limitStart, fixed > 0, now, now, 1
	if l.fixed {
		l.now = fixed
	}
}

// use says that the limit stops somebody, or nearly. What was seen before, when
// it did not, says nothing about it.
func (l *limiter) use() {
	if !l.used {
		l.used, l.n = true, 0
	}
	l.busy = true
}

// observe takes in one sample, and returns what its class usually takes, in nanoseconds;
// 0 where that is not known for certain. with is how many were in flight with it.
func (l *limiter) observe(now clock.Instant, class uint8, sent clock.Instant, took time.Duration, with int) (usual float64) {
	if l.fixed || took <= 0 {
		return 0
	}
	x := float64(took)
	u := l.learn(now, class, x, with)
	if sent >= l.shrunk {
		i := l.n % maxSamples
		l.ratios[i], l.paces[i] = x/u, paceOf(x, u)
		l.n++
	}
	switch since := now.Sub(l.began); {
	case l.opens && l.used && l.n >= max(l.now, minSamples):
		l.open(now)
	case since >= interval && l.n >= minSamples, since >= 10*interval && l.n > 0:
		l.decide(now)
	case l.used && l.n >= minSamples && l.n%(minSamples/2) == 0:
		l.flinch(now)
	}
	if now.Sub(l.spanned) >= span {
		if !l.busy {
			l.now, l.opens = min(l.now, max(limitQuiet, spare*l.peak)), true
		}
		l.spanned, l.peak, l.busy = now, 0, false
	}
	if l.sure[class] < doubt {
		return 0
	}
	return u
}

// learn returns what the class usually costs, this sample considered.
func (l *limiter) learn(now clock.Instant, class uint8, x float64, with int) float64 {
	u, sure := &l.usual[class], &l.sure[class]
	quiet := with <= alone || !l.used && !l.waits
	if quiet && *sure < surely && (with <= alone || now.Sub(l.grew[class]) >= interval) {
		*sure++
		l.grew[class] = now
	}
	if l.seen[class] < firsts {
		// In the midst of a crowd the sample holds the crowd's queue too.
		if with > alone {
			x /= l.slower
		}
		l.seen[class]++
		*u += (x - *u) / float64(l.seen[class])
		return *u
	}
	rate := 0.0
	switch {
	case with <= alone:
		rate = learnFast
	case quiet:
		rate = learnSlow
	}
	if quiet && *sure < surely {
		rate = max(rate, 1/float64(*sure+doubt))
	}
	*u += (min(x, outlier**u) - *u) * rate
	return *u
}

// flinch shrinks the limit before the interval's end if the last few samples
// are slow: in a flood's first moment every one is slower than the one before.
func (l *limiter) flinch(now clock.Instant) {
	i := l.n % maxSamples
	if i < minSamples {
		return
	}
	if p, times := l.judge(i-minSamples, i); p == paceSlow {
		l.shrink(now, times)
	}
}

// open makes it twice as large when as many answers came as it lets go, and they were
// quick: what a quiet site closed, a crowd has open within a few answers' time.
func (l *limiter) open(now clock.Instant) {
	p, times := l.judge(0, min(l.n, maxSamples))
	if p != paceQuick {
		l.opens = false
		return
	}
	l.now, l.rested = min(limitMax, 2*l.now), now
	l.next(now, times)
}

// decide changes the limit by what the interval showed.
func (l *limiter) decide(now clock.Instant) {
	p, times := l.judge(0, min(l.n, maxSamples))
	switch {
	case !l.used:
		l.rested = now
	case p == paceSlow:
		l.shrink(now, times)
		return
	case p == paceQuick, now.Sub(l.rested) > restless:
		l.now = min(limitMax, l.now+max(1, int(math.Sqrt(float64(l.now)))))
		l.rested = now
	}
	l.next(now, times)
}

func (l *limiter) shrink(now clock.Instant, times float64) {
	l.now = max(limitMin, int(float64(l.now)/times))
	l.shrunk, l.rested, l.opens = now, now, false
	l.next(now, times)
}

// next begins the next interval.
func (l *limiter) next(now clock.Instant, times float64) {
	l.slower = max(1, times)
	l.began, l.n, l.used = now, 0, false
}

// judge returns the pace of most of the samples i to j, and how many times the
// usual time the middle one took. Each sample is judged on its own, since a
// page that usually takes 3 ms may well take 10 and one of 100 not 300.
func (l *limiter) judge(i, j int) (pace, float64) {
	var count [3]int
	for _, p := range l.paces[i:j] {
		count[p]++
	}
	most := paceUsual
	switch half := (j - i) / 2; {
	case count[paceSlow] > half:
		most = paceSlow
	case count[paceQuick] > half:
		most = paceQuick
	}
	return most, l.median(l.ratios[i:j])
}

func (l *limiter) median(v []float64) float64 {
	s := l.sorting[:copy(l.sorting[:], v)]
	slices.Sort(s)
	return s[len(s)/2]
}

// classOf sorts requests by what they may cost: by whether they change
// something, and by the first two segments of the path.
func classOf(safe bool, path string) uint8 {
	h := uint32(2166136261) // FNV-1a
	if !safe {
		h = (h ^ 1) * 16777619
	}
	slashes := 0
	for i := 0; i < len(path) && i < 128; i++ {
		if path[i] == '/' {
			if slashes++; slashes > 2 {
				break
			}
		}
		h = (h ^ uint32(path[i])) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}
