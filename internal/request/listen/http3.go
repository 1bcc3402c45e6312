package listen

import (
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"seawall/internal/request/listen/h3"
	"seawall/internal/traffic"
)

// http3 is a connection that speaks HTTP/3. One goroutine takes the streams that
// the client opens, one waits for those that carry no request, and each stream has
// one; all end with the connection.
type http3 struct {
	c    *conn
	s    *Server
	quic *quic.Conn
	from *arrival
	work sync.WaitGroup // all of these goroutines but the first
	once sync.Once      // ends the connection

	mu       sync.Mutex // guards the following
	control  *quic.SendStream
	critical [3]bool // the client's control stream and those of QPACK are there
	open     int     // requests under way
	begun    bool    // there was one
	next     uint64  // the lowest stream that has not come yet
	idleAt   int64   // when the last request ended, coarse ms
	away     bool    // GOAWAY was sent
	glitches glitches
	odd      bool // there were too many
}

// fault3 is what ends a stream or, where so, the whole connection.
type fault3 struct {
	code  h3.Code
	whole bool
}

func (f fault3) Error() string { return "listen: an error of HTTP/3" }

func newHTTP3(c *conn, q *quic.Conn, from *arrival) *http3 {
	return &http3{c: c, s: c.s, quic: q, from: from}
}

// serve3 serves a connection that speaks HTTP/3, until it is over.
func (c *conn) serve3() {
	h := c.h3
	defer func() {
		h.work.Wait()
		h.quit(h3.NoError)
		_ = c.Close()
	}()
	if !h.from.welcome() {
		h.quit(h3.ExcessiveLoad)
		return
	}
	if !h.greet() {
		h.quit(h3.InternalError)
		return
	}
	h.work.Go(h.others)
	for {
		q, err := h.quic.AcceptStream(h.quic.Context())
		if err != nil {
			return
		}
		if !h.begin(uint64(q.StreamID())) {
			reject(q, h3.RequestRejected)
			q.ReleaseStreamCredit()
			continue
		}
		st := newStream3(h, q)
		h.work.Go(st.run)
	}
}

// greet opens our control stream. Any client must allow it (RFC 9114, section 6.2).
func (h *http3) greet() bool {
	control, err := h.quic.OpenUniStream()
	if err != nil {
		return false
	}
	b := h3.AppendInt(nil, h3.ControlStream)
	b = h3.AppendSettings(b, h3.MaxFieldSectionSize, uint64(h.s.cfg.MaxHead), h3.MaxTableCapacity, 0, h3.BlockedStreams, 0)
	_ = control.SetWriteDeadline(time.Now().Add(h.s.cfg.HeadTimeout))
	if _, err = control.Write(b); err != nil {
		return false
	}
	h.mu.Lock()
	h.control = control
	h.mu.Unlock()
	return true
}

// reject resets a stream, both ways.
func reject(q *quic.Stream, code h3.Code) {
	q.CancelRead(quic.StreamErrorCode(code))
	q.CancelWrite(quic.StreamErrorCode(code))
}

// begin counts a request; false when no more are taken.
func (h *http3) begin(stream uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away {
		return false
	}
	h.open++
	h.begun, h.next = true, stream+4
	if h.settle() {
		return true
	}
	h.open--
	return false
}

// end takes a request off the count again.
func (h *http3) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	h.idleAt = h.s.coarse()
	h.settle()
}

// settle says what the connection waits for; false when it was ended. Who is told
// to go has a moment to read its answers: what was written last may still have to
// be sent, and the end of a connection takes it back. It needs mu.
func (h *http3) settle() bool {
	phase, until := phaseIdle, h.idleAt+ms(h.s.cfg.IdleTimeout)
	switch {
	case h.open > 0:
		phase, until = phaseOpen, 0
	case h.away:
		phase, until = phaseLinger, h.s.coarse()+500
	case !h.begun:
		phase, until = phaseNew, h.c.accepted+ms(h.s.cfg.HeadTimeout)
	}
	next := uint64(until)<<8 | phase
	for {
		word := h.c.watch.Load()
		if word&0xff == phaseEnded {
			return false
		}
		if h.c.watch.CompareAndSwap(word, next) {
			return true
		}
	}
}

// goAway tells the client that what it has not begun it had better ask for
// elsewhere, and has the connection end with its last request.
func (h *http3) goAway() {
	h.mu.Lock()
	again := h.away
	h.away = true
	control, next := h.control, h.next
	if !again {
		h.settle()
	}
	h.mu.Unlock()
	if again || control == nil {
		return
	}
	b := h3.AppendFrame(nil, h3.GoAway, h3.AppendInt(nil, next))
	h.s.running.Go(func() {
		_ = control.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = control.Write(b)
	})
}

// quit ends the connection. It does not wait.
func (h *http3) quit(code h3.Code) {
	h.once.Do(func() {
		h.s.running.Go(func() { _ = h.quic.CloseWithError(quic.ApplicationErrorCode(code), "") })
	})
}

// fail ends it over a fault of the client's.
func (h *http3) fail(code h3.Code) {
	h.s.count.connErrors.Add(1)
	if !h.c.strange.Load() {
		h.c.odd(traffic.OddBroken)
	}
	h.quit(code)
}

// glitch takes note of an oddity. False when there were too many, which ends the
// connection.
func (h *http3) glitch(o oddity) bool {
	h.mu.Lock()
	over := h.glitches.add(o, h.s.coarse())
	first := over && !h.odd
	h.odd = h.odd || over
	most := h.glitches.most()
	h.mu.Unlock()
	if first {
		h.s.count.glitched.Add(1)
		h.c.odd(most)
		h.fail(h3.ExcessiveLoad)
	}
	return !over
}

// peer is the client's address now: it may move, and QUIC sees to it that the new
// one is true.
func (h *http3) peer() netip.Addr {
	if a, ok := udpPeer(h.quic.RemoteAddr()); ok {
		return a
	}
	return h.c.peer
}

// altSvc is what the client is to be told of HTTP/3, where it does not speak it and
// could; nil nothing.
func (c *conn) altSvc() []string {
	if c.s.quic == nil || !c.https || c.h3 != nil {
		return nil
	}
	return c.s.quic.altSvc
}

// alternative is altSvc as one value; "" nothing.
func (c *conn) alternative() string {
	if alt := c.altSvc(); alt != nil {
		return alt[0]
	}
	return ""
}

// address is who is at the other end now.
func (c *conn) address() netip.Addr {
	if c.h3 != nil {
		return c.h3.peer()
	}
	return c.peer
}
