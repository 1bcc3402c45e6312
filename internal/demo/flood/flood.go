package flood

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// tick is how finely the rate is kept.
const tick = 2 * time.Millisecond

// grace is how long answers are still read after the last request.
const grace = 500 * time.Millisecond

type flood struct {
	cfg    Config
	target netip.AddrPort
	counts counters
	ports  atomic.Uint32
	wg     sync.WaitGroup
}

// Run floods cfg.Target until cfg.Length is over or ctx ends. It calls report
// every cfg.Every from one goroutine, and returns the last counts.
func Run(ctx context.Context, cfg Config, report func(Counts)) (Counts, error) {
	if err := cfg.Validate().Err(); err != nil {
		return Counts{}, fmt.Errorf("flood: %w", err)
	}
	target, err := Resolve(ctx, cfg.Target)
	if err != nil {
		return Counts{}, fmt.Errorf("flood: %w", err)
	}
	f := &flood{cfg: cfg, target: target}
	sources := make([]*source, len(cfg.Sources))
	for i, a := range cfg.Sources {
		sources[i] = &source{addr: a, head: cfg.Heads[i%len(cfg.Heads)]}
	}
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now()
	f.pace(live, sources, begun, report)

	// Answers on their way are counted for a moment more, then all is cut off.
	select {
	case <-ctx.Done():
	case <-time.After(grace):
	}
	cancel()
	for _, s := range sources {
		s.hangUp()
	}
	f.wg.Wait()
	last := f.counts.read(begun)
	last.Done = true
	report(last)
	return last, nil
}

// busy is how much of a time since the beginning the flood was not pausing.
func (c *Config) busy(since time.Duration) time.Duration {
	if c.Off == 0 {
		return since
	}
	round := c.On + c.Off
	return since/round*c.On + min(since%round, c.On)
}

// pace fires each source at its rate, the sources evenly staggered: request n
// is due n/(sources*rate) after begun, whatever became of the ones before.
func (f *flood) pace(ctx context.Context, sources []*source, begun time.Time, report func(Counts)) {
	perSecond := f.cfg.Rate * float64(len(sources))
	total := uint64(perSecond * f.cfg.busy(f.cfg.Length).Seconds())
	t := time.NewTicker(tick)
	defer t.Stop()
	next, reports, swept := uint64(0), begun.Add(f.cfg.Every), begun
	for next < total {
		now := time.Now()
		since := now.Sub(begun)
		due := min(total, uint64(perSecond*f.cfg.busy(since).Seconds())+1)
		for ; next < due; next++ {
			f.counts.meant.Add(1)
			s := sources[next%uint64(len(sources))]
			head := s.head
			if f.cfg.Dress != nil {
				head = f.cfg.Dress(nil, head, next, since)
			}
			f.fire(ctx, s, head, now)
		}
		if !now.Before(reports) {
			report(f.counts.read(begun))
			reports = reports.Add(f.cfg.Every)
		}
		if now.Sub(swept) > time.Second {
			for _, s := range sources {
				f.sweep(s, now)
			}
			swept = now
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
