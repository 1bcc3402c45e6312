package traffic

import "time"

// Rates is how large a rate usually is, a second.
type Rates struct {
	Usual float64 `json:"usual"` // median
	Peak  float64 `json:"peak"`  // 95th percentile
}

// PacketNormal is what is usual of packets here. The zero value says that
// nothing is known, or that there is no filter. It is replaced, never changed.
type PacketNormal struct {
	Learned time.Duration `json:"learned"` // how much ordinary traffic it rests on

	Kinds   [PacketKinds]Rates `json:"kinds"`   // of packets for protected ports
	Packets Rates              `json:"packets"` // let through or not
	Passed  Rates              `json:"passed"`  // of those, let through
	Bytes   Rates              `json:"bytes"`   // let through or not

	// Ordinary is a rolling, even sample of ordinary packets that were let
	// through, and Openings one of those among them that ask for a connection:
	// few, but each a visitor. Their sources are cut to /24 and /48 and the
	// payloads of TCP to 16 bytes. Read only.
	Ordinary []Packet `json:"-"`
	Openings []Packet `json:"-"`
}

// Total is all packets of the window, let through or not, with their bytes.
func (p *Packets) Total() Counted {
	return Counted{Packets: p.Passed.Packets + p.Stopped.Packets, Bytes: p.Passed.Bytes + p.Stopped.Bytes}
}

// Stands returns how many packets n samples stand for.
func (p *Packets) Stands(n int) uint64 { return uint64(n) * uint64(p.Every) }

// Amplifier names the UDP service that a port belongs to, if it is one that
// answers more than it is asked and so is used to reflect floods: CISA's alert
// TA14-017A (https://www.cisa.gov/news-events/alerts/2014/01/17/udp-based-amplification-attacks),
// with those seen since. "" is no such port.
func Amplifier(port uint16) string {
	switch port {
	case 17:
		return "QOTD"
	case 19:
		return "chargen"
	case 53:
		return "DNS"
	case 69:
		return "TFTP"
	case 111:
		return "portmap"
	case 123:
		return "NTP"
	case 137, 138:
		return "NetBIOS"
	case 161:
		return "SNMP"
	case 177:
		return "XDMCP"
	case 389:
		return "CLDAP"
	case 427:
		return "SLP"
	case 500, 4500:
		return "ISAKMP"
	case 520:
		return "RIP"
	case 623:
		return "IPMI"
	case 1194:
		return "OpenVPN"
	case 1434:
		return "SQL Server browser"
	case 1604:
		return "Citrix"
	case 1645, 1812:
		return "RADIUS"
	case 1701:
		return "L2TP"
	case 1900:
		return "SSDP"
	case 3283:
		return "Apple Remote Desktop"
	case 3478:
		return "STUN"
	case 3702:
		return "WS-Discovery"
	case 5060:
		return "SIP"
	case 5353:
		return "mDNS"
	case 5683:
		return "CoAP"
	case 6881:
		return "BitTorrent"
	case 11211:
		return "memcached"
	case 2362, 3074, 5093, 7547, 8611, 9987, 10001, 10074, 17185, 20800, 27015, 27960, 30120, 30718,
		32414, 33848, 37810, 41794, 47808:
		return "other amplifiers"
	}
	return ""
}
