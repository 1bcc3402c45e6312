package baseline

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

const (
	// halfLife: when the sample is full, half of it is from the last hour.
	halfLife = time.Hour
	// rawFor is how long a sample keeps its visitor's address.
	rawFor = time.Hour
	// every is how often a sample is looked at for being renewed; a young one is with every
	// window.
	every = 10 * time.Second
	young = 30 * time.Second
	// Requests that are to replace others wait until they are one in so many of the sample,
	// or for whileFew: the whole of it is copied for them.
	few      = 100
	whileFew = 20 * time.Second
)

// ordinary is a rolling sample of ordinary requests. What it has published is
// never written to again: it appends behind, or changes a copy.
type ordinary struct {
	most    int
	items   []traffic.Sample
	born    []clock.Instant  // when each was learnt; negated once its address is cut
	pending []traffic.Sample // to replace others at the next renewal
	pendAt  []clock.Instant
	coin    *rand.Rand

	renewed clock.Instant
	changed clock.Instant // when items were replaced or cut, last
	dirty   bool
	tally   tally // of the first counted items
	counted int
	shares  [traffic.Fields]map[string]float64
}

func newOrdinary(most int) *ordinary {
	return &ordinary{
		most: most,
		// The coin picks which requests stand for normal; nobody outside sees
		// it fall, and a recording must replay exactly.
		coin: rand.New(rand.NewPCG(1, 2)),
	}
}

// add takes up requests of one window: at most the quota, of a sample that is
// full only as many as keep it even over time. age is how much was learnt.
func (o *ordinary) add(samples []traffic.Sample, quota int, at clock.Instant, span, age time.Duration) {
	samples = o.some(samples, quota)
	if room := o.most - len(o.items); room > 0 {
		n := min(room, len(samples))
		o.items = append(o.items, samples[:n]...)
		for range n {
			o.born = append(o.born, at)
		}
		o.dirty = o.dirty || n > 0
		return
	}
	turnover := 1 - math.Exp2(-span.Seconds()/halfLife.Seconds())
	if age > 0 {
		turnover = max(turnover, span.Seconds()/age.Seconds())
	}
	x := min(turnover, 1) * float64(o.most)
	k := int(x)
	if o.coin.Float64() < x-float64(k) {
		k++
	}
	for _, s := range o.some(samples, min(k, o.most-len(o.pending))) {
		o.pending = append(o.pending, s)
		o.pendAt = append(o.pendAt, at)
	}
}

// some returns a random choice of n samples, in the order they came.
func (o *ordinary) some(from []traffic.Sample, n int) []traffic.Sample {
	if n >= len(from) {
		return from
	}
	out := make([]traffic.Sample, 0, n)
	for _, i := range pick(nil, o.coin, len(from), n) {
		out = append(out, from[i])
	}
	return out
}

// letIn returns a random choice of most samples of those that were let in, in the order they
// came: the window's own where that is all of them.
func (o *ordinary) letIn(from []traffic.Sample, most int) []traffic.Sample {
	n := 0
	for i := range from {
		if !from[i].Refused {
			n++
		}
	}
	if n == len(from) && n <= most {
		return from[:n:n]
	}
	chosen := pick(nil, o.coin, n, most)
	out := make([]traffic.Sample, 0, len(chosen))
	n = 0
	for i := 0; len(out) < len(chosen); i++ {
		if from[i].Refused {
			continue
		}
		if n == chosen[len(out)] {
			out = append(out, from[i])
		}
		n++
	}
	return out
}

// renew puts pending requests in, cuts old addresses and counts shares, when
// it is time to.
func (o *ordinary) renew(now clock.Instant, age time.Duration) {
	if age >= young && now.Sub(o.renewed) < every {
		return
	}
	o.renewed = now
	for ; o.counted < len(o.items); o.counted++ {
		o.tally.add(&o.items[o.counted].Visit)
	}
	isOld := func(b clock.Instant) bool { return b > 0 && now.Sub(b) > rawFor-whileFew }
	if len(o.pending)*few > len(o.items) || now.Sub(o.changed) >= whileFew && (len(o.pending) > 0 || slices.ContainsFunc(o.born, isOld)) {
		o.dirty, o.changed = true, now
		// With room for more, or the next one would have it copied again.
		o.items = append(make([]traffic.Sample, 0, min(o.most, len(o.items)+len(o.items)/4)), o.items...)
		o.born = slices.Clone(o.born)
		for i, s := range o.pending {
			j := o.coin.IntN(len(o.items))
			o.tally.swap(&o.items[j].Visit, &s.Visit)
			o.items[j], o.born[j] = s, o.pendAt[i]
		}
		clear(o.pending)
		o.pending, o.pendAt = o.pending[:0], o.pendAt[:0]
		for i, b := range o.born {
			if isOld(b) {
				forget(&o.items[i].Visit)
				o.born[i] = -b
			}
		}
	}
	if o.dirty {
		o.dirty = false
		o.shares = o.tally.shares()
	}
}

// forget removes from a visit what could lead to a person.
func forget(v *traffic.Visit) {
	v.Client = traffic.PrefixOf(v.Client, traffic.LevelWide).Addr()
	v.Peer = netip.Addr{}
	v.ClearanceID = 0
	v.RawQuery = ""
}
