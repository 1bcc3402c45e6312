package admit

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// MaxOrders is how many mitigations that are not merely about a prefix can be
// active at once: as many of the configuration, and as many others, so that
// neither takes the other's room.
const MaxOrders = 64

// retryMitigated is when somebody whom a mitigation refuses is asked to come
// back, unless the mitigation ends sooner.
const retryMitigated = 30 * time.Second

// order is a mitigation as the door needs it.
type order struct {
	match   *match.Match
	until   clock.Instant // 0: until withdrawn
	id      mitigation.ID
	action  mitigation.Action
	machine bool   // ordered by the machine or a peer
	rule    bool   // of the configuration's rules
	few     bool   // asks one client in sixteen; valid iff action is Challenge
	shadow  bool   // on a dry run
	plain   bool   // lets in by the path: not one that is the same to us and may be another to the site
	trial   *trial // counts whom it asked; nil iff it is no challenge, or stands on a list of prefixes
	shade   *shade // counts what it would meet; nil: it acts, or stands on a list of prefixes
}

// orders is the list of active mitigations, first to last as they are tried:
// what a person lets in, then the severest action. It is immutable.
//
// The masks spare most of the work: bit i of each is set when a visit with that
// value may be hit by order i. A visit asks only those in all of its masks.
type orders struct {
	list      []order
	kind      [traffic.Kinds]uint64
	clearance [traffic.Clearances]uint64
	standing  [traffic.Standings]uint64
	facets    facetSet
	greet     uint64 // bit i: order i is one for Greet
}

func compile(list []order) *orders {
	o := &orders{list: list}
	slices.SortStableFunc(o.list, func(x, y order) int {
		if c := cmp.Compare(y.severity(), x.severity()); c != 0 {
			return c
		}
		if b := x.broad(); b != y.broad() {
			if b {
				return 1
			}
			return -1
		}
		return cmp.Compare(x.id, y.id)
	})
	for i, e := range o.list {
		bit := uint64(1) << i
		o.list[i].plain = e.action == mitigation.Admit && slices.ContainsFunc(e.match.Tests(), func(t match.Test) bool { return t.Field() == traffic.FieldPath })
		o.facets.add(e.match, bit)
		if e.shade == nil && (e.action == mitigation.Admit || e.action >= mitigation.Refuse && e.match.OfConnection()) {
			o.greet |= bit
		}
		for k := range o.kind {
			if mayHit(e.match, traffic.FieldKind, traffic.Visit{Kind: traffic.Kind(k)}) {
				o.kind[k] |= bit
			}
		}
		for c := range o.clearance {
			v := traffic.Visit{Clearance: traffic.Clearance(c)}
			if e.spares(v.Clearance) || !mayHit(e.match, traffic.FieldClearance, v) {
				continue
			}
			o.clearance[c] |= bit
		}
		for s := range o.standing {
			if mayHit(e.match, traffic.FieldStanding, traffic.Visit{Standing: traffic.Standing(s)}) {
				o.standing[s] |= bit
			}
		}
	}
	return o
}

// severity orders the list. To be let in by a person comes before everything.
func (e *order) severity() int {
	if e.action == mitigation.Admit {
		return int(mitigation.Actions)
	}
	return int(e.action)
}

// broad says whether the machine ordered it of all whom it does not know, whatever they
// ask. It comes after its equals, so that what is counted of it is what they leave.
func (e *order) broad() bool {
	return e.machine && !slices.ContainsFunc(e.match.Tests(), func(t match.Test) bool {
		return t.Field() != traffic.FieldClearance && t.Field() != traffic.FieldStanding
	})
}

// spares says whether an order leaves alone all visitors of a clearance. What
// the machine orders never keeps out a visitor who holds a clearance, and never
// even slows one known since before the attack. Whoever orders a challenge, a clearance
// answers it.
func (e *order) spares(c traffic.Clearance) bool { return spares(e.machine, e.action, c) }

func spares(machine bool, action mitigation.Action, c traffic.Clearance) bool {
	switch {
	case action == mitigation.Challenge:
		return c != traffic.ClearanceNone // that is the sign that is asked for
	case !machine:
		return false
	case action == mitigation.Refuse, action == mitigation.Drop:
		return c != traffic.ClearanceNone
	}
	return c == traffic.ClearanceKnown
}

// mayHit says whether the tests of mt on field f pass for v, of which only that
// field is set.
func mayHit(mt *match.Match, f traffic.Field, v traffic.Visit) bool {
	for _, t := range mt.Tests() {
		if t.Field() == f && !match.All(t).Hits(&v) {
			return false
		}
	}
	return true
}

// isMitigated does what an active mitigation says. What the configuration lets in
// or keeps out is settled by that. Slow is not the end, nor is Challenge for who is not
// asked: there may be a severer mitigation, and the visit still has to be within its
// neighbours' budget.
func (a *Admit) isMitigated(m *meeting) bool {
	var rule *order
	if r := a.rules.Load(); r != nil {
		if rule = r.first(m); rule != nil && rule.action != mitigation.Slow && rule.action != mitigation.Challenge {
			return a.mitigate(m, rule, mitigation.ReasonRule)
		}
	}
	if e, ok := a.milder.Longest(m.v.Client, m.now); ok && !e.shadow && !spares(e.machine, e.action, m.v.Clearance) {
		if !e.rule {
			return a.mitigate(m, &order{id: e.id, action: e.action, until: e.until}, mitigation.ReasonMitigation)
		}
		if rule == nil || e.id < rule.id { // the older
			rule = &order{id: e.id, action: e.action, until: e.until, rule: true}
		}
	}
	e := a.orders.Load().first(m)
	if rule != nil && (e == nil || e.severity() <= rule.severity()) {
		return a.mitigate(m, rule, mitigation.ReasonRule)
	}
	return e != nil && a.mitigate(m, e, mitigation.ReasonMitigation)
}

// first is the first of the list that meets the visit, and acts; nil: none does.
// Those on a dry run that meet it before are counted.
func (o *orders) first(m *meeting) *order {
	left := o.kind[m.v.Kind%traffic.Kinds] & o.clearance[m.v.Clearance%traffic.Clearances] & o.standing[m.v.Standing%traffic.Standings]
	if left != 0 {
		left &= o.facets.candidates(m.v)
	}
	for ; left != 0; left &= left - 1 {
		e := &o.list[bits.TrailingZeros64(left)]
		if e.until != 0 && m.now >= e.until || e.plain && m.v.Respelt || !e.match.Hits(m.v) {
			continue
		}
		if e.shade == nil {
			return e
		}
		if m.again {
			continue
		}
		if m.would.Action < mitigation.Challenge { // else that would have been the end
			e.shade.count(m)
		}
		if !e.machine {
			continue
		}
		action := e.action
		if action == mitigation.Challenge && !askable(m.v) {
			action = mitigation.Slow
		}
		m.spare(action, mitigation.ReasonMitigation, e.id)
	}
	return nil
}

func (a *Admit) mitigate(m *meeting, e *order, why mitigation.Reason) (decided bool) {
	m.verdict = mitigation.Verdict{Action: e.action, Reason: why, ID: e.id, Rank: mitigation.RankSuspect}
	switch {
	case e.action == mitigation.Challenge && !a.asks(m, e):
		m.verdict.Action = mitigation.Slow
		return false
	case e.action == mitigation.Challenge:
		return true // to come back at once is what is asked for
	case m.verdict.LetsIn():
		return false
	case why == mitigation.ReasonRule:
		return true // it does not go away by itself: trying again is in vain
	}
	m.verdict.RetryAfter = retryMitigated
	if e.until != 0 {
		m.verdict.RetryAfter = max(time.Second, min(retryMitigated, e.until.Sub(m.now)))
	}
	return true
}
