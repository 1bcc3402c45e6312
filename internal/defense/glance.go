package defense

import (
	"fmt"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/defense/sign"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// hasteAfter is how long after a glance has put newcomers at the end of the line the whole
// walk is taken: sooner, too few of a flood's requests have been answered or turned away.
const hasteAfter = 200 * time.Millisecond

// glance is the fast path: plain counters only.
func (l *Loop) glance(now decide.Moment) {
	g, o := l.observer.Peek(), l.origin()
	inLine := o.InFlight + o.Waiting
	// Who waits in line has no answer yet, so was not recorded; and who leaves
	// it is recorded, but came earlier. What came is what was recorded and what
	// the line grew by, or less what it shrank by.
	came := uint64(max(int(g.Admitted)+inLine-l.inLine, 0))
	slowed := uint64(max(int(g.Slowed)+o.Behind-l.behind, 0))
	l.inLine, l.behind = inLine, o.Behind
	w := &l.glanced
	*w = traffic.Window{
		At: g.At, Wall: now.Wall, Span: g.Span,
		Offered: g.Refused + came, Admitted: came, Refused: g.Refused,
		ByKind: g.AdmittedKind, ByClearance: g.AdmittedBy, Origin: o,
	}
	w.Origin.Asked, w.Origin.Failed, w.Origin.Shed = g.Asked, g.Failed, g.Shed
	if l.decider.Slowing() {
		// What waits behind everybody else then is a flood whose traits are known.
		w.Admitted -= min(slowed, w.Admitted)
		w.Origin.Waiting -= o.Behind
	}
	n := l.baseline.Normal()
	for _, d := range l.detectors {
		q, ok := d.(Quick)
		if !ok {
			continue
		}
		f, blatant := q.Blatant(w, n)
		if !blatant {
			continue
		}
		if f.Vector == attack.FlashCrowd {
			if l.pressed++; l.pressed > 1 { // not for a moment only
				l.press.felt(now.At, f.Since.Add(-g.Span))
			}
			return
		}
		if !l.stance && l.alarmAt == 0 {
			l.alarmAt, l.unproven = f.Since, 0
			l.record(now, "detect", fmt.Sprintf("%s sees %.0f requests a second at a glance, where %.0f are usual.", d.Name(), f.Rate, f.Normal), numbers(&f), true)
		}
		l.pressed = 0
		if !l.decider.Emergent() {
			l.rushed = now.At
		}
		l.take(now, l.decider.Emergency(now, f, sign.Again(n)))
		return
	}
	l.pressed = 0
}

// onTime is from when on something counts as due at a moment: ticks come a little late or
// early, and half a glance early is on time.
func onTime(due clock.Instant) clock.Instant { return due.Add(-glanceEvery / 2) }

// hasty says whether a window is to end before its time: what the glance has just seen is
// new, so that there is no need to wait for a whole second to find what it has in common.
func (l *Loop) hasty(now decide.Moment, since time.Duration) bool {
	return l.rushed != 0 && since >= earliest-glanceEvery/2 && now.At.Sub(l.rushed) >= hasteAfter-glanceEvery/2
}
