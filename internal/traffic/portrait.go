package traffic

import "net/netip"

// Common is a field's most frequent value, with the share of the packets that
// have it.
type Common struct {
	Value uint16
	Share float64
}

// Portrait is what some sampled packets have in common.
type Portrait struct {
	Count   int // packets
	Sources int // distinct sources among them
	Loaded  int // how many carry a payload
	Large   int // how many are longer than answers to what was sent are

	// Common holds the most frequent source port, port, length, TTL and TCP
	// window; the other fields are not looked at.
	Common [PacketFields]Common
}

// Portray draws the samples that of picks. Work and memory are bounded by their
// number.
func Portray(samples []Packet, of func(*Packet) bool) Portrait {
	var p Portrait
	sources := map[netip.Addr]struct{}{}
	var counts [PacketFields]map[uint16]int
	add := func(f PacketField, v uint16) {
		if counts[f] == nil {
			counts[f] = map[uint16]int{}
		}
		counts[f][v]++
	}
	for i := range samples {
		s := &samples[i]
		if !of(s) {
			continue
		}
		p.Count++
		sources[s.Source] = struct{}{}
		if s.PayloadLen > 0 {
			p.Loaded++
		}
		if s.Length > large {
			p.Large++
		}
		add(PacketLength, s.Length)
		add(PacketTTL, uint16(s.TTL))
		if s.Ports {
			add(PacketSourcePort, s.SourcePort)
			add(PacketDestPort, s.DestPort)
			if s.Protocol == 6 {
				add(PacketWindow, s.Window)
			}
		}
	}
	p.Sources = len(sources)
	for f := range counts {
		most := 0
		for v, n := range counts[f] {
			if c := &p.Common[f]; n > most || n == most && v < c.Value {
				most = n
				*c = Common{Value: v, Share: float64(n) / float64(p.Count)}
			}
		}
	}
	return p
}

// large is more than a packet has that tells of others' having arrived, bytes: an ACK of
// TCP has 40 to 80, and QUIC's tell hardly more.
const large = 300

// Sends says that most of the packets are large, and come from more sources than would send
// something large to a site at a time.
func (p *Portrait) Sends() bool { return p.Sources >= 100 && 2*p.Large >= p.Count }

// Spread says that hardly any source shows twice, as where senders are made up
// or very many. It needs some packets to say so.
func (p *Portrait) Spread() bool { return p.Count >= 50 && 2*p.Sources >= p.Count }
