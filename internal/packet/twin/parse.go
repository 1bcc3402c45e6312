package twin

import (
	"encoding/binary"

	"seawall/internal/kit/pcap"
)

// As in filter/bpf/parse.h: what is gone through, and how far.
const (
	tags     = 2 // VLAN tags that a packet may have
	tagsRead = 6
	headers  = 8 // IPv6 extension headers that a packet may have
	furthest = 0x3fff
)

const (
	protoHopByHop     = 0
	protoICMP         = 1
	protoTCP          = 6
	protoUDP          = 17
	protoRouting      = 43
	protoFragment     = 44
	protoAH           = 51
	protoICMPv6       = 58
	protoNone         = 59
	protoDestinations = 60

	etherIPv4  = 0x0800
	etherTag   = 0x8100
	etherIPv6  = 0x86dd
	etherPPPoE = 0x8864
	etherQinQ  = 0x88a8

	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// packet is what is known of a packet so far: struct packet of filter/bpf/common.h.
type packet struct {
	b            []byte // the frame, as far as it was kept
	size         int    // of the frame, bytes
	at           int    // offset of the next header
	left         int    // bytes from there to the end that the IP header promises
	source, dest [2]uint64
	length       uint16 // of the IP packet with its header, bytes
	sport, dport uint16 // valid iff ports
	family       uint8  // 4, 6, or 0: not IP
	proto, ttl   uint8
	flags        uint8 // of TCP; valid iff ports and proto is TCP
	kind         uint8 // traffic.PacketKind, or kindNone
	later        bool  // a fragment but the first
	fragment     bool
	ports        bool

	cut      bool // a header was not kept, and nothing is to be said of the packet
	loopback bool // it never left its machine
	out      bool // it was sent, says the capture
}

// next is the next header; nil where the packet has no n more bytes, or they were not
// kept.
func (p *packet) next(n int) []byte {
	if p.at+n <= len(p.b) {
		return p.b[p.at : p.at+n]
	}
	p.cut = p.cut || p.at+n <= p.size
	return nil
}

// Reads says whether packets of a link can be read.
func Reads(l pcap.Link) bool {
	switch l {
	case pcap.Null, pcap.Ethernet, pcap.RawBSD, pcap.RawOther, pcap.Raw, pcap.Loop, pcap.Cooked, pcap.IPv4, pcap.IPv6, pcap.Cooked2:
		return true
	}
	return false
}

// enter goes past what the link has before a packet, and tells what comes then, as
// Ethernet has it; 0 for nothing that is known.
func (p *packet) enter(l pcap.Link) uint16 {
	be := binary.BigEndian
	switch l {
	case pcap.Ethernet:
		if h := p.next(14); h != nil {
			p.at = 14
			p.loopback = be.Uint64(h) == 0 && be.Uint32(h[8:]) == 0 // lo's frames have no addresses
			return be.Uint16(h[12:])
		}
	case pcap.Cooked:
		if h := p.next(16); h != nil {
			p.at = 16
			p.out, p.loopback = be.Uint16(h) == 4, be.Uint16(h[2:]) == 772
			return be.Uint16(h[14:])
		}
	case pcap.Cooked2:
		if h := p.next(20); h != nil {
			p.at = 20
			p.out, p.loopback = h[10] == 4, be.Uint16(h[8:]) == 772
			return be.Uint16(h)
		}
	case pcap.Null, pcap.Loop:
		if h := p.next(4); h != nil {
			p.at = 4
			p.loopback = true
			return ofFamily(be.Uint32(h) | binary.LittleEndian.Uint32(h))
		}
	default:
		if h := p.next(1); h != nil {
			switch h[0] >> 4 {
			case 4:
				return etherIPv4
			case 6:
				return etherIPv6
			}
		}
	}
	return 0
}

// ofFamily reads an address family in whichever byte order: of the two readings, or-ed,
// each has its number in another place.
func ofFamily(n uint32) uint16 {
	switch n & 0xff {
	case 2:
		return etherIPv4
	case 10, 24, 28, 30: // of Linux, NetBSD, FreeBSD and Darwin
		return etherIPv6
	}
	return 0
}

// parse fills in what the headers say. It gives a reason to stop what contradicts
// itself.
func (p *packet) parse(l pcap.Link) reason {
	be := binary.BigEndian
	kind, wrapped := p.enter(l), goOn
	for i := range tagsRead {
		if kind != etherTag && kind != etherQinQ {
			break
		}
		if i == tags {
			wrapped = stopWrapped
		}
		h := p.next(4)
		if h == nil {
			return wrapped
		}
		kind = be.Uint16(h[2:])
		p.at += 4
	}
	if kind == etherPPPoE {
		h := p.next(8)
		if h == nil {
			return wrapped
		}
		kind = map[uint16]uint16{0x21: etherIPv4, 0x57: etherIPv6}[be.Uint16(h[6:])]
		p.at += 8
	}
	var wrong reason
	switch kind {
	case etherIPv4:
		wrong = p.ipv4()
	case etherIPv6:
		wrong = p.ipv6()
	default:
		return wrapped
	}
	if wrong == goOn && !p.later {
		wrong = p.transport()
	}
	if wrong != goOn {
		return wrong
	}
	return wrapped
}

// joined is the length that an IP header gives as 0: that of a packet which the kernel
// has joined from others.
func (p *packet) joined() int {
	if p.size > 0xffff {
		return p.size - p.at
	}
	return 0
}

func (p *packet) ipv4() reason {
	h := p.next(20)
	if h == nil {
		return stopLength
	}
	head, total := int(h[0]&15)*4, int(binary.BigEndian.Uint16(h[2:]))
	if total == 0 {
		total = p.joined()
	}
	if h[0]>>4 != 4 || head < 20 || total < head || p.at+total > p.size {
		return stopLength
	}
	p.family, p.proto, p.ttl, p.length = 4, h[9], h[8], uint16(min(total, 0xffff))
	p.source = [2]uint64{0, 0xffff<<32 | uint64(binary.BigEndian.Uint32(h[12:]))}
	p.dest = [2]uint64{0, 0xffff<<32 | uint64(binary.BigEndian.Uint32(h[16:]))}
	cut := binary.BigEndian.Uint16(h[6:])
	p.later, p.fragment = cut&0x1fff != 0, cut&0x3fff != 0
	p.at += head
	p.left = total - head
	return goOn
}

func (p *packet) ipv6() reason {
	h := p.next(40)
	if h == nil || h[0]>>4 != 6 {
		return stopLength
	}
	be := binary.BigEndian
	p.family = 6
	p.source = [2]uint64{be.Uint64(h[8:]), be.Uint64(h[16:])}
	p.dest = [2]uint64{be.Uint64(h[24:]), be.Uint64(h[32:])}
	p.left = int(be.Uint16(h[4:]))
	if p.left == 0 {
		p.left = max(p.joined()-40, 0)
	}
	p.proto, p.ttl, p.length = h[6], h[7], uint16(min(p.left+40, 0xffff))
	p.at += 40
	if p.at+p.left > p.size {
		return stopLength
	}
	if p.proto == protoTCP || p.proto == protoUDP {
		return goOn
	}
	return p.extensions()
}

// extensions goes through IPv6's extension headers.
func (p *packet) extensions() reason {
	from, kind := p.at, p.proto
	tooMany, short := true, false
walk:
	for i := 0; i <= headers && p.at <= furthest; i++ {
		switch kind {
		case protoHopByHop, protoRouting, protoDestinations, protoFragment, protoAH:
		default:
			tooMany = false
			break walk
		}
		h := p.next(8)
		if h == nil {
			tooMany, short = false, true
			break
		}
		switch size := int(h[1]); kind {
		case protoFragment:
			p.at += 8
			where := binary.BigEndian.Uint16(h[2:])
			p.fragment = p.fragment || where&0xfff9 != 0 // else it is whole (RFC 6946)
			if where&0xfff8 != 0 {
				kind, tooMany, p.later = h[0], false, true
				break walk // what follows is data
			}
		case protoAH:
			p.at += (size + 2) * 4
		default:
			p.at += (size + 1) * 8
		}
		kind = h[0]
	}
	if p.proto = kind; tooMany {
		p.proto, p.at = protoNone, from
		return stopWrapped
	}
	if size := p.at - from; short || size > p.left || p.at > furthest {
		p.at = from
		return stopLength
	}
	p.left -= p.at - from
	return goOn
}

// transport reads the ports.
func (p *packet) transport() reason {
	if p.proto != protoTCP && p.proto != protoUDP {
		return goOn
	}
	h := p.next(4)
	if p.left < 4 || h == nil {
		if p.fragment {
			return goOn // the fragments' rung judges hidden ports
		}
		return stopLength
	}
	p.sport, p.dport = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])
	p.ports = true
	return goOn
}
