package admit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Who is challenged is asked once, and behind everybody else after that, unless a
// clearance comes.
func TestChallenge(t *testing.T) {
	const browser = "Mozilla/5.0 (X11)"
	for _, c := range []struct {
		name   string
		change func(*traffic.Visit)
		want   mitigation.Action
	}{
		{"a page", nil, mitigation.Challenge},
		{"HEAD", func(v *traffic.Visit) { v.Method = "HEAD" }, mitigation.Challenge},
		{"a form", func(v *traffic.Visit) { v.Method = "POST" }, mitigation.Slow},
		{"an asset", func(v *traffic.Visit) { v.Kind = traffic.KindAsset }, mitigation.Slow},
		{"a feed", func(v *traffic.Visit) { v.Kind = traffic.KindFeed }, mitigation.Slow},
		{"an API", func(v *traffic.Visit) { v.Kind = traffic.KindAPI }, mitigation.Slow},
		{"with a clearance", func(v *traffic.Visit) { cleared(v, 1, time.Now()) }, mitigation.Admit},
		{"something else", func(v *traffic.Visit) { v.Path = "/other" }, mitigation.Admit},
	} {
		for _, by := range []mitigation.By{mitigation.ByMachine, mitigation.ByOperator, mitigation.ByRule} {
			s := newStage(t)
			s.apply(1, by, mitigation.Challenge, is(traffic.FieldPath, "/"))
			v := s.visit("192.0.2.7")
			if v.UserAgent = browser; c.change != nil {
				c.change(v)
			}
			d := s.Decide(v)
			if d.Action != c.want || c.want == mitigation.Slow && d.Rank != mitigation.RankSuspect {
				t.Errorf("%s, ordered by %v: %v, rank %v, want %v", c.name, by, d.Action, d.Rank, c.want)
			}
			if d.RetryAfter != 0 || c.want != mitigation.Admit && d.ID != 1 {
				t.Errorf("%s, ordered by %v: %+v", c.name, by, d)
			}
			if again := s.Reconsider(v, mitigation.Verdict{Rank: mitigation.RankNewcomer}); again.Action == mitigation.Challenge {
				t.Errorf("%s: asked while waiting in line", c.name)
			}
		}
	}
}

func TestAskedOnce(t *testing.T) {
	s := newStage(t)
	s.apply(1, mitigation.ByMachine, mitigation.Challenge, is(traffic.FieldPath, "/"))
	come := func(agent string, change func(*traffic.Visit)) string {
		v := s.visit("192.0.2.7")
		if v.UserAgent = agent; change != nil {
			change(v)
		}
		return s.Decide(v).Action.String()
	}
	story := ""
	for _, wait := range []time.Duration{0, 0, time.Second, 3 * time.Second, 2 * time.Second, 6 * time.Second, 6 * time.Second, 6 * time.Second, 6 * time.Second} {
		s.pass(wait)
		story += come("one", nil) + " "
	}
	if want := "challenge slow slow slow challenge challenge challenge slow slow "; story != want {
		t.Errorf("without cookies: %s, want %s", story, want)
	}
	if got := come("two", nil); got != "challenge" {
		t.Errorf("another program of the same client: %s", got)
	}
	s.pass(5 * time.Minute)
	if got := come("one", nil); got != "challenge" {
		t.Errorf("minutes later: %s", got)
	}
	// Many people behind one address, with one browser: each answers.
	for i := range 20 {
		s.pass(2 * time.Second)
		agent := fmt.Sprint("three", i/20)
		if got := come(agent, nil); got != "challenge" {
			t.Fatalf("person %d: %s", i, got)
		}
		if got := come(agent, func(v *traffic.Visit) { cleared(v, uint64(i+1), s.wall()) }); got != "admit" {
			t.Fatalf("person %d comes back: %s", i, got)
		}
	}
	s.Trials(func(id mitigation.ID, asked, answered uint64) {
		if id != 1 || asked != 26 || answered != 20 {
			t.Errorf("#%d asked %d, %d answered", id, asked, answered)
		}
	})
	s.Trials(func(id mitigation.ID, asked, answered uint64) { t.Errorf("#%d twice", id) })
	st := s.Stats()
	if n := st.Decisions[mitigation.Challenge][mitigation.ReasonMitigation]; n != 26 || st.Answered != 20 {
		t.Errorf("%d were asked, %d answered", n, st.Answered)
	}
}

// Also where it is about a prefix alone it is counted.
func TestChallengeOfPrefix(t *testing.T) {
	s := newStage(t)
	m := match.Client(netip.MustParsePrefix("192.0.2.0/24"))
	if err := s.Apply(mitigation.Mitigation{ID: 1, By: mitigation.ByOperator, Action: mitigation.Challenge, Match: m}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from string
		want mitigation.Action
	}{{"192.0.2.7", mitigation.Challenge}, {"192.0.2.7", mitigation.Slow}, {"198.51.100.7", mitigation.Admit}} {
		if d := s.Decide(s.visit(c.from)); d.Action != c.want {
			t.Errorf("%s: %v, want %v", c.from, d.Action, c.want)
		}
	}
	seen := false
	s.Trials(func(id mitigation.ID, asked, answered uint64) { seen = id == 1 && asked == 1 && answered == 0 })
	if !seen {
		t.Error("nobody counts whom it asks")
	}
}

// Only the clearance that was sent is an answer, and once: else one cookie would answer for
// all programs behind an address, as often as they are asked.
func TestOldClearanceAnswersNothing(t *testing.T) {
	s := newStage(t)
	s.apply(1, mitigation.ByMachine, mitigation.Challenge, is(traffic.FieldPath, "/"))
	ask := func(want mitigation.Action) {
		t.Helper()
		if d := s.Decide(s.visit("192.0.2.7")); d.Action != want {
			t.Errorf("%v, want %v", d.Action, want)
		}
	}
	answered := func() uint64 { return s.Stats().Answered }
	old := s.wall()
	s.pass(time.Minute)
	ask(mitigation.Challenge)
	s.Decide(cleared(s.visit("192.0.2.7"), 1, old))
	if ask(mitigation.Slow); answered() != 0 {
		t.Error("a clearance of a minute ago answers")
	}
	s.Decide(cleared(s.visit("192.0.2.7"), 2, s.wall()))
	if ask(mitigation.Challenge); answered() != 1 {
		t.Errorf("the one that was sent: %d answers", answered())
	}
	s.pass(time.Second)
	s.Decide(cleared(s.visit("192.0.2.7"), 2, s.wall().Add(-time.Second)))
	if ask(mitigation.Slow); answered() != 1 {
		t.Errorf("the same once more: %d answers", answered())
	}
}

// A challenge refuses nobody: whoever is asked again and again is no offender.
func TestAskedIsNoOffender(t *testing.T) {
	s := newStage(t, func(cfg *Config) { cfg.Rate, cfg.Burst = 1000, 1000 })
	s.apply(1, mitigation.ByMachine, mitigation.Challenge, is(traffic.FieldPath, "/"))
	for i := range 5 * offenceCalm {
		v := s.visit("192.0.2.7")
		v.UserAgent = fmt.Sprint("Program/", i)
		if s.Decide(v).Action != mitigation.Challenge {
			t.Fatalf("visit %d is not asked", i)
		}
	}
	select {
	case o := <-s.Offences():
		t.Errorf("reported: %+v", o)
	default:
	}
}
