package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// site makes windows of a small site, second by second.
type site struct {
	at   clock.Instant
	wall time.Time
	rng  *rand.Rand
	step time.Duration // length of the windows

	networks int // that visitors come from, by turns; 0: one
}

func newSite() *site {
	return &site{
		at:   clock.Instant(time.Hour),
		wall: time.Date(2019, 11, 11, 9, 0, 0, 0, time.UTC), // a Monday
		rng:  rand.New(rand.NewPCG(3, 4)),
		step: time.Second,
	}
}

// second makes a window, of a second if not told otherwise, of visitors'
// requests and of a flood's.
func (s *site) second(visitors, flood int) *traffic.Window {
	s.at, s.wall = s.at.Add(s.step), s.wall.Add(s.step)
	w := &traffic.Window{
		At: s.at, Wall: s.wall, Span: s.step,
		Offered: uint64(visitors + flood), Admitted: uint64(visitors + flood),
		Clients: uint64(min(visitors, 40) + min(flood, 200)),
		Origin:  traffic.Origin{Asked: uint64(visitors + flood), P50: 10 * time.Millisecond, P95: 15 * time.Millisecond},
	}
	if visitors > 0 {
		w.Top[traffic.FieldClient] = []traffic.Heavy{{Key: "192.0.2.1/32", Count: 6, Error: 2}}
	}
	for i := range visitors + flood {
		a := netip.AddrFrom4([4]byte{192, 0, byte(2 + i%max(s.networks, 1)), byte(s.rng.IntN(40))})
		v := traffic.Visit{
			At: s.at, Host: "example.org", Method: "GET", Path: fmt.Sprint("/page", s.rng.IntN(10)),
			UserAgent: "browser", RawQuery: "q=1", Clearance: traffic.ClearanceProven, ClearanceID: 5, Standing: traffic.StandingGood,
		}
		switch {
		case i >= visitors:
			a = netip.AddrFrom4([4]byte{10, 0, byte(s.rng.IntN(200)), 1})
			v.Path, v.UserAgent, v.Clearance, v.ClearanceID, v.Standing = "/", "flood", 0, 0, traffic.StandingNew
		case s.rng.IntN(4) > 0:
			v.Kind, v.Path = traffic.KindAsset, "/style.css"
		case s.rng.IntN(10) == 0:
			v.Clearance, v.ClearanceID = traffic.ClearanceNone, 0
		}
		v.Client, v.Peer = a, a
		w.ByKind[v.Kind]++
		w.ByClearance[v.Clearance]++
		if len(w.Samples) < 2000 {
			w.Samples = append(w.Samples, traffic.Sample{Visit: v})
		}
	}
	return w
}

func near(t *testing.T, name string, got, want, by float64) {
	t.Helper()
	if math.Abs(got-want) > by {
		t.Errorf("%s = %v, want %v within %v", name, got, want, by)
	}
}

func TestDayZero(t *testing.T) {
	for _, c := range []struct{ capacity, want float64 }{{0, 20}, {500, 150}, {10, 20}} {
		cfg := DefaultConfig()
		cfg.OriginCapacity = c.capacity
		n := New(cfg).Normal()
		if n.Requests != c.want || n.Peak != c.want || n.Capacity != c.capacity {
			t.Errorf("capacity %v: %+v", c.capacity, n)
		}
		if n.Learned != 0 || n.Frozen || n.AssetShare != 0 || n.PerClient != 0 || len(n.Ordinary) != 0 {
			t.Errorf("claims to know: %+v", n)
		}
	}
}

// TestTenQuietSeconds: as little as that must tell a flood from the usual.
func TestTenQuietSeconds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.OriginCapacity = 500
	b, s := New(cfg), newSite()
	for range 4 {
		b.Learn(s.second(0, 0), false) // nobody there yet
	}
	for i := range 10 {
		b.Learn(s.second(75+i, 0), false)
	}
	// A flood begins; for three seconds nobody knows that it is one.
	for range 3 {
		b.Learn(s.second(80, 4000), false)
	}
	b.Learn(s.second(80, 4000), true)
	n := b.Normal()
	if !n.Frozen || n.Learned < 7*time.Second {
		t.Errorf("frozen %v, learned %v", n.Frozen, n.Learned)
	}
	near(t, "Requests", n.Requests, 80, 4)
	near(t, "Peak", n.Peak, 84, 5)
	near(t, "Clients", n.Clients, 40, 1)
	near(t, "PerClient", n.PerClient, 4, 0.1)
	near(t, "AssetShare", n.AssetShare, 0.75, 0.06)
	near(t, "ClearanceShare", n.ClearanceShare, 0.975, 0.02)
	near(t, "OriginP50", n.OriginP50.Seconds(), 0.010, 0.0003)
	near(t, "OriginP95", n.OriginP95.Seconds(), 0.015, 0.0003)
	near(t, "share of a path", n.Share[traffic.FieldPath]["/style.css"], 0.75, 0.06)
	near(t, "share of a standing", n.Share[traffic.FieldStanding]["good"], 1, 0)
	near(t, "share of the flood's path", n.Share[traffic.FieldPath]["/"], 0, 0)
	if len(n.Ordinary) < 500 {
		t.Errorf("%d ordinary samples", len(n.Ordinary))
	}
	for _, o := range n.Ordinary {
		if o.Visit.UserAgent == "flood" {
			t.Fatal("the flood is in the ordinary sample")
		}
	}
}

// TestFrozen: whatever an attack sends, normal stays; afterwards it goes on.
func TestFrozen(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for range 60 {
		b.Learn(s.second(80, 0), false)
	}
	before := *b.Normal()
	for range 9 {
		b.Learn(s.second(80, 3000), false) // a slow eye
	}
	for range 20 {
		b.Learn(s.second(80, 3000), true)
	}
	during := b.Normal()
	if !during.Frozen {
		t.Error("not frozen")
	}
	near(t, "Requests", during.Requests, before.Requests, 2)
	near(t, "Peak", during.Peak, before.Peak, 2)
	if during.Share[traffic.FieldUserAgent]["flood"] != 0 {
		t.Error("the flood is usual now")
	}
	for range 30 {
		b.Learn(s.second(80, 0), false)
	}
	after := b.Normal()
	if after.Frozen || after.Learned <= during.Learned {
		t.Errorf("after the attack: frozen %v, learned %v", after.Frozen, after.Learned)
	}
	near(t, "Requests", after.Requests, 80, 2)
}

// TestOneSecondDoesNotStandForAll: a burst that nobody calls an attack.
func TestOneSecondDoesNotStandForAll(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for i := range 120 {
		flood := 0
		if i == 60 {
			flood = 2000
		}
		b.Learn(s.second(20, flood), false)
	}
	n := b.Normal()
	near(t, "Peak", n.Peak, 20, 1)
	if share := n.Share[traffic.FieldUserAgent]["flood"]; share > 0.04 {
		t.Errorf("one second of 120 makes %.1f %% of the ordinary sample", 100*share)
	}
}

// TestMostlyRefused: what the door turns away is not normal.
func TestMostlyRefused(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for range 30 {
		w := s.second(40, 400)
		w.Admitted, w.Refused = 40, 400
		for i := 40; i < 440; i++ {
			w.Samples[i].Refused = true
		}
		b.Learn(w, false)
	}
	n := b.Normal()
	near(t, "Requests", n.Requests, 40, 1)
	if n.Share[traffic.FieldUserAgent]["flood"] != 0 || n.Clients != 0 {
		t.Errorf("learnt from the refused: %v clients", n.Clients)
	}
}

func TestCapacityInComfort(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for i := range 300 {
		w := s.second(50, 0)
		switch i {
		case 100:
			w.Origin.Asked, w.Origin.P50 = 300, 18*time.Millisecond
		case 200:
			w.Origin.Asked, w.Origin.P50 = 900, 200*time.Millisecond // suffered
		case 250:
			w.Origin.Asked, w.Origin.Failed = 900, 800
		}
		b.Learn(w, false)
	}
	near(t, "Capacity", b.Normal().Capacity, 300, 0)
}

// TestDaysAndWeeks lives three weeks: busy by day, quiet at night, except that
// the last week is quiet throughout.
func TestDaysAndWeeks(t *testing.T) {
	var c calendar
	wall := newSite().wall // nine o'clock
	live := func(d time.Duration, day float64) {
		for end := wall.Add(d); wall.Before(end); wall = wall.Add(5 * time.Minute) {
			rate := 30.0
			if h := wall.Hour(); h >= 10 && h < 20 {
				rate = day
			}
			c.add(wall, 10*time.Second, rate, 2*rate)
		}
	}
	const week = 7 * 24 * time.Hour
	live(week+time.Hour, 200)
	near(t, "yesterday's peak", c.peak, 200, 1)
	near(t, "usual at nine", c.usual().median, 30, 1)
	live(time.Hour, 200)
	near(t, "usual at ten", c.usual().median, 200, 1)
	live(2*week, 30)
	// This week's hour counts once it is over.
	near(t, "usual at ten, after a quiet week", c.usual().median, 30+170*0.7, 1)
	near(t, "yesterday's peak, all quiet", c.peak, 30, 1)
	near(t, "yesterday's capacity, all quiet", c.capacity, 60, 1)

	// The long memory holds where the short one has seen only the night.
	b := New(DefaultConfig())
	b.calendar = c
	b.calendar.week[hourOfWeek(c.now)] = weekHour{weeks: 3, median: 150, peak: 250}
	for range 20 {
		b.requests.addRate(30)
	}
	b.publish()
	near(t, "Requests", b.Normal().Requests, 150, 0)
	near(t, "Peak", b.Normal().Peak, 250, 0)
}

// TestOrdinaryRollsOver: even over time at first, then half from the last hour,
// addresses gone after an hour, and published samples never change.
func TestOrdinaryRollsOver(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Samples = 1000
	b, s := New(cfg), newSite()
	var first *traffic.Normal
	var copied []traffic.Sample
	learn := func(d time.Duration) {
		for range int(d / s.step) {
			b.Learn(s.second(int(10*s.step.Seconds()), 0), false)
		}
	}
	share := func(last time.Duration) float64 {
		n := 0
		for _, o := range b.Normal().Ordinary {
			if s.at.Sub(o.Visit.At) <= last {
				n++
			}
		}
		return float64(n) / float64(len(b.Normal().Ordinary))
	}
	learn(2 * time.Minute)
	first = b.Normal()
	copied = slices.Clone(first.Ordinary)
	s.step = 10 * time.Second
	learn(38 * time.Minute)

	near(t, "share of the last half, young", share(20*time.Minute), 0.5, 0.08)
	s.step = 30 * time.Second
	learn(200 * time.Minute)
	near(t, "share of the last hour, old", share(time.Hour), 0.5, 0.08)
	if n := len(b.Normal().Ordinary); n != 1000 {
		t.Errorf("%d samples", n)
	}
	for _, o := range b.Normal().Ordinary {
		v := &o.Visit
		raw := v.Peer.IsValid() || v.ClearanceID != 0 || v.RawQuery != "" || v.Client != netip.MustParseAddr("192.0.2.0")
		if raw && s.at.Sub(v.At) > rawFor+every+cfg.Delay+s.step {
			t.Fatalf("an address is %v old", s.at.Sub(v.At))
		}
	}
	if !reflect.DeepEqual(first.Ordinary, copied) {
		t.Error("a published sample changed")
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate().Err(); err != nil {
		t.Error(err)
	}
	if l := (Config{Floor: math.NaN(), FloorShare: 2, OriginCapacity: -1}).Validate(); len(l) != 5 {
		t.Errorf("%d problems, want 5: %v", len(l), l)
	}
}

func BenchmarkLearn(b *testing.B) {
	for _, n := range []int{80, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bl, s := New(DefaultConfig()), newSite()
			for range 120 {
				bl.Learn(s.second(n, 0), false)
			}
			w := s.second(n, 0)
			b.ReportAllocs()
			for b.Loop() {
				w.At, w.Wall = w.At.Add(time.Second), w.Wall.Add(time.Second)
				bl.Learn(w, false)
			}
		})
	}
}
