package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
)

// Limits on how long a client may go on sending what the origin no longer
// wants, so that it gets to read the answer (RFC 9112 9.6).
const (
	lingerTime  = 5 * time.Second
	lingerBytes = 64 << 20
)

var errStopped = errors.New("sending was stopped")

// past is a deadline that ends every read and write at once.
var past = time.Unix(1, 0)

// upload sends a request's body to the origin: at once where it is short, else
// on a goroutine of its own, since the origin may answer before it has read
// everything.
type upload struct {
	length   int64   // -1 unknown (chunked), 0 none
	complete bool    // all of it was read from the client, before the goroutine began
	buf      *[]byte // nil, or of one of the pools
	pending  []byte  // read from the client, not yet sent; part of buf
	sender   waiting // for the client to send more

	done    chan struct{} // closed when the goroutine has ended; nil without one
	go100   chan struct{} // closed when the body may be sent
	halt    chan struct{} // closed when it shall end
	going   bool          // go100 is closed
	halted  atomic.Bool
	touched atomic.Bool // some of it may have been sent to an origin
	late    atomic.Bool // the answer is complete already
	mu      sync.Mutex
	headIn  bool          // the answer's head was read, so no deadline for it
	sent    clock.Instant // when the last piece so far was; 0 none by the goroutine
	failure error         // of the client's side; valid once done is closed
	broken  bool          // the origin took no more; valid once done is closed
}

// buffer changes the buffer for one of the given size; 0 for none.
func (u *upload) buffer(p *Proxy, size int) {
	if u.buf != nil {
		if len(*u.buf) == largeBuffer {
			p.large.Put(u.buf)
		} else {
			p.small.Put(u.buf)
		}
		u.buf = nil
	}
	switch size {
	case smallBuffer:
		u.buf = p.small.Get().(*[]byte)
	case largeBuffer:
		u.buf = p.large.Get().(*[]byte)
	}
}

// first reads the body's first bytes; all of it where it is known to fit the
// buffer, as forms do.
func (u *upload) first(body io.Reader) error {
	whole := u.length > 0 && u.length <= int64(len(*u.buf))
	for have := 0; ; {
		n, err := body.Read((*u.buf)[have:])
		have += n
		u.pending = (*u.buf)[:have]
		if err == io.EOF || (u.length > 0 && int64(have) == u.length) {
			u.complete = true
			return nil
		}
		if err != nil || have > 0 && !whole {
			return err
		}
	}
}

// start sends what is there after the head in c's buffer, and starts the
// goroutine if more is to come.
func (u *upload) start(x *exchange, c *conn) error {
	if u.length != 0 && !x.expects {
		u.touched.Store(true)
	}
	if !x.expects && len(u.pending) > 0 {
		u.write(c, u.pending)
	}
	if u.complete && u.length < 0 {
		u.last(x, c)
	}
	err := c.bw.Flush()
	if u.complete {
		u.sent = x.p.clk.Now()
		return err
	}
	// An origin that takes no more may have answered already.
	if u.broken = err != nil; u.broken {
		return nil
	}
	u.done, u.halt, u.go100 = make(chan struct{}), make(chan struct{}), make(chan struct{})
	if !x.expects {
		u.proceed()
	}
	c.SetReadDeadline(time.Time{}) // the origin's time begins when it has everything
	x.lasts(c)
	go u.run(x, c)
	return nil
}

// write puts a piece into c's buffer, framed. Errors stick to the buffer.
func (u *upload) write(c *conn, piece []byte) {
	if u.length < 0 {
		c.bw.Write(strconv.AppendInt(c.bw.AvailableBuffer(), int64(len(piece)), 16))
		c.bw.WriteString("\r\n")
	}
	c.bw.Write(piece)
	if u.length < 0 {
		c.bw.WriteString("\r\n")
	}
}

// last writes the last chunk and the trailers, which net/http knows by now.
func (u *upload) last(x *exchange, c *conn) {
	c.bw.WriteString("0\r\n")
	for k, vv := range x.r.Trailer {
		if ours(k) {
			continue
		}
		for _, v := range vv {
			field(c.bw, k, v)
		}
	}
	c.bw.WriteString("\r\n")
}

// run is the goroutine. It ends when the body is sent, a side fails, or halt.
func (u *upload) run(x *exchange, c *conn) {
	defer close(u.done)
	if x.expects {
		t := time.NewTimer(x.p.cfg.ContinueTimeout)
		select {
		case <-u.go100:
		case <-t.C:
		case <-u.halt:
		}
		t.Stop()
	}
	if !u.halted.Load() {
		u.touched.Store(true)
		u.failure = u.copy(x, c)
	}
	switch {
	case u.halted.Load():
	case u.failure != nil:
		c.Close() // the handler's goroutine waits for the origin
	default:
		u.mu.Lock()
		if !u.headIn {
			c.SetReadDeadline(time.Now().Add(x.p.cfg.AnswerTimeout))
		}
		u.mu.Unlock()
	}
}

// copy sends the rest of the body. It returns what failed on the client's
// side; what failed on the origin's is told by broken.
func (u *upload) copy(x *exchange, c *conn) error {
	if u.buf == nil {
		u.buffer(x.p, smallBuffer)
	}
	for !u.halted.Load() {
		wait := x.p.cfg.AnswerTimeout
		if u.late.Load() {
			wait = lingerTime
			_ = x.rc().SetReadDeadline(time.Now().Add(wait))
		}
		u.sender.begin(x)
		n, err := x.r.Body.Read(*u.buf)
		u.sender.end(x)
		c.SetWriteDeadline(time.Now().Add(wait))
		if n > 0 {
			u.write(c, (*u.buf)[:n])
		}
		if err == io.EOF && u.length < 0 {
			u.last(x, c)
		}
		u.mu.Lock()
		u.sent = x.p.clk.Now()
		u.mu.Unlock()
		if c.bw.Flush() != nil {
			u.broken = true
			return nil
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n == smallBuffer {
			u.buffer(x.p, largeBuffer)
		}
	}
	return errStopped
}

// proceed lets the goroutine send the body.
func (u *upload) proceed() {
	if u.go100 != nil && !u.going {
		u.going = true
		close(u.go100)
	}
}

// sentAt returns when the last piece of the request was sent that the origin can
// have seen, so that a client's slowness is not taken for the origin's.
func (u *upload) sentAt(begun clock.Instant) clock.Instant {
	u.mu.Lock()
	defer u.mu.Unlock()
	return max(begun, u.sent)
}

// answered says that the answer's head is there, for which a deadline ran.
func (u *upload) answered(c *conn) {
	u.mu.Lock()
	u.headIn = true
	c.SetReadDeadline(time.Time{})
	u.mu.Unlock()
}

// ended says whether the whole body was read from the client. It is valid on
// the handler's goroutine.
func (u *upload) ended() bool {
	if u.complete {
		return true
	}
	if u.done == nil {
		return false
	}
	select {
	case <-u.done:
		return u.failure == nil && !u.broken && !u.halted.Load()
	default:
		return false
	}
}

// stop ends the goroutine and waits for it. The connection to the origin must
// be closed or of no use any more, unless the goroutine has ended.
func (u *upload) stop(x *exchange) {
	if u.done == nil {
		return
	}
	select {
	case <-u.done:
	default:
		if !u.halted.Swap(true) {
			close(u.halt)
		}
		// A read that waits for the client returns; where deadlines are not to
		// be had, closing the body does it.
		if x.rc().SetReadDeadline(past) != nil {
			x.r.Body.Close()
		}
		<-u.done
	}
}

// linger reads on for a while what the client still sends, so that its system
// does not throw the answer away before it is read.
func (x *exchange) linger() {
	if x.rc().SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		io.CopyN(io.Discard, x.r.Body, lingerBytes)
	}
}

// finish waits for a body that is still being sent although the answer is
// complete, and says whether the connection to the origin can be used again.
func (x *exchange) finish(c *conn, h head) bool {
	u := &x.body
	reusable := !h.close && c.br.Buffered() == 0
	if u.ended() {
		return reusable
	}
	x.slot.Release()
	_ = x.rc().Flush()
	if u.done != nil && u.touched.Load() {
		// The origin may want the rest all the same, unless it says that it
		// closes. Nobody waits for long.
		u.late.Store(true)
		deadline := time.Now().Add(lingerTime)
		_ = x.rc().SetReadDeadline(deadline)
		c.SetWriteDeadline(deadline)
		if h.close {
			c.Close()
		}
		<-u.done
		if u.ended() {
			return reusable
		}
	}
	if u.broken {
		x.linger()
	}
	return false
}

// clientFailed answers a request whose body could not be read.
func (x *exchange) clientFailed(err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		x.fail(http.StatusRequestEntityTooLarge, nil)
	case timedOut(err):
		x.fail(http.StatusRequestTimeout, nil)
	case errors.Is(err, io.ErrUnexpectedEOF), x.ctx.Err() != nil:
		panic(http.ErrAbortHandler) // the client left
	default:
		x.fail(http.StatusBadRequest, nil)
	}
}
