package replay

import (
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense"
)

// collect takes up what was made and what has ended.
func (r *runner) collect() {
	now := r.w.Clock.Wall(r.w.Clock.Now())
	for _, m := range r.w.Made() {
		d := r.done[m.M.ID]
		switch {
		case m.Over && d != nil:
			until := now
			d.Until = &until
			continue
		case m.Over:
			continue
		case d != nil:
			d.Action = max(d.Action, m.M.Action)
			d.Note = m.M.Note
		default:
			d = &Done{
				ID: m.M.ID, Match: m.M.Match.String(), Action: m.M.Action, Note: m.M.Note, Rule: m.M.Name, DryRun: m.M.Shadow,
				From: now, OfPackets: m.M.Match.OnPackets(),
			}
			r.done[m.M.ID] = d
			r.order = append(r.order, d)
		}
		if s := m.M.Signature; s != nil && d.OfPackets {
			d.Ordinary, d.Collateral, d.Openings = s.Ordinary, s.Collateral, s.Newcomers
		}
	}
	st := r.w.Loop.Status()
	for i := range st.Mitigations {
		if m := &st.Mitigations[i]; m.Shadow && r.done[m.ID] != nil {
			r.done[m.ID].Requests = m.Hits // no verdict names it
		}
	}
	for i := len(st.Attacks) - 1; i >= 0; i-- {
		r.attack(st.Attacks[i])
	}
	for i := len(st.PacketsEnded) - 1; i >= 0; i-- {
		r.flood(&st.PacketsEnded[i])
	}
	if st.Crowd != nil && !r.crowd {
		r.report.Crowds++
	}
	r.crowd = st.Crowd != nil
	r.found(st.Findings, now)
}

// mostFound bounds what is told of long logs.
const mostFound = 1000

// found takes up what is found besides floods of all requests and crowds.
func (r *runner) found(list []defense.Found, now time.Time) {
	here := map[attack.Vector]bool{}
	for i := range list {
		n := &list[i]
		here[n.Vector] = true
		at, ok := r.goes[n.Vector]
		if !ok {
			if len(r.report.Findings) >= mostFound {
				continue
			}
			at = len(r.report.Findings)
			r.goes[n.Vector] = at
			r.report.Findings = append(r.report.Findings, Found{Vector: n.Vector, Since: n.Since})
		}
		r.report.Findings[at].What = n.What
	}
	for v, at := range r.goes {
		if !here[v] {
			r.report.Findings[at].Until = &now
			delete(r.goes, v)
		}
	}
}

func (r *runner) attack(a defense.Attack) {
	if !r.seen[a.ID] {
		r.seen[a.ID] = true
		r.report.Attacks = append(r.report.Attacks, a)
	}
}
