package match

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"seawall/internal/traffic"
)

// syn is a packet with every field; later is a later fragment, which has few.
func syn() *traffic.Packet {
	p := &traffic.Packet{
		Source: netip.MustParseAddr("198.18.0.7"), Protocol: 6, Ports: true, SourcePort: 161, DestPort: 443,
		Flags: 2, Window: 1024, Length: 1044, TTL: 52, PayloadLen: traffic.PayloadKept,
	}
	for i := range p.Payload {
		p.Payload[i] = byte(i) // 000102...
	}
	return p
}

func later() *traffic.Packet {
	return &traffic.Packet{Source: netip.MustParseAddr("2001:db8::7"), Protocol: 17, Length: 1500, TTL: 60, Fragment: true, SourcePort: 161, Flags: 2}
}

func TestHitsPacket(t *testing.T) {
	for _, c := range []struct {
		text       string
		syn, later bool
		want       string // how it is written; "": as it is
	}{
		{`packet.protocol == "tcp"`, true, false, ""},
		{`packet.protocol == "17"`, false, true, `packet.protocol == "udp"`},
		{`packet.protocol != "tcp"`, false, true, ""},
		{`packet.protocol in ["udp", "tcp"]`, true, true, `packet.protocol in ["tcp", "udp"]`},
		{`packet.protocol == "icmp"`, false, false, ""},
		{`packet.protocol in ["58", "6", "1"]`, true, false, `packet.protocol in ["icmp", "tcp"]`},
		{`packet.protocol in ["58", "6"]`, true, false, `packet.protocol in ["tcp", "58"]`},
		{`packet.source_port == 161`, true, false, ""},
		{`packet.source_port != 161`, false, false, ""},
		{`packet.port in [80, 443]`, true, false, ""},
		{`packet.port > 442`, true, false, `packet.port >= 443`},
		{`packet.port < 443`, false, false, `packet.port <= 442`},
		{`!(packet.port >= 443)`, false, false, ""},
		{`packet.flags == "S"`, true, false, ""},
		{`packet.flags != "AS"`, true, false, `packet.flags != "SA"`},
		{`packet.flags in ["", "S"]`, true, false, ""},
		{`packet.window == 1024`, true, false, ""},
		{`packet.window <= 1023`, false, false, ""},
		{`packet.length >= 1000`, true, true, ""},
		{`1000 <= packet.length`, true, true, `packet.length >= 1000`},
		{`packet.length >= 1000 && packet.length <= 1100`, true, false, ""},
		{`!(packet.length >= 1000 && packet.length <= 1100)`, false, true, ""},
		{`packet.length <= 1100 && packet.length >= 1000`, true, false, ""},
		{`packet.length <= 65535`, true, true, `packet.length >= 0`},
		{`packet.ttl in [54, 52]`, true, false, `packet.ttl in [52, 54]`},
		{`!(packet.ttl in [52, 54])`, false, true, ""},
		{`packet.fragment == false`, true, false, ""},
		{`packet.fragment != false`, false, true, ""},
		{`packet.source.within("198.18.0.0/15")`, true, false, ""},
		{`packet.source == "198.18.0.7"`, true, false, `packet.source.within("198.18.0.7/32")`},
		{`packet.source in ["::ffff:198.18.0.0/112"]`, true, false, `packet.source.within("198.18.0.0/16")`},
		{`!packet.source.within("198.18.0.0/15")`, false, true, ""},
		{`packet.source.within("::/0")`, false, true, ""},
		{`packet.payload.startsWith("000102")`, true, false, ""},
		{`packet.payload_at(4, "04 05")`, false, false, "!"},
		{`packet.payload_at(4, "0405")`, true, false, ""},
		{`packet.payload_at(0, "0A")`, false, false, `packet.payload.startsWith("0a")`},
		{`!packet.payload_at(30, "0405")`, true, false, ""},
		{`packet.protocol == "tcp" && packet.flags == "S" && packet.ttl == 52`, true, false, ""},
		{`packet.protocol == "tcp" && packet.flags == "S" && packet.ttl == 53`, false, false, ""},
		{`true && packet.protocol == "tcp"`, true, false, `packet.protocol == "tcp"`},
	} {
		m, err := Parse(c.text)
		if c.want == "!" {
			if err == nil {
				t.Errorf("%s: no error", c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := m.HitsPacket(syn()); got != c.syn {
			t.Errorf("%s: hits the SYN: %v", m, got)
		}
		if got := m.HitsPacket(later()); got != c.later {
			t.Errorf("%s: hits the fragment: %v", m, got)
		}
		if want := c.want; m.String() != want && (want != "" || m.String() != c.text) {
			t.Errorf("%s was written as %s", c.text, m)
		}
		if again, err := Parse(m.String()); err != nil || !again.Equal(m) {
			t.Errorf("%s came back as %s: %v", m, again, err)
		}
		if !m.OnPackets() || m.Hits(someone()) || m.Hits(nobody()) {
			t.Errorf("%s hits visits, or is not on packets", m)
		}
	}
}

func TestPacketsRejected(t *testing.T) {
	for _, c := range []struct{ text, term, says string }{
		{`packet.protocol == "tcp" && path == "/"`, `path == "/"`, "visits or about packets"},
		{`path == "/" && !(packet.ttl in [1])`, `!(packet.ttl in [1])`, "visits or about packets"},
		{`packet.ttl`, `packet.ttl`, "compare it"},
		{`!packet.fragment`, `packet.fragment`, "packet.fragment == false"},
		{`packet.tll == 5`, `packet.tll`, "packet.ttl"},
		{`packet == "tcp"`, `packet`, "packet.protocol"},
		{`packet.ttl == "5"`, `"5"`, "compared with a number"},
		{`packet.ttl == 256`, `packet.ttl == 256`, "0 to 255"},
		{`packet.ttl == -1`, `packet.ttl == -1`, "0 to 255"},
		{`packet.ttl >= 256`, `256`, "0 to 255"},
		{`packet.ttl < 0`, `packet.ttl < 0`, "matches nothing"},
		{`packet.ttl > 255`, `packet.ttl > 255`, "never 256"},
		{`packet.ttl > packet.length`, `packet.length`, "compared with a number"},
		{`packet.protocol >= "tcp"`, `packet.protocol >= "tcp"`, "has no order"},
		{`packet.protocol == 6`, `6`, "compared with text"},
		{`packet.protocol == "ip"`, `packet.protocol == "ip"`, `"47"`},
		{`packet.flags == "SS"`, `packet.flags == "SS"`, "FSRPAU"},
		{`packet.flags.contains("S")`, `packet.flags.contains("S")`, "no function contains"},
		{`packet.fragment == "true"`, `"true"`, "true or false"},
		{`packet.length == packet.ttl`, `packet.length == packet.ttl`, "no field with a value"},
		{`packet.length in []`, `packet.length in []`, "empty list"},
		{`packet.length in 5`, `packet.length in 5`, "packet.length in ["},
		{`packet.source in ["192.0.2.1", "192.0.2.2"]`, `packet.source in ["192.0.2.1", "192.0.2.2"]`, "one match for each"},
		{`packet.source.startsWith("192.")`, `packet.source.startsWith("192.")`, "within"},
		{`packet.source.within("192.0.2.0/33")`, `packet.source.within("192.0.2.0/33")`, "no prefix"},
		{`packet.payload == "3082"`, `packet.payload == "3082"`, "startsWith"},
		{`packet.payload.startsWith("308")`, `packet.payload.startsWith("308")`, "pairs of hexadecimal"},
		{`packet.payload.startsWith("")`, `packet.payload.startsWith("")`, "pairs of hexadecimal"},
		{`packet.payload_at(31, "3082")`, `packet.payload_at(31, "3082")`, "only the first 32"},
		{`packet.payload_at(9223372036854775807, "30")`, ``, "only the first 32"},
		{`packet.payload_at(-1, "30")`, `packet.payload_at(-1, "30")`, "not known"},
		{`packet.payload_at("30")`, `packet.payload_at("30")`, "takes an offset"},
		{`packet.length >= 1 || packet.ttl == 1`, `packet.length >= 1 || packet.ttl == 1`, "no alternatives"},
		{`!(packet.length >= 1 && packet.ttl == 1)`, `packet.length >= 1 && packet.ttl == 1`, "!a && !b"},
	} {
		m, err := Parse(c.text)
		var e *Error
		if !errors.As(err, &e) || c.term != "" && e.Term != c.term || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want the term %s and %q", c.text, m, err, c.term, c.says)
		}
	}
}

func TestPacketConstructorsRefuse(t *testing.T) {
	for name, err := range map[string]error{
		"no keys":          second(PacketIs(traffic.PacketTTL)),
		"two sources":      second(PacketIs(traffic.PacketSource, "192.0.2.1", "192.0.2.2")),
		"two payloads":     second(PacketIs(traffic.PacketPayload, "30", "31")),
		"long payload":     second(PacketIs(traffic.PacketPayload, strings.Repeat("00", traffic.PayloadKept+1))),
		"a port too large": second(PacketIs(traffic.PacketDestPort, "65536")),
		"no such field":    second(PacketIs(traffic.PacketFields, "1")),
		"range of flags":   second(PacketRange(traffic.PacketFlags, 1, 2)),
		"empty range":      second(PacketRange(traffic.PacketLength, 2, 1)),
		"range beyond":     second(PacketRange(traffic.PacketTTL, 300, 400)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What would be no expression hits nothing, and neither do mixtures.
func TestPacketMatchesThatHitNothing(t *testing.T) {
	tcp := must2(PacketIs(traffic.PacketProtocol, "tcp"))
	path := must2(OneOf(traffic.FieldPath, "/news/today"))
	for _, m := range []*Match{
		nil, All(), All(path), All(tcp, path), All(tcp, Not(path)),
		All(PacketPayload(0, nil)), All(Not(PacketPayload(0, nil))),
		All(Not(PacketPayload(-1, []byte{0}))), All(Not(PacketPayload(traffic.PayloadKept, []byte{0}))),
	} {
		if m.HitsPacket(syn()) {
			t.Errorf("%s hits a packet", m)
		}
	}
	if m := All(tcp, path); m.Hits(someone()) || m.OnPackets() {
		t.Errorf("%s hits a visit, or is on packets", m)
	}
	if !All(tcp).HitsPacket(syn()) {
		t.Error("a packet is not hit")
	}
}

func must2(t Test, err error) Test {
	if err != nil {
		panic(err)
	}
	return t
}

// TestPacketIsTakesKeys checks that what a packet is called, PacketIs finds.
func TestPacketIsTakesKeys(t *testing.T) {
	for _, p := range []*traffic.Packet{syn(), later(), {Protocol: 58, Source: netip.MustParseAddr("::ffff:192.0.2.1")}, {Protocol: 6, Ports: true}} {
		for f := range traffic.PacketFields {
			if !p.Has(f) {
				continue
			}
			test, err := PacketIs(f, p.Key(f))
			if err != nil {
				t.Errorf("%s: %v", f, err)
				continue
			}
			if !All(test).HitsPacket(p) || All(Not(test)).HitsPacket(p) {
				t.Errorf("%s does not hit the packet that is called %q", All(test), p.Key(f))
			}
			if m, err := Parse(All(test).String()); err != nil || !m.Equal(All(test)) {
				t.Errorf("%s does not come back: %v", All(test), err)
			}
			if x, ok := test.OnPacket(); !ok || x.Field != f || test.Field() != traffic.Fields {
				t.Errorf("a test of %s says it is one of %s, %v", f, x.Field, ok)
			}
		}
	}
}

func TestHitsPacketAllocatesNothing(t *testing.T) {
	m, err := Parse(`packet.protocol == "tcp" && packet.length >= 1000 && packet.source.within("198.18.0.0/15") && packet.payload_at(4, "0405")`)
	if err != nil {
		t.Fatal(err)
	}
	p := syn()
	if n := testing.AllocsPerRun(100, func() { m.HitsPacket(p) }); n != 0 || !m.HitsPacket(p) {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHitsPacket(b *testing.B) {
	m, err := Parse(`packet.protocol == "tcp" && packet.ttl in [52, 54] && packet.length >= 1000 && packet.payload_at(4, "0405")`)
	if err != nil {
		b.Fatal(err)
	}
	p := syn()
	b.ReportAllocs()
	for b.Loop() {
		if !m.HitsPacket(p) {
			b.Fatal(m)
		}
	}
}
