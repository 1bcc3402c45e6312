package slowattack

import (
	"math"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	// perVisit is how many heads that keep us waiting one request explains, and how many
	// requests that had to be given up.
	perVisit = 0.02
	// perStall is how many bodies and answers that keep us waiting one request explains that
	// was answered as it was meant to be: on a bad line they come to a halt again and again,
	// go on, and are hardly ever given up. An attack's own, once it lets go of them, explain
	// nothing.
	perStall = 0.1
	// lasts is for how long one may do so, in windows of a second.
	lasts = 10
	// youth is how much ordinary traffic must have been seen to tell what is more
	// than usual.
	youth = 5 * time.Second
	// named is the share of all that keep us waiting for something, from which that
	// is named.
	named = 0.25
)

// Detector finds slow attacks. It remembers what it said of the windows before.
// Make it with New.
type Detector struct {
	cfg    Config
	spell  spell.Spell
	recent float64 // requests above the usual, of the last seconds
	served float64 // of those, answered as they were meant to be
	what   string  // of what it consisted when it was last seen
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "slowattack" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 || !w.Links.Counted {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	usually := 0.0
	if n.Learned >= youth {
		usually = n.Requests
	}
	fades := math.Exp(-w.Span.Seconds() / lasts)
	d.recent = d.recent*fades + max(w.Rate(w.Offered)-usually, 0)*w.Span.Seconds()
	d.served = d.served*fades + max(w.Rate(w.Status[2]+w.Status[3])-usually, 0)*w.Span.Seconds()
	// HTTP/3's are not counted while they last, but each that is given up for it.
	l, usual := &w.Links, n.Links.Laggards
	lag := float64(l.Laggards())
	// A window may be shorter than a second, and one that is given up in it says no more.
	slow := float64(l.Slow[traffic.WaitHead] + l.Slow[traffic.WaitBody] + l.Slow[traffic.WaitTake])
	given := lasts * slow / max(w.Span.Seconds(), 1)
	heads := float64(l.Lagging[traffic.WaitHead])
	halts := max(heads-perVisit*d.recent, 0) + max(lag-heads-perStall*d.served, 0)
	more := max(halts, given-perVisit*d.recent) - usual.Peak
	least := max(d.cfg.Floor, (d.cfg.Times-1)*usual.Peak)
	if !d.spell.Step(w.At, w.Span, more > least, more > least/2, d.cfg.EndAfter) {
		return nil
	}
	if more > least/2 {
		d.what = what(l)
	}
	f := attack.Finding{
		Vector: attack.SlowAttack, Since: d.spell.Since(),
		Rate: lag, Normal: usual.Usual, Unit: "requests at a time",
		What:       d.what,
		Confidence: min(0.6+0.1*max(more/least-1, 0), 0.95),
		Suffering:  l.Full > 0,
		Facts: []attack.Fact{
			{Name: "heads that do not end", Value: float64(l.Lagging[traffic.WaitHead]), Unit: "requests"},
			{Name: "bodies that do not come", Value: float64(l.Lagging[traffic.WaitBody]), Unit: "requests"},
			{Name: "answers that are not taken", Value: float64(l.Lagging[traffic.WaitTake]), Unit: "requests"},
			{Name: "closed or given up for being slow", Value: given / lasts, Unit: "/s"},
			{Name: "closed to make room", Value: w.Rate(l.Evicted), Unit: "/s"},
			{Name: "places taken", Value: float64(l.Open) / float64(max(l.Most, 1)), Unit: "share"},
		},
	}
	f.Blame(l, traffic.LinkSlow)
	return []attack.Finding{f}
}

// what names what keeps us waiting, in plain words.
func what(l *traffic.Links) string {
	all, names := float64(l.Laggards()), []string{}
	for _, k := range []struct {
		wait traffic.Wait
		name string
	}{
		{traffic.WaitHead, "heads that do not end"}, {traffic.WaitBody, "bodies that do not come"},
		{traffic.WaitTake, "answers that are not taken"},
	} {
		if lag := float64(l.Lagging[k.wait]); all > 0 && lag >= named*all || all == 0 && l.Slow[k.wait] > 0 {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, " and ")
}
