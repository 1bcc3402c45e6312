package proxy

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// errFull says that the line is full, or that the wait was too long.
var errFull = errors.New("the line for the origin is full")

// patience is how long each rank waits in line.
var patience = [mitigation.Ranks]time.Duration{10 * time.Second, 5 * time.Second, 3 * time.Second, time.Second}

// reserveFor is how long after the last known or proven visitor slots are kept
// free for the next one.
const reserveFor = 10 * time.Second

// Gate bounds what is in flight to the origin, in order of rank. Safe for
// concurrent use. Its memory is bounded by the length of the line.
type Gate struct {
	clk        *clock.Clock
	maxWaiting int
	maxStreams int

	mu       sync.Mutex
	limit    limiter
	yield    yield
	inFlight int
	low      int // newcomers and suspects among inFlight
	left     int // among inFlight, those whose clients have left
	streams  int
	waiting  int
	lines    [mitigation.Ranks]line
	seenGood clock.Instant // when a known or proven visitor came last
	free     *waiter       // unused waiters, chained by next
	came     uint64        // waiters so far
	fair     fair
	stuck    stuck
}

// NewGate makes a gate. maxInFlight 0 lets it adapt to the origin.
func NewGate(maxInFlight, maxStreams, maxWaiting int, clk *clock.Clock) *Gate {
	g := &Gate{clk: clk, maxWaiting: maxWaiting, maxStreams: maxStreams}
	g.fair.init()
	for r := range g.lines {
		g.lines[r].init()
	}
	g.limit.init(maxInFlight, clk.Now())
	g.yield.forget(clk.Now())
	return g
}

// Acquire waits for a place at the origin, for at most the rank's patience. It
// returns how long it waited, and errFull or the context's error when s holds
// no slot afterwards. It allocates only when the line grows longer than ever
// before.
func (g *Gate) Acquire(ctx context.Context, rank mitigation.Rank, client netip.Addr, s *Slot) (time.Duration, error) {
	return g.acquire(ctx, rank, client, s, nil)
}

// acquire has who waits asked again whenever Reconsider is called; nil: nobody is.
func (g *Gate) acquire(ctx context.Context, rank mitigation.Rank, client netip.Addr, s *Slot, who reconsiderer) (time.Duration, error) {
	if rank >= mitigation.Ranks {
		rank = mitigation.RankSuspect
	}
	now := g.clk.Now()
	g.mu.Lock()
	if rank <= mitigation.RankProven {
		if !g.reserves(now) {
			g.yield.forget(now)
		}
		g.seenGood = now
	}
	if g.yield.expire(now) {
		g.dispatch(now)
	}
	bucket, flow := g.fair.who(client, rank)
	b := g.fair.charge(flow, now)
	if g.room(rank, now) && !g.ahead(rank) {
		g.take(rank, b)
		*s = g.slot(rank, b, now)
		g.mu.Unlock()
		return 0, nil
	}
	g.stop(g.held(rank, now), now)
	w := g.enqueue(rank, bucket, b, now)
	switch {
	case w == nil:
		g.fair.refund(b, now)
	case rank <= mitigation.RankProven:
		g.relieve()
	}
	g.mu.Unlock()
	if w == nil {
		return 0, errFull
	}

	err := g.wait(ctx, w, who)
	w.timer.Stop()

	g.mu.Lock()
	defer g.mu.Unlock()
	after := g.clk.Now()
	if w.fate != goes {
		g.fair.refund(b, after)
	}
	switch w.fate {
	case goes:
		// A slot that came together with the end of our patience is used; one
		// that came together with the client's leaving, or being turned away, is
		// passed on.
		switch {
		case err != errTurned && ctx.Err() == nil:
			err = nil
			*s = g.slot(w.rank, b, after)
		default:
			if err != errTurned {
				err = ctx.Err()
			}
			g.fair.refund(b, after)
			g.give(w.rank)
			g.dispatch(after)
		}
	case leaves:
		if err != errTurned {
			err = errFull
		}
	case waits:
		g.lines[w.rank].remove(w)
		g.waiting--
	}
	select { // a message that crossed with the timer
	case <-w.ready:
	default:
	}
	w.next, g.free = g.free, w
	return after.Sub(now), err
}

// enqueue puts a waiter in line, or returns nil when there is no place for
// this rank.
func (g *Gate) enqueue(rank mitigation.Rank, who uint16, b bill, now clock.Instant) *waiter {
	if g.waiting >= g.maxWaiting && !g.evict(rank, who, b, now) {
		return nil
	}
	w := g.free
	if w != nil {
		g.free = w.next
		w.timer.Reset(patience[rank])
	} else {
		w = &waiter{ready: make(chan struct{}, 1), timer: time.NewTimer(patience[rank])}
	}
	g.came++
	w.rank, w.who, w.bill, w.number, w.fate = rank, who, b, g.came, waits
	g.lines[rank].push(w, now)
	g.waiting++
	return w
}

// evict sends the worst ranked waiter away if it is worse than rank. Of the same rank
// one goes whose client has more in line than the one that comes; who has the most
// makes room for nobody but itself.
func (g *Gate) evict(rank mitigation.Rank, who uint16, b bill, now clock.Instant) bool {
	worst := mitigation.Rank(mitigation.Ranks - 1)
	for worst > rank && g.lines[worst].n == 0 {
		worst--
	}
	l := &g.lines[worst]
	if worst < rank || l.n == 0 {
		return false
	}
	if l.overloaded(worst, now) {
		// Who had most of the origin makes room, be it who comes.
		first, last := l.order[fromFront].top(), l.order[fromBack].top()
		switch {
		case worst == rank && b.tag > last.tag:
			return false
		case worst == rank && last.tag > b.tag, worst > rank && last.tag > first.tag:
			g.call(last.w, leaves)
			return true
		}
	}
	switch has := int(l.held[who]); {
	case l.most > has+1:
		g.call(l.lastOf(func(b uint16) bool { return int(l.held[b]) == l.most }, worst, now), leaves)
		return true
	case worst == rank && !l.overloaded(rank, now):
		return false
	case worst == rank && has > 0 && has == l.most:
		g.call(l.lastOf(func(b uint16) bool { return b == who }, worst, now), leaves)
		return true
	}
	g.call(l.last(worst, now), leaves)
	return true
}

// call takes w out of its line and tells it its fate.
func (g *Gate) call(w *waiter, fate int) {
	g.lines[w.rank].remove(w)
	g.waiting--
	w.fate = fate
	w.wake()
}

// room says whether a slot is free for this rank. Whom we know does not wait for what
// the origin is only guessed to do still for others, who have left.
func (g *Gate) room(rank mitigation.Rank, now clock.Instant) bool {
	if rank <= mitigation.RankProven {
		return g.inFlight-g.left < g.limit.now
	}
	if g.inFlight >= g.limit.now {
		return false
	}
	return g.low < g.places(rank) || !g.reserves(now)
}

// ahead says whether anybody of this rank or a better one waits.
func (g *Gate) ahead(rank mitigation.Rank) bool {
	if g.waiting == 0 {
		return false
	}
	for r := range rank + 1 {
		if g.lines[r].n > 0 {
			return true
		}
	}
	return false
}

func (g *Gate) take(rank mitigation.Rank, b bill) {
	g.fair.goes(b)
	g.inFlight++
	if rank > mitigation.RankProven {
		g.low++
	}
	g.limit.peak = max(g.limit.peak, g.inFlight)
	g.yield.quiet.peak = max(g.yield.quiet.peak, g.low)
	if g.inFlight >= g.limit.now {
		g.limit.use()
	}
}

func (g *Gate) give(rank mitigation.Rank) {
	g.inFlight--
	if rank > mitigation.RankProven {
		g.low--
	}
}

// dispatch hands free slots to those in line, best rank first.
func (g *Gate) dispatch(now clock.Instant) {
	for r := mitigation.Rank(0); r < mitigation.Ranks && g.waiting > 0; r++ {
		for g.lines[r].n > 0 && g.room(r, now) {
			w := g.lines[r].first(r, now)
			g.take(r, w.bill)
			g.call(w, goes)
		}
	}
}

// Observe tells the gate how long the origin took for its first answer byte,
// for a request of a class (see classOf) that was sent at sent.
func (s *Slot) Observe(class uint8, sent clock.Instant, took time.Duration) {
	g := s.g
	now := g.clk.Now()
	g.mu.Lock()
	before, gave := g.limit.now, g.yield.now
	held := g.held(g.next(), now)
	g.limit.waits = g.waiting > 0
	usual := g.limit.observe(now, class, sent, took, s.with)
	if g.limit.now < before { // fewer go there now, and those who come back first were quick
		g.yield.restart(now)
	}
	g.yield.observe(now, sent, float64(took), usual, g.limit.now)
	if g.waiting > 0 || g.inFlight >= g.limit.now {
		g.stop(held, now)
	}
	if (g.limit.now > before || g.yield.now > gave) && g.waiting > 0 {
		g.dispatch(now)
	}
	g.mu.Unlock()
}

// Gauges are what the Gate holds at a moment.
type Gauges struct {
	InFlight, Waiting, Streams, Limit int

	Behind int // of Waiting, suspects
}

// Gauges reads the gate.
func (g *Gate) Gauges() Gauges {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Gauges{
		InFlight: g.inFlight, Waiting: g.waiting, Streams: g.streams, Limit: g.limit.now,
		Behind: g.lines[mitigation.RankSuspect].n,
	}
}
