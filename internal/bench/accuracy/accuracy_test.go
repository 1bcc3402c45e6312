package accuracy

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// The interval of a share, against values of Wilson's formula worked out by hand.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		n, of   int
		low, up float64
	}{{0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {5, 10, 0.2366, 0.7634}, {1, 1000, 0.000177, 0.005642}, {0, 0, 0, 1}} {
		low, up := wilson(c.n, c.of)
		if math.Abs(low-c.low) > 1e-4 || math.Abs(up-c.up) > 1e-4 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.n, c.of, low, up, c.low, c.up)
		}
	}
}

// There are as many scenarios as are promised, no name comes twice, and about a third is
// held out.
func TestScenarios(t *testing.T) {
	names, attacks, held := map[string]bool{}, 0, 0
	all := scenarios()
	for _, s := range all {
		if names[s.name] {
			t.Errorf("%q comes twice", s.name)
		}
		names[s.name] = true
		attacks += one(s.attack)
		held += one(heldOut(s.name))
	}
	if calm := len(all) - attacks; attacks < 60 || calm < 25 {
		t.Errorf("%d floods and %d that are none", attacks, calm)
	}
	if held < len(all)/4 || held > len(all)/2 {
		t.Errorf("%d of %d are held out", held, len(all))
	}
}

// Packets are made at three strengths of a dozen kinds and of days without a flood, and a
// frame is what the layers say.
func TestPacketScenarios(t *testing.T) {
	if n := len(packetFloods()); n < 10 || len(packetCalms()) < 4 {
		t.Errorf("%d floods and %d days without", n, len(packetCalms()))
	}
	v4, v6 := netip.MustParseAddr("84.0.0.1"), netip.MustParseAddr("2a02::1")
	for _, c := range []struct {
		name   string
		g      segment
		length int // of the frame
		at     int // of the byte that tells
		is     byte
	}{
		{"SYN", segment{source: v4, dest: site4, proto: tcp, ttl: 60, sport: 5, dport: 443, flags: syn, options: 20}, 14 + 20 + 40, 14 + 20 + 13, syn},
		{"options", segment{source: v4, dest: site4, proto: tcp, options: 20}, 14 + 20 + 40, 14 + 20 + 12, 10 << 4},
		{"UDP by IPv6", segment{source: v6, dest: site6, proto: udp, sport: 5, dport: 443, body: make([]byte, 100)}, 14 + 40 + 108, 14 + 40 + 5, 108},
		{"a later fragment", segment{source: v4, dest: site4, proto: udp, offset: 185, body: make([]byte, 80)}, 14 + 20 + 80, 14 + 7, 185},
		{"ICMP", segment{source: v4, dest: site4, proto: icmp, body: make([]byte, 56)}, 14 + 20 + 64, 14 + 20, 8},
	} {
		b := c.g.frame(nil)
		if len(b) != c.length || b[c.at] != c.is {
			t.Errorf("%s: %d bytes, % x", c.name, len(b), b)
		}
		if total := int(b[14+2])<<8 | int(b[14+3]); c.g.source.Is4() && total != len(b)-14 {
			t.Errorf("%s: it says that it has %d bytes", c.name, total)
		}
	}
}

// nowhere applies nothing: nothing is to be done about this.
type nowhere struct{}

func (nowhere) Apply(mitigation.Mitigation) error { return nil }
func (nowhere) Withdraw(mitigation.ID) error      { return nil }

// The origin serves what it can, the best ranks first, and sends away whom it cannot.
func TestSite(t *testing.T) {
	s := &stage{rng: rand.New(rand.NewPCG(1, 2)), books: newBooks()}
	s.w = &World{Clock: clock.NewStopped(time.Unix(1e9, 0))}
	var err error
	s.w.Loop, err = defense.New(defense.DefaultConfig(), defense.Deps{Clock: s.w.Clock, Log: slog.New(slog.DiscardHandler), Applier: nowhere{}})
	if err != nil {
		t.Fatal(err)
	}
	s.site.init(s)
	ask := func(path string, rank mitigation.Rank) {
		j := &job{c: &client{ordinary: true}, d: mitigation.Verdict{Rank: rank}, at: s.now()}
		j.v.Path = path
		s.site.arrive(j)
	}
	for range inFlight {
		ask("/flood", mitigation.RankNewcomer)
	}
	for range inLine {
		ask("/suspect", mitigation.RankSuspect)
	}
	if g := s.site.gauges(); g.InFlight != inFlight || g.Waiting != inLine {
		t.Fatalf("%+v", g)
	}
	ask("/known", mitigation.RankKnown) // one of the suspects makes room
	if n := len(s.site.line[mitigation.RankSuspect]); n != inLine-1 || len(s.site.line[mitigation.RankKnown]) != 1 {
		t.Errorf("%d suspects wait, and %d known visitors", n, len(s.site.line[mitigation.RankKnown]))
	}
	j := s.site.line[mitigation.RankKnown][0]
	began := s.now()
	for len(s.site.line[mitigation.RankKnown]) > 0 {
		e := s.events[0]
		s.run(e.at.Sub(s.now()))
	}
	if j.sent == 0 || s.now().Sub(began) > 2*pageWork {
		t.Errorf("who is known waits for %v", s.now().Sub(began))
	}
}
