package sign

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

var agents = []string{
	"Mozilla/5.0 (X11) Firefox/140", "Mozilla/5.0 (X11) Chrome/139", "Mozilla/5.0 (Macintosh) Safari/18",
	"Mozilla/5.0 (Windows) Edge/139", "Mozilla/5.0 (X11) Chrome/138", "Mozilla/5.0 (X11) Firefox/139",
}

// visitor draws a request of an ordinary visitor; fresh is the share of first
// visits, which bring no cookie.
func visitor(r *rand.Rand, fresh float64) traffic.Sample {
	v := traffic.Visit{
		Client: netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(40))}), Country: traffic.Country{'D', 'E'}, Network: 64500,
		Method: "GET", Host: "campaign.example", UserAgent: agents[r.IntN(3)], HeaderOrder: 0xaaaa + uint64(r.IntN(2)),
		Clearance: traffic.ClearanceProven, Standing: traffic.StandingGood,
	}
	switch k := r.Float64(); {
	case k < 0.6:
		v.Kind, v.Path = traffic.KindAsset, []string{"/app.css", "/logo.svg", "/app.js"}[r.IntN(3)]
	case k < 0.75:
		v.Path = "/"
	default:
		v.Path = []string{"/news", "/donate", "/poster", "/about"}[r.IntN(4)]
	}
	if v.Kind == traffic.KindPage && r.Float64() < fresh {
		v.Clearance, v.Standing = traffic.ClearanceNone, traffic.StandingNew
	}
	return traffic.Sample{Visit: v}
}

// bot draws a request of the flood: browser-like, for "/", no cookie.
func bot(r *rand.Rand, shy float64) traffic.Sample {
	v := traffic.Visit{
		Client: netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(200))}), Country: traffic.Country{'R', 'U'}, Network: 64496 + uint32(r.IntN(2)),
		Method: "GET", Host: "campaign.example", Path: "/", UserAgent: agents[r.IntN(len(agents))],
		HeaderOrder: 0xaaaa + uint64(r.IntN(2)), Kind: traffic.KindPage,
	}
	if r.Float64() < 0.4 {
		v.Country = traffic.Country{'B', 'R'}
	}
	if r.Float64() < shy {
		v.Standing = traffic.StandingShy
		if r.IntN(3) == 0 {
			v.Standing = traffic.StandingGreedy
		}
	}
	return traffic.Sample{Visit: v}
}

func normal(r *rand.Rand, n int, fresh float64) *traffic.Normal {
	out := &traffic.Normal{Learned: time.Minute, Requests: 80, Peak: 100, AssetShare: 0.6, ClearanceShare: 0.95}
	for range n {
		out.Ordinary = append(out.Ordinary, visitor(r, fresh))
	}
	return out
}

// mix draws the samples of a window with rate requests a second of which 80
// are ordinary.
func mix(r *rand.Rand, n int, rate float64, draw func() traffic.Sample) ([]traffic.Sample, attack.Finding) {
	var s []traffic.Sample
	for range n {
		if r.Float64() < 80/rate {
			s = append(s, visitor(r, 0.05))
		} else {
			s = append(s, draw())
		}
	}
	return s, attack.Finding{Vector: attack.HTTPFlood, Rate: rate, Normal: 80}
}

func dice() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func texts(sigs []attack.Signature) string {
	var b strings.Builder
	for _, s := range sigs {
		b.WriteString(s.Match.String() + "\n")
	}
	return b.String()
}

// covered tells which share of the flood the refusable signatures hit, tried
// on requests that Mine has not seen.
func covered(sigs []attack.Signature, ok func(attack.Signature) bool, draw func() traffic.Sample) float64 {
	hits := 0
	for range 2000 {
		s := draw()
		for _, sig := range sigs {
			if ok(sig) && sig.Match.Hits(&s.Visit) {
				hits++
				break
			}
		}
	}
	return float64(hits) / 2000
}

func clear(s attack.Signature) bool { return s.Collateral <= clean && s.Newcomers <= welcoming }
func every(attack.Signature) bool   { return true }

func TestDescribesFloods(t *testing.T) {
	r := dice()
	python := func() traffic.Sample {
		s := bot(r, 0)
		s.Visit.UserAgent, s.Visit.HeaderOrder = "python-requests/2.32", 0x77
		return s
	}
	search := func() traffic.Sample {
		s := bot(r, 0)
		s.Visit.Path, s.Visit.QueryShape, s.Visit.RawQuery = "/search", 0xfeed, "q=x"
		return s
	}
	for _, c := range []struct {
		name  string
		rate  float64
		draw  func() traffic.Sample
		fresh float64
		want  float64 // least share that the refusable signatures cover
		all   float64 // least share that all of them cover
		terms string  // in the first signature
	}{
		{"A: browser-like, all shy or greedy", 10080, func() traffic.Sample { return bot(r, 1) }, 0.05, 0.98, 0.98, `standing in ["shy", "greedy"]`},
		{"B: a third is shy so far", 4080, func() traffic.Sample { return bot(r, 0.35) }, 0.05, 0.3, 0.95, `standing in ["shy", "greedy"]`},
		{"B: all new, nothing strange about them", 4080, func() traffic.Sample { return bot(r, 0) }, 0.05, 0, 0.95, `path == "/"`},
		{"B: all new, and no first visit among the ordinary", 4080, func() traffic.Sample { return bot(r, 0) }, 0, 0, 0.95, `clearance == "none"`},
		{"a program of its own", 1000, python, 0.05, 0.95, 0.95, `user_agent == "python-requests/2.32"`},
		{"an expensive search", 400, search, 0.05, 0.95, 0.95, `path == "/search"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := normal(r, 2000, c.fresh)
			for i := range 12 { // some visitors search as well, so that the sample can speak for them
				v := &n.Ordinary[i*100].Visit
				v.Kind, v.Path, v.QueryShape = traffic.KindPage, "/search", 0xfeed
			}
			s, f := mix(r, 1000, c.rate, c.draw)
			sigs := Mine(f, s, n)
			if len(sigs) == 0 {
				t.Fatal("nothing found")
			}
			t.Logf("\n%s", texts(sigs))
			if got := covered(sigs, clear, c.draw); got < c.want {
				t.Errorf("refusable signatures cover %.2f, want %.2f", got, c.want)
			}
			if got := covered(sigs, every, c.draw); got < c.all {
				t.Errorf("all signatures cover %.2f, want %.2f", got, c.all)
			}
			if !strings.Contains(sigs[0].Match.String(), c.terms) {
				t.Errorf("first signature %s lacks %s", sigs[0].Match, c.terms)
			}
			for _, sig := range sigs {
				hits := 0
				for i := range n.Ordinary {
					if sig.Match.Hits(&n.Ordinary[i].Visit) {
						hits++
					}
				}
				if got := float64(hits) / float64(len(n.Ordinary)); got != sig.Collateral {
					t.Errorf("%s: collateral said %v, counted %v", sig.Match, sig.Collateral, got)
				}
			}
		})
	}
}

// A page that hardly anybody is known to read may have been put up a moment ago: whoever is
// new may come for it, and a flood of it is no reason to refuse them all.
func TestNewPagesAreSpared(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 0.05)
	page := func() traffic.Sample {
		s := bot(r, 0)
		s.Visit.Path, s.Visit.QueryShape = "/launch", 0xbeef
		return s
	}
	s, f := mix(r, 1000, 400, page)
	sigs := Mine(f, s, n)
	if len(sigs) == 0 || covered(sigs, every, page) < 0.95 || covered(sigs, clear, page) > 0 {
		t.Errorf("%s", texts(sigs))
	}
	for i := range sigs {
		if again := Again(n)(sigs[i]); again.Newcomers <= welcoming {
			t.Errorf("measured again: %+v", again)
		}
	}
}

func TestFirstVisitsAreSpared(t *testing.T) {
	r := dice()
	// No ordinary visitor of late was new, so only the question "what if" can
	// protect the next ones.
	n := normal(r, 2000, 0)
	s, f := mix(r, 1000, 4080, func() traffic.Sample { return bot(r, 0) })
	for _, sig := range Mine(f, s, n) {
		if sig.Collateral == 0 && sig.Newcomers <= welcoming {
			t.Errorf("%s would lock out every first visit", sig.Match)
		}
	}
}

// During an attack some visitors count as known, which no ordinary sample was.
func TestWhatPeopleEarnedIsNoTrait(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 0.05)
	known := func() traffic.Sample {
		s := visitor(r, 0)
		s.Visit.Clearance = traffic.ClearanceKnown
		return s
	}
	s, f := mix(r, 1000, 800, known)
	for _, sig := range Mine(f, s, n) {
		if text := sig.Match.String(); strings.Contains(text, "known") || strings.Contains(text, "good") || clear(sig) {
			t.Errorf("%s", text)
		}
	}
}

// That all of a flood's clients are new says only that it has just begun: a signature that
// asked for it would be met no more in a moment.
func TestNewnessIsNotAskedForInVain(t *testing.T) {
	r := dice()
	flood, f := mix(r, 2000, 4000, func() traffic.Sample {
		s := bot(r, 0)
		s.Visit.UserAgent = "sqlmap/1.8"
		return s
	})
	sigs := Mine(f, flood, normal(r, 4000, 0.05))
	if len(sigs) == 0 || covered(sigs, clear, func() traffic.Sample {
		s := bot(r, 1) // the same bot, some seconds later
		s.Visit.UserAgent = "sqlmap/1.8"
		return s
	}) < 0.95 {
		t.Errorf("%s", texts(sigs))
	}
}

// A flood of thin visits is described by that where hardly any ordinary visit is thin, and
// by nothing that refuses where more are.
func TestThin(t *testing.T) {
	for _, c := range []struct {
		usual int // thin ones of 2,000 ordinary visits
		want  float64
	}{{0, 0.98}, {1, 0.98}, {20, 0.5}, {21, 0}, {400, 0}} {
		r := dice()
		n := normal(r, 2000, 0.05)
		for i := range c.usual {
			v := &n.Ordinary[i*2000/c.usual].Visit
			v.Kind, v.Clearance, v.Standing = traffic.KindPage, traffic.ClearanceNone, traffic.StandingThin
			v.Path = []string{"/", "/news", "/about"}[i%3]
		}
		draw := func() traffic.Sample {
			s := bot(r, 0)
			s.Visit.Standing = traffic.StandingThin
			return s
		}
		s, f := mix(r, 1000, 4080, draw)
		sigs := Mine(f, s, n)
		if got := covered(sigs, clear, draw); got < c.want || c.want == 0 && got > 0 {
			t.Errorf("%d of 2,000 are thin: refusable signatures cover %.2f, want %.2f\n%s", c.usual, got, c.want, texts(sigs))
		}
		if said := strings.Contains(texts(sigs), "thin"); said != (c.want > 0) {
			t.Errorf("%d of 2,000 are thin:\n%s", c.usual, texts(sigs))
		}
	}
}

func TestPlaceAloneIsNoSignature(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 1) // all look the same but for where they are from
	for i := range n.Ordinary {
		n.Ordinary[i].Visit.Clearance = traffic.ClearanceNone
		n.Ordinary[i].Visit.Standing = traffic.StandingNew
	}
	abroad := func() traffic.Sample {
		v := visitor(r, 1)
		v.Visit.Country, v.Visit.Network = traffic.Country{'R', 'U'}, 64496
		v.Visit.Clearance, v.Visit.Standing = traffic.ClearanceNone, traffic.StandingNew
		return v
	}
	s, f := mix(r, 1000, 4080, abroad)
	for _, sig := range Mine(f, s, n) {
		if clear(sig) {
			t.Errorf("%s rests on a place", sig.Match)
		}
	}
}

func TestSameInputSameAnswer(t *testing.T) {
	r := dice()
	n := normal(r, 3000, 0.05)
	s, f := mix(r, 1500, 4080, func() traffic.Sample { return bot(r, 0.5) })
	want := texts(Mine(f, s, n))
	for range 20 {
		if got := texts(Mine(f, s, n)); got != want {
			t.Fatalf("got\n%s, before\n%s", got, want)
		}
	}
}

func TestNothingToDescribe(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 0.05)
	quiet, _ := mix(r, 500, 80, nil)
	if sigs := Mine(attack.Finding{Rate: 80, Normal: 80}, quiet, n); sigs != nil {
		t.Errorf("ordinary traffic was described: %s", texts(sigs))
	}
	if sigs := Mine(attack.Finding{Rate: 1000, Normal: 80}, nil, n); sigs != nil {
		t.Errorf("no samples were described: %s", texts(sigs))
	}
	// A crowd of ordinary visitors has nothing that ordinary traffic lacks.
	crowd, f := mix(r, 1000, 800, func() traffic.Sample { return visitor(r, 0.05) })
	for _, sig := range Mine(f, crowd, n) {
		if clear(sig) {
			t.Errorf("a crowd was described by %s", sig.Match)
		}
	}
}

func TestUnknownSite(t *testing.T) {
	r := dice()
	s, f := mix(r, 1000, 4080, func() traffic.Sample { return bot(r, 1) })
	for _, n := range []*traffic.Normal{nil, {}} {
		sigs := Mine(f, s, n)
		if len(sigs) == 0 || sigs[0].Ordinary != 0 || sigs[0].Bound != 1 {
			t.Fatalf("signatures %+v", sigs)
		}
	}
}

func TestLongKeysMatchTheirBeginning(t *testing.T) {
	r := dice()
	long := "/" + strings.Repeat("x", 400)
	draw := func() traffic.Sample {
		s := bot(r, 1)
		s.Visit.Path = long
		return s.Visit.Keep(traffic.Outcome{}, false)
	}
	s, f := mix(r, 500, 4080, draw)
	sigs := Mine(f, s, normal(r, 1000, 0.05))
	v := bot(r, 1).Visit
	v.Path, v.Standing = long, traffic.StandingShy
	if len(sigs) == 0 || !sigs[0].Match.Hits(&v) {
		t.Errorf("a request with the whole path is not hit by\n%s", texts(sigs))
	}
}

// One byte that no match can be written with spoils nothing: what else the flood has in
// common describes it. Of a letter that was cut in its midst the rest is used.
func TestBytesThatAreNoText(t *testing.T) {
	r := dice()
	n := normal(r, 2000, 0.05)
	for name, c := range map[string]struct {
		change func(*traffic.Visit)
		want   string
	}{
		"agent": {func(v *traffic.Visit) { v.UserAgent = "Mozilla/5.0 (X11; \x9b)" }, `path == "/"`},
		"path":  {func(v *traffic.Visit) { v.Path, v.UserAgent = "/\xff\xfe", "curl/8.0" }, `user_agent == "curl/8.0"`},
		"host":  {func(v *traffic.Visit) { v.Host = "\xc3" }, `path == "/"`},
		"a letter that was cut": {func(v *traffic.Visit) { v.Path = ("/a" + strings.Repeat("ö", 100))[:clippedAgent-1] + "\xc3" },
			`path.startsWith("/a` + strings.Repeat("ö", 78)},
	} {
		flood, f := mix(r, 2000, 4000, func() traffic.Sample {
			s := bot(r, 0.5)
			c.change(&s.Visit)
			return s
		})
		sigs := Mine(f, flood, n)
		covered := 0.0
		for _, s := range sigs {
			covered += s.Coverage
		}
		if covered < 0.9 || !strings.Contains(texts(sigs), c.want) {
			t.Errorf("%s: %d signatures: %.300s", name, len(sigs), texts(sigs))
		}
	}
}

func TestBound(t *testing.T) {
	for _, c := range []struct {
		hits, n  int
		low, top float64
	}{{0, 0, 1, 1}, {0, 100, 0.02, 0.03}, {0, 3000, 0.0008, 0.001}, {10, 1000, 0.01, 0.02}, {5, 5, 0.99, 1}} {
		if b := bound(c.hits, c.n); b < c.low || b > c.top {
			t.Errorf("bound(%d, %d) = %v", c.hits, c.n, b)
		}
	}
}

func BenchmarkMine(b *testing.B) {
	b.ReportAllocs()
	r := dice()
	n := normal(r, 4000, 0.05)
	s, f := mix(r, 2000, 4080, func() traffic.Sample { return bot(r, 0.5) })
	for b.Loop() {
		Mine(f, s, n)
	}
}

// TestMinesJA4: programs that say that they are browsers, each time another one,
// are told by what they offer to TLS. Ordinary visitors who come back resume a
// session and show another fingerprint than the first time.
func TestMinesJA4(t *testing.T) {
	const (
		goProgram = "t13d1312h2_f57a46bbacb6_ab7e3b40a677"
		chrome    = "t13d1516h2_8daaf6152771_d8a2da3f94cd"
		resumed   = "t13d1517h2_8daaf6152771_b6f405a00624"
	)
	for _, c := range []struct {
		name  string
		flood string
		want  string // in the first signature
		clear bool   // it may refuse
	}{
		{"a program", goProgram, `ja4 == "` + goProgram + `"`, true},
		{"what first visits of a browser show", chrome, "", false},
	} {
		r := dice()
		n := normal(r, 3000, 0.05)
		for i := range n.Ordinary {
			v := &n.Ordinary[i].Visit
			v.JA4, v.HTTP = resumed, traffic.HTTP2
		}
		samples, f := mix(r, 2000, 4080, func() traffic.Sample {
			s := bot(r, 0)
			s.Visit.HeaderOrder = uint64(1 + r.IntN(1e6))
			s.Visit.JA4, s.Visit.HTTP = c.flood, traffic.HTTP2
			return s
		})
		for i := range samples {
			if v := &samples[i].Visit; v.JA4 == "" {
				v.JA4, v.HTTP = resumed, traffic.HTTP2
			}
		}
		sigs := Mine(f, samples, n)
		if len(sigs) == 0 {
			if c.clear {
				t.Errorf("%s: not described", c.name)
			}
			continue
		}
		if !strings.Contains(sigs[0].Match.String(), c.want) || clear(sigs[0]) != c.clear {
			t.Errorf("%s: %s (collateral %.4f, newcomers %.3f)", c.name, sigs[0].Match, sigs[0].Collateral, sigs[0].Newcomers)
		}
	}
}
