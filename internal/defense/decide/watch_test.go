package decide

import (
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
)

// In watch mode all that the machine decides is on a dry run, across restarts in one
// mode and the other; what people order acts.
func TestWatchOnly(t *testing.T) {
	w := newWorld(t)
	w.Watch()
	w.order(Order{Verb: Refuse, Match: `path == "/x"`})
	w.rules(refuse("a", `path == "/a"`))
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	w.apply(w.Offences(w.now, offences(2)))
	w.apply(w.Offences(w.now, offences(2))) // known already
	w.emergency()
	shadows := func(w *world) (machine, others int) {
		for _, m := range w.stands {
			switch {
			case !m.Shadow:
			case m.By == mitigation.ByMachine:
				machine++
			default:
				others++
			}
		}
		return machine, others
	}
	if m, o := shadows(w); m != 4 || o != 0 || len(w.stands) != 6 {
		t.Errorf("%d of the machine and %d others are on a dry run of %d: %+v", m, o, len(w.stands), w.stands)
	}
	if notes := strings.Join(w.notes, "\n"); !strings.Contains(notes, "Only watched: would refuse") {
		t.Errorf("it says\n%s", notes)
	}
	// It lives and ends as if it acted.
	for range 40 {
		w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	}
	if e := w.active[w.byText[expr(shy).String()]]; e == nil || e.hits == 0 {
		t.Error("it is not refreshed by what it would meet")
	}
	// Whoever switches to defend defends at once, and the other way round.
	n := w.restart()
	if m, _ := shadows(n); m != 0 {
		t.Errorf("in defend mode %d are on a dry run", m)
	}
	again := newWorld(t)
	again.Watch()
	again.now, again.disk = n.now, n.disk
	_, out, err := again.Restore(again.now, func(f func([]byte) error) error {
		for _, r := range again.disk {
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again.apply(out)
	if m, _ := shadows(again); m != len(again.stands)-2 {
		t.Errorf("in watch mode %d of %d", m, len(again.stands))
	}
	again.pass(time.Hour)
	if again.apply(again.Tick(again.now)); again.actions() != "refuse refuse" {
		t.Errorf("an hour later %q", again.actions())
	}
}

// Nothing that is recorded in watch mode says that anything is done, nor is anything
// counted as dropped.
func TestWatchSaysSo(t *testing.T) {
	w := newWorld(t)
	w.Watch()
	for range 5 {
		w.second(flood(true, true), []attack.Signature{sig(shyAll, 0, 0, 1000)}, bot(100)...)
	}
	for range 60 {
		w.second(nil, nil)
	}
	w.notes = nil
	w.emergency()
	w.second(flood(true, true), nil, append(good(20), bot(100)...)...) // loosens it
	s := attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000}
	w.packets(packetFlood(attack.SynFlood, s))
	w.packets(packetFlood(attack.SynFlood, s))
	if rate, dropping, counting, watched := w.Dropped(attack.SynFlood); rate != 0 || dropping != 0 || counting != 0 || watched != 1 {
		t.Errorf("%.0f a second dropped by %d, %d only count, %d watch", rate, dropping, counting, watched)
	}
	want := map[string]bool{
		"Only watched: would refuse #2 again, at once":       true,
		"Only watched: would have newcomers wait":            true,
		"Only watched: would loosen #2":                      true,
		"Only watched: would drop packets by #4":             true,
		"The attack is over; what was done about it ends by": true,
	}
	for _, n := range w.notes {
		known := false
		for begin := range want {
			if strings.HasPrefix(n, begin) {
				known = true
				delete(want, begin)
			}
		}
		if !known {
			t.Errorf("it says %q", n)
		}
	}
	if len(want) > 0 {
		t.Errorf("it does not say %v", want)
	}
}
