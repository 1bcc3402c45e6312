package listen

import (
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// The coarse time follows the clock, but for times in which nothing ran.
func TestCoarseTimeStandsStillWithTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{clk: clock.New(), tick: 100 * time.Millisecond}
		s.keepTime()
		first := s.coarse()
		elapsed := func() time.Duration { return time.Duration(s.coarse()-first) * time.Millisecond }
		for range 50 {
			time.Sleep(s.tick)
			s.keepTime()
		}
		if d := elapsed(); d != 5*time.Second {
			t.Errorf("after 5 s it says %v", d)
		}
		time.Sleep(time.Hour)
		s.keepTime()
		if d := elapsed(); d != 5*time.Second+4*s.tick {
			t.Errorf("after a pause it says %v", d)
		}
		time.Sleep(3 * s.tick) // a busy machine is late, too
		s.keepTime()
		if d := elapsed(); d != 5*time.Second+7*s.tick {
			t.Errorf("after the pause it goes on to %v", d)
		}
	})
}

// Who is challenged is about to ask once more, on the same connection: it is no more
// among the first to be closed than who was let in.
func TestChallengedConnectionIsKept(t *testing.T) {
	for _, c := range []struct {
		action   mitigation.Action
		in       bool
		worth    uint32
		unwanted bool
	}{
		{mitigation.Admit, true, letIn, false},
		{mitigation.Slow, true, letIn, false},
		{mitigation.Challenge, false, letIn, false},
		{mitigation.Refuse, false, 0, true},
	} {
		var one conn
		in := one.weigh(&exchange{verdict: mitigation.Verdict{Action: c.action}})
		if in != c.in || one.worth.Load() != c.worth || one.unwanted.Load() != c.unwanted {
			t.Errorf("%v: goes on %v, worth %d, unwanted %v", c.action, in, one.worth.Load(), one.unwanted.Load())
		}
	}
}
