package admit

import (
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// warm touches the heads of the sets that this visit is about to need, so that
// the processor fetches them side by side: one after the other, each would cost
// a wait for main memory. (Measured with a million clients: 830 ns a decision
// with it, 1,030 without. Touching the cells as well gained nothing.)
func (a *Admit) warm(m *meeting) {
	n := a.standings.at(m.standing).lock.Load() + a.clients.at(m.client).lock.Load() + a.wider.at(m.wide).lock.Load()
	if !m.addr.v4 {
		n += a.wider.at(m.middle).lock.Load()
	}
	if m.cookie {
		n += a.clearances.at(m.clearance).lock.Load()
	}
	m.warmed = n // keeps the loads from being left out
}

// GroupSize is how many visits a Group is for: a processor waits for some dozens of cache
// lines at a time.
const GroupSize = 16

// Group is the keys of visits that are all known before the first of them is decided on, as
// they are in a log. The zero Group is empty.
type Group struct{ keys [GroupSize]keys }

// keys are those under which a visitor is remembered.
type keys struct {
	addr      address
	client    uint64 // keys into the tables
	middle    uint64 // valid iff IPv6
	wide      uint64
	clearance uint64 // valid iff the visit came with a clearance
	standing  uint64
}

// Expect makes out a Group of at most GroupSize visits and does for it what warm does for a
// visit: all keys come first, then all heads, then all cells, so that nothing stands
// between the loads and the processor waits for as many side by side as it can. It
// changes nothing. It locks nothing either, so it is for who uses the door alone. It
// returns a number that means nothing, for which the loads are done.
func (a *Admit) Expect(g *Group, visits []traffic.Visit) (warmed uint32) {
	group := g.keys[:min(len(visits), GroupSize)]
	for i := range group {
		m := meeting{v: &visits[i]}
		m.identify(&a.seed)
		group[i] = m.keys
	}
	for i := range group {
		k := &group[i]
		warmed += a.standings.at(k.standing).lock.Load() + a.clients.at(k.client).lock.Load() + a.wider.at(k.wide).lock.Load()
	}
	for i := range group {
		k := &group[i]
		s, c, w := a.standings.at(k.standing), a.clients.at(k.client), a.wider.at(k.wide)
		// max: one that is not there yet will most likely be put in an early place.
		warmed += s.cells[max(s.find(k.standing), 0)].first +
			uint32(c.cells[max(c.find(k.client), 0)].refused) + uint32(w.cells[max(w.find(k.wide), 0)].refused)
	}
	return warmed
}

// DecideExpected is Decide for the visit of a number in a Group. What Expect has made out
// of it must not have changed: its client, clearance and user agent.
func (a *Admit) DecideExpected(g *Group, i int, v *traffic.Visit) mitigation.Verdict {
	m := meeting{v: v, keys: g.keys[i], expected: true, attack: a.attack.Load(), now: v.At, sec: uint32(v.At / clock.Instant(time.Second))}
	a.decide(&m)
	return m.verdict
}
