package sign

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// someone makes an ordinary packet: of ten, one asks for a connection.
func someone(r *rand.Rand) traffic.Packet {
	p := traffic.Packet{
		Source:   netip.AddrFrom4([4]byte{byte(1 + r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), 0}),
		Protocol: 6, Ports: true, SourcePort: uint16(1024 + r.IntN(60000)), DestPort: 443,
		Flags: 16, Window: uint16(500 + r.IntN(3000)), Length: 52, TTL: uint8(40 + r.IntN(24)),
	}
	switch r.IntN(10) {
	case 0:
		p.Kind, p.Flags, p.Window, p.Length = traffic.PacketSyn, 2, []uint16{64240, 65535, 29200}[r.IntN(3)], []uint16{52, 60, 64}[r.IntN(3)]
	case 1, 2:
		p.Flags, p.Length = 24, uint16(100+r.IntN(1300))
		p.PayloadLen = uint8(copy(p.Payload[:], []byte{0x17, 3, 3, byte(r.IntN(6)), byte(r.IntN(256)), byte(r.IntN(256))}))
	case 3:
		p.Kind, p.Protocol, p.Flags, p.Window, p.Length = traffic.PacketUDP, 17, 0, 0, uint16(50+r.IntN(1200))
		p.PayloadLen = uint8(copy(p.Payload[:], []byte{0x40 | byte(r.IntN(64)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}))
	}
	return p
}

func packetNormal(r *rand.Rand) *traffic.PacketNormal {
	n := &traffic.PacketNormal{Passed: traffic.Rates{Usual: 1000, Peak: 1200}}
	n.Kinds[traffic.PacketSyn] = traffic.Rates{Usual: 100, Peak: 120}
	n.Kinds[traffic.PacketOther] = traffic.Rates{Usual: 800, Peak: 960}
	n.Kinds[traffic.PacketUDP] = traffic.Rates{Usual: 100, Peak: 120}
	for len(n.Ordinary) < 2000 {
		n.Ordinary = append(n.Ordinary, someone(r))
	}
	for len(n.Openings) < 1000 {
		if p := someone(r); p.Kind.Opens() {
			n.Openings = append(n.Openings, p)
		}
	}
	return n
}

// second samples a tenth of a second's packets of a kind: 1,000 ordinary ones
// and 20,000 of a flood.
func second(r *rand.Rand, n *traffic.PacketNormal, flood func(*traffic.Packet)) Left {
	var l Left
	for range 2000 {
		p := someone(r)
		flood(&p)
		p.Source = netip.AddrFrom4([4]byte{byte(1 + r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
		l.Samples = append(l.Samples, p)
	}
	kind := l.Samples[0].Kind
	for range 100 {
		if p := someone(r); p.Kind == kind {
			l.Samples = append(l.Samples, p)
		}
	}
	l.Total, l.Usual, l.Among = len(l.Samples), 100, n.Kinds[kind].Usual/10
	return l
}

func TestPacketFloods(t *testing.T) {
	tcp := func(kind traffic.PacketKind, flags uint8, length uint16) traffic.Packet {
		return traffic.Packet{Kind: kind, Protocol: 6, Ports: true, Flags: flags, DestPort: 443, Length: length, TTL: 244}
	}
	for _, c := range []struct {
		name  string
		flood func(r *rand.Rand, p *traffic.Packet)
		want  string // is in the first signature
		clean bool   // it may be dropped
	}{
		{"SYNs without options", func(r *rand.Rand, p *traffic.Packet) {
			*p = tcp(traffic.PacketSyn, 2, 40)
			p.SourcePort = uint16(r.IntN(65536))
		}, "packet.length", true},
		{"SYNs like a Linux machine's, of one distance", func(r *rand.Rand, p *traffic.Packet) {
			*p = tcp(traffic.PacketSyn, 2, 60)
			p.Window, p.TTL, p.SourcePort = 64240, 39, uint16(1024+r.IntN(60000))
		}, "packet.ttl", true},
		{"SYNs as visitors send them", func(r *rand.Rand, p *traffic.Packet) {
			for p.Kind != traffic.PacketSyn {
				*p = someone(r)
			}
		}, "", false},
		{"ACKs as visitors send them", func(r *rand.Rand, p *traffic.Packet) {
			for p.Kind != traffic.PacketOther {
				*p = someone(r)
			}
		}, "", false},
		{"bare ACKs of one program", func(r *rand.Rand, p *traffic.Packet) {
			*p = tcp(traffic.PacketOther, 16, 40)
			p.SourcePort, p.Window, p.TTL = uint16(r.IntN(65536)), 512, uint8(200+r.IntN(50))
		}, "packet.length", true},
		{"UDP with one payload", func(r *rand.Rand, p *traffic.Packet) {
			*p = traffic.Packet{Kind: traffic.PacketUDP, Protocol: 17, Ports: true, SourcePort: uint16(1024 + r.IntN(60000)), DestPort: 443, Length: uint16(50 + r.IntN(1200)), TTL: uint8(40 + r.IntN(24))}
			p.PayloadLen = uint8(copy(p.Payload[:], "getinfo xxx"))
		}, "payload", true},
		{"fragments", func(r *rand.Rand, p *traffic.Packet) {
			*p = traffic.Packet{Kind: traffic.PacketFragment, Protocol: 17, Length: 1500, TTL: uint8(40 + r.IntN(200)), Fragment: true}
		}, "packet.fragment", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			n := packetNormal(r)
			l := second(r, n, func(p *traffic.Packet) { c.flood(r, p) })
			sigs := Packets(l, n)
			may := func(s attack.Signature) bool { return s.Collateral <= clean && s.Newcomers <= clean }
			if !c.clean {
				for _, s := range sigs {
					if may(s) {
						t.Errorf("may be dropped: %s covers %.3f", s.Match, s.Coverage)
					}
				}
				return
			}
			if len(sigs) == 0 || !may(sigs[0]) || sigs[0].Coverage < 0.99 || !strings.Contains(sigs[0].Match.String(), c.want) {
				t.Fatalf("signatures %s", texts(sigs))
			}
			t.Log(sigs[0].Match)
			hit := 0
			for range 20_000 {
				if p := someone(r); sigs[0].Match.HitsPacket(&p) {
					hit++
				}
			}
			if hit > 20 {
				t.Errorf("%d of 20,000 ordinary packets are hit", hit)
			}
		})
	}
}

// One visitor's connection always has something in common, and is no flood.
func TestOneVisitorIsNoFlood(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n := packetNormal(r)
	var l Left
	one := someone(r)
	one.Kind, one.Protocol, one.SourcePort, one.TTL = traffic.PacketUDP, 17, 4711, 49
	for range 100 {
		l.Samples = append(l.Samples, one)
	}
	l.Total, l.Usual, l.Among = 2000, 100, 10
	if sigs := Packets(l, n); len(sigs) > 0 {
		t.Errorf("described: %s", texts(sigs))
	}
}

func TestPacketsOfUnknownSite(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	l := second(r, &traffic.PacketNormal{}, func(p *traffic.Packet) {
		*p = traffic.Packet{Kind: traffic.PacketSyn, Protocol: 6, Ports: true, Flags: 2, Length: 40, TTL: 244, DestPort: 443, SourcePort: uint16(r.IntN(65536))}
	})
	l.Usual, l.Among = 0, 0
	sigs := Packets(l, nil)
	if len(sigs) == 0 || sigs[0].Ordinary != 0 || sigs[0].Bound != 1 || sigs[0].Coverage < 0.99 {
		t.Errorf("signatures %s", texts(sigs))
	}
	if sigs := Packets(Left{}, nil); sigs != nil {
		t.Errorf("nothing was described: %s", texts(sigs))
	}
}

func TestPacketsAreMinedTheSameEachTime(t *testing.T) {
	mine := func() string {
		r := rand.New(rand.NewPCG(5, 6))
		n := packetNormal(r)
		return texts(Packets(second(r, n, func(p *traffic.Packet) { p.Kind, p.TTL = traffic.PacketOther, uint8(100+r.IntN(3)) }), n))
	}
	want := mine()
	for range 10 {
		if got := mine(); got != want {
			t.Fatalf("got\n%s, before\n%s", got, want)
		}
	}
}

func BenchmarkPackets(b *testing.B) {
	b.ReportAllocs()
	r := rand.New(rand.NewPCG(5, 6))
	n := packetNormal(r)
	l := second(r, n, func(p *traffic.Packet) { p.TTL = uint8(100 + r.IntN(3)) })
	for b.Loop() {
		Packets(l, n)
	}
}
