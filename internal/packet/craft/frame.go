package craft

import (
	"encoding/binary"
	"net/netip"
)

// Protocols and TCP flags.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58

	FIN = 1
	SYN = 2
	RST = 4
	PSH = 8
	ACK = 16
	URG = 32
)

// IPv6 extension headers.
const (
	HopByHop     = 0
	Routing      = 43
	fragment     = 44
	Destinations = 60
)

// EthernetLen is the length of an Ethernet header without tags.
const EthernetLen = 14

// Frame is a packet to be built.
type Frame struct {
	To           []byte     // the interface's address; nil: one that is nobody's
	Tags         []uint16   // VLAN numbers, outermost first
	Source, Dest netip.Addr // both of one family
	TTL          byte       // 0: 64
	Options      []byte     // of IPv4; padded to a multiple of four
	Extensions   []byte     // kinds of IPv6 extension headers, eight bytes each

	ID     uint32 // of fragments
	Offset int    // of this fragment in bytes, a multiple of eight
	More   bool   // fragments follow

	Proto        byte // 0: TCP
	SPort, DPort uint16
	Sequence     uint32 // of TCP; 0: 1000
	Acknowledged uint32 // of TCP
	Flags        byte   // of TCP
	Window       uint16 // of TCP; 0: 64240
	TCPOptions   []byte // padded to a multiple of four
	Kind         byte   // type of ICMP
	Payload      []byte
}

// Bytes builds the frame.
func (f Frame) Bytes() []byte {
	b := make([]byte, 12, EthernetLen+60+60+len(f.Payload))
	b[0], b[6] = 2, 2 // locally administered
	b[11] = 1
	copy(b[:6], f.To)
	for i, id := range f.Tags {
		kind := uint16(0x8100)
		if i == 0 && len(f.Tags) > 1 {
			kind = 0x88a8
		}
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, id)
	}
	if f.Proto == 0 {
		f.Proto = TCP
	}
	if f.TTL == 0 {
		f.TTL = 64
	}
	body := f.Payload
	if f.Offset == 0 {
		body = f.transport()
	}
	if f.Source.Unmap().Is4() {
		return f.ipv4(binary.BigEndian.AppendUint16(b, 0x0800), body)
	}
	return f.ipv6(binary.BigEndian.AppendUint16(b, 0x86dd), body)
}

func (f Frame) ipv4(b, body []byte) []byte {
	options := pad(f.Options)
	ip := make([]byte, 20, 20+len(options)+len(body))
	ip[0] = 0x40 | byte(5+len(options)/4)
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(options)+len(body)))
	binary.BigEndian.PutUint16(ip[4:], uint16(f.ID))
	where := uint16(f.Offset / 8)
	if f.More {
		where |= 0x2000
	} else if f.Offset == 0 {
		where |= 0x4000 // do not fragment
	}
	binary.BigEndian.PutUint16(ip[6:], where)
	ip[8], ip[9] = f.TTL, f.Proto
	s, d := f.Source.Unmap().As4(), f.Dest.Unmap().As4()
	copy(ip[12:], s[:])
	copy(ip[16:], d[:])
	ip = append(ip, options...)
	binary.BigEndian.PutUint16(ip[10:], Checksum(0, ip))
	return append(append(b, ip...), body...)
}

func (f Frame) ipv6(b, body []byte) []byte {
	kinds := append([]byte(nil), f.Extensions...)
	if f.Offset > 0 || f.More {
		kinds = append(kinds, fragment)
	}
	kinds = append(kinds, f.Proto)
	ip := make([]byte, 40)
	ip[0] = 0x60
	binary.BigEndian.PutUint16(ip[4:], uint16(8*(len(kinds)-1)+len(body)))
	ip[6], ip[7] = kinds[0], f.TTL
	s, d := f.Source.As16(), f.Dest.As16()
	copy(ip[8:], s[:])
	copy(ip[24:], d[:])
	for i, kind := range kinds[:len(kinds)-1] {
		x := []byte{kinds[i+1], 0, 0, 0, 0, 0, 0, 0}
		switch kind {
		case fragment:
			where := uint16(f.Offset)
			if f.More {
				where |= 1
			}
			binary.BigEndian.PutUint16(x[2:], where)
			binary.BigEndian.PutUint32(x[4:], f.ID)
		case Routing:
			x[2] = 253 // for experiments (RFC 4727), no segments left
		default:
			x[2], x[3] = 1, 4 // PadN
		}
		ip = append(ip, x...)
	}
	return append(append(b, ip...), body...)
}

// transport builds what IP carries.
func (f Frame) transport() []byte {
	switch f.Proto {
	case TCP:
		options := pad(f.TCPOptions)
		t := make([]byte, 20, 20+len(options)+len(f.Payload))
		binary.BigEndian.PutUint16(t, f.SPort)
		binary.BigEndian.PutUint16(t[2:], f.DPort)
		sequence := f.Sequence
		if sequence == 0 {
			sequence = 1000
		}
		binary.BigEndian.PutUint32(t[4:], sequence)
		binary.BigEndian.PutUint32(t[8:], f.Acknowledged)
		t[12], t[13] = byte(5+len(options)/4)<<4, f.Flags
		window := f.Window
		if window == 0 {
			window = 64240
		}
		binary.BigEndian.PutUint16(t[14:], window)
		t = append(append(t, options...), f.Payload...)
		binary.BigEndian.PutUint16(t[16:], f.sum(t))
		return t
	case UDP:
		u := make([]byte, 8, 8+len(f.Payload))
		binary.BigEndian.PutUint16(u, f.SPort)
		binary.BigEndian.PutUint16(u[2:], f.DPort)
		binary.BigEndian.PutUint16(u[4:], uint16(8+len(f.Payload)))
		u = append(u, f.Payload...)
		binary.BigEndian.PutUint16(u[6:], f.sum(u))
		return u
	case ICMP, ICMPv6:
		m := append([]byte{f.Kind, 0, 0, 0, 0, 0, 0, 0}, f.Payload...)
		if f.Proto == ICMP {
			binary.BigEndian.PutUint16(m[2:], Checksum(0, m))
		} else {
			binary.BigEndian.PutUint16(m[2:], f.sum(m))
		}
		return m
	}
	return f.Payload
}

// sum is the checksum of a segment with its pseudo header (RFC 9293, section
// 3.1; RFC 8200, section 8.1).
func (f Frame) sum(segment []byte) uint16 {
	var head []byte
	if f.Source.Unmap().Is4() {
		s, d := f.Source.Unmap().As4(), f.Dest.Unmap().As4()
		head = append(append(head, s[:]...), d[:]...)
		head = append(head, 0, f.Proto)
		head = binary.BigEndian.AppendUint16(head, uint16(len(segment)))
	} else {
		s, d := f.Source.As16(), f.Dest.As16()
		head = append(append(head, s[:]...), d[:]...)
		head = binary.BigEndian.AppendUint32(head, uint32(len(segment)))
		head = append(head, 0, 0, 0, f.Proto)
	}
	return Checksum(^Checksum(0, head), segment)
}

// Checksum is the internet checksum (RFC 1071) of b after what start is the sum
// of.
func Checksum(start uint16, b []byte) uint16 {
	sum := uint32(start)
	for len(b) > 1 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func pad(b []byte) []byte {
	return append(b[:len(b):len(b)], make([]byte, (4-len(b)%4)%4)...)
}
