package admit

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	botJA4     = "t13d1312h2_f57a46bbacb6_ab7e3b40a677"
	browserJA4 = "t13d1516h2_8daaf6152771_d8a2da3f94cd"
)

// hello is what a connection shows before its handshake.
func (s *stage) hello(addr string) *traffic.Visit {
	a := netip.MustParseAddr(addr)
	return &traffic.Visit{At: s.now, Client: a, Peer: a, JA4: botJA4, Network: 64496, Country: traffic.Country{'D', 'E'}, Secure: true}
}

// tried uses up the connection that goes through to the door now and then.
func (s *stage) tried(addr string) {
	s.t.Helper()
	if v := s.Greet(s.hello(addr)); !v.LetsIn() {
		s.t.Fatalf("the first did not go through: %+v", v)
	}
}

// refuse has the door refuse n visits from addr.
func (s *stage) refuse(addr string, n int) {
	s.t.Helper()
	for range n {
		v := s.visit(addr)
		v.JA4 = botJA4
		if d := s.Decide(v); d.LetsIn() {
			s.t.Fatalf("%+v", d)
		}
	}
}

func TestGreet(t *testing.T) {
	const who = "192.0.2.1"
	prefix := netip.MustParsePrefix("192.0.2.0/24")
	ja4 := is(traffic.FieldJA4, botJA4)
	for _, c := range []struct {
		name    string
		prepare func(s *stage)
		want    mitigation.Action
		reason  mitigation.Reason
		rank    mitigation.Rank
	}{
		{"a stranger", nil, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"behind a live clearance", func(s *stage) { s.Decide(cleared(s.visit(who), 1, s.wall())) },
			mitigation.Admit, mitigation.ReasonNone, mitigation.RankProven},
		{"banned by a person", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Refuse, match.Within(prefix))
			s.tried(who)
		}, mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect},
		{"banned by a person to get nothing", func(s *stage) { s.apply(1, mitigation.ByOperator, mitigation.Drop, match.Within(prefix)) },
			mitigation.Drop, mitigation.ReasonBan, mitigation.RankSuspect},
		{"banned by a person, with a clearance behind it", func(s *stage) {
			s.Decide(cleared(s.visit(who), 1, s.wall()))
			s.apply(1, mitigation.ByOperator, mitigation.Drop, match.Within(prefix))
		}, mitigation.Drop, mitigation.ReasonBan, mitigation.RankSuspect},
		{"banned and allowed", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Drop, match.Within(prefix))
			s.apply(2, mitigation.ByOperator, mitigation.Admit, match.Within(prefix))
		}, mitigation.Admit, mitigation.ReasonAllowList, mitigation.RankKnown},
		{"banned while all is off", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Drop, match.Within(prefix))
			s.SetOff(true)
		}, mitigation.Admit, mitigation.ReasonOff, mitigation.RankKnown},
		{"banned by the machine", func(s *stage) {
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, match.Within(prefix))
			s.tried(who)
		}, mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect},
		{"banned by the machine, with a clearance behind it", func(s *stage) {
			s.Decide(cleared(s.visit(who), 1, s.wall()))
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, match.Within(prefix))
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankProven},
		{"described by a person", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Refuse, ja4, is(traffic.FieldNetwork, "64496"))
			s.tried(who)
		}, mitigation.Refuse, mitigation.ReasonMitigation, mitigation.RankSuspect},
		{"of another network", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Drop, ja4, is(traffic.FieldNetwork, "1"))
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"described by what a connection shows and what it asks for", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Drop, ja4, is(traffic.FieldPath, "/"))
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"described, and maybe let in by a person", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Drop, ja4)
			s.apply(2, mitigation.ByOperator, mitigation.Admit, is(traffic.FieldPath, "/feed.xml"))
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"described, and another let in by a person", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Drop, ja4)
			s.apply(2, mitigation.ByOperator, mitigation.Admit, is(traffic.FieldPath, "/feed.xml"), is(traffic.FieldCountry, "FR"))
		}, mitigation.Drop, mitigation.ReasonMitigation, mitigation.RankSuspect},
		{"described, and merely slowed", func(s *stage) { s.apply(1, mitigation.ByOperator, mitigation.Slow, ja4) },
			mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"described, in a prefix that is slowed", func(s *stage) {
			s.apply(1, mitigation.ByOperator, mitigation.Drop, ja4)
			s.apply(2, mitigation.ByOperator, mitigation.Slow, match.Within(prefix))
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"described by the machine, and never refused yet", func(s *stage) { s.apply(1, mitigation.ByMachine, mitigation.Refuse, ja4) },
			mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"described by the machine, and refused again and again", func(s *stage) {
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, ja4)
			s.refuse(who, greetRefused)
			s.tried(who)
		}, mitigation.Refuse, mitigation.ReasonMitigation, mitigation.RankSuspect},
		{"described by the machine, refused, with a clearance behind it", func(s *stage) {
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, ja4)
			s.refuse(who, 2*greetRefused)
			v := cleared(s.visit(who), 1, s.wall())
			v.JA4 = botJA4
			s.Decide(v)
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankProven},
		{"described by the machine, refused a minute ago", func(s *stage) {
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, ja4)
			s.refuse(who, greetRefused)
			s.pass(offenceWindow * time.Second)
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"described by the machine, refused over its budget alone", func(s *stage) {
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldJA4, browserJA4))
			s.admitted(500, s.from(who))
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
		{"over", func(s *stage) {
			if err := s.Apply(mitigation.Mitigation{ID: 1, Match: match.All(ja4), Action: mitigation.Drop, By: mitigation.ByOperator, Until: s.wall().Add(time.Second)}); err != nil {
				s.t.Fatal(err)
			}
			s.pass(2 * time.Second)
		}, mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			if c.prepare != nil {
				c.prepare(s)
			}
			got := s.Greet(s.hello(who))
			if got.Action != c.want || got.Reason != c.reason || got.Rank != c.rank {
				t.Errorf("%s, %s, %s; want %s, %s, %s", got.Action, got.Reason, got.Rank, c.want, c.reason, c.rank)
			}
		})
	}
}

// TestGreetTries: who is banned by mistake reads why, and all that go through for
// that cost little together.
func TestGreetTries(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Deny = []string{"192.0.2.0/24", "2001:db8::/32"} })
	through := func(addr string) bool { return s.Greet(s.hello(addr)).LetsIn() }
	for sec := range 3 * tryEvery {
		if got, want := through("192.0.2.7"), sec%tryEvery == 0; got != want {
			t.Errorf("second %d: through %v", sec, got)
		}
		s.pass(time.Second)
	}
	s.pass(time.Minute)
	n := 0
	for i := range 20_000 { // another /64 each time, two seconds long
		if i%10 == 0 {
			s.pass(time.Millisecond)
		}
		if through(fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&0xff)) {
			n++
		}
	}
	if n < tryBurst || n > tryBurst+2*tryRate+1 {
		t.Errorf("%d went through", n)
	}
}

// TestGreetReports: hellos that are turned away lead to a report as visits do.
func TestGreetReports(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Deny = []string{"192.0.2.7"} })
	for range offenceCalm + 1 { // one goes through
		s.Greet(s.hello("192.0.2.7"))
	}
	if got := s.offencesSoFar(); len(got) != 1 || !got[0].Direct || got[0].Prefix != netip.MustParsePrefix("192.0.2.7/32") {
		t.Errorf("reported: %+v", got)
	}
	if st := s.Stats(); st.Decisions != (Stats{}).Decisions {
		t.Error("hellos were counted as visits")
	}
	for range offenceCalm * overOffence * 2 {
		s.TurnedAway(s.hello("192.0.2.8"))
	}
	if got := s.offencesSoFar(); len(got) != 1 {
		t.Errorf("over the budget: %+v", got)
	}
	s.Decide(cleared(s.visit("192.0.2.9"), 1, s.wall()))
	for range offenceCalm * overOffence * 2 {
		s.TurnedAway(s.hello("192.0.2.9"))
	}
	if got := s.offencesSoFar(); len(got) != 0 {
		t.Errorf("over the budget, with people behind it: %+v", got)
	}
}

// Which hellos over the budget count is drawn by the door's seed: one in so many, in no
// order, and the same ones where the seed is the same.
func TestOverCounts(t *testing.T) {
	draw := func(seed uint64) (which []int) {
		cfg := DefaultConfig()
		cfg.Seed = seed
		a, err := New(cfg, clock.New(), func(netip.Prefix) uint64 { return 0 })
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 * overOffence {
			if a.overCounts() {
				which = append(which, i)
			}
		}
		return which
	}
	one := draw(7)
	if len(one) < 850 || len(one) > 1150 {
		t.Errorf("%d of %d count", len(one), 1000*overOffence)
	}
	gaps := map[int]int{}
	for i := range one[1:] {
		gaps[one[i+1]-one[i]]++
	}
	for gap, n := range gaps {
		if n > len(one)/5 {
			t.Errorf("%d of %d come %d after the last", n, len(one), gap)
		}
	}
	if !slices.Equal(one, draw(7)) || slices.Equal(one, draw(8)) {
		t.Error("it is not the seed that draws")
	}
}

func TestGreetAllocatesNothing(t *testing.T) {
	s := newStage(t)
	s.apply(1, mitigation.ByOperator, mitigation.Refuse, is(traffic.FieldJA4, botJA4))
	v, w := s.hello("192.0.2.1"), s.hello("192.0.2.2")
	w.JA4 = browserJA4
	if n := testing.AllocsPerRun(1000, func() {
		s.Greet(v)
		s.Greet(w)
		s.TurnedAway(w)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkGreet: as BenchmarkDecide, with ten more mitigations about what
// connections show.
func BenchmarkGreet(b *testing.B) {
	a, at, _ := benchDoor(b)
	for i := range 10 {
		m := match.All(is(traffic.FieldJA4, fmt.Sprintf("t13d1312h2_f57a46bbac%02x_ab7e3b40a6%02x", i, i)), match.Not(is(traffic.FieldCountry, "FR")))
		if err := a.Apply(mitigation.Mitigation{ID: mitigation.ID(9000 + i), Match: m, Action: mitigation.Refuse, By: mitigation.ByMachine}); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		ban  bool
	}{{"welcome", false}, {"banned", true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			v := traffic.Visit{JA4: botJA4, Network: 64500, Country: traffic.Country{'D', 'E'}}
			i, t := uint32(0), clock.Instant(at)
			for b.Loop() {
				i, t = i+1, t.Add(10*time.Microsecond)
				v.At, v.Client = t, benchAddr(clientOf(i))
				if c.ban {
					v.Client = netip.AddrFrom4([4]byte{100, byte(64 + i%1000%64), byte(i % 1000), byte(i % 1000 >> 3)})
				}
				v.Peer = v.Client
				a.Greet(&v)
			}
		})
	}
}
