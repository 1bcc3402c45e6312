package traffic

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"seawall/internal/kit/clock"
)

// PacketKind is what a packet for a protected port is, as far as its headers
// tell. The numbers are those of enum kind in packet/filter/bpf.
type PacketKind uint8

// The kinds of packets.
const (
	PacketOther    PacketKind = iota // TCP of no other kind, in a connection or not
	PacketSyn                        // asks for a connection
	PacketSynAck                     // answers one
	PacketReset                      // ends one
	PacketUDP                        // but no QUIC Initial
	PacketInitial                    // the first packet of a QUIC connection
	PacketFragment                   // a later fragment: its ports are not known
	PacketICMP
	PacketKinds
)

var packetKindNames = [PacketKinds]string{"other", "syn", "synack", "reset", "udp", "initial", "fragment", "icmp"}

func (k PacketKind) String() string {
	if k < PacketKinds {
		return packetKindNames[k]
	}
	return "kind?"
}

// MarshalText writes the kind's name.
func (k PacketKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *PacketKind) UnmarshalText(b []byte) error {
	v, ok := find[PacketKind](packetKindNames[:], string(b))
	if !ok {
		return fmt.Errorf("unknown kind of packet %q", b)
	}
	*k = v
	return nil
}

// Opens says that packets of the kind ask for a connection.
func (k PacketKind) Opens() bool { return k == PacketSyn || k == PacketInitial }

// PayloadKept is how many bytes of a packet's payload a Packet has.
const PayloadKept = 32

// Packet is a sampled packet. It holds no memory but its own.
type Packet struct {
	At                   clock.Instant
	Source               netip.Addr
	Dest                 netip.Addr
	Kind                 PacketKind
	Protocol             uint8 // IP's number of the innermost header: 6 TCP, 17 UDP
	Ports                bool  // SourcePort and DestPort are known
	SourcePort, DestPort uint16
	Flags                uint8  // of TCP, FIN 1 to URG 32; valid iff Protocol is 6 and Ports
	Window               uint16 // of TCP; valid as Flags is
	Length               uint16 // of the IP packet with its header, bytes
	TTL                  uint8  // or IPv6's hop limit
	Fragment             bool   // any fragment
	Stopped              bool   // the filter dropped it, for Reason
	Reason               string // of the filter: why it passed or was stopped

	// Payload is what follows the TCP or UDP header, as far as it was kept.
	Payload    [PayloadKept]byte
	PayloadLen uint8 // how much of Payload was kept
}

// PacketField names one trait of a Packet. Signatures are mined and match
// expressions written by it.
type PacketField uint8

// The fields of packets, by which match expressions know them after "packet.".
const (
	PacketSource     PacketField = iota // the source's prefix
	PacketProtocol                      // "tcp", "udp", "icmp", or the number
	PacketSourcePort                    // a number
	PacketDestPort                      // a number
	PacketFlags                         // of TCP: letters of "FSRPAU" in that order
	PacketLength                        // bytes of the IP packet
	PacketTTL                           // a number
	PacketWindow                        // of TCP: a number
	PacketFragmented                    // "true" or "false"
	PacketPayload                       // its beginning, in hexadecimal digits
	PacketFields
)

var packetFieldNames = [PacketFields]string{
	"source", "protocol", "source_port", "port", "flags", "length", "ttl", "window", "fragment", "payload",
}

// String returns the field's name in match expressions.
func (f PacketField) String() string {
	if f < PacketFields {
		return "packet." + packetFieldNames[f]
	}
	return "packet.field?"
}

// ParsePacketField finds a field by its name.
func ParsePacketField(name string) (PacketField, error) {
	for f := range PacketFields {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("unknown packet field %q", name)
}

// Counted is packets and their bytes.
type Counted struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

func (c Counted) and(d Counted) Counted { return Counted{c.Packets + d.Packets, c.Bytes + d.Bytes} }

// Packets is what the packet filter saw during a window. The zero value says
// that there is no filter.
type Packets struct {
	Filtered bool `json:"filtered"` // there is a filter, and what follows was counted

	Kinds   [PacketKinds]uint64 `json:"kinds"`   // packets for protected ports, whatever became of them
	Passed  Counted             `json:"passed"`  // of those, let through
	Stopped Counted             `json:"stopped"` // dropped by any rung
	Reasons map[string]Counted  `json:"reasons"` // by filter.Reason's name, passes and stops
	Cookies uint64              `json:"cookies"` // SYNs answered by the filter itself, which keeps nothing of them
	Hits    map[uint32]uint64   `json:"hits"`    // packets that each mitigation's signature met, by its ID

	Samples []Packet `json:"-"`     // an even sample of those for protected ports, stopped ones among them
	Every   uint32   `json:"every"` // one sample stands for so many packets; 0 no samples
	Lost    uint64   `json:"lost"`  // samples that found no room
}

// And is what was counted in two stretches of time, one after the other. Samples
// of different paces cannot be put together: those of the later stay.
func (p Packets) And(q Packets) Packets {
	switch {
	case !p.Filtered:
		return q
	case !q.Filtered:
		return p
	}
	sum := q
	for k := range sum.Kinds {
		sum.Kinds[k] += p.Kinds[k]
	}
	sum.Passed, sum.Stopped = sum.Passed.and(p.Passed), sum.Stopped.and(p.Stopped)
	sum.Reasons = make(map[string]Counted, len(q.Reasons))
	maps.Copy(sum.Reasons, p.Reasons)
	for name, n := range q.Reasons {
		sum.Reasons[name] = n.and(sum.Reasons[name])
	}
	sum.Hits = make(map[uint32]uint64, len(q.Hits))
	maps.Copy(sum.Hits, p.Hits)
	for id, n := range q.Hits {
		sum.Hits[id] += n
	}
	sum.Cookies += p.Cookies
	sum.Lost += p.Lost
	if p.Every == q.Every {
		sum.Samples = slices.Concat(p.Samples, q.Samples)
	}
	return sum
}

// Blocked counts what the block list stopped. The name is the filter's own.
func (p *Packets) Blocked() uint64 { return p.Reasons["blocked"].Packets }
