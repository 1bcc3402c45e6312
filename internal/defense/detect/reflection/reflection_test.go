package reflection

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// part is some packets of one sort, a second.
type part struct {
	n      int
	kind   traffic.PacketKind
	proto  uint8
	port   uint16 // they come from
	length uint16
	reason string // of the filter
}

type maker struct{ at clock.Instant }

const every = 20

func (m *maker) window(parts ...part) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second}
	p := &w.Packets
	p.Filtered, p.Every, p.Reasons = true, every, map[string]traffic.Counted{}
	for _, c := range parts {
		p.Kinds[c.kind] += uint64(c.n)
		if c.reason != "" {
			p.Reasons[c.reason] = traffic.Counted{Packets: uint64(c.n)}
		}
		for i := range c.n / every {
			p.Samples = append(p.Samples, traffic.Packet{
				Source: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Kind: c.kind, Protocol: c.proto,
				Ports: c.proto != 1, SourcePort: c.port, DestPort: 443, Length: c.length, Stopped: c.reason != "", Reason: c.reason,
			})
		}
	}
	return w
}

func visitors() part {
	return part{n: 2000, kind: traffic.PacketOther, proto: 6, port: 51000, length: 52}
}

func TestDetect(t *testing.T) {
	synacks := part{n: 16000, kind: traffic.PacketSynAck, proto: 6, port: 80, length: 44, reason: "synack"}
	resets := part{n: 2500, kind: traffic.PacketReset, proto: 6, port: 80, length: 40}
	dns := part{n: 20000, kind: traffic.PacketUDP, proto: 17, port: 53, length: 1400, reason: "reflected"}
	unstopped := dns
	unstopped.reason = ""
	quic := part{n: 20000, kind: traffic.PacketUDP, proto: 17, port: 51000, length: 1200}
	for _, c := range []struct {
		name  string
		parts []part
		what  string // "" nothing is found
		kinds []traffic.PacketKind
	}{
		{"quiet", nil, "", nil},
		{"SYN-ACKs", []part{synacks}, "answers of TCP servers (port 80)", []traffic.PacketKind{traffic.PacketSynAck}},
		{"SYN-ACKs and RSTs", []part{synacks, resets}, "answers of TCP servers (port 80)", []traffic.PacketKind{traffic.PacketSynAck, traffic.PacketReset}},
		{"DNS", []part{dns}, "answers of DNS servers (UDP port 53)", []traffic.PacketKind{traffic.PacketUDP}},
		{"DNS, and the rung is off", []part{unstopped}, "answers of DNS servers (UDP port 53)", []traffic.PacketKind{traffic.PacketUDP}},
		{"DNS with fragments", []part{dns, {n: 9000, kind: traffic.PacketFragment, proto: 17, length: 1500}}, "answers of DNS servers (UDP port 53)", []traffic.PacketKind{traffic.PacketUDP, traffic.PacketFragment}},
		{"a few", []part{{n: 600, kind: traffic.PacketSynAck, proto: 6, port: 443, length: 44}}, "", nil},
		{"HTTP/3", []part{quic}, "", nil},
		{"RSTs of visitors", []part{{n: 5000, kind: traffic.PacketReset, proto: 6, port: 40000, length: 40}}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
			fs := d.Detect(m.window(append(c.parts, visitors())...), &traffic.Normal{})
			if len(fs) == 0 {
				if c.what != "" {
					t.Fatal("nothing is found")
				}
				return
			}
			f := fs[0]
			if f.Vector != attack.Reflection || f.What != c.what || f.Since != m.at.Add(-time.Second) {
				t.Errorf("found %+v", f)
			}
			if len(f.Kinds) != len(c.kinds) {
				t.Errorf("it consists of %v, want %v", f.Kinds, c.kinds)
			}
			for _, fact := range f.Facts {
				if strings.HasPrefix(fact.Name, "distinct") && fact.Value == 0 {
					t.Error("it came from nowhere")
				}
			}
		})
	}
}

func TestEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	dns := part{n: 20000, kind: traffic.PacketUDP, proto: 17, port: 53, reason: "reflected"}
	for range 20 {
		if len(d.Detect(m.window(dns), nil)) != 1 {
			t.Fatal("nothing")
		}
	}
	calm := 0
	for len(d.Detect(m.window(visitors()), nil)) > 0 {
		if calm++; calm > 20 {
			t.Fatal("it never ends")
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
	if l := (Config{}).Validate(); len(l) != 2 {
		t.Errorf("an empty configuration has the problems %v", l)
	}
}
