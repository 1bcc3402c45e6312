package admit

import (
	"math/rand/v2"
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// asks decides one request a second of kinds, over and over, p a page and a an asset.
func (s *stage) asks(seconds int, kinds string, change func(*traffic.Visit, int)) (v *traffic.Visit, d mitigation.Verdict) {
	for i := range seconds {
		s.pass(time.Second)
		v = s.visit("192.0.2.1")
		v.Kind = kindOf(kinds[i%len(kinds)])
		if change != nil {
			change(v, i)
		}
		d = s.Decide(v)
	}
	return v, d
}

// Thin is who asks for two pages or more for each asset, and brings no clearance: in
// peace, in a crowd and under attack alike, so that samples of one speak for the other.
func TestThin(t *testing.T) {
	for _, c := range []struct {
		name    string
		seconds int
		kinds   string
		change  func(s *stage) func(*traffic.Visit, int)
		want    traffic.Standing
	}{
		{"two pages and an asset", 3, "ppa", nil, traffic.StandingNew},
		{"and another page", 4, "ppa", nil, traffic.StandingThin},
		{"it goes on", 60, "ppa", nil, traffic.StandingThin},
		{"three pages and two assets, again and again", 60, "papap", nil, traffic.StandingGood},
		{"a page and an asset", 60, "pa", nil, traffic.StandingGood},
		{"a page with all that it needs, then pages", 12, "paaaapppp", nil, traffic.StandingGood},
		{"assets alone", 60, "a", nil, traffic.StandingNew},
		{"no asset", 60, "p", nil, traffic.StandingShy},
		{"one asset for twenty pages", 84, "appppppppppppppppppppp", nil, traffic.StandingShy},
		{"a clearance that came back", 60, "ppa", func(s *stage) func(*traffic.Visit, int) {
			issued := s.wall().Add(-time.Minute)
			return func(v *traffic.Visit, i int) {
				if i > 0 {
					cleared(v, 1, issued)
				}
			}
		}, traffic.StandingGood},
		{"a clearance that came back once", 60, "ppa", func(s *stage) func(*traffic.Visit, int) {
			issued := s.wall().Add(-time.Minute)
			return func(v *traffic.Visit, i int) {
				if i == 30 {
					cleared(v, 1, issued)
				}
			}
		}, traffic.StandingGood},
	} {
		for times, begin := range map[string]func(s *stage){
			"in peace":     func(*stage) {},
			"in a crowd":   func(s *stage) { s.Crowded(s.wall()) },
			"under attack": func(s *stage) { s.UnderAttack(s.wall()) },
		} {
			s := newStage(t)
			begin(s)
			var change func(*traffic.Visit, int)
			if c.change != nil {
				change = c.change(s)
			}
			if v, _ := s.asks(c.seconds, c.kinds, change); v.Standing != c.want {
				t.Errorf("%s, %s: %s, want %s", c.name, times, v.Standing, c.want)
			}
		}
	}
}

// Who has a new name with every request is seen through, in peace as under attack, but
// not where a visitor's clearance or a program that behaves well is behind the prefix.
func TestThinInManyNames(t *testing.T) {
	names := func(v *traffic.Visit, i int) { by(v, 100+i) }
	for _, c := range []struct {
		name    string
		before  func(s *stage)
		seconds int
		kinds   string
		want    traffic.Standing
	}{
		{"five pages", nil, 7, "ppa", traffic.StandingNew},
		{"six", nil, 8, "ppa", traffic.StandingThin},
		{"it goes on", nil, 200, "ppa", traffic.StandingThin},
		{"one asset for three pages", nil, 12, "pppa", traffic.StandingThin},
		{"two assets for three pages", nil, 200, "papap", traffic.StandingNew},
		{"beside a visitor", func(s *stage) {
			s.Decide(cleared(s.visit("192.0.2.1"), 1, s.wall().Add(-time.Minute)))
		}, 60, "ppa", traffic.StandingNew},
		{"long after a visitor", func(s *stage) {
			s.Decide(cleared(s.visit("192.0.2.1"), 1, s.wall().Add(-time.Minute)))
			s.pass(liveFor * time.Second)
		}, 60, "ppa", traffic.StandingThin},
		{"beside a browser that keeps no cookies", func(s *stage) {
			s.asks(90, "ppa", nil)
		}, 60, "ppa", traffic.StandingNew},
	} {
		for _, attack := range []bool{true, false} {
			s := newStage(t)
			if c.before != nil {
				c.before(s)
			}
			if attack {
				s.UnderAttack(s.wall())
			}
			if v, _ := s.asks(c.seconds, c.kinds, names); v.Standing != c.want {
				t.Errorf("%s, attack %v: %s, want %s", c.name, attack, v.Standing, c.want)
			}
		}
	}
}

// Over its budget again and again it is greedy, whatever it fetches.
func TestThinAndGreedy(t *testing.T) {
	s := newStage(t)
	kinds := []traffic.Kind{traffic.KindPage, traffic.KindPage, traffic.KindAsset}
	v := s.visit("192.0.2.1")
	for i := range 9000 {
		v = s.visit("192.0.2.1")
		v.Kind = kinds[i%3]
		s.Decide(v)
	}
	if v.Standing != traffic.StandingGreedy {
		t.Errorf("%s", v.Standing)
	}
}

// A browser that has the assets, and keeps no cookie, is thin in peace and loses nothing
// by it: it is ranked as good, its print counts, and when an attack begins it is known.
func TestThinLosesNothing(t *testing.T) {
	s := newStage(t)
	v, d := s.asks(90, "ppa", nil)
	if v.Standing != traffic.StandingThin || d.Rank != mitigation.RankProven {
		t.Fatalf("in peace: %s, rank %s", v.Standing, d.Rank)
	}
	key := addressOf(v.Client).hash(&s.seed, traffic.LevelClient)
	if set := s.clients.at(key); set.cells[set.find(key)].prints == 0 {
		t.Error("its program does not count as one that behaves well")
	}
	s.Crowded(s.wall())
	if v, d = s.asks(1, "p", nil); v.Standing != traffic.StandingGood || v.Clearance != traffic.ClearanceKnown || d.Rank != mitigation.RankKnown {
		t.Errorf("in a crowd: %s, %s, rank %s", v.Standing, v.Clearance, d.Rank)
	}
	s.UnderAttack(s.wall())
	for range 60 {
		s.asks(1, "p", nil)
		if v, d = s.asks(2, "pa", nil); v.Standing != traffic.StandingGood || v.Clearance != traffic.ClearanceKnown || d.Rank != mitigation.RankKnown {
			t.Fatalf("under attack: %s, %s, rank %s", v.Standing, v.Clearance, d.Rank)
		}
	}
	s.Calm()
	if v, d = s.asks(1, "p", nil); v.Standing != traffic.StandingThin || d.Rank != mitigation.RankProven {
		t.Errorf("in peace again: %s, rank %s", v.Standing, d.Rank)
	}
}

// Budgets and ranks, at any pace, are those of somebody who fetches twice as many assets
// as pages.
func TestThinIsForOrdersOnly(t *testing.T) {
	thin, over := 0, 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		few, many := newStage(t), newStage(t)
		pace, attack := 10+r.IntN(90), r.IntN(100)
		for i := range 1200 {
			pause := time.Duration(r.IntN(pace)) * time.Millisecond
			if r.IntN(100) == 0 {
				pause = 20 * time.Second
			}
			few.pass(pause)
			many.pass(pause)
			if i == attack && seed%2 == 0 {
				few.UnderAttack(few.wall())
				many.UnderAttack(many.wall())
			}
			v, w := few.visit("192.0.2.1"), many.visit("192.0.2.1")
			if i > 1 {
				v.Kind, w.Kind = kindOf("ppa"[i%3]), kindOf("paa"[i%3])
			} else {
				v.Kind, w.Kind = kindOf("pa"[i]), kindOf("pa"[i])
			}
			got, want := few.Decide(v), many.Decide(w)
			if got != want || v.Clearance != w.Clearance {
				t.Fatalf("seed %d, request %d: %s is %v, and %s %v", seed, i, v.Standing, got, w.Standing, want)
			}
			thin += one(v.Standing == traffic.StandingThin)
			over += one(!got.LetsIn())
		}
		if a, b := len(few.Offences()), len(many.Offences()); a != b {
			t.Errorf("seed %d: %d reports, and %d", seed, a, b)
		}
	}
	if thin < 10_000 || over < 100 {
		t.Errorf("%d were thin and %d refused; the test shows little", thin, over)
	}
}

func kindOf(letter byte) traffic.Kind {
	if letter == 'a' {
		return traffic.KindAsset
	}
	return traffic.KindPage
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
