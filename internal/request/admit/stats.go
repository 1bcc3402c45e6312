package admit

import (
	"sync/atomic"

	"seawall/internal/mitigation"
)

const shards = 8

// counters are kept in shards a cache line or more apart, chosen by the client,
// so that processors do not fight over them.
type counters struct {
	shard        [shards]shard
	lostOffences atomic.Uint64
}

type shard struct {
	decisions [mitigation.Actions][mitigation.Reasons]atomic.Uint64
	evicted   atomic.Uint64
	_         [64]byte
}

func (c *counters) decided(m *meeting) {
	s := &c.shard[(m.client>>20)%shards]
	s.decisions[m.verdict.Action][m.verdict.Reason].Add(1)
}

func (c *counters) pushed(key uint64) { c.shard[(key>>20)%shards].evicted.Add(1) }

// Table is how full a table is.
type Table struct {
	Size int // entries
	Used int // of them taken
}

// Stats is what the door counted since it was made.
type Stats struct {
	Decisions    [mitigation.Actions][mitigation.Reasons]uint64
	Evicted      uint64 // newcomers whose entry a newer one took
	LostOffences uint64 // reports for which the queue had no room
	Clients      Table
	Wider        Table // prefixes wider than one client
	Clearances   Table
	Standings    Table
	Allowed      int // entries of the allow list
	Banned       int // prefixes banned
	Mitigations  int // active ones that are not merely about a prefix
}

// Stats sums up the counters. It walks the tables, so it is for metrics: some
// milliseconds with a million clients.
func (a *Admit) Stats() Stats {
	st := Stats{
		LostOffences: a.counts.lostOffences.Load(),
		Clients:      Table{len(a.clients.sets) * ways, a.clients.fill()},
		Wider:        Table{len(a.wider.sets) * ways, a.wider.fill()},
		Clearances:   Table{len(a.clearances.sets) * ways, a.clearances.fill()},
		Standings:    Table{len(a.standings.sets) * ways, a.standings.fill()},
		Allowed:      a.allow.Len(),
		Banned:       a.people.Len() + a.machine.Len(),
		Mitigations:  len(a.orders.Load().list),
	}
	for i := range a.counts.shard {
		s := &a.counts.shard[i]
		st.Evicted += s.evicted.Load()
		for action := range s.decisions {
			for reason := range s.decisions[action] {
				st.Decisions[action][reason] += s.decisions[action][reason].Load()
			}
		}
	}
	return st
}
