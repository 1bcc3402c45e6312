package listen

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/urlpath"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// exchange is one request and its answer. It is made when the first byte of a
// head is there and used again for another request once it was recorded.
type exchange struct {
	s       *Server
	c       *conn
	head    head
	text    string // of the whole head; the visit's strings are parts of it
	visit   traffic.Visit
	respelt bool // the path was sent in another spelling than the visit's
	verdict mitigation.Verdict
	outcome traffic.Outcome
	again   repeat
	proof   string // what a certificate authority asked for; "" nothing

	// For those let in.
	req      *request    // nil until made, see Straight
	life     *life       // valid while it is served
	header   http.Header // of the answer; nil until asked for
	lines    [][2]string // of the answer besides header, while it begins
	size     int64       // of the answer's body, as announced; -1 unknown. Valid once wrote
	out      answerer    // how the answer goes out
	one      answer1     // what out is in HTTP/1
	wrote    bool        // the final answer was begun
	replaced bool        // the answer is ours, because the body was malformed
	hijacked bool
	recorded bool
	unasked  bool // the client waits to be asked for a body that nobody wanted
	noBody   bool // BytesOut stays 0: HEAD, 204, 304
}

// answerer carries an answer to the client, the way that one version of HTTP does.
// Only the goroutine that serves the request calls it.
type answerer interface {
	// interim sends a 1xx answer with the fields in x.header.
	interim(x *exchange, status int) error
	// begin takes the status and x.header. Where x.noBody, that is all. It may be
	// kept until there is more.
	begin(x *exchange, status int)
	// write takes a piece of the body.
	write(x *exchange, p []byte) (int, error)
	// flush sends what was kept.
	flush(x *exchange) error
	// finish ends the answer, trailers in x.header among it. It fails where that
	// cannot be done properly; then abandon follows.
	finish(x *exchange) error
	// abandon lets the client see that the answer is not whole.
	abandon(x *exchange)
	// fault is what was wrong with the request's body.
	fault() fault
	// readBy and writeBy bound the reading of the body and the writing of the answer.
	readBy(time.Time) error
	writeBy(time.Time) error
	// take hands the connection, or what stands for one, to another protocol.
	take(x *exchange) (net.Conn, *bufio.ReadWriter, error)
}

func (s *Server) newExchange(c *conn) *exchange {
	x, ok := s.exchanges.Get().(*exchange)
	if !ok {
		x = new(exchange)
		x.head.fields = make([]field, 0, 24)
	}
	x.s, x.c = s, c
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
	judged := x.keep(b)
	v := &x.visit
	*v = traffic.Visit{
		At: x.c.s.clk.Now(), Peer: x.c.peer, Client: x.c.from,
		HTTP: h.http(), JA4: x.c.ja4, HeaderOrder: h.order,
		Method:    h.method.in(x.text),
		Host:      hostName(h.host.in(x.text)),
		UserAgent: h.agent.in(x.text),
		Secure:    x.c.https,
	}
	if c := x.c; c.h3 == nil && c.place.known {
		v.Network, v.Country, v.Located = c.place.network, c.place.country, true
	}
	v.Path, v.RawQuery = splitTarget(h.target.in(x.text), int(h.pathFrom))
	if x.respelt = judged != ""; x.respelt {
		v.Respelt = urlpath.Resegmented(v.Path)
		v.Path = judged
	}
}

// keep keeps the text of the head, and returns the path's normal form where the path has
// another. Both are in one piece of memory, which belongs to the request.
func (x *exchange) keep(b []byte) (judged string) {
	path := x.head.target.of(b)[x.head.pathFrom:]
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if urlpath.Normal(path) {
		x.text = string(b)
		return ""
	}
	s := x.s.scratch()
	s.out = urlpath.Append(s.out[:0], path)
	var both strings.Builder
	both.Grow(len(b) + len(s.out))
	both.Write(b)
	both.Write(s.out)
	x.s.scratches.Put(s)
	x.text = both.String()[:len(b)]
	return both.String()[len(b):]
}

// decide asks the door. A door that panics lets in: seawall failing must not
// take the site down.
func (x *exchange) decide() {
	s := x.s
	defer func() {
		if p := recover(); p != nil {
			x.verdict = mitigation.Verdict{Action: mitigation.Admit, Rank: mitigation.RankNewcomer}
			s.panicked("door", p)
		}
	}()
	if !x.again.is {
		x.identify()
	}
	// The requests of a connection of HTTP/3 are read side by side.
	if v := &x.visit; v.Located && x.c.h3 == nil {
		x.c.place = place{v.Network, v.Country, true}
	}
	if x.proves() {
		return
	}
	x.verdict = s.door.Decide(&x.visit)
}

// refusal asks the door for its answer, whose body may use buf.
func (x *exchange) refusal(buf []byte) (a mitigation.Answer) {
	s := x.s
	if x.proof != "" {
		return x.proved(buf)
	}
	defer func() {
		if p := recover(); p != nil {
			s.panicked("door", p)
			a = mitigation.Answer{Status: http.StatusServiceUnavailable, RetryAfter: 10, Close: true}
		}
	}()
	if a = s.door.Refuse(buf, &x.visit, x.verdict, x); a.Again {
		a.Location = x.itself()
	}
	return a
}

// itself is what was asked for, as a Location field has it: on this site, whatever the
// path looks like. Two slashes at its beginning, or what browsers take for them, would
// name another one.
func (x *exchange) itself() string {
	target := x.head.target.in(x.text)[x.head.pathFrom:]
	switch {
	case target == "" || target[0] != '/':
		return "/" + target
	case len(target) > 1 && (target[1] == '/' || target[1] == '\\'):
		return "/." + target
	}
	return target
}

// record tells the watcher, once.
func (x *exchange) record() {
	if x.recorded {
		return
	}
	x.recorded = true
	x.s.watch.Record(&x.visit, x.verdict, x.outcome)
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

// Judge replaces what the door said, for a room in which it was asked again: the visit
// counts as that verdict says.
func (x *exchange) Judge(d mitigation.Verdict) { x.verdict = d }

// Outcome returns the outcome, for rooms to fill in their part.
func (x *exchange) Outcome() *traffic.Outcome { return &x.outcome }

// countedBody counts what rooms read of a body. It outlives its exchange, since a
// room may try to read still when its handler has returned: then it reads nothing.
type countedBody struct {
	body io.Reader
	n    atomic.Int64
	mu   sync.Mutex // held while somebody reads
	over bool
	stop func() // has a read that is under way return
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// Close ends the reading, a read on another goroutine among it.
func (b *countedBody) Close() error {
	if !b.mu.TryLock() {
		b.stop()
		b.mu.Lock()
	}
	b.over = true
	b.mu.Unlock()
	return nil
}
