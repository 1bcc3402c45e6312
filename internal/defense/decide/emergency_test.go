package decide

import (
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

func TestEmergency(t *testing.T) {
	w := newWorld(t)
	crowd := []attack.Finding{{Vector: attack.FlashCrowd, Rate: 800, Normal: 80}}
	w.emergency()
	if w.actions() != "slow" || !w.UnderAttack() {
		t.Fatalf("%q", w.actions())
	}
	w.second(crowd, nil)
	if w.actions() != "" || w.UnderAttack() {
		t.Errorf("a crowd does not lift it: %q", w.actions())
	}
	w.emergency()
	for i := range 100 {
		w.pass(100 * time.Millisecond)
		w.apply(w.Tick(w.now))
		if i == 20 {
			w.emergency() // too early to renew
		}
	}
	if w.actions() != "" {
		t.Errorf("stands after ten seconds of quiet")
	}
}

// A flood of which no more gets in than usual needs no emergency, and whoever is new
// goes before what looks like it again.
func TestEmergencyIsLifted(t *testing.T) {
	part := attack.Finding{Vector: attack.CostlyRequests, Rate: 40, Normal: 0.5, Part: attack.Part{Path: "/poster"}}
	for _, c := range []struct {
		name   string
		flood  []attack.Finding
		window traffic.Window
		lifted bool
	}{
		{"the flood is refused", flood(true, false), traffic.Window{Admitted: 90, Refused: 4000}, true},
		{"more than usual gets in", flood(true, false), traffic.Window{Admitted: 300, Refused: 4000}, false},
		{"some find the line full", flood(true, false), traffic.Window{Admitted: 90, Origin: traffic.Origin{Shed: 1}}, false},
		{"the line is long", flood(true, false), traffic.Window{Admitted: 90, Origin: traffic.Origin{Waiting: 20, Limit: 20}}, false},
		// Of a part, what is usual of the part says nothing of what is let in.
		{"a part's flood is refused", []attack.Finding{part}, traffic.Window{Admitted: 90, Refused: 40}, true},
		{"beside a part's flood more than usual gets in", []attack.Finding{part}, traffic.Window{Admitted: 300, Refused: 40}, false},
	} {
		w := newWorld(t)
		w.emergency()
		step := func() {
			w.pass(time.Second)
			win := c.window
			win.At, win.Span = w.now.At, time.Second
			w.apply(w.Step(Input{Now: w.now, Window: &win, Findings: c.flood, Usual: 80}))
		}
		if step(); w.actions() != "slow" {
			t.Fatalf("%s: lifted after a second", c.name)
		}
		if step(); (w.actions() == "") != c.lifted {
			t.Errorf("%s: after two seconds %q", c.name, w.actions())
		}
	}
}
