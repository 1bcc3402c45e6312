package defense

import (
	"maps"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

const (
	mostAttacks    = 16
	mostSignatures = 32 // told of an attack
)

// Attack is what is known of one attack. Requests of the attack are those above
// normal; what became of them is estimated from the samples.
type Attack struct {
	ID        string        `json:"id"`     // when it was noticed: 20260501-120000
	Vector    attack.Vector `json:"vector"` // the widest that it was
	Now       attack.Vector `json:"now"`    // as it was seen last
	Since     time.Time     `json:"since"`
	Noticed   time.Time     `json:"noticed"`
	Mitigated *time.Time    `json:"mitigated"` // nil until something slows or refuses it
	Ended     *time.Time    `json:"ended"`     // nil while it runs

	Peak    float64 `json:"peak"`    // requests a second offered, at most
	Normal  float64 `json:"normal"`  // requests a second usual here when it began
	Offered uint64  `json:"offered"` // requests of the attack
	Refused uint64  `json:"refused"` // requests refused while it ran
	Reached uint64  `json:"reached"` // requests of the attack that reached the origin

	Countries  map[string]uint64       `json:"countries"` // refused, by where the address is registered
	Finding    attack.Finding          `json:"finding"`
	Signatures []attack.Signature      `json:"signatures"`
	Felt       map[string]traffic.Felt `json:"felt"` // by clearance; P50 and P99 are means over the seconds, by requests served
}

// ledger keeps the books of attacks.
type ledger struct {
	current *Attack
	recent  []Attack // ended, newest first
	told    float64  // rate that was recorded last
	matches []*match.Match
}

// follow enters a window of an attack.
func (l *ledger) follow(now, since time.Time, w *traffic.Window, n *traffic.Normal, f *attack.Finding, sigs []attack.Signature) {
	a := l.current
	if a == nil {
		a = &Attack{
			ID: now.UTC().Format("20060102-150405"), Vector: f.Vector, Since: since, Noticed: now, Normal: f.Normal,
			Countries: make(map[string]uint64), Felt: make(map[string]traffic.Felt),
		}
		l.current, l.told, l.matches = a, f.Rate, nil
	}
	if a.Now = f.Vector; a.Vector != f.Vector && f.Part.Whole() {
		a.Vector, a.Normal, a.Peak = f.Vector, f.Normal, 0 // it was a part at first, against what is usual of that
	}
	if f.Rate >= a.Peak {
		a.Peak, a.Finding = f.Rate, *f
	}
	for _, s := range sigs {
		text := s.Match.String()
		known := slices.ContainsFunc(a.Signatures, func(have attack.Signature) bool { return have.Match.String() == text })
		if !known && len(a.Signatures) < mostSignatures {
			a.Signatures = append(a.Signatures, s)
			l.matches = append(l.matches, s.Match)
		}
	}
	if f.Part.Whole() {
		a.Offered += uint64(max(float64(w.Offered)-n.Requests*w.Span.Seconds(), 0))
	} else {
		a.Offered += uint64(max(f.Rate-f.Normal, 0) * w.Span.Seconds())
	}
	a.Refused += w.Refused
	a.Reached += l.reached(w)
	for c, count := range w.RefusedIn {
		a.Countries[c] += count
	}
	for c := range traffic.Clearances {
		felt := &w.Felt[c]
		if felt.Offered == 0 {
			continue
		}
		a.Felt[c.String()] = together(a.Felt[c.String()], *felt)
	}
}

// reached estimates how many requests of the attack the origin was asked.
func (l *ledger) reached(w *traffic.Window) uint64 {
	if len(w.Samples) == 0 {
		return 0
	}
	n := 0
	for i := range w.Samples {
		s := &w.Samples[i]
		if s.Outcome.Reached && s.Visit.Clearance == traffic.ClearanceNone && anyHits(l.matches, &s.Visit) {
			n++
		}
	}
	return uint64(float64(n) * float64(w.Offered) / float64(len(w.Samples)))
}

// together adds up what was felt; the times are means, weighted by the
// requests served.
func together(a, b traffic.Felt) traffic.Felt {
	sum := traffic.Felt{Offered: a.Offered + b.Offered, Served: a.Served + b.Served}
	if sum.Served > 0 {
		mean := func(x, y time.Duration) time.Duration {
			return time.Duration((float64(x)*float64(a.Served) + float64(y)*float64(b.Served)) / float64(sum.Served))
		}
		sum.P50, sum.P99 = mean(a.P50, b.P50), mean(a.P99, b.P99)
	}
	return sum
}

// mitigated enters since when something stands against the attack.
func (l *ledger) mitigated(at time.Time, ok bool) {
	if a := l.current; a != nil && ok && a.Mitigated == nil {
		a.Mitigated = &at
		if at.Before(a.Noticed) {
			a.Noticed = at // the fast path saw it first
		}
		if at.Before(a.Since) {
			a.Since = at // and began before the window did
		}
	}
}

func (l *ledger) end(now time.Time) {
	if l.current == nil {
		return
	}
	l.current.Ended = &now
	l.recent = slices.Insert(l.recent, 0, *l.current)
	l.recent = l.recent[:min(len(l.recent), mostAttacks)]
	l.current, l.matches = nil, nil
}

// peakTold is the rate that was recorded last; nothing is told twice.
func (l *ledger) peakTold() float64 {
	if l.current == nil {
		return 1e18
	}
	return l.told
}

// copy returns the running attack in a form that later windows do not change.
func (l *ledger) copy() *Attack {
	if l.current == nil {
		return nil
	}
	c := *l.current
	c.Countries, c.Felt = maps.Clone(c.Countries), maps.Clone(c.Felt)
	c.Signatures = slices.Clone(c.Signatures)
	return &c
}
