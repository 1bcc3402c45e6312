package admit

import (
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Reconsider says what happens to a visit that was let in and waits still, now that
// there are other orders than when it came: a flood's first requests come before
// anybody knows what they have in common. Nothing is charged, remembered or counted a
// second time, but for a refusal; nobody gets a better place than before.
func (a *Admit) Reconsider(v *traffic.Visit, was mitigation.Verdict) mitigation.Verdict {
	if was.Reason == mitigation.ReasonACME {
		return was
	}
	m := meeting{
		v: v, attack: a.attack.Load(), now: a.clk.Now(),
		recalled: true, again: true, cookie: v.Clearance != traffic.ClearanceNone,
	}
	switch {
	case a.isOff(&m), a.isAllowed(&m):
		return was
	case a.isBanned(&m), a.isMitigated(&m):
		m.identify(&a.seed) // whose counters it goes to
		a.counts.decided(&m)
		return m.verdict
	case m.verdict.Action != mitigation.Slow:
		return was
	}
	a.isRanked(&m)
	m.verdict.Rank = max(m.verdict.Rank, was.Rank)
	return m.verdict
}
