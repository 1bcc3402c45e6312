package sign

import (
	"math"
	"testing"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// What is measured again on the same Normal gets the figures that it was made with.
func TestAgainIsAsBefore(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 0.05)
	n.OrdinaryDay, n.OrdinaryWeek = normal(r, 1000, 0.1).Ordinary, normal(r, 1500, 0.2).Ordinary
	python := func() traffic.Sample {
		s := bot(r, 0.5)
		s.Visit.UserAgent, s.Visit.HeaderOrder = "python-requests/2.32", 0x77
		return s
	}
	tested := 0
	for name, draw := range map[string]func() traffic.Sample{
		"shy": func() traffic.Sample { return bot(r, 1) }, "not shy": func() traffic.Sample { return bot(r, 0) }, "a program": python,
		"at night": nightJob,
	} {
		flood, f := mix(r, 1000, 4080, draw)
		for _, s := range Mine(f, flood, n) {
			tested++
			got := Again(n)(s)
			for what, pair := range map[string][2]float64{
				"collateral": {got.Collateral, s.Collateral}, "of the hour": {got.CollateralHour, s.CollateralHour},
				"of the day": {got.CollateralDay, s.CollateralDay}, "of the week": {got.CollateralWeek, s.CollateralWeek},
				"bound": {got.Bound, s.Bound}, "newcomers": {got.Newcomers, s.Newcomers}, "known": {float64(got.Known), float64(s.Known)},
				"tested": {float64(got.Ordinary), float64(s.Ordinary)}, "coverage": {got.Coverage, s.Coverage},
				"examples": {float64(len(got.Examples)), float64(len(s.Examples))},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-9 {
					t.Errorf("%s: %s: %s is %v, was %v", name, s.Match, what, pair[0], pair[1])
				}
			}
		}
	}
	if tested < 4 {
		t.Errorf("only %d were there", tested)
	}
}

// What is ordinary by now counts, on any of the samples, and first visits.
func TestAgainOnWhatIsOrdinaryByNow(t *testing.T) {
	r := dice()
	flood, f := mix(r, 1000, 4080, nightJob)
	sigs := Mine(f, flood, normal(r, 2000, 0.05))
	if len(sigs) != 1 || sigs[0].Collateral != 0 {
		t.Fatal(texts(sigs))
	}
	jobs := func(n, jobs int) []traffic.Sample {
		out := normal(r, n, 0.05).Ordinary
		for i := range jobs {
			out[i] = nightJob()
		}
		return out
	}
	for _, c := range []struct {
		name            string
		hour, day, week []traffic.Sample
		collateral      float64
		first           bool
	}{
		{"as it was", jobs(2000, 0), nil, nil, 0, false},
		{"within the hour", jobs(2000, 10), nil, nil, 0.005, false},
		{"on another day", jobs(2000, 0), jobs(1000, 0), jobs(1000, 20), 0.02, false},
		{"too little of it is known", jobs(2000, 0), jobs(100, 100), nil, 0, false},
		{"the page became popular", jobs(2000, 200), nil, nil, 0.1, true},
	} {
		n := &traffic.Normal{Ordinary: c.hour, OrdinaryDay: c.day, OrdinaryWeek: c.week}
		got := Again(n)(sigs[0])
		if math.Abs(got.Collateral-c.collateral) > 1e-9 || (got.Newcomers > welcoming) != c.first {
			t.Errorf("%s: %v of ordinary requests, %v of first visits", c.name, got.Collateral, got.Newcomers)
		}
	}
}

// What was read from a log cannot tell what visitors have earned.
func TestAgainWithoutEarnings(t *testing.T) {
	r := dice()
	n := normal(r, 1000, 0.05)
	for i := range n.Ordinary {
		n.Ordinary[i].Blind = i >= 100
	}
	flood, f := mix(r, 1000, 4080, func() traffic.Sample { return bot(r, 1) })
	for _, s := range Mine(f, flood, n) {
		if got := Again(n)(s); got.Ordinary != 100 && got.Ordinary != 1000 {
			t.Errorf("%s is tested on %d", s.Match, got.Ordinary)
		} else if got.Ordinary == 100 {
			return
		}
	}
	t.Error("none asks what visitors have earned")
}

func TestAgainOnNothing(t *testing.T) {
	for _, n := range []*traffic.Normal{nil, {}} {
		s := attack.Signature{Match: match.All(), Coverage: 0.5}
		if got := Again(n)(s); got.Ordinary != 0 || got.Collateral != 0 || got.Newcomers != 0 || got.Bound != 1 {
			t.Errorf("%+v", got)
		}
	}
}
