package reflection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	// wellKnown are ports below it, which servers listen at and nobody calls
	// from (RFC 6335, section 6: the System Ports).
	wellKnown = 1024
	// times the usual peak of such answers is more than strays in.
	times = 3
	// named is the share of the answers from which a service is named.
	named = 0.1
	// along is the share of the answers from which another kind of packet is
	// taken to belong to them, where it is more than usual.
	along = 0.01
)

// Detector finds reflected floods. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "reflection" }

// answer says whether a packet is an answer that nobody here asked for.
func answer(p *traffic.Packet) bool {
	switch p.Kind {
	case traffic.PacketSynAck:
		return true
	case traffic.PacketReset:
		return p.Ports && p.SourcePort < wellKnown
	case traffic.PacketUDP, traffic.PacketInitial:
		return p.Ports && traffic.Amplifier(p.SourcePort) != ""
	}
	return false
}

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 || !w.Packets.Filtered {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	p := &w.Packets
	portrait := traffic.Portray(p.Samples, answer)
	resets, fromUDP := 0, 0
	for i := range p.Samples {
		switch s := &p.Samples[i]; {
		case !answer(s):
		case s.Kind == traffic.PacketReset:
			resets++
		case s.Kind != traffic.PacketSynAck:
			fromUDP++
		}
	}
	synacks := w.Rate(p.Kinds[traffic.PacketSynAck])
	udp := w.Rate(max(p.Reasons["reflected"].Packets, min(p.Stands(fromUDP), p.Kinds[traffic.PacketUDP]+p.Kinds[traffic.PacketInitial])))
	rst := w.Rate(min(p.Stands(resets), p.Kinds[traffic.PacketReset]))
	rate := synacks + udp + rst
	usual := n.Packets.Kinds[traffic.PacketSynAck]
	least := max(d.cfg.Floor, times*usual.Peak)
	if !d.spell.Step(w.At, w.Span, rate > least, rate > least/2, d.cfg.EndAfter) {
		return nil
	}

	f := attack.Finding{
		Vector: attack.Reflection, Since: d.spell.Since(), Rate: rate, Normal: usual.Usual,
		Confidence: 0.9, Blatant: true, What: what(p.Samples, synacks >= udp),
		Facts: []attack.Fact{
			{Name: "answers that nobody asked for", Value: rate, Usual: usual.Usual, Unit: "/s"},
			{Name: "SYN-ACKs", Value: synacks, Usual: usual.Usual, Unit: "/s"},
			{Name: "UDP from services used to amplify", Value: udp, Unit: "/s"},
			{Name: "RSTs from servers", Value: rst, Unit: "/s"},
		},
	}
	f.Portray(portrait)
	f.Kinds = kinds(w, n, rate, map[traffic.PacketKind]float64{
		traffic.PacketSynAck: synacks, traffic.PacketUDP: udp, traffic.PacketReset: rst,
	})
	return []attack.Finding{f}
}

// Brief judges a part of a window.
func (d *Detector) Brief(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	return d.Detect(w, n)
}

// kinds lists what the flood consists of: the answers, and what comes along
// with them more than usual.
func kinds(w *traffic.Window, n *traffic.Normal, rate float64, of map[traffic.PacketKind]float64) []traffic.PacketKind {
	for _, k := range []traffic.PacketKind{traffic.PacketICMP, traffic.PacketFragment, traffic.PacketUDP} {
		if more := w.Rate(w.Packets.Kinds[k]) - n.Packets.Kinds[k].Peak; more > of[k] {
			of[k] = more
		}
	}
	var out []traffic.PacketKind
	for k, r := range of {
		if r > 0 && r >= along*rate {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b traffic.PacketKind) int {
		return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b))
	})
	return out
}

// what names the services that the answers come from, the most frequent first.
func what(samples []traffic.Packet, synacks bool) string {
	counts := map[string]int{}
	all := 0
	for i := range samples {
		s := &samples[i]
		if !answer(s) {
			continue
		}
		all++
		if s.Protocol == 6 {
			counts[fmt.Sprintf("TCP servers (port %d)", s.SourcePort)]++
		} else {
			counts[fmt.Sprintf("%s servers (UDP port %d)", traffic.Amplifier(s.SourcePort), s.SourcePort)]++
		}
	}
	var names []string
	for name, n := range counts {
		if float64(n) >= named*float64(all) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	switch {
	case len(names) > 0:
		return "answers of " + strings.Join(names, " and ")
	case synacks:
		return "SYN-ACKs of many servers"
	}
	return "answers of UDP servers"
}
