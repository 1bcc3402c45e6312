package twin

import (
	"encoding/binary"

	"seawall/internal/traffic"
)

// kindNone is of packets that are not counted by kind.
const kindNone = uint8(traffic.PacketKinds)

// The rungs, as in the headers of filter/bpf that have their names.

// impossible says whether nobody can have the source address (malformed.h).
func (p *packet) impossible() bool {
	if p.loopback {
		return false
	}
	high, low := p.source[0], p.source[1]
	if p.family == 4 {
		first := low >> 24 & 0xff
		return first == 0 || first == 127 || first >= 224
	}
	return high>>56 == 0xff || high == 0 && low <= 1 || high == 0 && low>>32 == 0xffff
}

// malformed judges what is for a protected port.
func (t *Twin) malformed(p *packet) reason {
	switch {
	case p.impossible():
		return stopSource
	case p.source == p.dest && !p.loopback:
		return stopLand
	case t.cfg.Bogons && !p.loopback && t.bogons.has(p.source):
		return stopBogon
	}
	if p.proto == protoUDP {
		h := p.next(8)
		if p.left < 8 || h == nil {
			return stopLength
		}
		length := int(binary.BigEndian.Uint16(h[4:]))
		if length < 8 || !p.fragment && length > p.left {
			return stopLength
		}
		if p.sport == 0 {
			return stopFlags
		}
		return goOn
	}
	h := p.next(20)
	if p.left < 20 || h == nil {
		return stopLength
	}
	if head := int(h[12]>>4) * 4; head < 20 || head > p.left {
		return stopLength
	}
	if p.sport == 0 {
		return stopFlags
	}
	// Every segment has ACK, but for a SYN alone and a RST.
	switch p.flags & (flagSYN | flagFIN | flagRST | flagACK) {
	case flagSYN, flagSYN | flagACK, flagRST, flagRST | flagACK, flagACK, flagFIN | flagACK:
		return goOn
	}
	return stopFlags
}

// reflected judges answers for a protected port.
func (t *Twin) reflected(p *packet) reason {
	switch {
	case p.proto == protoUDP:
		if t.amplifiers.has(p.sport) && !t.asked(p) {
			return stopReflected
		}
	case p.flags&(flagSYN|flagACK) == flagSYN|flagACK && !t.asked(p):
		return stopSynAck
	}
	return goOn
}

// stray judges answers for ports that are not protected: where there are very many, and
// nobody asked.
func (t *Twin) stray(p *packet) reason {
	why := stopReflected
	if p.proto == protoTCP {
		h := p.next(14)
		if h == nil || h[13]&(flagSYN|flagACK) != flagSYN|flagACK {
			return goOn
		}
		why = stopSynAck
	} else if !t.amplifiers.has(p.sport) {
		return goOn
	}
	if window := t.now >> windowBits; window != t.strays.window {
		t.strays.window, t.strays.n = window, 0
	}
	if t.strays.n++; t.strays.n > t.straysMost && !t.asked(p) {
		return why
	}
	return goOn
}

// hidesPorts says whether a packet should have ports and shows none (fragments.h).
func (p *packet) hidesPorts() bool {
	return !p.later && !p.ports && (p.proto == protoTCP || p.proto == protoUDP)
}

func (t *Twin) fragments(p *packet) reason {
	switch {
	case p.hidesPorts(), !p.later && p.proto == protoTCP && t.tcp.has(p.dport):
		return stopTCPFragment
	case !p.later && p.ports && !t.udp.has(p.dport):
		return goOn // the beginning of somebody else's
	case t.fragmentBudget.spent(t.now, t.fragmentGap):
		return stopFragments
	}
	return goOn
}

// isICMP says whether a packet is ICMP but for IPv6's neighbour discovery (icmp.h).
func (p *packet) isICMP() bool {
	if p.later || p.proto != protoICMP && p.proto != protoICMPv6 {
		return false
	}
	if p.proto == protoICMPv6 && p.family == 6 && p.ttl == 255 {
		if h := p.next(1); h != nil && h[0] >= 133 && h[0] <= 137 {
			return false
		}
	}
	return true
}

func (t *Twin) icmp(p *packet) reason {
	budget := &t.icmpBudget
	kind := uint8(0)
	if h := p.next(1); h != nil {
		kind = h[0]
	}
	switch {
	case p.family == 6 && kind >= 1 && kind <= 4, p.family == 4 && (kind == 3 || kind == 11 || kind == 12):
		budget = &t.errorBudget
	case p.family == 6 && (kind >= 130 && kind <= 132 || kind == 143):
		budget = &t.groupBudget
	}
	if budget.spent(t.now, t.icmpGap) {
		return stopICMP
	}
	return goOn
}

// classify says what kind of packet for a protected port it is (filter.bpf.c).
func (p *packet) classify() traffic.PacketKind {
	if p.proto == protoUDP {
		if p.isInitial() {
			return traffic.PacketInitial
		}
		return traffic.PacketUDP
	}
	h := p.next(14)
	if h == nil {
		return traffic.PacketOther
	}
	p.flags = h[13] & 63
	switch {
	case p.flags&flagRST != 0:
		return traffic.PacketReset
	case p.flags&(flagSYN|flagACK) == flagSYN|flagACK:
		return traffic.PacketSynAck
	case p.flags&flagSYN != 0:
		return traffic.PacketSyn
	}
	return traffic.PacketOther
}

// isInitial says whether a datagram begins a QUIC connection (sources.h).
func (p *packet) isInitial() bool {
	if p.left < 13 {
		return false
	}
	h := p.next(13)
	if h == nil || h[8]&0x80 == 0 {
		return false
	}
	switch kind := h[8] >> 4 & 3; binary.BigEndian.Uint32(h[9:]) {
	case 1:
		return kind == 0
	case 0x6b3343cf:
		return kind == 1
	}
	return true
}
