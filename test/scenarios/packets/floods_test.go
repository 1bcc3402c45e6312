package packets

import (
	"bytes"
	"fmt"
	"net/netip"

	"seawall/internal/packet/craft"
)

// flood is a kind of attack.
type flood struct {
	name    string
	stopped float64 // share that the filter has to keep from the kernel; 0: not asked
	shots   []shot
}

// Who is spoofed: 198.19.0.0/16, 198.18.128.0/17 and every other /64 of
// 2001:db8::/32. Visitors and servers have the other halves (wires_test.go), so
// that what comes back to the spoofed can be told from what comes back to them.
// One frame in four is IPv6.
func spoofed() []place {
	dest4, dest6 := netip.MustParseAddr(hostAddr), netip.MustParseAddr(hostAddr6)
	a := place{netip.MustParseAddr("198.19.0.0"), dest4, []draw{{28, 0xffff}}}
	b := place{netip.MustParseAddr("198.18.128.0"), dest4, []draw{{28, 0x7fff}}}
	c := place{netip.MustParseAddr("2001:db8:8000::1"), dest6, []draw{{26, 0x7fff}, {28, 0xffff}}}
	return []place{a, b, a, c}
}

// place is where frames seem to come from, and where they go.
type place struct {
	source, dest netip.Addr
	drawn        []draw
}

// What the attacked ports are.
const (
	web  = 80  // Seawall listens there
	quic = 443 // protected for whoever speaks QUIC behind Seawall
)

func floods() []flood {
	options := []byte{2, 4, 5, 180, 4, 2, 1, 3, 3, 7, 1, 1} // 1460 bytes, SACK, window scaling
	initial := append([]byte{0xc3, 0, 0, 0, 1, 8}, make([]byte, 1194)...)
	noise := bytes.Repeat([]byte{0x17, 0x5e, 0x2b, 0x90}, 100)
	kinds := []flood{
		{"SYN", 0.9, each(func(p place) shot {
			return p.tcp(craft.Frame{DPort: web, Flags: craft.SYN, TCPOptions: options}, port, sequence)
		})},
		{"ACK", 0.99, each(func(p place) shot {
			return p.tcp(craft.Frame{DPort: web, Flags: craft.ACK}, port, sequence, acknowledged)
		})},
		{"SYN-ACK reflected, at the site's port", 0.99, each(func(p place) shot {
			return p.tcp(craft.Frame{SPort: 443, DPort: web, Flags: craft.SYN | craft.ACK, TCPOptions: options}, sequence, acknowledged)
		})},
		{"SYN-ACK reflected, at any port", 0.9, each(func(p place) shot {
			return p.tcp(craft.Frame{SPort: 443, DPort: 1 << 15, Flags: craft.SYN | craft.ACK, TCPOptions: options}, other, sequence, acknowledged)
		})},
		{"UDP reflected, at UDP 443", 0.99, reflected()},
		// Half of it has the bits of a packet within a QUIC connection.
		{"garbage at UDP 443", 0.45, each(func(p place) shot {
			return p.udp(craft.Frame{DPort: quic, Payload: noise}, port, data(0), data(2))
		})},
		{"QUIC Initials", 0.9, each(func(p place) shot {
			// A connection ID of eight bytes begins at the sixth.
			return p.udp(craft.Frame{DPort: quic, Payload: initial}, port, data(6), data(8), data(10), data(12))
		})},
		{"fragments", 0.9, fragments()},
	}
	all := flood{name: "all of them at once"}
	for _, f := range kinds {
		for _, s := range f.shots {
			s.frame = bytes.Clone(s.frame)
			all.shots = append(all.shots, s)
		}
	}
	return append(kinds, all)
}

func each(make func(p place) shot) (out []shot) {
	for _, p := range spoofed() {
		out = append(out, make(p))
	}
	return out
}

// reflected are answers of DNS, NTP, SNMP, CLDAP and memcached, of many sizes.
func reflected() (out []shot) {
	for i, sport := range []uint16{53, 123, 161, 389, 11211} {
		for k, p := range spoofed() {
			size := 400 + 1000*(4*i+k)/19/2*2 // 400 to 1,400 bytes
			out = append(out, p.udp(craft.Frame{SPort: sport, DPort: quic, Payload: make([]byte, size)}, data(0)))
		}
	}
	return out
}

// fragments are first ones and later ones of datagrams that never become whole.
func fragments() (out []shot) {
	for i, p := range spoofed() {
		f := craft.Frame{ID: 1, More: true, SPort: 4000, DPort: quic, Proto: craft.UDP, Payload: make([]byte, 992)}
		if i%2 == 1 {
			f.Proto, f.DPort, f.Flags = craft.TCP, web, craft.ACK
		}
		out = append(out, p.shot(f))
		f.Offset, f.More, f.Payload = 1000, false, make([]byte, 400)
		out = append(out, p.shot(f))
	}
	return out
}

// field is two bytes of a segment, by their offset in it, that are drawn.
type field struct {
	at   int
	mask uint16
}

func port(add func(field))         { add(field{0, 0x7fff}) } // 32,768 and above
func other(add func(field))        { add(field{2, 0x7fff}) }
func sequence(add func(field))     { add(field{4, 0xffff}); add(field{6, 0xffff}) }
func acknowledged(add func(field)) { add(field{8, 0xffff}); add(field{10, 0xffff}) }

// data is two bytes of a datagram's payload.
func data(at int) func(func(field)) {
	return func(add func(field)) { add(field{8 + at, 0xffff}) }
}

func (p place) tcp(f craft.Frame, drawn ...func(func(field))) shot {
	return p.segment(f, 16, drawn)
}

func (p place) udp(f craft.Frame, drawn ...func(func(field))) shot {
	f.Proto = craft.UDP
	return p.segment(f, 6, drawn)
}

// segment is a whole packet; its checksum is at an offset in the segment.
func (p place) segment(f craft.Frame, sumAt int, drawn []func(func(field))) shot {
	if f.SPort == 0 {
		f.SPort = 1 << 15 // where port is drawn, the bits above
	}
	s := p.shot(f)
	begin, addresses := craft.EthernetLen+20, [2]int{26, 34}
	if p.source.Is6() {
		begin, addresses = craft.EthernetLen+40, [2]int{22, 54}
	}
	for _, d := range drawn {
		d(func(f field) { s.drawn = append(s.drawn, draw{begin + f.at, f.mask}) })
	}
	s.sums = append(s.sums, sum{begin + sumAt, [][2]int{addresses, {begin, len(s.frame)}}})
	return s
}

// ipSum is where IPv4 has its checksum.
const ipSum = 24

// shot is a packet or a fragment with a drawn source.
func (p place) shot(f craft.Frame) shot {
	f.Source, f.Dest = p.source, p.dest
	s := shot{frame: f.Bytes(), drawn: append([]draw(nil), p.drawn...)}
	if p.source.Is4() {
		s.drawn = append(s.drawn, draw{18, 0xffff}) // identification
		s.sums = append(s.sums, sum{ipSum, [][2]int{{14, 34}}})
	} else if f.More || f.Offset > 0 {
		s.drawn = append(s.drawn, draw{58, 0xffff}) // of the fragment header
	}
	return s
}

func floodNamed(name string) (flood, error) {
	for _, f := range floods() {
		if f.name == name {
			return f, nil
		}
	}
	return flood{}, fmt.Errorf("no flood %q", name)
}
