package twin

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// signaturesMost is how many there can be at once, as in the filter.
const signaturesMost = 32

// signature is a mitigation about packets.
type signature struct {
	id    uint32
	match *match.Match
	stops bool
	hits  uint64 // since Cut was asked last
}

// Apply compares packets with a mitigation from now on, if it is about packets. Where
// there are more than there is room for, those that only count give way, and then the
// youngest.
func (t *Twin) Apply(m mitigation.Mitigation) error {
	if !m.Match.OnPackets() {
		return nil
	}
	s := signature{id: uint32(m.ID), match: m.Match, stops: m.Action == mitigation.Refuse || m.Action == mitigation.Drop}
	if i := t.find(m.ID); i >= 0 {
		s.hits = t.signs[i].hits
		t.signs[i] = s
	} else {
		t.signs = append(t.signs, s)
	}
	slices.SortFunc(t.signs, func(a, b signature) int {
		switch {
		case a.stops == b.stops:
			return cmp.Compare(a.id, b.id)
		case a.stops:
			return -1
		}
		return 1
	})
	return nil
}

// Withdraw compares packets with it no longer.
func (t *Twin) Withdraw(id mitigation.ID) error {
	if i := t.find(id); i >= 0 {
		t.hits[uint32(id)] += t.signs[i].hits
		t.signs = slices.Delete(t.signs, i, i+1)
	}
	return nil
}

func (t *Twin) find(id mitigation.ID) int {
	return slices.IndexFunc(t.signs, func(s signature) bool { return s.id == uint32(id) })
}

// signedBy counts the signatures that hit a packet (signatures.h).
func (t *Twin) signedBy(p *packet) reason {
	if len(t.signs) == 0 || !t.on(Signatures) {
		return goOn
	}
	why, one := goOn, t.show(p)
	for i := range t.signs[:min(len(t.signs), signaturesMost)] {
		s := &t.signs[i]
		if !s.match.HitsPacket(one) {
			continue
		}
		s.hits++
		if s.stops {
			why = stopSignature
		}
	}
	return why
}

// show makes what signatures look at of a packet.
func (t *Twin) show(p *packet) *traffic.Packet {
	o := &t.one
	if t.shown {
		return o
	}
	t.shown = true
	*o = traffic.Packet{
		Source: address(p.family, p.source), Dest: address(p.family, p.dest), Protocol: p.proto, Ports: p.ports,
		Length: p.length, TTL: p.ttl, Fragment: p.fragment,
	}
	if !p.ports {
		return o
	}
	o.SourcePort, o.DestPort = p.sport, p.dport
	head := 8
	if p.proto == protoTCP {
		if p.left < 20 || p.at+20 > len(p.b) {
			return o
		}
		h := p.b[p.at : p.at+20]
		o.Flags, o.Window = h[13]&traffic.FlagsKnown, binary.BigEndian.Uint16(h[14:])
		if head = int(h[12]>>4) * 4; head < 20 {
			return o
		}
	}
	if from, to := p.at+head, min(p.at+p.left, len(p.b)); from < to {
		o.PayloadLen = uint8(copy(o.Payload[:], p.b[from:to]))
	}
	return o
}

func address(family uint8, w [2]uint64) netip.Addr {
	if family == 4 {
		return netip.AddrFrom4([4]byte{byte(w[1] >> 24), byte(w[1] >> 16), byte(w[1] >> 8), byte(w[1])})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], w[0])
	binary.BigEndian.PutUint64(b[8:], w[1])
	return netip.AddrFrom16(b)
}
