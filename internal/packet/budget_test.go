package packet

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
	"seawall/internal/traffic"
)

// Budgets let a burst through, stop the rest, and are the processor's own: the
// test may be moved from one to another, so it counts with a margin.
func TestBudgets(t *testing.T) {
	small := func(c *filter.Config) { // bursts of ten, and of 25 of one source
		c.ICMPRate, c.FragmentRate, c.SourceRate, c.InitialRate, c.InitialsRate = 80, 80, 100, 40, 80
	}
	initial := v6(craft.Frame{Proto: craft.UDP, Payload: quic(1, 0xc0, 1200)}).Bytes()
	ping := v4(craft.Frame{Proto: craft.ICMP, Kind: 8}).Bytes()
	rest := v6(craft.Frame{Proto: craft.UDP, Offset: 1232, Payload: make([]byte, 100)}).Bytes()
	first := v4(craft.Frame{Proto: craft.UDP, More: true, Payload: make([]byte, 512)}).Bytes()
	for _, c := range []struct {
		name  string
		rung  filter.Rung
		frame []byte
		want  filter.Reason
	}{
		{"ping", filter.ICMP, ping, filter.StopICMP},
		{"later fragments", filter.Fragments, rest, filter.StopFragments},
		{"fragments to a protected port", filter.Fragments, first, filter.StopFragments},
		{"a source's packets", filter.Budget, v4(craft.Frame{}).Bytes(), filter.StopBudget},
		{"an IPv6 source's packets", filter.Budget, v6(craft.Frame{Tags: []uint16{7}}).Bytes(), filter.StopBudget},
		{"a source's Initials", filter.Initials, initial, filter.StopInitials},
	} {
		f := load(t, func(cfg *filter.Config) {
			small(cfg)
			if c.rung == filter.Initials {
				set(filter.Budget, filter.Off)(cfg)
			}
		})
		passed := many(t, f, c.frame, 2000)
		if n, err := f.Counts(); err != nil || n.Done[c.want].Packets != uint64(2000-passed) {
			t.Errorf("%s: counted %d, %v", c.name, n.Done[c.want].Packets, err)
		}
		if passed < 10 || passed > 1000 {
			t.Errorf("%s: %d of 2000 passed", c.name, passed)
		}
		off := load(t, func(cfg *filter.Config) {
			small(cfg)
			set(filter.Budget, filter.Off)(cfg)
			set(c.rung, filter.Off)(cfg)
		})
		if passed := many(t, off, c.frame, 2000); passed != 2000 {
			t.Errorf("%s: %d of 2000 passed with the rung off", c.name, passed)
		}
	}
	f := load(t, small)
	for kind := byte(133); kind <= 137; kind++ {
		if passed := many(t, f, v6(craft.Frame{Proto: craft.ICMPv6, Kind: kind, TTL: 255}).Bytes(), 500); passed != 500 {
			t.Errorf("neighbour discovery %d: %d of 500 passed", kind, passed)
		}
	}
}

// quic is a QUIC packet with a long header, as long as asked.
func quic(version uint32, first byte, n int) []byte {
	b := make([]byte, n)
	b[0] = first
	binary.BigEndian.PutUint32(b[1:], version)
	return b
}

// Errors, by which connections learn what size gets through, are not starved by
// pings.
func TestErrorsHaveTheirOwnBudget(t *testing.T) {
	f := load(t, func(c *filter.Config) { c.ICMPRate = 80 })
	ping, pong := v4(craft.Frame{Proto: craft.ICMP, Kind: 8}).Bytes(), v6(craft.Frame{Proto: craft.ICMPv6, Kind: 128}).Bytes()
	if many(t, f, ping, 1000)+many(t, f, pong, 1000) > 1000 {
		t.Fatal("pings are not held back")
	}
	for _, b := range [][]byte{v4(craft.Frame{Proto: craft.ICMP, Kind: 3}).Bytes(), v6(craft.Frame{Proto: craft.ICMPv6, Kind: 2}).Bytes()} {
		if many(t, f, b, 2) != 2 {
			t.Error("an error is held back by pings")
		}
	}
}

// A budget is each source's own, and a great many sources at once fill up
// nothing.
func TestManySources(t *testing.T) {
	f := load(t, nil)
	// The largest that a visitor sends beside a million others.
	honest := v4(craft.Frame{Payload: make([]byte, 1000)})
	flood := v4(craft.Frame{})
	for i := range 65_536 {
		flood.Source = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		if ok, err := f.Try(flood.Bytes()); err != nil || !ok {
			t.Fatalf("packet %d, of a source that sent no other: passes %t, %v", i, ok, err)
		}
		if i%10 == 0 {
			if ok, _ := f.Try(honest.Bytes()); !ok {
				t.Fatal("an ordinary visitor is stopped")
			}
		}
	}
}

// What begins QUIC connections is known by its header; what is too short for one
// no server takes.
func TestInitials(t *testing.T) {
	f := load(t, func(c *filter.Config) { c.InitialRate, c.InitialsRate = 1, 1000 })
	for i, c := range []struct {
		name    string
		payload []byte
		kind    traffic.PacketKind
		passes  bool
	}{
		{"version 1", quic(1, 0xc3, 1200), traffic.PacketInitial, true},
		{"version 2", quic(0x6b3343cf, 0xd0, 1252), traffic.PacketInitial, true},
		{"an unknown version", quic(0xff00001d, 0xc0, 1300), traffic.PacketInitial, true},
		{"too short", quic(1, 0xc0, 1199), traffic.PacketInitial, false},
		{"a handshake", quic(1, 0xe0, 300), traffic.PacketUDP, true},
		{"0-RTT of version 2", quic(0x6b3343cf, 0xe0, 300), traffic.PacketUDP, true},
		{"a short header", quic(0, 0x40, 40), traffic.PacketUDP, true},
		{"nothing", nil, traffic.PacketUDP, true},
	} {
		before, _ := f.Counts()
		fr := v6(craft.Frame{Proto: craft.UDP, Payload: c.payload})
		fr.Source = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i)})
		passes, err := f.Try(fr.Bytes())
		if err != nil || passes != c.passes {
			t.Errorf("%s: passes %t, %v", c.name, passes, err)
		}
		after, _ := f.Counts()
		if after.Kinds[c.kind] != before.Kinds[c.kind]+1 {
			t.Errorf("%s: not counted as %s", c.name, c.kind)
		}
	}
}

func many(t *testing.T, f *filter.Filter, frame []byte, n int) (passed int) {
	t.Helper()
	for range n {
		ok, err := f.Try(frame)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			passed++
		}
	}
	return passed
}
