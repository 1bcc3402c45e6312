package decide

import (
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	// memoryFor is how long what refused a flood is remembered after it ended, and how
	// long what was loosened stays lenient.
	memoryFor    = 10 * time.Minute
	mostRemember = 32
	// comesBack is the share of a flood's samples that something remembered must hit
	// to be about it, and comesLeast how many.
	comesBack  = 0.05
	comesLeast = 10
	// judgedFor is how long what was measured holds: glances come ten times a second.
	judgedFor = 900 * time.Millisecond
)

// remembered is a signature that refused until its time was over.
type remembered struct {
	m     mitigation.Mitigation // with its Signature and Finding
	until clock.Instant
	times int // that it came back
	// judged is when its Signature and Expected were measured on what is ordinary; 0: not
	// since it ended.
	judged clock.Instant
}

// memory is what helped lately: floods in pulses find it standing at once.
type memory []remembered

// remember keeps what e did, when its time is over. What came back and met next to nothing of
// the flood is remembered no longer for it.
func (d *Decider) remember(now Moment, e *entry) {
	if e.kind != kindSignature || e.m.Action != mitigation.Refuse || e.hits == 0 || e.m.Signature == nil || e.m.Finding == nil {
		return
	}
	if e.again && e.peak < comesBack*e.m.Finding.Rate {
		return
	}
	text, times := e.m.Match.String(), 0
	d.memory = slices.DeleteFunc(d.memory, func(r remembered) bool {
		same := r.m.Match.String() == text
		if same {
			times = r.times + 1
		}
		return same || now.At >= r.until
	})
	if len(d.memory) >= mostRemember {
		d.memory = slices.Delete(d.memory, 0, 1)
	}
	d.memory = append(d.memory, remembered{m: e.m, until: now.At.Add(memoryFor), times: times})
}

// forgetText drops what hit visitors after all, or was undone.
func (d *Decider) forgetText(text string) {
	d.memory = slices.DeleteFunc(d.memory, func(r remembered) bool { return r.m.Match.String() == text })
}

// recall refuses again, at once, what the flood of this window has in common with one
// of the last minutes. The caps are those of a new signature.
func (d *Decider) recall(now Moment, w *traffic.Window, floods []*attack.Finding, judge Judge) {
	for i := range d.memory {
		r := &d.memory[i]
		m := r.m.Match
		if d.unfit(now, r) || d.undone.bars(m, w, now.At) || meetsVisitors(w, m) {
			continue
		}
		f := hitsPart(r, w, floods)
		if f == nil || !d.mayAgain(now, r, f, judge) || d.met(w, m, mitigation.Refuse, now.At) || !d.room(now) {
			continue
		}
		d.again(now, r, f, min(d.cfg.TimeToLive<<min(r.times, 10), d.cfg.TimeMost))
	}
}

// recallBlind does so at a blatant glance, which shows no requests: for a moment, until
// the window shows whether the flood is the same. Which visitors are here shows the
// window before.
func (d *Decider) recallBlind(now Moment, f *attack.Finding, judge Judge) {
	if d.undone.any(now.At) {
		return // whether one of them is the same in other words shows in a window only
	}
	for i := range d.memory {
		r := &d.memory[i]
		if !d.unfit(now, r) && !meetsVisitors(d.latest, r.m.Match) && d.mayAgain(now, r, f, judge) && d.room(now) {
			d.again(now, r, f, emergencyTime)
		}
	}
}

// unfit says that r may not act: it is too old, acts already, or was undone.
func (d *Decider) unfit(now Moment, r *remembered) bool {
	text := r.m.Match.String()
	return now.At >= r.until || d.active[d.byText[text]] != nil || d.isPinned(text) || d.undone.barsText(text, now.At)
}

// mayAgain measures r on what is ordinary by now, and says whether it may refuse as a new
// signature may, but for having been slowed first. What locks out first visits may not:
// it has to be shown anew that slowing it does not keep visitors served.
func (d *Decider) mayAgain(now Moment, r *remembered, f *attack.Finding, judge Judge) bool {
	if judge == nil {
		return false
	}
	if r.judged == 0 || now.At.Sub(r.judged) >= judgedFor {
		s := judge(*r.m.Signature)
		r.m.Signature, r.m.Expected, r.judged = &s, s.Collateral, now.At
	}
	action, why := d.choose(now, f, r.m.Signature, nil)
	return action == mitigation.Refuse || why == slowFirst
}

// again has r refuse for a while, against the flood f.
func (d *Decider) again(now Moment, r *remembered, f *attack.Finding, ttl time.Duration) {
	m, finding := r.m, *f
	m.Finding = &finding
	m.Note = "A flood of the last minutes looked like this, and one is here again. It is refused because it was before."
	e := d.begin(now, kindSignature, m, ttl)
	e.again = true
	again := " #" + itoa(e.m.ID) + " again, at once, as in a flood of the last minutes: " + m.Match.String() + "."
	d.note("decide", does(e, "Refuse", "refuse")+again,
		map[string]float64{"id": float64(e.m.ID), "seconds": ttl.Seconds(), "times": float64(r.times + 1), "collateral": m.Expected})
}

// hitsPart picks a flood of which r hits a part that is worth it; nil: none.
func hitsPart(r *remembered, w *traffic.Window, floods []*attack.Finding) *attack.Finding {
	for _, f := range floods {
		hit, all := 0, 0
		for i := range w.Samples {
			v := &w.Samples[i].Visit
			if !f.Part.Has(v) {
				continue
			}
			all++
			if r.m.Match.Hits(v) {
				hit++
			}
		}
		if hit >= comesLeast && float64(hit) >= comesBack*float64(all) {
			return f
		}
	}
	return nil
}

// forgive lets be forgotten, ten minutes after an attack, what was loosened in it.
func (d *Decider) forgive(now Moment) {
	if d.forgiveAt != 0 && now.At >= d.forgiveAt && !d.attack {
		d.forgiveAt = 0
		clear(d.lenient)
	}
}
