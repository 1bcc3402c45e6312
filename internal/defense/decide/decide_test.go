package decide

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// world is a Decider in simulated time, with what its output adds up to.
type world struct {
	*Decider
	t      *testing.T
	now    Moment
	stands map[mitigation.ID]mitigation.Mitigation
	disk   [][]byte
	notes  []string
	judge  Judge // what a glance has
}

func newWorld(t *testing.T) *world {
	return &world{
		Decider: New(DefaultConfig()), judge: on(ordinary(1000)), t: t, stands: map[mitigation.ID]mitigation.Mitigation{},
		now: Moment{At: clock.Instant(time.Hour), Wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)},
	}
}

func (w *world) pass(d time.Duration) {
	w.now.At, w.now.Wall = w.now.At.Add(d), w.now.Wall.Add(d)
}

func (w *world) apply(o Output) Output {
	w.t.Helper()
	for _, c := range o.Changes {
		if c.Apply != nil {
			w.stands[c.Apply.ID] = *c.Apply
		} else {
			delete(w.stands, c.Withdraw)
		}
	}
	for i := range o.Events {
		b, err := o.Events[i].Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		w.disk = append(w.disk, b)
	}
	for _, n := range o.Notes {
		w.notes = append(w.notes, n.Text)
	}
	if len(w.stands) != len(w.active) {
		w.t.Fatalf("%d stand, %d are active", len(w.stands), len(w.active))
	}
	return o
}

// emergency is a blatant glance.
func (w *world) emergency() Output {
	w.t.Helper()
	return w.apply(w.Emergency(w.now, flood(true, false)[0], w.judge))
}

func (w *world) order(o Order) Result {
	w.t.Helper()
	r, out, err := w.Decider.Order(w.now, o, nil)
	if err != nil {
		w.t.Fatalf("%s: %v", o.Verb, err)
	}
	w.apply(out)
	return r
}

// second lets a second pass, and a window with these samples be judged. Every
// mitigation gets the hits that its match deserves, a sample standing for ten
// requests.
func (w *world) second(findings []attack.Finding, sigs []attack.Signature, samples ...traffic.Sample) Output {
	w.t.Helper()
	w.pass(time.Second)
	win := &traffic.Window{At: w.now.At, Wall: w.now.Wall, Span: time.Second, Hits: map[uint32]uint64{}, Samples: samples}
	for i := range samples {
		win.Offered += 10
		for id, m := range w.stands {
			if m.Match.Hits(&samples[i].Visit) {
				win.Hits[uint32(id)] += 10
			}
		}
	}
	return w.apply(w.Step(Input{Now: w.now, Window: win, Findings: findings, Signatures: sigs}))
}

func (w *world) actions() string {
	var s []string
	for _, id := range w.ids() {
		s = append(s, w.stands[id].Action.String())
	}
	return strings.Join(s, " ")
}

func (w *world) restart() *world {
	n := newWorld(w.t)
	n.now = w.now
	n.disk = w.disk
	_, out, err := n.Restore(n.now, func(f func([]byte) error) error {
		for _, r := range w.disk {
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.apply(out)
	return n
}

func expr(s string) *match.Match {
	m, err := match.Parse(s)
	if err != nil {
		panic(err)
	}
	return m
}

func flood(blatant, suffering bool) []attack.Finding {
	return []attack.Finding{{Vector: attack.HTTPFlood, Rate: 4000, Normal: 80, Blatant: blatant, Suffering: suffering, Confidence: 0.9}}
}

const shy = `path == "/" && clearance == "none" && standing in ["shy", "greedy"]`

func sig(e string, collateral, first float64, ordinary int) attack.Signature {
	return attack.Signature{Match: expr(e), Coverage: 0.95, Collateral: collateral, Newcomers: first, Ordinary: ordinary, Flood: 1000}
}

func bot(n int) []traffic.Sample {
	out := make([]traffic.Sample, n)
	for i := range out {
		out[i].Visit = traffic.Visit{Path: "/", Standing: traffic.StandingShy, Client: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})}
	}
	return out
}

func TestSlowFirstThenRefuse(t *testing.T) {
	for _, c := range []struct {
		name    string
		finding []attack.Finding
		sig     attack.Signature
		want    []string // after each second
	}{
		{"blatant and clean", flood(true, false), sig(shy, 0, 0, 1000), []string{"refuse", "refuse"}},
		{"suffering and clean", flood(false, true), sig(shy, 0.001, 0, 1000), []string{"refuse", "refuse"}},
		{"neither", flood(false, false), sig(shy, 0, 0, 1000), []string{"slow", "refuse", "refuse"}},
		{"would hit ordinary traffic", flood(true, true), sig(shy, 0.0011, 0, 1000), []string{"challenge", "challenge", "challenge", "challenge"}},
		{"would hit ordinary assets", flood(true, true), sig(`kind == "asset"`, 0.0011, 0, 1000), []string{"slow", "slow"}},
		{"would hit ordinary forms", flood(true, true), sig(`path == "/" && method == "POST"`, 0.0011, 0, 1000), []string{"slow", "slow"}},
		{"would hit those with a clearance", flood(true, true), sig(`clearance in ["known", "proven"]`, 0.0011, 0, 1000), []string{"slow", "slow"}},
		{"would hit first visits", flood(true, true), sig(`path == "/" && clearance == "none"`, 0, 0.2, 1000), []string{"challenge", "challenge", "challenge", "challenge", "challenge"}},
		{"hardly tested, but shy", flood(true, true), sig(shy, 0, 0, 10), []string{"refuse"}},
		{"hardly tested", flood(true, true), sig(`path == "/" && clearance == "none"`, 0, 0, 10), []string{"challenge", "challenge", "challenge"}},
		{"hardly tested, but no browser", flood(true, true), sig(`clearance == "none" && user_agent == "python"`, 0, 0, 10), []string{"refuse"}},
		{"hardly tested, but thin", flood(true, true), sig(`path == "/" && standing == "thin"`, 0, 0, 10), []string{"challenge", "challenge", "challenge"}},
		{"thin", flood(true, true), sig(`path == "/" && standing == "thin"`, 0, 0, 1000), []string{"refuse"}},
		{"hardly tested, not shy", flood(true, true), sig(`path == "/" && standing != "good"`, 0, 0, 10), []string{"challenge", "challenge"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for i, want := range c.want {
				w.second(c.finding, []attack.Signature{c.sig}, bot(100)...)
				if got := w.actions(); got != want {
					t.Errorf("second %d: %q, want %q\n%s", i+1, got, want, strings.Join(w.notes, "\n"))
				}
			}
		})
	}
}

// What also hits first visits refuses only when nothing gentler helped those with a
// clearance.
func TestFirstVisitsWaitUntilVisitorsHurt(t *testing.T) {
	w := newWorld(t)
	s := sig(`path == "/" && clearance == "none"`, 0, 0.2, 1000)
	for i := range 6 {
		w.pass(time.Second)
		win := &traffic.Window{Span: time.Second, Hits: map[uint32]uint64{1: 1000}, Samples: bot(100)}
		win.Felt[traffic.ClearanceProven] = traffic.Felt{Offered: 80, Served: 60}
		w.apply(w.Step(Input{Now: w.now, Window: win, Findings: flood(true, true), Signatures: []attack.Signature{s}}))
		want := "challenge"
		if i >= 3 {
			want = "refuse"
		}
		if got := w.actions(); got != want {
			t.Errorf("second %d: %q, want %q", i+1, got, want)
		}
	}
}

// Everything is withdrawn within a minute of the flood's last request, bans of
// repeat offenders too: the detector speaks for ten more seconds.
func TestEverythingEndsAfterTheFlood(t *testing.T) {
	w := newWorld(t)
	w.emergency()
	for range 20 {
		w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
		w.apply(w.Offences(w.now, offences(100)))
	}
	if got := len(w.stands); got != 101 {
		t.Fatalf("%d mitigations stand, want the signature and 100 bans", got)
	}
	for i := range 10 {
		w.second(flood(false, false), nil)
		if i == 9 && !w.UnderAttack() {
			t.Error("not under attack though mitigations stand")
		}
	}
	for i := range 50 {
		w.second(nil, nil)
		if len(w.stands) == 0 {
			t.Logf("all withdrawn %d s after the end", 10+i+1)
			if w.UnderAttack() {
				t.Error("still under attack")
			}
			return
		}
	}
	t.Errorf("after 60 s %d mitigations stand", len(w.stands))
}

func offences(n int) []mitigation.Offence {
	var out []mitigation.Offence
	for i := range n {
		out = append(out, mitigation.Offence{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 32), Refused: 200})
	}
	return out
}

func TestTimeToLiveDoublesOnReturn(t *testing.T) {
	w := newWorld(t)
	s := []attack.Signature{sig(shy, 0, 0, 1000)}
	var lasted []int
	for range 7 {
		w.second(flood(true, true), s, bot(100)...)
		n := 0
		for len(w.stands) > 0 {
			w.second(flood(false, false), nil) // the attack goes on, but not like this
			n++
		}
		lasted = append(lasted, n)
	}
	if fmt.Sprint(lasted) != "[30 60 120 240 480 600 600]" {
		t.Errorf("lasted %v seconds", lasted)
	}
	w.second(nil, nil) // the attack ends, and the doubling with it
	w.second(flood(true, true), s, bot(100)...)
	if m := w.stands[w.last]; m.Until.Sub(m.From) != 30*time.Second {
		t.Errorf("in the next attack it lasts %v", m.Until.Sub(m.From))
	}
}

func TestRefreshedWhileMet(t *testing.T) {
	w := newWorld(t)
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	sets := 0
	for range 300 {
		o := w.second(flood(true, true), nil, bot(100)...)
		sets += len(o.Events)
	}
	if w.actions() != "refuse" {
		t.Fatalf("after five minutes: %q", w.actions())
	}
	if sets > 40 {
		t.Errorf("%d events in 300 s for one mitigation", sets)
	}
}

func TestLoosensWhatHitsVisitors(t *testing.T) {
	w := newWorld(t)
	s := []attack.Signature{sig(`path == "/"`, 0, 0, 1000)}
	w.second(flood(true, true), s, bot(100)...)
	if w.actions() != "refuse" {
		t.Fatal(w.actions())
	}
	visitors := bot(100)
	for i := range 10 {
		visitors[i].Visit.Clearance, visitors[i].Refused = traffic.ClearanceProven, true
	}
	w.second(flood(true, true), nil, visitors...)
	if w.actions() != "challenge" {
		t.Fatalf("not loosened: %q", w.actions())
	}
	for range 5 {
		w.second(flood(true, true), s, bot(100)...)
	}
	if w.actions() != "challenge" {
		t.Errorf("refuses again within the same attack")
	}
	if k, _ := w.Find(1); k.Observed <= 0 {
		t.Errorf("observed collateral %v", k.Observed)
	}
}

func TestNoRefusalOfWhatMeetsVisitors(t *testing.T) {
	w := newWorld(t)
	samples := bot(100)
	for i := range 20 {
		samples[i].Visit.Clearance = traffic.ClearanceKnown
	}
	w.second(flood(true, true), []attack.Signature{sig(`path == "/"`, 0, 0, 1000)}, samples...)
	if w.actions() != "slow" {
		t.Errorf("%q", w.actions())
	}
}

// Where nothing is known of ordinary traffic, what meets visitors with a
// clearance is not even slowed.
func TestNothingUntestedAgainstVisitors(t *testing.T) {
	w := newWorld(t)
	samples := bot(80)
	for range 20 {
		samples = append(samples, traffic.Sample{Visit: traffic.Visit{Method: "GET", Path: "/", Clearance: traffic.ClearanceProven}})
	}
	w.second(flood(true, true), []attack.Signature{sig(`method == "GET"`, 0, 0, 0)}, samples...)
	if len(w.stands) != 0 {
		t.Errorf("stands: %s", w.actions())
	}
	w.second(flood(true, true), []attack.Signature{sig(`method == "GET" && clearance == "none"`, 0, 0, 0)}, samples...)
	if len(w.stands) != 1 {
		t.Errorf("what spares them does not stand: %s", w.actions())
	}
}

// However many bans there are, ending or shortening them takes several calls.
func TestManyBansEndLittleByLittle(t *testing.T) {
	w := newWorld(t)
	const n = 3 * bansATick / 2
	var list []mitigation.Offence
	for i := range n {
		list = append(list, mitigation.Offence{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)})
	}
	w.second(flood(true, true), nil)
	w.apply(w.Offences(w.now, list))
	w.second(nil, nil) // the attack is over
	for i, most := range []int{bansATick, n - bansATick, 0} {
		if o := w.apply(w.Tick(w.now)); len(o.Changes) != most {
			t.Errorf("tick %d shortened %d bans, want %d", i+1, len(o.Changes), most)
		}
	}
	w.pass(banAfterAttack)
	for i, left := range []int{n - bansATick, 0} {
		w.apply(w.Tick(w.now))
		if len(w.stands) != left {
			t.Errorf("after tick %d there are %d bans, want %d", i+1, len(w.stands), left)
		}
	}
}

func TestSumOfCollateralIsBounded(t *testing.T) {
	w := newWorld(t)
	var sigs []attack.Signature
	var samples []traffic.Sample
	for i := range 4 {
		p := fmt.Sprintf("/p%d", i)
		sigs = append(sigs, sig(fmt.Sprintf("path == %q", p), 0.0009, 0, 1000))
		s := bot(25)
		for j := range s {
			s[j].Visit.Path = p
		}
		samples = append(samples, s...)
	}
	w.second(flood(true, true), sigs, samples...)
	if got := w.actions(); got != "refuse refuse challenge challenge" {
		t.Errorf("%q", got)
	}
}

func TestNoMoreThanItsPlaces(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		s := bot(10)
		for j := range s {
			s[j].Visit.Path = fmt.Sprint("/", i)
		}
		w.second(flood(true, true), []attack.Signature{sig(fmt.Sprintf("path == %q", s[0].Visit.Path), 0, 0, 1000)}, s...)
		if n := len(w.stands); n > 32 {
			t.Fatalf("%d signatures stand", n)
		}
	}
	if len(w.byText) != len(w.stands) {
		t.Errorf("%d texts, %d stand", len(w.byText), len(w.stands))
	}
}

func TestNarrowerTwinsAreNotAdded(t *testing.T) {
	w := newWorld(t)
	w.second(flood(true, true), []attack.Signature{sig(shy, 0, 0, 1000)}, bot(100)...)
	w.second(flood(true, true), []attack.Signature{sig(shy+` && kind == "page"`, 0, 0, 1000)}, bot(100)...)
	if len(w.stands) != 1 {
		t.Errorf("%d stand", len(w.stands))
	}
}

// One machine with a cookie, far over its budget, does not vouch for a botnet that asks for
// the same: nothing is loosened for it.
func TestGreedyVouchesForNobody(t *testing.T) {
	w := newWorld(t)
	greedy := make([]traffic.Sample, 20)
	for i := range greedy {
		greedy[i] = traffic.Sample{Refused: true, Visit: traffic.Visit{Path: "/", Clearance: traffic.ClearanceProven, Standing: traffic.StandingGreedy}}
	}
	match := `path == "/" && standing in ["shy", "greedy"]`
	for range 5 {
		w.second(flood(true, true), []attack.Signature{sig(match, 0, 0, 1000)}, append(bot(100), greedy...)...)
	}
	if got := w.actions(); got != "refuse" {
		t.Errorf("%q: %s", got, strings.Join(w.notes, "\n"))
	}
}

// What a flood that changes its words for ever makes is counted in bounded memory.
func TestLapsesAreBounded(t *testing.T) {
	levels := map[string]int{}
	for i := range mostLevels + 100 {
		lapse(levels, &entry{m: mitigation.Mitigation{Match: expr(fmt.Sprintf(`path == "/%d"`, i))}})
	}
	lapse(levels, &entry{m: mitigation.Mitigation{Match: expr(`path == "/7"`)}})
	if len(levels) != mostLevels || levels[expr(`path == "/7"`).String()] != 2 {
		t.Errorf("%d, %d", len(levels), levels[expr(`path == "/7"`).String()])
	}
}

// What counts is the time that it is held off for, not how often somebody looked.
func TestEmergencyOutlastsShortWindows(t *testing.T) {
	w := newWorld(t)
	w.emergency()
	at := w.now.At
	for w.actions() != "" && w.now.At.Sub(at) < 5*time.Second {
		const short = 300 * time.Millisecond
		w.pass(short)
		w.apply(w.Step(Input{Now: w.now, Window: &traffic.Window{At: w.now.At, Span: short, Admitted: 27}, Findings: flood(true, false), Usual: 80}))
	}
	if got := w.now.At.Sub(at); got < 1600*time.Millisecond || got > 2200*time.Millisecond {
		t.Errorf("lifted after %v", got)
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{Bans: -1}).Validate(); len(l) < 4 {
		t.Error(l)
	}
}
