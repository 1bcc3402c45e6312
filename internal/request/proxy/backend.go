package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
)

// maxIdle is how many unused connections are kept to one origin.
const maxIdle = 256

// backend is one origin: how to reach it, its unused connections, its health.
// Safe for concurrent use.
type backend struct {
	url    string // as configured
	place  place
	weight int64
	tls    *tls.Config // nil for plain
	h2     *http2Road  // nil: HTTP/1.1 only
	dialer net.Dialer
	clk    *clock.Clock

	inFlight atomic.Int64
	down     atomic.Bool
	failures atomic.Int32 // connections that failed, in a row
	changed  func(up bool, why error)
	fall     int32

	mu     sync.Mutex
	idle   []*conn // last used last
	closed bool
}

// errDial says that no connection could be made, so that nothing was sent.
var errDial = errors.New("cannot connect")

// dialError keeps the cause.
type dialError struct{ cause error }

func (e dialError) Error() string   { return errDial.Error() + ": " + e.cause.Error() }
func (e dialError) Unwrap() []error { return []error{errDial, e.cause} }

// dial makes a new connection, its handshake by cfg done; a nil cfg makes a
// plain one.
func (b *backend) dial(ctx context.Context, cfg *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, b.dialer.Timeout)
	defer cancel()
	nc, err := b.dialer.DialContext(ctx, b.place.network, b.place.address)
	if err == nil && cfg != nil {
		t := tls.Client(nc, cfg)
		if err = t.HandshakeContext(ctx); err != nil {
			nc.Close()
		}
		nc = t
	}
	if err != nil {
		return nil, dialError{err}
	}
	return nc, nil
}

// dialed takes note of whether a connection could be made.
func (b *backend) dialed(ctx context.Context, err error) {
	switch {
	case err == nil:
		b.failures.Store(0)
	case ctx.Err() == nil:
		if n := b.failures.Add(1); n == b.fall && !b.down.Swap(true) {
			b.changed(false, err)
		}
	}
}

// get returns an unused connection that is still open, the one used last, or a
// new one. Where a request cannot be repeated, young asks for a connection that
// was in use a moment ago: the longer it was idle, the more likely the origin
// closes it just now.
func (b *backend) get(ctx context.Context, young, fresh bool) (*conn, error) {
	for !fresh {
		c := b.pop()
		if c == nil {
			break
		}
		age := b.clk.Now().Sub(c.idleAt)
		if age > c.keep || (young && age > time.Second) || !c.alive() {
			c.Close()
			continue
		}
		return c, nil
	}
	nc, err := b.dial(ctx, b.tls)
	b.dialed(ctx, err)
	if err != nil {
		return nil, err
	}
	return newConn(nc, b), nil
}

func (b *backend) pop() *conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.idle)
	if n == 0 {
		return nil
	}
	c := b.idle[n-1]
	b.idle[n-1] = nil
	b.idle = b.idle[:n-1]
	return c
}

// put keeps a connection for the next exchange.
func (b *backend) put(c *conn, keep time.Duration) {
	c.idleAt, c.keep, c.reads = b.clk.Now(), keep, nil
	// What they are parts of may be large.
	if clear(c.fields[:cap(c.fields)]); cap(c.fields) > 64 {
		c.fields = nil
	}
	b.mu.Lock()
	full := b.closed || len(b.idle) >= maxIdle || keep <= 0
	if !full {
		b.idle = append(b.idle, c)
	}
	b.mu.Unlock()
	if full {
		c.Close()
	}
}

// sweep closes connections that were unused for too long.
func (b *backend) sweep(now clock.Instant) {
	b.mu.Lock()
	var old []*conn
	kept := b.idle[:0]
	for _, c := range b.idle {
		if now.Sub(c.idleAt) > c.keep {
			old = append(old, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(b.idle[len(kept):])
	b.idle = kept
	b.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// close closes the unused connections and keeps none from now on.
func (b *backend) close() {
	b.mu.Lock()
	idle := b.idle
	b.idle, b.closed = nil, true
	b.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
	if b.h2 != nil {
		b.h2.close()
	}
}

// choose returns the origin with the least in flight for its weight, healthy
// ones first; skip, which may be nil, only where there is no other. turn breaks
// ties, so that quiet origins take turns.
func choose(all []*backend, skip *backend, turn uint32) *backend {
	var best *backend
	for i := range all {
		b := all[(int(turn%uint32(len(all)))+i)%len(all)]
		if best == nil || better(b, best, skip) {
			best = b
		}
	}
	return best
}

func better(a, b, skip *backend) bool {
	if (a == skip) != (b == skip) {
		return b == skip
	}
	if x, y := a.down.Load(), b.down.Load(); x != y {
		return y
	}
	return (a.inFlight.Load()+1)*b.weight < (b.inFlight.Load()+1)*a.weight
}
