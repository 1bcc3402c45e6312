package defense

import (
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
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
}

func (p *press) felt(now, since clock.Instant) {
	if p.last == 0 || since < p.since {
		p.since, p.due = since, true
	}
	p.last = now
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
		if l.deps.Stance != nil {
			l.deps.Stance.Crowded(l.deps.Clock.Wall(p.since))
		}
		again := p.told
		p.told, p.due = true, false
		if again {
			return
		}
		l.record(now, "decide", "More is wanted than the origin can serve: who was here before goes first. Nobody is refused for it.", nil, true)
	case p.last == 0 && p.told:
		p.told = false
		if l.deps.Stance != nil {
			l.deps.Stance.Calm()
		}
		l.record(now, "decide", "The origin can serve all that is wanted again.", nil, false)
	}
}
