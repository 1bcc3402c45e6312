package admit

import (
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	// knownBefore is how long before an attack's first sign a clearance must
	// have been issued: detection needs a moment, and the attack's own first
	// visits must not count as known.
	knownBefore = 3 * time.Second

	// A clearance speaks for a person behind a shared prefix when it was issued
	// so long ago, has been used for so long, and so often.
	vettedAge    = time.Minute
	vettedUse    = 10 // seconds
	vettedVisits = 3

	greedyOver = 8 // times over budget, halved every minute

	rehome = 600 // seconds idle, after which a clearance may move to another prefix
)

// recall finds out what is remembered of the visitor, and notes the visit. It
// sets the visit's Standing and, where it was known before the attack, its
// Clearance. It never decides.
func (a *Admit) recall(m *meeting) bool {
	if m.recalled {
		return false
	}
	m.recalled = true
	m.cookie = m.v.Clearance != traffic.ClearanceNone
	if !m.expected {
		m.identify(&a.seed)
		a.warm(m)
	}
	if m.cookie {
		a.recallClearance(m)
	}
	a.recallStanding(m)
	if m.hostile() && !m.cookie && m.v.Standing == traffic.StandingNew {
		a.recallPrefix(m)
	}
	m.showThin()

	m.reserved = m.reserved || m.v.Clearance == traffic.ClearanceKnown
	m.weight = 1
	if m.hostile() && m.v.Clearance == traffic.ClearanceNone && !m.behaved {
		// A quarter of the rate and of the burst is the same as four times the
		// price.
		m.weight = 4
	}
	return false
}

// identify computes the keys under which the visitor is remembered.
func (m *meeting) identify(s *seeds) {
	m.addr = addressOf(m.v.Client)
	m.client = m.addr.hash(s, traffic.LevelClient)
	m.wide = m.addr.hash(s, traffic.LevelWide)
	if !m.addr.v4 {
		m.middle = m.addr.hash(s, traffic.LevelMiddle)
	}
	if m.v.Clearance != traffic.ClearanceNone {
		m.clearance = s.mix(m.v.ClearanceID, kindClearance)
	}
	m.standing = s.mix(m.client, kindStanding^s.text(m.v.UserAgent))
}

// recallClearance notes the visit at its clearance and finds out whether it was
// known before the attack, and whether it speaks for a person (see crowd.go).
func (a *Admit) recallClearance(m *meeting) {
	age := time.Duration(a.wall.nanos(a.clk, m.now) - m.v.ClearanceAt.UnixNano())
	m.fresh = age < (askAgain+1)*time.Second // issued says the second alone
	s := a.clearances.at(m.clearance)
	s.acquire()
	i := s.find(m.clearance)
	if i < 0 {
		var r room
		if i, r = s.place(m.clearance, m.sec); i >= 0 {
			if r == roomPushed {
				s.carry = max(s.carry, s.cells[i].tat)
			}
			a.counts.placed(inClearances, m.clearance, r)
			s.cells[i] = clearanceCell{tat: s.carry, first: m.sec, home: uint32(m.client), fadeAt: uint16(m.sec / 60)}
		}
	}
	if i >= 0 {
		c := &s.cells[i]
		idle := s.touch(i, m.sec)
		if n := fade(&c.fadeAt, m.sec); n > 0 {
			c.over >>= n
		}
		if home := uint32(m.client); c.home != home && idle > rehome {
			c.home = home
		}
		add(&c.visits)
		m.fresh = m.fresh && c.visits == 1
		m.greedy = c.over >= greedyOver
		if age >= vettedAge && elapsed(m.sec, c.first) >= vettedUse && c.visits >= vettedVisits && c.over == 0 {
			m.reserved = true
			if c.home == uint32(m.client) {
				m.good = 1 << (m.clearance & 63)
			}
		}
		s.pin(i, m.reserved)
	}
	s.release()

	if m.attack != nil && !m.greedy && m.v.ClearanceAt.UnixNano() <= m.attack.wall-int64(knownBefore) {
		m.v.Clearance = traffic.ClearanceKnown
	}
}

// isRanked lets the visit in and gives it its place in line.
func (a *Admit) isRanked(m *meeting) bool {
	v := &m.verdict
	switch {
	case m.greedy:
		v.Rank = mitigation.RankSuspect
	case v.Action == mitigation.Slow:
		v.Rank = mitigation.RankSuspect
		if m.cookie && m.attack != nil && m.v.ClearanceAt.UnixNano() <= m.attack.wall && m.v.Standing != traffic.StandingGreedy {
			// Who was here before is not put among the flood, however much the two
			// look alike.
			v.Rank = mitigation.RankNewcomer
		}
	case m.v.Clearance == traffic.ClearanceKnown:
		v.Rank = mitigation.RankKnown
	case m.v.Standing == traffic.StandingShy, m.v.Standing == traffic.StandingGreedy:
		v.Rank = mitigation.RankSuspect
	case m.cookie, m.behaved:
		v.Rank = mitigation.RankProven
	default:
		v.Rank = mitigation.RankNewcomer
	}
	return true
}
