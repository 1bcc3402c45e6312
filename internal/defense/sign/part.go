package sign

import (
	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// Part describes a flood of a part of the requests by nothing but that part, and by
// what visitors earn and its sources have not: for the first moments of a flood of few
// requests, of which there are too few yet to mine. flood is a sample of the part. n may
// be nil. ok is false where the part cannot be written as a match.
func Part(f *attack.Finding, flood []traffic.Sample, n *traffic.Normal) (s attack.Signature, ok bool) {
	if f.Part.Path == "" || len(flood) == 0 {
		return attack.Signature{}, false
	}
	path, err := oneOf(traffic.FieldPath, []string{f.Part.Path})
	if err != nil {
		return attack.Signature{}, false
	}
	asked := []match.Test{path}
	if f.Part.Method != "" {
		method, err := match.OneOf(traffic.FieldMethod, f.Part.Method)
		if err != nil {
			return attack.Signature{}, false
		}
		asked = append(asked, method)
	}
	if f.Part.Query {
		none, err := match.OneOf(traffic.FieldQueryShape, "")
		if err != nil {
			return attack.Signature{}, false
		}
		asked = append(asked, match.Not(none))
	}
	none, _ := match.OneOf(traffic.FieldClearance, traffic.ClearanceNone.String())
	good, _ := match.OneOf(traffic.FieldStanding, traffic.StandingGood.String())
	anybody := match.All(asked...)
	s = attack.Signature{Match: match.All(append(asked, none, match.Not(good))...), Flood: len(flood)}

	met := 0
	for i := range flood {
		if s.Match.Hits(&flood[i].Visit) {
			met++
		}
	}
	s.Coverage = float64(met) / float64(len(flood))
	var ordinary []traffic.Sample
	if n != nil {
		ordinary = thin(n.Ordinary, mostOrdinary)
	}
	var hits int
	if hits, s.Ordinary = hitsOf(&s, ordinary); s.Ordinary > 0 {
		s.Collateral = float64(hits) / float64(s.Ordinary)
	}
	newJudge(n, ordinary).judge(&s, flood)
	// Were they first visits, nothing would have been earned.
	pages, first := 0, 0
	for i := range ordinary {
		if v := &ordinary[i].Visit; v.Kind == traffic.KindPage {
			pages++
			if anybody.Hits(v) {
				first++
			}
		}
	}
	if pages > 0 {
		s.Newcomers = float64(first) / float64(pages)
		// Where hardly anybody is known to read it, all who are new may have come for it.
		if rare(first, pages) && f.Part.Method == "" {
			s.Newcomers = 1
		}
	}
	return s, true
}
