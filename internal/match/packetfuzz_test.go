package match

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"seawall/internal/traffic"
)

// packetReference evaluates expressions about packets with cel-go itself.
func packetReference(t testing.TB) reference {
	t.Helper()
	r := newReference(t)
	env, err := r.env.Extend(cel.Function("packet.payload_at", cel.Overload("packet_payload_at",
		[]*cel.Type{cel.IntType, cel.StringType}, cel.BoolType, cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			// All packets that it is asked about have the payload of syn.
			offset, digits := args[0].Value().(int64), args[1].Value().(string)
			whole := hex.EncodeToString(syn().Payload[:])
			return types.Bool(strings.HasPrefix(whole[2*offset:], strings.ToLower(digits)))
		}))))
	if err != nil {
		t.Fatal(err)
	}
	return reference{env}
}

func hitsWhole(t testing.TB, r reference, m *Match, p *traffic.Packet) bool {
	t.Helper()
	facts := map[string]any{
		"packet.source": p.Source.Unmap().String(), "packet.protocol": p.Key(traffic.PacketProtocol),
		"packet.source_port": int64(p.SourcePort), "packet.port": int64(p.DestPort), "packet.flags": p.Key(traffic.PacketFlags),
		"packet.length": int64(p.Length), "packet.ttl": int64(p.TTL), "packet.window": int64(p.Window),
		"packet.fragment": p.Fragment, "packet.payload": p.Key(traffic.PacketPayload),
	}
	out, _, err := r.program(t, m.String()).Eval(facts)
	if err != nil {
		t.Fatal(err)
	}
	return out.Value().(bool)
}

// FuzzParsePackets does for packets what FuzzParse does for visits. cel-go knows
// of no missing fields, so it judges packets that have all of them.
func FuzzParsePackets(f *testing.F) {
	r := packetReference(f)
	for _, s := range []string{
		`packet.protocol == "udp" && packet.source_port == 161 && packet.length >= 1000 && packet.ttl in [52, 54]`,
		`packet.flags == "S" && packet.window == 1024 && packet.fragment == false && packet.source.within("198.18.0.0/15")`,
		`packet.payload.startsWith("0001") && packet.payload_at(4, "0405")`,
		`!(packet.length >= 1000 && packet.length <= 1100)`, `packet.length > 5 && packet.length < 7 && packet.length <= 100`,
		`packet.protocol in ["icmp", "6"]`, `!packet.payload_at(31, "FF")`, `packet.flags in ["", "SA", "AS"]`,
		`5 < packet.port && packet.port != 80`, `packet.payload_at(4)`, `packet.x`, `packet.ttl == 1 && path == "/"`,
	} {
		f.Add(s, uint16(161), uint16(443), uint8(2), uint16(1024), uint16(1000), uint8(52), false)
	}
	f.Fuzz(func(t *testing.T, text string, sport, dport uint16, flags uint8, window, length uint16, ttl uint8, fragment bool) {
		m, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Column < 1 || e.What == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := Parse(m.String())
		if err != nil || !again.Equal(m) {
			t.Fatalf("%q was written as %q, which gives %v, %v", text, m, again, err)
		}
		if !m.OnPackets() {
			return
		}
		p := syn() // and so TCP: "icmp", which is two numbers to us, is never asked of ICMP
		p.SourcePort, p.DestPort, p.Flags, p.Window, p.Length, p.TTL, p.Fragment = sport, dport, flags, window, length, ttl, fragment
		for _, p := range []*traffic.Packet{p, syn()} {
			if got, want := m.HitsPacket(p), hitsWhole(t, r, m, p); got != want {
				t.Fatalf("%s: HitsPacket says %v of %+v, cel-go %v", m, got, p, want)
			}
		}
	})
}

// FuzzPacketRoundTrip builds matches of packets in Go.
func FuzzPacketRoundTrip(f *testing.F) {
	f.Add(uint64(0), uint64(1200), uint64(52), "tcp", "SA", []byte{198, 18, 0, 7}, uint8(15), []byte{0x30, 0x82}, uint8(4), uint8(0))
	f.Add(uint64(5), uint64(65535), uint64(0), "58", "", []byte("sixteen bytes..."), uint8(60), []byte{}, uint8(30), uint8(255))
	f.Fuzz(func(t *testing.T, least, most, n uint64, protocol, flags string, addr []byte, bits uint8, payload []byte, offset, not uint8) {
		var tests []Test
		add := func(test Test, err error) {
			if err != nil {
				return
			}
			if not>>len(tests)&1 == 1 {
				test = Not(test)
			}
			tests = append(tests, test)
		}
		add(PacketRange(traffic.PacketLength, least, most))
		add(PacketRange(traffic.PacketLength, n, 65535))
		add(PacketRange(traffic.PacketTTL, 0, n))
		add(PacketRange(traffic.PacketLength, 0, most))
		add(PacketIs(traffic.PacketProtocol, protocol, "udp"))
		add(PacketIs(traffic.PacketFlags, flags))
		if len(payload) > 0 && int(offset)+len(payload) <= traffic.PayloadKept {
			add(PacketPayload(int(offset), payload), nil)
		}
		if ip, ok := netip.AddrFromSlice(addr); ok {
			if p, err := ip.Prefix(int(bits) % (ip.BitLen() + 1)); err == nil {
				add(PacketWithin(p), nil)
			}
		}
		m := All(tests...)
		again, err := Parse(m.String())
		if err != nil || !again.Equal(m) {
			t.Fatalf("%q gives %v, %v", m, again, err)
		}
		some := syn()
		some.Length, some.TTL = uint16(least), uint8(n)
		for _, p := range []*traffic.Packet{syn(), later(), some, {}} {
			if m.HitsPacket(p) != again.HitsPacket(p) {
				t.Fatalf("%s: HitsPacket differs after a round trip", m)
			}
		}
	})
}
