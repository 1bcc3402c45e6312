package defense

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// people makes the packets of ordinary visitors: connections from many systems,
// HTTP/3 among them, some of which go wrong.
type people struct {
	rng   *rand.Rand
	queue []traffic.Packet
}

func newPeople() *people { return &people{rng: rand.New(rand.NewPCG(7, 8))} }

// some returns the next n packets.
func (p *people) some(n int) []traffic.Packet {
	for len(p.queue) < n {
		p.visit()
	}
	out := p.queue[:n:n]
	p.queue = p.queue[n:]
	return out
}

// visit is one connection.
func (p *people) visit() {
	r := p.rng
	systems := []struct {
		ttl         uint8
		syn, window uint16
		ack         uint16 // length of a bare ACK: with or without timestamps
	}{{64, 60, 64240, 52}, {64, 60, 65535, 52}, {64, 64, 65535, 52}, {128, 52, 64240, 40}, {128, 52, 65535, 40}, {64, 60, 29200, 52}}
	s := systems[r.IntN(len(systems))]
	base := traffic.Packet{
		Source:   netip.AddrFrom4([4]byte{byte(1 + r.IntN(220)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}),
		Dest:     netip.AddrFrom4([4]byte{192, 0, 2, 1}),
		Protocol: 6, Ports: true, SourcePort: uint16(1024 + r.IntN(64000)), DestPort: 443, TTL: s.ttl - uint8(4+r.IntN(20)), Reason: "pass_ours",
	}
	add := func(kind traffic.PacketKind, flags uint8, length, window uint16, payload ...byte) {
		one := base
		one.Kind, one.Flags, one.Length, one.Window = kind, flags, length, window
		one.PayloadLen = uint8(copy(one.Payload[:], payload))
		p.queue = append(p.queue, one)
	}
	if r.IntN(4) == 0 {
		base.Protocol = 17
		noise := func(head ...byte) []byte {
			b := append(head, make([]byte, traffic.PayloadKept-len(head))...)
			for i := len(head); i < len(b); i++ {
				b[i] = byte(r.IntN(256))
			}
			return b
		}
		add(traffic.PacketInitial, 0, 1278, 0, noise(0xc3, 0, 0, 0, 1, 8)...)
		for range 6 + r.IntN(20) {
			add(traffic.PacketUDP, 0, uint16(50+r.IntN(60)), 0, noise(0x40|byte(r.IntN(64)))...)
		}
		return
	}
	if r.IntN(300) == 0 {
		icmp := base
		icmp.Protocol, icmp.Ports, icmp.SourcePort, icmp.DestPort, icmp.Kind, icmp.Length = 1, false, 0, 0, traffic.PacketICMP, 576
		p.queue = append(p.queue, icmp)
	}
	const fin, syn, rst, psh, ack = 1, 2, 4, 8, 16
	window := uint16(500 + r.IntN(2000))
	add(traffic.PacketSyn, syn, s.syn, s.window)
	add(traffic.PacketOther, ack, s.ack, window)
	add(traffic.PacketOther, psh|ack, uint16(560+r.IntN(200)), window, 0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3)
	for range 6 + r.IntN(20) {
		add(traffic.PacketOther, ack, s.ack, uint16(500+r.IntN(2000)))
	}
	add(traffic.PacketOther, psh|ack, uint16(90+r.IntN(400)), window, 0x17, 3, 3, 0, byte(r.IntN(256)), byte(r.IntN(256)))
	switch r.IntN(5) {
	case 0:
		add(traffic.PacketReset, rst, 40, 0)
	case 1:
		add(traffic.PacketReset, rst|ack, s.ack, window)
	default:
		add(traffic.PacketOther, fin|ack, s.ack, window)
	}
}

// wire makes windows of what comes in.
type wire struct {
	at    clock.Instant
	wall  time.Time
	every int
	turn  int // of the flood
}

func newWire() *wire {
	return &wire{at: clock.Instant(time.Hour), wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), every: 10}
}

// packets counts and samples a second of ordinary packets and of a flood.
// dropped says what the signatures that act would stop.
func (w *wire) packets(ordinary, flood []traffic.Packet, dropped func(*traffic.Packet) bool) traffic.Packets {
	p := traffic.Packets{Filtered: true, Every: uint32(w.every), Reasons: map[string]traffic.Counted{}, Hits: map[uint32]uint64{}}
	n, all := 0, len(ordinary)+len(flood)
	o, f := 0, 0
	for n < all {
		var one traffic.Packet
		// Both evenly through the second.
		if o*all < n*len(ordinary) && o < len(ordinary) || f == len(flood) {
			one = ordinary[o]
			o++
		} else {
			one = flood[f]
			f++
		}
		if !one.Stopped && dropped != nil && dropped(&one) {
			one.Stopped, one.Reason = true, "signature"
		}
		p.Kinds[one.Kind]++
		c := p.Reasons[one.Reason]
		p.Reasons[one.Reason] = traffic.Counted{Packets: c.Packets + 1, Bytes: c.Bytes + uint64(one.Length)}
		to := &p.Passed
		if one.Stopped {
			to = &p.Stopped
		}
		to.Packets++
		to.Bytes += uint64(one.Length)
		if n++; n%w.every == 0 {
			p.Samples = append(p.Samples, one)
		}
	}
	return p
}

// flood returns the next n packets of a capture, from the beginning again when
// it is at its end.
func (w *wire) flood(capture []traffic.Packet, n int) []traffic.Packet {
	out := make([]traffic.Packet, n)
	for i := range out {
		out[i] = capture[(w.turn+i)%len(capture)]
	}
	w.turn += n
	return out
}

// window is a second with as many visits as the ordinary packets are of.
func (w *wire) window(p traffic.Packets, visits int) *traffic.Window {
	w.at, w.wall = w.at.Add(time.Second), w.wall.Add(time.Second)
	return &traffic.Window{At: w.at, Wall: w.wall, Span: time.Second, Offered: uint64(visits), Admitted: uint64(visits), BytesOut: uint64(visits) * 20000, Packets: p}
}
