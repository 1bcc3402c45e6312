package decide

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// consider decides on one signature of a flood.
func (d *Decider) consider(now Moment, w *traffic.Window, f *attack.Finding, s *attack.Signature) {
	text := s.Match.String()
	if d.isPinned(text) {
		return
	}
	e := d.active[d.byText[text]]
	if e == nil && d.undone.bars(s.Match, w, now.At) {
		d.once("undone "+text, "Not repeated, because a person undid it within the last hour: "+text+".", nil)
		return
	}
	action, why := d.choose(now, f, s, e)
	if e == nil && action == mitigation.Slow && why == slowFirst && d.met(w, s.Match, mitigation.Slow, now.At.Add(-slowBefore)) {
		// It was slowed already, by what described it in other words.
		action, why = mitigation.Refuse, "the flood goes on"
	}
	if action > mitigation.Slow && meetsVisitors(w, s.Match) {
		// They are slowed by that alone, whatever their clearance.
		action, why = mitigation.Slow, "a part of what it meets are visitors with a clearance"
	}
	if e == nil {
		if d.met(w, s.Match, action, now.At) {
			return
		}
		if s.Ordinary < d.cfg.LeastOrdinary && meetsVisitors(w, s.Match) {
			// Nothing is known of ordinary traffic, but who they are is.
			d.once("visitors "+text, "Not slowed, because a part of what it meets are visitors with a clearance: "+text+".", nil)
			return
		}
		if !d.room(now) {
			d.once("full", "No further signature can act: all places are taken.", map[string]float64{"signatures": float64(len(d.byText))})
			return
		}
		ttl := min(d.cfg.TimeToLive<<min(d.levels[text], 10), d.cfg.TimeMost)
		finding, sig := *f, *s
		e = d.begin(now, kindSignature, mitigation.Mitigation{
			Match: s.Match, Action: action, Few: d.few(action), By: mitigation.ByMachine, Note: sentence(f, s, action, why),
			Finding: &finding, Signature: &sig, Expected: s.Collateral,
		}, ttl)
		d.tellAction(e, s, why)
		return
	}
	if action == e.m.Action || e.kind != kindSignature {
		return
	}
	sig := *s
	e.m.Action, e.m.Few, e.m.Signature, e.m.Expected = action, d.few(action), &sig, s.Collateral
	e.m.Note = sentence(f, s, action, why)
	e.harsh = now.At
	d.extend(now, e, e.ttl)
	d.tellAction(e, s, why)
}

// slowFirst is why something is slowed that could be refused.
const slowFirst = "slowing comes first"

// choose says what may be done about what s matches, and why not more.
func (d *Decider) choose(now Moment, f *attack.Finding, s *attack.Signature, e *entry) (mitigation.Action, string) {
	switch {
	case s.Collateral > Never:
		return d.gentle(s.Match), fmt.Sprintf("it would have hit %.2f %% of ordinary requests%s", 100*s.Collateral, s.When())
	case s.Ordinary < d.cfg.LeastOrdinary && !robust(s.Match):
		return d.gentle(s.Match), fmt.Sprintf("only %s were there to test it on", plural(s.Ordinary, "ordinary request"))
	case d.lenient[s.Match.String()] || e != nil && e.loosened:
		return d.gentle(s.Match), "it hit real visitors before"
	case e != nil && e.answered >= answersFew && float64(e.answered) > answersMost*float64(e.asked):
		return d.gentle(s.Match), fmt.Sprintf("%d of %d that were asked for a cookie came back with it", e.answered, e.asked)
	case d.expected(e)+s.Collateral > neverSum:
		return d.gentle(s.Match), "together with what is refused already it would hit too much ordinary traffic"
	}
	if s.Newcomers > newcomers {
		refusing := e != nil && e.m.Action == mitigation.Refuse
		waited := e != nil && now.At.Sub(e.made) >= slowNewcomers
		if !refusing && !(waited && d.hurting) {
			return d.gentle(s.Match), fmt.Sprintf("it would also hit %.0f %% of first visits", 100*s.Newcomers)
		}
		return mitigation.Refuse, "slowing it did not keep visitors served"
	}
	switch {
	case f.Blatant:
		return mitigation.Refuse, "the flood is blatant"
	case f.Suffering:
		return mitigation.Refuse, "the origin suffers"
	case e != nil && now.At.Sub(e.made) >= slowBefore:
		return mitigation.Refuse, "the flood goes on"
	}
	return mitigation.Slow, slowFirst
}

// Of those whom a challenge asked so few must have answered for what it meets to be
// refused: a flood of programs answers next to nothing, and who does answer is a visitor,
// whatever the samples said.
const (
	answersFew  = 3
	answersMost = 0.05 // of those asked
)

// expected sums up the collateral of all that refuses, but for e.
func (d *Decider) expected(but *entry) float64 {
	sum := 0.0
	for _, id := range d.sortedText() {
		if e := d.active[id]; e != but && e.m.Action == mitigation.Refuse {
			sum += e.m.Expected
		}
	}
	return sum
}

// robust says that a match rests on how clients behaved towards us, which
// needs no sample of ordinary traffic: a poor standing, or no cookie together
// with a user agent that no browser sends. Thin is no poor standing: how many visitors
// are, only a sample tells.
func robust(m *match.Match) bool {
	none, program := false, false
	for _, t := range m.Tests() {
		text := t.String()
		if strings.Contains(text, "!") {
			continue
		}
		switch t.Field() {
		case traffic.FieldStanding:
			if !strings.Contains(text, `"new"`) && !strings.Contains(text, `"good"`) && !strings.Contains(text, `"thin"`) {
				return true
			}
		case traffic.FieldClearance:
			none = text == `clearance == "none"`
		case traffic.FieldUserAgent:
			program = !strings.Contains(text, "Mozilla/")
		}
	}
	return none && program
}

// met says that what m would meet is met already by mitigations at least as hard,
// which have stood since before a moment.
func (d *Decider) met(w *traffic.Window, m *match.Match, a mitigation.Action, since clock.Instant) bool {
	if w == nil {
		return false
	}
	var by []*match.Match
	for _, id := range append(d.sortedText(), d.sortedPins()...) {
		if e := d.active[id]; (e.kind == kindSignature || e.pinned() && e.m.Signature != nil) && e.m.Action >= a && e.made <= since {
			by = append(by, e.m.Match)
		}
	}
	var hit, met int
	for i := range w.Samples {
		v := &w.Samples[i].Visit
		if !m.Hits(v) {
			continue
		}
		hit++
		if slices.ContainsFunc(by, func(m *match.Match) bool { return m.Hits(v) }) {
			met++
		}
	}
	return hit > 0 && float64(met) >= 0.9*float64(hit)
}

// room makes place for one more signature: the one that meets least goes, if
// it meets next to nothing.
func (d *Decider) room(now Moment) bool {
	var idle *entry
	n := 0
	for _, id := range d.sortedText() {
		e := d.active[id]
		if e.kind != kindSignature {
			continue
		}
		n++
		if e.made < now.At && e.rate <= 0.01*e.peak && (idle == nil || e.rate < idle.rate) {
			idle = e
		}
	}
	if n < d.cfg.Signatures {
		return true
	}
	if idle == nil {
		return false
	}
	d.end(now, idle, "its place was needed and it met nothing any more", "")
	return true
}

// refresh lets live what the flood still meets.
func (d *Decider) refresh(now Moment) {
	for _, id := range d.sortedText() {
		e := d.active[id]
		if e.kind != kindSignature || e.rate < max(2, 0.05*e.peak) {
			continue
		}
		if left := e.until.Sub(now.At); left < e.ttl*2/3 {
			d.extend(now, e, e.ttl)
		}
	}
}

// loosen turns what hits real visitors more than expected into what is gentle.
func (d *Decider) loosen(now Moment, w *traffic.Window) {
	if w == nil {
		return
	}
	good := 0
	for i := range w.Samples {
		if real(&w.Samples[i].Visit) {
			good++
		}
	}
	for _, id := range d.sortedText() {
		e := d.active[id]
		if e.kind != kindSignature {
			continue
		}
		refused := 0
		for i := range w.Samples {
			s := &w.Samples[i]
			if !real(&s.Visit) {
				continue
			}
			e.good++
			if e.m.Match.Hits(&s.Visit) {
				e.met++
				if s.Refused {
					refused++
				}
			}
		}
		if e.m.Action != mitigation.Refuse {
			continue
		}
		share := float64(e.met) / float64(max(e.good, 1))
		unexpected := e.met >= 5 && share > max(neverSum, 3*e.m.Expected)
		harmful := refused >= 3 && float64(refused) >= 0.01*float64(good)
		if !unexpected && !harmful {
			continue
		}
		e.loosened, d.lenient[e.m.Match.String()] = true, true
		d.forgetText(e.m.Match.String())
		e.m.Action, e.harsh = d.gentle(e.m.Match), now.At
		e.m.Few = d.few(e.m.Action)
		e.m.Note += " Loosened, because it hit real visitors."
		d.publish(e)
		d.out.Notes = append(d.out.Notes, Note{Step: "decide", Warn: true,
			Text:    does(e, "Loosened", "loosen") + " #" + itoa(id) + " from refusing to " + doing[e.m.Action] + ": it hit more real visitors than expected.",
			Numbers: map[string]float64{"id": float64(id), "expected_collateral": e.m.Expected, "observed_collateral": share, "refused_visitors": float64(refused)}})
	}
}

// real says that a request is surely a visitor's: it brought our cookie back
// or behaved well for a while. Who goes over the budget again and again does neither,
// whatever he brings: or one machine with a cookie could vouch for a botnet.
func real(v *traffic.Visit) bool {
	if v.Standing == traffic.StandingGreedy {
		return false
	}
	return v.Clearance != traffic.ClearanceNone || v.Standing == traffic.StandingGood
}

// meetsVisitors says that more than a tenth of what m meets now are surely
// visitors' requests.
func meetsVisitors(w *traffic.Window, m *match.Match) bool {
	if w == nil {
		return false
	}
	hit, visitors := 0, 0
	for i := range w.Samples {
		if v := &w.Samples[i].Visit; m.Hits(v) {
			hit++
			if real(v) {
				visitors++
			}
		}
	}
	return visitors*10 > hit
}

func (d *Decider) once(key, text string, numbers map[string]float64) {
	if !d.told[key] && len(d.told) < 1024 {
		d.told[key] = true
		d.note("decide", text, numbers)
	}
}

// What actions are called in sentences.
var (
	doing = map[mitigation.Action]string{mitigation.Slow: "slowing", mitigation.Challenge: "challenging", mitigation.Refuse: "refusing"}
	done  = map[mitigation.Action]string{mitigation.Slow: "slowed", mitigation.Challenge: "asked to come back with a cookie", mitigation.Refuse: "refused"}
)

func (d *Decider) tellAction(e *entry, s *attack.Signature, why string) {
	name := e.m.Action.String()
	verb := does(e, strings.ToUpper(name[:1])+name[1:], name)
	d.note("decide", fmt.Sprintf("%s #%d for %s (%s): %s.", verb, e.m.ID, e.ttl.Round(time.Second), why, e.m.Match), map[string]float64{
		"id": float64(e.m.ID), "coverage": s.Coverage, "collateral": s.Collateral, "collateral_at_most": s.Bound,
		"collateral_day": s.CollateralDay, "collateral_week": s.CollateralWeek, "known": float64(s.Known),
		"newcomers": s.Newcomers, "ordinary_tested": float64(s.Ordinary), "flood_tested": float64(s.Flood),
		"seconds": e.ttl.Seconds(),
	})
}

// does says in a record that e acts, or in watch mode only what it would do.
func does(e *entry, acts, would string) string {
	if e.m.Shadow {
		return onlyWatched + would
	}
	return acts
}

const onlyWatched = "Only watched: would "

// sentence says why, to somebody who was refused or who looks it up.
func sentence(f *attack.Finding, s *attack.Signature, a mitigation.Action, why string) string {
	return fmt.Sprintf("A flood of %.0f requests a second (%.0f are usual) looks like this: %.0f %% of it, and %.2f %% of ordinary requests%s. It is %s because %s.",
		f.Rate, f.Normal, 100*s.Coverage, 100*s.Collateral, s.When(), done[a], strings.TrimSuffix(why, "."))
}
