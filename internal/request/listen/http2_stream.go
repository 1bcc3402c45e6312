package listen

import (
	"io"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"seawall/internal/request/listen/h2"
)

// stream is one request on a connection of HTTP/2, from when it was let in. Its
// goroutine runs the rooms; the connection's reader brings the body.
type stream struct {
	h         *http2conn
	id        uint32
	x         *exchange // the goroutine's own
	announced int64     // of the body's length; -1 nothing, or it does not matter

	// Guarded by h.mu, which cond uses.
	life       *life // of the request; nil: not being served yet
	cond       sync.Cond
	window     int64  // what the client lets us send
	credit     int64  // what we let it send
	owed       int    // read by the room, for which no credit was given back yet
	in         []byte // of the body, not yet read
	inFrom     int
	got        int64 // of the body, in all
	ended      bool  // the client sends no more
	trails     http.Header
	lost       bool          // it is over, or the connection is
	taken      bool          // the client took it back
	deaf       bool          // the room reads no more
	fault      fault         // of the body
	stays      bool          // the client may be silent for as long as it likes
	late       bool          // the room's own deadline for reading has passed
	sends      bool          // its goroutine sends what all streams have
	behind     bool          // its answer waits for the window of all streams
	readUntil  int64         // while the room waits for the client to send, coarse ms; 0 it does not
	writeUntil int64         // while the answer waits for the client's window
	readFor    time.Duration // what is left of its patience
	writeFor   time.Duration

	own     life // of a request that takes the straight road
	out     answer2
	timer   *time.Timer // the room's own deadline for reading
	tunnels bool
}

func newStream(h *http2conn, id uint32, x *exchange) *stream {
	st := &stream{h: h, id: id, x: x, tunnels: x.head.upgrades, credit: streamWindow, readFor: h.s.cfg.Grace, writeFor: h.s.cfg.Grace}
	st.cond.L = &h.mu
	if st.announced = x.head.length; st.tunnels {
		st.announced = -1
	}
	st.out.st = st
	return st
}

// serve runs the rooms for the request.
func (st *stream) serve() {
	h, x := st.h, st.x
	x.out = &st.out
	whole, served := false, false
	if x.isStraight() {
		st.lives(&st.own)
		whole, served = x.serveStraight(&st.own)
	}
	switch {
	case served:
	case x.standard() != nil:
		h.s.count.disagreed.Add(1)
		x.outcome.Status = http.StatusBadRequest
		x.record()
	default:
		x.req.reads(st, st.wake)
		st.lives(&x.req.life)
		whole = x.serve()
	}
	hijacked := x.hijacked
	h.mu.Lock()
	if st.timer != nil {
		st.timer.Stop()
	}
	if !st.lost && !hijacked {
		switch {
		case !whole:
			h.out = h2.AppendReset(h.buffer(), st.id, h2.InternalError)
			h.remember(st.id)
		case !st.ended: // nobody wants the rest of the body
			h.out = h2.AppendReset(h.buffer(), st.id, h2.NoError)
			h.remember(st.id)
		}
	}
	h.giveCredit(len(st.in) - st.inFrom)
	h.pile(-int64(len(st.in) - st.inFrom))
	st.deaf, st.in = true, nil
	h.close(st)
	others := len(h.streams) > 0
	h.mu.Unlock()
	if others { // theirs may be ready as well: one record and one system call for all
		runtime.Gosched()
	}
	h.send()
	if !hijacked {
		h.s.freeExchange(x)
	}
}

// lives has l end with the stream.
func (st *stream) lives(l *life) {
	st.h.mu.Lock()
	defer st.h.mu.Unlock()
	if st.life = l; st.lost {
		l.end()
	}
}

// lose ends the stream without a word to the client. It needs mu.
func (st *stream) lose() {
	st.lost = true
	if st.life != nil {
		st.life.end()
	}
	st.cond.Broadcast()
}

// take takes a piece of the body from the reader. It fails where there is more than
// was announced.
func (h *http2conn) take(st *stream, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if st == nil || st.deaf || st.lost || st.fault != faultNone {
		h.giveCredit(len(b))
		return nil
	}
	st.got += int64(len(b))
	most := h.s.cfg.MaxBody
	switch {
	case most > 0 && st.got > most && !st.tunnels:
		st.fault = faultTooLarge
	case st.announced >= 0 && st.got > st.announced:
		st.fault = faultLength
	case h.s.unread.Load() > h.s.mostUnread && !h.c.cleared.Load() && h.unread > h.s.fairUnread():
		st.fault = faultBusy
	}
	if st.fault != faultNone {
		h.s.count.malformed[st.fault].Add(1)
		h.giveCredit(len(b))
		st.cond.Broadcast()
		if st.fault == faultLength {
			return streamError{st.id, h2.ProtocolError}
		}
		return nil
	}
	h.pile(int64(len(b)))
	if st.inFrom > 0 && len(st.in)+len(b) > cap(st.in) {
		st.in = st.in[:copy(st.in, st.in[st.inFrom:])]
		st.inFrom = 0
	}
	st.in = append(st.in, b...)
	st.cond.Broadcast()
	return nil
}

// pile counts what no room has read. It needs mu.
func (h *http2conn) pile(n int64) {
	h.unread += n
	h.s.unread.Add(n)
}

// fairUnread is how much of that each connection may hold while there is too much in
// all: who holds more is at fault, and not who sends next.
func (s *Server) fairUnread() int64 {
	return max(16<<10, s.mostUnread/int64(max(1, s.conns.open())))
}

// endBody notes that the body is complete.
func (st *stream) endBody() error {
	st.h.mu.Lock()
	defer st.h.mu.Unlock()
	st.ended = true
	st.cond.Broadcast()
	if n := st.announced; n >= 0 && st.got != n && !st.lost && !st.deaf {
		st.fault = faultLength
		return streamError{st.id, h2.ProtocolError}
	}
	return nil
}

// endWith is endBody with trailers.
func (st *stream) endWith(t http.Header) error {
	st.h.mu.Lock()
	st.trails = t
	st.h.mu.Unlock()
	return st.endBody()
}

// giveCredit lets the client send n bytes more on all streams together, when that
// is worth a frame. It needs mu.
func (h *http2conn) giveCredit(n int) {
	if h.owed += n; h.owed < connWindow/3 {
		return
	}
	h.credit += int64(h.owed)
	h.out = h2.AppendWindowUpdate(h.buffer(), 0, h.owed)
	h.owed = 0
}

// Read reads the body, for the room.
func (st *stream) Read(p []byte) (int, error) {
	h := st.h
	if st.x.head.expects {
		h.mu.Lock() // what the answer begins with waits for it, or is there already
		asked := st.x.req.said.CompareAndSwap(0, 1)
		if asked {
			h.out = h2.AppendHeaders(h.buffer(), st.id, h2.AppendStatus(nil, http.StatusContinue), false)
		}
		h.mu.Unlock()
		if asked {
			h.send()
		}
	}
	n, credit, err := st.read(p)
	if credit {
		h.send()
	}
	return n, err
}

func (st *stream) read(p []byte) (n int, credit bool, err error) {
	h := st.h
	h.mu.Lock()
	defer h.mu.Unlock()
	for st.inFrom == len(st.in) {
		switch {
		case st.fault != faultNone:
			return 0, false, st.fault
		case st.late:
			return 0, false, os.ErrDeadlineExceeded
		case st.ended:
			if st.trails != nil {
				st.x.req.http.Trailer, st.trails = st.trails, nil
			}
			return 0, false, io.EOF
		case st.lost:
			return 0, false, io.ErrUnexpectedEOF
		}
		begun := h.s.coarse()
		if !st.tunnels && !st.stays {
			st.readUntil = begun + max(1, ms(st.readFor))
		}
		st.cond.Wait()
		st.readUntil = 0
		st.readFor -= time.Duration(h.s.coarse()-begun) * time.Millisecond
	}
	n = copy(p, st.in[st.inFrom:])
	st.readFor = min(h.s.cfg.Grace, st.readFor+time.Duration(n)*time.Second/time.Duration(h.s.cfg.MinRate))
	h.pile(-int64(n))
	if st.inFrom += n; st.inFrom == len(st.in) {
		st.in, st.inFrom = st.in[:0], 0
		if cap(st.in) > 32<<10 {
			st.in = nil
		}
	}
	before := len(h.out)
	h.giveCredit(n)
	if st.owed += n; st.owed >= streamWindow/2 && !st.ended {
		st.credit += int64(st.owed)
		h.out = h2.AppendWindowUpdate(h.buffer(), st.id, st.owed)
		st.owed = 0
	}
	return n, len(h.out) > before, nil
}

// wake has a read that waits return.
func (st *stream) wake() { _ = st.readBy(time.Unix(1, 0)) }

// readBy bounds the reading of the body; the zero time unbinds it.
func (st *stream) readBy(t time.Time) error {
	h := st.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
	st.late = false
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		st.late = true
		st.cond.Broadcast()
	default:
		st.timer = time.AfterFunc(left, st.wake)
	}
	return nil
}
