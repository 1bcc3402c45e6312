package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"seawall/internal/kit/problem"
)

// Run checks the origins' health and closes unused connections until ctx ends,
// and returns when no check is under way any more.
// Without it requests are served all the same, and an origin that fell is asked
// only where no other is left.
func (p *Proxy) Run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	for _, b := range p.backends {
		watching.Go(func() { p.watch(ctx, b) })
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			for _, b := range p.backends {
				b.sweep(p.clk.Now())
			}
		case <-ctx.Done():
			return
		}
	}
}

// watch checks one origin again and again.
func (p *Proxy) watch(ctx context.Context, b *backend) {
	t := time.NewTicker(p.cfg.Health.Every)
	defer t.Stop()
	good, bad := 0, 0
	for {
		err := p.check(ctx, b)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			good, bad = good+1, 0
			if good >= p.cfg.Health.Rise && b.down.Swap(false) {
				b.failures.Store(0)
				b.changed(true, nil)
			}
		} else {
			good, bad = 0, bad+1
			if bad >= p.cfg.Health.Fall && !b.down.Swap(true) {
				b.changed(false, err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// check asks one origin once, on a connection of its own.
func (p *Proxy) check(ctx context.Context, b *backend) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Health.Timeout)
	defer cancel()
	host := b.place.host
	if p.cfg.Host != "" && p.cfg.Host != hostOfOrigin {
		host = p.cfg.Host
	}
	if b.h2 != nil {
		return b.h2.check(ctx, p.cfg.Health.Path, host)
	}
	nc, err := b.dial(ctx, b.tls)
	if err != nil {
		return err
	}
	c := newConn(nc, b)
	defer c.Close()
	if p.cfg.Health.Path == "" {
		return nil
	}
	defer context.AfterFunc(ctx, func() { c.SetDeadline(past) })()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: seawall-health\r\nConnection: close\r\n\r\n", p.cfg.Health.Path, host); err != nil {
		return err
	}
	raw, err := readBlock(c.br, nil, maxAnswerHead)
	if err != nil {
		return err
	}
	h, err := parseHead(nil, raw, http.MethodGet)
	if err != nil {
		return err
	}
	if h.status >= 500 {
		return fmt.Errorf("%s answers %d", p.cfg.Health.Path, h.status)
	}
	_, err = io.CopyN(io.Discard, &answerBody{br: c.br, framing: h.framing, left: max(0, h.length)}, 1<<20)
	if err == io.EOF {
		err = nil
	}
	return err
}

// Check asks every origin once and says which do not answer, for people who
// want to know before they rely on it. It is no reason not to start.
func (p *Proxy) Check(ctx context.Context) problem.List {
	var l problem.List
	for i, b := range p.backends {
		if err := p.check(ctx, b); err != nil {
			l.Add(fmt.Sprintf("origins[%d].url", i), "start the site, or write the address at which it answers",
				"%s cannot be reached: %v", b.url, err)
		}
	}
	return l
}
