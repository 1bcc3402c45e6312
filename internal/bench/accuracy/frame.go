package accuracy

import (
	"encoding/binary"
	"net/netip"
)

// What frames are made of.
const (
	etherHead = 14
	tcp       = 6
	udp       = 17
	icmp      = 1

	fin, syn, rst, psh, ack = 1, 2, 4, 8, 16
)

// segment is a packet to be written: of TCP where proto is so, with so many bytes of
// options.
type segment struct {
	source, dest netip.Addr
	proto        uint8
	ttl          uint8
	sport, dport uint16
	flags        uint8
	window       uint16
	options      int // bytes, a multiple of 4
	body         []byte
	offset       uint16 // of a later fragment, in units of 8 bytes; 0: it is none
}

// frame writes a segment as Ethernet carries it, into b, whose bytes are the caller's until
// the next call. Checksums are left out: the packet filter leaves those to the kernel.
func (g *segment) frame(b []byte) []byte {
	b = append(b[:0], 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
	head := 8
	switch {
	case g.offset > 0:
		head = 0
	case g.proto == tcp:
		head = 20 + g.options
	}
	if g.source.Is4() {
		b = binary.BigEndian.AppendUint16(b, 0x0800)
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+head+len(g.body)))
		b = append(b, 0, 0)
		b = binary.BigEndian.AppendUint16(b, g.offset)
		b = append(b, g.ttl, g.proto, 0, 0)
		s, d := g.source.As4(), g.dest.As4()
		b = append(append(b, s[:]...), d[:]...)
	} else {
		b = binary.BigEndian.AppendUint16(b, 0x86dd)
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(head+len(g.body)))
		b = append(b, g.proto, g.ttl)
		s, d := g.source.As16(), g.dest.As16()
		b = append(append(b, s[:]...), d[:]...)
	}
	return append(g.head(b, head), g.body...)
}

// head writes that of TCP, UDP or ICMP.
func (g *segment) head(b []byte, length int) []byte {
	switch {
	case length == 0:
	case g.proto == tcp:
		b = binary.BigEndian.AppendUint16(b, g.sport)
		b = binary.BigEndian.AppendUint16(b, g.dport)
		b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, byte(length/4)<<4, g.flags)
		b = binary.BigEndian.AppendUint16(b, g.window)
		b = append(b, 0, 0, 0, 0)
		for range g.options {
			b = append(b, 1) // no operation
		}
	case g.proto == udp:
		b = binary.BigEndian.AppendUint16(b, g.sport)
		b = binary.BigEndian.AppendUint16(b, g.dport)
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(g.body)))
		b = append(b, 0, 0)
	default:
		b = append(b, 8, 0, 0, 0, 0, 0, 0, 0) // an echo
	}
	return b
}
