package admit

import (
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// browse makes one request a second of the given kinds and returns the last
// visit as Decide left it.
func (s *stage) browse(seconds int, change func(v *traffic.Visit, i int)) (v *traffic.Visit) {
	for i := range seconds {
		s.pass(time.Second)
		v = s.visit("192.0.2.1")
		change(v, i)
		s.Decide(v)
	}
	return v
}

func TestStanding(t *testing.T) {
	asset := func(v *traffic.Visit, every, i int) {
		if i%every == every-1 {
			v.Kind = traffic.KindAsset
		}
	}
	for _, c := range []struct {
		name    string
		seconds int
		change  func(s *stage) func(v *traffic.Visit, i int)
		want    traffic.Standing
	}{
		{"two pages", 2, func(*stage) func(*traffic.Visit, int) { return func(*traffic.Visit, int) {} }, traffic.StandingNew},
		{"three pages and nothing else", 3, func(*stage) func(*traffic.Visit, int) { return func(*traffic.Visit, int) {} }, traffic.StandingShy},
		{"pages and assets, soon", 6, func(*stage) func(*traffic.Visit, int) {
			return func(v *traffic.Visit, i int) { asset(v, 2, i) }
		}, traffic.StandingNew},
		{"pages and assets, for a while", 15, func(*stage) func(*traffic.Visit, int) {
			return func(v *traffic.Visit, i int) { asset(v, 2, i) }
		}, traffic.StandingGood},
		{"an asset now and then is enough, and shows", 40, func(*stage) func(*traffic.Visit, int) {
			return func(v *traffic.Visit, i int) { asset(v, 10, i) }
		}, traffic.StandingThin},
		{"two pages for an asset", 15, func(*stage) func(*traffic.Visit, int) {
			return func(v *traffic.Visit, i int) { asset(v, 3, i) }
		}, traffic.StandingThin},
		{"one asset and a hundred pages", 50, func(*stage) func(*traffic.Visit, int) {
			return func(v *traffic.Visit, i int) { asset(v, 100, i+99) }
		}, traffic.StandingShy},
		{"pages with a clearance that came back", 15, func(s *stage) func(*traffic.Visit, int) {
			at := s.wall()
			return func(v *traffic.Visit, i int) {
				if i > 0 {
					cleared(v, 1, at)
				}
			}
		}, traffic.StandingGood},
		{"a clearance once is never shy", 30, func(s *stage) func(*traffic.Visit, int) {
			at := s.wall()
			return func(v *traffic.Visit, i int) {
				if i == 0 {
					cleared(v, 1, at)
				}
			}
		}, traffic.StandingNew},
		{"assets without a page", 30, func(*stage) func(*traffic.Visit, int) {
			return func(v *traffic.Visit, i int) { v.Kind = traffic.KindAsset }
		}, traffic.StandingNew},
		{"a feed reader", 30, func(*stage) func(*traffic.Visit, int) {
			return func(v *traffic.Visit, i int) { v.Kind = traffic.KindFeed }
		}, traffic.StandingNew},
	} {
		s := newStage(t)
		if v := s.browse(c.seconds, c.change(s)); v.Standing != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.Standing, c.want)
		}
	}
}

func TestGreedyGetsBetter(t *testing.T) {
	s := newStage(t)
	s.admitted(300, s.from("192.0.2.1"))
	v := s.visit("192.0.2.1")
	if s.Decide(v); v.Standing != traffic.StandingGreedy {
		t.Fatalf("over budget again and again: %s", v.Standing)
	}
	// Another browser behind the same address, and one with a clearance, are not.
	v = by(s.visit("192.0.2.1"), 2)
	if s.Decide(v); v.Standing != traffic.StandingNew {
		t.Errorf("another program: %s", v.Standing)
	}
	v = cleared(s.visit("192.0.2.1"), 1, s.wall())
	if s.Decide(v); v.Standing == traffic.StandingGreedy {
		t.Errorf("with a clearance of its own: %s", v.Standing)
	}
	s.pass(10 * time.Minute)
	v = s.visit("192.0.2.1")
	if s.Decide(v); v.Standing != traffic.StandingNew {
		t.Errorf("after ten minutes of rest: %s", v.Standing)
	}
}

func TestRanks(t *testing.T) {
	s := newStage(t)
	good := s.browse(20, func(v *traffic.Visit, i int) { v.Kind = traffic.Kind(i % 2) })
	if d := s.Decide(good); d.Rank != mitigation.RankProven {
		t.Errorf("good: %s", d.Rank)
	}
	shy := func() *traffic.Visit {
		v := s.visit("198.51.100.1")
		return v
	}
	s.Decide(shy())
	s.Decide(shy())
	if d := s.Decide(shy()); d.Rank != mitigation.RankSuspect || !d.LetsIn() {
		t.Errorf("shy: %v", d)
	}
}

// Known is who had a clearance, or behaved well, before the attack began.
func TestKnownSinceBeforeTheAttack(t *testing.T) {
	s := newStage(t)
	s.browse(20, func(v *traffic.Visit, i int) { v.Kind = traffic.Kind(i % 2) })
	began := s.wall()
	s.pass(2 * time.Second)
	s.UnderAttack(began)
	for _, c := range []struct {
		name  string
		visit *traffic.Visit
		want  traffic.Clearance
	}{
		{"a clearance from long before", cleared(s.visit("10.0.0.1"), 1, began.Add(-time.Hour)), traffic.ClearanceKnown},
		{"from three seconds before", cleared(s.visit("10.0.0.2"), 2, began.Add(-3*time.Second)), traffic.ClearanceKnown},
		{"from two seconds before", cleared(s.visit("10.0.0.3"), 3, began.Add(-2*time.Second)), traffic.ClearanceProven},
		{"from after", cleared(s.visit("10.0.0.4"), 4, began.Add(time.Second)), traffic.ClearanceProven},
		{"none, but good before", s.visit("192.0.2.1"), traffic.ClearanceKnown},
		{"none, another browser there", by(s.visit("192.0.2.1"), 9), traffic.ClearanceNone},
		{"nothing", s.visit("10.0.0.5"), traffic.ClearanceNone},
	} {
		d := s.Decide(c.visit)
		if c.visit.Clearance != c.want || (d.Rank == mitigation.RankKnown) != (c.want == traffic.ClearanceKnown) {
			t.Errorf("%s: %s, rank %s; want %s", c.name, c.visit.Clearance, d.Rank, c.want)
		}
	}
	// Good only since the attack is not known.
	var v *traffic.Visit
	for i := range 30 {
		s.pass(time.Second)
		v = s.visit("10.9.9.9")
		v.Kind = traffic.Kind(i % 2)
		s.Decide(v)
	}
	if v.Standing != traffic.StandingGood || v.Clearance != traffic.ClearanceNone {
		t.Errorf("good since the attack: %s, %s", v.Standing, v.Clearance)
	}
	s.Calm()
	v = cleared(s.visit("10.0.0.1"), 1, began.Add(-time.Hour))
	if s.Decide(v); v.Clearance != traffic.ClearanceProven {
		t.Errorf("in peace: %s", v.Clearance)
	}
}

// A bot behind the same address as a visitor, with the same browser, is not taken
// for that visitor: neither good nor known.
func TestBotBesideVisitor(t *testing.T) {
	s := newStage(t)
	issued := s.wall()
	visitor := func(v *traffic.Visit, i int) {
		v.Kind = traffic.Kind(i % 2)
		if i > 0 {
			cleared(v, 1, issued)
		}
	}
	if v := s.browse(90, visitor); v.Standing != traffic.StandingGood {
		t.Fatalf("the visitor: %s", v.Standing)
	}
	s.UnderAttack(s.wall())
	bot := s.visit("192.0.2.1")
	if d := s.Decide(bot); bot.Standing == traffic.StandingGood || bot.Clearance != traffic.ClearanceNone || d.Rank != mitigation.RankNewcomer {
		t.Errorf("the bot: %s, %s, rank %s", bot.Standing, bot.Clearance, d.Rank)
	}
	s.pass(time.Second)
	v := cleared(s.visit("192.0.2.1"), 1, issued)
	if d := s.Decide(v); v.Standing != traffic.StandingGood || v.Clearance != traffic.ClearanceKnown || d.Rank != mitigation.RankKnown {
		t.Errorf("the visitor beside it: %s, %s, rank %s", v.Standing, v.Clearance, d.Rank)
	}
}

// Under attack, who changes the user agent with every page is seen through; a
// prefix with a visitor's clearance, or with assets, is left alone.
func TestRotatedPrograms(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *stage, v *traffic.Visit, i int)
		want   traffic.Standing
	}{
		{"pages alone", func(*stage, *traffic.Visit, int) {}, traffic.StandingShy},
		{"with assets", func(_ *stage, v *traffic.Visit, i int) {
			if i%2 == 1 {
				v.Kind = traffic.KindAsset
			}
		}, traffic.StandingNew},
		{"beside a visitor", func(s *stage, v *traffic.Visit, i int) {
			if i%4 == 1 {
				cleared(v, 1, s.wall().Add(-time.Minute))
			}
		}, traffic.StandingNew},
	} {
		for _, attack := range []bool{true, false} {
			s := newStage(t)
			if attack {
				s.UnderAttack(s.wall())
			}
			v := s.browse(12, func(v *traffic.Visit, i int) {
				by(v, 100+i)
				c.change(s, v, i)
			})
			want := c.want
			if !attack {
				want = traffic.StandingNew
			}
			if v.Standing != want {
				t.Errorf("%s, attack %v: %s, want %s", c.name, attack, v.Standing, want)
			}
		}
	}
}

// A budget that looks shared is followed by a slow one.
func TestManyBehindOnePrefix(t *testing.T) {
	s := newStage(t)
	refused, slowed := 0, 0
	for i := range 60 * 40 { // 40 requests a second for a minute, where 20 are allowed
		s.pass(25 * time.Millisecond)
		v := s.visit("192.0.2.1")
		by(v, i%3).Kind = traffic.Kind(i / 3 % 2)
		switch d := s.Decide(v); {
		case !d.LetsIn():
			refused++
		case d.Action == mitigation.Slow && d.Rank == mitigation.RankSuspect:
			slowed++
		}
	}
	if refused > 60 || slowed < 800 {
		t.Errorf("of 2,400 requests %d were refused and %d slowed", refused, slowed)
	}
}

// In a crowd those who were there before go first; nobody's budget shrinks.
func TestCrowded(t *testing.T) {
	s := newStage(t)
	began := s.wall()
	s.pass(2 * time.Second)
	s.Crowded(began)
	v := cleared(s.visit("10.0.0.1"), 1, began.Add(-time.Minute))
	if d := s.Decide(v); v.Clearance != traffic.ClearanceKnown || d.Rank != mitigation.RankKnown {
		t.Errorf("there before: %s, rank %s", v.Clearance, d.Rank)
	}
	v = cleared(s.visit("10.0.0.2"), 2, began)
	if d := s.Decide(v); v.Clearance != traffic.ClearanceProven || d.Rank != mitigation.RankProven {
		t.Errorf("came with it: %s, rank %s", v.Clearance, d.Rank)
	}
	if n := s.admitted(400, s.from("192.0.2.9")); n != DefaultConfig().Burst {
		t.Errorf("%d of a stranger's requests were let in, want the whole burst of %d", n, DefaultConfig().Burst)
	}
	s.Calm()
	v = cleared(s.visit("10.0.0.1"), 1, began.Add(-time.Minute))
	if s.Decide(v); v.Clearance != traffic.ClearanceProven {
		t.Errorf("in peace: %s", v.Clearance)
	}
}

// A clearance from before the attack that floods is known no longer.
func TestKnownThatFloods(t *testing.T) {
	s := newStage(t)
	issued := s.wall().Add(-time.Hour)
	s.UnderAttack(s.wall())
	s.admitted(400, func(int) *traffic.Visit { return cleared(s.visit("192.0.2.1"), 1, issued) })
	s.pass(time.Second)
	v := cleared(s.visit("192.0.2.1"), 1, issued)
	if d := s.Decide(v); v.Clearance != traffic.ClearanceProven || d.Rank != mitigation.RankSuspect {
		t.Errorf("%s, %v", v.Clearance, d)
	}
}

// A browser sends the fields of a page's assets in another order than those of the
// page: both are its own.
func TestAssetsComeInAnotherOrder(t *testing.T) {
	s := newStage(t)
	v := s.browse(30, func(v *traffic.Visit, i int) {
		if v.UserAgent = "Mozilla/5.0"; i%2 == 1 {
			v.Kind, v.HeaderOrder = traffic.KindAsset, 2
		}
	})
	if v.Standing != traffic.StandingGood {
		t.Errorf("%s", v.Standing)
	}
}

// A school opens a page: sixty people, whom nobody has seen before, behind one address
// within three seconds, each with what the page is made of.
func TestSchoolBehindOneAddress(t *testing.T) {
	s := newStage(t)
	for person := range 60 {
		s.pass(50 * time.Millisecond)
		for i := range 8 {
			v := by(s.visit("192.0.2.1"), person)
			v.Kind = traffic.Kind(min(i, 1))
			if d := s.Decide(v); !d.LetsIn() {
				t.Fatalf("person %d, request %d: %v", person, i, d)
			}
		}
	}
	// Pages alone are no school.
	if n := s.admitted(400, s.from("192.0.2.2")); n > 200 {
		t.Errorf("of 400 pages of one client %d were let in", n)
	}
}
