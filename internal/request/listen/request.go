package listen

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"seawall/internal/mitigation"
)

// serve is the connection's own goroutine: it reads requests and serves them, one
// after the other, until the connection is over.
func (c *conn) serve() {
	parked := false
	defer c.leave(&parked)
	if !c.greeted {
		if err := c.greet(); err != nil {
			_ = c.abort()
			return
		}
	}
	if c.https {
		if err := c.handshake(); err != nil {
			return
		}
	}
	if c.speaks2() || c.s.cfg.H2C && !c.https && c.begins2() {
		c.serve2()
		return
	}
	parked = c.serve1(false)
}

// leave is the end of the connection's goroutine: its own as well, unless that was
// parked.
func (c *conn) leave(parked *bool) {
	if !*parked {
		c.quit()
	}
}

// quit gives back all that the connection holds, and closes it.
func (c *conn) quit() {
	c.release()
	c.shutBuffer()
	if c.part != partRaw { // else whoever took it over closes it
		_ = c.Close()
	}
}

// serve1 serves requests of HTTP/1; the first was let in already where in says so. It
// returns when the connection is over, or parked.
func (c *conn) serve1(in bool) (parked bool) {
	for {
		if !in {
			if in, parked = c.nextRequest(); !in {
				return parked
			}
		}
		if in = false; !c.serveRequest() {
			return false
		}
	}
}

// nextRequest reads heads and answers those that are not let in, until one is. It
// returns false when the connection is over, or parked.
func (c *conn) nextRequest() (in, parked bool) {
	for {
		if err := c.readHead(); err != nil {
			c.release()
			var f fault
			if errors.As(err, &f) {
				c.reject(f)
			}
			return false, false
		}
		in, err := c.meetDoor()
		if in || err != nil {
			return err == nil, false
		}
		if c.parks() {
			return false, true
		}
	}
}

// serveRequest serves the request in c.x, which was let in. It returns false when
// the connection is over, or somebody else's.
func (c *conn) serveRequest() bool {
	x := c.x
	a := &x.one
	*a = answer1{c: c}
	x.out = a
	c.since.Store(c.s.coarse())
	whole, served := false, false
	if x.isStraight() && c.own.Err() == nil {
		c.life.Store(&c.own)
		whole, served = x.serveStraight(&c.own)
	}
	if !served {
		if err := x.standard(); err != nil {
			c.s.count.disagreed.Add(1)
			x.outcome.Status = http.StatusBadRequest
			x.record()
			c.reject(faultTarget)
			return false
		}
		if x.head.body() {
			x.req.one = body1{c: c, q: x.req, asks: x.head.expects}
			x.req.reads(&x.req.one, c.wake)
		}
		c.life.Store(&x.req.life)
		whole = x.serve()
	}
	c.life.Store(nil)
	closes, minor, hijacked := a.closes || !whole, x.head.minor, x.hijacked
	if hijacked {
		c.x = nil // the room may still hold it
		return false
	}
	a.free()
	c.release()
	switch {
	case !whole:
		if minor == 0 {
			// There the connection's end is the answer's: a reset tells the
			// client that it is not.
			c.cut()
		}
		return false
	case closes, !c.skipBody():
		if c.part == partBody || c.r < c.w {
			c.linger()
		}
		return false
	}
	c.part = partHead
	return true
}

// wake has a read of the body that is under way return.
func (c *conn) wake() { _ = c.SetReadDeadline(time.Unix(1, 0)) }

// skipBody reads the rest of a body that no room wanted, if that is not much.
func (c *conn) skipBody() bool {
	if c.part == partHead || c.part == partHold {
		return true
	}
	const most = 64 << 10
	_ = c.SetReadDeadline(time.Time{})
	var buf [1 << 10]byte
	for total := 0; total < most; {
		n, err := c.readBody(buf[:])
		if err == io.EOF {
			return true
		}
		if err != nil {
			return false
		}
		total += n
	}
	return false
}

// readHead reads until c.x holds a complete head.
func (c *conn) readHead() error {
	c.headUntil = 0
	mayBeEmpty := true // one empty line before a request is forgiven (RFC 9112, section 2.2)
	for {
		done, err := c.scanHead(&mayBeEmpty)
		if done || err != nil {
			return err
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// scanHead looks at what has come of a head.
func (c *conn) scanHead(mayBeEmpty *bool) (done bool, err error) {
	b := c.buf[c.r:c.w]
	if *mayBeEmpty && len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		*mayBeEmpty = false
		c.r += 2
		b = b[2:]
	}
	if len(b) == 0 || *mayBeEmpty && len(b) == 1 && b[0] == '\r' {
		return false, nil
	}
	*mayBeEmpty = false
	if c.x == nil {
		if c.repeats(b) {
			return true, nil
		}
		c.x = c.s.newExchange(c)
	}
	done, f := c.x.head.scan(b)
	if f != faultNone {
		return false, f
	}
	return done, nil
}

// meetDoor takes the head in c.x to the door. It returns true when the visit is
// let in, an error when the connection is over, and otherwise false: the visit
// was refused, and the next head follows.
func (c *conn) meetDoor() (in bool, err error) {
	x := c.x
	h := &x.head
	inHand := 0
	if !x.again.is {
		var f fault
		x.fill(c.buf[c.r : c.r+h.size])
		if inHand, f = c.lookAhead(h); f != faultNone {
			c.release()
			c.reject(f)
			return false, io.EOF
		}
	}
	c.served = true
	x.decide()
	if c.refused = !x.verdict.LetsIn(); c.refused {
		c.refusals++
	} else {
		c.refusals = 0
	}
	if c.weigh(x) {
		c.r += h.size
		c.beginBody(h)
		return true, nil
	}
	if x.verdict.Action == mitigation.Drop {
		x.record()
		c.release()
		_ = c.abort()
		return false, net.ErrClosed
	}
	return false, c.refuse(x, inHand)
}

// lookAhead checks as much of the body as came with the head. inHand is how
// many bytes the body has in all, iff all of it came, and -1 otherwise.
func (c *conn) lookAhead(h *head) (inHand int, f fault) {
	most := c.s.cfg.MaxBody
	rest := c.buf[c.r+h.size : c.w]
	if h.length >= 0 {
		if most > 0 && h.length > most {
			return -1, faultTooLarge
		}
		if h.length > int64(len(rest)) {
			return -1, faultNone
		}
		return int(h.length), faultNone
	}
	var k chunks
	n := k.advance(rest)
	if k.fault == faultNone && most > 0 && k.data > most {
		k.fault = faultTooLarge
	}
	if k.state != chunkEnd {
		n = -1
	}
	return n, k.fault
}

// refuse writes the door's answer. The connection is kept unless a body is
// still to come, which nobody is going to read.
func (c *conn) refuse(x *exchange, inHand int) error {
	closes, err := false, error(nil)
	if out := x.answered(); out != nil && !c.s.draining.Load() {
		x.outcome.Status, x.outcome.BytesOut = x.again.status, x.again.body
		_, err = c.Write(out)
	} else {
		closes, err = c.answer(x, inHand)
	}
	x.outcome.BytesIn = int64(max(inHand, 0))
	x.outcome.Left = err != nil
	x.record()
	c.r += x.head.size + max(inHand, 0)
	if err == nil && !closes && inHand == 0 && c.r == c.w {
		c.keep()
		return nil
	}
	c.release()
	if err != nil {
		return err
	}
	if closes {
		if inHand < 0 || c.r < c.w {
			c.linger()
		}
		return io.EOF
	}
	return nil
}

// answer makes the door's answer, and writes it.
func (c *conn) answer(x *exchange, inHand int) (closes bool, err error) {
	h := &x.head
	b := c.s.scratch()
	defer c.s.scratches.Put(b)
	a := x.refusal(b.body[:0])
	closes = h.closes || a.Close || inHand < 0 || c.s.draining.Load()
	isHead := x.visit.Method == "HEAD"
	b.out = appendAnswer(b.out[:0], *c.s.date.Load(), c.alternative(), &a, isHead, h.minor == 0, closes)
	_, err = c.Write(b.out)
	if cap(a.Body) > cap(b.body) && cap(a.Body) <= keepBuffer {
		b.body = a.Body[:0]
	}
	x.outcome.Status = a.Status
	if !isHead {
		x.outcome.BytesOut = int64(len(a.Body))
	}
	if !closes {
		x.remember(b.out, &a, x.outcome.BytesOut)
	}
	return closes, err
}

// shutBuffer gives a borrowed buffer back at the end of a connection.
func (c *conn) shutBuffer() {
	if c.part != partRaw {
		c.r, c.w = 0, 0
		c.shrink()
	}
}

// release gives the exchange back.
func (c *conn) release() {
	c.forgetLast()
	if x := c.x; x != nil {
		c.x = nil
		c.s.freeExchange(x)
	}
}

// hostName returns Host in lower case, without the port.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.ToLower(host)
}

// splitTarget returns path and query as they were sent.
func splitTarget(target string, pathFrom int) (path, query string) {
	path, query, _ = strings.Cut(target[pathFrom:], "?")
	if path == "" {
		path = "/"
	}
	return path, query
}
