package sign

import (
	"math"
	"net/netip"
	"strings"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

const (
	// leastTested is how many requests of a day, or a week, must be there for what they
	// show to count: of fewer, one alone is several times what is allowed.
	leastTested = 300

	examples     = 3
	examplePath  = 60 // bytes
	exampleAgent = 80
)

// judge measures finished signatures on what they were not mined from: the ordinary
// requests of the last day and week, among which are those of other hours, and the
// visitors who are known.
type judge struct {
	n        *traffic.Normal
	hour     []traffic.Sample // that was mined from
	visitors []int            // of each, the number of its visitor if that one is known; -1
	known    int              // visitors
}

func newJudge(n *traffic.Normal, hour []traffic.Sample) *judge {
	j := &judge{n: n, hour: hour, visitors: make([]int, len(hour))}
	seen := make(map[netip.Prefix]int, len(hour)/4)
	for i := range hour {
		v := &hour[i].Visit
		j.visitors[i] = -1
		if !valued(v) {
			continue
		}
		p := traffic.PrefixOf(v.Client, traffic.LevelClient)
		at, ok := seen[p]
		if !ok {
			at = len(seen)
			seen[p] = at
		}
		j.visitors[i] = at
	}
	j.known = len(seen)
	return j
}

// valued says that a visit is surely a visitor's: it brought a clearance, or its client
// has behaved well for a while.
func valued(v *traffic.Visit) bool {
	if v.Standing == traffic.StandingGreedy {
		return false
	}
	return v.Clearance != traffic.ClearanceNone || v.Standing == traffic.StandingGood
}

// judge fills in what s would do on other days, and to whom.
func (j *judge) judge(s *attack.Signature, flood []traffic.Sample) {
	s.CollateralHour = s.Collateral
	hits, tested := int(math.Round(s.Collateral*float64(s.Ordinary))), s.Ordinary
	if j.n != nil {
		for _, span := range []struct {
			of    []traffic.Sample
			share *float64
			n     *int
		}{{j.n.OrdinaryDay, &s.CollateralDay, &s.OrdinaryDay}, {j.n.OrdinaryWeek, &s.CollateralWeek, &s.OrdinaryWeek}} {
			h, n := hitsOf(s, thin(span.of, mostOrdinary))
			if *span.n = n; n == 0 {
				continue
			}
			*span.share = float64(h) / float64(n)
			if n >= leastTested && *span.share > s.Collateral {
				s.Collateral, hits, tested = *span.share, h, n
			}
		}
	}
	s.Bound = bound(hits, tested)
	s.Low, s.High = interval(hits, tested)
	j.touched(s)
	s.Examples = exampleLines(s, flood)
}

// hitsOf counts what s hits, of how many that can tell. What was read from a log cannot
// where s asks what visitors have earned: there nobody has earned anything.
func hitsOf(s *attack.Signature, ordinary []traffic.Sample) (hits, tested int) {
	earned := false
	for _, t := range s.Match.Tests() {
		earned = earned || t.Field() == traffic.FieldClearance || t.Field() == traffic.FieldStanding
	}
	for i := range ordinary {
		o := &ordinary[i]
		if earned && o.Blind {
			continue
		}
		tested++
		if s.Match.Hits(&o.Visit) {
			hits++
		}
	}
	return hits, tested
}

// touched counts the known visitors whom s would hit.
func (j *judge) touched(s *attack.Signature) {
	met := newBits(j.known)
	for i, who := range j.visitors {
		if who >= 0 && !met.has(who) && s.Match.Hits(&j.hour[i].Visit) {
			met.set(who)
		}
	}
	s.Known, s.KnownOf = met.count(), j.known
}

// interval is the two-sided 95 % Wilson score interval (Wilson 1927) of a share, where
// hits of n were seen.
func interval(hits, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	return wilson(hits, n, 1.96)
}

// wilson is the score interval of so many standard deviations.
func wilson(hits, n int, z float64) (low, high float64) {
	p, m := float64(hits)/float64(n), float64(n)
	mid := p + z*z/(2*m)
	dev := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	low = (mid - dev) / (1 + z*z/m)
	if hits == 0 {
		low = 0 // but for rounding
	}
	return max(low, 0), min((mid+dev)/(1+z*z/m), 1)
}

// exampleLines shows a few different requests of the flood, none of them a visitor's.
func exampleLines(s *attack.Signature, flood []traffic.Sample) []string {
	var out []string
	for i := range flood {
		v := &flood[i].Visit
		if len(out) == examples {
			break
		}
		if valued(v) || !s.Match.Hits(v) {
			continue
		}
		line := plain(v.Method, examplePath) + " " + plain(v.Path, examplePath)
		if v.UserAgent != "" {
			line += " (" + plain(v.UserAgent, exampleAgent) + ")"
		}
		known := false
		for _, l := range out {
			known = known || l == line
		}
		if !known {
			out = append(out, line)
		}
	}
	return out
}

// plain makes a stranger's string text that nothing obeys, of at most so many bytes.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))
	if len(s) > most {
		s = whole(s[:most-len("…")]) + "…"
	}
	return s
}
