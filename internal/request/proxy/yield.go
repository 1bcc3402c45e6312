package proxy

import (
	"math"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// Constants of yield.
const (
	yieldMin = limitMin - 1 // places

	// Beyond crowded times their usual time answers are what whoever is known must not
	// be made to wait for; up to easy times there is room for more; and where they take
	// less than quicker, what counted as usual was too much.
	crowded, easy, quicker = 1.3, 1.15, 0.75
	yieldSlack             = float64(time.Millisecond) // noise that does not count

	// What usually takes less counts as taking so long: where answers take a millisecond,
	// a busy processor makes it three, and nobody notices.
	yieldLeast = float64(4 * time.Millisecond)

	// A mean counts as crowded when it is so many standard errors above easy. The last
	// few answers, which are looked at again and again, must be flooded times as slow.
	doubtful, flooded = 3, 2.0

	// suspects have one in so many of the places that newcomers have.
	suspects = 3

	// What strangers did not use for a span on a quiet site is closed again, down to
	// yieldQuiet or spare times what they used: what stands open, a flood fills before
	// anybody knows of it. Who needs more has it opened in steps, while nobody feels it,
	// and after yieldOpens the usual rules hold, whatever is known by then: where pages take
	// long, or nobody knows how long, a crowd must not wait for answers.
	yieldQuiet = 6
	yieldOpens = interval

	yieldInterval = interval / 2
	yieldSamples  = 2 * minSamples
)

// yield is how many places newcomers and suspects may have while visitors come whom we
// know. The limit lets answers become twice as slow before it holds anybody back,
// which makes the most of the origin; with strangers alone waiting for their answers
// that is right, but those whom we know would queue behind them inside the origin,
// where nobody can let them pass. So strangers get as many places as leave the answers
// nearly as quick as they are on a quiet day, and suspects a third of those: what resembles
// a flood must not be what visitors notice of it.
//
// It goes by the mean over many answers, not by the middle one, and by how certain that
// is: pages of one class whose costs differ have their usual mean, however they differ.
// It has no lock of its own; the Gate's guards it.
type yield struct {
	now    int
	used   bool // somebody was stopped by it during this interval
	full   bool // all its places were taken meanwhile
	began  clock.Instant
	since  clock.Instant // requests sent before it show the past
	moved  clock.Instant // when now did, last
	before int           // what now was before it shrank; 0 once it has grown back
	bare   bool          // it is at the lowest, and none of those from before are at the origin
	quiet  quiet
	base   float64             // what answers take where strangers have next to nothing, in usual times; at least 1
	all    spread              // of this interval's answers, in times of the base
	late   [minSamples]float64 // the last ones of them
}

// quiet is how much of the places was used during a span, and what came of it.
type quiet struct {
	began  clock.Instant
	peak   int           // strangers at the origin, at most
	busy   bool          // somebody was stopped
	closed bool          // what was not used is closed since
	needed clock.Instant // when somebody was stopped by that; 0 nobody
}

// spread sums up numbers for their mean and its standard error.
type spread struct {
	n            int
	sum, squares float64
}

func (s *spread) add(x float64) { s.n, s.sum, s.squares = s.n+1, s.sum+x, s.squares+x*x }

func (s *spread) mean() float64 { return s.sum / float64(s.n) }

// surely is what the mean is above, with so many standard errors of doubt.
func (s *spread) surely(doubt float64) float64 {
	m, n := s.mean(), float64(s.n)
	return m - doubt*math.Sqrt(max(0, s.squares/n-m*m)/n)
}

// most is how many places it gives, of a limit: never more than leave a quarter free.
func (y *yield) most(limit int) int { return min(y.now, limit-max(1, limit/4)) }

// forget is for when nobody known has come for long.
func (y *yield) forget(now clock.Instant) {
	*y = yield{now: limitMax, base: 1, began: now, since: now, moved: now, quiet: quiet{began: now}}
}

// observe takes in one answer, which took x and usually takes u, both in nanoseconds; 0
// where nobody can tell.
func (y *yield) observe(now, sent clock.Instant, x, u float64, limit int) {
	y.expire(now)
	y.close(now, limit)
	if sent < y.since || u <= 0 {
		return
	}
	r := min(max(0, x-yieldSlack)/max(u, yieldLeast)/y.base, outlier)
	y.late[y.all.n%minSamples] = r
	y.all.add(r)
	n := y.all.n
	switch since := now.Sub(y.began); {
	case !y.used:
		if since >= yieldInterval {
			y.next(now)
		}
	case y.quiet.closed && n >= y.most(limit):
		y.open(now, limit)
	case !y.quiet.closed && (since >= yieldInterval && n >= yieldSamples || since >= 4*yieldInterval && n >= minSamples):
		y.decide(now, limit)
	case n >= minSamples && n%(minSamples/2) == 0:
		y.flinch(now, limit)
	}
}

// decide changes the number of places by what the interval showed.
func (y *yield) decide(now clock.Instant, limit int) {
	defer y.next(now)
	mean, at := y.all.mean(), y.most(limit)
	over, surely := crowded, easy
	if !y.full { // suspects alone, who are to be felt by nobody
		over, surely = easy, 1
	}
	switch slow := mean > over && y.all.surely(doubtful) > surely; {
	case slow && at > yieldMin:
		y.shrink(now, mean, limit)
	case slow && !y.bare:
		// What was sent from now on had none of the earlier ones before it.
		y.bare, y.since = true, now
	case slow:
		// With next to nothing at the origin strangers are not what makes it slow: it has
		// become so, or what its pages usually take was guessed wrong.
		y.base *= mean
		y.now, y.moved = max(at, y.before), now
	case mean < quicker: // it is not as slow as that any more
		y.base = max(1, y.base*(1+(mean-1)/4))
	case !y.full: // whether there is room for more has not been tried
	case mean <= easy, now.Sub(y.moved) > restless:
		step := at / 8
		if at < y.before/2 { // it is known to have borne more
			step = at / 2
		}
		y.now, y.moved = at+max(1, step), now
		if y.now >= y.before {
			y.before = 0
		}
	}
}

// close takes back what strangers did not use for a span.
func (y *yield) close(now clock.Instant, limit int) {
	q := &y.quiet
	if now.Sub(q.began) < span {
		return
	}
	if at := max(yieldQuiet, spare*q.peak); !q.busy && at < y.most(limit) {
		y.now = at
		y.closes(true)
	}
	q.began, q.peak, q.busy = now, 0, false
}

// open gives half as many places again when as many answers came as there are places, and
// nobody felt it; where somebody surely did, it takes the last ones back. So a crowd has
// what the origin bears within a few answers' time, and a flood no more than that.
func (y *yield) open(now clock.Instant, limit int) {
	at, mean := y.most(limit), y.all.mean()
	more := at + max(1, at/2)
	switch {
	case mean > crowded && y.all.surely(1) > easy:
		y.now, y.since = max(yieldQuiet, at-at/3), now
		y.closes(false)
	case mean > easy:
		return // more answers will tell
	case more > limit-max(1, limit/4): // all that the limit leaves
		y.now = limitMax
		y.closes(false)
	default:
		y.now = more
	}
	if y.moved = now; y.now >= y.before {
		y.before = 0
	}
	y.next(now)
}

// needs notes that somebody was stopped by what is closed.
func (y *yield) needs(now clock.Instant) {
	if q := &y.quiet; q.closed && q.needed == 0 {
		q.needed, y.all = now, spread{} // what came before says nothing about it
	}
}

// expire has the usual rules hold where it was needed for long, and says that this gave
// more places.
func (y *yield) expire(now clock.Instant) bool {
	q := &y.quiet
	if !q.closed || q.needed == 0 || now.Sub(q.needed) < yieldOpens {
		return false
	}
	y.closes(false)
	if y.all.n > 0 && y.all.mean() > easy {
		return false // it is felt already
	}
	y.now, y.moved = limitMax, now
	return true
}

func (y *yield) closes(closed bool) { y.quiet.closed, y.quiet.needed = closed, 0 }

// flinch gives fewer places before the interval's end if the last few answers were slow:
// in a flood's first moment every one is slower than the one before.
func (y *yield) flinch(now clock.Instant, limit int) {
	var s spread
	for _, r := range y.late {
		s.add(r)
	}
	if s.mean() > flooded && s.surely(doubtful) > easy {
		y.shrink(now, s.mean(), limit)
		y.next(now)
	}
}

func (y *yield) shrink(now clock.Instant, times float64, limit int) {
	at := y.most(limit)
	y.before = max(y.before, at)
	y.now = max(yieldMin, int(float64(at)/times))
	y.since, y.moved, y.bare = now, now, false
	y.closes(false)
}

// restart leaves out of count what was sent before.
func (y *yield) restart(now clock.Instant) {
	y.since = now
	y.next(now)
}

// next begins the next interval.
func (y *yield) next(now clock.Instant) {
	y.began, y.all, y.used, y.full = now, spread{}, false, false
}

// reserves says whether slots are kept free for those whom we know.
func (g *Gate) reserves(now clock.Instant) bool {
	return g.seenGood != 0 && now.Sub(g.seenGood) <= reserveFor
}

// places is how many newcomers and suspects may be at the origin, together, for one more
// of a rank to go there while those whom we know come.
func (g *Gate) places(rank mitigation.Rank) int {
	most := g.yield.most(g.limit.now)
	if rank == mitigation.RankSuspect {
		return max(1, most/suspects)
	}
	return most
}

// next is the best rank of strangers in line.
func (g *Gate) next() mitigation.Rank {
	if g.lines[mitigation.RankNewcomer].n > 0 {
		return mitigation.RankNewcomer
	}
	return mitigation.RankSuspect
}

// held is what holds a stranger back.
type held struct {
	yields bool // that those whom we know must not wait
	all    bool // and strangers have all places that they may have
	only   bool // the limit alone would let the stranger go on
}

func (g *Gate) held(rank mitigation.Rank, now clock.Instant) held {
	limit := g.limit.now
	yields := g.low >= g.places(rank) && g.reserves(now)
	return held{
		yields: yields,
		all:    yields && g.low >= g.yield.most(limit),
		only:   yields && g.inFlight < limit && g.low < limit-max(1, limit/4),
	}
}

// stop notes it.
func (g *Gate) stop(h held, now clock.Instant) {
	if h.yields {
		g.yield.needs(now)
	}
	g.yield.used = g.yield.used || h.yields
	g.yield.quiet.busy = g.yield.quiet.busy || h.yields
	g.yield.full = g.yield.full || h.all
	if !h.only {
		g.limit.use()
	}
}
