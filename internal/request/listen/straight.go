package listen

import (
	"context"
	"io"
	"net/http"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Road is what the rooms may be as well as an http.Handler: most requests have no
// body and ask for nothing unusual, and making the standard form of those costs more
// than all else that is done for them here.
type Road interface {
	// Straight serves x, as ServeHTTP would. Where it returns false it has done
	// nothing, and ServeHTTP is called.
	Straight(x Straight) bool
}

// Straight is such a request, and the way its answer takes: GET or HEAD, of HTTP/1.1
// or HTTP/2, with no body, and with no field that is of the client's connection only
// and would have to be understood. It is valid until Road.Straight returns. What it is
// as an http.ResponseWriter is for answers that do not come from the site.
type Straight interface {
	http.ResponseWriter
	FlushError() error
	traffic.Headers

	// Target and Host are as sent; of an HTTP/2 request, what they would be in
	// HTTP/1.1.
	Target() string
	Host() string
	// Field returns one field after the other, Host among them, with the name as
	// http.Header writes it.
	Field(i int) (name, value string, ok bool)

	Visit() *traffic.Visit
	Verdict() mitigation.Verdict
	Outcome() *traffic.Outcome

	// Context ends when the client leaves, and not with the request.
	Context() context.Context
	// Hold has c closed when the client leaves, unless Drop is called before, which
	// returns false where it is too late. One thing is held at a time.
	Hold(c io.Closer)
	Drop() bool

	// Begin begins the answer: with fields, names as http.Header writes them, and the
	// length of its body, which is -1 where that is unknown. fields is not kept.
	Begin(status int, fields [][2]string, length int64)
}

// isStraight says whether a request that was let in can be one.
func (x *exchange) isStraight() bool {
	h, v := &x.head, &x.visit
	return x.s.road != nil && (v.Method == http.MethodGet || v.Method == http.MethodHead) &&
		(v.HTTP == traffic.HTTP11 || v.HTTP == traffic.HTTP2) &&
		!h.body() && h.lengths == 0 && h.originForm && !h.connUpgrade && !h.upgrades && !h.connNames &&
		!x.moves()
}

// serveStraight serves a request without its standard form being made. served says
// that it did, and whole what serve says.
func (x *exchange) serveStraight(l *life) (whole, served bool) {
	x.life = l
	var thrown any
	func() {
		defer func() { thrown = recover() }()
		served = x.s.road.Straight(x)
	}()
	if !served && thrown == nil {
		return false, false
	}
	return x.finish(thrown), true
}

// Target makes exchange a Straight.
func (x *exchange) Target() string { return x.head.target.in(x.text) }

// Host is as the client sent it.
func (x *exchange) Host() string { return x.head.host.in(x.text) }

// Field returns one field of the request after the other.
func (x *exchange) Field(i int) (name, value string, ok bool) {
	if i >= len(x.head.fields) {
		return "", "", false
	}
	f := &x.head.fields[i]
	return canonicalName(f.name.in(x.text)), f.value.in(x.text), true
}

// Context ends when the client leaves.
func (x *exchange) Context() context.Context { return x.life }

// Hold has c closed when the client leaves.
func (x *exchange) Hold(c io.Closer) { x.life.Hold(c) }

// Drop takes Hold back.
func (x *exchange) Drop() bool { return x.life.Drop() }

// Begin begins the answer.
func (x *exchange) Begin(status int, fields [][2]string, length int64) {
	if x.wrote {
		return
	}
	x.lines, x.size = fields, length
	x.start(status)
	x.lines = nil
}

var _ Straight = (*exchange)(nil)
