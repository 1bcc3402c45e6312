package admit

import "seawall/internal/traffic"

const (
	shyPages   = 3  // pages without a clearance ever and hardly an asset
	goodAge    = 10 // seconds of behaviour before anybody is called good
	goodVisits = 3
	// A page comes with assets, unless the browser has them already: one in so
	// many pages is enough.
	pagesPerAsset = 16
	// Who fetches no more than one asset for so many pages is thin: a browser that has
	// them already, or a bot that wants to look like one.
	thinPages = 2
	// Or the clearance comes back: with one in so many pages, at least.
	pagesPerCleared = 4
	printAge        = 60 // seconds of being good before a program counts
)

// recallStanding notes the visit at its client prefix and program, and
// sets the visit's Standing. Who was good before the attack began, and still
// is, counts as known, and is never thin.
func (a *Admit) recallStanding(m *meeting) {
	s := a.standings.at(m.standing)
	s.acquire()
	defer s.release()
	i := s.find(m.standing)
	if i < 0 {
		var r room
		if i, r = s.place(m.standing, m.sec); i < 0 {
			return // StandingNew
		}
		a.counts.placed(inStandings, m.standing, r)
		s.cells[i] = standingCell{first: m.sec, fadeAt: uint16(m.sec / 60)}
	}
	c := &s.cells[i]
	s.touch(i, m.sec)
	c.note(m)
	m.answers = c.answers(m)
	m.v.Standing = c.standing(m.sec)
	good := m.v.Standing == traffic.StandingGood
	if good && !m.cookie && !c.goodWithout() {
		// What is good here is done by others behind the same prefix, who bring
		// their clearances.
		m.v.Standing = traffic.StandingNew
	}
	m.behaved = m.v.Standing == traffic.StandingGood
	m.browses = m.cookie && !m.greedy || m.behaved || !m.hostile() && c.goodWithout()
	switch {
	case m.behaved:
		if c.goodSince == 0 {
			c.goodSince = m.sec
		}
		if elapsed(m.sec, c.goodSince) >= printAge {
			m.print = 1 << (m.standing & (printBits - 1))
			if m.good == 0 && !m.cookie {
				m.good = uint64(m.print)
			}
		}
	case !good:
		c.goodSince = 0
	}
	s.pin(i, c.goodSince != 0)

	if m.cookie && !m.greedy && m.v.Standing == traffic.StandingGreedy {
		// Somebody else behind the same prefix, with the same browser, is: a
		// visitor with a clearance is judged by what that clearance does.
		m.v.Standing = traffic.StandingNew
	}
	if m.attack != nil && !m.greedy && m.behaved && c.goodSince != 0 && c.goodSince <= m.attack.sec {
		m.v.Clearance = traffic.ClearanceKnown
		return
	}
	m.thin = c.thin()
}

// showThin shows that a visit is thin, to orders and samples. Everything else here goes
// by the standing that it would have otherwise: a browser that has the assets loses
// nothing. In peace it shows as well, so that ordinary samples tell how many there are.
func (m *meeting) showThin() {
	if m.thin && (m.v.Standing == traffic.StandingNew || m.v.Standing == traffic.StandingGood) {
		m.v.Standing = traffic.StandingThin
	}
}

// rotatedPages is how many pages without a clearance and hardly an asset make a
// prefix shy as a whole. It is more than shyPages: they may be several people's.
const rotatedPages = 6

// recallPrefix calls a visit shy whose program is new, where its prefix asks
// for page after page in the name of ever new ones. It is for attacks only, and
// spares a prefix from which a clearance came lately: there people are behind it.
func (a *Admit) recallPrefix(m *meeting) {
	key := a.seed.mix(m.client, kindAnyProgram)
	s := a.standings.at(key)
	s.acquire()
	i := s.find(key)
	if i < 0 {
		var r room
		if i, r = s.place(key, m.sec); i < 0 {
			s.release()
			return
		}
		a.counts.placed(inStandings, key, r)
		s.cells[i] = standingCell{first: m.sec, fadeAt: uint16(m.sec / 60)}
	}
	c := &s.cells[i]
	s.touch(i, m.sec)
	c.note(m)
	shy := c.pages >= rotatedPages && int(c.assets)*pagesPerAsset < int(c.pages)
	s.release()
	if !shy {
		return
	}
	p := a.clients.at(m.client)
	p.acquire()
	if i := p.find(m.client); i < 0 || !p.cells[i].liveClearance(m.sec) {
		m.v.Standing = traffic.StandingShy
	}
	p.release()
}

// note counts the visit, after halving what is older than a minute.
func (c *standingCell) note(m *meeting) {
	if n := fade(&c.fadeAt, m.sec); n > 0 {
		c.over >>= n
		c.asked >>= n
		c.pages, c.cleared = keepOne(c.pages, n), keepOne(c.cleared, n)
		c.assets, c.bare = keepOne(c.assets, n), keepOne(c.bare, n)
	}
	switch m.v.Kind {
	case traffic.KindPage:
		add(&c.pages)
	case traffic.KindAsset:
		add(&c.assets)
		if !m.cookie {
			add(&c.bare)
		}
	}
	if m.cookie {
		add(&c.cleared)
	}
}

func (c *standingCell) standing(sec uint32) traffic.Standing {
	pages, assets, cleared := int(c.pages), int(c.assets), int(c.cleared)
	fetches := assets*pagesPerAsset >= pages
	switch {
	case c.over >= greedyOver:
		return traffic.StandingGreedy
	case pages >= shyPages && cleared == 0 && !fetches:
		return traffic.StandingShy
	case assets+cleared == 0 || elapsed(sec, c.first) < goodAge:
		return traffic.StandingNew
	case c.goodSince == 0 && max(pages+assets, cleared) < goodVisits:
		return traffic.StandingNew
	case assets > 0 && pages > 0 && fetches, cleared > 0 && cleared*pagesPerCleared >= pages:
		return traffic.StandingGood
	}
	return traffic.StandingNew
}

// thin says whether page after page is asked for, and hardly what they are made of, and
// no clearance ever came back.
func (c *standingCell) thin() bool {
	return c.pages >= shyPages && c.cleared == 0 && int(c.assets)*thinPages <= int(c.pages)
}

// goodWithout says whether assets are fetched by those who bring no clearance,
// with one in so many pages at least. Where it is not so, a visit without one is
// somebody's first, or a bot's that shares the prefix with visitors.
func (c *standingCell) goodWithout() bool {
	return c.bare > 0 && c.pages > 0 && int(c.bare)*pagesPerAsset >= int(c.pages)
}
