package app

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/config"
	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// The contract of all detectors, whatever they look for: nothing is found where
// nothing is, what is found follows from the windows alone, and all ends.

// hour is when windows begin.
const hour = clock.Instant(time.Hour)

// ordinary is a second of a site on an ordinary evening, as the n-th window.
func ordinary(n int) *traffic.Window {
	w := &traffic.Window{
		At: hour.Add(time.Duration(n) * time.Second), Wall: time.Date(2026, 5, 1, 20, 0, n, 0, time.UTC), Span: time.Second,
		Offered: 100, Admitted: 100, Clients: 30,
	}
	w.ByKind[traffic.KindPage], w.ByKind[traffic.KindAsset] = 30, 70
	w.ByClearance[traffic.ClearanceKnown], w.ByClearance[traffic.ClearanceNone] = 70, 30
	w.Origin = traffic.Origin{Asked: 100, InFlight: 2, Limit: 50, Healthy: 1, P50: 10 * time.Millisecond, P95: 30 * time.Millisecond}
	for i := range 100 {
		v := traffic.Visit{Client: netip.AddrFrom4([4]byte{100, byte(n), byte(i % 30), 7}), Method: "GET", Path: "/", Kind: traffic.KindPage}
		if i%10 > 2 {
			v.Kind, v.Path = traffic.KindAsset, "/style.css"
		}
		w.Samples = append(w.Samples, traffic.Sample{Visit: v})
	}
	w.Links = traffic.Links{Counted: true, Opened: 60, Closed: 60, Unused: 5, Open: 200, Most: 8192, Clients: 30,
		Handshakes: traffic.Handshakes{Begun: 55, Made: 54, Unused: 5}}
	w.Links.Lagging[traffic.WaitShake] = 20
	w.Packets = traffic.Packets{Filtered: true, Every: 10, Passed: traffic.Counted{Packets: 2000, Bytes: 1_000_000}}
	w.Packets.Kinds[traffic.PacketSyn], w.Packets.Kinds[traffic.PacketOther] = 60, 1940
	return w
}

// usually is what is normal where every second is like ordinary.
func usually() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 110, Clients: 35, PerClient: 5,
		OriginP50: 10 * time.Millisecond, OriginP95: 30 * time.Millisecond, AssetShare: 0.7, ClearanceShare: 0.7}
	n.Ordinary = ordinary(0).Samples
	n.Links = traffic.LinkNormal{Learned: time.Hour, Opened: traffic.Rates{Usual: 60, Peak: 70}, Unused: traffic.Rates{Usual: 10, Peak: 12},
		Begun: traffic.Rates{Usual: 55, Peak: 60}, Unmade: traffic.Rates{Usual: 1, Peak: 2}, Silent: traffic.Rates{Usual: 20, Peak: 25}}
	n.Packets = traffic.PacketNormal{Learned: time.Hour, Packets: traffic.Rates{Usual: 2000, Peak: 2200}, Passed: traffic.Rates{Usual: 2000, Peak: 2200}}
	n.Packets.Kinds[traffic.PacketSyn], n.Packets.Kinds[traffic.PacketOther] = traffic.Rates{Usual: 60, Peak: 70}, traffic.Rates{Usual: 1940, Peak: 2100}
	return n
}

// everything is a second in which all is wrong at once.
func everything(n int) *traffic.Window {
	w := ordinary(n)
	w.Offered, w.Admitted = 5000, 5000
	w.ByKind[traffic.KindPage] = 4930
	w.ByClearance[traffic.ClearanceNone] = 4930
	w.Origin.Waiting, w.Origin.Shed, w.Origin.P95 = 400, 2000, 3*time.Second
	w.Samples = nil
	for i := range 2000 {
		w.Samples = append(w.Samples, traffic.Sample{Visit: traffic.Visit{Client: netip.AddrFrom4([4]byte{203, 0, 113, byte(i % 200)}), Method: "GET", Path: "/", Kind: traffic.KindPage}})
	}
	l := &w.Links
	l.Opened, l.Unused, l.Malformed = 9000, 4000, 4000
	l.Handshakes = traffic.Handshakes{Begun: 4000, Made: 1000, Unused: 900}
	l.Odd[traffic.OddResets] = 100
	l.Lagging = [traffic.Waits]int{1000, 1000, 1000, 1000, 1000}
	p := &w.Packets
	p.Kinds = [traffic.PacketKinds]uint64{50000, 50000, 50000, 50000, 50000, 50000, 50000, 50000}
	p.Passed.Packets = 400000
	for i := range 2000 {
		p.Samples = append(p.Samples, traffic.Packet{Kind: traffic.PacketKind(i % int(traffic.PacketKinds)), Protocol: 17, Ports: true, SourcePort: 53,
			Source: netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 1}), Dest: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
	}
	return w
}

func all() []defense.Detector { return detectors(config.Default()) }

func TestDetectorsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range all() {
		if d.Name() == "" || seen[d.Name()] {
			t.Errorf("%T is called %q, as another one", d, d.Name())
		}
		seen[d.Name()] = true
	}
}

func TestDetectorsBearNothing(t *testing.T) {
	for _, d := range all() {
		t.Run(d.Name(), func(t *testing.T) {
			for _, w := range []*traffic.Window{nil, {}, {Span: time.Second}, {Span: -time.Second, Offered: 1 << 40}} {
				for _, n := range []*traffic.Normal{nil, {}} {
					if fs := d.Detect(w, n); len(fs) > 0 {
						t.Errorf("found %+v in %+v", fs, w)
					}
				}
			}
		})
	}
}

func TestDetectorsAreQuietInOrdinaryTraffic(t *testing.T) {
	for _, d := range all() {
		t.Run(d.Name(), func(t *testing.T) {
			for i := range 120 {
				if fs := d.Detect(ordinary(i), usually()); len(fs) > 0 {
					t.Fatalf("second %d: %+v", i, fs)
				}
			}
		})
	}
}

// Each finds what it looks for in a second in which all is wrong, says the same of
// the same windows, changes none of them, and says that it is over within a minute.
func TestDetectorsFindRepeatAndEnd(t *testing.T) {
	first, second := all(), all()
	for i, d := range first {
		t.Run(d.Name(), func(t *testing.T) {
			again, found, over := second[i], 0, 0
			for k := range 80 {
				w, n := ordinary(k), usually()
				if k >= 10 && k < 20 {
					w = everything(k)
				}
				before := text(t, w)
				fs := d.Detect(w, n)
				if fs2 := again.Detect(w, n); !reflect.DeepEqual(fs, fs2) {
					t.Fatalf("second %d: once %+v, then %+v", k, fs, fs2)
				}
				if text(t, w) != before || !reflect.DeepEqual(n, usually()) {
					t.Fatalf("second %d: the window or what is normal was changed", k)
				}
				for _, f := range fs {
					if f.Vector == "" || f.Since < hour.Add(8*time.Second) || f.Since > w.At || f.Confidence < 0 || f.Confidence > 1 {
						t.Errorf("second %d: %+v", k, f)
					}
				}
				if len(fs) > 0 {
					found, over = found+1, k
				}
			}
			if found == 0 {
				t.Error("nothing is found")
			}
			if over > 70 {
				t.Errorf("it is found until second %d", over)
			}
		})
	}
}

// Every vector that is found is among those that metrics list.
func TestVectorsAreListed(t *testing.T) {
	for _, d := range all() {
		for k := range 5 {
			for _, f := range d.Detect(everything(k), usually()) {
				known := false
				for _, v := range attack.Vectors() {
					known = known || v == f.Vector
				}
				if !known {
					t.Errorf("%s finds %s, which is not listed", d.Name(), f.Vector)
				}
			}
		}
	}
}

func text(t *testing.T, w *traffic.Window) string {
	t.Helper()
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
