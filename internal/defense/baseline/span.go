package baseline

import (
	"math/rand/v2"
	"slices"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

const (
	// mostSpan is how many ordinary requests are kept of a day, and of a week.
	mostSpan = 2000
	// A day's sample is of 48 half hours, a week's of 84 times two hours.
	daySlot, daySlots   = 30 * time.Minute, 48
	weekSlot, weekSlots = 2 * time.Hour, 84
	// shownEvery is how often what was added to them is published, while what is learnt is
	// younger than shownYoung; and how often afterwards.
	shownEvery, shownOld = time.Minute, 10 * time.Minute
	shownYoung           = 2 * time.Hour
)

// span is a sample of ordinary requests that is spread evenly over a day or a week:
// a small reservoir for each stretch of it, all of the same size. While there are few
// stretches each may hold more; when one begins, the others are thinned out. It goes
// by wall time, so that it outlives a restart, and by that of what is learnt, so that
// it is as old after an attack as before it. What it has published is never written
// to again.
type span struct {
	length int64  // of a stretch, seconds
	slots  []slot // by number modulo how many there are
	now    int64  // number of the newest stretch
	quota  int    // of each stretch
	coin   *rand.Rand
	picked []int // see add; its memory is used again

	dirty bool
	shown clock.Instant // when it was published last
	items []traffic.Sample
}

// slot is the reservoir of one stretch.
type slot struct {
	number int64 // of its lengths since 1970
	seen   int   // requests that it was chosen from
	items  []traffic.Sample
}

func newSpan(length time.Duration, slots int, seed uint64) span {
	return span{
		length: int64(length / time.Second), slots: make([]slot, slots), quota: mostSpan,
		// As ordinary's coin: a recording must replay exactly.
		coin: rand.New(rand.NewPCG(seed, 2)),
	}
}

// live says that a slot is one of the last ones.
func (s *span) live(sl *slot) bool {
	return len(sl.items) > 0 && sl.number <= s.now && sl.number > s.now-int64(len(s.slots))
}

// add takes up requests of a window that ended at wall: at most quota of them, each as
// likely to stay as all others of its stretch. blind: they are from a log.
func (s *span) add(samples []traffic.Sample, quota int, wall time.Time, blind bool) {
	number := wall.Unix() / s.length
	if number <= 0 || len(samples) == 0 {
		return
	}
	sl := &s.slots[number%int64(len(s.slots))]
	if sl.number != number || len(sl.items) == 0 {
		*sl = slot{number: number}
		s.now = number
		s.thin()
	}
	s.now = number
	s.dirty = true
	s.picked = pick(s.picked[:0], s.coin, len(samples), quota)
	for _, i := range s.picked {
		sl.seen++
		at := len(sl.items)
		if at >= s.quota {
			// Vitter's algorithm R (1985).
			if at = s.coin.IntN(sl.seen); at >= s.quota {
				continue
			}
		} else {
			sl.items = append(sl.items, traffic.Sample{})
		}
		sl.items[at] = anonymousVisit(&samples[i].Visit, blind)
	}
}

// anonymousVisit copies what signatures can be tested on, and nothing that leads to a
// person or to a moment.
func anonymousVisit(v *traffic.Visit, blind bool) traffic.Sample {
	out := traffic.Sample{Visit: *v, Blind: blind}
	forget(&out.Visit)
	out.Visit.At, out.Visit.ClearanceAt = 0, time.Time{}
	return out
}

// thin makes room for a stretch that begins, and forgets what is too old.
func (s *span) thin() {
	n := 1 // the new one
	for i := range s.slots {
		if sl := &s.slots[i]; s.live(sl) {
			n++
		} else if sl.number != s.now {
			*sl = slot{}
		}
	}
	s.quota = mostSpan / n
	for i := range s.slots {
		sl := &s.slots[i]
		for len(sl.items) > s.quota {
			last := len(sl.items) - 1
			sl.items[s.coin.IntN(len(sl.items))] = sl.items[last]
			sl.items[last] = traffic.Sample{}
			sl.items = sl.items[:last]
		}
		if cap(sl.items) > 2*s.quota {
			sl.items = slices.Clone(sl.items)
		}
	}
}

// age forgets what is too old, or from the future, by the clock.
func (s *span) age(wall time.Time) {
	s.now = max(wall.Unix()/s.length, 0)
	for i := range s.slots {
		if sl := &s.slots[i]; !s.live(sl) {
			*sl = slot{}
		}
	}
	s.dirty = true
}

// renew publishes what was added, when it is time to. age is how much was learnt.
func (s *span) renew(now clock.Instant, age time.Duration) {
	every := shownOld
	if age < shownYoung {
		every = shownEvery
	}
	if s.dirty && (s.shown == 0 || now.Sub(s.shown) >= every) {
		s.shown = now
		s.show()
	}
}

// show publishes what is held, the oldest stretch first.
func (s *span) show() {
	s.dirty = false
	s.items = make([]traffic.Sample, 0, s.count())
	for _, sl := range s.inOrder() {
		s.items = append(s.items, sl.items...)
	}
}

func (s *span) count() int {
	n := 0
	for i := range s.slots {
		if s.live(&s.slots[i]) {
			n += len(s.slots[i].items)
		}
	}
	return n
}

// inOrder lists the slots that are live, the oldest first.
func (s *span) inOrder() []*slot {
	var out []*slot
	for n := s.now - int64(len(s.slots)) + 1; n <= s.now; n++ {
		if n <= 0 {
			continue
		}
		if sl := &s.slots[n%int64(len(s.slots))]; sl.number == n && len(sl.items) > 0 {
			out = append(out, sl)
		}
	}
	return out
}

// pick appends to out, which is empty, a random choice of most of the numbers below n, in
// order (Knuth's selection sampling).
func pick(out []int, coin *rand.Rand, n, most int) []int {
	out = slices.Grow(out, min(n, max(most, 0)))
	for i := range n {
		if most >= n || coin.IntN(n-i) < most-len(out) {
			out = append(out, i)
		}
	}
	return out
}
