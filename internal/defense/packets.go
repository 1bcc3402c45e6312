package defense

import (
	"fmt"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/defense/sign"
	"seawall/internal/match"
	"seawall/internal/traffic"
)

// packetFloods lists the floods of packets that were found, each with what is
// left of it in common.
func (l *Loop) packetFloods(w *traffic.Window, n *traffic.Normal, findings []attack.Finding) []decide.PacketFlood {
	var out []decide.PacketFlood
	for i := range findings {
		if f := &findings[i]; f.Vector.Packets() {
			out = append(out, decide.PacketFlood{Finding: *f, Signatures: describe(f, w, n, l.decider.Dropping())})
		}
	}
	return out
}

// describe mines what is left of a flood of packets besides what is stopped
// already, by a rung of the filter or by what drops.
func describe(f *attack.Finding, w *traffic.Window, n *traffic.Normal, drops []*match.Match) []attack.Signature {
	p := &w.Packets
	if p.Every == 0 {
		return nil
	}
	samples := func(rate float64) float64 { return rate * w.Span.Seconds() / float64(p.Every) }
	left := sign.Left{Usual: samples(n.Packets.Passed.Usual)}
	for i := range p.Samples {
		s := &p.Samples[i]
		if !slices.Contains(f.Kinds, s.Kind) {
			continue
		}
		left.Total++
		if !s.Stopped && !anyHitsPacket(drops, s) {
			left.Samples = append(left.Samples, *s)
		}
	}
	for _, k := range f.Kinds {
		left.Among += samples(n.Packets.Kinds[k].Usual)
	}
	return sign.Packets(left, &n.Packets)
}

func anyHitsPacket(list []*match.Match, p *traffic.Packet) bool {
	return slices.ContainsFunc(list, func(m *match.Match) bool { return m.HitsPacket(p) })
}

// PacketAttack is what is known of one flood of packets.
type PacketAttack struct {
	ID        string        `json:"id"` // when it was noticed, and its vector: 20260501-120000-syn-flood
	Vector    attack.Vector `json:"vector"`
	What      string        `json:"what"`   // what it consists of, in plain words
	Target    string        `json:"target"` // "port 443", or "" for several
	Since     time.Time     `json:"since"`
	Noticed   time.Time     `json:"noticed"`
	Mitigated *time.Time    `json:"mitigated"` // nil until most of it is stopped
	Ended     *time.Time    `json:"ended"`     // nil while it runs

	Rate    float64 `json:"rate"`    // such packets a second, in the last window
	Peak    float64 `json:"peak"`    // at most
	Normal  float64 `json:"normal"`  // such packets a second usual here when it began
	Packets uint64  `json:"packets"` // such packets while it ran, the usual ones apart
	Stopped uint64  `json:"stopped"` // packets that the filter stopped while it ran
	Doing   string  `json:"doing"`   // what is done about it, one plain sentence

	Finding    attack.Finding     `json:"finding"` // at its peak
	Signatures []attack.Signature `json:"signatures"`

	told float64 // the rate that was recorded last
}

// packetBook keeps the books of floods of packets.
type packetBook struct {
	current []*PacketAttack // one of a vector, the oldest first
	recent  []PacketAttack  // ended, newest first
}

func (b *packetBook) find(v attack.Vector) *PacketAttack {
	for _, a := range b.current {
		if a.Vector == v {
			return a
		}
	}
	return nil
}

// copies returns the running ones in a form that later windows do not change,
// and the ended ones.
func (b *packetBook) copies() (running, ended []PacketAttack) {
	running, ended = []PacketAttack{}, []PacketAttack{}
	for _, a := range b.current {
		c := *a
		c.Signatures = slices.Clone(c.Signatures)
		running = append(running, c)
	}
	return running, append(ended, b.recent...)
}

// followPackets enters a window in the books and tells what changed, after it
// was decided what to do.
func (l *Loop) followPackets(now decide.Moment, w *traffic.Window, floods []decide.PacketFlood) {
	runs := map[attack.Vector]bool{}
	for i := range floods {
		a := l.enterPackets(now, w, &floods[i])
		runs[a.Vector] = true
		a.count(w)
	}
	l.packets.current = slices.DeleteFunc(l.packets.current, func(a *PacketAttack) bool {
		if runs[a.Vector] {
			return false
		}
		ended := now.Wall
		a.Ended, a.Rate, a.Doing = &ended, 0, "It is over; what was done about it ends by itself."
		l.packets.recent = slices.Insert(l.packets.recent, 0, *a)
		l.packets.recent = l.packets.recent[:min(len(l.packets.recent), mostAttacks)]
		l.record(now, "detect", fmt.Sprintf("%s is over: %s, %.0f a second at most, for %s.", a.Vector.Title(), a.What, a.Peak, ended.Sub(a.Since).Round(time.Second)),
			map[string]float64{"peak": a.Peak, "packets": float64(a.Packets), "stopped": float64(a.Stopped)}, false)
		return true
	})
}

// enterPackets enters what was found of a flood, of a window or of a part of one,
// after it was decided what to do.
func (l *Loop) enterPackets(now decide.Moment, w *traffic.Window, flood *decide.PacketFlood) *PacketAttack {
	f := &flood.Finding
	a := l.packets.find(f.Vector)
	if a == nil {
		a = &PacketAttack{
			ID: now.Wall.UTC().Format("20060102-150405-") + string(f.Vector), Vector: f.Vector,
			Since: l.deps.Clock.Wall(f.Since), Noticed: now.Wall, Normal: f.Normal,
		}
		l.packets.current = append(l.packets.current, a)
	}
	a.follow(f, flood.Signatures)
	l.doing(now, w, a)
	l.tellPackets(now, f, a)
	return a
}

// count adds up a whole window.
func (a *PacketAttack) count(w *traffic.Window) {
	a.Packets += uint64(max(a.Rate-a.Normal, 0) * w.Span.Seconds())
	a.Stopped += w.Packets.Stopped.Packets
}

func (a *PacketAttack) follow(f *attack.Finding, sigs []attack.Signature) {
	if a.Rate = f.Rate; f.Rate >= a.Peak {
		a.Peak, a.Finding, a.What, a.Target = f.Rate, *f, f.What, f.Target
	}
	for _, s := range sigs {
		text := s.Match.String()
		known := slices.ContainsFunc(a.Signatures, func(have attack.Signature) bool { return have.Match.String() == text })
		if !known && len(a.Signatures) < mostSignatures {
			a.Signatures = append(a.Signatures, s)
		}
	}
}

// doing puts into words what becomes of a flood's packets.
func (l *Loop) doing(now decide.Moment, w *traffic.Window, a *PacketAttack) {
	_, dropping, counting, watched := l.decider.Dropped(a.Vector)
	stopped := w.Rate(w.Packets.Stopped.Packets)
	if a.Mitigated == nil && (dropping > 0 || 2*stopped >= a.Rate && a.Rate > 0) {
		at := now.Wall
		a.Mitigated = &at
	}
	switch {
	case dropping > 0:
		a.Doing = fmt.Sprintf("The filter stops %.0f packets a second, by its rungs and by %s of this flood.", stopped, descriptions(dropping))
	case stopped > 0:
		a.Doing = fmt.Sprintf("The filter's rungs stop %.0f packets a second.", stopped)
	default:
		a.Doing = "Nothing is stopped yet."
	}
	if watched > 0 {
		a.Doing += fmt.Sprintf(" Only watched: would stop what is like %s.", descriptions(watched))
	}
	if counting > 0 {
		a.Doing += fmt.Sprintf(" By %s more it only counts: dropping would hit visitors, or too few ordinary packets were there to test it on.", descriptions(counting))
	}
}

func descriptions(n int) string {
	if n == 1 {
		return "one description"
	}
	return fmt.Sprintf("%d descriptions", n)
}

// tellPackets records a flood's beginning and growth.
func (l *Loop) tellPackets(now decide.Moment, f *attack.Finding, a *PacketAttack) {
	where := ""
	if f.Target != "" {
		where = " to " + f.Target
	}
	switch {
	case a.told == 0:
		l.record(now, "detect", fmt.Sprintf("%s: %s%s, %.0f a second, where %.0f are usual.", f.Vector.Title(), f.What, where, f.Rate, f.Normal), numbers(f), true)
	case f.Rate > 2*a.told:
		l.record(now, "detect", fmt.Sprintf("%s has grown to %.0f packets a second: %s%s.", f.Vector.Title(), f.Rate, f.What, where), numbers(f), true)
	default:
		return
	}
	a.told = f.Rate
}
