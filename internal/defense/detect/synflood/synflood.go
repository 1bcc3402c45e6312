package synflood

import (
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	// perVisit is how many connections one request may explain: browsers open
	// several at a time, and use some of them for nothing.
	perVisit = 3
	// handshake is how many packets besides the SYN a visitor's connection
	// brings at least: the ACK that completes it and the first data.
	handshake = 2
	// loaded is the share of packets in connections that carry data from which
	// they are taken for visitors'. In a new connection it is every second or
	// third; in a flood of bare ACKs none.
	loaded = 0.1
	// patience is how long handshakes without requests are believed.
	patience = 5 * time.Second
)

// Detector finds floods of SYNs. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
	comes traffic.Arrivals
	from  clock.Instant // since when handshakes explain what requests do not; 0: they need not
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "synflood" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 || !w.Packets.Filtered {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	usual := n.Packets.Kinds[traffic.PacketSyn]
	syns := w.Rate(w.Packets.Kinds[traffic.PacketSyn])
	visits := d.comes.Above(w, n)
	// Whoever is banned asks for a connection again and again.
	unmade := syns - w.Rate(w.Packets.Blocked()) - usual.Peak - perVisit*visits
	here := unmade > max(d.cfg.Floor, (d.cfg.Times-1)*usual.Peak)
	if here && d.from == 0 {
		d.from = w.At
	} else if !here {
		d.from = 0
	}
	if here && !d.spell.On() && handshakes(w, n) >= unmade && w.At.Sub(d.from) < patience {
		here = false
	}
	lingers := unmade > max(d.cfg.Floor/2, 0.5*usual.Peak)
	if !d.spell.Step(w.At, w.Span, here, lingers, d.cfg.EndAfter) {
		return nil
	}
	return []attack.Finding{d.finding(w, usual, syns, max(unmade, 0))}
}

// Brief judges a part of a window.
func (d *Detector) Brief(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	comes := d.comes
	defer func() { d.comes = comes }() // the whole window counts from its beginning
	return d.Detect(w, n)
}

// handshakes is how many connections a second the packets in connections can
// have made, above what is usual.
func handshakes(w *traffic.Window, n *traffic.Normal) float64 {
	p := traffic.Portray(w.Packets.Samples, func(p *traffic.Packet) bool { return p.Kind == traffic.PacketOther })
	if float64(p.Loaded) < loaded*float64(p.Count) || p.Count == 0 {
		return 0
	}
	return (w.Rate(w.Packets.Kinds[traffic.PacketOther]) - n.Packets.Kinds[traffic.PacketOther].Peak) / handshake
}

func (d *Detector) finding(w *traffic.Window, usual traffic.Rates, syns, unmade float64) attack.Finding {
	f := attack.Finding{
		Vector: attack.SynFlood, Since: d.spell.Since(), Rate: syns, Normal: usual.Usual,
		What: "SYNs that lead to no connection", Kinds: []traffic.PacketKind{traffic.PacketSyn},
		Blatant: true,
		Facts: []attack.Fact{
			{Name: "SYNs", Value: syns, Usual: usual.Usual, Unit: "/s"},
			{Name: "SYNs that led to no request", Value: unmade, Unit: "/s"},
			{Name: "SYNs answered with a cookie", Value: w.Rate(w.Packets.Cookies), Unit: "/s"},
		},
	}
	p := traffic.Portray(w.Packets.Samples, func(p *traffic.Packet) bool { return p.Kind == traffic.PacketSyn })
	f.Portray(p)
	f.Confidence = 0.6 + 0.2*min(unmade/max(syns, 1), 1)
	for _, field := range []traffic.PacketField{traffic.PacketLength, traffic.PacketTTL, traffic.PacketWindow} {
		// Visitors' machines differ; a flood's packets are made by one program.
		if p.Common[field].Share >= 0.9 {
			f.Confidence += 0.06
		}
	}
	f.Confidence = min(f.Confidence, 0.99)
	return f
}
