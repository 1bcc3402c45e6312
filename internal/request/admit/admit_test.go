package admit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/prefixset"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// stage is a door with a clock that the test moves by hand: visits carry the
// time, and nothing sleeps.
type stage struct {
	*Admit
	t   *testing.T
	clk *clock.Clock
	now clock.Instant
}

func newStage(t *testing.T, change ...func(*Config)) *stage {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Clients = 4096
	for _, f := range change {
		f(&cfg)
	}
	clk := clock.New()
	a, err := New(cfg, clk, func(p netip.Prefix) uint64 { return uint64(p.Addr().As16()[15]) })
	if err != nil {
		t.Fatal(err)
	}
	return &stage{a, t, clk, clk.Now()}
}

func (s *stage) pass(d time.Duration) { s.now = s.now.Add(d) }
func (s *stage) wall() time.Time      { return s.clk.Wall(s.now) }

// visit is a plain page request from addr.
func (s *stage) visit(addr string) *traffic.Visit {
	a := netip.MustParseAddr(addr)
	return &traffic.Visit{At: s.now, Client: a, Peer: a, Method: "GET", Path: "/", HeaderOrder: 1}
}

// by makes a visit that of some program.
func by(v *traffic.Visit, program int) *traffic.Visit {
	v.HeaderOrder, v.UserAgent = uint64(program+1), fmt.Sprintf("Program/%d", program)
	return v
}

func cleared(v *traffic.Visit, id uint64, issued time.Time) *traffic.Visit {
	v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceProven, id, issued
	return v
}

// admitted makes n visits of one moment and counts those let in.
func (s *stage) admitted(n int, make func(i int) *traffic.Visit) (in int) {
	for i := range n {
		v := make(i)
		v.At = s.now
		if s.Decide(v).LetsIn() {
			in++
		}
	}
	return in
}

// from makes page requests without a clearance.
func (s *stage) from(addr string) func(int) *traffic.Visit {
	return func(int) *traffic.Visit { return s.visit(addr) }
}

func (s *stage) apply(id mitigation.ID, by mitigation.By, act mitigation.Action, tests ...match.Test) {
	s.t.Helper()
	if err := s.Apply(mitigation.Mitigation{ID: id, Match: match.All(tests...), Action: act, By: by}); err != nil {
		s.t.Fatal(err)
	}
}

func within(p string) match.Test { return match.Within(netip.MustParsePrefix(p)) }

func is(f traffic.Field, keys ...string) match.Test { return must(match.OneOf(f, keys...)) }

// The ladder, rung by rung: the first with an opinion decides.
func TestLadder(t *testing.T) {
	s := newStage(t, func(c *Config) {
		c.Allow = []string{"192.0.2.1", "2001:db8:a::/48"}
		c.Deny = []string{"192.0.2.0/24", "198.51.100.0/24"}
		c.Monitors = []string{"203.0.113.9"}
	})
	s.apply(1, mitigation.ByOperator, mitigation.Refuse, within("203.0.113.0/24"))
	s.apply(2, mitigation.ByOperator, mitigation.Admit, within("198.51.100.7/32"))
	s.apply(3, mitigation.ByMachine, mitigation.Drop, within("10.0.0.0/8"))
	s.apply(4, mitigation.ByOperator, mitigation.Refuse, is(traffic.FieldPath, "/wp-login.php"))
	s.apply(5, mitigation.ByMachine, mitigation.Slow, is(traffic.FieldPath, "/slow"))
	old := s.wall().Add(-time.Hour)
	for _, c := range []struct {
		name   string
		visit  func(v *traffic.Visit)
		addr   string
		action mitigation.Action
		reason mitigation.Reason
		rank   mitigation.Rank
		id     mitigation.ID
	}{
		{"a newcomer", nil, "100.64.0.1", mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer, 0},
		{"with a clearance", func(v *traffic.Visit) { cleared(v, 7, old) }, "100.64.0.1", mitigation.Admit, mitigation.ReasonNone, mitigation.RankProven, 0},
		{"denied by the configuration", nil, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"denied although with a clearance", func(v *traffic.Visit) { cleared(v, 8, old) }, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"allowed inside of what is denied", nil, "192.0.2.1", mitigation.Admit, mitigation.ReasonAllowList, mitigation.RankKnown, 0},
		{"4-in-6", nil, "::ffff:192.0.2.1", mitigation.Admit, mitigation.ReasonAllowList, mitigation.RankKnown, 0},
		{"allowed IPv6", nil, "2001:db8:a:1::5", mitigation.Admit, mitigation.ReasonAllowList, mitigation.RankKnown, 0},
		{"allowed by order inside of what is denied", nil, "198.51.100.7", mitigation.Admit, mitigation.ReasonAllowList, mitigation.RankKnown, 2},
		{"a monitor inside of a ban", nil, "203.0.113.9", mitigation.Admit, mitigation.ReasonTrustedMonitor, mitigation.RankKnown, 0},
		{"banned by the operator", nil, "203.0.113.8", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 1},
		{"banned by the machine", nil, "10.1.2.3", mitigation.Drop, mitigation.ReasonBan, mitigation.RankSuspect, 3},
		{"a machine's ban and a clearance", func(v *traffic.Visit) { cleared(v, 9, old) }, "10.1.2.3", mitigation.Admit, mitigation.ReasonNone, mitigation.RankProven, 0},
		{"certificate validation from a banned prefix", func(v *traffic.Visit) { v.Path = acmePath + "tok-en_1" }, "192.0.2.2", mitigation.Admit, mitigation.ReasonACME, mitigation.RankNewcomer, 0},
		{"no token", func(v *traffic.Visit) { v.Path = acmePath }, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"a way out of the token", func(v *traffic.Visit) { v.Path = acmePath + "../../donate" }, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"an encoded way out", func(v *traffic.Visit) { v.Path = acmePath + "%2e%2e" }, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"spelt otherwise", func(v *traffic.Visit) { v.Path, v.Respelt = acmePath+"token", true }, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"a query there", func(v *traffic.Visit) { v.Path, v.RawQuery = acmePath+"token", "a" }, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"a POST there", func(v *traffic.Visit) { v.Path, v.Method = acmePath+"token", "POST" }, "192.0.2.2", mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect, 0},
		{"mitigated", func(v *traffic.Visit) { v.Path = "/wp-login.php" }, "100.64.0.1", mitigation.Refuse, mitigation.ReasonMitigation, mitigation.RankSuspect, 4},
		{"an operator's order and a clearance", func(v *traffic.Visit) { cleared(v, 7, old).Path = "/wp-login.php" }, "100.64.0.1", mitigation.Refuse, mitigation.ReasonMitigation, mitigation.RankSuspect, 4},
		{"slowed", func(v *traffic.Visit) { v.Path = "/slow" }, "100.64.0.1", mitigation.Slow, mitigation.ReasonMitigation, mitigation.RankSuspect, 5},
		{"no address at all", func(v *traffic.Visit) { v.Client = netip.Addr{} }, "100.64.0.1", mitigation.Admit, mitigation.ReasonNone, mitigation.RankNewcomer, 0},
	} {
		v := s.visit(c.addr)
		if c.visit != nil {
			c.visit(v)
		}
		d := s.Decide(v)
		if d.Action != c.action || d.Reason != c.reason || d.Rank != c.rank || d.ID != c.id {
			t.Errorf("%s: %s for %s, rank %s, #%d; want %s for %s, rank %s, #%d",
				c.name, d.Action, d.Reason, d.Rank, d.ID, c.action, c.reason, c.rank, c.id)
		}
		if !d.LetsIn() && d.Reason == mitigation.ReasonMitigation && d.RetryAfter <= 0 {
			t.Errorf("%s: no word on when to come back", c.name)
		}
	}

	s.SetOff(true)
	if d := s.Decide(s.visit("192.0.2.2")); d.Action != mitigation.Admit || d.Reason != mitigation.ReasonOff || !s.Off() {
		t.Errorf("switched off: %v", d)
	}
	s.SetOff(false)
	if d := s.Decide(s.visit("192.0.2.2")); d.Reason != mitigation.ReasonBan {
		t.Errorf("switched on again: %v", d)
	}
	st := s.Stats()
	if n := st.Decisions[mitigation.Admit][mitigation.ReasonOff]; n != 1 {
		t.Errorf("%d decisions counted while off", n)
	}
	if st.Allowed != 4 || st.Banned != 4 || st.Mitigations != 2 {
		t.Errorf("stats: %+v", st)
	}
}

// TestACMEIsNoWayIn: a flood that asks for certificate validation gets no more
// than that can ever need, and then what its prefix deserves.
func TestACMEIsNoWayIn(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Deny = []string{"192.0.2.2"} })
	flood := func(int) *traffic.Visit {
		return s.with("192.0.2.2", func(v *traffic.Visit) { v.Path = acmePath + "token" })()
	}
	if n := s.admitted(10_000, flood); n != acmeBurst {
		t.Errorf("%d were let in at once", n)
	}
	s.pass(10 * time.Second)
	if n := s.admitted(10_000, flood); n != 10*acmeRate {
		t.Errorf("%d were let in after ten seconds", n)
	}
	validator := func(int) *traffic.Visit {
		return s.with("100.64.0.9", func(v *traffic.Visit) { v.Path = acmePath + "token" })()
	}
	if n := s.admitted(10, validator); n != 10 {
		t.Errorf("of 10 validations meanwhile %d were let in", n)
	}
}

// TestClockAJumpApart: a visit whose time was read just before that of one which
// overtook it proves no long acquaintance.
func TestClockAJumpApart(t *testing.T) {
	if !(&prefixCell{clearedAt: 8}).liveClearance(7) {
		t.Error("a clearance seen a moment ago is not live")
	}
	c := standingCell{first: 8, pages: 1, assets: 5}
	if got := c.standing(7); got != traffic.StandingNew {
		t.Errorf("seen first a moment ago: %v", got)
	}
}

// What the machine orders never keeps out who must not be kept out.
func TestMachineNeverHits(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow, c.Monitors = []string{"192.0.2.1"}, []string{"192.0.2.2"} })
	all := is(traffic.FieldMethod, "GET")
	began := s.wall()
	s.UnderAttack(began)
	visits := map[string]func() *traffic.Visit{
		"allowed":  s.with("192.0.2.1", nil),
		"monitor":  s.with("192.0.2.2", nil),
		"proven":   s.with("192.0.2.3", func(v *traffic.Visit) { cleared(v, 1, began.Add(-time.Second)) }),
		"known":    s.with("192.0.2.3", func(v *traffic.Visit) { cleared(v, 2, began.Add(-time.Minute)) }),
		"ACME":     s.with("192.0.2.3", func(v *traffic.Visit) { v.Path = acmePath + "token" }),
		"stranger": s.with("192.0.2.3", nil),
	}
	for _, by := range []mitigation.By{mitigation.ByMachine, mitigation.ByPeer} {
		for _, what := range []match.Test{all, within("192.0.2.0/24")} {
			s.pass(askAgain * time.Second) // or the stranger was asked just now
			for _, act := range []mitigation.Action{mitigation.Refuse, mitigation.Drop, mitigation.Challenge} {
				s.apply(1, by, act, what)
				for who, v := range visits {
					if d := s.Decide(v()); d.LetsIn() == (who == "stranger") {
						t.Errorf("%s by %s: %s gets %v", act, by, who, d)
					}
				}
			}
			s.apply(1, by, mitigation.Slow, what)
			for who, v := range visits {
				d := s.Decide(v())
				if want := who == "stranger" || who == "proven"; (d.Action == mitigation.Slow) != want {
					t.Errorf("slow by %s: %s gets %v", by, who, d)
				}
			}
		}
	}
	s.apply(1, mitigation.ByOperator, mitigation.Refuse, all)
	for who, v := range visits {
		if d := s.Decide(v()); d.LetsIn() != (who == "allowed" || who == "monitor" || who == "ACME") {
			t.Errorf("refused by the operator: %s gets %v", who, d)
		}
	}
}

func (s *stage) with(addr string, change func(*traffic.Visit)) func() *traffic.Visit {
	return func() *traffic.Visit {
		v := s.visit(addr)
		if change != nil {
			change(v)
		}
		return v
	}
}

func TestApplyWithdraw(t *testing.T) {
	s := newStage(t)
	p := match.Client(netip.MustParsePrefix("192.0.2.0/24"))
	act := func() mitigation.ID { return s.Decide(s.visit("192.0.2.1")).ID }
	apply := func(id mitigation.ID, until time.Duration, a mitigation.Action, m *match.Match) {
		t.Helper()
		mit := mitigation.Mitigation{ID: id, Match: m, Action: a, By: mitigation.ByOperator}
		if until != 0 {
			mit.Until = s.wall().Add(until)
		}
		if err := s.Apply(mit); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, id mitigation.ID) {
		t.Helper()
		if got := act(); got != id {
			t.Errorf("%s: #%d decides, want #%d", what, got, id)
		}
	}
	apply(1, time.Minute, mitigation.Refuse, p)
	apply(2, time.Hour, mitigation.Refuse, p)
	expect("the one that ends last", 2)
	if s.Withdraw(2) != nil {
		t.Error("withdraw 2")
	}
	expect("the other, after it was withdrawn", 1)
	apply(1, time.Minute, mitigation.Slow, match.All(is(traffic.FieldPath, "/")))
	expect("the same ID on another list", 1)
	if d := s.Decide(s.visit("192.0.2.1")); d.Action != mitigation.Slow {
		t.Errorf("%v; the old ban still stands", d)
	}
	s.pass(2 * time.Minute)
	expect("nothing, after its end", 0)
	if err := s.Withdraw(99); err != nil {
		t.Errorf("withdraw what is not there: %v", err)
	}
	apply(3, -time.Second, mitigation.Refuse, p)
	expect("nothing: it has ended before it came", 0)

	for _, bad := range []mitigation.Mitigation{
		{ID: 0, Match: p}, {ID: 5}, {ID: 5, Match: p, Action: mitigation.Actions},
		{ID: 5, Match: p, Action: mitigation.Admit, By: mitigation.ByMachine},
		{ID: 5, Match: p, Action: mitigation.Admit, By: mitigation.ByPeer},
	} {
		if s.Apply(bad) == nil {
			t.Errorf("applied %+v", bad)
		}
	}
}

func TestAtMostSixtyFourOrders(t *testing.T) {
	s := newStage(t)
	order := func(i int) mitigation.Mitigation {
		return mitigation.Mitigation{ID: mitigation.ID(i + 1), Match: match.All(is(traffic.FieldPath, fmt.Sprint("/", i))), Action: mitigation.Refuse, By: mitigation.ByOperator}
	}
	for i := range MaxOrders {
		if err := s.Apply(order(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Apply(order(MaxOrders)); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	v := s.visit("192.0.2.1")
	v.Path = fmt.Sprint("/", MaxOrders-1)
	if d := s.Decide(v); d.ID != MaxOrders {
		t.Errorf("the last order does not hit: %v", d)
	}
	if err := s.Apply(order(5)); err != nil {
		t.Errorf("refreshing one of 64: %v", err)
	}
	if err := s.Withdraw(1); err != nil {
		t.Error(err)
	}
	if err := s.Apply(order(MaxOrders)); err != nil {
		t.Errorf("after one was withdrawn: %v", err)
	}
}

// The severest order that hits decides, but what a person lets in comes first.
func TestSeverityDecides(t *testing.T) {
	s := newStage(t)
	get := is(traffic.FieldMethod, "GET")
	s.apply(1, mitigation.ByMachine, mitigation.Slow, get)
	s.apply(2, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldKind, "page"))
	if d := s.Decide(s.visit("192.0.2.1")); d.ID != 2 {
		t.Errorf("%v", d)
	}
	if d := s.Decide(cleared(s.visit("192.0.2.1"), 1, s.wall())); d.ID != 1 {
		t.Errorf("spared by the severest, not by the next: %v", d)
	}
	s.apply(3, mitigation.ByOperator, mitigation.Admit, is(traffic.FieldPath, "/"))
	if d := s.Decide(s.visit("192.0.2.1")); d.ID != 3 || d.Action != mitigation.Admit {
		t.Errorf("%v", d)
	}
}

// Ends are computed once, at Apply: stepping the clock of the wall moves none.
func TestEndsByTheBootClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		err := s.Apply(mitigation.Mitigation{ID: 1, Match: match.Client(netip.MustParsePrefix("192.0.2.0/24")),
			Action: mitigation.Refuse, By: mitigation.ByOperator, Until: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			hits  bool
		}{{59 * time.Second, true}, {time.Second, false}} {
			time.Sleep(c.after)
			s.now = s.clk.Now()
			if d := s.Decide(s.visit("192.0.2.1")); !d.LetsIn() != c.hits {
				t.Errorf("after %v: %v", c.after, d)
			}
		}
		s.tidy()
		if st := s.Stats(); st.Banned != 0 {
			t.Errorf("%d bans are left", st.Banned)
		}
	})
}

func TestReconfigure(t *testing.T) {
	deny := func(d ...string) func(*Config) { return func(c *Config) { c.Clients, c.Deny, c.Bans = 4096, d, 2 } }
	s := newStage(t, deny("192.0.2.1", "192.0.2.2"))
	again := func(change func(*Config)) error {
		cfg := DefaultConfig()
		change(&cfg)
		return s.Reconfigure(cfg)
	}
	expect := func(what string, banned ...int) {
		t.Helper()
		for i := 1; i <= 4; i++ {
			d := s.Decide(s.visit(fmt.Sprintf("192.0.2.%d", i)))
			if want := slices.Contains(banned, i); d.LetsIn() == want {
				t.Errorf("%s: .%d gets %v", what, i, d)
			}
		}
	}
	expect("at first", 1, 2)
	if err := again(deny("192.0.2.3", "192.0.2.2")); err != nil {
		t.Fatal(err)
	}
	expect("other lists", 2, 3)
	s.Apply(mitigation.Mitigation{ID: 1, Match: match.Client(netip.MustParsePrefix("192.0.2.3/32")), Action: mitigation.Refuse, By: mitigation.ByOperator})
	if err := again(deny("192.0.2.1", "192.0.2.4")); !errors.Is(err, prefixset.ErrFull) {
		t.Errorf("three entries in a list of two: %v", err)
	}
	expect("what did not fit", 2, 3)
	if again(deny("nonsense")) == nil || again(func(c *Config) { deny()(c); c.Clients = 8192 }) == nil {
		t.Error("took over what it cannot")
	}
	if err := again(func(c *Config) { deny()(c); c.Burst = 5 }); err != nil {
		t.Fatal(err)
	}
	expect("the ban by order stays", 3)
	if n := s.admitted(100, s.from("198.51.100.1")); n != 5 {
		t.Errorf("a burst of %d, now 5", n)
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	s := newStage(t)
	s.apply(1, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldPath, "/x"))
	s.apply(2, mitigation.ByMachine, mitigation.Refuse, within("192.0.2.0/24"))
	issued := s.wall()
	n := testing.AllocsPerRun(500, func() {
		for _, addr := range []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom4([4]byte{10, 0, 0, 1})} {
			v := traffic.Visit{At: s.now, Client: addr, Peer: addr, Method: "GET", Path: "/"}
			s.Decide(&v)
			cleared(&v, 3, issued)
			s.Decide(&v)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Errorf("the defaults are wrong: %v", l)
	}
	bad := Config{Rate: -1, Allow: []string{"nonsense", "192.0.2.7/24"}, Deny: []string{"2001:db8::/129"}}
	if l := bad.Validate(); len(l) < 10 {
		t.Errorf("only %d problems: %v", len(l), l)
	}
	if _, err := New(bad, clock.New(), nil); err == nil {
		t.Error("New took it")
	}
}

// Matches on packets are the packet filter's: they take no room at the door.
func TestOrdersOnPacketsTakeNoRoom(t *testing.T) {
	s := newStage(t)
	syn := must(match.PacketIs(traffic.PacketFlags, "S"))
	all := must(match.OneOf(traffic.FieldMethod, "GET"))
	for i := range mitigation.ID(MaxOrders) {
		s.apply(i+2, mitigation.ByMachine, mitigation.Refuse, syn)
	}
	s.apply(1, mitigation.ByMachine, mitigation.Refuse, all)
	if d := s.Decide(s.visit("192.0.2.1")); d.ID != 1 {
		t.Errorf("the only order about visits does not hit: %v", d)
	}
	s.apply(1, mitigation.ByMachine, mitigation.Refuse, syn)
	if d := s.Decide(s.visit("192.0.2.1")); d.ID != 0 {
		t.Errorf("an order that has become one about packets hits visits: %v", d)
	}
}
