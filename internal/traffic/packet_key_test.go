package traffic

import (
	"net/netip"
	"testing"
)

func TestPacketKeys(t *testing.T) {
	syn := Packet{
		Source: netip.MustParseAddr("2001:db8:1:2::7"), Protocol: 6, Ports: true, SourcePort: 4000, DestPort: 443,
		Flags: 2, Window: 1024, Length: 44, TTL: 52, Payload: [PayloadKept]byte{0x30, 0x82}, PayloadLen: 2,
	}
	rest := Packet{Source: netip.MustParseAddr("::ffff:198.18.0.7"), Protocol: 17, Length: 1500, TTL: 60, Fragment: true, Flags: 2, Window: 9}
	for f := range PacketFields {
		want := [PacketFields][2]string{
			PacketSource:     {"2001:db8:1:2::/64", "198.18.0.7/32"},
			PacketProtocol:   {"tcp", "udp"},
			PacketSourcePort: {"4000", ""},
			PacketDestPort:   {"443", ""},
			PacketFlags:      {"S", ""},
			PacketLength:     {"44", "1500"},
			PacketTTL:        {"52", "60"},
			PacketWindow:     {"1024", ""},
			PacketFragmented: {"false", "true"},
			PacketPayload:    {"3082", ""},
		}[f]
		if got := [2]string{syn.Key(f), rest.Key(f)}; got != want {
			t.Errorf("%s: %q, want %q", f, got, want)
		}
		if f2, err := ParsePacketField(f.String()); err != nil || f2 != f {
			t.Errorf("%s is read as %v, %v", f, f2, err)
		}
	}
	if k := (&Packet{}).Key(PacketSource); k != "" {
		t.Errorf("no source is called %q", k)
	}
}

func TestFlagsAndProtocolsComeBack(t *testing.T) {
	for n := range 256 {
		flags, ok := ParseFlags(FlagNames(uint8(n)))
		if !ok || flags != uint8(n)&FlagsKnown {
			t.Errorf("flags %x come back as %x, %v", n, flags, ok)
		}
		found := false
		for _, p := range ParseProtocol(ProtocolName(uint8(n))) {
			found = found || p == uint8(n)
		}
		if !found {
			t.Errorf("protocol %d is not among those of %q", n, ProtocolName(uint8(n)))
		}
	}
	for _, bad := range []string{"SS", "X", "s", "é"} {
		if _, ok := ParseFlags(bad); ok {
			t.Errorf("%q is read as flags", bad)
		}
	}
	for _, bad := range []string{"", "256", "TCP", "-1"} {
		if p := ParseProtocol(bad); p != nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}
