package proxy

import (
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// Fates of a waiter.
const (
	waits = iota
	goes  // holds a slot
	leaves
)

// waiter is one request in line. It belongs to the Gate's mutex, except for
// ready and timer, which belong to the goroutine that waits.
type waiter struct {
	prev, next *waiter
	rank       mitigation.Rank
	who        uint16 // the client's bucket
	bill       bill
	number     uint64    // higher came later
	at         [ends]int // in its line's orders
	fate       int
	ready      chan struct{} // holds one message: look at fate; if it is waits still, ask again
	timer      *time.Timer
}

// wake has the waiter's goroutine look.
func (w *waiter) wake() {
	select {
	case w.ready <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// standing is how long a line must not have been empty to count as overloaded.
// CoDel's interval (RFC 8289) is the same 100 ms.
const standing = 100 * time.Millisecond

// buckets is how many clients are told from one another in a line.
const buckets = 1024

// line is the waiters of one rank, oldest first.
//
// Known and proven visitors are served in the order in which they came. Under
// overload, when most of the others cannot be served at all, newcomers and
// suspects are served by what their clients had of the origin, the least first, and
// newest first among equals: those who came last still wait for their answer, those who
// came first have mostly given up. (The latter is from "Fail at Scale", ACM Queue 13/8,
// 2015: adaptive LIFO.)
type line struct {
	oldest, newest *waiter
	order          [ends]order // the same, as they go under overload; of newcomers and suspects
	n              int
	held           [buckets]uint32 // how many of each bucket
	most           int             // of those, the highest
	holding        []uint32        // how many buckets have so many, by number; [0] is not kept
	since          clock.Instant   // when it was empty last; valid iff n > 0
}

func (l *line) init() { l.order[fromBack].end = fromBack }

func (l *line) push(w *waiter, now clock.Instant) {
	if l.n == 0 {
		l.since = now
	}
	w.prev, w.next = l.newest, nil
	if l.newest != nil {
		l.newest.next = w
	} else {
		l.oldest = w
	}
	l.newest = w
	l.n++
	l.hold(w.who, 1)
	if w.rank >= mitigation.RankNewcomer {
		for i := range l.order {
			l.order[i].add(w)
		}
	}
}

func (l *line) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.oldest = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.newest = w.prev
	}
	w.prev, w.next = nil, nil
	l.n--
	l.hold(w.who, -1)
	if w.rank >= mitigation.RankNewcomer {
		for i := range l.order {
			l.order[i].remove(w)
		}
	}
}

// overloaded says whether r is a rank that is not served in order of arrival now.
func (l *line) overloaded(r mitigation.Rank, now clock.Instant) bool {
	return r >= mitigation.RankNewcomer && l.n > 0 && now.Sub(l.since) > standing
}

// first returns who is served next.
func (l *line) first(r mitigation.Rank, now clock.Instant) *waiter {
	if l.overloaded(r, now) {
		return l.order[fromFront].top().w
	}
	return l.oldest
}

// last returns who is sent away first.
func (l *line) last(r mitigation.Rank, now clock.Instant) *waiter {
	if l.overloaded(r, now) {
		return l.oldest
	}
	return l.newest
}

// hold counts one more or one less of a bucket, and keeps account of which has most.
func (l *line) hold(who uint16, by int) {
	was := int(l.held[who])
	now := was + by
	l.held[who] = uint32(now)
	for now >= len(l.holding) {
		l.holding = append(l.holding, 0)
	}
	l.holding[was]--
	l.holding[now]++
	switch {
	case now > l.most:
		l.most = now
	case was == l.most && l.holding[was] == 0:
		l.most = now // who had the most has one less
	}
}

// lastOf is last among the waiters of some buckets, of whom there is one.
func (l *line) lastOf(some func(who uint16) bool, r mitigation.Rank, now clock.Instant) *waiter {
	if l.overloaded(r, now) {
		w := l.oldest
		for !some(w.who) {
			w = w.next
		}
		return w
	}
	w := l.newest
	for !some(w.who) {
		w = w.prev
	}
	return w
}
