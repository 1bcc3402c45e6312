package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// FullFunc answers a request for which the line was full, or too slow: one for HEAD
// without a body. v is nil where the ResponseWriter carries no Visit.
type FullFunc func(w http.ResponseWriter, isHead bool, h traffic.Headers, v *traffic.Visit, d mitigation.Verdict)

// hostOfOrigin is the value of Config.Host that stands for the origin's address.
const hostOfOrigin = "origin"

// Proxy is the handler that takes requests to the origin. Safe for concurrent
// use.
type Proxy struct {
	cfg      Config
	full     FullFunc
	clk      *clock.Clock
	log      *slog.Logger
	gate     *Gate
	backends []*backend
	turn     atomic.Uint32
	http2    bool // some origin is spoken to in HTTP/2
	quiet    quietLog
	// longLived is how long an answer or an upload lasts before it counts as a
	// stream.
	longLived time.Duration
	// slowClient is how long we wait for the client at a time before that.
	slowClient time.Duration

	askAgain ReconsiderFunc // nil: nobody is asked
	asking   atomic.Bool    // those in line will be, in a moment
	orders   atomic.Uint32  // counts the times

	small, large sync.Pool // *[]byte of smallBuffer and largeBuffer
	exchanges    sync.Pool // *exchange
	pipes        pipes

	ctx   context.Context // ends with Close; upgraded connections end with it
	close context.CancelFunc
}

// Bodies that trickle are carried in small buffers, others in large ones.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// New makes a Proxy; it asks no origin yet. A nil full answers with a plain
// 503.
func New(cfg Config, full FullFunc, clk *clock.Clock, log *slog.Logger) (*Proxy, error) {
	if err := cfg.Validate().Err(); err != nil {
		return nil, err
	}
	p := &Proxy{cfg: cfg, full: full, clk: clk, log: log, longLived: 5 * time.Second, slowClient: 250 * time.Millisecond}
	p.gate = NewGate(cfg.MaxInFlight, cfg.MaxStreams, cfg.MaxWaiting, clk)
	p.quiet.log, p.quiet.clk, p.pipes = log, clk, newPipes()
	p.small.New = func() any { b := make([]byte, smallBuffer); return &b }
	p.large.New = func() any { b := make([]byte, largeBuffer); return &b }
	p.ctx, p.close = context.WithCancel(context.Background())

	var roots *x509.CertPool
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
	}
	for _, o := range cfg.Origins {
		pl, _, _ := parseOrigin(o.URL)
		b := &backend{
			url: o.URL, place: pl, weight: int64(max(1, o.Weight)), clk: clk,
			dialer: net.Dialer{Timeout: cfg.ConnectTimeout}, fall: int32(cfg.Health.Fall),
		}
		// Go would otherwise try MPTCP, under which a peer's address may change.
		b.dialer.SetMultipathTCP(false)
		if pl.tls {
			b.tls = &tls.Config{
				ServerName: pl.name, RootCAs: roots, NextProtos: []string{"http/1.1"},
				MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(16),
			}
		}
		if o.HTTP2 {
			b.h2, p.http2 = newHTTP2Road(b, cfg), true
		}
		b.changed = func(up bool, why error) {
			if up {
				log.Info("origin is back", "origin", b.url)
			} else {
				log.Warn("origin does not answer", "origin", b.url, "error", why)
			}
		}
		p.backends = append(p.backends, b)
	}
	return p, nil
}

// Close ends upgraded connections and closes unused ones. Requests under way
// are not disturbed.
func (p *Proxy) Close() {
	p.close()
	for _, b := range p.backends {
		b.close()
	}
	p.pipes.close()
}

// Origin returns the gauges of this moment: InFlight, Waiting, Behind, Limit, Healthy.
// Counts and latencies come from Outcomes.
func (p *Proxy) Origin() traffic.Origin {
	g := p.gate.Gauges()
	o := traffic.Origin{InFlight: g.InFlight, Waiting: g.Waiting, Behind: g.Behind, Limit: g.Limit}
	for _, b := range p.backends {
		if !b.down.Load() {
			o.Healthy++
		}
	}
	return o
}

// Streams returns how many long-lived answers run.
func (p *Proxy) Streams() int { return p.gate.Gauges().Streams }

// ServeHTTP takes one request to the origin and brings its answer back. It
// panics with http.ErrAbortHandler where the client must see its connection
// break off: half an answer must not look like a whole one.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		p: p, orders: p.orders.Load(), w: w, r: r, ctx: r.Context(), method: r.Method, host: r.Host, path: r.URL.Path,
		fields: r.Header, major: r.ProtoMajor, minor: r.ProtoMinor, trailers: anyToken(r.Header["Te"], "trailers"),
	}
	x.held, _ = x.ctx.(holder)
	x.visit, x.verdict, x.outcome, x.adopter = found(w)
	if x.visit != nil {
		x.path = x.visit.Path
	}
	if x.target = targetOf(r); x.target == "" {
		x.fail(http.StatusBadRequest, nil)
		return
	}
	if r.Method == http.MethodConnect {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		x.fail(http.StatusMethodNotAllowed, nil)
		return
	}
	if x.begin() {
		p.serve(x)
	}
}

// serve waits for a place at the origin, and asks.
func (p *Proxy) serve(x *exchange) {
	defer x.end()
	if x.ctx.Err() != nil { // or it would take a place, and spoil a connection
		panic(http.ErrAbortHandler)
	}
	if x.isTurned() {
		x.turnAway()
		return
	}
	waited, err := p.gate.acquire(x.ctx, x.verdict.Rank, x.client(), &x.slot, x)
	x.outcome.Waited = waited
	if err == errTurned {
		x.turnAway()
		return
	}
	if err != nil {
		if !errors.Is(err, errFull) {
			panic(http.ErrAbortHandler) // the client left
		}
		x.shed()
		return
	}
	x.run()
}

// shed answers a request that the gate did not let through.
func (x *exchange) shed() {
	x.outcome.Shed = true
	d := x.verdict
	d.Action, d.Reason = mitigation.Refuse, mitigation.ReasonOriginFull
	if d.RetryAfter <= 0 {
		d.RetryAfter = 5 * time.Second
	}
	if x.p.full != nil {
		x.p.full(x.w, x.method == http.MethodHead, x.fields, x.visit, d)
		return
	}
	x.fail(http.StatusServiceUnavailable, nil)
}

// found looks for what listen put on the ResponseWriter. Whatever is not there
// is made up: no Visit, a newcomer's Verdict, an Outcome that nobody reads.
func found(w http.ResponseWriter) (v *traffic.Visit, d mitigation.Verdict, o *traffic.Outcome, a adopter) {
	decided := false
	for w != nil {
		if t, ok := w.(interface{ Visit() *traffic.Visit }); ok && v == nil {
			v = t.Visit()
		}
		if t, ok := w.(interface{ Verdict() mitigation.Verdict }); ok && !decided {
			d, decided = t.Verdict(), true
		}
		if t, ok := w.(interface{ Outcome() *traffic.Outcome }); ok && o == nil {
			o = t.Outcome()
		}
		if t, ok := w.(adopter); ok && a == nil {
			a = t
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok || (v != nil && decided && o != nil) {
			break
		}
		w = u.Unwrap()
	}
	if !decided {
		d.Rank = mitigation.RankNewcomer
	}
	if o == nil {
		o = new(traffic.Outcome)
	}
	return v, d, o, a
}

// adopter is a ResponseWriter that takes an answer's fields as they are, unless it has
// some already: that spares copying them.
type adopter interface {
	Adopt(http.Header) (taken bool)
}
