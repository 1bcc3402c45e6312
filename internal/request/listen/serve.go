package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"

	"seawall/internal/traffic"
)

// serve is net/http's handler: the rooms, with what must hold around them.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil || c.x == nil {
		panic(http.ErrAbortHandler) // net/http reads a request that we did not hand it
	}
	x := c.x
	x.rw = w
	if x.head.body() {
		x.in = &countedBody{body: r.Body}
		r.Body = x.in
		// Or net/http would read the body away before it sends an early answer.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	var thrown any
	func() {
		defer func() { thrown = recover() }()
		if x.moves() {
			x.move(x)
			return
		}
		s.rooms.ServeHTTP(x, r)
	}()
	abort, x10 := x.finish(thrown, r), x.head.minor == 0
	hijacked := x.hijacked
	c.x = nil
	if !hijacked { // otherwise the room may still hold it
		s.freeExchange(x)
	}
	if abort {
		if x10 {
			// There the connection's end is the answer's: a reset tells the
			// client that it is not.
			c.cut()
		}
		panic(http.ErrAbortHandler)
	}
}

// finish ends the answer and records the visit. It says whether the connection
// must be cut, because the answer cannot be finished properly.
func (x *exchange) finish(thrown any, r *http.Request) (abort bool) {
	c := x.c
	isAbort := thrown == http.ErrAbortHandler
	if thrown != nil && !isAbort {
		c.s.panicked("room", thrown)
	}
	if x.hijacked {
		if thrown != nil {
			_ = c.Close()
		}
		return false
	}
	f := c.fault()
	switch {
	case thrown == nil:
		if !x.wrote {
			x.WriteHeader(http.StatusOK)
		}
	case x.wrote:
		abort = true
	case f != faultNone:
		x.replace(f)
	case isAbort:
		abort = true
	default:
		x.answerPlain(http.StatusInternalServerError, "something broke while this request was served\n")
	}
	o := &x.outcome
	if x.in != nil {
		o.BytesIn = x.in.n.Load()
	}
	o.Took = c.s.clk.Now().Sub(x.visit.At)
	gone := r.Context().Err() != nil && (f == faultNone || f == faultTruncated) && !x.complete()
	o.Left = gone || c.writeFailed.Load()
	x.record()
	return abort
}

// complete says whether the whole answer, as announced, was handed to net/http.
func (x *exchange) complete() bool {
	if x.noBody {
		return x.wrote
	}
	n, err := strconv.ParseInt(x.rw.Header().Get("Content-Length"), 10, 64)
	return x.wrote && err == nil && n == x.outcome.BytesOut
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

// connState follows net/http from one request to the next.
func (s *Server) connState(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateIdle:
		c.answered()
	case http.StateClosed:
		if x := c.x; x != nil && c.part != partOver {
			// The head passed us and net/http did not take it: we disagree on
			// what is valid, or the server was closed just now.
			if x.outcome.Left = s.draining.Load(); !x.outcome.Left {
				s.count.disagreed.Add(1)
				x.outcome.Status = http.StatusBadRequest
			}
			x.outcome.Took = s.clk.Now().Sub(x.visit.At)
			x.record()
		}
		c.release()
		c.shutBuffer()
	}
}

// shutBuffer gives a borrowed buffer back at the end of a connection.
func (c *conn) shutBuffer() {
	c.r, c.w, c.give = 0, 0, 0
	c.part = partOver
	c.shrink()
}

// Header returns the fields of the answer.
func (x *exchange) Header() http.Header { return x.rw.Header() }

// Unwrap lets http.ResponseController find deadlines and full duplex.
func (x *exchange) Unwrap() http.ResponseWriter { return x.rw }

// WriteHeader passes the status on, unless the body turned out malformed
// before any answer began: then the answer says that.
func (x *exchange) WriteHeader(code int) {
	if x.wrote || x.hijacked {
		return
	}
	if 100 <= code && code < 200 && code != http.StatusSwitchingProtocols {
		x.rw.WriteHeader(code)
		return
	}
	if f := x.c.fault(); f != faultNone {
		x.replace(f)
		return
	}
	x.begin(code)
}

func (x *exchange) begin(code int) {
	x.wrote = true
	x.outcome.Status = code
	x.noBody = x.visit.Method == "HEAD" || code == http.StatusNoContent || code == http.StatusNotModified
	x.strict(x.rw.Header())
	if x.c.s.draining.Load() {
		x.rw.Header()["Connection"] = []string{"close"}
	}
	x.rw.WriteHeader(code)
}

// replace answers with what was wrong with the body.
func (x *exchange) replace(f fault) {
	x.answerPlain(f.about().status, f.about().text+"\n")
	x.replaced = true
}

func (x *exchange) answerPlain(status int, text string) {
	h := x.rw.Header()
	clear(h)
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	h["Cache-Control"] = []string{"no-store"}
	h["Connection"] = []string{"close"}
	x.begin(status)
	n, _ := io.WriteString(x.rw, text)
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
		return x.c.fault()
	}
	return nil
}

// Write writes a part of the answer's body.
func (x *exchange) Write(p []byte) (int, error) {
	if err := x.ready(); err != nil {
		return 0, err
	}
	n, err := x.rw.Write(p)
	x.counted(int64(n))
	return n, err
}

// WriteString is Write without a copy.
func (x *exchange) WriteString(p string) (int, error) {
	if err := x.ready(); err != nil {
		return 0, err
	}
	n, err := io.WriteString(x.rw, p)
	x.counted(int64(n))
	return n, err
}

// ReadFrom copies src through a buffer that net/http pools (32 KiB). The
// kernel's splice is not used: it could not tell a slow origin from a client
// that does not read.
func (x *exchange) ReadFrom(src io.Reader) (n int64, err error) {
	if err := x.ready(); err != nil {
		return 0, err
	}
	if rf, ok := x.rw.(io.ReaderFrom); ok {
		n, err = rf.ReadFrom(src)
	} else {
		n, err = io.Copy(struct{ io.Writer }{x.rw}, src)
	}
	x.counted(n)
	return n, err
}

// Flush sends what was written so far.
func (x *exchange) Flush() { _ = x.FlushError() }

// FlushError sends what was written so far, beginning the answer if need be.
func (x *exchange) FlushError() error {
	if err := x.ready(); err != nil {
		return err
	}
	return http.NewResponseController(x.rw).Flush()
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
	nc, brw, err := http.NewResponseController(x.rw).Hijack()
	if err != nil {
		return nil, nil, err
	}
	x.hijacked = true
	x.c.takeOver()
	x.outcome.Status = http.StatusSwitchingProtocols
	x.outcome.Took = x.c.s.clk.Now().Sub(x.visit.At)
	x.record()
	return nc, brw, nil
}

var _ traffic.Headers = (*exchange)(nil)
