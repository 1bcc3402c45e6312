package sign

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// A flood of a program for one page, which ordinary visitors have not asked for within
// the hour.
func nightJob() traffic.Sample {
	s := bot(dice(), 0)
	s.Visit.Path, s.Visit.UserAgent, s.Visit.HeaderOrder = "/export", "wget/1.21", 0x77
	return s
}

// What nobody asked for within the last hour, but some on other days, counts: the
// largest share is what is decided by, once enough of that time is known.
func TestOtherDaysCount(t *testing.T) {
	r := dice()
	with := func(n, jobs int) []traffic.Sample {
		var out []traffic.Sample
		for i := range n {
			s := visitor(r, 0.05)
			if i < jobs {
				s = nightJob()
			}
			out = append(out, s)
		}
		return out
	}
	for _, c := range []struct {
		name      string
		day, week []traffic.Sample
		want      attack.Signature // the figures
	}{
		{"nothing else is known", nil, nil, attack.Signature{Ordinary: 2000}},
		{"nor then", with(2000, 0), with(1900, 0), attack.Signature{Ordinary: 2000, OrdinaryDay: 2000, OrdinaryWeek: 1900}},
		{"at night", with(2000, 20), with(1900, 0), attack.Signature{
			Ordinary: 2000, Collateral: 0.01, CollateralDay: 0.01, OrdinaryDay: 2000, OrdinaryWeek: 1900}},
		{"on one day of the week", with(2000, 20), with(1900, 38), attack.Signature{
			Ordinary: 2000, Collateral: 0.02, CollateralDay: 0.01, CollateralWeek: 0.02, OrdinaryDay: 2000, OrdinaryWeek: 1900}},
		{"too little is known of the day", with(299, 299), nil, attack.Signature{Ordinary: 2000, CollateralDay: 1, OrdinaryDay: 299}},
		{"just enough", with(300, 3), nil, attack.Signature{Ordinary: 2000, Collateral: 0.01, CollateralDay: 0.01, OrdinaryDay: 300}},
	} {
		n := normal(r, 2000, 0.05)
		n.OrdinaryDay, n.OrdinaryWeek = c.day, c.week
		flood, f := mix(r, 1000, 4080, nightJob)
		sigs := Mine(f, flood, n)
		if len(sigs) != 1 {
			t.Fatalf("%s: %s", c.name, texts(sigs))
		}
		s := sigs[0]
		got := attack.Signature{
			Collateral: s.Collateral, CollateralHour: s.CollateralHour, CollateralDay: s.CollateralDay, CollateralWeek: s.CollateralWeek,
			Ordinary: s.Ordinary, OrdinaryDay: s.OrdinaryDay, OrdinaryWeek: s.OrdinaryWeek,
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v,\nwant %+v", c.name, got, c.want)
		}
		if s.Low > s.Collateral || s.High < s.Collateral || s.High <= s.Low || s.Bound > s.High || s.Bound < s.Collateral {
			t.Errorf("%s: from %v to %v, at most %v, where %v was counted", c.name, s.Low, s.High, s.Bound, s.Collateral)
		}
	}
}

// In a log nobody brings a clearance: it does not testify to what rests on that.
func TestLogsDoNotTestifyToClearance(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 0.05)
	for range 1000 {
		s := visitor(r, 1)
		s.Visit.Clearance, s.Visit.Standing, s.Blind = traffic.ClearanceNone, traffic.StandingNew, true
		n.OrdinaryWeek = append(n.OrdinaryWeek, s)
	}
	flood, f := mix(r, 1000, 4080, func() traffic.Sample { return bot(r, 0) })
	asked := false
	for _, s := range Mine(f, flood, n) {
		if strings.Contains(s.Match.String(), "clearance") {
			asked = true
			if s.OrdinaryWeek != 0 || s.CollateralWeek != 0 {
				t.Errorf("%s was tested on %d of a log", s.Match, s.OrdinaryWeek)
			}
		} else if s.OrdinaryWeek != 1000 {
			t.Errorf("%s was tested on %d of 1,000", s.Match, s.OrdinaryWeek)
		}
	}
	if !asked {
		t.Error("no signature asks for a clearance")
	}
	// What asks for no clearance is tested on all of it.
	s := attack.Signature{Match: parsed(t, `kind == "page" && path == "/"`)}
	if newJudge(n, nil).judge(&s, nil); s.OrdinaryWeek != 1000 || s.CollateralWeek < 0.1 || s.Collateral != s.CollateralWeek {
		t.Errorf("%+v", s)
	}
}

// Known visitors are counted by who they are, however much they ask for.
func TestCountsKnownVisitors(t *testing.T) {
	r := dice()
	n := &traffic.Normal{Requests: 80, Peak: 100}
	add := func(client string, times int, change func(*traffic.Visit)) {
		for range times {
			s := visitor(r, 0)
			s.Visit.Client = netip.MustParseAddr(client)
			s.Visit.Path, s.Visit.Kind = "/news", traffic.KindPage
			change(&s.Visit)
			n.Ordinary = append(n.Ordinary, s)
		}
	}
	asks := func(v *traffic.Visit) { v.Path, v.UserAgent, v.HeaderOrder = "/export", "wget/1.21", 0x77 }
	for i := range 100 {
		add(fmt.Sprintf("198.51.100.%d", i), 20, func(*traffic.Visit) {})
	}
	add("198.51.100.1", 2, asks)
	add("198.51.100.2", 1, func(v *traffic.Visit) { asks(v); v.Clearance = traffic.ClearanceNone }) // in good standing
	add("192.0.2.3", 1, func(v *traffic.Visit) { asks(v); v.Standing = traffic.StandingNew })       // has a clearance
	add("2001:db8:1:2::7", 1, asks)
	add("2001:db8:1:2::8", 1, asks)                                                                                               // of the same household
	add("192.0.2.4", 5, func(v *traffic.Visit) { asks(v); v.Clearance, v.Standing = traffic.ClearanceNone, traffic.StandingNew }) // nobody knows it
	flood, f := mix(r, 1000, 4080, nightJob)
	for _, s := range Mine(f, flood, n) {
		want := 0
		if s.Match.Hits(&n.Ordinary[2000].Visit) {
			want = 4
		}
		if s.KnownOf != 102 || s.Known != want && !strings.Contains(s.Match.String(), "clearance") {
			t.Errorf("%s would touch %d of %d, want %d of 102", s.Match, s.Known, s.KnownOf, want)
		}
	}
	m := &attack.Signature{Match: parsed(t, `path == "/export"`)}
	j := newJudge(n, n.Ordinary)
	if j.judge(m, nil); m.Known != 4 || m.KnownOf != 102 {
		t.Errorf("%d of %d", m.Known, m.KnownOf)
	}
}

// Examples are of the flood, different, short, and nothing that a terminal obeys.
func TestExamples(t *testing.T) {
	r := dice()
	draw := func() traffic.Sample {
		s := bot(r, 0)
		s.Visit.Path = "/search/" + strings.Repeat("ö", 60)
		s.Visit.RawQuery = "q=secret"
		s.Visit.UserAgent = fmt.Sprintf("evil/%d\x1b[2J\xff", r.IntN(8)) + strings.Repeat("x", 200)
		return s
	}
	n := normal(r, 2000, 0.05)
	flood, f := mix(r, 1000, 4080, draw)
	sigs := Mine(f, flood, n)
	if len(sigs) == 0 {
		t.Fatal("nothing found")
	}
	for _, s := range sigs {
		if len(s.Examples) != examples {
			t.Errorf("%q", s.Examples)
		}
		seen := map[string]bool{}
		for _, e := range s.Examples {
			if seen[e] || !utf8.ValidString(e) || strings.ContainsAny(e, "\x1b\n") || strings.Contains(e, "secret") || strings.Contains(e, "203.0.113") ||
				len(e) > 4+examplePath+len(" ()")+exampleAgent || !strings.HasPrefix(e, "GET /search/öö") || !strings.Contains(e, "… (evil/") {
				t.Errorf("%q", e)
			}
			seen[e] = true
		}
	}
	// A visitor's request is no example, though a signature hits it.
	known := []traffic.Sample{visitor(r, 0), visitor(r, 0)}
	known[1].Visit.Clearance = traffic.ClearanceNone
	if got := exampleLines(&attack.Signature{Match: parsed(t, `method == "GET"`)}, known); len(got) != 0 {
		t.Errorf("examples are %q", got)
	}
}

func parsed(t *testing.T, text string) *match.Match {
	t.Helper()
	m, err := match.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestInterval(t *testing.T) {
	// From Newcombe (1998), table I, the score method: 81 of 263 and 0 of 20.
	for _, c := range []struct {
		hits, n   int
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {0, 20, 0, 0.1611}, {29, 29, 0.8830, 1}, {0, 0, 0, 1}} {
		low, high := interval(c.hits, c.n)
		if low < c.low-0.0001 || low > c.low+0.0001 || high < c.high-0.0001 || high > c.high+0.0001 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.hits, c.n, low, high, c.low, c.high)
		}
	}
}

// BenchmarkJudge is what measuring the signatures of a window costs, besides finding them.
func BenchmarkJudge(b *testing.B) {
	r := dice()
	n := normal(r, 4000, 0.05)
	for range 2000 {
		n.OrdinaryDay, n.OrdinaryWeek = append(n.OrdinaryDay, visitor(r, 0.05)), append(n.OrdinaryWeek, visitor(r, 0.05))
	}
	s, f := mix(r, 2000, 4080, func() traffic.Sample { return bot(r, 0.5) })
	sigs := Mine(f, s, n)
	b.ReportAllocs()
	for b.Loop() {
		j := newJudge(n, n.Ordinary)
		for i := range sigs {
			j.judge(&sigs[i], s)
		}
	}
	b.ReportMetric(float64(len(sigs)), "signatures")
}
