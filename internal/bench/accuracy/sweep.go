package accuracy

import (
	"cmp"
	"slices"
	"time"

	"seawall/internal/traffic"
)

const (
	freshFor = 500 // ms: who has just come is about to say something
	lagMost  = 700 // ms that the honest keep us waiting in the middle of a request
)

// sweep looks at all connections, ends what takes too long and counts who keeps us waiting.
func (l *listener) sweep() {
	l.now = ms(time.Duration(l.s.now()))
	clear(l.lags[:])
	for _, k := range slices.Clone(l.links) {
		if k.over {
			continue
		}
		if l.looks(k) && !k.lagged {
			k.lagged = true
			l.tell(k.c, "", traffic.LinkSlow)
		}
		for _, st := range slices.Clone(k.streams) {
			if !st.lost && (st.reading != 0 && l.now > st.reading || st.writing != 0 && l.now > st.writing) {
				k.giveUp(st)
			}
		}
		if k.over || k.until == 0 || l.now <= k.until {
			continue
		}
		switch k.phase {
		case inNew:
			l.count.Slow[traffic.WaitSilent]++
			l.close(k, byTime)
		case inHead:
			l.count.Slow[traffic.WaitHead]++
			l.close(k, byTime)
		default:
			l.close(k, byNobody) // nobody minds that an idle connection ends
		}
	}
	l.s.after(sweepEvery, l.sweep)
}

// looks counts what a connection keeps us waiting for, and says whether that is in the middle
// of a request.
func (l *listener) looks(k *link) (lags bool) {
	head, grace := ms(l.max.Head), ms(l.max.Grace)
	switch k.phase {
	case inNew:
		if l.now-k.accepted > min(freshFor, head/4) {
			if k.shakes {
				l.lags[traffic.WaitShake]++
			} else {
				l.lags[traffic.WaitSilent]++
			}
		}
		return false
	case inHead:
		endless := k.h2 && k.worth == 0 && !k.unwanted && l.now-k.accepted > freshFor+lagMost
		if endless || long(l.now, k.until, head) {
			l.lags[traffic.WaitHead]++
			return true
		}
	}
	for _, st := range k.streams {
		switch {
		case st.writing != 0 && long(l.now, st.writing, grace):
			l.lags[traffic.WaitTake]++
		case st.reading != 0 && long(l.now, st.reading, grace):
			l.lags[traffic.WaitBody]++
		default:
			continue
		}
		lags = true
	}
	return lags
}

// long says whether a time of the length of that ends at until has run for longer than the
// honest take.
func long(now, until, of int64) bool { return until-now < of-min(lagMost, of/4) }

// evict ends a batch of connections to make room, as listen chooses them.
func (l *listener) evict() (ended int) {
	if l.now < l.none {
		return 0
	}
	slow := l.slow()
	if len(slow) > l.max.Conns/2 {
		ended = l.endFirst(slow)
	}
	if ended == 0 {
		ended = l.endFirst(l.waiting(l.now - freshFor))
	}
	if ended == 0 && len(slow) > l.max.Conns/4 {
		ended = l.endFirst(slow)
	}
	if ended == 0 {
		ended = l.endFirst(l.waiting(l.now))
	}
	if ended == 0 {
		ended = l.endFirst(slow)
	}
	if ended == 0 {
		l.none = l.now + ms(sweepEvery) + 1
	}
	return ended
}

// candidate may be closed to make room; lower keys go first.
type candidate struct {
	k   *link
	key int64
}

// waiting are those that wait since a moment or longer for a head or for the rest of one.
func (l *listener) waiting(until int64) (list []candidate) {
	for _, k := range l.links {
		since, worth := k.until, int64(k.worth)
		switch k.phase {
		case inNew, inHead:
			since -= ms(l.max.Head)
			if l.now-since < freshFor && !k.unwanted {
				worth = max(worth, 1)
			}
		case inIdle:
			since -= ms(l.max.Idle)
		default:
			continue
		}
		if since <= until {
			list = append(list, candidate{k, worth<<48 + since})
		}
	}
	return l.unknown(list)
}

// slow are those that send a body or take an answer, and are waited for at this moment.
func (l *listener) slow() (list []candidate) {
	for _, k := range l.links {
		if len(k.streams) == 0 {
			continue
		}
		until := int64(0)
		for _, st := range k.streams {
			end := max(st.reading, st.writing)
			if end == 0 {
				until = 0
				break
			}
			if until == 0 || end < until {
				until = end
			}
		}
		if until != 0 {
			list = append(list, candidate{k, int64(k.worth)<<48 + until})
		}
	}
	return l.unknown(list)
}

// unknown takes known visitors off a list, unless they hold more than half of all places.
func (l *listener) unknown(list []candidate) []candidate {
	held := 0
	for _, k := range l.links {
		held += one(k.worth == 2)
	}
	if held > l.max.Conns/2 {
		return list
	}
	return slices.DeleteFunc(list, func(c candidate) bool { return c.k.worth == 2 })
}

func (l *listener) endFirst(list []candidate) int {
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.key, b.key) })
	n := min(len(list), max(1, l.max.Conns/64))
	for _, c := range list[:n] {
		l.count.Evicted++
		l.close(c.k, byRoom)
	}
	return n
}
