package admit

import (
	"fmt"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// rule applies one of the configuration's.
func (s *stage) rule(id mitigation.ID, act mitigation.Action, shadow bool, tests ...match.Test) {
	s.t.Helper()
	if err := s.Apply(mitigation.Mitigation{ID: id, Match: match.All(tests...), Action: act, By: mitigation.ByRule, Shadow: shadow}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) shadows() string {
	text := ""
	s.Shadows(func(id mitigation.ID, met, cleared uint64) { text += fmt.Sprintf("#%d %d/%d ", id, met, cleared) })
	return text
}

// What the configuration says of a request goes before what the machine says, and
// after lists and budgets. A severer mitigation wins over one that slows.
func TestRules(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow, c.Deny = []string{"192.0.2.1"}, []string{"198.51.100.0/24"} })
	s.rule(1, mitigation.Refuse, false, is(traffic.FieldPath, "/xmlrpc.php"))
	s.rule(2, mitigation.Admit, false, is(traffic.FieldPath, "/hook"))
	s.rule(3, mitigation.Slow, false, is(traffic.FieldPath, "/search", "/heavy"))
	s.rule(4, mitigation.Refuse, false, within("203.0.113.0/24"))
	s.apply(10, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldPath, "/hook", "/heavy"))
	s.apply(11, mitigation.ByMachine, mitigation.Slow, is(traffic.FieldPath, "/search"))
	for _, c := range []struct {
		path, addr string
		action     mitigation.Action
		reason     mitigation.Reason
		id         mitigation.ID
	}{
		{"/xmlrpc.php", "100.64.0.1", mitigation.Refuse, mitigation.ReasonRule, 1},
		{"/xmlrpc.php", "192.0.2.1", mitigation.Admit, mitigation.ReasonAllowList, 0},
		{"/hook", "100.64.0.1", mitigation.Admit, mitigation.ReasonRule, 2},
		{"/hook", "198.51.100.9", mitigation.Refuse, mitigation.ReasonBan, 0},
		{"/search", "100.64.0.1", mitigation.Slow, mitigation.ReasonRule, 3},
		{"/heavy", "100.64.0.1", mitigation.Refuse, mitigation.ReasonMitigation, 10},
		{"/", "203.0.113.9", mitigation.Refuse, mitigation.ReasonRule, 4},
		{"/", "100.64.0.1", mitigation.Admit, mitigation.ReasonNone, 0},
	} {
		v := s.visit(c.addr)
		v.Path = c.path
		if got := s.Decide(v); got.Action != c.action || got.Reason != c.reason || got.ID != c.id || c.reason == mitigation.ReasonRule && got.RetryAfter != 0 {
			t.Errorf("%s from %s: %+v, want %v %v #%d", c.path, c.addr, got, c.action, c.reason, c.id)
		}
	}
	// A person's will holds for visitors with a clearance, too.
	v := cleared(s.visit("100.64.0.1"), 7, s.wall())
	v.Path = "/xmlrpc.php"
	if got := s.Decide(v); got.Action != mitigation.Refuse {
		t.Errorf("with a clearance: %+v", got)
	}
	for _, id := range []mitigation.ID{1, 2, 3, 4} {
		if err := s.Withdraw(id); err != nil {
			t.Fatal(err)
		}
	}
	v = s.visit("100.64.0.1")
	if v.Path = "/xmlrpc.php"; s.Decide(v).Action != mitigation.Admit || s.Admit.rules.Load() != nil {
		t.Error("still there after it was withdrawn")
	}
}

// A rule about one prefix stands on the lists of prefixes, and is a rule all the same:
// nobody takes what it stops for a flood, or for a ban. One that slows keeps no severer
// mitigation from acting; what an operator slows by an order is settled by that.
func TestRulesAboutPrefixes(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Deny = []string{"198.51.100.0/24"} })
	s.rule(1, mitigation.Refuse, false, within("203.0.113.0/24"))
	s.rule(2, mitigation.Slow, false, within("192.0.2.0/24"))
	s.rule(3, mitigation.Slow, false, is(traffic.FieldPath, "/search"))
	s.rule(4, mitigation.Slow, false, within("10.1.0.0/16"))
	s.apply(5, mitigation.ByOperator, mitigation.Slow, within("10.2.0.0/16"))
	s.apply(6, mitigation.ByOperator, mitigation.Refuse, within("10.3.0.0/16"))
	s.apply(10, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldPath, "/flood"))
	s.apply(11, mitigation.ByMachine, mitigation.Slow, is(traffic.FieldPath, "/busy"))
	s.apply(12, mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldJA4, "t13d"))
	for _, c := range []struct {
		path, addr string
		action     mitigation.Action
		reason     mitigation.Reason
		id         mitigation.ID
	}{
		{"/", "203.0.113.9", mitigation.Refuse, mitigation.ReasonRule, 1},
		{"/", "192.0.2.9", mitigation.Slow, mitigation.ReasonRule, 2},
		{"/flood", "192.0.2.9", mitigation.Refuse, mitigation.ReasonMitigation, 10},
		{"/busy", "192.0.2.9", mitigation.Slow, mitigation.ReasonRule, 2},
		{"/search", "192.0.2.9", mitigation.Slow, mitigation.ReasonRule, 2},
		{"/search", "10.1.0.9", mitigation.Slow, mitigation.ReasonRule, 3}, // the older
		{"/flood", "10.2.0.9", mitigation.Slow, mitigation.ReasonMitigation, 5},
		{"/", "10.3.0.9", mitigation.Refuse, mitigation.ReasonBan, 6},
		{"/", "198.51.100.9", mitigation.Refuse, mitigation.ReasonBan, 0},
	} {
		v := s.visit(c.addr)
		v.Path = c.path
		if got := s.Decide(v); got.Action != c.action || got.Reason != c.reason || got.ID != c.id {
			t.Errorf("%s from %s: %+v, want %v %v #%d", c.path, c.addr, got, c.action, c.reason, c.id)
		}
	}
	s.Greet(s.visit("203.0.113.9")) // one goes through now and then
	if got := s.Greet(s.visit("203.0.113.9")); got.Action != mitigation.Refuse || got.Reason != mitigation.ReasonRule || got.ID != 1 {
		t.Errorf("before a handshake: %+v", got)
	}
	// Nor does it before a handshake, to somebody whom the door has refused already.
	for _, c := range []struct {
		addr string
		in   bool
	}{{"192.0.2.77", false}, {"10.2.0.77", true}} {
		v := s.visit(c.addr)
		v.JA4 = "t13d"
		for range greetRefused {
			s.noteAtPrefix(met(s.Admit, v))
		}
		s.Greet(v)
		if got := s.Greet(v); got.LetsIn() != c.in {
			t.Errorf("%s before a handshake: %+v", c.addr, got)
		}
	}
}

// met is a meeting with the visit, as far as a prefix's refusals need it.
func met(a *Admit, v *traffic.Visit) *meeting {
	m := &meeting{v: v, now: v.At, sec: uint32(v.At / clock.Instant(time.Second)), addr: addressOf(v.Client)}
	m.client = m.addr.hash(&a.seed, traffic.LevelClient)
	return m
}

// Rules have places of their own: a full list of them leaves the machine's alone,
// and the other way round.
func TestRulesTakeNobodysPlace(t *testing.T) {
	s := newStage(t)
	for i := range MaxOrders {
		s.rule(mitigation.ID(i+1), mitigation.Refuse, false, is(traffic.FieldPath, fmt.Sprint("/", i)))
		s.apply(mitigation.ID(i+1000), mitigation.ByMachine, mitigation.Refuse, is(traffic.FieldPath, fmt.Sprint("/m", i)))
	}
	if n := s.Stats().Mitigations; n != 2*MaxOrders {
		t.Errorf("%d are active", n)
	}
	if s.Apply(mitigation.Mitigation{ID: 999, Match: match.All(is(traffic.FieldPath, "/x")), Action: mitigation.Slow, By: mitigation.ByRule}) == nil {
		t.Error("there is room for one more rule")
	}
}

// A mitigation on a dry run counts whom it would have met, and the visit goes on to
// the next. Before a handshake it says nothing.
func TestShadow(t *testing.T) {
	s := newStage(t)
	s.rule(1, mitigation.Refuse, true, is(traffic.FieldPath, "/a"))
	s.rule(2, mitigation.Refuse, true, within("203.0.113.0/24"))
	s.rule(3, mitigation.Slow, false, is(traffic.FieldPath, "/a"))
	s.rule(4, mitigation.Slow, true, is(traffic.FieldPath, "/a"))
	for range 3 {
		v := s.visit("203.0.113.5")
		v.Path = "/a"
		if got := s.Decide(v); got.Action != mitigation.Slow || got.ID != 3 {
			t.Fatalf("%+v", got)
		}
	}
	v := cleared(s.visit("100.64.0.1"), 7, s.wall())
	if v.Path = "/a"; s.Decide(v).ID != 3 {
		t.Error("the one that acts was not met")
	}
	if got := s.Greet(s.visit("203.0.113.5")); !got.LetsIn() {
		t.Errorf("refused before its handshake: %+v", got)
	}
	// Number 4 is not reached: number 3 takes what it would meet.
	if got := s.shadows(); got != "#1 4/1 #2 3/0 " {
		t.Errorf("counted %q", got)
	}
	if got := s.shadows(); got != "" {
		t.Errorf("counted twice: %q", got)
	}
	// Applied anew it goes on counting; once it acts it no longer does.
	s.rule(1, mitigation.Refuse, true, is(traffic.FieldPath, "/a"))
	s.rule(2, mitigation.Refuse, false, within("203.0.113.0/24"))
	if got := s.Decide(s.visit("203.0.113.5")); got.Reason != mitigation.ReasonRule || got.ID != 2 {
		t.Errorf("the dry run is over: %+v", got)
	}
	if got := s.shadows(); got != "" {
		t.Errorf("counted %q", got)
	}
}

// BenchmarkDecideRules is BenchmarkDecide with 64 rules besides, half of them on a
// dry run.
func BenchmarkDecideRules(b *testing.B) {
	a, at, issued := benchDoor(b)
	for i := range MaxOrders {
		mt := match.All(is(traffic.FieldPath, benchPaths[i%len(benchPaths)]), must(match.Contains(traffic.FieldUserAgent, fmt.Sprint("bot-", i))))
		if i%2 == 0 { // these meet a visit in eight, for one and another reason
			mt = match.All(is(traffic.FieldCountry, benchLands[i/2%8]), is(traffic.FieldKind, "page"))
		}
		if err := a.Apply(mitigation.Mitigation{ID: mitigation.ID(i + 100), Match: mt, Action: mitigation.Refuse, By: mitigation.ByRule, Shadow: i%2 == 0}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	var v traffic.Visit
	i, step := uint32(0), uint32(0)
	for b.Loop() {
		i, step, at = i+1, step+1, at.Add(10*1000)
		benchVisit(&v, clientOf(i), step, at, issued)
		a.Decide(&v)
	}
}
