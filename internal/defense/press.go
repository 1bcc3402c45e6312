package defense

import (
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// pressStays is how long those who were there first are preferred after more
// was wanted than the origin can serve.
const pressStays = 10 * time.Second

// press is a crowd that the origin cannot serve. Nothing is done about it but
// one thing: who was reading the site before it came goes first, as under an
// attack. For it may be a flood of bots that do as browsers do; and if it is
// people, they have to wait in any case.
type press struct {
	since clock.Instant // when it began; valid while last is not 0
	last  clock.Instant // when it was felt last; 0 not at all
	told  bool          // the door knows of it
	due   bool          // since is news to the door

	resumed bool // it was felt before a restart, and not since
}

func (p *press) felt(now, since clock.Instant) {
	if p.last == 0 || since < p.since {
		p.since, p.due = since, true
	}
	p.last = now
	if p.resumed {
		p.resumed, p.told = false, false
	}
}

// tellPress tells the door of a press, and of its end. Under attack it is not
// called: the door then prefers who was there before in any case.
func (l *Loop) tellPress(now decide.Moment) {
	p := &l.press
	if p.last != 0 && now.At.Sub(p.last) > pressStays {
		p.last = 0
	}
	switch {
	case p.last != 0 && (p.due || !p.told) && !l.decider.Off():
		l.before = beforehand{since: p.since}
		if l.deps.Stance != nil {
			l.deps.Stance.Crowded(l.deps.Clock.Wall(p.since))
		}
		again := p.told
		p.told, p.due = true, false
		if again {
			return
		}
		if p.resumed {
			l.record(now, "decide", "Who went first before the restart still does, for some seconds at least. Nobody is refused for it.", nil, false)
			return
		}
		l.record(now, "decide", "More is wanted than the origin can serve: who was here before goes first. Nobody is refused for it.", nil, true)
	case p.last == 0 && p.told:
		p.told = false
		if l.deps.Stance != nil {
			l.deps.Stance.Calm()
		}
		if p.resumed {
			p.resumed = false
			return
		}
		l.record(now, "decide", "The origin can serve all that is wanted again.", nil, false)
	}
}

// A flood that enlists slowly, or came before and went, is known as well when it
// is noticed. When those who are known are themselves more than the origin can
// serve for some seconds, only who was here for twice as long goes first, and so
// on. Where all came at the same time nobody is worse off: they wait in turn.
const (
	knownServed = 0.9 // of their requests; below it the known are too many
	knownLeast  = 20  // requests of theirs a window, for that to say anything
	knownFor    = 2   // windows in a row
	backMost    = 24 * time.Hour
)

// beforehand says since when somebody must have been here to go first.
type beforehand struct {
	since clock.Instant // what the door was told
	hurt  int           // windows in a row in which the known were too many
}

// lookBack asks for longer acquaintance when the known are too many.
func (l *Loop) lookBack(now decide.Moment, w *traffic.Window) {
	b := &l.before
	if !l.stance && !l.press.told {
		*b = beforehand{}
		return
	}
	known := &w.Felt[traffic.ClearanceKnown]
	if known.Offered < knownLeast || float64(known.Served) >= knownServed*float64(known.Offered) || w.Origin.Shed == 0 {
		b.hurt = 0
		return
	}
	back := 2 * now.At.Sub(b.since)
	if b.hurt++; b.hurt < knownFor || back > backMost {
		return
	}
	b.since, b.hurt = now.At.Add(-back), 0
	if l.deps.Stance != nil {
		if from := now.Wall.Add(-back); l.stance {
			l.deps.Stance.UnderAttack(from)
		} else {
			l.deps.Stance.Crowded(from)
		}
	}
	l.record(now, "decide", "Those who were here before are themselves too many: only who has been here for longer goes first.", map[string]float64{"seconds": back.Seconds()}, false)
}

// firstCome is what the next process is to know of it. That outlasts the press: while
// this process ends, nobody comes who could be felt.
func (l *Loop) firstCome(now decide.Moment) firstCome {
	if l.before.since != 0 {
		l.first = firstCome{Since: l.deps.Clock.Wall(l.before.since), At: now.Wall}
	}
	return l.first
}

// resume takes over who went first before a restart, until it shows whether more is
// wanted than the origin can serve.
func (l *Loop) resume(now decide.Moment) {
	since, ok, err := l.store.loadFirst(now.Wall)
	if err != nil {
		l.log.Warn("who goes first is found out anew", "err", err)
	}
	if !ok {
		return
	}
	l.press.felt(now.At, l.deps.Clock.At(since))
	l.press.resumed = true
}
