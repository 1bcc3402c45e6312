package flood

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// pause is how long a source waits after losing a connection before it opens
// another, so that a target which closes connections does not turn the flood
// into one of handshakes.
const pause = 100 * time.Millisecond

// source is one machine of the botnet.
type source struct {
	addr netip.Addr
	head []byte

	mu      sync.Mutex
	links   []*link   // open ones
	idle    []*link   // those of links that wait for nothing
	dialing int       // connections being opened
	notTill time.Time // no new connection before
}

// link is one connection of a source. At most one request is on its way.
type link struct {
	conn  net.Conn
	since time.Time // when the request on its way was sent; valid while not idle
}

// fire sends one request: on an idle connection, or on a new one, or not at all
// if the source has no connection left. It never blocks: a connection with
// nothing on its way has room for a request.
func (f *flood) fire(ctx context.Context, s *source, head []byte, now time.Time) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		l := s.idle[n-1]
		s.idle = s.idle[:n-1]
		l.since = now
		s.mu.Unlock()
		f.counts.sent.Add(1)
		if _, err := l.conn.Write(head); err != nil {
			// The reader of this link counts the error when it sees the end.
			_ = l.conn.Close()
		}
		return
	}
	// One connection is opened at a time: a source needs more only when answers
	// take long, not because this machine is slow to connect.
	if s.dialing > 0 || len(s.links) >= f.cfg.Connections || now.Before(s.notTill) {
		s.mu.Unlock()
		f.counts.held.Add(1)
		return
	}
	s.dialing++
	s.mu.Unlock()
	f.counts.sent.Add(1)
	f.wg.Go(func() { f.serve(ctx, s, head) })
}

// serve opens a connection, sends first as the first request and reads answers until the
// connection ends.
func (f *flood) serve(ctx context.Context, s *source, first []byte) {
	l, err := f.open(ctx, s, first)
	s.mu.Lock()
	s.dialing--
	if err != nil {
		s.notTill = time.Now().Add(pause)
		s.mu.Unlock()
		f.counts.errors.Add(1)
		return
	}
	s.links = append(s.links, l)
	s.mu.Unlock()

	r := bufio.NewReaderSize(l.conn, 2048)
	for {
		a, err := readAnswer(r)
		if err == nil {
			f.counts.note(a)
		}
		s.mu.Lock()
		if err == nil && !a.closes {
			s.idle = append(s.idle, l)
			s.mu.Unlock()
			continue
		}
		// Lost: idle connections may be closed without harm.
		at := slices.Index(s.idle, l)
		if at >= 0 {
			s.idle = slices.Delete(s.idle, at, at+1)
		}
		s.links = slices.Delete(s.links, slices.Index(s.links, l), slices.Index(s.links, l)+1)
		s.notTill = time.Now().Add(pause)
		s.mu.Unlock()
		if err != nil && at < 0 && ctx.Err() == nil {
			f.counts.errors.Add(1)
		}
		_ = l.conn.Close()
		return
	}
}

func (f *flood) open(ctx context.Context, s *source, first []byte) (*link, error) {
	d := net.Dialer{Timeout: f.cfg.Patience}
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", f.target.String())
	if err != nil {
		return nil, err
	}
	f.counts.dials.Add(1)
	if t, ok := c.(*net.TCPConn); ok {
		// Reset on close, so that thousands of short connections leave no
		// ports in TIME-WAIT behind.
		_ = t.SetLinger(0)
	}
	if f.cfg.Preface != nil {
		port := uint16(1024 + f.ports.Add(1)%60_000)
		first = slices.Concat(f.cfg.Preface(netip.AddrPortFrom(s.addr, port)), first)
	}
	if _, err := c.Write(first); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &link{conn: c, since: time.Now()}, nil
}

// sweep closes connections whose answer is overdue.
func (f *flood) sweep(s *source, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		if now.Sub(l.since) > f.cfg.Patience && !slices.Contains(s.idle, l) {
			f.counts.gaveUp.Add(1)
			_ = l.conn.Close()
		}
	}
}

// hangUp closes all connections.
func (s *source) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		_ = l.conn.Close()
	}
}
