package listen

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"seawall/internal/traffic"
)

// tallySlots is the size of each row of a tally. Somebody is counted together
// with a given heavy user by a chance of 1 in 2^30.
const tallySlots = 1 << 15

// tally counts open connections by prefix in a table of fixed size: two rows
// of counters under two hashes, of which the lower counts (a count-min sketch
// that also subtracts; Cormode and Muthukrishnan 2005). It can count too many,
// by chance, and never too few. Safe for concurrent use.
type tally struct {
	seed maphash.Seed
	rows [2][tallySlots]atomic.Int32
}

func newTally() *tally { return &tally{seed: maphash.MakeSeed()} }

func (t *tally) slots(p netip.Prefix) (a, b *atomic.Int32) {
	h := maphash.Comparable(t.seed, p)
	return &t.rows[0][h%tallySlots], &t.rows[1][h>>32%tallySlots]
}

// take counts one more, unless that would be more than limit.
func (t *tally) take(p netip.Prefix, limit int) bool {
	a, b := t.slots(p)
	na, nb := a.Add(1), b.Add(1)
	if int(min(na, nb)) > limit {
		a.Add(-1)
		b.Add(-1)
		return false
	}
	return true
}

// give takes one back.
func (t *tally) give(p netip.Prefix) {
	a, b := t.slots(p)
	a.Add(-1)
	b.Add(-1)
}

// places are what a connection was counted for; the zero places are none.
type places struct{ client, network netip.Prefix }

// takePlaces counts a connection of a, and says whether there was room. Who
// holds places gives them back when the connection is closed.
func (s *Server) takePlaces(a netip.Addr) (places, bool) {
	client, network := traffic.PrefixOf(a, traffic.LevelClient), traffic.PrefixOf(a, traffic.LevelWide)
	if !client.IsValid() {
		return places{}, true
	}
	if !s.clients.take(client, s.cfg.MaxConnsPerClient) {
		s.count.overClient.Add(1)
		return places{}, false
	}
	if !s.networks.take(network, s.cfg.MaxConnsPerNetwork) {
		s.clients.give(client)
		s.count.overNetwork.Add(1)
		return places{}, false
	}
	return places{client, network}, true
}

func (s *Server) givePlaces(p places) {
	if p.client.IsValid() {
		s.clients.give(p.client)
		s.networks.give(p.network)
	}
}
