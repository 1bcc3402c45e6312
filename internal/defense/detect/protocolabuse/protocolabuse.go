package protocolabuse

import (
	"cmp"
	"slices"
	"strings"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	// heavy is how many malformed requests a connection closed for abuse counts as.
	heavy = 10
	// named is the share of all from which a kind is named.
	named = 0.25
)

// Detector finds abuse of the protocols. It remembers what it said of the windows
// before. Make it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
	what  string // of what it consisted when it was last seen
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "protocolabuse" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 || !w.Links.Counted {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	l := &w.Links
	broken := l.Odd[traffic.OddBroken]
	abused := l.Oddly() - broken
	weight := w.Rate(l.Malformed + broken + heavy*abused)
	usual := n.Links.Malformed.Peak + heavy*n.Links.Odd.Peak
	more := weight - usual
	least := max(d.cfg.Floor, (d.cfg.Times-1)*usual)
	if !d.spell.Step(w.At, w.Span, more > least, more > least/2, d.cfg.EndAfter) {
		return nil
	}
	if more > least/2 {
		d.what = what(l)
	}
	f := attack.Finding{
		Vector: attack.ProtocolAbuse, Since: d.spell.Since(),
		Rate: w.Rate(l.Malformed + l.Oddly()), Normal: n.Links.Malformed.Usual + n.Links.Odd.Usual,
		Unit: "malformed requests and abused connections a second",
		What: d.what, Confidence: min(0.6+0.1*max(more/least-1, 0), 0.95),
		Facts: []attack.Fact{
			{Name: "malformed requests", Value: w.Rate(l.Malformed), Usual: n.Links.Malformed.Usual, Unit: "/s"},
			{Name: "connections closed for abuse", Value: w.Rate(l.Oddly()), Usual: n.Links.Odd.Usual, Unit: "/s"},
		},
	}
	f.Blame(l, traffic.LinkOdd)
	return []attack.Finding{f}
}

// what names what is done, in plain words, the heaviest first.
func what(l *traffic.Links) string {
	type part struct {
		name   string
		weight uint64
	}
	parts, all := []part{{"malformed requests", l.Malformed}}, l.Malformed
	for o, k := range l.Odd {
		if traffic.Oddity(o) != traffic.OddBroken {
			k *= heavy
		}
		parts, all = append(parts, part{oddly(traffic.Oddity(o)), k}), all+k
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.weight, a.weight) })
	var names []string
	for _, p := range parts {
		if p.weight > 0 && float64(p.weight) >= named*float64(all) {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, " and ")
}

func oddly(o traffic.Oddity) string {
	switch o {
	case traffic.OddResets:
		return "requests taken back at once (rapid reset)"
	case traffic.OddStreams:
		return "more requests than are allowed, or such that have to be reset"
	case traffic.OddFields:
		return "field blocks that do not end"
	case traffic.OddSettings:
		return "floods of settings"
	case traffic.OddPings:
		return "floods of pings"
	case traffic.OddFrames:
		return "floods of useless frames"
	case traffic.OddUnread:
		return "answers asked for and never read"
	}
	return "bytes that are not the protocol"
}
