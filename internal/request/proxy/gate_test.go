package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// joins puts a request in line and records when, and whether, it went in.
func joins(t *testing.T, g *Gate, rank mitigation.Rank, name string, log *[]string, mu *sync.Mutex) {
	t.Helper()
	go func() {
		var s Slot
		_, err := g.Acquire(context.Background(), rank, netip.Addr{}, &s)
		mu.Lock()
		if err != nil {
			name = "-" + name
		}
		*log = append(*log, name)
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		s.Release()
	}()
	synctest.Wait()
}

func TestGateOrder(t *testing.T) {
	const (
		known, proven, newcomer, suspect = mitigation.RankKnown, mitigation.RankProven, mitigation.RankNewcomer, mitigation.RankSuspect
	)
	type step struct {
		rank mitigation.Rank
		name string
	}
	for _, c := range []struct {
		name    string
		waiting int
		steps   []step
		pause   time.Duration // after each step
		want    []string
	}{
		{"best rank first, first come first", 10,
			[]step{{suspect, "s"}, {newcomer, "n"}, {proven, "p1"}, {proven, "p2"}, {known, "k"}}, 0,
			[]string{"k", "p1", "p2", "n", "s"}},
		{"under overload the newest newcomer first", 10,
			[]step{{newcomer, "n1"}, {newcomer, "n2"}, {newcomer, "n3"}, {proven, "p1"}, {proven, "p2"}}, 60 * time.Millisecond,
			[]string{"p1", "p2", "n3", "n2", "n1"}},
		{"a full line sends the worst away", 2,
			[]step{{suspect, "s"}, {newcomer, "n"}, {known, "k"}}, 0,
			[]string{"-s", "k", "n"}},
		{"a full line has no place for worse", 2,
			[]step{{proven, "p1"}, {proven, "p2"}, {newcomer, "n"}, {proven, "p3"}}, 0,
			[]string{"-n", "-p3", "p1", "p2"}},
		{"a full line of newcomers lets the oldest go", 2,
			[]step{{newcomer, "n1"}, {newcomer, "n2"}, {newcomer, "n3"}}, 60 * time.Millisecond,
			[]string{"-n1", "n3", "n2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGate(1, 4, c.waiting, clock.New())
				var hold Slot
				if _, err := g.Acquire(t.Context(), known, netip.Addr{}, &hold); err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex
				var log []string
				for _, s := range c.steps {
					joins(t, g, s.rank, s.name, &log, &mu)
					time.Sleep(c.pause)
				}
				// No reserve in this table: with one slot it would hold back
				// newcomers for ten seconds.
				g.mu.Lock()
				g.seenGood = 0
				g.mu.Unlock()
				hold.Release()
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(log, c.want) {
					t.Errorf("order %v, want %v", log, c.want)
				}
				if s := g.Gauges(); s != (Gauges{Limit: 1}) {
					t.Errorf("left over: %+v", s)
				}
			})
		})
	}
}

func TestGatePatience(t *testing.T) {
	for rank, want := range patience {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(1, 4, 10, clock.New())
			var hold, s Slot
			g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &hold)
			waited, err := g.Acquire(t.Context(), mitigation.Rank(rank), netip.Addr{}, &s)
			if !errors.Is(err, errFull) || waited != want {
				t.Errorf("rank %v: waited %v and got %v; want %v and %v", mitigation.Rank(rank), waited, err, want, errFull)
			}
			s.Release() // no slot: nothing happens
			hold.Release()
			if got := g.Gauges(); got != (Gauges{Limit: 1}) {
				t.Errorf("left over: %+v", got)
			}
		})
	}
}

func TestGateClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 4, 10, clock.New())
		var hold, s Slot
		g.Acquire(t.Context(), mitigation.RankKnown, netip.Addr{}, &hold)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Acquire(ctx, mitigation.RankKnown, netip.Addr{}, &s); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		hold.Release()
		if got := g.Gauges(); got != (Gauges{Limit: 1}) {
			t.Errorf("left over: %+v", got)
		}
	})
}

func TestGateReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(8, 4, 10, clock.New())
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so that whoever has to wait is told at once
		count := func(rank mitigation.Rank) (n int, slots []Slot) {
			for {
				var s Slot
				if _, err := g.Acquire(ctx, rank, netip.Addr{}, &s); err != nil {
					return n, slots
				}
				n++
				slots = append(slots, s)
			}
		}
		free := func(slots []Slot) {
			for i := range slots {
				slots[i].Release()
			}
		}
		n, slots := count(mitigation.RankSuspect)
		if n != 8 {
			t.Errorf("with nobody better about, suspects hold %d of 8 slots", n)
		}
		free(slots)
		var s Slot
		g.Acquire(ctx, mitigation.RankProven, netip.Addr{}, &s)
		s.Release()
		n, slots = count(mitigation.RankNewcomer)
		if n != 6 {
			t.Errorf("with a proven visitor about, newcomers hold %d of 8 slots, want 6", n)
		}
		if n, more := count(mitigation.RankKnown); n != 2 {
			t.Errorf("known visitors found %d slots, want 2", n)
		} else {
			free(more)
		}
		free(slots)
		if n, slots = count(mitigation.RankSuspect); n != 2 {
			t.Errorf("with a proven visitor about, suspects hold %d of 8 slots, want 2", n)
		}
		free(slots)
		time.Sleep(reserveFor + time.Second)
		if n, slots = count(mitigation.RankNewcomer); n != 8 {
			t.Errorf("long after the last proven visitor newcomers hold %d of 8 slots", n)
		}
		free(slots)
	})
}

func TestGateStreams(t *testing.T) {
	g := NewGate(16, 4, 10, clock.New())
	var slots []Slot
	open := func(rank mitigation.Rank) bool {
		var s Slot
		if _, err := g.Acquire(t.Context(), rank, netip.Addr{}, &s); err != nil {
			t.Fatal(err)
		}
		ok := s.Stream()
		slots = append(slots, s)
		return ok
	}
	for i, c := range []struct {
		rank mitigation.Rank
		ok   bool
		want Gauges
	}{
		{mitigation.RankNewcomer, true, Gauges{Streams: 1, Limit: 16}},
		{mitigation.RankNewcomer, true, Gauges{Streams: 2, Limit: 16}},
		{mitigation.RankSuspect, true, Gauges{Streams: 3, Limit: 16}},
		{mitigation.RankNewcomer, false, Gauges{Streams: 3, InFlight: 1, Limit: 16}},
		{mitigation.RankKnown, true, Gauges{Streams: 4, InFlight: 1, Limit: 16}},
		{mitigation.RankKnown, true, Gauges{Streams: 4, InFlight: 2, Limit: 16}},
	} {
		if ok := open(c.rank); ok != c.ok || g.Gauges() != c.want {
			t.Errorf("stream %d: %v, %+v; want %v, %+v", i, ok, g.Gauges(), c.ok, c.want)
		}
	}
	for i := range slots {
		slots[i].Release()
		slots[i].Release()
	}
	if got := g.Gauges(); got != (Gauges{Limit: 16}) {
		t.Errorf("left over: %+v", got)
	}
}

// workers is an origin without sockets: so many at a time, the others queue.
type workers chan struct{}

func (o workers) serve(d time.Duration) {
	o <- struct{}{}
	time.Sleep(d)
	<-o
}

type visitorsFelt struct {
	mu         sync.Mutex
	took       []time.Duration
	shed, sent int
}

func (f *visitorsFelt) add(d time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent++
	if err != nil {
		f.shed++
		return
	}
	f.took = append(f.took, d)
}

// felt returns a copy for reading.
func (f *visitorsFelt) felt() *visitorsFelt {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &visitorsFelt{took: slices.Clone(f.took), shed: f.shed, sent: f.sent}
}

// reset forgets everything.
func (f *visitorsFelt) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.took, f.shed, f.sent = nil, 0, 0
}

func (f *visitorsFelt) quantile(q float64) time.Duration {
	slices.Sort(f.took)
	if len(f.took) == 0 {
		return 0
	}
	return f.took[min(len(f.took)-1, int(q*float64(len(f.took))))]
}

// poisson calls f at random moments, rate times a second, for d. Moments that a
// coarse timer slept through are made up for. It returns when the last call has
// begun; waiting for the group waits for their ends.
func poisson(rng *rand.Rand, rate float64, d time.Duration, f func()) *sync.WaitGroup {
	var calls sync.WaitGroup
	begin := time.Now()
	for at := time.Duration(0); at < d; at += time.Duration(rng.ExpFloat64() / rate * float64(time.Second)) {
		if wait := at - time.Since(begin); wait > 0 {
			time.Sleep(wait)
		}
		calls.Go(f)
	}
	return &calls
}

// TestFloodBehindTheGate is the main scenario without sockets or noise: what
// the gate alone does for known visitors from a flood's first moment on.
func TestFloodBehindTheGate(t *testing.T) {
	for _, c := range []struct {
		name    string
		workers int
		cost    time.Duration
		quiet   time.Duration
		bound   time.Duration // of known visitors' p99
		least   float64       // of what the origin could serve
		rank    mitigation.Rank
	}{
		{"after a quiet phase", 5, 10 * time.Millisecond, 10 * time.Second, 25 * time.Millisecond, .8, mitigation.RankNewcomer},
		// What pages usually take is to be learnt in the midst of the flood.
		{"from the start", 5, 10 * time.Millisecond, 0, 30 * time.Millisecond, .8, mitigation.RankNewcomer},
		{"a slow origin", 20, 80 * time.Millisecond, 10 * time.Second, 180 * time.Millisecond, .8, mitigation.RankNewcomer},
		{"once it is slowed", 5, 10 * time.Millisecond, 10 * time.Second, 18 * time.Millisecond, .4, mitigation.RankSuspect},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Of one flood's known visitors it is the 16th slowest who decides, whom chance
			// moves by a millisecond: what they are promised is told by three.
			var all visitorsFelt
			for range 3 {
				synctest.Test(t, func(t *testing.T) {
					g := NewGate(0, 4096, 1024, clock.New())
					origin := make(workers, c.workers)
					var knownSoFar, floodSoFar visitorsFelt
					var served atomic.Int64
					ask := func(rank mitigation.Rank, f *visitorsFelt) func() {
						return func() {
							begin := time.Now()
							var s Slot
							_, err := g.Acquire(context.Background(), rank, netip.Addr{}, &s)
							if err == nil {
								sent := g.clk.Now()
								origin.serve(c.cost)
								s.Observe(0, sent, g.clk.Now().Sub(sent))
								s.Release()
								served.Add(1)
							}
							f.add(time.Since(begin), err)
						}
					}
					rng := rand.New(rand.NewPCG(1, 2))
					poisson(rng, 80, c.quiet, ask(mitigation.RankKnown, &knownSoFar))
					knownSoFar.reset()
					served.Store(0)
					var phase sync.WaitGroup
					phase.Go(func() {
						poisson(rand.New(rand.NewPCG(3, 4)), 80, 20*time.Second, ask(mitigation.RankKnown, &knownSoFar))
					})
					phase.Go(func() {
						poisson(rand.New(rand.NewPCG(5, 6)), 2000, 20*time.Second, ask(c.rank, &floodSoFar))
					})
					phase.Wait()
					n := served.Load()
					time.Sleep(15 * time.Second)
					known, flood := knownSoFar.felt(), floodSoFar.felt()
					t.Logf("known: %d sent, %d shed, p50 %v p99 %v max %v; flood: %d sent, %d shed; origin served %d a second; limit %d",
						known.sent, known.shed, known.quantile(.5), known.quantile(.99), known.quantile(1),
						flood.sent, flood.shed, n/20, g.Gauges().Limit)
					if known.shed > 0 {
						t.Errorf("known visitors: %d shed; want none", known.shed)
					}
					all.took = append(all.took, known.took...)
					if most := float64(c.workers) / c.cost.Seconds(); float64(n)/20 < c.least*most {
						t.Errorf("the origin served %d a second of the %.0f it could", n/20, most)
					}
				})
			}
			// A perfect gate lets nobody queue inside the origin.
			if p99 := all.quantile(.99); p99 > c.bound {
				t.Errorf("known visitors' p99 is %v; want at most %v", p99, c.bound)
			}
		})
	}
}

// TestLimitMixedCosts: pages that differ tenfold in cost are no sign of a
// crowd, and an origin with many workers is not starved by the limit, be there
// visitors whom we know or not.
func TestLimitMixedCosts(t *testing.T) {
	t.Run("strangers", func(t *testing.T) { limitMixedCosts(t, 0) })
	t.Run("known visitors among them", func(t *testing.T) { limitMixedCosts(t, 10) })
}

// limitMixedCosts has one in so many visits be of somebody known; 0: none.
func limitMixedCosts(t *testing.T, known int) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(0, 4096, 1024, clock.New())
		var asked atomic.Int64
		origin := make(workers, 100)
		rng := rand.New(rand.NewPCG(7, 8))
		var served atomic.Int64
		ask := func() {
			cost, path := 10*time.Millisecond, "/"
			switch r := rand.Float64(); {
			case r < .25:
				cost, path = 100*time.Millisecond, "/poster"
			case r < .5:
				cost = time.Millisecond // the same page, not modified
			}
			var s Slot
			rank := mitigation.RankNewcomer
			if n := int(asked.Add(1)); known > 0 && n%known == 0 {
				rank = mitigation.RankKnown
			}
			if _, err := g.Acquire(context.Background(), rank, netip.Addr{}, &s); err != nil {
				return
			}
			sent := g.clk.Now()
			origin.serve(cost)
			s.Observe(classOf(true, path), sent, g.clk.Now().Sub(sent))
			s.Release()
			served.Add(1)
		}
		// The first seconds may go to finding out what the pages cost.
		poisson(rng, 1500, 10*time.Second, ask)
		served.Store(0)
		poisson(rng, 1500, 10*time.Second, ask).Wait()
		t.Logf("served %d a second of 1,500; limit %d", served.Load()/10, g.Gauges().Limit)
		if served.Load() < 1500*10*9/10 {
			t.Errorf("served %d a second of 1,500 that the origin could bear", served.Load()/10)
		}
	})
}

// TestLimitFollowsSlowerSite: a site that became three times slower for good is
// not held at the smallest limit for ever.
func TestLimitFollowsSlowerSite(t *testing.T) {
	t.Run("strangers", func(t *testing.T) { limitFollowsSlowerSite(t, 0) })
	t.Run("known visitors among them", func(t *testing.T) { limitFollowsSlowerSite(t, 10) })
}

// limitFollowsSlowerSite has one in so many visits be of somebody known; 0: none.
func limitFollowsSlowerSite(t *testing.T, known int) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		g := NewGate(0, 4096, 1024, clock.New())
		origin := make(workers, 50)
		var cost atomic.Int64
		cost.Store(int64(10 * time.Millisecond))
		var served atomic.Int64
		ask := func() {
			var s Slot
			rank := mitigation.RankNewcomer
			if n := int(asked.Add(1)); known > 0 && n%known == 0 {
				rank = mitigation.RankKnown
			}
			if _, err := g.Acquire(context.Background(), rank, netip.Addr{}, &s); err != nil {
				return
			}
			sent := g.clk.Now()
			origin.serve(time.Duration(cost.Load()))
			s.Observe(0, sent, g.clk.Now().Sub(sent))
			s.Release()
			served.Add(1)
		}
		rng := rand.New(rand.NewPCG(9, 1))
		poisson(rng, 300, 5*time.Second, ask)
		cost.Store(int64(60 * time.Millisecond))
		poisson(rng, 700, 20*time.Second, ask)
		served.Store(0)
		poisson(rng, 700, 5*time.Second, ask)
		t.Logf("slower site: %d of 700 a second served; limit %d", served.Load()/5, g.Gauges().Limit)
		if served.Load()/5 < 600 {
			t.Errorf("only %d of 700 a second served", served.Load()/5)
		}
		time.Sleep(10 * time.Second)
	})
}

func BenchmarkGate(b *testing.B) {
	g := NewGate(0, 4096, 1024, clock.New())
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		var s Slot
		g.Acquire(ctx, mitigation.RankKnown, netip.Addr{}, &s)
		s.Release()
	}
}

func BenchmarkGateObserve(b *testing.B) {
	g := NewGate(0, 4096, 1024, clock.New())
	var s Slot
	g.Acquire(context.Background(), mitigation.RankKnown, netip.Addr{}, &s)
	b.ReportAllocs()
	for b.Loop() {
		s.Observe(classOf(true, "/news/today"), g.clk.Now(), 10*time.Millisecond)
	}
}
