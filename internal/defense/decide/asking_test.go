package decide

import (
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// In every attack it is tried on a few whether those who are challenged answer. Where as
// few do as there are visitors in a flood, all are asked; where many do, none.
func TestAsking(t *testing.T) {
	first := []attack.Signature{sig(`path == "/" && clearance == "none"`, 0, 0.2, 1000)}
	type second struct{ asked, answered uint64 }
	for _, c := range []struct {
		name   string
		trials []second
		want   string
		few    bool
	}{
		{"nobody was asked yet", []second{{}, {}, {}, {}, {}, {}, {}}, "challenge", true},
		{"answers are on their way", []second{{30, 0}}, "challenge", true},
		{"few answer", []second{{30, 0}, {30, 2}}, "challenge", false},
		{"most answer", []second{{30, 10}, {30, 35}}, "slow", false},
		{"not many were asked, after some seconds", []second{{5, 4}, {0, 1}, {1, 1}}, "challenge", true},
		{"and after more", []second{{5, 4}, {0, 1}, {1, 1}, {0, 0}, {0, 0}}, "challenge", false},
		{"a flood that learns to answer", []second{{30, 0}, {30, 0}, {400, 3}, {400, 5}, {300, 280}, {300, 300}, {200, 200}}, "slow", false},
		{"of no use is not tried again in this attack", []second{{30, 30}, {30, 30}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}}, "slow", false},
	} {
		w := newWorld(t)
		w.second(flood(true, true), first, bot(100)...)
		if m := w.stands[1]; m.Action != mitigation.Challenge || !m.Few {
			t.Fatalf("it begins as %v, few %v", m.Action, m.Few)
		}
		for _, s := range c.trials {
			w.pass(time.Second)
			win := &traffic.Window{
				At: w.now.At, Span: time.Second, Samples: bot(100), Hits: map[uint32]uint64{1: 1000},
				Trials: map[uint32]traffic.Trial{1: {Asked: s.asked, Answered: s.answered}},
			}
			w.apply(w.Step(Input{Now: w.now, Window: win, Findings: flood(true, true), Signatures: first}))
		}
		if m := w.stands[1]; m.Action.String() != c.want || m.Few != c.few {
			t.Errorf("%s: %v, few %v; want %s, %v\n%q", c.name, m.Action, m.Few, c.want, c.few, w.notes)
		}
		// Another that must not be refused goes the same way.
		w.second(flood(true, true), []attack.Signature{sig(`path == "/b"`, 0, 0.2, 1000)}, bot(100)...)
		if was, m := w.stands[1], w.stands[2]; m.Action != was.Action || m.Few != was.Few {
			t.Errorf("%s: the next one is %v, few %v; the first %v, %v", c.name, m.Action, m.Few, was.Action, was.Few)
		}
		// The next attack is tried anew.
		for range 100 {
			w.second(nil, nil)
		}
		w.second(flood(true, true), []attack.Signature{sig(`path == "/c"`, 0, 0.2, 1000)}, bot(100)...)
		for _, m := range w.stands {
			if m.Action != mitigation.Challenge || !m.Few {
				t.Errorf("%s: in the next attack %v, few %v", c.name, m.Action, m.Few)
			}
		}
	}
}

// What visitors answer for is not refused, though the origin suffers.
func TestAnswersSpare(t *testing.T) {
	for answered, want := range map[uint64]string{0: "refuse", 4: "refuse", 6: "challenge"} {
		w := newWorld(t)
		first := []attack.Signature{sig(`path == "/" && clearance == "none"`, 0, 0.2, 1000)}
		for range 8 {
			w.pass(time.Second)
			win := &traffic.Window{
				At: w.now.At, Span: time.Second, Samples: bot(100), Hits: map[uint32]uint64{1: 1000},
				Trials: map[uint32]traffic.Trial{1: {Asked: 100, Answered: answered}},
			}
			win.Felt[traffic.ClearanceProven] = traffic.Felt{Offered: 80, Served: 60}
			w.apply(w.Step(Input{Now: w.now, Window: win, Findings: flood(true, true), Signatures: first}))
		}
		if got := w.actions(); got != want {
			t.Errorf("%d of 100 answer: %q, want %q\n%q", answered, got, want, w.notes)
		}
		if l, _ := w.Find(1); l.Asked == 0 || (l.Answered > 0) != (answered > 0) {
			t.Errorf("%d of 100 answer: listed as %d of %d", answered, l.Answered, l.Asked)
		}
	}
}
