package connflood

import (
	"math"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	// perVisit is how many connections that were of no use one request explains.
	perVisit = 0.5
	// opens is for how long a connection that was opened beforehand stays open, in
	// windows of a second.
	opens = 10
)

// Detector finds floods of connections. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg    Config
	spell  spell.Spell
	comes  traffic.Arrivals
	silent int     // connections without a byte then; -1 nobody has looked yet
	recent float64 // requests above the usual, of the last seconds
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg, silent: -1} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "connflood" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 || !w.Links.Counted {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	l, usual := &w.Links, n.Links.Unused
	visits := d.comes.Above(w, n)
	d.recent = d.recent*math.Exp(-w.Span.Seconds()/opens) + visits*w.Span.Seconds()
	silent := l.Lagging[traffic.WaitSilent]
	grown := 0
	if d.silent >= 0 {
		grown = max(silent-d.silent, 0)
	}
	d.silent = silent

	useless := w.Rate(l.Unused + l.Crowded + uint64(grown))
	more := useless - usual.Peak - perVisit*visits
	least := max(d.cfg.Floor, (d.cfg.Times-1)*usual.Peak)
	held := float64(silent) - n.Links.Silent.Peak - perVisit*d.recent
	leastHeld := max(d.cfg.Held, (d.cfg.Times-1)*n.Links.Silent.Peak)
	here := more > least || held > leastHeld
	lingers := more > least/2 || held > leastHeld/2
	if !d.spell.Step(w.At, w.Span, here, lingers, d.cfg.EndAfter) {
		return nil
	}
	return []attack.Finding{d.finding(w, n, useless, max(more/least, held/leastHeld))}
}

// finding describes the flood; times is how far it is above the least.
func (d *Detector) finding(w *traffic.Window, n *traffic.Normal, useless, times float64) attack.Finding {
	l := &w.Links
	f := attack.Finding{
		Vector: attack.ConnectionFlood, Since: d.spell.Since(),
		Rate: w.Rate(l.Opened), Normal: n.Links.Opened.Usual, Unit: "connections a second",
		What:       "connections that ask for nothing",
		Confidence: min(0.6+0.1*max(times-1, 0), 0.95),
		Suffering:  l.Full > 0,
		Facts: []attack.Fact{
			{Name: "connections opened", Value: w.Rate(l.Opened), Usual: n.Links.Opened.Usual, Unit: "/s"},
			{Name: "connections of no use", Value: useless, Usual: n.Links.Unused.Usual, Unit: "/s"},
			{Name: "connections open without a byte", Value: float64(l.Lagging[traffic.WaitSilent]), Usual: n.Links.Silent.Usual, Unit: "connections"},
			{Name: "connections turned away: there was no place, or too many of one client", Value: w.Rate(l.Full + l.Crowded), Unit: "/s"},
			{Name: "places taken", Value: float64(l.Open) / float64(max(l.Most, 1)), Unit: "share"},
			{Name: "distinct clients that opened one", Value: float64(l.Clients), Unit: "clients"},
		},
	}
	f.Blame(l, traffic.LinkOpened)
	return f
}
