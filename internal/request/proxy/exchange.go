package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// exchange is one request on its way to the origin and back. It belongs to the
// handler's goroutine, but for what timers, the gate and a sending goroutine are given.
type exchange struct {
	p        *Proxy
	w        http.ResponseWriter
	straight Straight      // w; nil where r is the request
	r        *http.Request // nil where straight is
	control  *http.ResponseController
	ctx      context.Context
	held     holder // nil where ctx is none

	visit   *traffic.Visit // nil: unknown
	verdict mitigation.Verdict
	orders  uint32 // as Proxy.orders was at the beginning
	outcome *traffic.Outcome
	adopter adopter // nil: there is none

	method       string
	target       string
	host         string // as asked for
	path         string
	fields       traffic.Headers
	keepCookie   func(string) string // of straight: what of a Cookie field is for the site
	major, minor int                 // of the HTTP that the client speaks
	trailers     bool                // the client takes trailers
	upgrade      string              // protocol wanted; "" for none
	expects      bool                // the client waits for 100 Continue
	grpc         bool                // a call of gRPC, for an origin that can take one

	body    upload
	sending atomic.Pointer[sending] // the body by HTTP/2; nil by HTTP/1.1
	slot    Slot
	reader  waiting       // for the client to take the answer
	long    *time.Timer   // makes the slot a stream; nil until something takes long
	cut     atomic.Bool   // no more streams are allowed, so this one was cut off
	dirty   bool          // something was written that the client has not been sent
	leaves  bool          // the slot is given back later
	unhook  func() bool   // takes tie back, where there is no holder
	asked   clock.Instant // when an origin was, last; 0 not yet, or its answer has begun
}

// begin reads the beginning of a body, if there is one. Until then nothing is
// asked of the origin: a body that is malformed from its start never reaches it,
// and one that never comes, or a short one that comes slowly, takes nobody's
// place.
func (x *exchange) begin() bool {
	r := x.r
	x.upgrade = upgradeOf(r)
	dropNamed(r.Header)
	dropRanges(r.Header)
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		x.body.complete = true
		return true
	}
	x.body.length = r.ContentLength
	// A body that is read while the answer is written already is HTTP as usual,
	// but must be asked for here. HTTP/2 can do no other.
	_ = x.rc().EnableFullDuplex()
	if x.expects = strings.EqualFold(r.Header.Get("Expect"), "100-continue") && r.ProtoAtLeast(1, 1); x.expects {
		return true
	}
	// In a call the client may wait for the other side to say something first.
	if x.grpc = x.p.http2 && isGRPC(r.Header); x.grpc {
		return true
	}
	x.body.buffer(x.p, smallBuffer)
	if err := x.body.first(r.Body); err != nil {
		x.clientFailed(err)
		x.end()
		return false
	}
	return true
}

// rc is what else can be asked of w.
func (x *exchange) rc() *http.ResponseController {
	if x.control == nil {
		x.control = http.NewResponseController(x.w)
	}
	return x.control
}

// since11 says whether the client speaks HTTP/1.1 or something newer.
func (x *exchange) since11() bool { return x.major > 1 || x.minor > 0 }

// class is the request's, see classOf.
func (x *exchange) class() uint8 { return classOf(safe(x.method), x.path) }

// client is whom the request is counted for in line; the zero Addr where nobody knows.
func (x *exchange) client() (a netip.Addr) {
	if x.visit != nil {
		a = x.visit.Client
	}
	return a
}

// end gives back what the exchange holds. It runs also while a panic unwinds.
func (x *exchange) end() {
	if x.long != nil {
		x.long.Stop()
	}
	x.body.stop(x)
	x.slot.Moves() // the client may be answered no more
	x.body.buffer(x.p, 0)
	if x.asked != 0 && x.ctx.Err() != nil {
		// The client left, and the origin works on: else whoever asks and leaves
		// would have it do more than the limit allows.
		if d := x.p.gate.StillWorks(x.class(), x.asked); d > 0 {
			x.leaves = true
			x.slot.Left(d)
			return
		}
	}
	x.slot.Release()
}

// run asks an origin, and once more where that can do no harm.
func (x *exchange) run() {
	var last *backend
	for attempt := 0; ; attempt++ {
		b, c, err := x.connect(last, attempt > 0)
		if err != nil {
			x.originFailed(err)
			return
		}
		last = b
		again, err := x.ask(b, c)
		if err == nil {
			return
		}
		more := attempt == 0
		if errors.Is(err, errDial) { // by HTTP/2, where connect does not dial
			more = attempt < len(x.p.backends)-1
		}
		if more && again && x.ctx.Err() == nil {
			continue
		}
		x.originFailed(err)
		return
	}
}

// ask asks an origin: by c, or in HTTP/2 where c is nil. What it returns is what
// try does.
func (x *exchange) ask(b *backend, c *conn) (again bool, err error) {
	b.inFlight.Add(1)
	defer b.inFlight.Add(-1) // answers that break off panic
	if c == nil {
		return x.tryHTTP2(b)
	}
	return x.try(c)
}

// connect gets a connection to the best origin, or to the next best where one
// cannot be reached. Nothing was sent yet, so this is safe for every method. Where
// that origin is to be asked in HTTP/2, there is no connection to get. To change
// the protocol takes HTTP/1.1.
func (x *exchange) connect(skip *backend, fresh bool) (*backend, *conn, error) {
	p := x.p
	young := !safe(x.method)
	turn := p.turn.Add(1)
	for tries := 0; ; tries++ {
		b := choose(p.backends, skip, turn)
		if b.h2 != nil && x.upgrade == "" {
			return b, nil, nil
		}
		c, err := b.get(x.ctx, young, fresh)
		if err == nil || tries >= len(p.backends)-1 || x.ctx.Err() != nil {
			return b, c, err
		}
		skip = b
		turn++
	}
}

func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// try sends the request on c and passes the answer on. An error means that the
// client has been sent nothing yet; again, that another origin may be asked.
func (x *exchange) try(c *conn) (again bool, err error) {
	x.tie(c)
	keep := false
	defer func() {
		// The timer of lasts may be about to close it.
		if x.untie() && keep && (x.long == nil || x.long.Stop()) {
			x.keep(c)
		} else {
			c.Close()
		}
		x.body.stop(x)
	}()

	x.outcome.Reached = true
	x.asked = x.p.clk.Now()
	sent, err := x.send(c)
	var h head
	if err == nil {
		h, err = x.awaitHead(c, sent)
	}
	if err != nil {
		if x.body.ended() { // else it may be the client that took its time
			x.outcome.OriginTime = x.p.clk.Now().Sub(x.body.sentAt(sent))
		}
		// Only a request without a body, that changes nothing, to an origin
		// that broke off without a word.
		again = safe(x.method) && x.body.length == 0 && !timedOut(err) &&
			!errors.Is(err, errNonsense) && !x.body.touched.Load()
		return again, err
	}
	if h.status == http.StatusSwitchingProtocols {
		return false, x.tunnel(c, h)
	}
	x.answer(c, h)
	keep = x.finish(c, h)
	c.keep = min(x.p.cfg.KeepIdle, patienceOf(h))
	return false, nil
}

// tie has the client's leaving close c, which ends whatever waits for the origin.
func (x *exchange) tie(c *conn) {
	if x.held != nil {
		x.held.Hold(c)
		return
	}
	x.unhook = context.AfterFunc(x.ctx, func() { c.Close() })
}

// untie takes that back. False means that c is being closed.
func (x *exchange) untie() bool {
	if x.held != nil {
		return x.held.Drop()
	}
	return x.unhook()
}

// patienceOf is how long the origin says it keeps the connection, less a second
// for being on the safe side.
func patienceOf(h head) time.Duration {
	if h.keep > 0 {
		return h.keep - time.Second
	}
	return time.Hour
}

func (x *exchange) keep(c *conn) { c.from.put(c, c.keep) }

// send writes the head and as much of the body as is there, and starts a
// goroutine for the rest. It returns when the request was sent, or when its
// sending began.
func (x *exchange) send(c *conn) (clock.Instant, error) {
	c.SetDeadline(time.Now().Add(x.p.cfg.AnswerTimeout))
	x.writeHead(c.bw, x.hostFor(c.from), x.body.length)
	err := x.body.start(x, c)
	return x.p.clk.Now(), err
}

// hostFor is what the origin is told to have been asked for.
func (x *exchange) hostFor(b *backend) string {
	switch x.p.cfg.Host {
	case "":
		return x.host
	case hostOfOrigin:
		return b.place.host
	}
	return x.p.cfg.Host
}

// awaitHead reads heads until the final one, passing interim ones on.
func (x *exchange) awaitHead(c *conn, sent clock.Instant) (head, error) {
	runtime.Gosched() // others' work first: the answer may be there without our waiting for it
	for i := 0; ; i++ {
		_, err := c.br.Peek(1)
		if i == 0 && err == nil {
			took := x.p.clk.Now().Sub(x.body.sentAt(sent))
			x.outcome.OriginTime = max(took, 1)
		}
		if err == nil {
			c.scratch, err = readBlock(c.br, c.scratch[:0], maxAnswerHead)
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return head{}, err
		}
		h, err := parseHead(c.fields[:0], c.scratch, x.method)
		c.fields = h.fields
		if cap(c.scratch) > 4*connBuffer {
			c.scratch = nil
		}
		switch {
		case err != nil:
			return h, err
		case h.status == http.StatusSwitchingProtocols && x.upgrade == "":
			return h, nonsense("it changes the protocol unasked")
		case h.status >= 200 || h.status == http.StatusSwitchingProtocols:
			x.body.answered(c)
			x.asked = 0
			if h.status < 500 {
				x.slot.Observe(x.class(), sent, x.outcome.OriginTime)
			}
			return h, nil
		case i >= maxInterim:
			return h, nonsense("it sends more than %d interim answers", maxInterim)
		case h.status == http.StatusContinue:
			x.body.proceed()
		default:
			x.interim(h)
		}
	}
}

// timedOut says whether a deadline ended it.
func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || (errors.As(err, &ne) && ne.Timeout())
}

// stream makes the slot a stream. False means that the exchange should be cut off.
func (x *exchange) stream() bool {
	ok := x.slot.Stream()
	if s := x.sending.Load(); ok && s != nil {
		s.lasts()
	}
	return ok
}

// lasts makes the slot a stream if the exchange is not over in a while. Closing c
// ends the exchange.
func (x *exchange) lasts(c io.Closer) {
	if x.long != nil {
		return
	}
	x.long = time.AfterFunc(x.p.longLived, func() {
		if !x.stream() {
			x.cut.Store(true)
			c.Close()
		}
	})
}
