package defense

import (
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/mitigation"
)

func parsed(t *testing.T, rules ...Rule) []decide.Rule {
	t.Helper()
	if err := Rules(rules).Validate().Err(); err != nil {
		t.Fatal(err)
	}
	return Rules(rules).Parsed()
}

// What the configuration says is in force from the first moment, changes with it, and
// outlives neither the configuration nor a restart twice.
func TestRulesInTheLoop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := Rule{Name: "a", Match: `path == "/a"`, Action: "refuse"}
		b := Rule{Name: "b", Match: `path == "/b"`, Action: "slow", DryRun: true}
		names := func(s *sim) (text string) {
			for id := range mitigation.ID(20) {
				if m, ok := s.standing[id]; ok {
					text += m.Name + " "
				}
			}
			return text
		}
		s := newSimRules(t, dir, parsed(t, a, b))
		shadows := uint64(0)
		s.loop.deps.Shadows = func(tell func(mitigation.ID, uint64, uint64)) {
			shadows++
			tell(2, 5, 1)
		}
		if !s.loop.Still() {
			t.Error("rules alone are no unrest")
		}
		stop := s.start(t)
		s.run(3 * time.Second)
		if got := names(s); got != "a b " {
			t.Errorf("in force: %q", got)
		}
		if k, _ := s.loop.Known(2); !k.Shadow || k.Hits != 5*shadows || k.Cleared != shadows || shadows < 2 {
			t.Errorf("on a dry run %d seconds: %+v", shadows, k)
		}
		if err := s.loop.Rules(parsed(t, b, Rule{Name: "c", Match: `path == "/c"`, Action: "admit"})); err != nil {
			t.Fatal(err)
		}
		if got := names(s); got != "b c " {
			t.Errorf("after a reload: %q", got)
		}
		stop()

		// Another process, whose configuration has one of them.
		s = newSimRules(t, dir, parsed(t, b))
		stop = s.start(t)
		s.run(time.Second)
		if got := names(s); got != "b " || !s.standing[2].Shadow {
			t.Errorf("after a restart: %q, %+v", got, s.standing)
		}
		stop()
	})
}

// slowDoor takes its time to apply what people and rules want.
type slowDoor struct {
	*sim
	wait time.Duration
}

func (d *slowDoor) Apply(m mitigation.Mitigation) error {
	time.Sleep(d.wait)
	return d.sim.Apply(m)
}

// Whoever changes the configuration is told the truth: an error means that the rules
// before stand and will, and no error that these do, or will at once.
func TestRulesWhileTheLoopIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, "")
		door := &slowDoor{s, 2 * patience}
		l, err := New(DefaultConfig(), Deps{Clock: s.clk, Log: s.loop.log, Applier: door, Rules: parsed(t, Rule{Name: "a", Match: `path == "/a"`, Action: "refuse"})})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.loop.Close()
		s.loop = l
		stop := s.start(t)
		defer stop()
		names := func() (text string) {
			for _, m := range l.Mitigations() {
				text += m.Name + " "
			}
			return text
		}
		// It still applies the first.
		if err := l.Rules(parsed(t, Rule{Name: "b", Match: `path == "/b"`, Action: "refuse"})); err == nil {
			t.Error("the loop has not even heard of the rules, and they are said to stand")
		}
		time.Sleep(4 * patience)
		if got := names(); got != "a " {
			t.Errorf("after an error: %q", got)
		}
		// It has begun with these, and ends what it has begun.
		if err := l.Rules(parsed(t, Rule{Name: "c", Match: `path == "/c"`, Action: "refuse"})); err != nil {
			t.Error(err)
		}
		time.Sleep(4 * patience)
		if got := names(); got != "c " {
			t.Errorf("once it had time: %q", got)
		}
	})
}
