package proxy

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// crowdedSite is a gate before an origin of so many workers, and clients of it.
type crowdedSite struct {
	g      *Gate
	origin workers
	cost   func() time.Duration
	n      atomic.Int64
}

func newCrowdedSite(size int, cost func() time.Duration) *crowdedSite {
	return &crowdedSite{g: NewGate(0, 4096, 1024, clock.New()), origin: make(workers, size), cost: cost}
}

// ask is one request of somebody new, from the line to the answer.
func (c *crowdedSite) ask(rank mitigation.Rank, f *visitorsFelt) func() {
	return func() {
		cost, begin := c.cost(), time.Now()
		k := c.n.Add(1)
		var s Slot
		_, err := c.g.Acquire(context.Background(), rank, netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)}), &s)
		if err == nil {
			sent := c.g.clk.Now()
			c.origin.serve(cost)
			s.Observe(0, sent, c.g.clk.Now().Sub(sent))
			s.Release()
		}
		f.add(time.Since(begin), err)
	}
}

// both has known visitors and newcomers come side by side.
func (c *crowdedSite) both(known, strangers float64, d time.Duration, k, s *visitorsFelt) {
	var phase sync.WaitGroup
	phase.Go(func() { poisson(rand.New(rand.NewPCG(3, 4)), known, d, c.ask(mitigation.RankKnown, k)) })
	phase.Go(func() {
		poisson(rand.New(rand.NewPCG(5, 6)), strangers, d, c.ask(mitigation.RankNewcomer, s))
	})
	phase.Wait()
	time.Sleep(15 * time.Second)
}

// A small flood that stays below the limit does not teach what it makes of the site as
// usual: the large one after it makes known visitors wait no longer for it.
func TestSmallFloodTeachesNothing(t *testing.T) {
	for _, ramp := range []time.Duration{300 * time.Millisecond, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowdedSite(5, func() time.Duration { return 10 * time.Millisecond })
			var known, flood visitorsFelt
			poisson(rand.New(rand.NewPCG(1, 2)), 80, 10*time.Second, c.ask(mitigation.RankKnown, &known))
			var phase sync.WaitGroup
			phase.Go(func() { poisson(rand.New(rand.NewPCG(1, 2)), 80, ramp, c.ask(mitigation.RankKnown, &known)) })
			for range 10 { // each asks again as soon as it is answered
				phase.Go(func() {
					one := c.ask(mitigation.RankNewcomer, &flood)
					for b := time.Now(); time.Since(b) < ramp; {
						one()
					}
				})
			}
			phase.Wait()
			known.reset()
			c.both(80, 2000, 20*time.Second, &known, &flood)
			k := known.felt()
			c.g.mu.Lock()
			usual := c.g.limit.usual[0] / 1e6
			c.g.mu.Unlock()
			t.Logf("after %v of it: usually %.1f ms; known p50 %v p99 %v", ramp, usual, k.quantile(.5), k.quantile(.99))
			if p99 := k.quantile(.99); p99 > 28*time.Millisecond || k.shed > 0 {
				t.Errorf("after %v of it known visitors' p99 is %v, %d shed", ramp, p99, k.shed)
			}
		})
	}
}

// Pages of one class, of which some take thirty times as long, are no sign that strangers
// crowd an origin that has workers enough for all. Of one in five that cannot be told for
// certain.
func TestRareSlowPagesHoldNobodyBack(t *testing.T) {
	for _, x := range []struct {
		oneIn int
		rate  float64
		shed  float64 // at most
	}{{10, 800, .1}, {5, 500, .5}} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowdedSite(200, func() time.Duration {
				if rand.IntN(x.oneIn) == 0 {
					return 300 * time.Millisecond
				}
				return 10 * time.Millisecond
			})
			var known, crowd visitorsFelt
			poisson(rand.New(rand.NewPCG(1, 2)), 30, 20*time.Second, c.ask(mitigation.RankKnown, &known))
			c.both(20, x.rate, 30*time.Second, &known, &crowd)
			k := crowd.felt()
			t.Logf("one in %d is slow: of %d newcomers %d shed", x.oneIn, k.sent, k.shed)
			if float64(k.shed) > x.shed*float64(k.sent) {
				t.Errorf("one in %d is slow: %d of %d newcomers shed", x.oneIn, k.shed, k.sent)
			}
		})
	}
}

// Where a site becomes slower for good while a crowd reads it, strangers are held back
// until that is understood, and get their places back.
func TestSlowerSiteIsUnderstood(t *testing.T) {
	for _, page := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var slower atomic.Bool
			c := newCrowdedSite(200, func() time.Duration {
				if slower.Load() {
					return page * 19 / 10
				}
				return page
			})
			rate := 60 / page.Seconds() // the origin bears it all the same
			var known, crowd visitorsFelt
			poisson(rand.New(rand.NewPCG(1, 2)), 3, 20*time.Second, c.ask(mitigation.RankKnown, &known))
			c.both(2, rate, 40*time.Second, &known, &crowd)
			slower.Store(true)
			crowd.reset()
			c.both(2, rate, 60*time.Second, &known, &crowd)
			first := crowd.felt()
			crowd.reset()
			c.both(2, rate, 60*time.Second, &known, &crowd)
			then := crowd.felt()
			t.Logf("%v pages, 1.9 times slower: in the first minute %d of %d newcomers shed, in the second %d of %d", page, first.shed, first.sent, then.shed, then.sent)
			if then.shed > then.sent/10 {
				t.Errorf("%v pages: after a minute %d of %d newcomers are shed still", page, then.shed, then.sent)
			}
		})
	}
}

// What a class usually takes is learnt slowly once it is known.
func TestLearnsSlowly(t *testing.T) {
	l := new(limiter)
	l.init(0, 1)
	for range 200 {
		l.learn(1, 1, 10e6, 1)
	}
	before := l.usual[1]
	l.learn(1, 1, 30e6, 15) // with 15 in flight
	if rate := (l.usual[1] - before) / (30e6 - before); rate > 2*learnSlow {
		t.Errorf("learnt at 1/%.0f", 1/rate)
	}
}

// On a quiet site, whom we know does not wait for what a flood's first moment, in which
// nothing is known about it, has brought to the origin.
func TestFirstMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowdedSite(5, func() time.Duration { return 10 * time.Millisecond })
		var known, flood visitorsFelt
		for i := range uint64(40) { // floods, each after a quiet time
			var quiet visitorsFelt
			poisson(rand.New(rand.NewPCG(1, 2)), 80, 12*time.Second, c.ask(mitigation.RankKnown, &quiet))
			var phase sync.WaitGroup
			phase.Go(func() {
				poisson(rand.New(rand.NewPCG(3, i)), 80, 150*time.Millisecond, c.ask(mitigation.RankKnown, &known))
			})
			phase.Go(func() {
				poisson(rand.New(rand.NewPCG(5, i)), 4000, 150*time.Millisecond, c.ask(mitigation.RankNewcomer, &flood))
			})
			phase.Wait()
			time.Sleep(15 * time.Second)
		}
		if k := known.felt(); k.shed > 0 || k.quantile(.99) > 30*time.Millisecond {
			t.Errorf("of %d, %d were sent away; half of them waited %v, one in a hundred %v", k.sent, k.shed, k.quantile(.5), k.quantile(.99))
		}
	})
}

// A crowd of strangers that a quiet site bears is served as soon as it comes.
func TestQuietSiteOpens(t *testing.T) {
	for _, page := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowdedSite(200, func() time.Duration { return page })
			var known, crowd visitorsFelt
			poisson(rand.New(rand.NewPCG(1, 2)), 10, 20*time.Second, c.ask(mitigation.RankKnown, &known))
			c.both(10, 50/page.Seconds(), 10*time.Second, &known, &crowd)
			if s := crowd.felt(); s.shed*100 > s.sent || s.quantile(.9) > page+page/2 {
				t.Errorf("pages of %v: of %d newcomers %d were sent away; one in ten waited %v", page, s.sent, s.shed, s.quantile(.9))
			}
		})
	}
}

// Where nobody knows what pages usually take, as with a fixed limit, no answer can tell that
// there is room: a crowd gets it all the same, a moment later.
func TestQuietSiteOpensByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowdedSite(200, func() time.Duration { return 200 * time.Millisecond })
		c.g = NewGate(64, 4096, 1024, clock.New())
		var known, crowd visitorsFelt
		poisson(rand.New(rand.NewPCG(1, 2)), 20, 10*time.Second, c.ask(mitigation.RankKnown, &known))
		if c.g.mu.Lock(); !c.g.yield.quiet.closed {
			t.Error("what nobody used is open")
		}
		c.g.mu.Unlock()
		var phase sync.WaitGroup
		phase.Go(func() { poisson(rand.New(rand.NewPCG(3, 4)), 20, time.Second, c.ask(mitigation.RankKnown, &known)) })
		for range 40 {
			phase.Go(c.ask(mitigation.RankNewcomer, &crowd))
		}
		phase.Wait()
		time.Sleep(time.Second)
		if s := crowd.felt(); s.shed > 0 || s.quantile(1) > 450*time.Millisecond {
			t.Errorf("of %d newcomers %d were sent away; the last one waited %v", s.sent, s.shed, s.quantile(1))
		}
	})
}
