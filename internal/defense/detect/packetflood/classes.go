package packetflood

import (
	"time"

	"seawall/internal/traffic"
)

// class is one kind of packets that a flood may consist of.
type class struct {
	name  string
	kind  traffic.PacketKind // valid iff known
	known bool               // false: packets that contradict themselves

	rate    float64       // a second
	usual   traffic.Rates // here
	more    float64       // a second above the usual peak, and not explained
	least   float64       // of more, for a flood
	visitor bool          // visitors send such packets
}

func (c *class) here() bool    { return c.more > c.least }
func (c *class) lingers() bool { return c.more > c.least/2 }

const (
	// perVisit is how many packets one request explains, at a site of which
	// nothing better is known; where it is, three times what is usual.
	perVisit = 30
	// perOpening is how many QUIC Initials one request explains.
	perOpening = 3
	// segment is how many bytes moved explain one packet. A full segment has
	// about 1,400, and is acknowledged at most once; half of that is on the
	// safe side.
	segment = 700
	// fewSources is how many times as much must come from few sources: a large
	// download brings many ACKs, and is counted when it has ended. Large packets from
	// many sources are no ACKs.
	fewSources = 4
	// unknown is how many times as much it takes while nothing is known.
	unknown = 4
	// youth is how much ordinary traffic must have been seen to know anything.
	youth = 5 * time.Second
	// icmpErrors is how many ICMP errors a SYN or an answer may bring, resets how
	// many RSTs a SYN, fragments how many later fragments an answer.
	icmpErrors = 0.25
	resets     = 1.5
	fragments  = 4
)

// malformed are the filter's reasons for packets that no honest machine sends.
func malformed() []string {
	return []string{"length", "wrapped", "source", "land", "flags", "tcp_fragment", "bogon"}
}

// classes sorts a window's packets. visits is requests a second above what is
// usual.
func (d *Detector) classes(w *traffic.Window, n *traffic.Normal, visits float64) []class {
	p := &w.Packets
	rate := func(k traffic.PacketKind) float64 { return w.Rate(p.Kinds[k]) }
	var strange uint64
	for _, reason := range malformed() {
		strange += p.Reasons[reason].Packets
	}
	reflected := w.Rate(p.Reasons["reflected"].Packets)
	answers := reflected + rate(traffic.PacketSynAck)
	moved := w.Rate(w.BytesOut+w.BytesIn) / segment
	blocked := w.Rate(p.Blocked()) // whoever is banned sends again what nobody acknowledges
	each := float64(perVisit)
	if n.Packets.Learned >= youth && n.Requests > 0 {
		each = max(each, 3*n.Packets.Kinds[traffic.PacketOther].Usual/n.Requests, 3*n.Packets.Kinds[traffic.PacketUDP].Usual/n.Requests)
	}

	out := []class{
		{name: "TCP packets of no connection", kind: traffic.PacketOther, visitor: true, more: -each*visits - moved - blocked},
		{name: "RSTs", kind: traffic.PacketReset, more: -resets*rate(traffic.PacketSyn) - answers},
		{name: "UDP", kind: traffic.PacketUDP, visitor: true, more: -each*visits - moved - reflected - blocked},
		{name: "QUIC Initials", kind: traffic.PacketInitial, visitor: true, more: -perOpening * visits},
		{name: "fragments", kind: traffic.PacketFragment, more: -fragments * reflected},
		{name: "ICMP", kind: traffic.PacketICMP, more: -icmpErrors * (rate(traffic.PacketSyn) + answers)},
		{name: "malformed packets"},
	}
	for i := range out {
		c := &out[i]
		if c.known = i < len(out)-1; c.known {
			c.rate, c.usual = rate(c.kind), n.Packets.Kinds[c.kind]
		} else {
			c.rate = w.Rate(strange)
		}
		c.more += c.rate - c.usual.Peak
		c.least = d.least(c, w, n)
	}
	return out
}

func (d *Detector) least(c *class, w *traffic.Window, n *traffic.Normal) float64 {
	if !c.visitor {
		return max(d.cfg.Floor, (d.cfg.Times-1)*c.usual.Peak)
	}
	least := max(d.cfg.FloorVisitors, (d.cfg.Times-1)*c.usual.Peak)
	if n.Packets.Learned < youth {
		least *= unknown
	}
	portrait := traffic.Portray(w.Packets.Samples, func(p *traffic.Packet) bool { return p.Kind == c.kind })
	if !portrait.Spread() && !portrait.Sends() {
		least *= fewSources
	}
	return least
}
