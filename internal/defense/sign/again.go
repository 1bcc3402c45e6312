package sign

import (
	"strings"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// Again returns what measures signatures of earlier floods anew, on what is ordinary by
// n, as Mine does those that it makes: on the samples of the hour, the day and the week,
// and on first visits. Coverage and Examples stay those of the earlier flood. n may be
// nil. What is returned is not safe for concurrent use.
func Again(n *traffic.Normal) func(attack.Signature) attack.Signature {
	var (
		ordinary []traffic.Sample
		j        *judge // made when the first is asked for
	)
	return func(s attack.Signature) attack.Signature {
		if j == nil {
			if n != nil {
				ordinary = thin(n.Ordinary, mostOrdinary)
			}
			j = newJudge(n, ordinary)
		}
		out := attack.Signature{Match: s.Match, Coverage: s.Coverage, Flood: s.Flood, Newcomers: newcomers(s.Match, ordinary)}
		var hits int
		if hits, out.Ordinary = hitsOf(&out, ordinary); out.Ordinary > 0 {
			out.Collateral = float64(hits) / float64(out.Ordinary)
		}
		j.judge(&out, nil)
		out.Examples = s.Examples
		return out
	}
}

// newcomers is the share of ordinary page requests that m would hit, were each a first
// visit. What asFirstVisit knows of traits, this knows of conditions.
func newcomers(m *match.Match, ordinary []traffic.Sample) float64 {
	var asked []match.Test
	var programs [][]string
	for _, t := range m.Tests() {
		switch t.Field() {
		case traffic.FieldCountry, traffic.FieldNetwork:
			continue
		case traffic.FieldUserAgent:
			if strings.Contains(t.String(), `"Mozilla/5.0 (`) {
				continue
			}
		case traffic.FieldJA4:
			if keys, ok := t.Keys(); ok {
				programs = append(programs, keys)
				continue
			}
		}
		if f := t.Field(); (f == traffic.FieldPath || f == traffic.FieldQueryShape) && rare(hitsOfTest(t, ordinary), len(ordinary)) {
			continue
		}
		asked = append(asked, t)
	}
	rest := match.All(asked...)
	pages, first := 0, 0
	for i := range ordinary {
		v := ordinary[i].Visit
		if v.Kind != traffic.KindPage {
			continue
		}
		pages++
		v.Clearance, v.Standing = traffic.ClearanceNone, traffic.StandingNew
		if rest.Hits(&v) && allPrograms(programs, v.JA4) {
			first++
		}
	}
	if pages == 0 {
		return 0
	}
	return float64(first) / float64(pages)
}

func hitsOfTest(t match.Test, ordinary []traffic.Sample) (n int) {
	m := match.All(t)
	for i := range ordinary {
		if m.Hits(&ordinary[i].Visit) {
			n++
		}
	}
	return n
}

// allPrograms says whether a fingerprint may be of a program out of each list.
func allPrograms(lists [][]string, ja4 string) bool {
	for _, list := range lists {
		like := false
		for _, k := range list {
			like = like || sameProgram(ja4, k)
		}
		if !like {
			return false
		}
	}
	return true
}
