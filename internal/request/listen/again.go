package listen

import (
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Who floods mostly asks for the same thing over and over, to the last byte. So what
// was found out about a head is kept after a refusal, and where the next one on the
// connection is the same, it is neither parsed nor identified again. The door decides
// on it, and the watcher is told of it, as on every other; where the door says the same
// as before, so does the answer.
//
// What is kept holds until the text of Date is another: for a second, at most, and
// until Changed.

const (
	// keepAnswer is the longest answer that is kept.
	keepAnswer = 4 << 10
	// leastAgain is how many heads may be kept, however few connections there may be.
	leastAgain = 64
)

// repeat is what an exchange keeps of its head.
type repeat struct {
	is     bool               // this request has the head of the one before
	as     traffic.Visit      // as Identify left it
	of     *[]byte            // the text of Date at that time; nil: nothing is kept
	told   mitigation.Verdict // what answer was made for
	status int
	body   int64  // bytes of the body in answer
	answer []byte // to told; empty: none is kept
}

// Changed has what the door finds out about a head, and says to it, asked for anew.
func (s *Server) Changed() {
	for {
		old := s.date.Load()
		d := append([]byte(nil), *old...)
		if s.date.CompareAndSwap(old, &d) {
			return
		}
	}
}

// identify has the door find out who it is, and keeps that, for the door is going to
// change it. Only who was refused before is expected to repeat itself.
func (x *exchange) identify() {
	of := x.s.date.Load()
	x.s.door.Identify(&x.visit, x)
	x.again.of = nil
	if x.c.refused && x.visit.Clearance == traffic.ClearanceNone && len(x.text) <= smallBuffer {
		x.again.as, x.again.of = x.visit, of
	}
}

// repeats says whether b is the head of the last request, which was refused, and
// nothing else. Then c.x is that request once more.
func (c *conn) repeats(b []byte) bool {
	x := c.last
	if x == nil {
		return false
	}
	if x.again.of != c.s.date.Load() || string(b) != x.text {
		c.forgetLast()
		return false
	}
	c.last, c.x = nil, x
	c.s.again.Add(-1)
	x.visit, x.verdict, x.outcome = x.again.as, mitigation.Verdict{}, traffic.Outcome{}
	x.visit.At = c.s.clk.Now()
	x.recorded, x.again.is = false, true
	return true
}

// keep is release for a request that was refused, and all of which was read.
func (c *conn) keep() {
	x := c.x
	if x.again.of == nil || x.proof != "" {
		c.release()
		return
	}
	if c.s.again.Add(1) > c.s.mostAgain {
		c.s.again.Add(-1)
		c.release()
		return
	}
	c.x, c.last = nil, x
}

// forgetLast gives up what was kept.
func (c *conn) forgetLast() {
	if x := c.last; x != nil {
		c.last = nil
		c.s.again.Add(-1)
		c.s.freeExchange(x)
	}
}

// answered returns the answer that was given to this head before, if it fits. It
// belongs to x.
func (x *exchange) answered() []byte {
	r := &x.again
	if !r.is || r.of == nil || !soundsLike(x.verdict, r.told) {
		return nil
	}
	return r.answer
}

// remember keeps an answer to a head that repeats itself.
func (x *exchange) remember(answer []byte, a *mitigation.Answer, body int64) {
	if r := &x.again; r.is && r.of != nil && len(answer) <= keepAnswer {
		r.told, r.status, r.body = x.verdict, a.Status, body
		r.answer = append(r.answer[:0], answer...)
	}
}

// soundsLike says whether visitors are told the same for both.
func soundsLike(v, w mitigation.Verdict) bool {
	same := v.RetrySeconds() == w.RetrySeconds()
	v.RetryAfter, w.RetryAfter = 0, 0
	return same && v == w
}
