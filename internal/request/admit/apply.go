package admit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/prefixset"
	"seawall/internal/mitigation"
)

// Errors of Apply and Withdraw.
var (
	// ErrFull says that no more mitigations of this kind fit.
	ErrFull = errors.New("as many as the door can hold are active")
	// ErrNotAllowed says that only a person may let somebody in by an order.
	ErrNotAllowed = errors.New("only a person may order to let somebody in")
)

// list names where a mitigation stands.
type list uint8

const (
	onOrders  list = iota // all that are not merely about a prefix
	onRules               // the same of the configuration
	onAllow               // prefixes let in by a person
	onPeople              // prefixes banned by a person
	onMachine             // prefixes banned by the machine or a peer
	onMilder              // prefixes that are slowed, queued, ...
)

// place is one entry of a list of prefixes, or the whole of onOrders or onRules.
type place struct {
	on list
	p  netip.Prefix // valid iff on is neither onOrders nor onRules
}

// applied is a mitigation that is active, or an entry of the configuration,
// which has ID 0.
type applied struct {
	order
	place
	reason mitigation.Reason // of a visit let in by it; valid iff on onAllow
}

// book is what Apply and Withdraw know; Decide reads only what they publish.
type book struct {
	active map[mitigation.ID]applied
	at     map[place][]mitigation.ID // oldest first
	fixed  map[place]applied         // the configuration's
}

func newBook() book {
	return book{make(map[mitigation.ID]applied), make(map[place][]mitigation.ID), make(map[place]applied)}
}

func (b *book) put(n applied) {
	b.active[n.id] = n
	if !slices.Contains(b.at[n.place], n.id) {
		b.at[n.place] = append(b.at[n.place], n.id)
	}
}

func (b *book) take(old applied) {
	delete(b.active, old.id)
	b.leave(old)
}

func (b *book) leave(old applied) {
	ids := slices.DeleteFunc(b.at[old.place], func(id mitigation.ID) bool { return id == old.id })
	if b.at[old.place] = ids; len(ids) == 0 {
		delete(b.at, old.place)
	}
}

// Apply makes a mitigation active, in the place of an older one with the same
// ID. Its end is translated from the wall clock here and only here, so a later
// step of that clock moves nothing. One that has ended already is only taken
// off. Visits see the old state or the new one, never one between.
//
// A mitigation about one prefix goes to the allow list, to the bans, or to the
// prefixes that are slowed; of several about the same prefix on the same list,
// the one that ends last counts. A rule there is a rule all the same: visits are told
// that reason. One on a dry run goes to none of these lists, and
// is asked like those that describe visits, unless the machine made it: of those
// there may be thousands. One about packets is not the door's,
// and takes no room.
func (a *Admit) Apply(mit mitigation.Mitigation) error {
	if mit.ID == 0 || mit.Match == nil || mit.Action >= mitigation.Actions {
		return fmt.Errorf("apply mitigation #%d: it has no ID, no match or no known action", mit.ID)
	}
	if mit.Match.OnPackets() {
		return a.Withdraw(mit.ID) // it may have been about visits before
	}
	now := a.clk.Now()
	n := applied{reason: mitigation.ReasonAllowList, order: order{
		match: mit.Match, id: mit.ID, action: mit.Action,
		machine: mit.By == mitigation.ByMachine || mit.By == mitigation.ByPeer,
		rule:    mit.By == mitigation.ByRule, few: mit.Few,
	}}
	if n.action == mitigation.Admit && n.machine {
		return fmt.Errorf("apply mitigation #%d: %w", mit.ID, ErrNotAllowed)
	}
	if !mit.Until.IsZero() {
		n.until = a.clk.At(mit.Until)
	}
	if n.rule {
		n.place = place{on: onRules}
	}
	// Who is challenged is counted, which the lists of prefixes do not do.
	if p, ok := mit.Banned(); ok && (!mit.Shadow || n.machine) && n.action != mitigation.Challenge {
		n.place = place{n.prefixList(), p}
	}
	n.shadow = mit.Shadow

	a.mu.Lock()
	defer a.mu.Unlock()
	old, had := a.book.active[n.id]
	if mit.Shadow && (n.on == onOrders || n.on == onRules) {
		if n.shade = old.shade; n.shade == nil {
			n.shade = new(shade)
		}
	}
	if n.action == mitigation.Challenge && (n.on == onOrders || n.on == onRules) {
		if n.trial = old.trial; n.trial == nil {
			n.trial = new(trial)
		}
	}
	if n.until != 0 && n.until <= now {
		if had {
			a.book.take(old)
			return a.show(old.place, now)
		}
		return nil
	}
	if had && old.place != n.place {
		a.book.leave(old)
	}
	a.book.put(n)
	if err := a.show(n.place, now); err != nil {
		a.book.take(n)
		if had {
			a.book.put(old)
		}
		if errors.Is(err, prefixset.ErrFull) {
			err = ErrFull
		}
		return fmt.Errorf("apply mitigation #%d: %w", mit.ID, err)
	}
	if had && old.place != n.place {
		return a.show(old.place, now)
	}
	return nil
}

// Withdraw ends a mitigation. One that is not active is no error: it may be tried
// again, or be one about packets.
func (a *Admit) Withdraw(id mitigation.ID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, ok := a.book.active[id]
	if !ok {
		return nil
	}
	a.book.take(old)
	return a.show(old.place, a.clk.Now())
}

func (e *order) prefixList() list {
	switch {
	case e.action == mitigation.Admit:
		return onAllow
	case e.action != mitigation.Refuse && e.action != mitigation.Drop:
		return onMilder
	case e.machine:
		return onMachine
	}
	return onPeople
}

func (e *order) endsAfter(f *order) bool { return e.until == 0 || f.until != 0 && e.until >= f.until }

// show publishes what the book says about a place. Only putting something in
// can fail.
func (a *Admit) show(pl place, now clock.Instant) error {
	if pl.on == onOrders || pl.on == onRules {
		return a.publish(pl, now)
	}
	top, ok := a.book.fixed[pl]
	for _, id := range a.book.at[pl] {
		if n := a.book.active[id]; !ok || n.endsAfter(&top.order) {
			top, ok = n, true
		}
	}
	if pl.on == onAllow {
		if !ok {
			a.allow.Delete(pl.p)
			return nil
		}
		return a.allow.Insert(pl.p, pass{top.id, top.reason}, top.until, now)
	}
	if !ok {
		a.bans(pl.on).Delete(pl.p)
		return nil
	}
	return a.bans(pl.on).Insert(pl.p, ban{top.id, top.action, top.machine, top.rule, top.shadow, top.until}, top.until, now)
}

func (a *Admit) bans(l list) *prefixset.Set[ban] {
	switch l {
	case onPeople:
		return a.people
	case onMachine:
		return a.machine
	}
	return a.milder
}

// publish swaps the list of orders, or of rules, for a new one.
func (a *Admit) publish(pl place, now clock.Instant) error {
	var live []order
	for _, id := range a.book.at[pl] {
		if n := a.book.active[id]; n.until == 0 || now < n.until {
			live = append(live, n.order)
		}
	}
	if len(live) > MaxOrders {
		return ErrFull
	}
	switch {
	case pl.on == onOrders:
		a.orders.Store(compile(live))
	case len(live) == 0:
		a.rules.Store(nil)
	default:
		a.rules.Store(compile(live))
	}
	return nil
}

// drop forgets mitigations that have ended.
func (a *Admit) drop(now clock.Instant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.book.active {
		if n.until != 0 && n.until <= now {
			a.book.take(n)
			_ = a.show(n.place, now) // one fewer always fits
		}
	}
}
