package packet

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"seawall/internal/kit/prefixset"
	"seawall/internal/mitigation"
	"seawall/internal/packet/filter"
)

// order is what a mitigation says to the filter's lists.
type order struct {
	place
	until  time.Time
	person bool // the machine's otherwise
	spared bool // not to be put on the list after all; see LetGo
}

// place is an entry of one of the two lists.
type place struct {
	prefix netip.Prefix
	allow  bool // on the allow list; on the block list otherwise
}

// standing is what is said of a place.
type standing struct {
	ids    []mitigation.ID // as a rule one
	on     bool            // the entry is on the filter's list
	person bool            // by a person's order; valid iff on
}

// book is what was ordered. Packet.mu guards it.
type book struct {
	always  map[netip.Prefix]bool    // allowed by the configuration, and on the filter's list
	spared  *prefixset.Set[struct{}] // no ban by the machine may meet these
	orders  map[mitigation.ID]order
	places  map[place]*standing
	people  int            // places on the block list by people's orders
	machine int            // and by the machine's
	refused uint64         // orders that the filter could not take
	waiting map[place]bool // not on the list though ordered, and whether that is for want of room
	// unsure says that the filter's lists may have entries that nobody ordered.
	unsure bool
}

func newBook() book {
	return book{spared: prefixset.New[struct{}](0), orders: map[mitigation.ID]order{}, places: map[place]*standing{}, waiting: map[place]bool{}}
}

// orderOf reads a mitigation; ok is false where it is the door's alone, as one on a dry run is. Of the
// machine's bans only those of single clients count that were met at the other
// end of a connection: any other address it knows may have come from a header.
func orderOf(m *mitigation.Mitigation) (o order, ok bool) {
	prefix, one := m.Banned()
	o = order{place: place{prefix, m.Action == mitigation.Admit}, until: m.Until, person: m.By.Person()}
	stops := m.Action == mitigation.Refuse || m.Action == mitigation.Drop
	switch {
	case !one || m.Shadow:
		return o, false
	case o.person:
		return o, stops || o.allow
	}
	client := 64
	if prefix.Addr().Is4() {
		client = 32
	}
	return o, m.By == mitigation.ByMachine && m.Direct && stops && prefix.Bits() >= client
}

// Always makes prefixes pass whatever else is said, in the place of those that
// it was told before: the configuration's allow list, monitors and trusted
// proxies. No ban by the machine that shares an address with one of them is put
// on the block list. Those of loopback are not put on the allow list: they never
// come in from outside.
func (p *Packet) Always(list []netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.always
	p.always, p.spared = map[netip.Prefix]bool{}, prefixset.New[struct{}](len(list))
	for _, prefix := range list {
		// The set has room for all, and takes what is a prefix.
		_ = p.spared.Insert(prefix, struct{}{}, 0, 0)
		if prefix = prefix.Masked(); prefix.Bits() > 0 && !prefix.Addr().IsLoopback() {
			p.always[prefix] = true
		}
	}
	if p.on() == nil {
		return
	}
	for prefix := range p.always {
		if !before[prefix] {
			p.allow(prefix)
		}
	}
	for prefix := range before {
		if p.always[prefix] {
			continue
		}
		if err := p.disallow(prefix); err != nil {
			p.log.Error("take a prefix off the packet filter's allow list", "err", err)
			p.unsure = true
		}
	}
	for at, s := range p.places {
		byMachine := s.on && !s.person
		if at.allow || byMachine != p.spared.Overlaps(at.prefix) {
			continue // as it shall be
		}
		if err := p.show(at); err != nil {
			p.log.Error("put an order on the packet filter's list", "err", err)
		}
	}
}

func (p *Packet) allow(prefix netip.Prefix) {
	if err := p.on().Allow(prefix, time.Time{}); err != nil {
		p.log.Error("put a prefix on the packet filter's allow list", "err", err)
	}
}

// disallow takes a prefix of the configuration off the allow list, unless an
// order allows it.
func (p *Packet) disallow(prefix netip.Prefix) error {
	at := place{prefix, true}
	if p.places[at] != nil {
		return p.show(at)
	}
	return p.on().Disallow(prefix)
}

// Apply puts bans and allow entries of people, and bans by the machine of
// clients that are at the other end of a connection, on the filter's lists. All
// else about visits is the door's alone. Matches on packets become signatures.
// The time that a ban takes does not depend on how many there are.
func (p *Packet) Apply(m mitigation.Mitigation) error {
	if m.Match.OnPackets() {
		return p.sign(m)
	}
	o, ours := orderOf(&m)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.unsign(m.ID); err != nil { // it was about packets before
		return err
	}
	if was, again := p.orders[m.ID]; again && (!ours || was.place != o.place) {
		if err := p.strike(m.ID, was); err != nil {
			return err
		}
	}
	if !ours {
		return nil
	}
	p.enter(m.ID, o)
	return p.show(o.place)
}

// Withdraw takes what stands for a mitigation off the lists.
func (p *Packet) Withdraw(id mitigation.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.unsign(id)
	if o, known := p.orders[id]; known {
		err = errors.Join(err, p.strike(id, o))
	}
	return err
}

// LetGo takes a ban by the machine off the block list: people were found behind
// the prefix. The door refuses on. If the mitigation is applied anew, it is
// looked at anew.
func (p *Packet) LetGo(id mitigation.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, known := p.orders[id]
	if !known || o.person || o.allow {
		return nil
	}
	o.spared = true
	p.orders[id] = o
	return p.show(o.place)
}

// Blocks says whether the packets of what a mitigation bans are stopped: it is
// on the list, and an interface is filtered.
func (p *Packet) Blocks(id mitigation.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, known := p.orders[id]
	return known && !o.allow && p.places[o.place].on &&
		p.on() != nil && len(p.at) > 0 && p.cfg.Filter.Block == filter.Enforce
}

// Spares says whether an address is of those that Always was told of.
func (p *Packet) Spares(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spared.Covers(a, 0)
}

// enter writes an order into the book.
func (p *Packet) enter(id mitigation.ID, o order) {
	p.orders[id] = o
	s := p.places[o.place]
	if s == nil {
		s = &standing{}
		p.places[o.place] = s
	}
	if !slices.Contains(s.ids, id) {
		s.ids = append(s.ids, id)
	}
}

// strike takes an order out of the book, and what it alone said off the list. If
// that fails the order stays, so that it can be tried again.
func (p *Packet) strike(id mitigation.ID, o order) error {
	s := p.places[o.place]
	delete(p.orders, id)
	s.ids = slices.DeleteFunc(s.ids, func(other mitigation.ID) bool { return other == id })
	if err := p.show(o.place); err != nil {
		p.enter(id, o)
		return err
	}
	if len(s.ids) == 0 {
		delete(p.places, o.place)
	}
	return nil
}

// showAll puts everything on the lists of a filter that was just loaded. An
// earlier process may have left entries there.
func (p *Packet) showAll() {
	for prefix := range p.always {
		p.allow(prefix)
	}
	for at := range p.places {
		if err := p.show(at); err != nil {
			p.log.Error("put an order on the packet filter's list", "err", err)
		}
	}
}

// show makes the filter's list say of a place what the book says.
func (p *Packet) show(at place) error {
	if p.on() == nil {
		return nil
	}
	s := p.places[at]
	o, ordered := p.strongest(s)
	var err error
	switch {
	case at.allow && p.always[at.prefix]: // for ever, whatever is ordered
	case at.allow && ordered:
		err = p.on().Allow(at.prefix, o.until)
	case at.allow:
		err = p.on().Disallow(at.prefix)
	case ordered:
		err = p.on().Block(at.prefix, o.until, o.person)
	default:
		err = p.on().Unblock(at.prefix)
	}
	cannot := errors.Is(err, filter.ErrFull) || errors.Is(err, filter.ErrPrefix)
	switch {
	case cannot && ordered:
		p.refuse(at, o, err)
		ordered = false
	case cannot || err == nil: // what can never be there is gone, too
		delete(p.waiting, at)
	default:
		return err
	}
	p.count(at, s, -1)
	s.on, s.person = ordered, o.person
	p.count(at, s, 1)
	return nil
}

func (p *Packet) count(at place, s *standing, by int) {
	switch {
	case at.allow || !s.on:
	case s.person:
		p.people += by
	default:
		p.machine += by
	}
}

// strongest is the order that counts at a place: a person's before the machine's,
// and of those the one that ends last.
func (p *Packet) strongest(s *standing) (best order, ok bool) {
	for _, id := range s.ids {
		o := p.orders[id]
		if !o.person && (o.spared || p.spared.Overlaps(o.prefix)) {
			continue
		}
		later := o.until.IsZero() || !best.until.IsZero() && o.until.After(best.until)
		if !ok || o.person && !best.person || o.person == best.person && later {
			best, ok = o, true
		}
	}
	return best, ok
}
