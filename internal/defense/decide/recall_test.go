package decide

import (
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// hitting measures so much, on enough.
func hitting(collateral, first float64) Judge {
	return func(s attack.Signature) attack.Signature {
		s.Ordinary, s.Collateral, s.Newcomers = 1000, collateral, first
		return s
	}
}

// What is remembered refuses under the caps of what is new, at a glance as in a window:
// few ordinary requests and first visits hit, enough of them to test it on, no visitors
// met, and not too much of them together.
func TestRecalledUnderTheSameCaps(t *testing.T) {
	few := func(s attack.Signature) attack.Signature { s.Ordinary = 10; return s }
	for _, c := range []struct {
		name     string
		judge    Judge
		last     []traffic.Sample // the window before the glance, and that of the flood besides bots
		standing float64          // collateral of what a person does not mind
		want     string
	}{
		{"clean", hitting(0, 0), nil, 0, "refuse"},
		{"just so", hitting(Never, newcomers), nil, 0, "refuse"},
		{"nobody can tell", nil, nil, 0, ""},
		{"it would hit ordinary traffic by now", hitting(1.1*Never, 0), nil, 0, ""},
		{"it would hit first visits by now", hitting(0, 0.021), nil, 0, ""},
		{"hardly tested", few, nil, 0, ""},
		{"it meets visitors", hitting(0, 0), good(30), 0, ""},
		{"it meets a visitor among a hundred", hitting(0, 0), append(good(1), bot(90)...), 0, "refuse"},
		{"together it is too much", hitting(Never, 0), nil, 1.1 * Never, "refuse"},
		{"together it is not", hitting(Never, 0), nil, 0.9 * Never, "refuse refuse"},
	} {
		for _, glance := range []bool{true, false} {
			w := newWorld(t)
			for range 5 {
				w.second(flood(true, true), []attack.Signature{sig(shyAll, 0, 0, 1000)}, bot(100)...)
			}
			for range 60 {
				w.second(nil, nil)
			}
			if c.standing > 0 {
				m := mitigationOf(`path == "/other"`)
				m.Expected = c.standing
				w.begin(w.now, kindSignature, m, time.Minute)
				w.apply(w.take())
			}
			if glance {
				w.second(nil, nil, c.last...)
				w.apply(w.Emergency(w.now, flood(true, false)[0], c.judge))
				w.liftEmergency(w.now, "that it is not counted here")
				w.apply(w.take())
			} else {
				w.pass(time.Second)
				win := &traffic.Window{At: w.now.At, Span: time.Second, Samples: append(c.last, bot(100)...)}
				w.apply(w.Step(Input{Now: w.now, Window: win, Findings: flood(true, false), Judge: c.judge}))
			}
			if got := w.actions(); got != c.want {
				t.Errorf("%s, glance %v: %q, want %q\n%s", c.name, glance, got, c.want, strings.Join(w.notes, "\n"))
			}
		}
	}
}

// A page that was flooded and refused to all newcomers, since slowing did not keep
// visitors served, is not refused to first visitors for a single request of the attacker.
func TestPopularPageIsNotRecalled(t *testing.T) {
	w := newWorld(t)
	s := sig(shyAll, 0, 0.2, 1000)
	for range 6 {
		w.pass(time.Second)
		win := &traffic.Window{Span: time.Second, Hits: map[uint32]uint64{1: 1000}, Samples: bot(100)}
		win.Felt[traffic.ClearanceProven] = traffic.Felt{Offered: 80, Served: 60}
		w.apply(w.Step(Input{Now: w.now, Window: win, Findings: flood(true, true), Signatures: []attack.Signature{s}}))
	}
	if w.actions() != "refuse" {
		t.Fatalf("%q", w.actions())
	}
	for range 60 {
		w.second(nil, nil)
	}
	if len(w.memory) != 1 {
		t.Fatalf("%d are remembered", len(w.memory))
	}
	w.judge = hitting(0, 0.2)
	w.emergency()
	if w.actions() != "slow" {
		t.Errorf("at a glance: %q", w.actions())
	}
	w.pass(time.Second)
	win := &traffic.Window{At: w.now.At, Span: time.Second, Samples: bot(100)}
	w.apply(w.Step(Input{Now: w.now, Window: win, Findings: flood(true, true), Judge: w.judge, Signatures: []attack.Signature{s}}))
	if w.actions() != "slow challenge" {
		t.Errorf("in the window: %q", w.actions())
	}
}

// What is measured by now is what counts from then on.
func TestRecalledWithWhatIsMeasuredNow(t *testing.T) {
	w := pulsed(t, time.Minute)
	w.judge = hitting(0.0007, 0.01)
	w.emergency()
	id := w.byText[expr(shy).String()]
	m := w.stands[id]
	if m.Expected != 0.0007 || m.Signature.Collateral != 0.0007 || m.Signature.Newcomers != 0.01 {
		t.Errorf("expected %v, signature %+v", m.Expected, m.Signature)
	}
	if got := w.expected(nil); got != 0.0007 {
		t.Errorf("in all %v", got)
	}
	if m.Finding == nil || !m.Finding.Blatant || m.Finding.Suffering {
		t.Errorf("against %+v", m.Finding)
	}
}

// Ten minutes are ten minutes, unless a flood came that it met: a request now and then
// keeps nothing remembered.
func TestMemoryIsRenewedByFloodsOnly(t *testing.T) {
	for _, c := range []struct {
		hits uint64 // a second, of 4000
		want bool   // remembered a quarter of an hour after the flood
	}{{1, false}, {190, false}, {210, true}} {
		w := pulsed(t, 5*time.Minute)
		w.emergency()
		id := w.byText[expr(shy).String()]
		if w.stands[id].Action != mitigation.Refuse {
			t.Fatal("not recalled")
		}
		w.pass(time.Second)
		win := &traffic.Window{At: w.now.At, Span: time.Second, Offered: 4000, Hits: map[uint32]uint64{uint32(id): c.hits}}
		w.apply(w.Step(Input{Now: w.now, Window: win, Findings: flood(true, false)}))
		for range 10 * 60 {
			w.second(nil, nil)
		}
		w.emergency()
		if got := w.active[w.byText[expr(shy).String()]] != nil; got != c.want {
			t.Errorf("met by %d: recalled %v", c.hits, got)
		}
	}
}

// What the glance measures is measured once a second, not ten times.
func TestJudgedOnceASecond(t *testing.T) {
	w := pulsed(t, time.Minute)
	n := 0
	w.judge = func(s attack.Signature) attack.Signature { n++; return hitting(1, 0)(s) }
	for range 30 {
		w.pass(100 * time.Millisecond)
		w.emergency()
	}
	if n < 3 || n > 4 {
		t.Errorf("%d times in three seconds", n)
	}
}

// What a person has pinned is not made a second time by the machine, in whichever way,
// and what it meets counts as met.
func TestPinnedIsNotMadeAgain(t *testing.T) {
	w := pulsed(t, time.Minute) // remembered, and
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	id := w.byText[expr(shy).String()]
	w.order(Order{Verb: Pin, ID: id})
	if len(w.Refusing()) != 1 {
		t.Errorf("%v is refused", w.Refusing())
	}
	for range 3 {
		w.emergency()
		w.step(flood(true, true), ordinary(1000), bot(100))
		w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000), sig(shy+` && method == ""`, 0, 0, 1000)}, bot(100)...)
	}
	w.emergency()
	if got := w.actions(); got != "refuse slow" {
		t.Errorf("%q\n%s", got, strings.Join(w.notes, "\n"))
	}
	emergency := w.byText[unknown().String()]
	w.order(Order{Verb: Pin, ID: emergency})
	if w.emergency(); len(w.stands) != 2 || !w.Emergent() {
		t.Errorf("%q, emergent %v", w.actions(), w.Emergent())
	}
	n := w.restart()
	if n.emergency(); len(n.stands) != 2 || len(n.Refusing()) != 1 {
		t.Errorf("after a restart %q", n.actions())
	}
	for _, id := range n.ids() {
		n.order(Order{Verb: Lift, ID: id})
	}
	if n.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...); n.actions() != "refuse" || len(n.pinned) > 0 {
		t.Errorf("after it was lifted %q, pinned %v", n.actions(), n.pinned)
	}
}

// So with packets.
func TestPinnedPacketsAreNotMadeAgain(t *testing.T) {
	w := newWorld(t)
	f := packetFlood(attack.SynFlood, attack.Signature{Match: packetMatch(t, "244"), Coverage: 1, Ordinary: 2000})
	w.packets(f)
	w.order(Order{Verb: Pin, ID: w.ids()[0]})
	w.packets(f)
	rate, dropping, _, _ := w.Dropped(attack.SynFlood)
	if w.actions() != "drop" || len(w.Dropping()) != 1 || dropping != 1 || rate == 0 {
		t.Errorf("%q, %v, %.0f a second by %d", w.actions(), w.Dropping(), rate, dropping)
	}
}
