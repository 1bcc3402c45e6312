package admit

import (
	"errors"
	"fmt"
	"net/netip"
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
	rule    bool          // of the configuration's rules
	shadow  bool          // on a dry run: the machine only watches
	until   clock.Instant // 0: has no end
}

// Reconfigure takes over other budgets and other lists of the configuration
// while visits go on. The sizes (clients, bans, recent) cannot change. After an
// error everything is as it was.
func (a *Admit) Reconfigure(cfg Config) error {
	if err := cfg.Validate().Err(); err != nil {
		return fmt.Errorf("reconfigure the door: %w", err)
	}
	if cfg.Clients != a.cfg.Clients || cfg.Bans != a.cfg.Bans || cfg.Recent != a.cfg.Recent {
		return errors.New("reconfigure the door: clients, bans and recent cannot change while it stands")
	}
	fixed := make(map[place]applied)
	fix := func(n applied, on list, texts []string) {
		for _, p := range prefixes("", texts, new(problem.List)) {
			n.place = place{on, p}
			fixed[n.place] = n
		}
	}
	fix(applied{reason: mitigation.ReasonTrustedMonitor}, onAllow, cfg.Monitors)
	fix(applied{reason: mitigation.ReasonAllowList}, onAllow, cfg.Allow)
	fix(applied{order: order{action: mitigation.Refuse}}, onPeople, cfg.Deny)

	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.book.fixed
	if err := a.swapFixed(fixed); err != nil {
		_ = a.swapFixed(before) // it fitted before
		return fmt.Errorf("reconfigure the door: %w", err)
	}
	a.limits.Store(newLimits(cfg))
	return nil
}

// swapFixed publishes other entries of the configuration in the place of those
// there were. What stays is never missing; what goes makes room first.
func (a *Admit) swapFixed(fixed map[place]applied) error {
	before, now := a.book.fixed, a.clk.Now()
	a.book.fixed = fixed
	for pl := range before {
		if _, stays := fixed[pl]; !stays {
			if err := a.show(pl, now); err != nil {
				return err
			}
		}
	}
	for pl := range fixed {
		if err := a.show(pl, now); err != nil {
			return err
		}
	}
	return nil
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

// Allowed says whether an address is on the allow list.
func (a *Admit) Allowed(addr netip.Addr) bool {
	_, ok := a.allow.Longest(addr, a.clk.Now())
	return ok
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
	if e.shadow {
		m.spare(e.action, mitigation.ReasonBan, e.id)
		return false
	}
	return m.ban(e)
}

func (m *meeting) ban(e ban) bool {
	m.verdict = mitigation.Verdict{Action: e.action, Reason: mitigation.ReasonBan, ID: e.id, Rank: mitigation.RankSuspect}
	if e.rule {
		m.verdict.Reason = mitigation.ReasonRule // the operator's will, and no sign of a flood
	}
	if e.until != 0 {
		m.verdict.RetryAfter = max(e.until.Sub(m.now), time.Second)
	}
	return true
}
