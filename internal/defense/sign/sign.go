package sign

import (
	"cmp"
	"math"
	"slices"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// Bounds on the work and on the answer.
const (
	mostSamples  = 2000
	mostOrdinary = 4000
	mostAnswers  = 8
	mostTerms    = 8
	leastSamples = 20
)

// What a signature is measured by, besides limits. Clean and welcoming are what
// decide asks for before anybody is refused; here they order the candidates.
const (
	clean     = 0.001 // of ordinary traffic: the house's limit
	welcoming = 0.02  // of first visits
	telling   = 5     // times as common in the flood as in ordinary traffic: less describes nothing
	leastKept = 0.2   // share of coverage that a trait must keep to be added at a price
	nearly    = 20    // times clean: from there on a place may narrow what behaviour described
)

// Mine describes the flood that f found. flood is an even sample of the whole
// window, ordinary requests among them; n may be nil.
func Mine(f attack.Finding, flood []traffic.Sample, n *traffic.Normal) []attack.Signature {
	var ordinary []traffic.Sample
	if n != nil {
		ordinary = thin(n.Ordinary, mostOrdinary)
	}
	flood = thin(flood, mostSamples)
	q := 0.0
	if f.Rate > 0 {
		q = min(f.Normal/f.Rate, 1)
	}
	if len(flood) < leastSamples || q > 0.9 {
		return nil
	}
	sigs := newTable(flood, ordinary, q).mine()
	if len(sigs) > 0 {
		j := newJudge(n, ordinary)
		for i := range sigs {
			j.judge(&sigs[i], flood)
		}
	}
	return sigs
}

// mine takes the best conjunction, then the best for what it leaves, and so on.
func (t *table) mine() []attack.Signature {
	left := allBits(t.samples)
	var out []attack.Signature
	covered := 0.0
	for len(out) < mostAnswers && covered < t.enough {
		best := t.best(left)
		if best == nil {
			break
		}
		s, ok := t.signature(best)
		if !ok {
			break
		}
		covered += best.part
		left.remove(best.flood)
		out = append(out, s)
	}
	return out
}

// conj is a conjunction of traits under construction.
type conj struct {
	traits []*trait
	flood  bitset
	usual  bitset
	first  bitset
	part   float64 // share of the flood among what is left
	hits   float64 // share of ordinary traffic
	firsts float64 // share of first visits
	limits *limits // of the table
}

// tier orders conjunctions by what could be done with them: 0 refuse, 1 refuse
// at the price of first visits, 2 slow.
func (c *conj) tier() int {
	switch {
	case c.hits > clean:
		return 2
	case c.firsts > c.limits.welcoming:
		return 1
	}
	return 0
}

// harm is what the conjunction would hit besides the flood, in units of what
// is allowed.
func (c *conj) harm() float64 { return c.hits/clean + c.firsts/c.limits.welcoming }

// best grows a conjunction from every trait and returns the best one.
func (t *table) best(left bitset) *conj {
	var best *conj
	for _, seed := range t.traits {
		if seed.place || seed.weak || seed.fleeting {
			continue
		}
		c := t.grow(seed, left)
		if c == nil || c.part < t.leastPart || c.part < telling*c.hits || best != nil && better(c, best) >= 0 {
			continue
		}
		if t.doubt == nil || !t.doubt(c.flood) {
			best = c
		}
	}
	return best
}

func better(a, b *conj) int {
	if d := cmp.Compare(a.tier(), b.tier()); d != 0 {
		return d
	}
	if math.Abs(a.part-b.part) > a.limits.near {
		return cmp.Compare(b.part, a.part)
	}
	return cmp.Or(cmp.Compare(a.harm(), b.harm()), cmp.Compare(len(b.traits), len(a.traits)))
}

func (t *table) grow(seed *trait, left bitset) *conj {
	c := t.with(&conj{flood: left, usual: allBits(t.ordinary), first: t.pages}, seed)
	if c.part < t.leastPart {
		return nil
	}
	c = t.narrow(c)
	for c.tier() > 0 && len(c.traits) < mostTerms {
		next := t.spare(c)
		if next == nil {
			break
		}
		c = t.narrow(next)
	}
	return c
}

// narrow adds every trait that costs no coverage, or of packets hardly any in
// all.
func (t *table) narrow(c *conj) *conj {
	whole := c.part
	for _, tr := range t.traits {
		if len(c.traits) >= mostTerms || c.has(tr.field) || tr.common || tr.place || tr.fleeting {
			continue
		}
		least := t.free * c.part
		if t.spill > 0 {
			least = whole - t.spill/t.flood - t.noise(c.hits) - 1e-9
		}
		if n := t.weigh(c, tr); n.part >= least {
			c = t.with(c, tr)
		}
	}
	return c
}

// noise is how much of the flood's share may be chance, where a share hits of
// ordinary traffic is in the same samples: twice the chance error of their
// number (a Poisson count's is its root).
func (t *table) noise(hits float64) float64 {
	return 2 * math.Sqrt(t.usual*hits) / t.flood
}

// spare adds the trait that spares ordinary traffic most for the coverage it
// costs, or returns nil when none helps.
func (t *table) spare(c *conj) *conj {
	var best *trait
	cost := math.Inf(1)
	for _, tr := range t.traits {
		if c.has(tr.field) || tr.place && c.hits > nearly*clean {
			continue
		}
		n := t.weigh(c, tr)
		if n.part < leastKept*c.part || n.part < t.leastPart || n.harm() > 0.9*c.harm() {
			continue
		}
		// Ranked by tier first: what could be refused beats what could not.
		if k := float64(n.tier())*1e6 + (n.harm()+1)/n.part; k < cost {
			best, cost = tr, k
		}
	}
	if best == nil {
		return nil
	}
	return t.with(c, best)
}

// weigh tells what c would be with tr added. Its sets are not made yet.
func (t *table) weigh(c *conj, tr *trait) conj {
	n := conj{limits: &t.limits}
	usual := c.usual.countBoth(tr.usual)
	if t.flood > 0 {
		n.part = min(t.excess(c.flood.countBoth(tr.flood), usual)/t.flood, 1)
	}
	if t.ordinary > 0 {
		n.hits = float64(usual) / float64(t.ordinary)
	}
	if t.pageN > 0 {
		n.firsts = float64(c.first.countBoth(tr.first)) / float64(t.pageN)
	}
	return n
}

func (t *table) with(c *conj, tr *trait) *conj {
	n := t.weigh(c, tr)
	n.traits = append(slices.Clip(c.traits), tr)
	n.flood, n.usual, n.first = c.flood.keep(tr.flood), c.usual.keep(tr.usual), c.first.keep(tr.first)
	return &n
}

func (c *conj) has(f int) bool {
	return slices.ContainsFunc(c.traits, func(t *trait) bool { return t.field == f })
}

// signature writes the conjunction down. Its coverage is that of what earlier
// signatures left.
func (t *table) signature(c *conj) (attack.Signature, bool) {
	slices.SortFunc(c.traits, func(a, b *trait) int { return a.rank - b.rank })
	tests := make([]match.Test, 0, len(c.traits))
	for _, tr := range c.traits {
		test, err := tr.test()
		if err != nil {
			return attack.Signature{}, false
		}
		tests = append(tests, test)
	}
	hits := c.usual.count()
	low, high := interval(hits, t.ordinary)
	return attack.Signature{
		Match: match.All(tests...), Coverage: c.part, Collateral: c.hits,
		Low: low, High: high, Bound: bound(hits, t.ordinary), Newcomers: c.firsts,
		Flood: t.samples, Ordinary: t.ordinary,
	}, true
}

// bound is the upper end of the one-sided 95 % Wilson score interval (Wilson
// 1927) for hits of n: what the true share may be, given how few were tested.
func bound(hits, n int) float64 {
	if n == 0 {
		return 1
	}
	_, high := wilson(hits, n, 1.645)
	return high
}

// thin takes at most n samples, evenly spread.
func thin[T any](s []T, n int) []T {
	if len(s) <= n {
		return s
	}
	out := make([]T, n)
	for i := range out {
		out[i] = s[i*len(s)/n]
	}
	return out
}
