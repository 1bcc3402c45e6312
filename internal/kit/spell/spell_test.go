package spell

import (
	"testing"
	"time"

	"seawall/internal/kit/clock"
)

func TestSpell(t *testing.T) {
	var s Spell
	at := clock.Instant(time.Hour)
	step := func(here, lingers bool) bool {
		at = at.Add(time.Second)
		return s.Step(at, time.Second, here, lingers, 3*time.Second)
	}
	for i, c := range []struct{ here, lingers, want bool }{
		{false, true, false}, // too little to begin
		{true, true, true},
		{false, false, true}, {false, false, true}, // two calm seconds
		{false, true, true}, // not over
		{false, false, true}, {false, false, true}, {false, false, false},
		{false, true, false},
		{true, true, true},
	} {
		if got := step(c.here, c.lingers); got != c.want || s.On() != got {
			t.Fatalf("step %d: %v", i, got)
		}
	}
	if got := at.Sub(s.Since()); got != time.Second {
		t.Errorf("it began %v before the end of its first step", got)
	}
}
