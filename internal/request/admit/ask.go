package admit

import (
	"sync/atomic"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const (
	// askAgain is for how many seconds nobody of a client prefix and program is asked
	// again: who comes back without a cookie in that time keeps none, and is not sent
	// round in a circle.
	askAgain = 5
	// askMost is how often they are asked in a minute or two: there may be several
	// people behind a prefix who use the same browser.
	askMost = 4
)

// trial counts whom a challenge asked, in shards as all counters here, and who answered:
// those are few.
type trial struct {
	asked [shards]struct {
		n atomic.Uint64
		_ [56]byte // a cache line each
	}
	answered atomic.Uint64
}

// take returns what was counted since it was last called.
func (t *trial) take() (asked, answered uint64) {
	for i := range t.asked {
		asked += t.asked[i].n.Swap(0)
	}
	return asked, t.answered.Swap(0)
}

// asks says whether a visit that a mitigation challenges is asked for a sign: to come
// back with the clearance that it is sent. Only who wants to look at a page can be
// asked, and a browser does it unseen. Everybody else goes on, behind everybody else;
// so do those who were asked and keep no cookies.
func (a *Admit) asks(m *meeting, e *order) bool {
	if m.again || e.few && m.client>>8%16 != 0 || !askable(m.v) {
		return false
	}
	s := a.standings.at(m.standing)
	s.acquire()
	defer s.release()
	i := s.find(m.standing)
	if i < 0 {
		return false // nobody could remember that it was asked
	}
	c := &s.cells[i]
	if c.asked >= askMost || c.asked > 0 && since(m.sec, c.askedAt) < askAgain {
		return false
	}
	c.asked++
	c.askedAt, c.askedBy = uint16(m.sec), uint8(e.id)
	if e.trial != nil {
		e.trial.asked[(m.client>>20)%shards].n.Add(1)
	}
	return true
}

// askable says that a visit looks at a page: it can come back for it.
func askable(v *traffic.Visit) bool {
	return v.Kind == traffic.KindPage && (v.Method == "GET" || v.Method == "HEAD")
}

// answers says whether who was asked comes back with the clearance. It is no longer open
// then, and counts no more against others. A clearance answers once, and only where it may
// be the one that was sent: what others behind the prefix have long had answers for nobody.
func (c *standingCell) answers(m *meeting) bool {
	if !m.fresh || c.asked == 0 || since(m.sec, c.askedAt) >= askAgain {
		return false
	}
	c.asked--
	m.askedBy = c.askedBy
	return true
}

// answered counts it for the mitigation that asked. Of its number only the last byte was
// kept: of two that may have been it, neither counts.
func (a *Admit) answered(m *meeting) {
	var by *trial
	for _, o := range []*orders{a.rules.Load(), a.orders.Load()} {
		for i := range o.len() {
			e := &o.list[i]
			switch {
			case e.trial == nil || uint8(e.id) != m.askedBy:
			case by != nil:
				return
			default:
				by = e.trial
			}
		}
	}
	if by != nil {
		by.answered.Add(1)
	}
}

// Trials tells whom each challenge asked since Trials was last called, and how many of
// those it asked came back with a clearance. Those that asked nobody are left out. It is
// for one caller alone.
func (a *Admit) Trials(tell func(id mitigation.ID, asked, answered uint64)) {
	for _, o := range []*orders{a.rules.Load(), a.orders.Load()} {
		for i := range o.len() {
			e := &o.list[i]
			if e.trial == nil {
				continue
			}
			if asked, answered := e.trial.take(); asked+answered > 0 {
				tell(e.id, asked, answered)
			}
		}
	}
}
