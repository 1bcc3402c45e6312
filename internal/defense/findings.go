package defense

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// Found is something that a detector finds besides plain floods, crowds and packets. For
// most of it nobody is refused: what bounds it is in force all the time.
type Found struct {
	ID      string         `json:"id"` // when it was noticed, and its vector: 20260501-120000-slow-attack
	Vector  attack.Vector  `json:"vector"`
	What    string         `json:"what"` // of what it consists, in plain words
	Since   time.Time      `json:"since"`
	Noticed time.Time      `json:"noticed"`
	Ended   *time.Time     `json:"ended"`   // nil while it runs
	Rate    float64        `json:"rate"`    // in the last window
	Peak    float64        `json:"peak"`    // at most
	Normal  float64        `json:"normal"`  // usual here when it began
	Unit    string         `json:"unit"`    // of these three: "connections a second"
	Doing   string         `json:"doing"`   // what is done about it, one plain sentence
	Finding attack.Finding `json:"finding"` // at its peak

	told   float64       // the rate that was recorded last
	peaked clock.Instant // when it was at its peak, and Finding was what it is
}

// addressesFor is how long a finding that goes on tells whose it was at its peak: the house's
// hour, less what a status may be looked at.
const addressesFor = 50 * time.Minute

// foundBook keeps the books of what is found besides floods that decide acts on.
type foundBook struct {
	current []*Found // one of a vector, the oldest first
	recent  []Found  // ended, newest first
}

// booked says whether a vector is kept in this book: plain floods, crowds and packets have
// others.
func booked(v attack.Vector) bool {
	return v != attack.HTTPFlood && v != attack.FlashCrowd && !v.Packets()
}

// learnable is what may be learnt of a window in which this was found. Of connections that
// are attacked nothing is, and of a carpet no packets; what is asked for besides goes on
// being learnt, or who merely annoys could keep a site from it for ever. nothing says that
// not even that is: where requests themselves are spread over a few networks, for as long as a
// crowd would be doubted.
func (b *foundBook) learnable(now decide.Moment, w *traffic.Window) (_ *traffic.Window, nothing bool) {
	attacked, carpet := false, false
	for _, f := range b.current {
		attacked = attacked || f.Vector.Connections()
		if f.Vector == attack.CarpetBombing {
			carpet = true
			nothing = nothing || now.Wall.Sub(f.Noticed) < crowdStays
		}
	}
	if !attacked {
		return w, nothing
	}
	rest := *w
	rest.Links = traffic.Links{}
	if carpet {
		rest.Packets = traffic.Packets{}
	}
	return &rest, nothing
}

func (b *foundBook) find(v attack.Vector) *Found {
	for _, f := range b.current {
		if f.Vector == v {
			return f
		}
	}
	return nil
}

// copies returns those that run in a form that later windows do not change, and the
// ended ones.
func (b *foundBook) copies() (running, ended []Found) {
	running, ended = []Found{}, []Found{}
	for _, f := range b.current {
		running = append(running, *f)
	}
	return running, append(ended, b.recent...)
}

// followFindings enters a window's findings in the book, and tells what changed. flood is
// the one that the attack goes by, which is told elsewhere; nil: there is none.
func (l *Loop) followFindings(now decide.Moment, findings []attack.Finding, flood *attack.Finding) {
	runs := map[attack.Vector]bool{}
	for i := range findings {
		if f := &findings[i]; booked(f.Vector) {
			runs[f.Vector] = true
			l.enterFinding(now, f, f == flood)
		}
	}
	l.found.current = slices.DeleteFunc(l.found.current, func(f *Found) bool {
		if runs[f.Vector] {
			return false
		}
		ended := now.Wall
		f.Ended, f.Rate, f.Doing = &ended, 0, "It is over."
		f.Finding.Top = forgetClients(f.Finding.Top)
		l.found.recent = slices.Insert(l.found.recent, 0, *f)
		l.found.recent = l.found.recent[:min(len(l.found.recent), mostAttacks)]
		if !f.Vector.Requests() {
			l.record(now, "detect", f.over(ended), map[string]float64{"peak": f.Peak}, false)
		}
		return true
	})
}

func (l *Loop) enterFinding(now decide.Moment, from *attack.Finding, isAttack bool) {
	unit := from.Unit
	if unit == "" && from.Vector.Requests() {
		unit = "requests a second"
	}
	f := l.found.find(from.Vector)
	began := f == nil
	if began {
		f = &Found{
			ID: now.Wall.UTC().Format("20060102-150405-") + string(from.Vector), Vector: from.Vector,
			Since: l.deps.Clock.Wall(from.Since), Noticed: now.Wall, Normal: from.Normal, Unit: unit,
			Doing: done(from.Vector), told: max(from.Rate, 1),
		}
		l.found.current = append(l.found.current, f)
	}
	if f.Rate = from.Rate; from.Rate >= f.Peak {
		f.Peak, f.Finding, f.What, f.Unit, f.peaked = from.Rate, *from, from.What, unit, now.At
	} else if now.At.Sub(f.peaked) > addressesFor {
		f.Finding.Top = forgetClients(f.Finding.Top)
	}
	switch {
	case began && !isAttack:
		l.record(now, "detect", f.begins(), numbers(from), f.Vector.Requests() || f.Vector.Connections())
	case f.Vector.Connections() && f.Rate > 2*f.told:
		f.told = f.Rate
		l.record(now, "detect", fmt.Sprintf("%s has grown to %.0f %s: %s.", f.Vector.Title(), f.Rate, f.Unit, from.What), numbers(from), true)
	}
}

// begins says in a sentence what is found.
func (f *Found) begins() string {
	switch {
	case f.Vector.Requests():
		return fmt.Sprintf("%s: %.3g requests a second, where %.3g are usual%s.", f.Vector.Title(), f.Rate, f.Normal, of(f.What))
	case f.Vector.Connections():
		return fmt.Sprintf("%s: %s, %.0f %s, where %.0f are usual. %s", f.Vector.Title(), f.What, f.Rate, f.Unit, f.Normal, f.Doing)
	}
	return fmt.Sprintf("%s: %s. %s", f.Vector.Title(), f.What, f.Doing)
}

// over says that it is.
func (f *Found) over(at time.Time) string {
	if !f.Vector.Connections() {
		return f.Vector.Title() + " is over."
	}
	return fmt.Sprintf("%s is over: %s, %.0f %s at most, for %s.", f.Vector.Title(), f.What, f.Peak, f.Unit, at.Sub(f.Since).Round(time.Second))
}

// forgetClients leaves out who it was: an address is of no use once it is over.
func forgetClients(list []attack.Contributor) (out []attack.Contributor) {
	for _, c := range list {
		if c.OfPackets && c.Packet == traffic.PacketSource || !c.OfPackets && c.Field == traffic.FieldClient {
			if !wide(c.Key) {
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

// wide says whether a prefix is a network's, not a client's.
func wide(prefix string) bool {
	return strings.HasSuffix(prefix, "/24") || strings.HasSuffix(prefix, "/48")
}

// done says what is done about a vector all the time.
func done(v attack.Vector) string {
	switch v {
	case attack.ConnectionFlood:
		return "Connections that ask for nothing make room first, and each client and network has a limit."
	case attack.HandshakeFlood:
		return "Strangers' handshakes wait behind those of known visitors, and each client and network has a budget."
	case attack.SlowAttack:
		return "Who keeps us waiting makes room first, and is closed when its time is up."
	case attack.ProtocolAbuse:
		return "Each such connection is closed."
	case attack.CarpetBombing:
		return "Networks have budgets as their addresses have; nobody is refused for this alone."
	}
	switch {
	case v.Requests():
		return "What it has in common is refused, where that spares ordinary visitors."
	case v == attack.PulseWave:
		return "What refused it stands again as soon as it comes back."
	}
	return "Nobody is refused for it."
}
