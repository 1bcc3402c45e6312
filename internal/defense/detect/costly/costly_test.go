package costly

import (
	"net/netip"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

const usual = 10 * time.Millisecond

func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 30, Peak: 40, OriginP50: usual, OriginP95: 2 * usual, AssetShare: 0.6, ClearanceShare: 0.9}
	n.Share[traffic.FieldPath] = map[string]float64{"/": 0.2, "/export": 0.05}
	for i := range 200 {
		s := traffic.Sample{Visit: traffic.Visit{Path: "/"}, Outcome: traffic.Outcome{Status: 200, Reached: true, OriginTime: usual}}
		if i%20 == 0 {
			s.Visit.Path, s.Outcome.OriginTime = "/export", 40*usual
		}
		n.Ordinary = append(n.Ordinary, s)
	}
	return n
}

// ask is some requests of strangers for a page.
type ask struct {
	n    int
	path string
	took time.Duration
	like bool // visitors
	no   bool // refused
}

func window(sec int, asks ...ask) *traffic.Window {
	w := &traffic.Window{At: clock.Instant(time.Hour).Add(time.Duration(sec) * time.Second), Span: time.Second}
	for k, a := range asks {
		for i := range a.n {
			s := traffic.Sample{
				Visit:   traffic.Visit{Method: "GET", Path: a.path, Client: netip.AddrFrom4([4]byte{10, byte(k), byte(i >> 8), byte(i)})},
				Outcome: traffic.Outcome{Status: 200, Reached: true, OriginTime: a.took}, Refused: a.no,
			}
			if a.like {
				s.Visit.Clearance = traffic.ClearanceProven
			}
			if a.no {
				s.Outcome = traffic.Outcome{Status: 403}
			}
			w.Samples = append(w.Samples, s)
		}
	}
	w.Offered = uint64(len(w.Samples))
	return w
}

func TestWhatIsCostly(t *testing.T) {
	readers := ask{n: 30, path: "/", took: usual, like: true}
	noTraits := site()
	noTraits.AssetShare, noTraits.ClearanceShare = 0, 0
	young := site()
	young.Learned = time.Second
	for _, c := range []struct {
		name string
		asks []ask
		n    *traffic.Normal
		want bool
	}{
		{"twenty a second at half a second each", []ask{readers, {n: 20, path: "/poster", took: 50 * usual}}, site(), true},
		{"three a second", []ask{readers, {n: 3, path: "/poster", took: 50 * usual}}, site(), false},
		{"twenty a second at an ordinary page", []ask{readers, {n: 20, path: "/poster", took: 2 * usual}}, site(), false},
		{"by visitors", []ask{readers, {n: 20, path: "/poster", took: 50 * usual, like: true}}, site(), false},
		{"half of them visitors", []ask{readers, {n: 10, path: "/poster", took: 50 * usual, like: true}, {n: 10, path: "/poster", took: 50 * usual}}, site(), false},
		{"as often as it usually is", []ask{readers, {n: 8, path: "/export", took: 40 * usual}}, site(), false},
		{"one of several such pages", []ask{readers, {n: 20, path: "/poster", took: 50 * usual}, {n: 16, path: "/a", took: 50 * usual, like: true}, {n: 16, path: "/b", took: 50 * usual, like: true}}, site(), false},
		{"a slow origin", []ask{{n: 30, path: "/", took: 12 * usual}}, site(), false},
		{"a crowd at a page that is slow as all are", []ask{{n: 200, path: "/", took: 50 * usual}}, site(), false},
		{"where visitors cannot be told", []ask{readers, {n: 20, path: "/poster", took: 50 * usual}}, noTraits, false},
		{"at a young site", []ask{readers, {n: 20, path: "/poster", took: 50 * usual}}, young, false},
		{"nothing is known", []ask{readers, {n: 20, path: "/poster", took: 50 * usual}}, nil, false},
	} {
		fs := New(DefaultConfig()).Detect(window(1, c.asks...), c.n)
		if got := len(fs) == 1 && fs[0].Vector == attack.CostlyRequests && fs[0].Part.Path == "/poster"; got != c.want || len(fs) > 0 && !c.want {
			t.Errorf("%s: %+v", c.name, fs)
		}
	}
	suffers := window(1, readers, ask{n: 20, path: "/poster", took: 50 * usual})
	suffers.Origin = traffic.Origin{Limit: 20, Waiting: 40}
	if fs := New(DefaultConfig()).Detect(suffers, noTraits); len(fs) != 1 || !fs[0].Suffering {
		t.Errorf("where visitors cannot be told and the origin suffers: %+v", fs)
	}
}

// A new page that many read was quick before they made all of it slow.
func TestWhatWasQuickIsNotCostly(t *testing.T) {
	d, n := New(DefaultConfig()), site()
	for sec, took := range []time.Duration{usual, 2 * usual, 10 * usual, 50 * usual, 50 * usual} {
		if fs := d.Detect(window(sec, ask{n: 100, path: "/viral", took: took}), n); len(fs) > 0 {
			t.Fatalf("second %d: %+v", sec, fs)
		}
	}
}

// While what comes is refused the flood goes on, with the cost that it would have.
func TestHeldOffIsNotOver(t *testing.T) {
	d, n := New(DefaultConfig()), site()
	readers := ask{n: 30, path: "/", took: usual, like: true}
	d.Detect(window(1, readers, ask{n: 20, path: "/poster", took: 50 * usual}), n)
	for i := range 30 {
		fs := d.Detect(window(2+i, readers, ask{n: 20, path: "/poster", no: true}), n)
		if len(fs) != 1 || fs[0].Rate < 19 {
			t.Fatalf("second %d: %+v", i, fs)
		}
	}
	for i := range 12 {
		if fs := d.Detect(window(40+i, readers), n); (len(fs) > 0) != (i < 9) {
			t.Fatalf("second %d after its end: %+v", i, fs)
		}
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) != 5 {
		t.Errorf("an empty configuration has %d problems: %v", len(l), l)
	}
}
