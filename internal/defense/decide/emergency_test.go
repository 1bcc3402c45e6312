package decide

import (
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
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

// Beside a flood that is slowed by what it has in common, newcomers go as what they are:
// behind everybody else they would wait in one rank with it.
func TestEmergencyGivesWayToSlowing(t *testing.T) {
	const slowing = 2 // the signature's ID; the emergency is #1
	full := traffic.Origin{Shed: 500, Waiting: 550, Behind: 545, Limit: 15}
	for _, c := range []struct {
		name   string
		action mitigation.Action
		window traffic.Window
		lifted bool
	}{
		{"nearly all of it is slowed", mitigation.Slow, traffic.Window{Admitted: 850, Slowed: 640, Hits: hits(1, 30, slowing, 610), Origin: full}, true},
		{"nearly all of it is challenged", mitigation.Challenge, traffic.Window{Admitted: 850, Slowed: 640, Hits: hits(1, 30, slowing, 1000), Trials: map[uint32]traffic.Trial{slowing: {Asked: 390}}, Origin: full}, true},
		{"of what is challenged much was asked, and is not in line", mitigation.Challenge, traffic.Window{Admitted: 850, Slowed: 640, Hits: hits(1, 130, slowing, 900), Trials: map[uint32]traffic.Trial{slowing: {Asked: 390}}, Origin: full}, false},
		{"what is let in besides is little", mitigation.Slow, traffic.Window{Admitted: 700, Slowed: 690, Hits: hits(1, 90, slowing, 600), Origin: full}, true},
		{"much of it is slowed by the emergency alone", mitigation.Slow, traffic.Window{Admitted: 850, Slowed: 640, Hits: hits(1, 130, slowing, 510), Origin: full}, false},
		{"what was met was not slowed", mitigation.Slow, traffic.Window{Admitted: 850, Slowed: 140, Hits: hits(1, 130, slowing, 1000), Origin: traffic.Origin{Limit: 15}}, false},
		{"others find the line full", mitigation.Slow, traffic.Window{Admitted: 850, Slowed: 640, Hits: hits(slowing, 610), Origin: traffic.Origin{Shed: 700, Limit: 15}}, false},
		{"others wait", mitigation.Slow, traffic.Window{Admitted: 850, Slowed: 640, Hits: hits(slowing, 610), Origin: traffic.Origin{Waiting: 570, Behind: 545, Limit: 15}}, false},
		{"nothing is slowed by what it has in common", mitigation.Slow, traffic.Window{Admitted: 850, Slowed: 20, Hits: hits(1, 20), Origin: traffic.Origin{Limit: 15}}, false},
	} {
		w := newWorld(t)
		w.emergency()
		signature := sig(`path == "/" && clearance == "none"`, 0, 0.2, 1000)
		if c.action == mitigation.Slow {
			signature = sig(`path == "/" && kind == "asset"`, 0, 0.2, 1000)
		}
		for range 3 {
			w.pass(time.Second)
			win := c.window
			win.At, win.Span = w.now.At, time.Second
			w.apply(w.Step(Input{Now: w.now, Window: &win, Findings: flood(true, false), Signatures: []attack.Signature{signature}, Usual: 80}))
		}
		if w.stands[slowing].Action != c.action {
			t.Fatalf("%s: #%d is %v", c.name, slowing, w.stands[slowing])
		}
		if w.Emergent() == c.lifted {
			t.Errorf("%s: lifted is %v", c.name, !c.lifted)
		}
	}
}

// hits pairs mitigations with what each met.
func hits(pairs ...uint64) map[uint32]uint64 {
	out := map[uint32]uint64{}
	for i := 0; i < len(pairs); i += 2 {
		out[uint32(pairs[i])] = pairs[i+1]
	}
	return out
}
