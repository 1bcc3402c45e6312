package listen

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"seawall/internal/kit/socket"
	"seawall/internal/traffic"
)

// serve takes a request that was let in through the rooms, and sees to it that its
// answer is whole or seen not to be. It says whether it was whole.
func (x *exchange) serve() (whole bool) {
	var thrown any
	func() {
		defer func() { thrown = recover() }()
		if x.moves() {
			x.move()
			return
		}
		x.s.rooms.ServeHTTP(x, x.req.http)
	}()
	return x.finish(thrown)
}

// finish ends the answer and records the visit.
func (x *exchange) finish(thrown any) (whole bool) {
	isAbort := thrown == http.ErrAbortHandler
	if thrown != nil && !isAbort {
		x.s.panicked("room", thrown)
	}
	if x.hijacked {
		if thrown != nil {
			_ = x.c.Close()
		}
		x.life.end()
		return false
	}
	f := x.out.fault()
	switch {
	case thrown == nil:
		if !x.wrote {
			x.WriteHeader(http.StatusOK)
		}
		whole = true
	case x.wrote:
	case f != faultNone:
		x.replace(f)
		whole = true
	case isAbort:
	default:
		x.answerPlain(http.StatusInternalServerError, "something broke while this request was served\n")
		whole = true
	}
	if x.req != nil { // what the client is still sending may be read by a room no more
		_ = x.req.body.Close()
	}
	failed := false
	if whole {
		failed = x.out.finish(x) != nil
		whole = !failed
	}
	if !whole {
		x.out.abandon(x)
	}
	o := &x.outcome
	o.Took = x.s.clk.Now().Sub(x.visit.At)
	gone := x.life.Err() != nil && (f == faultNone || f == faultTruncated) && !x.complete()
	o.Left = gone || failed && x.c.writeFailed.Load()
	if x.req != nil {
		o.BytesIn = x.req.body.n.Load()
		x.life.end() // a room may have kept it
	}
	x.record()
	return whole
}

// complete says whether the whole answer, as announced, was written.
func (x *exchange) complete() bool {
	return x.wrote && (x.noBody || x.size == x.outcome.BytesOut)
}

// panicked logs a panic, at most one a second, since a stranger may know how to
// cause them.
func (s *Server) panicked(where string, p any) {
	n := s.count.panics.Add(1)
	now := s.coarse()
	if last := s.lastPanic.Load(); last != 0 && now-last < 1000 || !s.lastPanic.CompareAndSwap(last, now) {
		return
	}
	s.log.Error("a panic was survived", "where", where, "panic", fmt.Sprint(p), "panics", n, "stack", string(debug.Stack()))
}

// Header returns the fields of the answer.
func (x *exchange) Header() http.Header {
	if x.header == nil {
		x.header = make(http.Header, 12)
	}
	return x.header
}

// Adopt makes h the fields of the answer, and the exchange's, unless some were set
// before.
func (x *exchange) Adopt(h http.Header) bool {
	if len(x.header) > 0 {
		return false
	}
	x.header = h
	return true
}

// EnableFullDuplex is granted: a body may be read while its answer is written.
func (x *exchange) EnableFullDuplex() error { return nil }

// SetReadDeadline bounds the reading of the body.
func (x *exchange) SetReadDeadline(t time.Time) error { return x.out.readBy(t) }

// SetWriteDeadline bounds the writing of the answer.
func (x *exchange) SetWriteDeadline(t time.Time) error { return x.out.writeBy(t) }

// Stays says that a room counts the request among those that live long and sees to
// its end itself: its client may take what time it likes to send the body. In HTTP/1
// it may not, where nothing needs that. Unlike the rest of this, it may be called
// from another goroutine, as long as the room has not returned.
func (x *exchange) Stays() {
	if s, ok := x.out.(interface{ stays() }); ok {
		s.stays()
	}
}

// WriteHeader passes the status on, unless the body turned out malformed
// before any answer began: then the answer says that.
func (x *exchange) WriteHeader(code int) {
	if x.wrote || x.hijacked {
		return
	}
	if 100 <= code && code < 200 && code != http.StatusSwitchingProtocols {
		_ = x.out.interim(x, code)
		return
	}
	if f := x.out.fault(); f != faultNone {
		x.replace(f)
		return
	}
	x.begin(code)
}

// begin begins the answer, with what is in header.
func (x *exchange) begin(code int) {
	x.size = contentLength(x.header)
	x.start(code)
}

// start begins the answer; size is known.
func (x *exchange) start(code int) {
	x.wrote = true
	x.outcome.Status = code
	x.noBody = x.visit.Method == "HEAD" || code == http.StatusNoContent || code == http.StatusNotModified
	x.strict()
	x.unasked = x.req != nil && x.req.said.Swap(2) == 0 && x.head.expects
	x.out.begin(x, code)
}

// replace answers with what was wrong with the body.
func (x *exchange) replace(f fault) {
	x.answerPlain(f.about().status, f.about().text+"\n")
	x.replaced = true
}

func (x *exchange) answerPlain(status int, text string) {
	h := x.Header()
	clear(h)
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	h["Cache-Control"] = []string{"no-store"}
	if x.visit.HTTP < traffic.HTTP2 {
		h["Connection"] = []string{"close"}
	}
	x.begin(status)
	n, _ := x.out.write(x, []byte(text))
	x.counted(int64(n))
}

func (x *exchange) counted(n int64) {
	if !x.noBody {
		x.outcome.BytesOut += n
	}
}

// ready begins the answer where the room did not, and says whether the room may
// still write.
func (x *exchange) ready() error {
	if x.hijacked {
		return http.ErrHijacked
	}
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	if x.replaced {
		return x.out.fault()
	}
	return nil
}

// Write writes a part of the answer's body.
func (x *exchange) Write(p []byte) (int, error) {
	if err := x.ready(); err != nil {
		return 0, err
	}
	n, err := x.out.write(x, p)
	x.counted(int64(n))
	return n, err
}

// WriteString is Write for text.
func (x *exchange) WriteString(p string) (int, error) { return x.Write([]byte(p)) }

// Pours says whether the rest of an answer that has begun may be given to Pour.
func (x *exchange) Pours() bool {
	a, ok := x.out.(*answer1)
	return ok && x.wrote && !x.hijacked && !x.replaced && !x.noBody && a.pours()
}

// Pour writes a part of the answer's body that the kernel holds.
func (x *exchange) Pour(p *socket.Pipe) error {
	n, err := x.out.(*answer1).pour(p)
	x.counted(int64(n))
	return err
}

// Flush sends what was written so far.
func (x *exchange) Flush() { _ = x.FlushError() }

// FlushError sends what was written so far, beginning the answer if need be.
func (x *exchange) FlushError() error {
	if err := x.ready(); err != nil {
		return err
	}
	return x.out.flush(x)
}

var errNoUpgrade = errors.New("listen: the request did not ask to switch protocols")

// Hijack hands the connection over to whoever serves the new protocol. What the
// client sent after its request is read from it first. The visit is recorded
// now, with status 101.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !x.head.upgrades {
		return nil, nil, errNoUpgrade
	}
	if x.wrote {
		return nil, nil, errors.New("listen: the answer has begun")
	}
	x.hijacked = true
	x.outcome.Status = http.StatusSwitchingProtocols
	x.outcome.Took = x.s.clk.Now().Sub(x.visit.At)
	x.record()
	return x.out.take(x)
}

var _ traffic.Headers = (*exchange)(nil)
