package packet

import "encoding/binary"

// Protocol numbers (IANA), of IP and of what Ethernet carries.
const (
	protoHopByHop     = 0
	protoICMP         = 1
	protoTCP          = 6
	protoUDP          = 17
	protoRouting      = 43
	protoFragment     = 44
	protoAH           = 51
	protoICMPv6       = 58
	protoDestinations = 60

	etherIPv4  = 0x0800
	etherTag   = 0x8100
	etherIPv6  = 0x86dd
	etherPPPoE = 0x8864
	etherQinQ  = 0x88a8
)

// headersLen tells how many bytes of a frame are headers: Ethernet's, tags, IP's
// with options and extension headers, and that of TCP (with options), UDP or ICMP.
// Nothing of what they carry is among them: data, the packet that an ICMP error
// quotes, a fragment's piece, an encrypted or tunnelled packet, the padding of a
// short frame. frame may be a frame's beginning only; what cannot be understood
// ends the headers. It reads for itself, and does not believe the offsets that
// come with a sample: what is kept for evidence must not hang on them.
func headersLen(frame []byte) int {
	const addresses = 12
	if len(frame) < addresses+2 {
		return 0
	}
	kind, at := binary.BigEndian.Uint16(frame[addresses:]), addresses+2
	// As many as the filter in the kernel goes through.
	for range 6 {
		if kind != etherTag && kind != etherQinQ || len(frame) < at+4 {
			break
		}
		kind, at = binary.BigEndian.Uint16(frame[at+2:]), at+4
	}
	if kind == etherPPPoE && len(frame) >= at+8 {
		switch binary.BigEndian.Uint16(frame[at+6:]) {
		case 0x21:
			kind = etherIPv4
		case 0x57:
			kind = etherIPv6
		}
		at += 8
	}
	switch kind {
	case etherIPv4:
		return at + ipv4Len(frame[at:])
	case etherIPv6:
		return at + ipv6Len(frame[at:])
	}
	return at
}

// ipv4Len is headersLen from the IPv4 header on.
func ipv4Len(b []byte) int {
	const least = 20
	if len(b) < least || b[0]>>4 != 4 {
		return 0
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < least || total < head || len(b) < head {
		return least // what then comes is not known
	}
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return head // a later fragment
	}
	return head + transportLen(b[9], b[head:min(total, len(b))])
}

// ipv6Len is headersLen from the IPv6 header on.
func ipv6Len(b []byte) int {
	const least = 40
	if len(b) < least || b[0]>>4 != 6 {
		return 0
	}
	b = b[:min(len(b), least+int(binary.BigEndian.Uint16(b[4:])))]
	kind, at := b[6], least
	for len(b) >= at+8 {
		size := 8
		switch kind {
		case protoHopByHop, protoRouting, protoDestinations:
			size = 8 + int(b[at+1])*8
		case protoAH:
			size = 8 + int(b[at+1])*4
		case protoFragment:
		default:
			return at + transportLen(kind, b[at:])
		}
		if size > len(b)-at {
			return at // promises more than is there
		}
		later := kind == protoFragment && binary.BigEndian.Uint16(b[at+2:])&0xfff8 != 0
		kind, at = b[at], at+size
		if later {
			return at
		}
	}
	return at
}

// transportLen is the length of the header at b's beginning, 0 if it is not known
// or not there; b ends where IP says that the packet does.
func transportLen(proto byte, b []byte) int {
	switch proto {
	case protoTCP:
		if len(b) < 20 {
			return 0
		}
		if head := int(b[12]>>4) * 4; head >= 20 && head <= len(b) {
			return head
		}
		return 20
	case protoUDP, protoICMP, protoICMPv6:
		if len(b) < 8 {
			return 0
		}
		return 8
	}
	return 0
}
