package defense

import (
	"fmt"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense/decide"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// clockStep is how far the wall clock must jump to be taken for set.
const clockStep = 2 * time.Second

// youth is how much must have been learnt before a crowd can be told from
// ordinary traffic; crowdStays is when it is ordinary traffic.
const (
	youth      = 5 * time.Second
	crowdStays = 5 * time.Minute
	// unprovenFor is how long an alarm is believed that no whole window bears out.
	unprovenFor = 3 * time.Second
)

// offencesATick bounds the work on reports in one tick: some 10 ms.
const offencesATick = 1024

// tick is a tenth of a second's work.
func (l *Loop) tick() {
	now := l.moment()
	if step := now.Wall.Sub(l.last.Wall) - now.At.Sub(l.last.At); step > clockStep || step < -clockStep {
		l.record(now, "decide", "The wall clock was set; no mitigation ends earlier or later for it.", map[string]float64{"seconds": step.Seconds()}, false)
		l.take(now, l.decider.Restamp(now))
	}
	l.last = now
	l.take(now, l.decider.Tick(now))
	l.offences(now)
	l.glance(now)
	switch since := now.At.Sub(l.cutAt); {
	case now.At >= l.dueAt:
		l.cutAt, l.dueAt = now.At, onTime(now.At.Add(windowEvery))
		l.second(now)
	case l.hasty(now, since):
		// The next one is due when it was, if that leaves something to see.
		l.cutAt, l.dueAt = now.At, max(l.dueAt, onTime(now.At.Add(earliest)))
		l.second(now)
	default:
		l.lookEarly(now, since)
	}
	l.flush(now)
	l.tellStance(now)
	if since := l.before.since; since != 0 && since != l.kept {
		l.kept, l.saveAt = since, now.At
	}
	if now.At >= l.saveAt {
		l.save(now)
	}
	if l.changed {
		l.publish(now)
	}
}

func (l *Loop) offences(now decide.Moment) {
	var list []mitigation.Offence
	for len(list) < offencesATick {
		select {
		case o, ok := <-l.deps.Offences:
			if !ok {
				l.deps.Offences = nil
				continue
			}
			list = append(list, o)
			continue
		default:
		}
		break
	}
	if len(list) > 0 {
		l.take(now, l.decider.Offences(now, list))
	}
}

// second is the whole walk.
func (l *Loop) second(now decide.Moment) {
	l.rushed, l.changed = 0, true
	w := l.observer.Cut(l.origin())
	if l.deps.Shadows != nil {
		l.deps.Shadows(func(id mitigation.ID, met, cleared uint64) {
			w.Hits[uint32(id)] += met
			w.Cleared[uint32(id)] += cleared
		})
	}
	if l.deps.Trials != nil {
		w.Trials = map[uint32]traffic.Trial{}
		l.deps.Trials(func(id mitigation.ID, asked, answered uint64) {
			w.Trials[uint32(id)] = traffic.Trial{Asked: asked, Answered: answered}
		})
	}
	if l.deps.Packets != nil {
		w.Packets = l.early.take(l.deps.Packets())
		l.early.head, l.early.looked = traffic.Packets{}, false
	}
	if l.deps.Links != nil {
		w.Links = l.observer.CutLinks(l.deps.Links())
	}
	n := l.baseline.Normal()
	var findings []attack.Finding
	for _, d := range l.detectors {
		findings = append(findings, d.Detect(w, n)...)
	}
	for _, d := range l.detectors {
		if d, ok := d.(After); ok {
			findings = append(findings, d.After(w, n, findings)...)
		}
	}
	flood, crowd := attack.Flood(findings), find(findings, attack.FlashCrowd)
	l.window = w
	if crowd != nil && crowd.Suffering && w.Origin.Shed > 0 {
		l.press.felt(now.At, crowd.Since)
	}
	l.lookBack(now, w)
	before := l.decider.Attack()
	l.tellFinding(now, flood, crowd)
	l.followFindings(now, findings, flood)
	in := l.input(now, findings, flood, w, n)
	packets := l.packetFloods(w, n, findings)
	in.Packets = packets
	l.take(now, l.decider.Step(in))
	began := -len(l.packets.current)
	l.followPackets(now, w, packets)
	if began = max(began+len(l.packets.current), 0); flood != nil && !before {
		began++
	}
	l.countDay(now, w, began)
	learn, nothing := l.found.learnable(now, w)
	l.baseline.Learn(learn, l.doubtful(w, flood, crowd, n) || len(packets) > 0 || nothing)

	l.flush(now)
	if flood != nil {
		since := l.deps.Clock.Wall(flood.Since)
		if l.alarmAt != 0 && l.alarmAt > flood.Since.Add(-5*time.Second) {
			since = l.deps.Clock.Wall(min(l.alarmAt, flood.Since))
		}
		l.ledger.follow(now.Wall, since, w, n, flood, in.All())
		l.ledger.mitigated(l.mitigatedAt())
	} else if before {
		l.ledger.end(now.Wall)
		clear(l.seen)
	}
}

// doubtful says that nothing may be learnt from a window: it belongs to a
// flood, or may turn out to. An alarm that no whole window bears out is a false
// one after three seconds. A crowd may be an attack that has not shown itself,
// but one that stays is normal, and so is one that was there from the start.
func (l *Loop) doubtful(w *traffic.Window, flood, crowd *attack.Finding, n *traffic.Normal) bool {
	if flood != nil {
		l.unproven = 0
		return true
	}
	l.unproven += w.Span
	if crowd == nil {
		l.crowdFor = 0
		return l.decider.UnderAttack() && l.unproven <= unprovenFor
	}
	l.crowdFor += w.Span
	return n.Learned >= youth && l.crowdFor < crowdStays
}

// of puts what a flood asks for into a sentence.
func of(what string) string {
	if what == "" {
		return ""
	}
	return "; " + what
}

// usual says how much is usual of what a flood is made of.
func usual(f *attack.Finding) string {
	if f.Part.Whole() {
		return fmt.Sprintf("%.0f", f.Normal)
	}
	return fmt.Sprintf("%.2g", f.Normal)
}

// tellFinding records what changed in what is found.
func (l *Loop) tellFinding(now decide.Moment, flood, crowd *attack.Finding) {
	switch {
	case flood != nil && !l.decider.Attack():
		l.record(now, "detect", fmt.Sprintf("A flood: %.0f requests a second, where %s are usual%s.", flood.Rate, usual(flood), of(flood.What)), numbers(flood), true)
	case flood != nil && flood.Rate > 2*l.ledger.peakTold():
		l.ledger.told = flood.Rate
		l.record(now, "detect", fmt.Sprintf("The flood has grown to %.0f requests a second.", flood.Rate), numbers(flood), true)
	case flood == nil && l.decider.Attack():
		l.record(now, "detect", "The flood is over.", map[string]float64{"rate": l.window.Rate(l.window.Offered)}, false)
	}
	switch {
	case crowd != nil && l.crowd == nil:
		l.record(now, "detect", fmt.Sprintf("A crowd: %.0f requests a second, where %.0f are usual. They behave as visitors do; nobody is refused for it.", crowd.Rate, crowd.Normal), numbers(crowd), true)
	case crowd == nil && l.crowd != nil && flood == nil:
		l.record(now, "detect", "The crowd has gone.", map[string]float64{"rate": l.window.Rate(l.window.Offered)}, false)
	}
	l.crowd = crowd
}

// take passes an Output on: to the journal first, then to enforce.
func (l *Loop) take(now decide.Moment, o decide.Output) {
	if len(o.Events) > 0 {
		if err := l.store.append(now, l.decider, o.Events); err != nil {
			l.trouble(now, "journal", err.Error())
		} else {
			delete(l.troubles, "journal")
		}
	}
	if o.Compact {
		if err := l.store.compact(now, l.decider); err != nil {
			l.trouble(now, "journal", err.Error())
		}
	}
	for _, c := range o.Changes {
		l.changed = true
		if c.Apply != nil {
			l.enforcer.Set(*c.Apply)
		} else {
			l.enforcer.Drop(c.Withdraw)
		}
	}
	for _, n := range o.Notes {
		l.record(now, n.Step, n.Text, n.Numbers, n.Warn)
	}
}

// flush lets enforce do what is due.
func (l *Loop) flush(now decide.Moment) {
	failed := l.enforcer.Flush(now.At)
	switch {
	case len(failed) > 0 && !l.asSaid:
		l.asSaid = true
		l.trouble(now, "enforce", failed[0].Err.Error())
		l.record(now, "enforce", fmt.Sprintf("%d mitigations could not be applied or withdrawn; they are tried again.", len(failed)),
			map[string]float64{"failed": float64(len(failed))}, true)
	case len(failed) == 0 && l.asSaid && l.enforcer.Counts().Pending == 0:
		l.asSaid = false
		delete(l.troubles, "enforce")
		l.record(now, "enforce", "All mitigations stand as they should again.", nil, false)
	}
}

// tellStance tells the door of an attack's beginning and end.
func (l *Loop) tellStance(now decide.Moment) {
	switch under := l.decider.UnderAttack(); {
	case under && !l.stance:
		since := now.Wall.Add(-windowEvery)
		if l.alarmAt != 0 {
			since = l.deps.Clock.Wall(l.alarmAt)
		} else if a := l.ledger.current; a != nil {
			since = a.Since
		} else if from, ok := l.earliest(); ok {
			since = from // taken over after a restart
		}
		if l.press.last != 0 {
			// It looked like a crowd at first, or went on through a restart.
			if from := l.deps.Clock.Wall(l.press.since); from.Before(since) {
				since = from
			}
		}
		l.stance = true
		l.before = beforehand{since: l.deps.Clock.At(since)}
		if l.deps.Stance != nil {
			l.deps.Stance.UnderAttack(since)
		}
		l.changed = true
	case !under && l.stance:
		l.stance, l.alarmAt = false, 0
		if l.deps.Stance != nil {
			l.deps.Stance.Calm()
		}
		l.press.told = false
		l.changed = true
		l.tellPress(now)
	case !under:
		l.alarmAt = 0
		l.tellPress(now)
	}
}

// earliest finds the first of the machine's mitigations that are active.
func (l *Loop) earliest() (time.Time, bool) {
	var first time.Time
	for _, m := range l.decider.List(256) {
		if ofRequests(m) && (first.IsZero() || m.From.Before(first)) {
			first = m.From
		}
	}
	return first, !first.IsZero()
}

// mitigatedAt tells since when the first of the machine's mitigations that is
// still active stands, if one does.
func (l *Loop) mitigatedAt() (time.Time, bool) {
	var first time.Time
	for _, m := range l.decider.List(256) {
		if ofRequests(m) && !m.Shadow && l.enforcer.Stands(m.ID) && (first.IsZero() || m.From.Before(first)) {
			first = m.From
		}
	}
	return first, !first.IsZero()
}

// ofRequests says that the machine made m against a flood of requests.
func ofRequests(m decide.Listed) bool {
	return m.By == mitigation.ByMachine && m.Kind != "ban" && !m.Match.OnPackets()
}

func anyHits(list []*match.Match, v *traffic.Visit) bool {
	for _, m := range list {
		if m.Hits(v) {
			return true
		}
	}
	return false
}

func find(fs []attack.Finding, v attack.Vector) *attack.Finding {
	for i := range fs {
		if fs[i].Vector == v {
			return &fs[i]
		}
	}
	return nil
}

func first(sigs []attack.Signature) string {
	if len(sigs) == 0 {
		return ""
	}
	return sigs[0].Match.String()
}

func numbers(f *attack.Finding) map[string]float64 {
	out := map[string]float64{"rate": f.Rate, "normal": f.Normal, "confidence": f.Confidence}
	for _, fact := range f.Facts {
		out[fact.Name] = fact.Value
	}
	return out
}
