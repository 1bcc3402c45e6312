package observe

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sketch"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const maxShards = 64

// Observer counts requests. Make one with New.
type Observer struct {
	cfg   Config
	clock *clock.Clock

	lanes  []lane
	shards []shard
	step   atomic.Uint64 // fields of one request in step are counted
	coin   *rand.Rand    // with Config.Seed, in place of chance; else nil
	links  links

	// What follows belongs to the goroutine that calls Cut and Peek.
	spare  *tally // empty, to be swapped with a shard's
	sum    *tally
	ever   [stops]stopped // since Forget
	cut    mark
	peeked mark
}

// shard is a tally behind a lock that Record only tries.
type shard struct {
	mu  sync.Mutex
	now *tally
	_   [48]byte // a cache line each
}

// mark is where the exact counters stood at some moment.
type mark struct {
	at     clock.Instant
	counts counts
}

// New makes an Observer whose first window begins now.
func New(cfg Config, clk *clock.Clock) *Observer {
	n := cfg.Shards
	if n == 0 {
		for n = 2; n < 2*runtime.GOMAXPROCS(0) && n < maxShards; {
			n *= 2
		}
	}
	seed := sketch.NewSeed()
	var coin *rand.Rand
	if cfg.Seed != 0 {
		n, seed, coin = 1, sketch.FixedSeed(cfg.Seed), rand.New(rand.NewPCG(cfg.Seed, 1))
	}
	// Requests spread evenly, but not exactly so: twice its share of the
	// samples lets a shard fill in for its neighbours.
	samples := min(max(2*cfg.Samples/n, 50), cfg.Samples)
	o := &Observer{
		cfg: cfg, clock: clk, coin: coin,
		lanes:  make([]lane, n),
		shards: make([]shard, n),
	}
	o.spare, o.sum = newTally(cfg, seed, samples, o.draw()), newTally(cfg, seed, 0, o.draw())
	o.ever = newStopped(seed)
	for i := range o.shards {
		o.shards[i].now = newTally(cfg, seed, samples, o.draw())
	}
	o.links.open(cfg, seed)
	o.step.Store(1)
	o.cut.at = clk.Now()
	o.peeked.at = o.cut.at
	return o
}

// draw is a random number for who has a generator of its own.
func (o *Observer) draw() uint64 {
	if o.coin != nil {
		return o.coin.Uint64()
	}
	return rand.Uint64()
}

// any is a random number; the runtime's generator is per processor, so that nothing is
// shared.
func (o *Observer) any() int {
	if o.coin != nil {
		return 0
	}
	return int(rand.Uint32())
}

// Record counts a request that has got its answer. It is safe for concurrent
// use, never waits and keeps nothing of v.
func (o *Observer) Record(v *traffic.Visit, d mitigation.Verdict, out traffic.Outcome) {
	f := fateOf(d, &out)
	mask := len(o.shards) - 1
	first := o.any() & mask
	o.lanes[first].add(f, v, &out)
	for i := range o.shards {
		s := &o.shards[(first+i)&mask]
		if s.mu.TryLock() {
			s.now.add(v, d, &out, f, o.step.Load())
			s.mu.Unlock()
			return
		}
	}
	o.lanes[first].lost.Add(1)
}

// TurnedAway counts a connection that was not let begin its handshake as one
// request that was turned away, by all that is known of it: what it would have
// asked for is not. As Record, it never waits.
func (o *Observer) TurnedAway(v *traffic.Visit, d mitigation.Verdict) {
	mask := len(o.shards) - 1
	first := o.any() & mask
	var out traffic.Outcome
	o.lanes[first].add(refused, v, &out)
	for i := range o.shards {
		s := &o.shards[(first+i)&mask]
		if s.mu.TryLock() {
			s.now.turnedAway(v, d, o.step.Load())
			s.mu.Unlock()
			return
		}
	}
	o.lanes[first].lost.Add(1)
}

// Peek returns what the exact counters saw since the last Peek (the first time:
// since New). It takes no lock. For the control loop's goroutine only.
func (o *Observer) Peek() Glance {
	now, all := o.clock.Now(), o.read()
	d := all.since(&o.peeked.counts)
	g := d.glance()
	g.At, g.Span = now, now.Sub(o.peeked.at)
	o.peeked = mark{now, all}
	o.pace(g.Offered, g.Span)
	return g
}

// Offered counts what came since the last Cut. For the control loop's goroutine
// only.
func (o *Observer) Offered() uint64 {
	all := o.read()
	d := all.since(&o.cut.counts)
	g := d.glance()
	return g.Offered
}

// pace decides how many requests are looked at field by field.
func (o *Observer) pace(offered uint64, span time.Duration) {
	if span < 10*time.Millisecond {
		return // too short to tell a rate
	}
	rate := float64(offered) / span.Seconds()
	o.step.Store(1 + uint64(rate)/uint64(max(o.cfg.SampleAbove, 1)))
}

// Cut ends the current window and returns it. Of origin it takes over what
// only the proxy knows (InFlight, Waiting, Behind, Limit, Healthy); the rest of
// Window.Origin was counted here. For the control loop's goroutine only.
func (o *Observer) Cut(origin traffic.Origin) *traffic.Window {
	gather := o.gather
	if o.coin != nil {
		gather = o.gatherInPlace
	}
	return o.end(origin, gather)
}

// end is Cut. gather fills the window's samples, and returns the tally of all else.
func (o *Observer) end(origin traffic.Origin, gather func(kept *sketch.Reservoir[traffic.Sample]) *tally) *traffic.Window {
	now, all := o.clock.Now(), o.read()
	d := all.since(&o.cut.counts)
	g := d.glance()
	span := now.Sub(o.cut.at)
	o.cut = mark{now, all}
	o.pace(g.Offered, span)

	room := int(g.Offered)
	if o.coin == nil {
		room += 64 // for what is recorded meanwhile
	}
	kept := sketch.NewReservoir[traffic.Sample](min(o.cfg.Samples, room), o.draw())
	seen := gather(kept)

	for i := range o.ever {
		o.ever[i].merge(&seen.stopped[i])
	}
	w := seen.window(&g, o.cfg.Top)
	seen.reset()
	w.At, w.Wall, w.Span = now, o.clock.Wall(now), span
	w.Lost = d.lost
	w.Samples = kept.Items()
	w.Origin.InFlight, w.Origin.Waiting, w.Origin.Behind = origin.InFlight, origin.Waiting, origin.Behind
	w.Origin.Limit, w.Origin.Healthy = origin.Limit, origin.Healthy
	return w
}

// gather empties the shards. Where there is one, its tally is the whole; else it is the sum.
func (o *Observer) gather(kept *sketch.Reservoir[traffic.Sample]) *tally {
	for i := range o.shards {
		s := &o.shards[i]
		s.mu.Lock()
		s.now, o.spare = o.spare, s.now
		s.mu.Unlock()
		sketch.MergeAs(kept, o.spare.kept, release)
		if len(o.shards) == 1 {
			return o.spare
		}
		o.sum.merge(o.spare)
		o.spare.reset()
	}
	return o.sum
}

// gatherInPlace is gather for one shard into which nobody records meanwhile: its tally goes
// on in the memory that the processor's cache has, and only what chance decides takes turns
// with the spare's.
func (o *Observer) gatherInPlace(kept *sketch.Reservoir[traffic.Sample]) *tally {
	t := o.shards[0].now
	t.kept, o.spare.kept = o.spare.kept, t.kept
	t.coin, o.spare.coin = o.spare.coin, t.coin
	sketch.MergeAs(kept, o.spare.kept, release)
	o.spare.kept.Reset()
	return t
}

func release(to *traffic.Sample, from *slot) { from.release(to) }
