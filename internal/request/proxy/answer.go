package proxy

import (
	"io"
	"net/http"
	"strconv"
)

// interim passes a 1xx answer on, such as 103 Early Hints. HTTP/1.0 has none.
func (x *exchange) interim(h head) {
	if !x.since11() {
		return
	}
	out := x.w.Header()
	before := out.Clone()
	h.fields.endToEnd().addTo(out)
	x.writeHeader(h.status)
	clear(out)
	for k, vv := range before {
		out[k] = vv
	}
}

// answer passes the final answer on, head and body. It panics with
// http.ErrAbortHandler when either side breaks off.
func (x *exchange) answer(c *conn, h head) {
	x.beginAnswer(h)
	if h.framing == framedNone {
		return
	}
	// Of known lengths, the head may go out together with the body.
	x.dirty = h.framing != framedLength
	b := answerBody{br: c.br, framing: h.framing, left: max(0, h.length), scratch: c.scratch}
	c.reads = x
	if err := x.copyBody(c, &b); err != nil {
		x.outcome.Failed = err != errClientGone && x.ctx.Err() == nil && !x.cut.Load()
		x.abort(h.framing)
	}
	c.reads = nil
	x.endAnswer(b.trailer)
}

// beforeRead runs before the origin is waited for, so that what the client has not
// been sent yet goes out first.
func (x *exchange) beforeRead(c *conn) {
	x.lasts(c)
	if x.dirty {
		x.dirty = false
		x.flush()
	}
}

// beginAnswer passes an answer's head on.
func (x *exchange) beginAnswer(h head) {
	own := h.fields.endToEnd()
	if x.straight != nil {
		x.beginStraight(h, own)
		return
	}
	out := make(http.Header, len(own)+2)
	if x.adopter == nil || !x.adopter.Adopt(out) {
		out = x.w.Header()
	}
	own.addTo(out)
	if h.length >= 0 && h.status != http.StatusNoContent {
		out["Content-Length"] = []string{strconv.FormatInt(h.length, 10)}
	}
	if _, ok := out["Content-Type"]; !ok {
		out["Content-Type"] = nil // net/http would guess one
	}
	if !x.body.ended() && x.major == 1 {
		out["Connection"] = []string{"close"}
	}
	x.writeHeader(h.status)
}

// writeHeader begins the answer. In HTTP/1 that is kept until there is more; where
// others share the connection, they may have to be sent first.
func (x *exchange) writeHeader(status int) {
	if x.major == 1 {
		x.w.WriteHeader(status)
		return
	}
	x.reader.begin(x)
	x.w.WriteHeader(status)
	x.reader.end(x)
}

// flush sends the client what was written so far.
func (x *exchange) flush() {
	x.reader.begin(x)
	_ = x.rc().Flush()
	x.reader.end(x)
}

// endAnswer passes an answer's trailers on.
func (x *exchange) endAnswer(trailer fields) {
	if len(trailer) == 0 {
		return
	}
	out := x.w.Header()
	for _, f := range trailer {
		if k := f[0]; !hopByHop(k) && k != "Content-Length" && k != "Trailer" {
			out[http.TrailerPrefix+k] = append(out[http.TrailerPrefix+k], f[1])
		}
	}
	_ = x.rc().Flush() // or net/http gives a short answer a length, and no trailers
}

// copyBody copies an answer's body. It holds a small buffer while the body
// trickles and a large one while it runs, or none where the kernel does it.
func (x *exchange) copyBody(c *conn, b *answerBody) error {
	small, large := x.p.small.Get().(*[]byte), (*[]byte)(nil)
	defer func() {
		x.p.small.Put(small)
		if large != nil {
			x.p.large.Put(large)
		}
	}()
	buf := *small
	for {
		n, err := b.Read(buf)
		last := err == io.EOF && x.body.ended()
		if last {
			x.slot.Release() // the origin is done; the rest waits for the client only
		}
		if n > 0 {
			if !last {
				x.reader.begin(x)
			}
			_, werr := x.w.Write(buf[:n])
			if !last {
				x.reader.end(x)
			}
			if werr != nil {
				return errClientGone
			}
			x.dirty = true
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if poured, err := x.pour(c, b); poured {
			return err
		}
		switch {
		case n == smallBuffer && large == nil:
			large = x.p.large.Get().(*[]byte)
			buf = *large
		case n < smallBuffer && large != nil && b.framing != framedLength:
			x.p.large.Put(large)
			large, buf = nil, *small
		}
	}
}

// abort breaks the client's connection off. Where the connection's end is the
// body's end, as in HTTP/1.0, a reset tells the client that it is not.
func (x *exchange) abort(f framing) {
	if f != framedLength && !x.since11() {
		if nc, _, err := x.rc().Hijack(); err == nil {
			if l, ok := nc.(interface{ SetLinger(int) error }); ok {
				_ = l.SetLinger(0)
			}
			nc.Close()
		}
	}
	panic(http.ErrAbortHandler)
}
