package admit

import (
	"math/bits"
	"net/netip"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	offenceWindow = 60  // seconds in which refusals are counted
	offenceCalm   = 40  // refusals that make an offence in peace
	offenceAttack = 20  // the same under attack
	reportEvery   = 30  // seconds between two reports on a prefix
	recordEvery   = 600 // seconds between two entries of a prefix on Recent's list
	liveFor       = 600 // seconds for which a clearance that was seen is live
	forgiven      = 2   // refusals that one visit let in makes good
)

// settle draws the consequences of the verdict: it counts it, and if the visit
// was turned away, notes that at the client's prefix and standing.
func (a *Admit) settle(m *meeting) {
	if m.would.Action != mitigation.Admit && m.verdict.LetsIn() {
		m.verdict.Would = m.would
	}
	a.counts.decided(m)
	if m.answers {
		a.answered(m)
	}
	switch m.verdict.Action {
	case mitigation.Refuse, mitigation.Drop:
		a.noteRefusal(m)
	case mitigation.Admit, mitigation.Slow:
		if m.forgive {
			a.forgive(m)
		}
	}
}

// noteRefusal counts a refusal at the client's prefix, which decides on a
// report, and at its standing when it was over its own budget.
func (a *Admit) noteRefusal(m *meeting) {
	a.recall(m) // a banned visit has not been recalled yet
	if m.verdict.Reason == mitigation.ReasonClientBudget && !m.cookie {
		s := a.standings.at(m.standing)
		s.acquire()
		if i := s.find(m.standing); i >= 0 {
			add(&s.cells[i].over)
		}
		s.release()
	}
	a.noteAtPrefix(m)
}

// noteAtPrefix counts a refusal at the client's prefix, and reports that where it
// is due. Of m it needs no more than the time and the prefix.
func (a *Admit) noteAtPrefix(m *meeting) {
	s := a.clients.at(m.client)
	s.acquire()
	c := a.prefix(s, m.client, m, inClients)
	if c == nil {
		s.release()
		return
	}
	record := since(m.sec, c.recordedAt) >= recordEvery
	if record {
		c.recordedAt = uint16(m.sec)
	}
	if since(m.sec, c.refusedAt) >= offenceWindow {
		c.refused, c.refusedAt = 0, uint16(m.sec)
	}
	add(&c.refused)
	count := c.refused
	report := c.offends(m)
	if report {
		c.reportedAt = uint16(m.sec)
	}
	s.release()

	if record {
		a.recent.note(m.addr, m.now)
	}
	if report {
		o := mitigation.Offence{Prefix: m.addr.prefix(), Refused: uint32(count), Direct: m.v.Direct()}
		select {
		case a.offences <- o:
		default:
			a.counts.lostOffences.Add(1)
		}
	}
}

// offends says whether the prefix is to be reported now. A prefix with a live
// clearance or several programs that behave well never is: there are
// people behind it.
func (c *prefixCell) offends(m *meeting) bool {
	most := uint16(offenceCalm)
	if m.hostile() {
		most = offenceAttack
	}
	return c.refused >= most &&
		since(m.sec, c.reportedAt) >= reportEvery &&
		!c.shared(m.sec)
}

// shared says whether people are behind a prefix: a live clearance, or several
// programs that behave well.
func (c *prefixCell) shared(sec uint32) bool {
	return c.liveClearance(sec) || bits.OnesCount8(c.prints) >= 2
}

// Shared says whether people are known to be behind a client's prefix now, so
// that the machine must not stop its packets. It is what reports of offences go
// by, asked again: a visitor may have come since.
func (a *Admit) Shared(client netip.Prefix) bool {
	key := addressOf(client.Addr()).hash(&a.seed, traffic.LevelClient)
	s := a.clients.at(key)
	s.acquire()
	defer s.release()
	i := s.find(key)
	return i >= 0 && s.cells[i].shared(uint32(a.clk.Now()/clock.Instant(time.Second)))
}

// forgive takes back refusals after a visit was let in: who is merely a little
// over the budget, so that two in three visits pass, never becomes an offender.
func (a *Admit) forgive(m *meeting) {
	s := a.clients.at(m.client)
	s.acquire()
	if i := s.find(m.client); i >= 0 {
		c := &s.cells[i]
		c.refused -= min(c.refused, forgiven)
	}
	s.release()
}
