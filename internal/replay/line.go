package replay

import (
	"time"

	"seawall/internal/kit/accesslog"
)

const (
	// together is how many seconds are held, since servers write a request down when it
	// is over and some with the time at which it began.
	together = 64
	// mostHeld bounds what is held of them, in bytes; the oldest second goes then.
	mostHeld = 64 << 20
	// leap is how many seconds a request must be ahead for the next one to be waited
	// for: a clock that went wrong is not to end a day.
	leap = 3600
)

// line puts requests in the order of their seconds. Those of one second stay in the order
// in which they came.
type line struct {
	base    int64 // the oldest second held, since 1970
	seconds [together][]accesslog.Entry
	held    int // bytes
	some    int // entries
	newest  int64
	leap    *accesslog.Entry // far ahead of those before it; nil there is none
	leaves  func(sec time.Time, batch []accesslog.Entry)
}

func newLine(first time.Time, goes func(time.Time, []accesslog.Entry)) *line {
	// What comes next may be from before the first.
	return &line{base: first.Unix() - together/2, leaves: goes}
}

// take puts a request in line, and lets those go that waited long enough. It returns how
// many are left out: those whose second has gone already, and one that is far ahead of
// all that comes after it.
func (l *line) take(e *accesslog.Entry) (out uint64) {
	sec := e.Time.Unix()
	if l.leap != nil {
		ahead := *l.leap
		l.leap = nil
		if sec < ahead.Time.Unix()-together {
			out++ // it was the only one from there
		} else {
			out += l.put(&ahead)
		}
	}
	if l.newest != 0 && sec-l.newest > leap {
		keep := *e
		l.leap = &keep
		return out
	}
	return out + l.put(e)
}

func (l *line) put(e *accesslog.Entry) (out uint64) {
	sec := e.Time.Unix()
	if sec < l.base {
		return 1
	}
	l.newest = max(l.newest, sec)
	for sec-l.base >= together {
		if l.some == 0 {
			l.base = sec - together/2
			break
		}
		l.oldest()
	}
	b := &l.seconds[sec%together]
	*b = append(*b, *e)
	l.some++
	for l.held += size(e); l.held > mostHeld; {
		l.oldest()
	}
	return 0
}

// oldest lets the oldest second go.
func (l *line) oldest() {
	b := &l.seconds[l.base%together]
	if len(*b) > 0 {
		for i := range *b {
			l.held -= size(&(*b)[i])
		}
		l.some -= len(*b)
		l.leaves(time.Unix(l.base, 0).UTC(), *b)
		clear(*b)
		*b = (*b)[:0]
	}
	l.base++
}

// rest lets all go.
func (l *line) rest() {
	if l.leap != nil { // nothing came after it that could tell
		l.put(l.leap)
		l.leap = nil
	}
	for l.some > 0 {
		l.oldest()
	}
}

// size is about what an entry holds.
func size(e *accesslog.Entry) int {
	return 250 + len(e.Method) + len(e.Host) + len(e.Path) + len(e.Query) + len(e.Agent) + len(e.Referer)
}
