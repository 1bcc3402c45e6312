package packetflood

import (
	"net/netip"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// part is some packets of one kind, a second.
type part struct {
	n       int
	kind    traffic.PacketKind
	sources int // 0: each packet comes from another
	length  uint16
}

type maker struct{ at clock.Instant }

func (m *maker) window(visits int, parts ...part) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Offered: uint64(visits), BytesOut: uint64(visits) * 20000}
	p := &w.Packets
	p.Filtered, p.Every, p.Reasons = true, 20, map[string]traffic.Counted{}
	parts = append(parts, part{n: visits / 2, kind: traffic.PacketSyn, sources: 0}, part{n: visits * 10, kind: traffic.PacketOther, sources: visits/2 + 1})
	for _, c := range parts {
		p.Kinds[c.kind] += uint64(c.n)
		for i := range c.n / 20 {
			if c.sources > 0 {
				i %= c.sources
			}
			p.Samples = append(p.Samples, traffic.Packet{
				Source: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Kind: c.kind, DestPort: 443, Ports: true, Length: c.length,
			})
		}
	}
	return w
}

func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 120}
	n.Packets.Learned = time.Hour
	n.Packets.Kinds[traffic.PacketSyn] = traffic.Rates{Usual: 50, Peak: 60}
	n.Packets.Kinds[traffic.PacketOther] = traffic.Rates{Usual: 1000, Peak: 1200}
	return n
}

func TestDetect(t *testing.T) {
	malformed := func(w *traffic.Window) { w.Packets.Reasons["flags"] = traffic.Counted{Packets: 4000} }
	bogons := func(w *traffic.Window) { w.Packets.Reasons["bogon"] = traffic.Counted{Packets: 4000} }
	reflected := func(w *traffic.Window) { w.Packets.Reasons["reflected"] = traffic.Counted{Packets: 20000} }
	for _, c := range []struct {
		name   string
		normal *traffic.Normal
		visits int
		parts  []part
		change func(*traffic.Window)
		want   string
	}{
		{"quiet", site(), 100, nil, nil, ""},
		{"crowd", site(), 3000, nil, nil, ""},
		{"crowd, nothing known", nil, 3000, nil, nil, ""},
		{"ACKs", site(), 100, []part{{n: 20000, kind: traffic.PacketOther, sources: 0}}, nil, "TCP packets of no connection"},
		{"ACKs, half a second of them", site(), 100, []part{{n: 10000, kind: traffic.PacketOther, sources: 0}}, nil, "TCP packets of no connection"},
		{"ACKs, nothing known", nil, 100, []part{{n: 40000, kind: traffic.PacketOther, sources: 0}}, nil, "TCP packets of no connection"},
		{"a large download", site(), 100, []part{{n: 15000, kind: traffic.PacketOther, sources: 20}}, nil, ""},
		{"ACKs from few", site(), 100, []part{{n: 60000, kind: traffic.PacketOther, sources: 20}}, nil, "TCP packets of no connection"},
		{"UDP", site(), 100, []part{{n: 20000, kind: traffic.PacketUDP, sources: 0}}, nil, "UDP"},
		{"UDP, large, of a botnet", site(), 100, []part{{n: 8000, kind: traffic.PacketUDP, sources: 200, length: 900}}, nil, "UDP"},
		{"UDP, small, of many who download", site(), 100, []part{{n: 8000, kind: traffic.PacketUDP, sources: 150, length: 60}}, nil, ""},
		{"UDP, large, of some who upload", site(), 100, []part{{n: 8000, kind: traffic.PacketUDP, sources: 30, length: 1200}}, nil, ""},
		{"reflected UDP is another's", site(), 100, []part{{n: 20000, kind: traffic.PacketUDP, sources: 0}}, reflected, ""},
		{"Initials", site(), 100, []part{{n: 20000, kind: traffic.PacketInitial, sources: 0}}, nil, "QUIC Initials"},
		{"fragments", site(), 100, []part{{n: 4000, kind: traffic.PacketFragment, sources: 0}}, nil, "fragments"},
		{"fragments of reflected UDP", site(), 100, []part{{n: 20000, kind: traffic.PacketUDP, sources: 0}, {n: 30000, kind: traffic.PacketFragment, sources: 0}}, reflected, ""},
		{"ICMP", site(), 100, []part{{n: 4000, kind: traffic.PacketICMP, sources: 0}}, nil, "ICMP"},
		{"RSTs", site(), 100, []part{{n: 4000, kind: traffic.PacketReset, sources: 0}}, nil, "RSTs"},
		{"RSTs that a flood of SYNs brings", site(), 100, []part{{n: 20000, kind: traffic.PacketSyn, sources: 0}, {n: 9000, kind: traffic.PacketReset, sources: 0}}, nil, ""},
		{"malformed", site(), 100, nil, malformed, "malformed packets"},
		{"bogons", site(), 100, nil, bogons, "malformed packets"},
		{"several", site(), 100, []part{{n: 9000, kind: traffic.PacketICMP, sources: 0}, {n: 4000, kind: traffic.PacketFragment, sources: 0}}, nil, "ICMP and fragments"},
		{"a few of each", site(), 100, []part{{n: 500, kind: traffic.PacketICMP, sources: 0}, {n: 500, kind: traffic.PacketFragment, sources: 0}, {n: 500, kind: traffic.PacketReset, sources: 0}}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
			w := m.window(c.visits, c.parts...)
			if c.change != nil {
				c.change(w)
			}
			got := ""
			if fs := d.Detect(w, c.normal); len(fs) > 0 {
				got = fs[0].What
				if f := fs[0]; f.Vector != attack.PacketFlood || f.Rate < 1000 || f.Confidence <= 0 || f.Since != m.at.Add(-time.Second) {
					t.Errorf("finding %+v", f)
				}
			}
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	for range 20 {
		if len(d.Detect(m.window(100, part{n: 20000, kind: traffic.PacketICMP, sources: 0}), site())) != 1 {
			t.Fatal("nothing")
		}
	}
	calm := 0
	for {
		fs := d.Detect(m.window(100), site())
		if len(fs) == 0 {
			break
		}
		if calm++; calm > 20 || fs[0].What != "ICMP" || fs[0].Rate > 100 {
			t.Fatalf("calm second %d: %+v", calm, fs[0])
		}
	}
	if calm != 9 {
		t.Errorf("ended after %d calm seconds", calm+1)
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
