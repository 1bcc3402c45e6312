package sign

import (
	"net/netip"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// spilt is the share of a flood that a description may lose by being narrow;
// spiltUnknown where nothing is known of ordinary packets, which are among it.
const (
	spilt        = 0.003
	spiltUnknown = 0.05
)

// leastPackets is how many samples a description of packets must take in.
const leastPackets = 10

// ofPackets allows openings no more than any ordinary packet, and asks for more
// of the flood: a hundredth of 100,000 packets a second is a flood as well. total
// is the whole flood's samples, left those that are to be described.
func ofPackets(total, left float64, known bool) limits {
	spill := spilt * max(total, left)
	if !known {
		spill = spiltUnknown * left
	}
	return limits{
		welcoming: clean, spill: spill, near: spill/left + 1e-9,
		leastPart: max(0.01, leastPackets/left), enough: 1 - spill/left,
	}
}

// Left is what is to be described of a flood of packets.
type Left struct {
	Samples []traffic.Packet // of the kinds that it consists of, ordinary ones among them, less what is stopped already
	Total   int              // samples of those kinds, what is stopped already among them
	Among   float64          // how many of Samples are ordinary, as far as is known
	Usual   float64          // how many samples all ordinary packets, of whatever kind, make in that time
}

// Packets describes a flood of packets. n may be nil.
//
// Coverage is of what is left; Collateral is the share of ordinary packets that
// the match hits, and Newcomers that of ordinary packets that ask for a
// connection, few as they are: each of them is a visitor.
func Packets(l Left, n *traffic.PacketNormal) []attack.Signature {
	if n == nil {
		n = &traffic.PacketNormal{}
	}
	total := float64(l.Total)
	if len(l.Samples) > mostSamples {
		scale := mostSamples / float64(len(l.Samples))
		l.Usual, l.Among, total = l.Usual*scale, l.Among*scale, total*scale
	}
	l.Samples = thin(l.Samples, mostSamples)
	if len(l.Samples) < leastSamples || l.Among > 0.9*float64(len(l.Samples)) {
		return nil
	}
	t := newPacketTable(l, thin(n.Ordinary, mostOrdinary), thin(n.Openings, mostOrdinary), total)
	t.doubt = func(flood bitset) bool { return oneVisitor(l.Samples, flood, l.Usual, n) }
	return t.mine()
}

const (
	manySources = 8  // that a description takes in
	mostOfOne   = 2  // of so many packets, one source sends one at most
	beyond      = 20 // times the usual peak of its kinds, a description may fit one sender
)

// oneVisitor says that some samples may be the packets of one connection, or of
// a few: those always have something in common, and no ordinary sample shows
// it. Many sources do not share a connection; nor does a visitor send many times
// what all visitors send.
func oneVisitor(samples []traffic.Packet, some bitset, usual float64, n *traffic.PacketNormal) bool {
	sources := map[netip.Addr]int{}
	var kinds [traffic.PacketKinds]bool
	count, most := 0, 0
	for i := range samples {
		if !some.has(i) {
			continue
		}
		count++
		sources[samples[i].Source]++
		most = max(most, sources[samples[i].Source])
		kinds[samples[i].Kind] = true
	}
	if len(sources) >= manySources && mostOfOne*most <= count {
		return false
	}
	peak := 0.0
	for k, here := range kinds {
		if here {
			peak += n.Kinds[k].Peak
		}
	}
	if n.Passed.Usual <= 0 {
		return true
	}
	return float64(count) < beyond*max(peak*usual/n.Passed.Usual, 1)
}
