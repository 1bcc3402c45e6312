package replay

import (
	"net/netip"
	"strings"
	"time"

	"seawall/internal/kit/accesslog"
	"seawall/internal/kit/urlpath"
	"seawall/internal/traffic"
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
	seconds [together][]held
	bytes   int // what is held, as the log has it
	some    int // entries
	newest  int64
	leap    *leaping // far ahead of those before it; nil there is none
	texts   texts
	leaves  func(sec time.Time, batch []held)
}

// held is what of an entry is replayed, while it waits. It shares no memory with the line
// that it was read from, and is small: at most of the time all of a minute is held, and each
// of it is written once and read once from beyond the processor's cache.
type held struct {
	client                           netip.Addr
	method, host, path, query, agent string
	status                           int
	bytes                            int64
	took, origin                     time.Duration
	nanos                            int32 // within its second
	size                             int32 // see size
	http                             traffic.HTTPVersion
	respelt                          bool // see traffic.Visit
}

// leaping is one that is far ahead.
type leaping struct {
	sec int64
	held
}

func newLine(first time.Time, goes func(time.Time, []held)) *line {
	// What comes next may be from before the first.
	return &line{base: first.Unix() - together/2, texts: newTexts(), leaves: goes}
}

// hold makes out of an entry, whose strings may change afterwards, what stays.
func (l *line) hold(to *held, e *accesslog.Entry) {
	path := l.texts.keep(e.Path)
	judged := urlpath.Clean(path)
	*to = held{
		client: e.Client, method: l.texts.keep(e.Method), host: l.texts.keep(e.Host),
		path: judged, respelt: judged != path && urlpath.Resegmented(path),
		query: strings.Clone(e.Query), // hardly any comes twice
		agent: l.texts.keep(e.Agent), status: e.Status, bytes: e.Bytes, took: e.Took, origin: e.Origin,
		nanos: int32(e.Time.Nanosecond()), size: int32(size(e)), http: version(e.Protocol),
	}
}

// take puts a request in line, and lets those go that waited long enough. It returns how
// many are left out: those whose second has gone already, and one that is far ahead of
// all that comes after it. Nothing of e is kept.
func (l *line) take(e *accesslog.Entry) (out uint64) {
	sec := e.Time.Unix()
	if l.leap != nil {
		ahead := l.leap
		l.leap = nil
		if sec < ahead.sec-together {
			out++ // it was the only one from there
		} else {
			out += l.put(ahead)
		}
	}
	if l.newest != 0 && sec-l.newest > leap {
		l.leap = &leaping{sec: sec}
		l.hold(&l.leap.held, e)
		return out
	}
	h := l.room(sec)
	if h == nil {
		return out + 1
	}
	l.hold(h, e)
	l.count(h)
	return out
}

// put puts one that was far ahead in line.
func (l *line) put(ahead *leaping) (out uint64) {
	h := l.room(ahead.sec)
	if h == nil {
		return 1
	}
	*h = ahead.held
	l.count(h)
	return 0
}

// room makes room for one more of a second, and lets those go that waited long enough; nil
// where the second has gone already. What is put there is to be counted.
func (l *line) room(sec int64) *held {
	if sec < l.base {
		return nil
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
	if cap(*b) == 0 {
		// About as many come as in the second before.
		*b = make([]held, 0, len(l.seconds[(sec+together-1)%together])*5/4)
	}
	*b = append(*b, held{})
	return &(*b)[len(*b)-1]
}

// count counts what was put in line.
func (l *line) count(h *held) {
	l.some++
	for l.bytes += int(h.size); l.bytes > mostHeld; {
		l.oldest()
	}
}

// oldest lets the oldest second go.
func (l *line) oldest() {
	b := &l.seconds[l.base%together]
	if len(*b) > 0 {
		for i := range *b {
			l.bytes -= int((*b)[i].size)
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

// size is about what an entry with all of its texts would hold.
func size(e *accesslog.Entry) int {
	return 250 + len(e.Method) + len(e.Host) + len(e.Path) + len(e.Query) + len(e.Agent) + len(e.Referer)
}
