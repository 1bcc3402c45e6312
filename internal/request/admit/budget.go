package admit

import (
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/gcra"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// limits are the budgets of each width of prefix.
type limits struct{ one, net56, net48, net24 gcra.Limit }

func newLimits(cfg Config) *limits {
	one := gcra.New(cfg.Rate, cfg.Burst)
	return &limits{one, one.Times(cfg.Times56), one.Times(cfg.Times48), one.Times(cfg.Times24)}
}

// reserveDepth is how many bursts deep a budget is for visitors who are known
// or whose clearance is vetted, sharedDepth for those of a prefix whose visits
// fetch assets, in peace. Other strangers may use the first only, and no stranger the last, so
// they can never use up what those with a past behind the same prefix need.
const reserveDepth, sharedDepth = 3, 2

// isOverOwnBudget charges the visit to its clearance, if it came with one, and
// to its client prefix. A stolen cookie therefore buys one visitor's budget,
// from however many addresses it is used.
func (a *Admit) isOverOwnBudget(m *meeting) bool {
	lim := a.limits.Load()
	if m.cookie {
		if ok, retry := a.chargeClearance(m, lim.one); !ok {
			return a.over(m, mitigation.ReasonClientBudget, retry)
		}
	}
	ok, retry := a.charge(a.clients.at(m.client), m.client, lim.one, m, inClients)
	if ok {
		return false
	}
	if m.browses || m.shared {
		shared := lim.one.Times(sharedTimes)
		if m.shared && !m.reserved {
			shared = shared.Deeper(sharedDepth)
		}
		if ok, _ := a.charge(a.clients.at(m.client), m.client, shared, m, inClients); ok {
			if a.cfg.Watch {
				m.spare(mitigation.Slow, mitigation.ReasonClientBudget, 0)
				return false
			}
			m.verdict = mitigation.Verdict{Action: mitigation.Slow, Reason: mitigation.ReasonClientBudget}
			return false
		}
	}
	return a.over(m, mitigation.ReasonClientBudget, retry)
}

// sharedTimes is how many times its budget a prefix may have whose visits look
// like several people's: beyond the first they go behind everybody else. A school
// or a conference that opens a page at once has had no time to prove itself; who
// merely pretends gets what the origin does not need for others.
const sharedTimes = 16

// isOverNeighboursBudget charges the visit to the wider prefixes that it is in.
// Who is refused here stays charged for its own: the budget of somebody who
// goes on asking is used up first.
func (a *Admit) isOverNeighboursBudget(m *meeting) bool {
	lim := a.limits.Load()
	wide := lim.net24
	if !m.addr.v4 {
		if ok, retry := a.charge(a.wider.at(m.middle), m.middle, lim.net56, m, inWider); !ok {
			return a.over(m, mitigation.ReasonNeighbours, retry)
		}
		wide = lim.net48
	}
	if ok, retry := a.charge(a.wider.at(m.wide), m.wide, wide, m, inWider); !ok {
		return a.over(m, mitigation.ReasonNeighbours, retry)
	}
	return false
}

// over refuses the visit, or in watch mode notes that it would have been.
func (a *Admit) over(m *meeting, why mitigation.Reason, retry time.Duration) bool {
	if a.cfg.Watch {
		m.spare(mitigation.Refuse, why, 0)
		return false
	}
	m.verdict = mitigation.Verdict{
		Action: mitigation.Refuse, Reason: why,
		Rank: mitigation.RankSuspect, RetryAfter: retry,
	}
	return true
}

// charge charges the visit to a prefix. A prefix for which its set has no room
// is charged to the budget that those without room share. s is the set of key in
// the table of that number.
func (a *Admit) charge(s *set[prefixCell], key uint64, l gcra.Limit, m *meeting, table int) (ok bool, retry time.Duration) {
	s.acquire()
	defer s.release()
	c := a.prefix(s, key, m, table)
	if c == nil {
		s.carry, ok, retry = l.Take(s.carry, m.now, m.weight)
		return ok, retry
	}
	if n := c.times(); n > 1 {
		l = l.Times(n)
	}
	if m.reserved {
		l = l.Deeper(reserveDepth)
	}
	if table == inClients && !m.noted {
		m.noted = true // not again for the second budget
		c.note(m.v.Kind)
		m.shared = !m.hostile() && c.browses()
		if m.v.Standing == traffic.StandingNew && !m.cookie && c.thin(m.sec) {
			m.v.Standing = traffic.StandingThin // in the name of ever new programs
		}
	}
	c.tat, ok, retry = l.Take(c.tat, m.now, m.weight)
	if c.refused > 0 {
		m.forgive = true
	}
	if ok && m.good != 0 {
		pace := uint16(growCalm)
		if m.hostile() {
			pace = growAttack
		}
		c.grow(m.good, m.sec, pace)
	}
	if ok && m.cookie && !m.greedy {
		c.clearedAt = uint16(m.sec)
	}
	c.prints |= m.print
	return ok, retry
}

// prefix finds the cell of a prefix in its set, which the caller has locked, or
// makes one; nil where there is no room.
func (a *Admit) prefix(s *set[prefixCell], key uint64, m *meeting, table int) *prefixCell {
	i := s.find(key)
	if i >= 0 {
		c := &s.cells[i]
		idle := s.touch(i, m.sec)
		c.wipe(m.sec, idle)
		if c.crowd != 0 || m.reserved {
			s.pin(i, true)
		} else if s.pinned != 0 && !c.liveClearance(m.sec) {
			s.pin(i, false)
		}
		return c
	}
	i, r := s.place(key, m.sec)
	if i < 0 {
		return nil
	}
	if r == roomPushed {
		s.carry = max(s.carry, s.cells[i].tat)
	}
	a.counts.placed(table, key, r)
	s.cells[i] = newPrefixCell(s.carry, m.sec)
	return &s.cells[i]
}

// chargeClearance charges the visit to its own clearance.
func (a *Admit) chargeClearance(m *meeting, l gcra.Limit) (ok bool, retry time.Duration) {
	s := a.clearances.at(m.clearance)
	s.acquire()
	defer s.release()
	i := s.find(m.clearance)
	if i < 0 { // no room, or pushed out a moment ago
		s.carry, ok, retry = l.Take(s.carry, m.now, 1)
		return ok, retry
	}
	c := &s.cells[i]
	var next clock.Instant
	if next, ok, retry = l.Take(c.tat, m.now, 1); ok {
		c.tat = next
	} else {
		add(&c.over)
	}
	return ok, retry
}
