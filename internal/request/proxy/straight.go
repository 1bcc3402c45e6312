package proxy

import (
	"bufio"
	"context"
	"io"
	"net/http"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Straight is a request that has no standard form, as listen has it: GET or HEAD, with
// no body and no wish to change the protocol, and with a Connection field that names no
// other. Its own answers go out as those of any http.ResponseWriter.
type Straight interface {
	http.ResponseWriter
	traffic.Headers

	Target() string // begins with "/"
	Host() string   // as sent
	// Field returns one field after the other, its name as http.Header writes it.
	Field(i int) (name, value string, ok bool)

	Visit() *traffic.Visit
	Verdict() mitigation.Verdict
	Outcome() *traffic.Outcome

	Context() context.Context
	holder
	// Begin begins the answer; length is its body's, -1 unknown. fields is not kept.
	Begin(status int, fields [][2]string, length int64)
}

// holder closes what it holds when the client leaves. Drop returns false where that is
// happening.
type holder interface {
	Hold(io.Closer)
	Drop() bool
}

// Straight takes one request to the origin and brings its answer back, as ServeHTTP
// does. It returns false, and has done nothing, where the request needs the standard
// form. keep says what of a Cookie field is for the site.
func (p *Proxy) Straight(s Straight, keep func(string) string) bool {
	if p.http2 || s.Values("Range") != nil || s.Values("Request-Range") != nil {
		return false
	}
	x := p.exchange()
	v := s.Visit()
	x.w, x.straight, x.keepCookie = s, s, keep
	x.visit, x.verdict, x.outcome = v, s.Verdict(), s.Outcome()
	x.ctx, x.held = s.Context(), s
	x.method, x.target, x.host, x.path, x.fields = v.Method, s.Target(), s.Host(), v.Path, s
	x.major, x.minor = 1, 1
	if v.HTTP == traffic.HTTP2 {
		x.major, x.minor = 2, 0
	}
	x.trailers = anyToken(s.Values("Te"), "trailers")
	x.body.complete = true
	p.serve(x)
	p.free(x)
	return true
}

// writeStraight writes the request's fields.
func (x *exchange) writeStraight(bw *bufio.Writer) {
	for i := 0; ; i++ {
		name, value, ok := x.straight.Field(i)
		if !ok {
			return
		}
		if ours(name) {
			continue
		}
		if name == "Cookie" && value != "" {
			if value = x.keepCookie(value); value == "" {
				continue
			}
		}
		field(bw, name, value)
	}
}

// beginStraight passes an answer's head on.
func (x *exchange) beginStraight(h head, f fields) {
	length := h.length
	if h.status == http.StatusNoContent {
		length = -1
	}
	if x.major > 1 { // see writeHeader
		x.reader.begin(x)
		defer x.reader.end(x)
	}
	x.straight.Begin(h.status, f, length)
}

// exchange returns an empty exchange.
func (p *Proxy) exchange() *exchange {
	x, ok := p.exchanges.Get().(*exchange)
	if !ok {
		x = new(exchange)
	}
	x.p, x.orders = p, p.orders.Load()
	return x
}

// free keeps x for another request, unless something may still come back to it: a
// timer that has run, or a slot that is given back later.
func (p *Proxy) free(x *exchange) {
	if x.long != nil || x.reader.ran || x.leaves {
		return
	}
	timer := x.reader.timer // its function knows x only
	*x = exchange{}
	x.reader.timer = timer
	p.exchanges.Put(x)
}
