package decide

import (
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// pulsed is a Decider that refused a flood with shy, some time after its end.
func pulsed(t *testing.T, pause time.Duration) *world {
	w := newWorld(t)
	for range 5 {
		w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	}
	for range int(pause / time.Second) {
		w.second(nil, nil)
	}
	return w
}

// ordinary are requests of visitors that shy does not hit.
func ordinary(n int) []traffic.Sample {
	out := make([]traffic.Sample, n)
	for i := range out {
		out[i].Visit = traffic.Visit{Path: "/news", Clearance: traffic.ClearanceProven, Standing: traffic.StandingGood}
	}
	return out
}

// on measures on these requests.
func on(ordinary []traffic.Sample) Judge {
	return func(s attack.Signature) attack.Signature {
		hits := 0
		for i := range ordinary {
			if s.Match.Hits(&ordinary[i].Visit) {
				hits++
			}
		}
		s.Ordinary, s.Collateral = len(ordinary), float64(hits)/float64(max(len(ordinary), 1))
		return s
	}
}

// step is a window of a flood that nothing was mined of yet.
func (w *world) step(findings []attack.Finding, ordinary, samples []traffic.Sample) {
	w.t.Helper()
	w.pass(time.Second)
	win := &traffic.Window{At: w.now.At, Wall: w.now.Wall, Span: time.Second, Hits: map[uint32]uint64{}, Samples: samples, Offered: uint64(len(samples))}
	w.apply(w.Step(Input{Now: w.now, Window: win, Findings: findings, Judge: on(ordinary)}))
}

// What refused a flood refuses at once when one comes back that it hits.
func TestTheNextPulseIsFree(t *testing.T) {
	visitors := ordinary(10)
	for _, c := range []struct {
		name     string
		pause    time.Duration
		findings []attack.Finding
		ordinary []traffic.Sample
		samples  []traffic.Sample
		want     string
	}{
		{"a minute later", time.Minute, flood(false, false), ordinary(1000), bot(100), "refuse"},
		{"nine minutes later", 9 * time.Minute, flood(false, false), ordinary(1000), bot(100), "refuse"},
		{"a quarter of an hour later", 15 * time.Minute, flood(false, false), ordinary(1000), bot(100), ""},
		{"another flood", time.Minute, flood(false, false), ordinary(1000), ordinary(100), ""},
		{"a few like it in another flood", time.Minute, flood(false, false), ordinary(1000), append(bot(9), ordinary(91)...), ""},
		{"no flood", time.Minute, nil, ordinary(1000), bot(100), ""},
		{"it would hit ordinary traffic by now", time.Minute, flood(true, true), append(ordinary(900), bot(2)...), bot(100), ""},
		{"beside visitors", time.Minute, flood(false, false), ordinary(1000), append(visitors, bot(100)...), "refuse"},
	} {
		w := pulsed(t, c.pause)
		if got := w.actions(); got != "" {
			t.Fatalf("%s: %q stand after the pause", c.name, got)
		}
		w.step(c.findings, c.ordinary, c.samples)
		if got := w.actions(); got != c.want {
			t.Errorf("%s: %q, want %q\n%s", c.name, got, c.want, strings.Join(w.notes, "\n"))
		}
	}
}

// Nor does what meets visitors by now.
func TestNotRecalledAgainstVisitors(t *testing.T) {
	for _, c := range []struct {
		visitors int
		want     string
	}{{0, "refuse"}, {50, ""}} {
		w := newWorld(t)
		for range 5 {
			w.second(flood(true, true), []attack.Signature{sig(shyAll, 0, 0, 1000)}, bot(100)...)
		}
		for range 60 {
			w.second(nil, nil)
		}
		w.step(flood(true, true), ordinary(1000), append(good(c.visitors), bot(100)...))
		if got := w.actions(); got != c.want {
			t.Errorf("%d visitors: %q, want %q", c.visitors, got, c.want)
		}
	}
}

// At a blatant glance it refuses for ten seconds, until the window shows whether the
// flood is the same.
func TestRecalledAtAGlance(t *testing.T) {
	w := pulsed(t, 2*time.Minute)
	w.emergency()
	if got := w.actions(); got != "refuse slow" {
		t.Fatalf("%q", got)
	}
	for range 12 {
		w.step(flood(true, false), ordinary(1000), ordinary(100)) // another one
	}
	if got := w.actions(); got != "" {
		t.Errorf("%q stand though nothing met it", got)
	}
	// It was not forgotten by that.
	w.step(flood(true, false), ordinary(1000), bot(100))
	if got := w.actions(); got != "refuse" {
		t.Errorf("%q", got)
	}
}

// What a person undid is not recalled, nor anything at a glance while something is
// undone.
func TestUndoneIsNotRecalled(t *testing.T) {
	w := pulsed(t, 0)
	w.order(Order{Verb: Undo, Since: time.Minute})
	for range 60 {
		w.second(nil, nil)
	}
	w.emergency()
	w.step(flood(true, true), ordinary(1000), bot(100))
	for id, m := range w.stands {
		if m.Match.String() == expr(shy).String() {
			t.Errorf("#%d stands again", id)
		}
	}

	w = pulsed(t, time.Minute) // ended by itself, then undone
	w.order(Order{Verb: Undo, Since: 10 * time.Minute})
	w.emergency()
	w.step(flood(true, true), ordinary(1000), bot(100))
	if got := w.actions(); strings.Contains(got, "refuse") {
		t.Errorf("%q", got)
	}
}

// What a person lifted bars what is remembered of the same requests in other words.
func TestLiftedIsNotRecalledInOtherWords(t *testing.T) {
	w := pulsed(t, 0)
	w.second(flood(true, true), []attack.Signature{sig(`path == "/" && standing in ["shy", "greedy"] && method == ""`, 0, 0, 1000)}, bot(100)...)
	for _, id := range w.ids() {
		w.order(Order{Verb: Lift, ID: id})
	}
	w.memory = append(w.memory, remembered{m: mitigationOf(`clearance == "none" && path == "/"`), until: w.now.At.Add(memoryFor)})
	w.emergency()
	w.step(flood(true, true), ordinary(1000), bot(100))
	if got := w.actions(); got != "slow" {
		t.Errorf("%q, want the emergency alone", got)
	}
}

// What was loosened stays lenient for ten minutes after the attack, and is not recalled.
func TestLoosenedIsNotRecalled(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		// Visitors that it was not expected to hit, and not so many that it would not begin.
		w.second(flood(true, true), []attack.Signature{sig(shyAll, 0, 0, 1000)}, append(good(3), bot(100)...)...)
	}
	if got := w.actions(); got != "challenge" {
		t.Fatalf("%q: nothing was loosened\n%s", got, strings.Join(w.notes, "\n"))
	}
	for range 120 {
		w.second(nil, nil)
	}
	w.step(flood(true, true), ordinary(1000), bot(100))
	if got := w.actions(); got != "" {
		t.Errorf("%q", got)
	}
	for i, want := range []string{"challenge", "challenge", "challenge"} {
		w.second(flood(true, true), []attack.Signature{sig(shyAll, 0, 0, 1000)}, bot(100)...)
		if got := w.actions(); got != want {
			t.Errorf("second %d: %q, want %q", i, got, want)
		}
	}
}

const shyAll = `path == "/" && clearance == "none"`

// good are requests that shyAll hits, of clients that behave well.
func good(n int) []traffic.Sample {
	out := bot(n)
	for i := range out {
		out[i].Visit.Standing = traffic.StandingGood
	}
	for i := range out {
		out[i].Refused = true
	}
	return out
}

// However many are remembered, there is room for so many only.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		e := w.begin(w.now, kindSignature, mitigationOf(`path == "/`+strings.Repeat("x", i)+`"`), time.Second)
		e.hits = 1
		w.apply(w.take())
		w.pass(2 * time.Second)
		w.apply(w.Tick(w.now))
	}
	if n := len(w.memory); n != mostRemember {
		t.Errorf("%d are remembered", n)
	}
}

// Floods of parts of the requests are decided on beside the one of all, each by its own
// finding.
func TestOtherFloods(t *testing.T) {
	w := newWorld(t)
	costly := attack.Finding{Vector: attack.CostlyRequests, Rate: 20, Suffering: true, Part: attack.Part{Path: "/poster"}}
	w.pass(time.Second)
	w.apply(w.Step(Input{
		Now: w.now, Window: &traffic.Window{Span: time.Second, Samples: bot(100)}, Findings: append(flood(false, false), costly),
		Signatures: []attack.Signature{sig(shy, 0, 0, 1000)},
		Others:     []RequestFlood{{costly, []attack.Signature{sig(`path == "/poster" && clearance == "none"`, 0, 0, 1000)}}},
	}))
	if got := w.actions(); got != "slow refuse" {
		t.Errorf("%q", got)
	}
	// Alone it is an attack of its own.
	w = newWorld(t)
	w.second([]attack.Finding{costly}, []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	if !w.Attack() || w.actions() != "refuse" {
		t.Errorf("%v %q", w.Attack(), w.actions())
	}
	// What is no flood never is.
	w = newWorld(t)
	for _, v := range []attack.Vector{attack.Scanning, attack.Scraping, attack.PasswordGuessing, attack.PulseWave, attack.FlashCrowd} {
		w.second([]attack.Finding{{Vector: v, Rate: 1e6, Blatant: true, Suffering: true}}, []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	}
	if w.Attack() || len(w.stands) > 0 {
		t.Errorf("%v %q", w.Attack(), w.actions())
	}
}

func mitigationOf(e string) mitigation.Mitigation {
	s := sig(e, 0, 0, 1000)
	return mitigation.Mitigation{Match: s.Match, Action: mitigation.Refuse, By: mitigation.ByMachine, Signature: &s, Finding: &flood(true, true)[0]}
}

// What was slowed by one description is refused by the next one: slowing came first.
func TestRefusedInOtherWords(t *testing.T) {
	w := newWorld(t)
	wide := sig(`path == "/" && clearance == "none" && standing != "good"`, 0, 0, 1000)
	w.second(flood(false, false), []attack.Signature{wide}, bot(100)...)
	w.second(flood(false, false), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	if got := w.actions(); got != "slow refuse" {
		t.Errorf("%q", got)
	}
	// Not what must not be refused.
	w = newWorld(t)
	w.second(flood(false, false), []attack.Signature{wide}, bot(100)...)
	w.second(flood(false, false), []attack.Signature{sig(shy, 0.01, 0, 1000)}, bot(100)...)
	if got := w.actions(); got != "slow challenge" {
		t.Errorf("%q", got)
	}
	// Nor what meets visitors, however long it was slowed.
	w = newWorld(t)
	w.second(flood(false, false), []attack.Signature{sig(shyAll, 0, 0, 1000)}, bot(100)...)
	w.second(flood(false, false), []attack.Signature{sig(shyAll+` && method == ""`, 0, 0, 1000)}, append(good(30), bot(100)...)...)
	if got := w.actions(); got != "slow" {
		t.Errorf("what meets visitors: %q\n%s", got, strings.Join(w.notes, "\n"))
	}
}
