package sign

import (
	"bytes"
	"cmp"
	"math"
	"net/netip"
	"slices"

	"seawall/internal/match"
	"seawall/internal/traffic"
)

const (
	packetShare    = 0.01  // share of the flood that a value must carry to be a trait
	packetsAField  = 12    // traits kept of one field's values
	mostValues     = 4     // that one trait lists
	fewShare       = 0.003 // of a group, that a value must carry to be one of a few
	trimmed        = 0.01  // at each end, of a range without its outliers
	mostPayload    = 16    // bytes of a payload's beginning; ordinary samples have no more
	leastPayload   = 4
	telltale       = 0.5 // share of ordinary traffic that a range must leave out to say anything
	prefixesAWidth = 4
)

// packetTable adds traits to a table about packets.
type packetTable struct {
	*table
	flood    []traffic.Packet
	usual    []traffic.Packet
	openings []traffic.Packet
}

func newPacketTable(l Left, ordinary, openings []traffic.Packet, total float64) *table {
	flood := max(float64(len(l.Samples))-l.Among, 1)
	t := &packetTable{
		table: &table{
			samples: len(l.Samples), ordinary: len(ordinary),
			pages: allBits(len(openings)), pageN: len(openings),
			usual: l.Usual, flood: flood, limits: ofPackets(total, flood, len(ordinary) >= enoughToJudge),
		},
		flood: l.Samples, usual: ordinary, openings: openings,
	}
	groups := t.groups()
	// The most telling first: ties go to the earlier one.
	for rank, f := range []traffic.PacketField{
		traffic.PacketFlags, traffic.PacketProtocol, traffic.PacketSourcePort, traffic.PacketFragmented,
		traffic.PacketLength, traffic.PacketWindow, traffic.PacketTTL, traffic.PacketDestPort,
	} {
		before := len(t.traits)
		t.addValues(f, rank)
		for _, g := range groups {
			t.addFew(f, rank, g)
		}
		if ordered(f) && len(ordinary) >= enoughToJudge { // else a range says nothing
			for _, g := range groups {
				for _, lose := range []int{int(trimmed * float64(len(g))), int(t.spill), 0} {
					t.addRange(f, rank, g, lose)
				}
			}
		}
		// The narrowest first: of those that cost nothing, the first is taken.
		slices.SortStableFunc(t.traits[before:], func(a, b *trait) int { return cmp.Compare(a.width, b.width) })
	}
	t.addPayloads(int(traffic.PacketFields))
	t.addPrefixes(int(traffic.PacketFields) + 1)
	return t.table
}

// groups are the samples by kind of packet: what all have in common may be seen
// only in each.
func (t *packetTable) groups() [][]int {
	var by [traffic.PacketKinds][]int
	for i := range t.flood {
		if k := t.flood[i].Kind; k < traffic.PacketKinds {
			by[k] = append(by[k], i)
		}
	}
	return slices.DeleteFunc(by[:], func(g []int) bool { return float64(len(g)) < packetShare*float64(len(t.flood)) })
}

// ordered says that ranges of the field mean something.
func ordered(f traffic.PacketField) bool {
	switch f {
	case traffic.PacketSourcePort, traffic.PacketLength, traffic.PacketWindow, traffic.PacketTTL:
		return true
	}
	return false
}

// number is a field's value; false where the packet has none, or where it says
// nothing: that a packet is whole.
func number(p *traffic.Packet, f traffic.PacketField) (uint64, bool) {
	v := p.Number(f)
	switch {
	case !p.Has(f), f == traffic.PacketFragmented && v == 0:
		return 0, false
	case f == traffic.PacketProtocol && p.Key(f) == "icmp":
		return uint64(traffic.ParseProtocol("icmp")[0]), true // of both families
	}
	return v, true
}

// add keeps a trait that says of each packet whether it has it; width is how
// much of the field it takes in.
func (t *packetTable) add(f traffic.PacketField, rank int, width uint64, place bool, hits func(*traffic.Packet) bool, test func() (match.Test, error)) {
	set := func(packets []traffic.Packet) bitset {
		b := newBits(len(packets))
		for i := range packets {
			if hits(&packets[i]) {
				b.set(i)
			}
		}
		return b
	}
	if f == traffic.PacketFlags {
		f = traffic.PacketProtocol // which they tell as well
	}
	tr := &trait{
		field: int(f), rank: rank, width: width, place: place, weak: f == traffic.PacketDestPort, test: test,
		flood: set(t.flood), usual: set(t.usual), first: set(t.openings),
	}
	if t.ordinary >= enoughToJudge && float64(tr.usual.count()) >= commonplace*float64(t.ordinary) {
		return // nearly all ordinary traffic has it too
	}
	t.traits = append(t.traits, tr)
}

// addValues makes a trait of each value that part of the flood has.
func (t *packetTable) addValues(f traffic.PacketField, rank int) {
	counts, keys := map[uint64]float64{}, map[uint64]string{}
	for i := range t.flood {
		if v, ok := number(&t.flood[i], f); ok {
			if counts[v]++; counts[v] == 1 {
				keys[v] = t.flood[i].Key(f)
			}
		}
	}
	for _, v := range frequent(counts, packetShare*t.table.flood, packetsAField) {
		t.add(f, rank, 0, false, has(f, v), func() (match.Test, error) { return match.PacketIs(f, keys[v]) })
	}
}

// addFew makes a trait of the few values that nearly all of a group have, less
// what ordinary traffic explains.
func (t *packetTable) addFew(f traffic.PacketField, rank int, group []int) {
	kind := t.flood[group[0]].Kind
	counts, keys := map[uint64]float64{}, map[uint64]string{}
	for _, i := range group {
		if v, ok := number(&t.flood[i], f); ok {
			if counts[v]++; counts[v] == 1 {
				keys[v] = t.flood[i].Key(f)
			}
		}
	}
	each := t.table.usual / float64(max(t.ordinary, 1))
	expected := 0.0
	for i := range t.usual {
		if p := &t.usual[i]; p.Kind == kind {
			expected += each
			if v, ok := number(p, f); ok && counts[v] > 0 {
				counts[v] -= each
			}
		}
	}
	least := float64(len(group)) - expected - t.spill - 2*math.Sqrt(expected)
	values := frequent(counts, max(2, fewShare*float64(len(group))), mostValues)
	sum := 0.0
	for n, v := range values {
		if sum += counts[v]; sum >= least {
			values = values[:n+1]
			break
		}
	}
	if len(values) < 2 || sum < least {
		return
	}
	slices.Sort(values)
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = keys[v]
	}
	t.add(f, rank, uint64(len(values)), false, has(f, values...), func() (match.Test, error) { return match.PacketIs(f, texts...) })
}

// addRange makes a trait of the shortest range that a group lies in but for some
// packets to lose, if most of ordinary traffic lies outside.
func (t *packetTable) addRange(f traffic.PacketField, rank int, group []int, lose int) {
	var values []uint64
	for _, i := range group {
		if v, ok := number(&t.flood[i], f); ok {
			values = append(values, v)
		}
	}
	if len(values)-lose < leastPackets {
		return
	}
	slices.Sort(values)
	held := len(values) - lose - 1
	least, most := values[0], values[held]
	for i := range lose {
		if from, to := values[i+1], values[i+1+held]; to-from < most-least {
			least, most = from, to
		}
	}
	if least == most {
		return
	}
	within := func(p *traffic.Packet) bool {
		v, ok := number(p, f)
		return ok && v >= least && v <= most
	}
	inside := 0
	for i := range t.usual {
		if within(&t.usual[i]) {
			inside++
		}
	}
	if float64(inside) > (1-telltale)*float64(len(t.usual)) {
		return
	}
	t.add(f, rank, mostValues+most-least, false, within, func() (match.Test, error) { return match.PacketRange(f, least, most) })
}

// addPayloads makes a trait of each beginning that payloads share: groups with
// the same first bytes, each as far as its members agree.
func (t *packetTable) addPayloads(rank int) {
	first := map[[leastPayload]byte][]int{}
	for i := range t.flood {
		if p := &t.flood[i]; p.PayloadLen >= leastPayload {
			k := [leastPayload]byte(p.Payload[:leastPayload])
			first[k] = append(first[k], i)
		}
	}
	var groups [][]int
	for _, g := range first {
		if float64(len(g)) >= packetShare*t.table.flood {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b []int) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a[0], b[0])) })
	for _, g := range groups[:min(len(groups), packetsAField)] {
		p := &t.flood[g[0]]
		shared := bytes.Clone(p.Payload[:min(p.PayloadLen, mostPayload)])
		for _, i := range g {
			other := &t.flood[i]
			n := 0
			for n < len(shared) && n < int(other.PayloadLen) && shared[n] == other.Payload[n] {
				n++
			}
			shared = shared[:n]
		}
		t.add(traffic.PacketPayload, rank, 0, false, func(p *traffic.Packet) bool {
			return bytes.HasPrefix(p.Payload[:p.PayloadLen], shared)
		}, func() (match.Test, error) { return match.PacketPayload(0, shared), nil })
	}
}

// addPrefixes makes traits of where much of the flood comes from. They narrow,
// and make nothing by themselves: a source is easily forged. Ordinary samples
// are cut to /24 and /48, so no trait is narrower.
func (t *packetTable) addPrefixes(rank int) {
	for _, width := range []struct{ v4, v6 int }{{24, 48}, {16, 32}, {8, 24}} {
		counts := map[netip.Prefix]int{}
		for i := range t.flood {
			a := t.flood[i].Source.Unmap().WithZone("")
			bits := width.v6
			if a.Is4() {
				bits = width.v4
			}
			if p, err := a.Prefix(bits); err == nil {
				counts[p]++
			}
		}
		var found []netip.Prefix
		for p, n := range counts {
			if float64(n) >= concentrated*t.table.flood {
				found = append(found, p)
			}
		}
		slices.SortFunc(found, func(a, b netip.Prefix) int {
			return cmp.Or(cmp.Compare(counts[b], counts[a]), a.Addr().Compare(b.Addr()))
		})
		for _, p := range found[:min(len(found), prefixesAWidth)] {
			t.add(traffic.PacketSource, rank, 0, true, func(s *traffic.Packet) bool {
				return p.Contains(s.Source.Unmap().WithZone(""))
			}, func() (match.Test, error) { return match.PacketWithin(p), nil })
		}
	}
}

// has says whether a packet has one of some values.
func has(f traffic.PacketField, values ...uint64) func(*traffic.Packet) bool {
	return func(p *traffic.Packet) bool {
		v, ok := number(p, f)
		return ok && slices.Contains(values, v)
	}
}

// frequent lists the values that are counted at least so often, at most n, the
// most frequent first.
func frequent(counts map[uint64]float64, least float64, n int) []uint64 {
	var out []uint64
	for v, c := range counts {
		if c >= least {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b uint64) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return out[:min(len(out), n)]
}
