package decide

import (
	"fmt"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Whether challenges tell a flood from visitors is tried in every attack, since a flood
// may keep cookies. One client in sixteen is asked first. Where as few answer as there are
// visitors in a flood, everybody is asked; where many do, nobody is any more, and what
// must not be refused is slowed: who answers goes before newcomers.
const (
	tryLeast  = 20              // asked, for their answers to say anything
	tryAnswer = time.Second     // that those may take
	tryMost   = 4 * time.Second // after which so few are asked that it does not matter
	tryUse    = 0.25            // of those asked answer, for it to be of no use
)

// asking is what has become of it in an attack.
type asking struct {
	stage           stage
	began           clock.Instant // when somebody was first asked; 0 nobody was
	asked, answered uint64        // in this stage
}

// stage is how far the trial is.
type stage uint8

const (
	askFew stage = iota
	askAll
	askNone
)

// followAsking goes by what a window's challenges brought.
func (d *Decider) followAsking(now Moment, w *traffic.Window) {
	if !d.attack {
		d.asking = asking{}
		return
	}
	a := &d.asking
	var asked, answered uint64
	for _, id := range d.sortedText() {
		if t, ok := w.Trials[uint32(id)]; ok {
			asked, answered = asked+t.Asked, answered+t.Answered
		}
	}
	if a.asked, a.answered = a.asked+asked, a.answered+answered; a.began == 0 {
		if asked > 0 {
			a.began = w.At.Add(-w.Span)
		}
		return
	}
	most := float64(a.answered) > tryUse*float64(a.asked)
	switch since := now.At.Sub(a.began); {
	case a.stage == askNone || a.stage == askFew && since < tryAnswer:
	case a.asked >= tryLeast && most:
		d.askFrom(now, askNone, fmt.Sprintf("Challenges are of no use: %d of %d that were asked came back with the cookie. What they met is slowed.", a.answered, a.asked))
	case a.stage == askFew && a.asked < tryLeast && since >= tryMost:
		d.askFrom(now, askAll, fmt.Sprintf("Few are challenged, %d in the first seconds: everybody whom the challenges meet is asked.", a.asked))
	case a.stage == askFew && a.asked >= tryLeast:
		d.askFrom(now, askAll, fmt.Sprintf("Challenges are of use: %d of %d that were asked came back with the cookie. Everybody whom they meet is asked.", a.answered, a.asked))
	case a.asked >= tryLeast: // what comes counts anew: a flood may learn
		a.asked, a.answered, a.began = 0, 0, 0
	}
}

// askFrom goes to another stage.
func (d *Decider) askFrom(now Moment, s stage, why string) {
	d.note("decide", why, map[string]float64{"asked": float64(d.asking.asked), "answered": float64(d.asking.answered)})
	d.asking = asking{stage: s}
	for _, id := range d.sortedText() {
		e := d.active[id]
		if e.kind != kindSignature || e.m.Action != mitigation.Challenge {
			continue
		}
		if e.m.Few = false; s == askNone {
			e.m.Action, e.harsh = mitigation.Slow, now.At
		}
		d.publish(e)
	}
}

// gentle is what happens to what must not be refused: whom it meets is asked to come back
// with a clearance, where somebody whom it meets could and where that is of use; else it
// is slowed.
func (d *Decider) gentle(m *match.Match) mitigation.Action {
	if d.asking.stage == askNone {
		return mitigation.Slow
	}
	v := traffic.Visit{Kind: traffic.KindPage, Method: "GET"}
	for _, t := range m.Tests() {
		switch t.Field() {
		case traffic.FieldKind, traffic.FieldMethod, traffic.FieldClearance:
			if !match.All(t).Hits(&v) {
				return mitigation.Slow
			}
		}
	}
	return mitigation.Challenge
}

// few says whether a challenge that begins now asks one client in sixteen.
func (d *Decider) few(a mitigation.Action) bool {
	return a == mitigation.Challenge && d.asking.stage == askFew
}
