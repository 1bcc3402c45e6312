package crowd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Crowd is the visitors of a site. Make one with New, then Run it.
type Crowd struct {
	cfg Config
	m   measures

	mu      sync.Mutex // guards what follows
	arrived int        // visitors so far
	wg      sync.WaitGroup
	arrive  chan arrival
}

type arrival struct {
	n     int
	over  time.Duration
	group string
}

// New makes a crowd with nobody in it.
func New(cfg Config) (*Crowd, error) {
	if err := cfg.Validate().Err(); err != nil {
		return nil, fmt.Errorf("visitors: %w", err)
	}
	return &Crowd{cfg: cfg, arrive: make(chan arrival, 16), m: measures{felt: map[key]*record{}, open: map[uint64]open{}}}, nil
}

// Add lets n visitors arrive, evenly spread over a time, and puts what they
// feel down to group. It fails if there are not enough addresses left.
func (c *Crowd) Add(n int, over time.Duration, group string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.arrived+n > len(c.cfg.Addresses) {
		return fmt.Errorf("visitors: %d more than there are addresses", c.arrived+n-len(c.cfg.Addresses))
	}
	select {
	case c.arrive <- arrival{n, over, group}:
		c.arrived += n
		return nil
	default:
		return fmt.Errorf("visitors: too many groups arrive at once")
	}
}

// Run lets visitors come and read until ctx ends.
func (c *Crowd) Run(ctx context.Context) {
	defer c.wg.Wait()
	next := 0
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-c.arrive:
			first := next
			next += a.n
			c.wg.Go(func() { c.letIn(ctx, first, a) })
		}
	}
}

func (c *Crowd) letIn(ctx context.Context, first int, a arrival) {
	for i := range a.n {
		v := newVisitor(c, first+i, a.group)
		c.wg.Go(func() { v.read(ctx) })
		if !sleep(ctx, a.over/time.Duration(a.n)) {
			return
		}
	}
}

// Phase begins a phase: what is meant to be sent from now on counts to it.
func (c *Crowd) Phase(name string) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.marks = append(c.m.marks, mark{time.Now(), name})
}

// Felt is what a group felt during a phase.
func (c *Crowd) Felt(phase, group string) Felt {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	r := c.m.felt[key{phase, group}]
	if r == nil {
		r = &record{}
	}
	f := r.read().withWaiting(c.m.waiting(phase, group))
	f.Span = c.m.span(phase)
	return f
}

// FeltByAll is what all groups together felt during a phase.
func (c *Crowd) FeltByAll(phase string) Felt {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	all := record{}
	for k, r := range c.m.felt {
		if k.phase == phase {
			all.add(r)
		}
	}
	f := all.read().withWaiting(c.m.waiting(phase, ""))
	f.Span = c.m.span(phase)
	return f
}

// Now is what visitors felt in the last whole second and the current one.
func (c *Crowd) Now() Felt {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	last := record{}
	for _, s := range c.m.recent {
		if time.Since(s.at) < 2*time.Second {
			last.add(&s.record)
		}
	}
	return last.read()
}

func (r *record) add(o *record) {
	r.felt.Meant += o.felt.Meant
	r.felt.Served += o.felt.Served
	r.felt.Missed += o.felt.Missed
	r.felt.Sent += o.felt.Sent
	for k, v := range o.felt.Wrong {
		if r.felt.Wrong == nil {
			r.felt.Wrong = map[string]uint64{}
		}
		r.felt.Wrong[k] += v
	}
	r.times = append(r.times, o.times...)
}

// sleep waits for d and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// random is a visitor's own source of randomness, the same for the same seed.
func random(seed uint64, visitor int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(visitor)))
}
