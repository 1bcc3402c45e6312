package listen

import (
	"net/http"
	"strings"
	"sync/atomic"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// exchange is one request and its answer. It is made when the first byte of a
// head is there and used again for another request once it was recorded.
type exchange struct {
	c       *conn
	head    head
	text    string // of the whole head; the visit's strings are parts of it
	visit   traffic.Visit
	verdict mitigation.Verdict
	outcome traffic.Outcome

	// For those let in.
	rw       http.ResponseWriter
	wrote    bool // the final status was given to net/http
	replaced bool // the answer is ours, because the body was malformed
	hijacked bool
	recorded bool
	noBody   bool // BytesOut stays 0: HEAD, 204, 304
	in       *countedBody
}

func (s *Server) newExchange(c *conn) *exchange {
	x, ok := s.exchanges.Get().(*exchange)
	if !ok {
		x = new(exchange)
		x.head.fields = make([]field, 0, 24)
	}
	x.c = c
	x.head.reset(s.cfg.MaxHead, s.cfg.MaxFields)
	return x
}

func (s *Server) freeExchange(x *exchange) {
	*x = exchange{head: head{fields: x.head.fields[:0]}}
	s.exchanges.Put(x)
}

// fill makes the visit from the head in b.
func (x *exchange) fill(b []byte) {
	h := &x.head
	x.text = string(b)
	v := &x.visit
	*v = traffic.Visit{
		At: x.c.s.clk.Now(), Peer: x.c.peer, Client: x.c.from,
		HeaderOrder: h.order,
		Method:      h.method.in(x.text),
		Host:        hostName(h.host.in(x.text)),
		UserAgent:   h.agent.in(x.text),
		Secure:      x.c.https,
		HTTP:        httpOf(h.minor), JA4: x.c.ja4,
	}
	v.Path, v.RawQuery = splitTarget(h.target.in(x.text), int(h.pathFrom))
}

// decide asks the door. A door that panics lets in: seawall failing must not
// take the site down.
func (x *exchange) decide() {
	s := x.c.s
	defer func() {
		if p := recover(); p != nil {
			x.verdict = mitigation.Verdict{Action: mitigation.Admit, Rank: mitigation.RankNewcomer}
			s.panicked("door", p)
		}
	}()
	s.door.Identify(&x.visit, x)
	x.verdict = s.door.Decide(&x.visit)
}

// refusal asks the door for its answer, whose body may use buf.
func (x *exchange) refusal(buf []byte) (a mitigation.Answer) {
	s := x.c.s
	defer func() {
		if p := recover(); p != nil {
			s.panicked("door", p)
			a = mitigation.Answer{Status: http.StatusServiceUnavailable, RetryAfter: 10, Close: true}
		}
	}()
	return s.door.Refuse(buf, &x.visit, x.verdict, x)
}

// record tells the watcher, once.
func (x *exchange) record() {
	if x.recorded {
		return
	}
	x.recorded = true
	x.c.s.watch.Record(&x.visit, x.verdict, x.outcome)
}

// Get makes exchange the traffic.Headers of its request.
func (x *exchange) Get(name string) string {
	for i := range x.head.fields {
		f := &x.head.fields[i]
		if int(f.name.to-f.name.from) == len(name) && strings.EqualFold(f.name.in(x.text), name) {
			return f.value.in(x.text)
		}
	}
	return ""
}

// Values returns all values of a field.
func (x *exchange) Values(name string) []string {
	var list []string
	for i := range x.head.fields {
		f := &x.head.fields[i]
		if int(f.name.to-f.name.from) == len(name) && strings.EqualFold(f.name.in(x.text), name) {
			list = append(list, f.value.in(x.text))
		}
	}
	return list
}

// Visit returns the visit, for rooms.
func (x *exchange) Visit() *traffic.Visit { return &x.visit }

// Verdict returns what the door said, for rooms.
func (x *exchange) Verdict() mitigation.Verdict { return x.verdict }

// Outcome returns the outcome, for rooms to fill in their part.
func (x *exchange) Outcome() *traffic.Outcome { return &x.outcome }

// countedBody counts what rooms read of a body. It outlives its exchange, since
// a room may still read while its handler returns.
type countedBody struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	n atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.n.Add(int64(n))
	return n, err
}

func (b *countedBody) Close() error { return b.body.Close() }
