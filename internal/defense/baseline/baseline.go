package baseline

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

const (
	// leastDelay is the shortest time in line: longer than it takes to see
	// that an attack runs.
	leastDelay = 3 * time.Second
	// mostWaiting bounds the line, should windows be shorter than a second.
	mostWaiting = 64
	// known is how much must be learnt before it replaces Config's guesses.
	known = 5 * time.Second
	// comfort: the origin bears a rate while its time to the first byte is
	// within so many times its median.
	comfort = 2
)

// Baseline learns what is normal. Make one with New.
type Baseline struct {
	cfg    Config
	line   []digest // windows that wait to be learnt, oldest first
	frozen bool
	queue  int       // handshakes that waited for us when the last window ended
	saved  time.Time // when the state was written that this one began from; zero: it began empty
	loaded bool      // day and week were taken over, and may be too old
	state
	ordinary *ordinary
	day      span
	week     span
	packets  pool // ordinary packets
	openings pool // those that ask for a connection
	coin     *rand.Rand
	normal   atomic.Pointer[traffic.Normal]
}

// state is what is learnt and outlives a restart.
type state struct {
	learned  time.Duration
	requests rolling // let in, a second
	clients  rolling // distinct prefixes, a second
	busiest  rolling // requests a second of a window's busiest client
	p50, p95 rolling // of the origin's time to first byte, microseconds
	calendar calendar
	packet   packetState
	link     linkState

	// Sums with a half-life, for the shares of assets and clearances.
	seen, assets, cleared float64

	// shares as they were saved; they hold until there are samples to count.
	shares [traffic.Fields]map[string]float64
}

// digest is what is learnt from a window.
type digest struct {
	at      clock.Instant
	wall    time.Time
	span    time.Duration
	let     float64 // let in, a second, and not sent away by a full line
	calm    bool    // hardly anything was refused: the rest tells of ordinary traffic
	clients float64 // a second
	busiest float64
	offered float64
	assets  float64
	cleared float64
	asked   uint64
	answers float64 // of the origin, a second
	p50     time.Duration
	p95     time.Duration
	samples []traffic.Sample // let in
	packet  packetDigest
	link    linkDigest
}

// New makes a baseline that knows nothing but cfg.
func New(cfg Config) *Baseline {
	b := &Baseline{
		cfg: cfg, ordinary: newOrdinary(cfg.Samples), day: newDay(), week: newWeek(),
		packets: pool{most: mostPackets}, openings: pool{most: mostOpenings},
		// It picks which packets stand for normal, as ordinary's coin does.
		coin: rand.New(rand.NewPCG(3, 4)),
	}
	b.publish()
	return b
}

func newDay() span  { return newSpan(daySlot, daySlots, 5) }
func newWeek() span { return newSpan(weekSlot, weekSlots, 6) }

func (b *Baseline) spans() []*span { return []*span{&b.day, &b.week} }

// Normal returns what is normal now. It is never nil and never changes.
func (b *Baseline) Normal() *traffic.Normal { return b.normal.Load() }

// Learn takes the next window, and whether an attack runs. It keeps some of
// the window's samples and nothing else of it.
func (b *Baseline) Learn(w *traffic.Window, attack bool) {
	if !b.saved.IsZero() {
		b.age(w.Wall)
	}
	if b.loaded {
		b.day.age(w.Wall)
		b.week.age(w.Wall)
		b.loaded = false
	}
	b.calendar.at = max(w.Wall.Unix()/60, 0)
	if attack {
		clear(b.line)
		b.line = b.line[:0]
		b.frozen = true
	} else {
		b.frozen = false
		if d := b.digest(w); w.Span > 0 && (w.Offered > 0 || d.packet.some || d.link.some) {
			b.wait(d)
		}
		ripe := 0
		for ripe < len(b.line) && w.At.Sub(b.line[ripe].at) >= b.delay() {
			b.absorb(&b.line[ripe])
			ripe++
		}
		b.drop(ripe)
	}
	b.ordinary.renew(w.At, b.learned)
	b.day.renew(w.At, b.learned)
	b.week.renew(w.At, b.learned)
	b.packets.renew(b.coin, w.At)
	b.openings.renew(b.coin, w.At)
	b.publish()
}

// age forgets the short memory of a state that is older than a day, or from
// the future.
func (b *Baseline) age(now time.Time) {
	if d := now.Sub(b.saved); d < -time.Minute || d > 24*time.Hour {
		b.requests, b.clients, b.busiest, b.p50, b.p95 = rolling{}, rolling{}, rolling{}, rolling{}, rolling{}
		b.packet.forget()
		b.link.forget()
	}
	b.saved = time.Time{}
}

func (b *Baseline) delay() time.Duration {
	return min(max(b.learned/4, leastDelay), b.cfg.Delay)
}

func (b *Baseline) wait(d digest) {
	if len(b.line) == mostWaiting {
		b.drop(1)
	}
	b.line = append(b.line, d)
}

func (b *Baseline) drop(n int) {
	if n == 0 {
		return
	}
	rest := copy(b.line, b.line[n:])
	clear(b.line[rest:])
	b.line = b.line[:rest]
}

func (b *Baseline) digest(w *traffic.Window) digest {
	d := digest{
		at: w.At, wall: w.Wall, span: w.Span,
		let:     w.Rate(w.Admitted - min(w.Origin.Shed, w.Admitted)),
		calm:    (w.Refused-w.Ruled)*10 <= w.Offered-w.Ruled, // what a rule refuses is no flood
		clients: w.Rate(w.Clients),
		offered: float64(w.Offered),
		assets:  float64(w.ByKind[traffic.KindAsset]),
		cleared: float64(w.ByClearance[traffic.ClearanceProven] + w.ByClearance[traffic.ClearanceKnown]),
		asked:   w.Origin.Asked,
		answers: w.Rate(w.Origin.Asked - min(w.Origin.Failed, w.Origin.Asked)),
		p50:     w.Origin.P50, p95: w.Origin.P95,
	}
	for _, h := range w.Top[traffic.FieldClient] {
		d.busiest = max(d.busiest, w.Rate(h.Count-min(h.Error, h.Count)))
	}
	// A tenth of the whole is the most that one window may bring.
	d.samples = b.ordinary.letIn(w.Samples, b.cfg.Samples/10)
	d.packet = digestPackets(w, b.coin)
	d.link = digestLinks(w, b.queue)
	b.queue = w.Links.Handshakes.Waiting
	return d
}

// absorb learns from a window that has waited long enough.
func (b *Baseline) absorb(d *digest) {
	if d.packet.some {
		b.packet.absorb(&d.packet, d.span)
		b.packets.add(b.coin, d.packet.ordinary, d.span, b.packet.learned)
		b.openings.add(b.coin, d.packet.openings, d.span, b.packet.learned)
	}
	if d.link.some {
		b.link.absorb(&d.link, d.span)
	}
	if d.offered > 0 {
		b.absorbRequests(d)
	}
}

func (b *Baseline) absorbRequests(d *digest) {
	quota := b.cfg.Samples
	if b.requests.n >= 3 {
		// A second that is far busier than others must not stand for them all.
		quota = max(50, int(3*b.requests.rate(0.5)*d.span.Seconds()))
	}
	b.learned += d.span
	b.requests.addRate(d.let)
	more := detail{}
	var capacity float64
	if d.asked > 0 && d.p50 > 0 {
		b.p50.add(uint64(d.p50 / time.Microsecond))
		b.p95.add(uint64(d.p95 / time.Microsecond))
		if d.p50 <= comfort*b.originP50() {
			capacity = d.answers
		}
		more.origin(d)
	}
	if d.calm {
		more.visits(d)
		b.clients.addRate(d.clients)
		b.busiest.addRate(d.busiest)
		fade := math.Exp2(-d.span.Seconds() / halfLife.Seconds())
		b.seen = b.seen*fade + d.offered
		b.assets = b.assets*fade + d.assets
		b.cleared = b.cleared*fade + d.cleared
	}
	b.calendar.add(d.wall, d.span, d.let, capacity)
	b.calendar.addDetail(&more)
	b.ordinary.add(d.samples, quota, d.at, d.span, b.learned)
	for _, s := range b.spans() {
		s.add(d.samples, quota, d.wall, b.cfg.FromLog)
	}
}

func (b *Baseline) originP50() time.Duration {
	return time.Duration(b.p50.quantile(0.5)) * time.Microsecond
}

// publish replaces Normal.
func (b *Baseline) publish() {
	usual := b.calendar.usual()
	n := &traffic.Normal{
		Learned: b.learned, Frozen: b.frozen,
		Clients:   b.clients.rate(0.95),
		PerClient: b.busiest.rate(0.5),
		OriginP50: b.originP50(),
		OriginP95: time.Duration(b.p95.quantile(0.5)) * time.Microsecond,
		Capacity:  max(b.cfg.OriginCapacity, b.calendar.capacity),
		Ordinary:  b.ordinary.items[:len(b.ordinary.items):len(b.ordinary.items)],
		Share:     b.ordinary.shares,

		OrdinaryDay: b.day.items, OrdinaryWeek: b.week.items,
	}
	floor := b.cfg.Floor
	if b.learned < known {
		floor = max(floor, b.cfg.FloorShare*b.cfg.OriginCapacity)
	}
	n.Requests = max(floor, b.requests.rate(0.5), usual.median)
	n.Peak = max(n.Requests, b.requests.rate(0.95), usual.peak, b.calendar.peak)
	if b.seen > 0 {
		n.AssetShare, n.ClearanceShare = b.assets/b.seen, b.cleared/b.seen
	}
	if len(n.Ordinary) < leastCounted && b.shares[traffic.FieldPath] != nil {
		n.Share = b.shares
	}
	n.Packets, n.Links = b.packet.normal(), b.link.normal()
	n.Packets.Ordinary, n.Packets.Openings = b.packets.published(), b.openings.published()
	b.normal.Store(n)
}
