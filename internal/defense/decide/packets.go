package decide

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// PacketFlood is a finding about packets, with what is left of the flood in
// common: besides what a rung of the filter or a mitigation drops already.
type PacketFlood struct {
	Finding    attack.Finding
	Signatures []attack.Signature
}

const (
	// mostPacketMatches is how many matches of packets act at most at a time.
	mostPacketMatches = 16
	// hitLeast is how many packets a second a match must meet to live on.
	hitLeast = 10
	// noOptions is how long a SYN over IPv4 without any option is, bytes. Since
	// RFC 9293, section 3.7.1 (and RFC 1122 before) stacks say their segment
	// size in an option, so that no visitor's machine sends one.
	noOptions = 40
)

// packetSide is what the Decider knows of floods of packets. It is kept apart
// from floods of requests: neither begins, ends or changes the other.
type packetSide struct {
	floods map[attack.Vector]clock.Instant // those that run, and since when
	byText map[string]mitigation.ID        // of what acts, by its match
	levels map[string]int                  // lapses while floods run, by match
	// lenient are the matches that met visitors while floods run.
	lenient map[string]bool
}

func newPacketSide() packetSide {
	return packetSide{floods: map[attack.Vector]clock.Instant{}, byText: map[string]mitigation.ID{}, levels: map[string]int{}, lenient: map[string]bool{}}
}

// packets decides about floods of packets at the end of a window. Drop stops
// packets in the kernel. Slow has no meaning for a packet: it only counts what
// would be stopped, and so says that a signature is too blunt, or too little
// tested, to act.
func (d *Decider) packets(in Input) {
	d.followPackets(in.Now, in.Packets)
	d.loosenPackets(in.Now, in.Window)
	d.answerPackets(in)
	if !d.off && in.Window != nil && len(d.packet.floods) > 0 {
		d.refreshPackets(in.Now)
	}
}

// Early decides about floods of packets whose window is not over yet. Nothing ends
// by it.
func (d *Decider) Early(in Input) Output {
	for i := range in.Packets {
		f := &in.Packets[i].Finding
		if _, runs := d.packet.floods[f.Vector]; !runs {
			d.packet.floods[f.Vector] = f.Since
		}
	}
	d.answerPackets(in)
	return d.take()
}

// answerPackets considers what is known of each flood.
func (d *Decider) answerPackets(in Input) {
	if d.off || in.Window == nil {
		return
	}
	for i := range in.Packets {
		p := &in.Packets[i]
		for j := range p.Signatures {
			d.considerPackets(in.Now, &in.Window.Packets, &p.Finding, &p.Signatures[j])
		}
	}
}

// followPackets keeps track of which floods run.
func (d *Decider) followPackets(now Moment, floods []PacketFlood) {
	runs := map[attack.Vector]bool{}
	for i := range floods {
		f := &floods[i].Finding
		runs[f.Vector] = true
		if _, ran := d.packet.floods[f.Vector]; !ran {
			d.packet.floods[f.Vector] = f.Since
		}
	}
	for v := range d.packet.floods {
		if !runs[v] {
			delete(d.packet.floods, v)
			d.shortenPackets(now, v)
		}
	}
	if len(d.packet.floods) == 0 {
		clear(d.packet.levels)
		clear(d.packet.lenient)
	}
}

// shortenPackets lets what was made against a flood that is over end soon.
func (d *Decider) shortenPackets(now Moment, v attack.Vector) {
	for _, id := range d.ids() {
		e := d.active[id]
		if e.kind == kindPackets && e.m.Finding != nil && e.m.Finding.Vector == v && e.until > now.At.Add(afterAttack) {
			d.extend(now, e, afterAttack)
		}
	}
}

// considerPackets decides on one signature of a flood of packets.
func (d *Decider) considerPackets(now Moment, p *traffic.Packets, f *attack.Finding, s *attack.Signature) {
	if !s.Match.OnPackets() {
		return
	}
	text := s.Match.String()
	if d.isPinned(text) {
		return
	}
	e := d.active[d.packet.byText[text]]
	if e == nil && d.undone.bars(s.Match, nil, now.At) {
		d.once("undone "+text, "Not repeated, because a person undid it within the last hour: "+text+".", nil)
		return
	}
	action, why := d.choosePackets(s, e)
	if e == nil {
		if d.coveredPackets(p, s.Match, action) {
			return
		}
		if !d.roomPackets(now) {
			d.once("full of packets", "No further signature of packets can act: all places are taken.", map[string]float64{"signatures": float64(len(d.packet.byText))})
			return
		}
		ttl := min(d.cfg.TimeToLive<<min(d.packet.levels[text], 10), d.cfg.TimeMost)
		finding, sig := *f, *s
		e = d.begin(now, kindPackets, mitigation.Mitigation{
			Match: s.Match, Action: action, By: mitigation.ByMachine, Note: packetSentence(f, s, action, why),
			Finding: &finding, Signature: &sig, Expected: s.Collateral,
		}, ttl)
		d.tellPackets(e, s, why)
		return
	}
	if action == e.m.Action {
		return
	}
	sig := *s
	e.m.Action, e.m.Signature, e.m.Expected = action, &sig, s.Collateral
	e.m.Note = packetSentence(f, s, action, why)
	e.harsh = now.At
	d.extend(now, e, e.ttl)
	d.tellPackets(e, s, why)
}

// choosePackets says whether what s matches may be dropped, and why not. What
// asks for a connection counts by itself: a hundredth of all ordinary packets,
// and every one a visitor.
func (d *Decider) choosePackets(s *attack.Signature, e *entry) (mitigation.Action, string) {
	packets, openings := d.expectedPackets(e)
	switch {
	case s.Collateral > Never:
		return mitigation.Slow, fmt.Sprintf("it would have hit %.2f %% of ordinary packets", 100*s.Collateral)
	case s.Newcomers > Never:
		return mitigation.Slow, fmt.Sprintf("it would have hit %.2f %% of ordinary packets that ask for a connection", 100*s.Newcomers)
	case s.Ordinary < d.cfg.LeastOrdinary && !noVisitors(s.Match):
		return mitigation.Slow, fmt.Sprintf("only %s were there to test it on", plural(s.Ordinary, "ordinary packet"))
	case d.packet.lenient[s.Match.String()] || e != nil && e.loosened:
		return mitigation.Slow, "it met visitors before"
	case packets+s.Collateral > neverSum || openings+s.Newcomers > neverSum:
		return mitigation.Slow, "together with what is dropped already it would hit too much ordinary traffic"
	}
	return mitigation.Drop, "hardly any ordinary packet looks like it"
}

// expectedPackets sums up the collateral of all that drops, but for e.
func (d *Decider) expectedPackets(but *entry) (packets, openings float64) {
	for _, id := range d.packet.byText {
		if e := d.active[id]; e != nil && e != but && e.m.Action == mitigation.Drop {
			packets += e.m.Expected
			if e.m.Signature != nil {
				openings += e.m.Signature.Newcomers
			}
		}
	}
	return packets, openings
}

func packetCollateral(m *match.Match, ordinary []traffic.Packet) (share float64, tested int) {
	hits := 0
	for i := range ordinary {
		if m.HitsPacket(&ordinary[i]) {
			hits++
		}
	}
	return float64(hits) / float64(max(len(ordinary), 1)), len(ordinary)
}

// noVisitors says that a match takes in nothing that a visitor's machine sends,
// which needs no sample of ordinary traffic: SYNs over IPv4 without any option.
func noVisitors(m *match.Match) bool {
	bare := traffic.Packet{Protocol: 6, Ports: true, Flags: 2, Length: noOptions}
	syn, short := false, false
	for _, t := range m.Tests() {
		one := match.All(t)
		longer, acked := bare, bare
		longer.Length, acked.Flags = noOptions+4, 2|16
		switch {
		case one.HitsPacket(&bare) && !one.HitsPacket(&acked):
			syn = true
		case one.HitsPacket(&bare) && !one.HitsPacket(&longer):
			short = true
		}
	}
	return syn && short
}

// coveredPackets says that what m would meet is met already by what does at
// least as much.
func (d *Decider) coveredPackets(p *traffic.Packets, m *match.Match, a mitigation.Action) bool {
	hit, met := 0, 0
	for i := range p.Samples {
		s := &p.Samples[i]
		if !m.HitsPacket(s) {
			continue
		}
		hit++
		for _, id := range d.packet.byText {
			if e := d.active[id]; e != nil && e.m.Action >= a && e.m.Match.HitsPacket(s) {
				met++
				break
			}
		}
	}
	return hit > 0 && float64(met) >= 0.9*float64(hit)
}

// roomPackets makes place for one more match: the one that meets least goes, if
// it meets next to nothing, or else one that only counts.
func (d *Decider) roomPackets(now Moment) bool {
	if len(d.packet.byText) < mostPacketMatches {
		return true
	}
	var idle *entry
	for _, id := range d.ids() {
		e := d.active[id]
		if e.kind != kindPackets || e.made >= now.At {
			continue
		}
		if (e.rate <= 0.01*e.peak || e.m.Action != mitigation.Drop) && (idle == nil || e.rate < idle.rate) {
			idle = e
		}
	}
	if idle == nil {
		return false
	}
	d.end(now, idle, "its place was needed", "")
	return true
}

// refreshPackets lets live what the flood still meets.
func (d *Decider) refreshPackets(now Moment) {
	for _, id := range d.ids() {
		e := d.active[id]
		if e.kind != kindPackets || e.rate < max(hitLeast, 0.05*e.peak) {
			continue
		}
		if _, runs := d.packet.floods[vectorOf(e)]; !runs {
			continue
		}
		if left := e.until.Sub(now.At); left < e.ttl*2/3 {
			d.extend(now, e, e.ttl)
		}
	}
}

func vectorOf(e *entry) attack.Vector {
	if e.m.Finding == nil {
		return ""
	}
	return e.m.Finding.Vector
}

// Dropping lists the matches of packets that the machine has dropped in the
// kernel now, and those of them that a person has pinned.
func (d *Decider) Dropping() []*match.Match {
	var out []*match.Match
	for _, id := range d.ids() {
		if e := d.active[id]; (e.kind == kindPackets || e.pinned() && e.m.Match.OnPackets()) && e.m.Action == mitigation.Drop {
			out = append(out, e.m.Match)
		}
	}
	return out
}

// Dropped is how many packets met what is dropped against a vector in the last
// window, a second, and how many matches that are; counting are matches that
// only count, and watched those that would drop, were it not for watch mode.
func (d *Decider) Dropped(v attack.Vector) (rate float64, dropping, counting, watched int) {
	for _, id := range slices.AppendSeq(d.sortedPins(), maps.Values(d.packet.byText)) {
		e := d.active[id]
		if e == nil || vectorOf(e) != v {
			continue
		}
		switch {
		case e.m.Action != mitigation.Drop:
			counting++
		case e.m.Shadow:
			watched++
		default:
			rate += e.rate
			dropping++
		}
	}
	return rate, dropping, counting, watched
}

func (d *Decider) tellPackets(e *entry, s *attack.Signature, why string) {
	verb := does(e, "Only count", "only count")
	if e.m.Action == mitigation.Drop {
		verb = does(e, "Drop", "drop")
	}
	d.note("decide", fmt.Sprintf("%s packets by #%d for %s (%s): %s.", verb, e.m.ID, e.ttl.Round(time.Second), why, e.m.Match), map[string]float64{
		"id": float64(e.m.ID), "coverage": s.Coverage, "collateral": s.Collateral, "collateral_at_most": s.Bound,
		"openings": s.Newcomers, "ordinary_tested": float64(s.Ordinary), "flood_tested": float64(s.Flood),
		"seconds": e.ttl.Seconds(),
	})
}

// packetSentence says why, to somebody who looks it up.
func packetSentence(f *attack.Finding, s *attack.Signature, a mitigation.Action, why string) string {
	verb := "only counted"
	if a == mitigation.Drop {
		verb = "dropped"
	}
	return fmt.Sprintf("A flood of %.0f packets a second (%.0f are usual; %s) looks like this: %.0f %% of what was let through of it, and %.2f %% of ordinary packets. It is %s because %s.",
		f.Rate, f.Normal, f.What, 100*s.Coverage, 100*s.Collateral, verb, why)
}
