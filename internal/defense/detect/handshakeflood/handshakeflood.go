package handshakeflood

import (
	"math"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	// perVisit is how many handshakes for nothing one request explains.
	perVisit = 0.5
	// opens is for how long a connection that was opened beforehand stays open, in
	// windows of a second.
	opens = 10
)

// Detector finds floods of handshakes. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg     Config
	spell   spell.Spell
	comes   traffic.Arrivals
	waiting int     // handshakes in line for us to compute then
	recent  float64 // requests above the usual, of the last seconds
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "handshakeflood" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 || !w.Links.Counted {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	h := &w.Links.Handshakes
	visits := d.comes.Above(w, n)
	d.recent = d.recent*math.Exp(-w.Span.Seconds()/opens) + visits*w.Span.Seconds()
	unmade := h.Unmade(d.waiting)
	d.waiting = h.Waiting

	usual := n.Links.Unmade.Peak + n.Links.Unused.Peak
	vain := w.Rate(unmade + h.Unused)
	more := vain - usual - perVisit*visits
	least := max(d.cfg.Floor, (d.cfg.Times-1)*usual)
	held := float64(w.Links.Lagging[traffic.WaitShake]) - n.Links.Silent.Peak - perVisit*d.recent
	leastHeld := max(d.cfg.Held, (d.cfg.Times-1)*n.Links.Silent.Peak)
	here := more > least || held > leastHeld
	lingers := more > least/2 || held > leastHeld/2
	if !d.spell.Step(w.At, w.Span, here, lingers, d.cfg.EndAfter) {
		return nil
	}
	return []attack.Finding{d.finding(w, n, w.Rate(unmade), max(more/least, held/leastHeld))}
}

// finding describes the flood; times is how far it is above the least.
func (d *Detector) finding(w *traffic.Window, n *traffic.Normal, unmade, times float64) attack.Finding {
	l := &w.Links
	h := &l.Handshakes
	f := attack.Finding{
		Vector: attack.HandshakeFlood, Since: d.spell.Since(),
		Rate: w.Rate(h.Begun), Normal: n.Links.Begun.Usual, Unit: "handshakes a second",
		What:       "TLS handshakes that are not made, or made for nothing",
		Confidence: min(0.6+0.1*max(times-1, 0), 0.95),
		Facts: []attack.Fact{
			{Name: "handshakes begun", Value: w.Rate(h.Begun), Usual: n.Links.Begun.Usual, Unit: "/s"},
			{Name: "handshakes not made", Value: unmade, Usual: n.Links.Unmade.Usual, Unit: "/s"},
			{Name: "handshakes turned away", Value: w.Rate(h.Turned + h.Banned), Unit: "/s"},
			{Name: "connections with a handshake closed unused", Value: w.Rate(h.Unused), Usual: n.Links.Unused.Usual, Unit: "/s"},
			{Name: "connections with a handshake held unused", Value: float64(l.Lagging[traffic.WaitShake]), Usual: n.Links.Silent.Usual, Unit: "connections"},
		},
	}
	f.Blame(l, traffic.LinkBegun)
	if len(l.JA4) > 0 && h.Begun > 0 {
		top := l.JA4[0]
		share := float64(top.Count-min(top.Error, top.Count)) / float64(h.Begun)
		f.Top = append(f.Top, attack.Contributor{Field: traffic.FieldJA4, Key: top.Key, Share: min(share, 1)})
	}
	return f
}
