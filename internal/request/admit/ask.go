package admit

import "seawall/internal/traffic"

const (
	// askAgain is for how many seconds nobody of a client prefix and program is asked
	// again: who comes back without a cookie in that time keeps none, and is not sent
	// round in a circle.
	askAgain = 5
	// askMost is how often they are asked in a minute or two: there may be several
	// people behind a prefix who use the same browser.
	askMost = 4
)

// asks says whether a visit that a mitigation challenges is asked for a sign: to come
// back with the clearance that it is sent. Only who wants to look at a page can be
// asked, and a browser does it unseen. Everybody else goes on, behind everybody else;
// so do those who were asked and keep no cookies.
func (a *Admit) asks(m *meeting) bool {
	if m.again || m.v.Kind != traffic.KindPage || m.v.Method != "GET" && m.v.Method != "HEAD" {
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
	add(&c.asked)
	c.askedAt = uint16(m.sec)
	return true
}

// answers counts who comes back as asked.
func (c *standingCell) answers(m *meeting) bool {
	if !m.cookie || c.asked == 0 || since(m.sec, c.askedAt) >= askAgain {
		return false
	}
	c.asked-- // it is no longer open, and counts no more against others
	return true
}
