package flood

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// SpreadConfig describes a relay that tells of very many clients.
type SpreadConfig struct {
	Target      string        // must be loopback
	Requests    uint64        // how many in all; request i is client Client(i)'s
	Rate        float64       // requests a second in all; 0: as fast as they are answered
	Length      time.Duration // most time to take
	Connections int
	Batch       int // requests written at once on a connection
	// Append appends client i's whole request to buf. It is called from
	// several goroutines.
	Append func(buf []byte, i uint64) []byte
	Every  time.Duration // how often Spread reports
}

// validate says what is wrong with c.
func (c SpreadConfig) validate() error {
	switch {
	case c.Requests < 1 || c.Requests > MostRequests:
		return fmt.Errorf("%d requests; between 1 and %d", c.Requests, MostRequests)
	case c.Length <= 0 || c.Length > MostSpreadTime:
		return fmt.Errorf("%v long; at most %v", c.Length, MostSpreadTime)
	case c.Connections < 1 || c.Connections > 64:
		return fmt.Errorf("%d connections; between 1 and 64", c.Connections)
	case c.Batch < 1 || c.Batch > 256:
		return fmt.Errorf("%d requests at once; between 1 and 256", c.Batch)
	case c.Rate < 0 || c.Rate > MostRate:
		return fmt.Errorf("%v requests a second; at most %d", c.Rate, MostRate)
	case c.Every <= 0 || c.Append == nil:
		return fmt.Errorf("no requests or no time between reports given")
	}
	return nil
}

// Spread sends cfg.Requests requests, pipelined in batches, each told to come
// from a client of its own. It reports and returns as Run does.
func Spread(ctx context.Context, cfg SpreadConfig, report func(Counts)) (Counts, error) {
	if err := cfg.validate(); err != nil {
		return Counts{}, fmt.Errorf("flood: %w", err)
	}
	target, err := Resolve(ctx, cfg.Target)
	if err != nil {
		return Counts{}, fmt.Errorf("flood: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Length)
	defer cancel()
	s := &spread{cfg: cfg, target: target, begun: time.Now()}
	var wg sync.WaitGroup
	for range cfg.Connections {
		wg.Go(func() { s.relay(ctx) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	t := time.NewTicker(cfg.Every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			report(s.counts.read(s.begun))
			continue
		case <-done:
		}
		last := s.counts.read(s.begun)
		last.Done = true
		report(last)
		return last, nil
	}
}

type spread struct {
	cfg    SpreadConfig
	target netip.AddrPort
	counts counters
	next   atomic.Uint64
	begun  time.Time
}

// relay sends batches until none is left, connecting again when it is cut off.
func (s *spread) relay(ctx context.Context) {
	var buf []byte
	var conn net.Conn
	var r *bufio.Reader
	drop := func() {
		if conn != nil {
			_ = conn.Close()
			conn = nil
		}
	}
	defer drop()
	for ctx.Err() == nil {
		last := s.next.Add(uint64(s.cfg.Batch))
		first := last - uint64(s.cfg.Batch)
		if first >= s.cfg.Requests {
			return
		}
		last = min(last, s.cfg.Requests)
		s.wait(ctx, first)
		if conn == nil {
			d := net.Dialer{Timeout: 5 * time.Second}
			c, err := d.DialContext(ctx, "tcp", s.target.String())
			if err != nil {
				s.counts.errors.Add(last - first)
				time.Sleep(pause)
				continue
			}
			conn, r = c, bufio.NewReaderSize(c, 16<<10)
			s.counts.dials.Add(1)
		}
		buf = buf[:0]
		for i := first; i < last; i++ {
			buf = s.cfg.Append(buf, i)
		}
		s.counts.meant.Add(last - first)
		s.counts.sent.Add(last - first)
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			drop()
			continue
		}
		if _, err := conn.Write(buf); err != nil {
			s.counts.errors.Add(last - first)
			drop()
			continue
		}
		for i := first; i < last; i++ {
			a, err := readAnswer(r)
			if err != nil {
				s.counts.errors.Add(last - i)
				drop()
				break
			}
			s.counts.note(a)
			if a.closes {
				s.counts.errors.Add(last - i - 1)
				drop()
				break
			}
		}
	}
}

// wait holds a batch back until it is due.
func (s *spread) wait(ctx context.Context, first uint64) {
	if s.cfg.Rate <= 0 {
		return
	}
	due := s.begun.Add(time.Duration(float64(first) / s.cfg.Rate * float64(time.Second)))
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(due)):
	}
}
