package traffic

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// IP's numbers of protocols that have names here.
const (
	protocolICMP   = 1
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58
)

// flagLetters are those of TCP's flags, the lowest bit first.
const flagLetters = "FSRPAU"

// FlagsKnown are the bits of TCP's flags that a Packet tells: FIN to URG.
const FlagsKnown = 1<<len(flagLetters) - 1

// Has says whether the packet has a field at all: a later fragment has no
// ports, and only TCP has flags and a window.
func (p *Packet) Has(f PacketField) bool {
	switch f {
	case PacketSource:
		return p.Source.IsValid()
	case PacketSourcePort, PacketDestPort:
		return p.Ports
	case PacketFlags, PacketWindow:
		return p.Ports && p.Protocol == protocolTCP
	case PacketPayload:
		return p.PayloadLen > 0
	}
	return f < PacketFields
}

// Number returns the field's value as a number; meaningless iff the packet does
// not have it, 0 where it is no number.
func (p *Packet) Number(f PacketField) uint64 {
	switch f {
	case PacketProtocol:
		return uint64(p.Protocol)
	case PacketSourcePort:
		return uint64(p.SourcePort)
	case PacketDestPort:
		return uint64(p.DestPort)
	case PacketFlags:
		return uint64(p.Flags & FlagsKnown)
	case PacketLength:
		return uint64(p.Length)
	case PacketTTL:
		return uint64(p.TTL)
	case PacketWindow:
		return uint64(p.Window)
	case PacketFragmented:
		if p.Fragment {
			return 1
		}
	}
	return 0
}

// Key returns what the packet is called by field f, as match expressions write
// it; "" where it does not have it. It allocates.
func (p *Packet) Key(f PacketField) string {
	if !p.Has(f) {
		return ""
	}
	switch f {
	case PacketSource:
		return PrefixOf(p.Source, LevelClient).String()
	case PacketProtocol:
		return ProtocolName(p.Protocol)
	case PacketFlags:
		return FlagNames(p.Flags)
	case PacketFragmented:
		return strconv.FormatBool(p.Fragment)
	case PacketPayload:
		return hex.EncodeToString(p.Payload[:min(p.PayloadLen, PayloadKept)])
	}
	return strconv.FormatUint(p.Number(f), 10)
}

// ProtocolName names a protocol by IP's number. ICMP is "icmp" for both
// families, though each has a number of its own.
func ProtocolName(n uint8) string {
	switch n {
	case protocolICMP, protocolICMPv6:
		return "icmp"
	case protocolTCP:
		return "tcp"
	case protocolUDP:
		return "udp"
	}
	return strconv.Itoa(int(n))
}

// ParseProtocol reads what ProtocolName wrote, or any number. "icmp" is two.
func ParseProtocol(s string) []uint8 {
	switch s {
	case "icmp":
		return []uint8{protocolICMP, protocolICMPv6}
	case "tcp":
		return []uint8{protocolTCP}
	case "udp":
		return []uint8{protocolUDP}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return nil
	}
	return []uint8{uint8(n)}
}

// FlagNames writes TCP's flags: letters of "FSRPAU" in that order.
func FlagNames(flags uint8) string {
	var b [len(flagLetters)]byte
	n := 0
	for i := range len(flagLetters) {
		if flags>>i&1 == 1 {
			b[n] = flagLetters[i]
			n++
		}
	}
	return string(b[:n])
}

// ParseFlags reads letters of TCP's flags, each at most once, in any order.
func ParseFlags(s string) (flags uint8, ok bool) {
	for _, r := range s {
		i := strings.IndexRune(flagLetters, r)
		if i < 0 || flags>>i&1 == 1 {
			return 0, false
		}
		flags |= 1 << i
	}
	return flags, true
}
