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
