// Package accuracy runs `seawall bench accuracy` and holds it to what it promises.
package accuracy

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"seawall/internal/app"
	"seawall/internal/bench"
	"seawall/internal/bench/accuracy"
	"seawall/internal/config"
)

// What docs/accuracy.md shows is what comes out with seed 1.
func TestDocumentedAccuracy(t *testing.T) {
	page, err := os.ReadFile("../../docs/accuracy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- accuracy -->\n```\n")
	shown, _, ok := strings.Cut(rest, "```\n")
	r, err := bench.Accuracy(t.Context(), bench.AccuracyOptions{Seed: 1, World: app.AccuracyWorld(config.Default())})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	if !ok || strings.TrimSpace(shown) != strings.TrimSpace(b.String()) {
		t.Errorf("docs/accuracy.md is not what `seawall bench accuracy` prints:\n%s", b.String())
	}
}

// Another seed makes other traffic of the same kinds, and what holds must hold for it.
func TestAccuracyOfAnotherSeed(t *testing.T) {
	r, err := bench.Accuracy(t.Context(), bench.AccuracyOptions{Seed: 2, World: app.AccuracyWorld(config.Default())})
	if err != nil {
		t.Fatal(err)
	}
	s := r.All
	if s.Attacks.Of < 60 || float64(s.Attacks.N) < 0.98*float64(s.Attacks.Of) {
		t.Errorf("%d of %d floods were noticed", s.Attacks.N, s.Attacks.Of)
	}
	if s.Alarms.Of < 25 || s.Alarms.N > 0 {
		t.Errorf("%d false alarms in %d scenarios", s.Alarms.N, s.Alarms.Of)
	}
	if s.Met.Of < 25 || s.Met.N > 0 {
		t.Errorf("in %d of %d scenarios without attack somebody was refused", s.Met.N, s.Met.Of)
	}
	if got := share(s.Refused.N, s.Refused.Of); s.Refused.Of < 100_000 || got > 0.001 {
		t.Errorf("%.4f of %d ordinary requests were refused", got, s.Refused.Of)
	}
	if s.Mitig95 > 1 {
		t.Errorf("the 95th percentile of the time to mitigate is %.1f s", s.Mitig95)
	}
	if a, b := share(r.Tuned.Attacks.N, r.Tuned.Attacks.Of), share(r.HeldOut.Attacks.N, r.HeldOut.Attacks.Of); a-b > 0.02 || b-a > 0.02 {
		t.Errorf("%.3f of the floods that may be looked at are noticed, and %.3f of the others", a, b)
	}
	p, k := r.PacketsAll, r.LinksAll
	if n, of := s.Attacks.N+p.Attacks.N+k.Attacks.N, s.Attacks.Of+p.Attacks.Of+k.Attacks.Of; p.Attacks.Of < 30 || k.Attacks.Of < 60 || float64(n) < 0.98*float64(of) {
		t.Errorf("%d of %d attacks of all kinds were noticed", n, of)
	}
	if p.Alarms.N > 0 || p.Alarms.Of < 4 || p.Mitig95 > 1 || p.Lost.Of < 100_000 || share(p.Lost.N, p.Lost.Of) > 0.001 {
		t.Errorf("of packets: %+v", p)
	}
	if a, b := share(r.PacketsTuned.Attacks.N, r.PacketsTuned.Attacks.Of), share(r.PacketsHeldOut.Attacks.N, r.PacketsHeldOut.Attacks.Of); a-b > 0.02 || b-a > 0.02 {
		t.Errorf("%.3f of the floods of packets that may be looked at are noticed, and %.3f of the others", a, b)
	}
	connections(t, r)
	thin := 0
	for _, row := range r.Rows {
		if row.Attack && (row.Flood == 0 || row.Ordinary == 0) || !row.Attack && row.Ordinary == 0 {
			t.Errorf("nothing happened: %+v", row)
		}
		// Two requests in three of the others are what the flood is for.
		least := 0.6
		if strings.HasPrefix(row.Name, "wide") {
			least = 0.9
		}
		if strings.Contains(row.Name, ", with an asset, ") {
			thin++
			if share(row.Stopped, row.Flood) < least {
				t.Errorf("of %q %d of %d were stopped", row.Name, row.Stopped, row.Flood)
			}
		}
	}
	if thin != 9 {
		t.Errorf("%d floods come with an asset", thin)
	}
}

// connections holds the scenarios of connections to what is promised.
func connections(t *testing.T, r *accuracy.Report) {
	t.Helper()
	k := r.LinksAll
	if float64(k.Attacks.N) < 0.98*float64(k.Attacks.Of) || float64(k.Named.N) < 0.98*float64(k.Named.Of) || k.Notice95 > 3 {
		t.Errorf("of %d attacks on connections %d were noticed, %d as what they are, within %.1f s", k.Attacks.Of, k.Attacks.N, k.Named.N, k.Notice95)
	}
	if k.Alarms.Of < 10 || k.Alarms.N > 0 || k.Met.N > 0 {
		t.Errorf("without an attack on connections: something found in %d of %d, and somebody touched in %d", k.Alarms.N, k.Alarms.Of, k.Met.N)
	}
	if k.Touched.Of < 8000 || share(k.Touched.N, k.Touched.Of) > 0.002 || k.Unserved.Of < 20_000 || share(k.Unserved.N, k.Unserved.Of) > 0.001 {
		t.Errorf("people's connections and requests: %+v, %+v", k.Touched, k.Unserved)
	}
	if a, b := share(r.LinksTuned.Attacks.N, r.LinksTuned.Attacks.Of), share(r.LinksHeldOut.Attacks.N, r.LinksHeldOut.Attacks.Of); a-b > 0.02 || b-a > 0.02 {
		t.Errorf("%.3f of the attacks on connections that may be looked at are noticed, and %.3f of the others", a, b)
	}
	for _, row := range r.Links {
		if row.Ordinary == 0 || row.Requests < 300 || row.Attack && (row.Links < 4 || row.Most == 0) {
			t.Errorf("nothing happened: %+v", row)
		}
		// Who is too slow, or breaks the protocol, is ended for it, however few there are.
		ended := strings.HasPrefix(row.Name, "slow ") || strings.HasPrefix(row.Name, "answers ") || strings.HasPrefix(row.Name, "field ") || strings.HasPrefix(row.Name, "malformed ")
		if row.Attack && ended && share(row.Stopped, row.Links) < 0.3 {
			t.Errorf("of %q %d of %d were ended", row.Name, row.Stopped, row.Links)
		}
	}
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }
