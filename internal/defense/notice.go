package defense

import (
	"fmt"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
)

// Notice is what a detector finds now.
type Notice struct {
	attack.Finding
	Began time.Time `json:"since"`
}

// notice keeps what is found in the window, and tells what is new of it and what is
// over. Floods of all requests, crowds and floods of packets are told elsewhere, and so
// is the flood that the attack goes by.
func (l *Loop) notice(now decide.Moment, findings []attack.Finding, flood *attack.Finding) {
	before := l.notices
	l.notices = make([]Notice, 0, len(findings))
	for i := range findings {
		f := &findings[i]
		l.notices = append(l.notices, Notice{*f, l.deps.Clock.Wall(f.Since)})
		if toldElsewhere(f.Vector) || has(before, f.Vector) || f == flood {
			continue
		}
		l.record(now, "detect", said(f), numbers(f), f.Vector.Requests())
	}
	for i := range before {
		if v := before[i].Vector; !toldElsewhere(v) && !v.Requests() && !has(l.notices, v) {
			l.record(now, "detect", v.Title()+" is over.", nil, false)
		}
	}
}

func toldElsewhere(v attack.Vector) bool {
	return v == attack.HTTPFlood || v == attack.FlashCrowd || v.Packets()
}

func has(list []Notice, v attack.Vector) bool {
	return slices.ContainsFunc(list, func(n Notice) bool { return n.Vector == v })
}

// said is a finding in a sentence.
func said(f *attack.Finding) string {
	text := fmt.Sprintf("%s: %s.", f.Vector.Title(), f.What)
	if f.Vector.Requests() {
		return fmt.Sprintf("%s: %.3g requests a second, where %.3g are usual%s.", f.Vector.Title(), f.Rate, f.Normal, of(f.What))
	}
	if f.Vector != attack.PulseWave {
		text += " Nobody is refused for it."
	}
	return text
}
