package admit

import (
	"testing"
	"time"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// A visit that was let in is judged by orders that came since; nothing else that would
// be asked of a new one is asked again.
func TestReconsider(t *testing.T) {
	const addr = "192.0.2.7"
	ours := is(traffic.FieldPath, "/")
	for _, c := range []struct {
		name   string
		change func(*traffic.Visit)
		order  func(s *stage)
		want   mitigation.Action
		reason mitigation.Reason
		rank   mitigation.Rank
	}{
		{"nothing new", nil, func(*stage) {}, mitigation.Admit, 0, mitigation.RankNewcomer},
		{"the machine refuses", nil, func(s *stage) { s.apply(1, mitigation.ByMachine, mitigation.Refuse, ours) },
			mitigation.Refuse, mitigation.ReasonMitigation, mitigation.RankSuspect},
		{"but nobody with a clearance", func(v *traffic.Visit) { cleared(v, 1, time.Now()) },
			func(s *stage) { s.apply(1, mitigation.ByMachine, mitigation.Refuse, ours) }, mitigation.Admit, 0, mitigation.RankProven},
		{"it slows", nil, func(s *stage) { s.apply(1, mitigation.ByMachine, mitigation.Slow, ours) },
			mitigation.Slow, mitigation.ReasonMitigation, mitigation.RankSuspect},
		{"a person bans", nil, func(s *stage) { s.apply(1, mitigation.ByOperator, mitigation.Refuse, within("192.0.2.0/24")) },
			mitigation.Refuse, mitigation.ReasonBan, mitigation.RankSuspect},
		{"whom a person lets in stays", nil, func(s *stage) {
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, ours)
			s.apply(2, mitigation.ByOperator, mitigation.Admit, within("192.0.2.7/32"))
		}, mitigation.Admit, 0, mitigation.RankNewcomer},
		{"off", nil, func(s *stage) {
			s.apply(1, mitigation.ByMachine, mitigation.Refuse, ours)
			s.SetOff(true)
		}, mitigation.Admit, 0, mitigation.RankNewcomer},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, func(cfg *Config) { cfg.Rate, cfg.Burst = 1, 2 })
			v := s.visit(addr)
			if c.change != nil {
				c.change(v)
			}
			was := s.Decide(v)
			if !was.LetsIn() {
				t.Fatalf("not let in: %+v", was)
			}
			c.order(s)
			got := s.Reconsider(v, was)
			if got.Action != c.want || got.Rank != c.rank || c.want != mitigation.Admit && got.Reason != c.reason {
				t.Errorf("%+v, want %v, %v, rank %d", got, c.want, c.reason, c.rank)
			}
			if refused := s.Stats().Decisions[mitigation.Refuse][c.reason]; c.want == mitigation.Refuse && refused != 1 {
				t.Errorf("%d refusals are counted", refused)
			}
			// Its budget was charged once: there is a second request, and no third.
			s.SetOff(false)
			for _, id := range []mitigation.ID{1, 2} {
				if err := s.Withdraw(id); err != nil {
					t.Fatal(err)
				}
			}
			for i, in := range []bool{true, false} {
				if d := s.Decide(s.visit(addr)); c.change == nil && d.LetsIn() != in {
					t.Errorf("request %d after it: %+v", i, d)
				}
			}
		})
	}
}

// What is on a dry run counts a visit once.
func TestReconsiderCountsNoShadows(t *testing.T) {
	s := newStage(t)
	m := mitigation.Mitigation{ID: 1, Match: match.All(is(traffic.FieldPath, "/")), Action: mitigation.Refuse, By: mitigation.ByOperator, Shadow: true}
	if err := s.Apply(m); err != nil {
		t.Fatal(err)
	}
	v := s.visit("192.0.2.7")
	was := s.Decide(v)
	if got := s.Reconsider(v, was); got != was {
		t.Errorf("%+v, was %+v", got, was)
	}
	s.Shadows(func(_ mitigation.ID, met, _ uint64) {
		if met != 1 {
			t.Errorf("counted %d times", met)
		}
	})
}
