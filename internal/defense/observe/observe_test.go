package observe

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func visit() *traffic.Visit {
	a := netip.MustParseAddr("192.0.2.7")
	return &traffic.Visit{
		Peer: a, Client: a, Network: 64496, Country: traffic.Country{'G', 'B'},
		HeaderOrder: 0xabcdef, Method: "GET", Host: "example.org", Path: "/news",
		UserAgent: "Mozilla/5.0", Kind: traffic.KindPage, Clearance: traffic.ClearanceProven,
	}
}

var (
	letIn  = mitigation.Verdict{Action: mitigation.Admit}
	served = traffic.Outcome{Status: 200, BytesOut: 100, Took: 12 * time.Millisecond, Reached: true, OriginTime: 10 * time.Millisecond}
)

func TestServed(t *testing.T) {
	for _, c := range []struct {
		name   string
		action mitigation.Action
		o      traffic.Outcome
		want   fate
	}{
		{"page", mitigation.Admit, served, admittedYes},
		{"slowed page", mitigation.Slow, served, slowedYes},
		{"our own cache", mitigation.Admit, traffic.Outcome{Status: 304}, admittedYes},
		{"not found", mitigation.Admit, traffic.Outcome{Status: 404, Reached: true}, admittedYes},
		{"origin error", mitigation.Admit, traffic.Outcome{Status: 502, Reached: true, Failed: true}, admitted},
		{"line full", mitigation.Slow, traffic.Outcome{Status: 503, Shed: true}, slowed},
		{"left before an answer", mitigation.Admit, traffic.Outcome{Left: true, Reached: true}, admitted},
		{"saved copy", mitigation.ServeCopy, traffic.Outcome{Status: 200}, copied},
		{"no copy after all", mitigation.ServeCopy, traffic.Outcome{Status: 503}, refused},
		{"refused", mitigation.Refuse, traffic.Outcome{Status: 429}, refused},
		{"challenged", mitigation.Challenge, traffic.Outcome{Status: 307}, challenged},
		{"dropped", mitigation.Drop, traffic.Outcome{}, refused},
	} {
		if got := fateOf(mitigation.Verdict{Action: c.action}, &c.o); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// Who is challenged comes again, and is nobody who was not served.
func TestChallengedIsFeltOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(DefaultConfig(), clock.New())
		for range 10 {
			v := visit()
			v.Clearance = traffic.ClearanceNone
			o.Record(v, mitigation.Verdict{Action: mitigation.Challenge, Reason: mitigation.ReasonMitigation, ID: 7}, traffic.Outcome{Status: 307})
			o.Record(visit(), letIn, served)
		}
		time.Sleep(time.Second)
		w := o.Cut(traffic.Origin{})
		if w.Offered != 20 || w.Offered != w.Admitted+w.Refused+w.Challenged || w.Challenged != 10 || w.Refused != 0 {
			t.Errorf("%d came, %d let in, %d challenged, %d refused", w.Offered, w.Admitted, w.Challenged, w.Refused)
		}
		if none, proven := w.Felt[traffic.ClearanceNone], w.Felt[traffic.ClearanceProven]; none.Offered != 0 || proven.Offered != 10 || proven.Served != 10 {
			t.Errorf("newcomers felt %+v, visitors %+v", none, proven)
		}
	})
}

// TestWindow records a known second and looks at every number of its window.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(DefaultConfig(), clock.New())
		for i := range 80 {
			v := visit()
			if i%4 != 0 {
				v.Kind, v.Path = traffic.KindAsset, "/style.css"
			}
			v.Client = netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 40)})
			out := served
			out.BytesIn = 2
			o.Record(v, letIn, out)
		}
		for i := range 200 {
			v := visit()
			v.Client = netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i))
			v.Country, v.Clearance, v.Path, v.RawQuery, v.QueryShape = traffic.Country{'R', 'U'}, traffic.ClearanceNone, "/", "a=1", 99
			v.Standing = traffic.StandingGreedy
			switch {
			case i < 10:
				o.Record(v, mitigation.Verdict{Action: mitigation.Slow, Reason: mitigation.ReasonMitigation, ID: 7},
					traffic.Outcome{Status: 503, Shed: true, Took: time.Second})
			case i < 20:
				o.Record(v, letIn, traffic.Outcome{Status: 502, Reached: true, Failed: true, OriginTime: time.Second})
			default:
				o.Record(v, mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: 8},
					traffic.Outcome{Status: 403, BytesOut: 10})
			}
		}
		time.Sleep(time.Second)
		w := o.Cut(traffic.Origin{Asked: 999, InFlight: 3, Waiting: 4, Limit: 5, Healthy: 1})

		same := func(name string, got, want any) {
			t.Helper()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
		same("Span", w.Span, time.Second)
		same("Offered, Admitted, Slowed, Refused", []uint64{w.Offered, w.Admitted, w.Slowed, w.Refused}, []uint64{280, 100, 10, 180})
		same("Reasons", w.Reasons, map[string]uint64{"mitigation": 190})
		same("Hits", w.Hits, map[uint32]uint64{7: 10, 8: 180})
		same("RefusedIn", w.RefusedIn, map[string]uint64{"RU": 180})
		same("Bytes", []uint64{w.BytesIn, w.BytesOut}, []uint64{160, 80*100 + 180*10})
		same("Status", w.Status, [6]uint64{2: 80, 4: 180, 5: 20})
		same("ByKind", w.ByKind, [traffic.Kinds]uint64{traffic.KindPage: 220, traffic.KindAsset: 60})
		same("ByClearance", w.ByClearance, [traffic.Clearances]uint64{200, 80, 0})
		same("ByStanding", w.ByStanding, [traffic.Standings]uint64{traffic.StandingNew: 80, traffic.StandingGreedy: 200})
		same("Felt none", w.Felt[0], traffic.Felt{Offered: 200})
		f := w.Felt[traffic.ClearanceProven]
		same("Felt proven", []uint64{f.Offered, f.Served}, []uint64{80, 80})
		if math.Abs(f.P50.Seconds()-0.012) > 0.0003 || math.Abs(f.P99.Seconds()-0.012) > 0.0003 {
			t.Errorf("felt %v, %v", f.P50, f.P99)
		}
		if w.Clients < 230 || w.Clients > 250 {
			t.Errorf("Clients = %d, want about 240", w.Clients)
		}
		w2 := w.Origin
		same("Origin", []any{w2.Asked, w2.Failed, w2.Shed, w2.InFlight, w2.Waiting, w2.Limit, w2.Healthy},
			[]any{uint64(90), uint64(10), uint64(10), 3, 4, 5, 1})
		if math.Abs(w2.P50.Seconds()-0.010) > 0.0003 || math.Abs(w2.P95.Seconds()-1) > 0.02 {
			t.Errorf("origin %v, %v", w2.P50, w2.P95)
		}
		same("Top path", w.Top[traffic.FieldPath], []traffic.Heavy{{Key: "/", Count: 200}, {Key: "/style.css", Count: 60}, {Key: "/news", Count: 20}})
		same("Top country", w.Top[traffic.FieldCountry], []traffic.Heavy{{Key: "RU", Count: 200}, {Key: "GB", Count: 80}})
		same("Top kind", w.Top[traffic.FieldKind], []traffic.Heavy{{Key: "page", Count: 220}, {Key: "asset", Count: 60}})
		same("Top shape", w.Top[traffic.FieldQueryShape], []traffic.Heavy{{Key: "0000000000000063", Count: 200}, {Key: "", Count: 80}})
		same("Top network", w.Top[traffic.FieldNetwork], []traffic.Heavy{{Key: "64496", Count: 280}})
		same("Lost", w.Lost, uint64(0))
		same("Samples", len(w.Samples), 280)

		time.Sleep(time.Second)
		w = o.Cut(traffic.Origin{})
		if w.Offered != 0 || len(w.Samples) != 0 || len(w.Top[traffic.FieldPath]) != 0 || len(w.Hits) != 0 || w.Clients != 0 {
			t.Errorf("the next window is not empty: %+v", w)
		}
	})
}

// TestKeysAreThoseOfVisit: heavy hitters must be named as expressions name them.
func TestKeysAreThoseOfVisit(t *testing.T) {
	for _, a := range []string{"192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1:2:3:4:5:6", "fe80::1%eth0", "::1", "0.0.0.0"} {
		for _, country := range []string{"GB", ""} {
			v := visit()
			v.Client = netip.MustParseAddr(a)
			v.Country, _ = traffic.ParseCountry(country)
			o := New(SmallConfig(), clock.New())
			o.Record(v, letIn, served)
			w := o.Cut(traffic.Origin{})
			for f := range traffic.Fields {
				if top := w.Top[f]; len(top) != 1 || top[0].Key != v.Key(f) {
					t.Errorf("%s of %s: %v, want %q", f, a, top, v.Key(f))
				}
			}
		}
	}
}

// TestSamplesAreThoseOfKeep: a sample must not depend on who kept it.
func TestSamplesAreThoseOfKeep(t *testing.T) {
	for _, long := range []string{"", "x", strings.Repeat("long", 1000)} {
		v := visit()
		v.Method, v.Host, v.Path, v.RawQuery, v.UserAgent = "M"+long, "h"+long, "/"+long, "q"+long, long
		v.JA4, v.HTTP, v.OpeningHTTP2 = "t"+long, traffic.HTTP2, 7
		o := New(SmallConfig(), clock.New())
		o.Record(v, mitigation.Verdict{Action: mitigation.Refuse}, served)
		got := o.Cut(traffic.Origin{}).Samples
		if want := v.Keep(served, true); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("kept %+v,\nwant %+v", got, want)
		}
	}
}

func TestPeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(DefaultConfig(), clock.New())
		for range 10 {
			o.Record(visit(), letIn, served)
			o.Record(visit(), mitigation.Verdict{Action: mitigation.Refuse}, traffic.Outcome{Status: 403})
		}
		time.Sleep(100 * time.Millisecond)
		g := o.Peek()
		if g.Offered != 20 || g.Admitted != 10 || g.Refused != 10 || g.Asked != 10 || g.OriginTime != 10*time.Millisecond ||
			g.ByClearance[traffic.ClearanceProven] != 20 || g.AdmittedBy[traffic.ClearanceProven] != 10 ||
			g.ServedBy[traffic.ClearanceProven] != 10 || g.Span != 100*time.Millisecond || g.Rate(g.Offered) != 200 {
			t.Errorf("Peek = %+v", g)
		}
		if g = o.Peek(); g.Offered != 0 {
			t.Errorf("second Peek = %+v", g)
		}
		if w := o.Cut(traffic.Origin{}); w.Offered != 20 {
			t.Errorf("Peek took %d from the window", 20-w.Offered)
		}
	})
}

// TestSamplingKeepsTheScale: above the rate, heavy hitters are estimates of
// the same numbers, and everything else stays exact.
func TestSamplingKeepsTheScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.SampleAbove = 1000
		o := New(cfg, clock.New())
		flood := func() {
			for i := range 10_000 {
				v := visit()
				if i%10 < 3 {
					v.Path = "/other"
				}
				o.Record(v, letIn, served)
			}
		}
		flood()
		time.Sleep(100 * time.Millisecond)
		if o.Peek(); o.step.Load() != 101 {
			t.Errorf("step = %d at 100,000/s", o.step.Load())
		}
		time.Sleep(900 * time.Millisecond)
		o.Cut(traffic.Origin{}) // 10,000/s
		flood()
		time.Sleep(time.Second)
		w := o.Cut(traffic.Origin{})
		if w.Offered != 10_000 || w.Status[2] != 10_000 {
			t.Errorf("offered %d, status %v", w.Offered, w.Status)
		}
		top := w.Top[traffic.FieldPath]
		// 1 in 11 of 7,000: a standard deviation of 3.8 %.
		if len(top) != 2 || top[0].Key != "/news" || math.Abs(float64(top[0].Count)-7000) > 1600 {
			t.Errorf("Top = %v", top)
		}
		time.Sleep(time.Second)
		if o.Cut(traffic.Origin{}); o.step.Load() != 1 {
			t.Errorf("step = %d in quiet", o.step.Load())
		}
	})
}

// TestRecordNeverWaits: with every shard taken, Record returns and the exact
// counters still see the request.
func TestRecordNeverWaits(t *testing.T) {
	o := New(DefaultConfig(), clock.New())
	for i := range o.shards {
		o.shards[i].mu.Lock()
	}
	o.Record(visit(), letIn, served)
	for i := range o.shards {
		o.shards[i].mu.Unlock()
	}
	w := o.Cut(traffic.Origin{})
	if w.Lost != 1 || w.Offered != 1 || w.Origin.Asked != 1 || w.Felt[traffic.ClearanceProven].Served != 1 || len(w.Samples) != 0 {
		t.Errorf("lost %d of %d", w.Lost, w.Offered)
	}
}

// TestConcurrent: whatever runs at once, nothing is counted twice or dropped
// without being counted as lost.
func TestConcurrent(t *testing.T) {
	o := New(SmallConfig(), clock.New())
	const each, workers = 4000, 8
	var wg sync.WaitGroup
	for g := range workers {
		wg.Go(func() {
			v := visit()
			for i := range each {
				v.Client = netip.AddrFrom4([4]byte{10, byte(g), byte(i >> 8), byte(i)})
				o.Record(v, letIn, served)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var offered, lost, status, path uint64
	take := func() {
		w := o.Cut(traffic.Origin{})
		offered += w.Offered
		lost += w.Lost
		status += w.Status[2]
		for _, h := range w.Top[traffic.FieldPath] {
			path += h.Count
		}
		o.Peek()
		o.step.Store(1)
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		take()
	}
	take()
	if offered != each*workers || status+lost != each*workers || path > 2*each*workers {
		t.Errorf("offered %d, seen %d, lost %d, paths %d", offered, status, lost, path)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{DefaultConfig(), SmallConfig()} {
		if err := c.Validate().Err(); err != nil {
			t.Error(err)
		}
	}
	if l := (Config{Shards: 3}).Validate(); len(l) != 5 {
		t.Errorf("%d problems, want 5: %v", len(l), l)
	}
}

// TestTurnedAway: a connection without a request counts as one that was refused,
// and as nothing that it never said.
func TestTurnedAway(t *testing.T) {
	o := New(SmallConfig(), clock.New())
	for range 30 {
		v := traffic.Visit{Client: visit().Client, Network: 64496, Country: traffic.Country{'D', 'E'}, JA4: "t13d"}
		o.TurnedAway(&v, mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonMitigation, ID: 7})
	}
	if g := o.Peek(); g.Offered != 30 || g.Refused != 30 {
		t.Errorf("a glance: %+v", g)
	}
	w := o.Cut(traffic.Origin{})
	if w.Offered != 30 || w.Refused != 30 || w.Hits[7] != 30 || w.Reasons["mitigation"] != 30 || w.RefusedIn["DE"] != 30 || w.Clients != 1 {
		t.Errorf("the window: %+v", w)
	}
	for f := range traffic.Fields {
		want := f.OfConnection() || f == traffic.FieldKind || f == traffic.FieldClearance
		if (len(w.Top[f]) > 0) != want {
			t.Errorf("%s: %v", f, w.Top[f])
		}
	}
	if len(w.Samples) != 0 || w.Status != [6]uint64{} {
		t.Error("there is more than came")
	}
	v := visit()
	if n := testing.AllocsPerRun(100, func() { o.TurnedAway(v, letIn) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
