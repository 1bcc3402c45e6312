package admit

import (
	"fmt"
	"testing"
	"time"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// In watch mode the machine and the budgets stop nobody, and it is known whom they
// would have; people's orders, rules and lists act as ever.
func TestWatch(t *testing.T) {
	s := newStage(t, func(c *Config) {
		c.Watch, c.Burst, c.Rate = true, 3, 0.1
		c.Deny, c.Allow = []string{"192.0.2.7"}, []string{"192.0.2.1"}
	})
	shadow := func(id mitigation.ID, act mitigation.Action, path string) {
		m := mitigation.Mitigation{ID: id, Action: act, By: mitigation.ByMachine, Shadow: true}
		m.Match = must(match.Parse(fmt.Sprintf("path == %q", path)))
		if err := s.Apply(m); err != nil {
			t.Fatal(err)
		}
	}
	shadow(1, mitigation.Refuse, "/flood")
	shadow(2, mitigation.Slow, "/slow")
	if err := s.Apply(mitigation.Mitigation{ID: 3, Match: match.All(within("203.0.113.0/24")), Action: mitigation.Refuse, By: mitigation.ByMachine, Shadow: true}); err != nil {
		t.Fatal(err)
	}
	s.apply(4, mitigation.ByOperator, mitigation.Refuse, is(traffic.FieldPath, "/closed"))
	s.rule(5, mitigation.Refuse, false, is(traffic.FieldPath, "/rule"))
	for i, c := range []struct {
		path, addr string
		action     mitigation.Action
		id         mitigation.ID
		would      mitigation.Would
	}{
		{"/", "100.64.0.1", mitigation.Admit, 0, mitigation.Would{}},
		{"/flood", "100.64.1.1", mitigation.Admit, 0, mitigation.Would{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: 1}},
		{"/slow", "100.64.2.1", mitigation.Admit, 0, mitigation.Would{Action: mitigation.Slow, Reason: mitigation.ReasonMitigation, ID: 2}},
		{"/flood", "203.0.113.1", mitigation.Admit, 0, mitigation.Would{Action: mitigation.Refuse, Reason: mitigation.ReasonBan, ID: 3}},
		{"/closed", "203.0.113.2", mitigation.Refuse, 4, mitigation.Would{}},
		{"/rule", "100.64.3.1", mitigation.Refuse, 5, mitigation.Would{}},
		{"/", "192.0.2.7", mitigation.Refuse, 0, mitigation.Would{}},
		{"/flood", "192.0.2.1", mitigation.Admit, 0, mitigation.Would{}},
	} {
		v := s.visit(c.addr)
		v.Path = c.path
		if got := s.Decide(v); got.Action != c.action || got.ID != c.id || got.Would != c.would {
			t.Errorf("%d: %s from %s: %+v", i, c.path, c.addr, got)
		}
	}
	// The machine spares who holds a clearance, and would have.
	v := cleared(s.visit("100.64.4.1"), 7, s.wall().Add(-time.Hour))
	if v.Path = "/flood"; s.Decide(v).Would.Action != mitigation.Admit {
		t.Error("a visitor with a clearance would have been refused")
	}
	if in := s.admitted(500, s.from("100.64.5.1")); in != 500 {
		t.Errorf("the budget let in %d of 500", in)
	}
	if v := s.Greet(s.visit("203.0.113.1")); !v.LetsIn() {
		t.Errorf("turned away before its handshake: %+v", v)
	}
	st := s.Stats()
	if n := st.Would[mitigation.Refuse][mitigation.ReasonClientBudget]; n < 490 || n > 500 {
		t.Errorf("%d would have been over the budget", n)
	}
	select {
	case o := <-s.Offences():
		t.Errorf("reported for what it was not refused: %+v", o)
	default:
	}
	if got := s.shadows(); got != "#1 1/0 #2 1/0 " { // number 3 would have been before
		t.Errorf("counted %q", got)
	}
}

// In watch mode nobody is asked, and only who could have been counts as one who would have.
func TestWatchAsksNobody(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Watch = true })
	if err := s.Apply(mitigation.Mitigation{ID: 1, Match: match.All(is(traffic.FieldPath, "/")), Action: mitigation.Challenge, By: mitigation.ByMachine, Shadow: true}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind   traffic.Kind
		method string
		would  mitigation.Action
	}{
		{traffic.KindPage, "GET", mitigation.Challenge},
		{traffic.KindPage, "POST", mitigation.Slow},
		{traffic.KindAsset, "GET", mitigation.Slow},
		{traffic.KindAPI, "GET", mitigation.Slow},
	} {
		v := s.visit("192.0.2.7")
		v.Kind, v.Method = c.kind, c.method
		if d := s.Decide(v); d.Action != mitigation.Admit || d.Would.Action != c.would {
			t.Errorf("%s %s: %+v", c.method, c.kind, d)
		}
	}
	s.Trials(func(id mitigation.ID, asked, _ uint64) { t.Errorf("#%d asked %d", id, asked) })
}
