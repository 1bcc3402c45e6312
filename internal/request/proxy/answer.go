package proxy

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// interim passes a 1xx answer on, such as 103 Early Hints. HTTP/1.0 has none.
func (x *exchange) interim(h head) {
	if !x.r.ProtoAtLeast(1, 1) {
		return
	}
	out := x.w.Header()
	before := out.Clone()
	copyFields(out, h.header)
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
	c.beforeRead = func() {
		x.lasts(c)
		if x.dirty {
			x.dirty = false
			x.flush()
		}
	}
	if err := x.copyBody(&b); err != nil {
		x.outcome.Failed = err != errClientGone && x.r.Context().Err() == nil && !x.cut.Load()
		x.abort(h.framing)
	}
	c.beforeRead = nil
	x.endAnswer(b.trailer)
}

// beginAnswer passes an answer's head on.
func (x *exchange) beginAnswer(h head) {
	out := onlyEndToEnd(h.header)
	if x.adopter == nil || !x.adopter.Adopt(out) {
		out = x.w.Header()
		copyFields(out, h.header)
	}
	if h.length >= 0 && h.status != http.StatusNoContent {
		out["Content-Length"] = []string{strconv.FormatInt(h.length, 10)}
	}
	if _, ok := out["Content-Type"]; !ok {
		out["Content-Type"] = nil // net/http would guess one
	}
	if !x.body.ended() && x.r.ProtoMajor == 1 {
		out["Connection"] = []string{"close"}
	}
	x.writeHeader(h.status)
}

// writeHeader begins the answer. In HTTP/1 that is kept until there is more; where
// others share the connection, they may have to be sent first.
func (x *exchange) writeHeader(status int) {
	if x.r.ProtoMajor == 1 {
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
	_ = x.rc.Flush()
	x.reader.end(x)
}

// endAnswer passes an answer's trailers on.
func (x *exchange) endAnswer(trailer http.Header) {
	out := x.w.Header()
	for k, vv := range trailer {
		if !hopByHop(k) && k != "Content-Length" && k != "Trailer" {
			out[http.TrailerPrefix+k] = vv
		}
	}
	if len(trailer) > 0 {
		_ = x.rc.Flush() // or net/http gives a short answer a length, and no trailers
	}
}

// copyBody copies an answer's body. It holds a small buffer while the body
// trickles and a large one while it runs.
func (x *exchange) copyBody(b *answerBody) error {
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
	if f != framedLength && !x.r.ProtoAtLeast(1, 1) {
		if nc, _, err := x.rc.Hijack(); err == nil {
			if l, ok := nc.(interface{ SetLinger(int) error }); ok {
				_ = l.SetLinger(0)
			}
			nc.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// copyFields adds an answer's end-to-end fields to out. They are all that stays in it.
func copyFields(out, in http.Header) {
	for k, vv := range onlyEndToEnd(in) {
		if old := out[k]; len(old) > 0 {
			vv = append(old[:len(old):len(old)], vv...)
		}
		out[k] = vv
	}
}

// onlyEndToEnd takes the fields of the origin's connection out of an answer's, and
// its length, which is known already.
func onlyEndToEnd(h http.Header) http.Header {
	named := h["Connection"]
	plain := namesNone(named)
	for k := range h {
		if hopByHop(k) || k == "Content-Length" || (!plain && hasToken(named, k)) {
			delete(h, k)
		}
	}
	return h
}

// namesNone says whether a Connection field names no other field.
func namesNone(connection []string) bool {
	return len(connection) == 0 ||
		len(connection) == 1 && (strings.EqualFold(connection[0], "keep-alive") || strings.EqualFold(connection[0], "close"))
}

// hopByHop says whether an answer's field, by its canonical name, is of the origin's
// connection only.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}
