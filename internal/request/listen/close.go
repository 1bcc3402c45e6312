package listen

import (
	"net/netip"

	"seawall/internal/traffic"
)

// Banned is a prefix whose connections are to be closed.
type Banned struct {
	Prefix netip.Prefix
	// Person says that a person banned it, and with it everybody behind it. A ban
	// by the machine spares who holds a clearance.
	Person bool
}

// CloseClients closes all open connections whose other end lies in one of the
// prefixes, whatever is done on them. The kernel sends a reset and forgets at
// once what was not yet sent: where it stops a client's packets, an orderly end
// would stay there, unanswered, for minutes. Spared are trusted proxies, whoever
// they speak for, those whom spare names (nil: nobody), and from bans by the
// machine those whose last visit brought a clearance.
//
// It returns how many it closed, and the prefixes, as they are in the list, of
// bans by the machine behind which it found somebody with a clearance. It goes
// once through all connections, however long the list is. Safe for concurrent
// use.
func (s *Server) CloseClients(list []Banned, spare func(netip.Addr) bool) (closed int, people []netip.Prefix) {
	b := bannedSet(list)
	s.each(func(c *conn) {
		if c.trusted {
			return
		}
		peer := c.address()
		ban, ok := b.find(peer)
		switch {
		case !ok, spare != nil && spare(peer):
		case !ban.Person && c.cleared.Load():
			people = append(people, ban.Prefix)
		case c.abort() == nil: // else it was just being closed
			closed++
		}
	})
	s.count.banned.Add(uint64(closed))
	return closed, people
}

// banned finds prefixes by addresses in them.
type banned struct {
	clients map[netip.Prefix]Banned // a single client each: most of them
	wider   []Banned                // and all others
}

func bannedSet(list []Banned) banned {
	b := banned{clients: make(map[netip.Prefix]Banned, len(list))}
	for _, ban := range list {
		if p := ban.Prefix; p.IsValid() && p == traffic.PrefixOf(p.Addr(), traffic.LevelClient) {
			ban.Person = ban.Person || b.clients[p].Person
			b.clients[p] = ban
		} else {
			b.wider = append(b.wider, ban)
		}
	}
	return b
}

// find returns a ban that a covers, a person's if there is one.
func (b *banned) find(a netip.Addr) (ban Banned, ok bool) {
	ban, ok = b.clients[traffic.PrefixOf(a, traffic.LevelClient)]
	for _, w := range b.wider {
		if (!ok || w.Person && !ban.Person) && w.Prefix.Contains(a) {
			ban, ok = w, true
		}
	}
	return ban, ok
}
