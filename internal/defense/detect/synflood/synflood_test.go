package synflood

import (
	"net/netip"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// second is what comes in a second.
type second struct {
	crowd  int // visitors, each with two connections, five requests and twenty packets
	slow   int // visitors whose requests wait somewhere in front of us
	flood  int // SYNs that lead nowhere
	acks   int // bare ACKs that belong to nothing
	inLine int // how long the line is at the end
}

type maker struct{ at clock.Instant }

func (m *maker) window(s second) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Offered: uint64(5 * s.crowd)}
	w.Origin.Waiting = s.inLine
	p := &w.Packets
	people := s.crowd + s.slow
	p.Filtered, p.Every = true, 100
	p.Kinds[traffic.PacketSyn] = uint64(2*people + s.flood)
	p.Kinds[traffic.PacketOther] = uint64(20*people + s.acks)
	add := func(n int, one traffic.Packet) {
		one.Protocol, one.Ports, one.DestPort = 6, true, 443
		for i := range n / 100 {
			one.Source = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			one.SourcePort = uint16(i)
			p.Samples = append(p.Samples, one)
		}
	}
	add(2*people, traffic.Packet{Kind: traffic.PacketSyn, TTL: 57, Length: 60, Window: 64240})
	add(12*people, traffic.Packet{TTL: 57, Length: 52})
	add(8*people, traffic.Packet{TTL: 57, Length: 600, PayloadLen: 32})
	add(s.flood, traffic.Packet{Kind: traffic.PacketSyn, TTL: 244, Length: 40})
	add(s.acks, traffic.Packet{TTL: 244, Length: 40})
	return w
}

// site is a campaign's website on an ordinary evening.
func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 120}
	n.Packets.Learned = time.Hour
	n.Packets.Kinds[traffic.PacketSyn] = traffic.Rates{Usual: 40, Peak: 50}
	n.Packets.Kinds[traffic.PacketOther] = traffic.Rates{Usual: 400, Peak: 500}
	return n
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name    string
		normal  *traffic.Normal
		seconds []second
		want    int // the second in which it is found; 0 never
	}{
		{"quiet", site(), []second{{crowd: 20}, {crowd: 20}}, 0},
		{"flood", site(), []second{{crowd: 20, flood: 20000}}, 1},
		{"flood, half a second of it", site(), []second{{crowd: 20, flood: 10000}}, 1},
		{"flood, nothing known", nil, []second{{crowd: 20, flood: 20000}}, 1},
		{"flood in a crowd", site(), []second{{crowd: 500, flood: 20000}}, 1},
		{"flood with bare ACKs", site(), []second{{crowd: 20, flood: 20000, acks: 60000}}, 1},
		{"scan", site(), []second{{crowd: 20, flood: 500}, {crowd: 20, flood: 500}}, 0},
		{"crowd", site(), []second{{crowd: 1000}, {crowd: 2000}, {crowd: 5000}}, 0},
		{"crowd, nothing known", nil, []second{{crowd: 1000}, {crowd: 5000}}, 0},
		{"crowd whose requests wait in line", site(), []second{{slow: 1000, inLine: 5000}, {slow: 1000, inLine: 10000}}, 0},
		{"crowd whose requests come late", site(), []second{{slow: 2000}, {slow: 2000}, {crowd: 2000}, {crowd: 2000}}, 0},
		{"connections and never a request", site(), []second{{slow: 2000}, {slow: 2000}, {slow: 2000}, {slow: 2000}, {slow: 2000}, {slow: 2000}}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m, found := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}, 0
			for i, s := range c.seconds {
				fs := d.Detect(m.window(s), c.normal)
				if len(fs) > 0 && found == 0 {
					found = i + 1
					if f := fs[0]; f.Vector != attack.SynFlood || f.Confidence <= 0 || f.Confidence > 0.99 || f.Target != "port 443" || f.Since != m.at.Add(-time.Second) {
						t.Errorf("finding %+v", f)
					}
				}
			}
			if found != c.want {
				t.Errorf("found in second %d, want %d", found, c.want)
			}
		})
	}
}

// It goes on while the SYNs come, though all are stopped, and ends after ten
// calm seconds.
func TestEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	for i := range 30 {
		w := m.window(second{crowd: 20, flood: 20000})
		if i > 0 {
			w.Packets.Stopped.Packets = 20000
		}
		if len(d.Detect(w, site())) != 1 {
			t.Fatalf("second %d: nothing", i)
		}
	}
	calm := 0
	for len(d.Detect(m.window(second{crowd: 20}), site())) > 0 {
		if calm++; calm > 20 {
			t.Fatal("it never ends")
		}
	}
	if calm != 9 {
		t.Errorf("ended after %d calm seconds", calm+1)
	}
}

// Thousands of banned clients that try again are no flood of SYNs.
func TestBannedClients(t *testing.T) {
	w := (&maker{at: clock.Instant(time.Hour)}).window(second{crowd: 20, flood: 3000})
	w.Packets.Reasons = map[string]traffic.Counted{"blocked": {Packets: 3000}}
	if fs := New(DefaultConfig()).Detect(w, site()); fs != nil {
		t.Errorf("found %+v", fs)
	}
}

func TestNoFilter(t *testing.T) {
	w := (&maker{at: clock.Instant(time.Hour)}).window(second{flood: 20000})
	w.Packets.Filtered = false
	if fs := New(DefaultConfig()).Detect(w, nil); fs != nil {
		t.Errorf("found %+v", fs)
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) != 3 {
		t.Errorf("an empty configuration has the problems %v", l)
	}
}

func BenchmarkDetect(b *testing.B) {
	b.ReportAllocs()
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	w, n := m.window(second{crowd: 100, flood: 200000}), site()
	for b.Loop() {
		d.Detect(w, n)
	}
}
