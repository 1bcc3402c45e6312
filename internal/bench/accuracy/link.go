package accuracy

import (
	"slices"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// phase is what we wait for on a connection, as listen has it.
type phase uint8

const (
	inNew  phase = iota // the first byte of a request, in or after a handshake or without one
	inHead              // the rest of a head
	inIdle              // the next request
	inBusy              // requests are under way
)

// link is a connection. Its times are coarse, in ms.
type link struct {
	l        *listener
	c        *client
	slot     int // in l.links
	accepted int64
	phase    phase
	until    int64 // 0 for ever
	h2       bool

	shakes   bool // its ClientHello was read
	shaking  bool // and its handshake is not made
	spoke    bool // a head has begun
	strange  bool // ended for how it spoke, or in its handshake
	unwanted bool // a request was refused
	cleared  bool // the last visit brought a clearance
	lagged   bool
	worth    int  // 0 nothing shown, 1 let in, 2 known
	late     bool // of an attack, from its second second on
	spare    bool // opened beforehand: its end hurts nobody

	streams []*stream
	points  int64 // for oddities, in thousandths
	oddAt   int64
	over    bool
	why     fate   // we ended it for, or a request of it
	ended   func() // tells its client that it is over; nil: nobody
}

// stream is a request under way.
type stream struct {
	k       *link
	j       *job
	on      *manner
	taken   bool // the answer is there
	lost    bool
	reading int64 // how long we wait for the body, at most until then; 0 we do not
	writing int64 // the same of the answer
	budget  int64 // ms that are left for it
	begun   int64
	ended   func() // tells its client that we have given it up; nil: nobody
}

// manner is how a client sends its body, takes its answer, or leaves it. The zero manner is
// as quick as can be.
type manner struct {
	sends  pace          // a body
	takes  pace          // the answer
	stays  bool          // the answer does not end
	leaves time.Duration // it is taken back after so long; 0: never
}

// pace is how bytes come or go: so many, a piece at a time.
type pace struct {
	bytes, piece int
	every        func() time.Duration
}

// stop notes why we ended the connection, or a request of it, once.
func (k *link) stop(why fate) {
	if why != byNobody && k.why == byNobody {
		k.why = why
		if !k.unused(why) {
			k.l.book.stopped(k.l.s, k.c, k.late, why)
		}
	}
}

// unused says that an ordinary connection ends which nobody waits for: it was opened
// beforehand, and not needed.
func (k *link) unused(why fate) bool {
	return k.spare || k.c.ordinary && why == byTime && k.phase == inNew && len(k.c.net.waiting) == 0
}

func (k *link) unmade() {
	k.shaking = false
	if !k.strange {
		k.strange = true
		k.l.tell(k.c, "", traffic.LinkUnmade)
	}
}

// head is the first piece of one that is not all there. Of HTTP/2, each further piece begins
// its time anew, within that of the connection's first.
func (k *link) head() {
	k.spoke = true
	k.phase, k.until = inHead, k.l.now+ms(k.l.max.Head)
	if k.h2 {
		k.until = min(k.until, k.accepted+ms(k.l.max.Head))
	}
}

// points that may be spent, forgotten in a second, and what oddities of HTTP/2 cost: listen's.
const (
	mostPoints, pointsASecond = 1000, 50
	costPiece                 = 5 // of a field block
	costReset                 = 5
	costPing                  = 4
	costSettings              = 10
	costRefused               = 5   // more requests at once than are allowed
	mostPieces                = 8   // of a field block
	mostStreams               = 100 // requests at a time on one connection
)

// odd is something odd that the connection does. It is closed when that was too much.
func (k *link) odd(o traffic.Oddity, cost int64) {
	l := k.l
	k.points = max(0, k.points-(l.now-k.oddAt)*pointsASecond) + cost*1000
	if k.oddAt = l.now; k.points > mostPoints*1000 {
		k.abused(o)
	}
}

// abused closes the connection for how it speaks HTTP/2.
func (k *link) abused(o traffic.Oddity) {
	if !k.strange {
		k.strange = true
		k.l.count.Odd[o]++
		k.l.tell(k.c, "", traffic.LinkOdd)
	}
	k.l.close(k, byAbuse)
}

// garbled closes the connection over a message that is no HTTP.
func (k *link) garbled() {
	k.spoke = true
	k.l.count.Malformed++
	if !k.strange {
		k.strange = true
		k.l.tell(k.c, "", traffic.LinkOdd)
	}
	k.l.close(k, byAbuse)
}

// most is how many requests it may have under way.
func (k *link) most() int {
	switch all := k.l.max.Conns; {
	case !k.h2:
		return 1
	case k.l.under < all/2, k.cleared:
		return mostStreams
	case k.l.under < all*3/4:
		return 16
	case k.l.under < all:
		return 4
	}
	return 1
}

// weigh notes what the door said of a request on the connection.
func (l *listener) weigh(c *client, v *traffic.Visit, d mitigation.Verdict) {
	k := c.net.now
	k.spoke, k.cleared = true, v.Clearance != traffic.ClearanceNone
	switch {
	case d.Action == mitigation.Challenge: // the next request is about to come
		k.worth = 1
		k.rests()
	case !d.LetsIn():
		k.worth, k.unwanted = 0, true
		k.stop(byDoor)
		if d.Action == mitigation.Drop {
			l.close(k, byDoor)
			return
		}
		k.rests()
	case k.cleared:
		k.worth = 2
	default:
		k.worth = 1
	}
}

// rests says that no head is under way any more.
func (k *link) rests() {
	if k.phase, k.until = inBusy, 0; len(k.streams) == 0 {
		k.phase, k.until = inIdle, k.l.now+ms(k.l.max.Idle)
	}
}

// take takes a request that was let in, from its client and to the origin.
func (l *listener) take(j *job, on *manner) {
	if on == nil {
		on = &manner{}
	}
	k := j.c.net.now
	st := &stream{k: k, j: j, on: on, budget: ms(l.max.Grace), ended: j.c.net.givenUp}
	j.st = st
	k.streams = append(k.streams, st)
	l.under++
	k.rests()
	if on.leaves > 0 {
		l.s.after(on.leaves, func() { k.takesBack(st) })
	}
	if on.sends.bytes == 0 {
		l.s.site.arrive(j)
		return
	}
	st.waits(&st.reading, on.sends, func() { l.s.site.arrive(j) })
}

// waits has bytes come or go at the client's pace, which is charged for the time that we
// wait and earns some by what it moves. then follows the last.
func (st *stream) waits(until *int64, p pace, then func()) {
	l := st.k.l
	st.begun = l.now
	*until = l.now + max(1, st.budget)
	l.s.after(p.every(), func() {
		if st.lost {
			return
		}
		*until = 0
		st.budget = min(ms(l.max.Grace), st.budget-(l.now-st.begun)+int64(p.piece)*1000/int64(l.max.MinRate))
		if p.bytes -= p.piece; p.bytes <= 0 {
			then()
			return
		}
		st.waits(until, p, then)
	})
}

// answers is told of an answer, and says that its client has not taken it yet: then it is
// told again.
func (l *listener) answers(j *job, out *traffic.Outcome) bool {
	st := j.st
	if st == nil {
		return false
	}
	if st.lost {
		out.Left, j.then = true, nil
		return false
	}
	if !st.taken {
		st.taken = true
		switch {
		case st.on.stays:
			return true
		case st.on.takes.bytes > 0 && out.Status < 400:
			late := *out
			st.budget = ms(l.max.Grace)
			st.waits(&st.writing, st.on.takes, func() { l.s.answered(j, late) })
			return true
		}
	}
	st.k.done(st)
	return false
}

func (k *link) done(st *stream) {
	st.reading, st.writing = 0, 0
	k.streams = slices.DeleteFunc(k.streams, func(s *stream) bool { return s == st })
	k.l.under--
	if k.rests(); !k.over {
		k.c.net.free(k)
	}
}

// lose ends a request without an answer, or in its midst.
func (k *link) lose(st *stream) {
	j, was := st.j, st.reading != 0 || st.writing != 0 || st.on.stays && st.taken
	st.lost = true
	k.done(st)
	if was || k.l.s.site.forget(j) { // else the origin has it, and tells
		out := traffic.Outcome{Left: true, Took: k.l.s.now().Sub(j.at)}
		if st.taken {
			out.Status, out.Reached, out.OriginTime = 200, true, time.Millisecond
		}
		k.l.s.w.Loop.Record(&j.v, j.d, out)
	}
	if j.c.ordinary && k.why != byNobody {
		k.l.s.books.unserved++
	}
}

// giveUp ends a request whose client keeps us waiting for too long; of HTTP/1, with its
// connection.
func (k *link) giveUp(st *stream) {
	w := traffic.WaitTake
	if st.reading != 0 {
		w = traffic.WaitBody
	}
	k.l.count.Slow[w]++
	k.stop(byTime)
	k.lose(st)
	if !k.h2 {
		k.l.close(k, byTime)
	} else if st.ended != nil {
		st.ended()
	}
}

// takesBack resets a request.
func (k *link) takesBack(st *stream) {
	if st.lost || k.over || !slices.Contains(k.streams, st) {
		return
	}
	k.lose(st)
	k.odd(traffic.OddResets, costReset)
}

// forget takes a request out of the line, and says whether it stood there.
func (o *site) forget(j *job) bool {
	line := &o.line[min(j.d.Rank, mitigation.Ranks-1)]
	i := slices.Index(*line, j)
	if i < 0 {
		return false
	}
	*line = slices.Delete(*line, i, i+1)
	o.waiting--
	return true
}
