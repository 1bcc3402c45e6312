package admit

import (
	"math/bits"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/gcra"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Before a handshake nobody has shown a clearance, so that the machine may turn
// away less than at the door: nobody behind whose prefix people are known to be,
// and by what a mitigation describes only a prefix that the door has refused
// several times within a minute. All others make their handshake, and the door
// decides on what they ask for.
const (
	// greetRefused is how many refusals of the last minute make it so.
	greetRefused = 3
	// tryEvery is how many seconds a prefix waits until one of its connections
	// goes through to the door all the same, so that somebody who was banned by
	// mistake reads why, and somebody with a clearance shows it.
	tryEvery = 8
	// tryRate and tryBurst bound such connections of all together, a second.
	tryRate, tryBurst = 20, 100
	// overOffence is how many hellos over the budget count as one refusal. A
	// thousand people who open a site at once are over it for a moment.
	overOffence = 16
)

// Greet says whether a connection is wanted that asks for a TLS handshake. Of v is
// known only what the connection shows: At, Peer, Client, Network, Country, JA4.
// It is for Action (let in, Refuse or Drop), Reason, ID and Rank (RankKnown who is
// on the allow list, RankProven a prefix behind which there are people).
//
// It charges no budget and counts no decision. A refusal counts as one at the
// door does for reports of offences.
func (a *Admit) Greet(v *traffic.Visit) mitigation.Verdict {
	m := meeting{v: v, attack: a.attack.Load(), now: v.At, sec: uint32(v.At / clock.Instant(time.Second))}
	if a.isOff(&m) || a.isAllowed(&m) {
		return m.verdict
	}
	m.verdict.Rank = mitigation.RankNewcomer
	m.addr = addressOf(v.Client)
	m.client = m.addr.hash(&a.seed, traffic.LevelClient)
	shared, refused := a.reputation(&m)
	if shared {
		m.verdict.Rank = mitigation.RankProven
	}
	welcome := m.verdict
	switch {
	case !a.isBannedAnyway(&m, shared) && !a.isDescribed(&m, shared, refused):
		return welcome
	case m.verdict.Action != mitigation.Drop && a.tries(&m):
		welcome.Rank = mitigation.RankNewcomer
		return welcome
	}
	a.noteAtPrefix(&m)
	return m.verdict
}

// TurnedAway tells the door that listen has turned away a connection by itself,
// over its client's budget.
func (a *Admit) TurnedAway(v *traffic.Visit) {
	if a.off.Load() || !a.overCounts() {
		return
	}
	m := meeting{v: v, attack: a.attack.Load(), now: v.At, sec: uint32(v.At / clock.Instant(time.Second))}
	m.addr = addressOf(v.Client)
	m.client = m.addr.hash(&a.seed, traffic.LevelClient)
	a.noteAtPrefix(&m)
}

// overCounts says whether this hello over a budget counts: one in so many does, and nobody
// outside can tell which, nor is it another one when the same hellos come again to a door
// with the same seed.
func (a *Admit) overCounts() bool {
	return a.seed.mix(a.turned.Add(1), kindOver)%overOffence == 0
}

// reputation is what is remembered of the client's prefix: whether people are
// behind it, and how many refusals stand against it.
func (a *Admit) reputation(m *meeting) (shared bool, refused int) {
	s := a.clients.at(m.client)
	s.acquire()
	defer s.release()
	i := s.find(m.client)
	if i < 0 {
		return false, 0
	}
	c := &s.cells[i]
	if since(m.sec, c.refusedAt) < offenceWindow {
		refused = int(c.refused)
	}
	return c.shared(m.sec), refused
}

// isBannedAnyway says whether the prefix is banned whoever is behind it. A ban by
// the machine is for those behind whom nobody is known to be.
func (a *Admit) isBannedAnyway(m *meeting, shared bool) bool {
	if e, ok := a.people.Longest(m.v.Client, m.now); ok {
		return m.ban(e)
	}
	if shared {
		return false
	}
	e, ok := a.machine.Longest(m.v.Client, m.now)
	return ok && !e.shadow && m.ban(e)
}

// isDescribed says whether a mitigation refuses all that comes by such a
// connection, whatever it asks for.
func (a *Admit) isDescribed(m *meeting, shared bool, refused int) bool {
	if r := a.rules.Load(); r != nil {
		if e := r.describes(m, shared, refused); e != nil {
			return e.action != mitigation.Admit && a.mitigate(m, e, mitigation.ReasonRule)
		}
	}
	o := a.orders.Load()
	if o.greet == 0 {
		return false
	}
	if e, milder := a.milder.Longest(m.v.Client, m.now); milder && !e.rule {
		return false // that comes before these, see isMitigated
	}
	e := o.describes(m, shared, refused)
	return e != nil && e.action != mitigation.Admit && a.mitigate(m, e, mitigation.ReasonMitigation)
}

// describes is the first of the list that refuses all that comes by such a
// connection, or that a person may let some of it in by; nil: there is none.
func (o *orders) describes(m *meeting, shared bool, refused int) *order {
	left := o.greet
	for left &= o.facets.ofConnection(m.v); left != 0; left &= left - 1 {
		e := &o.list[bits.TrailingZeros64(left)]
		switch {
		case e.until != 0 && m.now >= e.until, !e.match.MayHit(m.v):
		case e.action == mitigation.Admit:
			return e // a person may let it in, by what it will ask for
		case e.machine && (shared || refused < greetRefused):
		default:
			return e
		}
	}
	return nil
}

// tries says whether this connection, which is to be turned away, goes through to
// the door, as one does now and then.
func (a *Admit) tries(m *meeting) bool {
	s := a.clients.at(m.client)
	s.acquire()
	defer s.release()
	c := a.prefix(s, m.client, m, inClients)
	if c == nil || uint8(m.sec)-c.triedAt < tryEvery || !take(&a.greeted, gcra.New(tryRate, tryBurst), m.now) {
		return false
	}
	c.triedAt = uint8(m.sec)
	return true
}
