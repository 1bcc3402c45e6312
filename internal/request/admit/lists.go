package admit

import (
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/problem"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// pass is an entry of the allow list.
type pass struct {
	id     mitigation.ID
	reason mitigation.Reason
}

// ban is an entry of the other lists: what is done about a prefix.
type ban struct {
	id      mitigation.ID
	action  mitigation.Action
	machine bool          // ordered by the machine or a peer
	until   clock.Instant // 0: has no end
}

// fromConfig fills the lists that a person wrote down. They have no end.
func (a *Admit) fromConfig(cfg Config) error {
	var l problem.List
	fix := func(n applied, on list, texts []string) {
		for _, p := range prefixes("", texts, &l) {
			n.place = place{on, p}
			a.book.fixed[n.place] = n
		}
	}
	fix(applied{reason: mitigation.ReasonTrustedMonitor}, onAllow, cfg.Monitors)
	fix(applied{reason: mitigation.ReasonAllowList}, onAllow, cfg.Allow)
	fix(applied{order: order{action: mitigation.Refuse}}, onPeople, cfg.Deny)
	for pl := range a.book.fixed {
		if err := a.show(pl, a.clk.Now()); err != nil {
			return err
		}
	}
	return l.Err()
}

// isAllowed lets in who is on the allow list, whatever else is said of them.
// They have no budget.
func (a *Admit) isAllowed(m *meeting) bool {
	e, ok := a.allow.Longest(m.v.Client, m.now)
	if !ok {
		return false
	}
	m.verdict = mitigation.Verdict{Reason: e.reason, ID: e.id, Rank: mitigation.RankKnown}
	return true
}

// isBanned refuses banned prefixes. A ban by a person hits everybody behind the
// prefix; one by the machine never hits a visitor who holds a clearance or was
// known before the attack.
func (a *Admit) isBanned(m *meeting) bool {
	if e, ok := a.people.Longest(m.v.Client, m.now); ok {
		return m.ban(e)
	}
	e, ok := a.machine.Longest(m.v.Client, m.now)
	if !ok || m.v.Clearance != traffic.ClearanceNone {
		return false
	}
	if a.recall(m); m.v.Clearance != traffic.ClearanceNone {
		return false
	}
	return m.ban(e)
}

func (m *meeting) ban(e ban) bool {
	m.verdict = mitigation.Verdict{Action: e.action, Reason: mitigation.ReasonBan, ID: e.id, Rank: mitigation.RankSuspect}
	if e.until != 0 {
		m.verdict.RetryAfter = max(e.until.Sub(m.now), time.Second)
	}
	return true
}
