package packetflood

import (
	"cmp"
	"slices"
	"strings"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

// Detector finds floods of packets. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
	comes traffic.Arrivals
	last  []class
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "packetflood" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 || !w.Packets.Filtered {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	visits := d.comes.Above(w, n)
	here, lingers := false, false
	var flood []class
	for _, c := range d.classes(w, n, visits) {
		here = here || c.here()
		lingers = lingers || c.lingers()
		if c.lingers() {
			flood = append(flood, c)
		}
	}
	if !d.spell.Step(w.At, w.Span, here, lingers, d.cfg.EndAfter) {
		return nil
	}
	if len(flood) == 0 {
		flood = d.last // it has been calm, for too short a time to call it over
		for i := range flood {
			flood[i].rate = 0
		}
	}
	slices.SortStableFunc(flood, func(a, b class) int { return cmp.Compare(b.more, a.more) })
	d.last = flood
	return []attack.Finding{d.finding(w, flood)}
}

func (d *Detector) finding(w *traffic.Window, flood []class) attack.Finding {
	f := attack.Finding{Vector: attack.PacketFlood, Since: d.spell.Since(), Confidence: 0.7, Blatant: true}
	var names []string
	for i := range flood {
		c := &flood[i]
		names = append(names, c.name)
		f.Rate += c.rate
		f.Normal += c.usual.Usual
		f.Facts = append(f.Facts, attack.Fact{Name: c.name, Value: c.rate, Usual: c.usual.Usual, Unit: "/s"})
		if c.known {
			f.Kinds = append(f.Kinds, c.kind)
		}
		if c.more > 3*c.least || !c.visitor {
			f.Confidence = 0.85
		}
	}
	f.What = strings.Join(names, " and ")
	f.Portray(traffic.Portray(w.Packets.Samples, func(p *traffic.Packet) bool { return slices.Contains(f.Kinds, p.Kind) }))
	return f
}
