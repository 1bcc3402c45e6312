package decide

import (
	"time"

	"seawall/internal/attack"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Emergency answers a blatant glance: whoever is unknown goes behind everybody
// else, for ten seconds, renewed while it is called again. Nobody is refused by
// it; where the origin keeps up, nobody even waits. What refused a flood of the last
// minutes does so again meanwhile, if judge lets it; nil: none does.
func (d *Decider) Emergency(now Moment, f attack.Finding, judge Judge) Output {
	if d.off {
		return d.take()
	}
	d.recallBlind(now, &f, judge)
	m := unknown()
	text := m.String()
	if d.isPinned(text) {
		return d.take()
	}
	if e := d.active[d.byText[text]]; e != nil {
		if left := e.until.Sub(now.At); left < emergencyTime*2/3 {
			d.extend(now, e, emergencyTime)
		}
		return d.take()
	}
	if d.undone.barsText(text, now.At) {
		d.once("undone "+text, "Newcomers are not put at the end of the line, because a person undid that within the last hour.", nil)
		return d.take()
	}
	f.Facts = append([]attack.Fact(nil), f.Facts...)
	d.calm = 0 // what was held off before is another matter
	e := d.begin(now, kindEmergency, mitigation.Mitigation{
		Match: m, Action: mitigation.Slow, By: mitigation.ByMachine, Finding: &f,
		Note: "So many requests at once that newcomers wait behind everybody else until it is clear what this is.",
	}, emergencyTime)
	d.out.Notes = append(d.out.Notes, Note{Step: "decide", Warn: true,
		Text: does(e, "Blatantly many requests at once: newcomers wait behind everybody else (#"+itoa(e.m.ID)+").",
			"have newcomers wait behind everybody else (#"+itoa(e.m.ID)+"): blatantly many requests at once."),
		Numbers: map[string]float64{"id": float64(e.m.ID), "rate": f.Rate, "normal": f.Normal, "seconds": emergencyTime.Seconds()}})
	return d.take()
}

// Emergent says whether newcomers are at the end of the line for a glance.
func (d *Decider) Emergent() bool {
	text := unknown().String()
	e := d.active[d.byText[text]]
	return e != nil && e.kind == kindEmergency || d.isPinned(text)
}

const (
	// heldTimes the usual rate is the most that may be let in for a flood to count as held
	// off; heldFor is for how long: two windows, the first of which may be what a window that
	// ended early has left of its second.
	heldTimes = 1.5
	heldFor   = 1600 * time.Millisecond
)

// held says whether a flood has been held off for a while without the help of the
// emergency.
func (d *Decider) held(w *traffic.Window, usual float64) bool {
	if w == nil || !d.quiet(w, usual) {
		d.calm = 0
		return false
	}
	d.calm += w.Span
	return d.calm >= heldFor
}

// quiet says whether there is room in a window for whoever is new: little more is let in
// than the requests a second that are usual at the whole site, what is slowed by what the
// flood has in common apart, or no more than those are slowed by the emergency alone; and
// nobody else finds the line full. Beside such a slowed flood newcomers are better off than
// in one rank with it.
func (d *Decider) quiet(w *traffic.Window, usual float64) bool {
	o, behind := &w.Origin, d.behind(w)
	if o.Shed > behind || o.Limit > 0 && o.Waiting-min(int(behind), o.Behind) >= o.Limit {
		return false
	}
	if w.Rate(w.Admitted-behind) <= heldTimes*usual {
		return true
	}
	alone := max(w.Slowed-behind, w.Hits[uint32(d.byText[unknown().String()])])
	return behind > 0 && w.Rate(alone) <= usual
}

// behind is how many requests of a window, at least, were let in behind everybody else for
// another reason than the emergency. No more were than were slowed at all: a mitigation may
// have refused in the first part of the window, and a challenge of a prefix says not whom it
// asked. So it is no more than w.Admitted either.
func (d *Decider) behind(w *traffic.Window) uint64 {
	n := uint64(0)
	for id, e := range d.active {
		if e.slows() {
			n += w.Hits[uint32(id)] - min(w.Trials[uint32(id)].Asked, w.Hits[uint32(id)])
		}
	}
	return min(n, w.Slowed)
}

// Slowing says whether, when the last window was judged, something was slowed for what it
// is, and nothing is now for being new.
func (d *Decider) Slowing() bool { return d.slowing && !d.Emergent() }

// slows says whether e slows what it meets for what it is. A challenge does, unless it asks.
func (e *entry) slows() bool {
	return e.kind != kindEmergency && !e.m.Shadow && (e.m.Action == mitigation.Slow || e.m.Action == mitigation.Challenge)
}

// liftEmergency ends the emergency, if there is one.
func (d *Decider) liftEmergency(now Moment, why string) {
	e := d.active[d.byText[unknown().String()]]
	if e == nil || e.kind != kindEmergency {
		return
	}
	d.end(now, e, why, mitigation.ByMachine)
	d.note("decide", "Ended #"+itoa(e.m.ID)+": "+why+".", map[string]float64{"id": float64(e.m.ID), "hits": float64(e.hits)})
}

// unknown matches whoever brings no cookie and has not behaved well for a while.
func unknown() *match.Match {
	none, _ := match.OneOf(traffic.FieldClearance, traffic.ClearanceNone.String())
	good, _ := match.OneOf(traffic.FieldStanding, traffic.StandingGood.String())
	return match.All(none, match.Not(good))
}
