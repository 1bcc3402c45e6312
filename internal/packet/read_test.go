package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"seawall/internal/packet/craft"
	"seawall/internal/traffic"
)

// read is a plain reading of a frame, made apart from the program's: what the
// packet is, and whether it is one that is compared with signatures: for a
// protected port, a later fragment, or ICMP. It takes frames that lie in one buffer.
func read(frame []byte) (p traffic.Packet, ours bool) {
	be := binary.BigEndian
	if len(frame) < craft.EthernetLen {
		return p, false
	}
	kind, b := be.Uint16(frame[12:]), frame[craft.EthernetLen:]
	for range 6 {
		if kind != 0x8100 && kind != 0x88a8 {
			break
		}
		if len(b) < 4 {
			return p, false
		}
		kind, b = be.Uint16(b[2:]), b[4:]
	}
	var body []byte // what the IP header promises behind it
	var ok, later bool
	switch kind {
	case 0x0800:
		body, ok, later = read4(&p, b)
	case 0x86dd:
		body, ok, later = read6(&p, b)
	}
	switch {
	case ok && later:
		return p, true
	case ok && (p.Protocol == craft.ICMP || p.Protocol == craft.ICMPv6):
		neighbours := kind == 0x86dd && p.Protocol == craft.ICMPv6 && p.TTL == 255 && len(body) > 0 && body[0] >= 133 && body[0] <= 137
		return p, !neighbours
	}
	if !ok || len(body) < 4 || p.Protocol != craft.TCP && p.Protocol != craft.UDP {
		return p, false
	}
	p.Ports, p.SourcePort, p.DestPort = true, be.Uint16(body), be.Uint16(body[2:])
	head := 8
	if p.Protocol == craft.TCP {
		head = 0
		if len(body) >= 20 {
			p.Flags, p.Window = body[13]&63, be.Uint16(body[14:])
			if words := int(body[12] >> 4); words >= 5 {
				head = words * 4
			}
		}
	}
	if head > 0 && head <= len(body) {
		p.PayloadLen = uint8(copy(p.Payload[:], body[head:]))
	}
	return p, slices.Contains(guard().TCP, p.DestPort) && p.Protocol == craft.TCP ||
		slices.Contains(guard().UDP, p.DestPort) && p.Protocol == craft.UDP
}

func read4(p *traffic.Packet, b []byte) (body []byte, ok, later bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil, false, false
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < 20 || total < head || total > len(b) {
		return nil, false, false
	}
	where := binary.BigEndian.Uint16(b[6:])
	p.Source, _ = netip.AddrFromSlice(b[12:16])
	p.Protocol, p.TTL, p.Length, p.Fragment = b[9], b[8], uint16(total), where&0x3fff != 0
	return b[head:total], true, where&0x1fff != 0
}

func read6(p *traffic.Packet, b []byte) (body []byte, ok, later bool) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return nil, false, false
	}
	promised := int(binary.BigEndian.Uint16(b[4:]))
	if 40+promised > len(b) {
		return nil, false, false
	}
	p.Source, _ = netip.AddrFromSlice(b[8:24])
	p.TTL, p.Length, p.Protocol = b[7], uint16(min(40+promised, 65535)), b[6]
	at := 40
	for range 9 {
		switch p.Protocol {
		case 0, 43, 44, 51, 60:
		default:
			if at > 40+promised {
				return nil, false, false
			}
			return b[at : 40+promised], true, false
		}
		if at+8 > len(b) {
			return nil, false, false
		}
		x := b[at:]
		switch p.Protocol {
		case 44:
			where := binary.BigEndian.Uint16(x[2:])
			p.Fragment = p.Fragment || where&0xfff9 != 0
			if at += 8; where&0xfff8 != 0 {
				p.Protocol = x[0]
				return nil, at <= 40+promised, true // what follows is data
			}
		case 51:
			at += (int(x[1]) + 2) * 4
		default:
			at += (int(x[1]) + 1) * 8
		}
		p.Protocol = x[0]
	}
	return nil, false, false // more headers than anybody needs
}
