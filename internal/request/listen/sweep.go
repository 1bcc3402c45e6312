package listen

import (
	"cmp"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// A conn's watch word holds what it waits for (the low 8 bits) and until when
// that may take (the rest: coarse milliseconds, 0 for ever). The reader changes
// it by compare-and-swap from what it stored last; whoever ends the connection
// for being idle or slow swaps in phaseEnded. So either the reader goes on and
// the other finds another word there, or the reader finds that it was ended,
// and never both.
const (
	phaseBusy   uint64 = iota // being served, or reading without waiting
	phaseNew                  // no byte has come yet
	phaseIdle                 // between two requests
	phaseHead                 // a head has begun
	phaseBody                 // a read of a body waits
	phaseOpen                 // HTTP/2: requests are being served, others may come
	phaseLinger               // answered for the last time
	phaseEnded
	phases
)

func ms(d time.Duration) int64 { return int64(d / time.Millisecond) }

// coarse returns the time of the last sweep in milliseconds of the clock.
func (s *Server) coarse() int64 { return s.now.Load() }

// enter says what the reader does next; false when the connection was ended.
func (c *conn) enter(phase uint64, until int64) bool {
	next := uint64(until)<<8 | phase
	if !c.watch.CompareAndSwap(c.mark, next) {
		return false
	}
	c.mark = next
	return true
}

// end ends a connection that is in the phase seen as word. It counts that in
// count, where given, before the reader is woken and can answer the client.
func (c *conn) end(word uint64, count *atomic.Uint64) bool {
	if !c.watch.CompareAndSwap(word, phaseEnded) {
		return false
	}
	if count != nil {
		count.Add(1)
	}
	c.interrupt()
	return true
}

// sweepLoop keeps the coarse time and ends what takes too long, until stop.
func (s *Server) sweepLoop() {
	t := time.NewTicker(s.tick)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.keepTime()
			s.sweep()
		}
	}
}

// keepTime sets the coarse time and, once a second, the text of Date. Where the
// whole program stood still (a paused machine, a debugger), the coarse time
// stands still as well: the clients' bytes wait in the sockets, and nobody is
// to be cut for not having been read.
func (s *Server) keepTime() {
	now := time.Duration(s.clk.Now())
	most := s.now.Load() + ms(4*s.tick)
	if late := ms(now-s.stood) - most; late > 0 && s.began {
		s.stood += time.Duration(late) * time.Millisecond
	}
	s.began = true
	s.now.Store(ms(now - s.stood))
	if sec := int64(now / time.Second); s.dateOf != sec {
		s.dateOf = sec
		d := time.Now().UTC().AppendFormat(nil, http.TimeFormat)
		s.date.Store(&d)
	}
}

func (s *Server) sweep() {
	now := s.coarse()
	var lagging census
	defer func() { s.counted(&lagging) }()
	for i := range s.conns.slots {
		c := s.conns.slots[i].Load()
		if c == nil {
			continue
		}
		if c.stalled(now) {
			s.count.timeouts[timeoutWrite].Add(1)
			_ = c.abort()
			continue
		}
		c.missed(now)
		lagging.add(c, now)
		if h := c.h2.Load(); h != nil {
			h.tooSlow(now)
		}
		word := c.watch.Load()
		if word&0xff == phaseEnded {
			c.bury(now)
			continue
		}
		until := int64(word >> 8)
		if until == 0 || now <= until {
			continue
		}
		c.end(word, &s.count.timeouts[timeoutOf(word&0xff)])
	}
}

// missed ends the request that is being served where the client has left. Nobody
// reads meanwhile, so that would not be seen otherwise. What lasts is looked at
// once a second.
func (c *conn) missed(now int64) {
	l := c.life.Load()
	if l == nil {
		return
	}
	lasted := now - c.since.Load()
	if lasted < 50 || lasted > 2000 && (now/ms(c.s.tick)+int64(c.slot))%max(1, 1000/ms(c.s.tick)) != 0 {
		return
	}
	if hungUp(c.tcp.Load().TCPConn) {
		l.end()
	}
}

// lastAnswer is how long a connection that was ended may take for what it still has
// to say.
const lastAnswer = 30_000 // ms

// bury closes a connection that was ended long ago and is still there.
func (c *conn) bury(now int64) {
	if c.over == 0 {
		c.over = now
	}
	if now-c.over > lastAnswer {
		_ = c.abort()
	}
}

// stalled says whether a write is under way that the client takes too slowly.
// A blocked write wakes only when much of the send queue is free, so that its
// length says little: what counts is how the queue shrinks.
func (c *conn) stalled(now int64) bool {
	until := c.writing.Load()
	if until == 0 {
		return false
	}
	q := sendQueue(c.tcp.Load().TCPConn)
	if until == c.sampled && q < c.queued {
		more := int64(c.queued-q) * 1000 / int64(c.s.cfg.MinRate)
		longer := max(until, min(until+more, now+ms(c.s.cfg.Grace)))
		if !c.writing.CompareAndSwap(until, longer) {
			return false // that write is over
		}
		until = longer
	}
	c.sampled, c.queued = until, q
	return now > until+ms(c.s.tick)
}

// What a connection took too long for; indexes of counters.
const (
	timeoutNew = iota
	timeoutIdle
	timeoutHead
	timeoutBody
	timeoutWrite
	timeoutLinger
	timeouts
)

func timeoutOf(phase uint64) int {
	switch phase {
	case phaseNew:
		return timeoutNew
	case phaseIdle:
		return timeoutIdle
	case phaseHead:
		return timeoutHead
	case phaseBody:
		return timeoutBody
	}
	return timeoutLinger
}

func timeoutName(i int) string {
	return [timeouts]string{"new", "idle", "head", "body", "write", "linger"}[i]
}

// candidate is a connection that waits and may be closed to make room.
type candidate struct {
	c    *conn
	word uint64
	key  int64 // lower goes first
}

// fresh is for how long whoever has just come, or has just been answered, is
// believed to be about to say something.
const fresh = 500 // ms

// evict ends a batch of connections and returns how many that are: of those that
// wait for a head or for the rest of one, or of those that keep us waiting in the
// middle of a request. As a rule the latter are touched only where nobody waits; but
// where they hold much, they make room before who is fresh, and where they hold more
// than half, before all. Visitors whom we know make room only once they hold more
// than half of all places.
func (s *Server) evict() int {
	now := s.coarse()
	if now < s.noneUntil.Load() {
		return 0
	}
	s.evicting.Lock()
	defer s.evicting.Unlock()
	list := s.slow(s.candidates[:0])
	slow, ended := len(list), 0
	if slow > s.cfg.MaxConns/2 {
		ended = s.endFirst(list)
	}
	if ended == 0 {
		list = s.waiting(list[:0], now-fresh)
		ended = s.endFirst(list)
	}
	if ended == 0 && slow > s.cfg.MaxConns/4 {
		list = s.slow(list[:0])
		ended = s.endFirst(list)
	}
	if ended == 0 {
		list = s.waiting(list[:0], now)
		ended = s.endFirst(list)
	}
	if ended == 0 {
		list = s.slow(list[:0])
		ended = s.endFirst(list)
	}
	if ended == 0 {
		s.noneUntil.Store(now + ms(s.tick) + 1)
	}
	clear(list[:cap(list)])
	s.candidates = list[:0]
	return ended
}

// waiting appends the connections that wait, since a moment or longer, for a head or
// for the rest of one. Lower go those that have shown nothing or were refused last,
// then those let in, then known visitors, in each class the longest waiting. Whose first
// request may still be on its way is counted among those let in.
func (s *Server) waiting(list []candidate, until int64) []candidate {
	now := s.coarse()
	for i := range s.conns.slots {
		c := s.conns.slots[i].Load()
		if c == nil {
			continue
		}
		word := c.watch.Load()
		since, worth := int64(word>>8), int64(c.worth.Load())
		switch word & 0xff {
		case phaseNew:
			since -= ms(s.cfg.HeadTimeout)
			worth = max(worth, c.benefit(since, now))
		case phaseIdle:
			since -= ms(s.cfg.IdleTimeout)
		case phaseHead:
			// Or one byte of a head would keep a place for as long as a head may
			// take. Honest heads are there within a moment, so they are the last.
			since -= ms(s.cfg.HeadTimeout)
			worth = max(worth, c.benefit(since, now))
		case phaseLinger:
			since -= 500
		default:
			continue
		}
		if since <= until {
			list = append(list, candidate{c, word, worth<<48 + since})
		}
	}
	return s.strangers(list)
}

// benefit is what a connection is worth that has been about to say something since a
// moment, when nothing else speaks for it, and nothing against it.
func (c *conn) benefit(since, now int64) int64 {
	if now-since < fresh && !c.unwanted.Load() {
		return letIn
	}
	return 0
}

// slow appends the connections whose client is sending a body or taking an answer,
// and is waited for at this moment. Lower goes who is nearer to being too slow
// altogether: for those who are only as quick as they must be, that is always near,
// and they could hold all places for ever.
func (s *Server) slow(list []candidate) []candidate {
	for i := range s.conns.slots {
		c := s.conns.slots[i].Load()
		if c == nil {
			continue
		}
		word := c.watch.Load()
		until := int64(word >> 8)
		switch word & 0xff {
		case phaseBody:
		case phaseBusy:
			if until = c.writing.Load(); until == 0 {
				continue
			}
		case phaseOpen:
			h := c.h2.Load()
			if h == nil { // HTTP/3 has its own
				continue
			}
			if until = h.patience(); until == 0 {
				continue
			}
		default:
			continue
		}
		list = append(list, candidate{c, word, int64(c.worth.Load())<<48 + until})
	}
	return s.strangers(list)
}

// What a connection is worth by its last visit: 0 where it was refused, or there was none.
const (
	letIn = 1
	known = 2 // it brought a clearance
)

// weigh notes what a visit that was decided says of its connection, and says whether it
// goes on to the rooms. Who is challenged does not, and is refused nothing: the next
// request is about to come.
func (c *conn) weigh(x *exchange) (in bool) {
	cleared := x.visit.Clearance != traffic.ClearanceNone
	c.cleared.Store(cleared)
	switch {
	case x.verdict.Action == mitigation.Challenge && x.proof == "":
		c.worth.Store(letIn)
		return false
	case !x.verdict.LetsIn() || x.proof != "":
		c.worth.Store(0)
		c.unwanted.Store(true)
		return false
	case cleared:
		c.worth.Store(known)
	default:
		c.worth.Store(letIn)
	}
	return true
}

// strangers takes visitors whom we know off a list, unless they hold more than half
// of all places: a flood that takes cookies is to leave room as well.
func (s *Server) strangers(list []candidate) []candidate {
	held := 0
	for i := range s.conns.slots {
		if c := s.conns.slots[i].Load(); c != nil && c.worth.Load() == known {
			held++
		}
	}
	if held > s.cfg.MaxConns/2 {
		return list
	}
	return slices.DeleteFunc(list, func(k candidate) bool { return k.c.worth.Load() == known })
}

// endFirst ends a batch of connections, the lowest keys first.
func (s *Server) endFirst(list []candidate) int {
	slices.SortFunc(list, func(a, b candidate) int { return cmp.Compare(a.key, b.key) })
	ended := 0
	for _, k := range list[:min(len(list), s.batch)] {
		if p := k.word & 0xff; p == phaseBusy || p == phaseBody || p == phaseOpen {
			// Nothing but the connection's end wakes who is blocked in a write, and
			// an answer to a body that is not read takes half a second to end.
			if k.c.abort() == nil {
				s.count.evicted.Add(1)
				ended++
			}
			continue
		}
		// Before end, which wakes its goroutine and so may let it close already.
		k.c.evicted.Store(true)
		s.leaving.Add(1)
		if k.c.end(k.word, &s.count.evicted) {
			ended++
			continue
		}
		if k.c.evicted.CompareAndSwap(true, false) {
			s.leaving.Add(-1)
		}
	}
	return ended
}

// giveUpHeads ends a part of the connections whose large heads arrive slowly,
// the slowest first: honest ones are there within a moment.
func (s *Server) giveUpHeads() {
	s.evicting.Lock()
	defer s.evicting.Unlock()
	list := s.candidates[:0]
	for i := range s.conns.slots {
		if c := s.conns.slots[i].Load(); c != nil && c.large.Load() {
			if word := c.watch.Load(); word&0xff == phaseHead {
				list = append(list, candidate{c, word, int64(word >> 8)})
			}
		}
	}
	slices.SortFunc(list, func(a, b candidate) int { return cmp.Compare(a.key, b.key) })
	for _, k := range list[:min(len(list), s.mostLarge/8+1)] {
		k.c.end(k.word, &s.count.timeouts[timeoutHead])
	}
	clear(list)
	s.candidates = list[:0]
}

// registry holds all open connections in a fixed number of slots.
type registry struct {
	slots []atomic.Pointer[conn]
	free  chan int32 // slots not taken
}

func newRegistry(n int) *registry {
	r := &registry{slots: make([]atomic.Pointer[conn], n), free: make(chan int32, n)}
	for i := range n {
		r.free <- int32(i)
	}
	return r
}

// add gives c a slot; false when none is free.
func (r *registry) add(c *conn) bool {
	select {
	case c.slot = <-r.free:
		r.slots[c.slot].Store(c)
		return true
	default:
		return false
	}
}

func (r *registry) remove(c *conn) {
	r.slots[c.slot].Store(nil)
	r.free <- c.slot
}

func (r *registry) open() int { return len(r.slots) - len(r.free) }
