package listen

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"time"

	"seawall/internal/kit/socket"
)

// ending is how the end of an HTTP/1 answer's body is told.
type ending uint8

const (
	endOpen   ending = iota // not decided: the answer may turn out short
	endNone                 // no body
	endLength               // so many bytes
	endChunks               // a last chunk
	endClose                // the connection's end
)

// answer1 writes an answer in HTTP/1 (RFC 9112). What is short goes out in one
// piece, with its length.
type answer1 struct {
	c      *conn
	buf    *scratch // out: not yet sent; body: not yet framed, while end is endOpen
	end    ending
	left   int64    // of endLength: bytes still to come
	closes bool     // the connection is over after this answer
	names  []string // of trailers that the room announces
	pieces [2][]byte
	both   net.Buffers // of pieces
}

// holdAtMost is how much of an answer of unknown length is held back, to find that
// it is all.
const holdAtMost = 4 << 10

func (a *answer1) interim(x *exchange, status int) error {
	if x.head.minor == 0 {
		return nil
	}
	b := a.c.s.scratch()
	defer a.c.s.scratches.Put(b)
	out := appendStatus(b.out[:0], status)
	out = x.appendFields(out, putField1)
	_, err := a.c.Write(append(out, "\r\n\r\n"...))
	return err
}

// begin puts the head into the buffer, but for what says how the body ends where
// that is not known.
func (a *answer1) begin(x *exchange, status int) {
	c := a.c
	a.buf = c.s.scratch()
	a.closes = a.closes || x.head.closes || c.s.draining.Load() || hasElement(x.header["Connection"], "close") || x.unasked
	out := appendStatus(a.buf.out[:0], status)
	if !x.says("Date") {
		out = append(out, "\r\nDate: "...)
		out = append(out, *c.s.date.Load()...)
	}
	out = x.appendFields(out, putField1)
	a.names = x.trailers()
	switch n, known := x.size, x.size >= 0; {
	case status == http.StatusNoContent || status < 200:
		a.end = endNone
	case known && status != http.StatusNotModified && x.visit.Method != "HEAD":
		a.end, a.left = endLength, n
		out = appendLength(out, n)
	case known:
		a.end = endNone
		out = appendLength(out, n)
	case x.noBody:
		a.end = endNone
	}
	a.buf.out, a.buf.body = out, a.buf.body[:0]
	if a.end != endOpen {
		a.close(x)
	}
}

// close ends the head.
func (a *answer1) close(x *exchange) {
	out := a.buf.out
	switch {
	case a.closes:
		out = append(out, "\r\nConnection: close"...)
	case x.head.minor == 0:
		out = append(out, "\r\nConnection: keep-alive"...)
	}
	a.buf.out = append(out, "\r\n\r\n"...)
}

// decide ends the head of an answer whose length nobody knows yet.
func (a *answer1) decide(x *exchange) error {
	a.end = endChunks
	if x.head.minor == 0 {
		a.end, a.closes = endClose, true
	} else {
		a.buf.out = append(a.buf.out, "\r\nTransfer-Encoding: chunked"...)
	}
	a.close(x)
	return a.put(a.buf.body)
}

func (a *answer1) write(x *exchange, p []byte) (int, error) {
	switch a.end {
	case endNone:
		if x.visit.Method == "HEAD" {
			return len(p), nil
		}
		return 0, http.ErrBodyNotAllowed
	case endOpen:
		if len(a.buf.body)+len(p) <= holdAtMost {
			a.buf.body = append(a.buf.body, p...)
			return len(p), nil
		}
		if err := a.decide(x); err != nil {
			return 0, err
		}
	case endLength:
		if int64(len(p)) > a.left {
			return 0, http.ErrContentLength
		}
		a.left -= int64(len(p))
	}
	if err := a.put(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// put takes a piece of the body, framed as is decided.
func (a *answer1) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if a.end == endChunks {
		a.buf.out = strconv.AppendInt(a.buf.out, int64(len(p)), 16)
		a.buf.out = append(a.buf.out, "\r\n"...)
	}
	if out := a.buf.out; len(out)+len(p)+2 <= cap(out) {
		a.buf.out = append(out, p...)
	} else if err := a.send(p); err != nil {
		return err
	}
	if a.end == endChunks {
		a.buf.out = append(a.buf.out, "\r\n"...)
	}
	return nil
}

// send sends what is in the buffer, and p after it.
func (a *answer1) send(p []byte) error {
	out := a.buf.out
	a.buf.out = out[:0]
	switch {
	case len(p) == 0:
		_, err := a.c.Write(out)
		return err
	case len(out) == 0:
		_, err := a.c.Write(p)
		return err
	}
	a.pieces = [2][]byte{out, p}
	a.both = a.pieces[:]
	return a.c.writeBoth(&a.both)
}

// pours says whether what follows may come by a pipe.
func (a *answer1) pours() bool {
	return a.end == endLength && !a.c.inLot && a.c.tls.Load() == nil
}

// pour sends what a pipe holds, after what was written before.
func (a *answer1) pour(p *socket.Pipe) (int, error) {
	n := p.Held()
	if int64(n) > a.left {
		return 0, http.ErrContentLength
	}
	if len(a.buf.out) > 0 {
		if err := a.send(nil); err != nil {
			return 0, err
		}
	}
	if err := a.c.pour(p); err != nil {
		return 0, err
	}
	a.left -= int64(n)
	return n, nil
}

func (a *answer1) flush(x *exchange) error {
	if a.end == endOpen {
		if err := a.decide(x); err != nil {
			return err
		}
	}
	if len(a.buf.out) == 0 {
		return nil
	}
	return a.send(nil)
}

// finish ends the answer. It fails where that is not possible, because the room
// wrote less than it announced or the client is gone.
func (a *answer1) finish(x *exchange) error {
	switch a.end {
	case endOpen:
		if x.head.minor == 1 && len(trailerValues(x.header, a.names)) > 0 {
			if err := a.decide(x); err != nil {
				return err
			}
			return a.finish(x)
		}
		a.end = endLength
		a.buf.out = appendLength(a.buf.out, int64(len(a.buf.body)))
		a.close(x)
		if err := a.put(a.buf.body); err != nil {
			return err
		}
	case endLength:
		if a.left > 0 {
			_ = a.flush(x)
			return http.ErrContentLength
		}
	case endChunks:
		a.buf.out = append(a.buf.out, '0')
		for _, t := range trailerValues(x.header, a.names) {
			a.buf.out = appendValues(a.buf.out, t.name, t.values)
		}
		a.buf.out = append(a.buf.out, "\r\n\r\n"...)
	}
	if len(a.buf.out) == 0 {
		return nil
	}
	return a.send(nil)
}

// abandon sends what there is of an answer that will not be finished.
func (a *answer1) abandon(x *exchange) {
	if a.buf != nil && a.end != endOpen && len(a.buf.out) > 0 {
		_ = a.send(nil)
	}
}

func (a *answer1) fault() fault { return a.c.fault() }

func (a *answer1) readBy(t time.Time) error  { return a.c.SetReadDeadline(t) }
func (a *answer1) writeBy(t time.Time) error { return a.c.SetWriteDeadline(t) }

func (a *answer1) take(*exchange) (net.Conn, *bufio.ReadWriter, error) {
	c := a.c
	c.takeOver()
	br := bufio.NewReaderSize(c, max(c.w-c.r, 4<<10))
	if c.r < c.w { // what was read ahead comes first
		_, _ = br.Peek(c.w - c.r)
	}
	return c, bufio.NewReadWriter(br, bufio.NewWriter(c)), nil
}

// free gives the buffer back.
func (a *answer1) free() {
	if a.buf != nil {
		a.buf.out, a.buf.body = a.buf.out[:0], a.buf.body[:0]
		a.c.s.scratches.Put(a.buf)
	}
	*a = answer1{}
}
