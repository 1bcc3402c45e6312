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
	would     [mitigation.Actions][mitigation.Reasons]atomic.Uint64 // of visits that watch mode let in
	answered  atomic.Uint64                                         // challenges
	filled    [tables]atomic.Uint64
	evicted   atomic.Uint64
	_         [64]byte
}

// The tables, for counting.
const (
	inClients = iota
	inWider
	inClearances
	inStandings
	tables
)

func (c *counters) decided(m *meeting) {
	s := &c.shard[(m.client>>20)%shards]
	s.decisions[m.verdict.Action][m.verdict.Reason].Add(1)
	if w := &m.verdict.Would; w.Action != mitigation.Admit {
		s.would[w.Action][w.Reason].Add(1)
	}
	if m.answers {
		s.answered.Add(1)
	}
}

// placed counts a newcomer to a table.
func (c *counters) placed(table int, key uint64, r room) {
	s := &c.shard[(key>>20)%shards]
	if r == roomPushed {
		s.evicted.Add(1)
	} else {
		s.filled[table].Add(1)
	}
}

// Table is how full a table is.
type Table struct {
	Size int // entries
	Used int // of them taken
}

// Stats is what the door counted since it was made.
type Stats struct {
	Decisions    [mitigation.Actions][mitigation.Reasons]uint64
	Would        [mitigation.Actions][mitigation.Reasons]uint64 // of visits that watch mode let in
	Answered     uint64                                         // challenges: who was asked came back with a clearance
	Evicted      uint64                                         // newcomers whose entry a newer one took
	LostOffences uint64                                         // reports for which the queue had no room
	Clients      Table
	Wider        Table // prefixes wider than one client
	Clearances   Table
	Standings    Table
	Allowed      int // entries of the allow list
	Banned       int // prefixes banned
	Mitigations  int // active ones that are not merely about a prefix
}

// Stats sums up the counters.
func (a *Admit) Stats() Stats {
	st := Stats{
		LostOffences: a.counts.lostOffences.Load(),
		Clients:      Table{Size: len(a.clients.sets) * ways},
		Wider:        Table{Size: len(a.wider.sets) * ways},
		Clearances:   Table{Size: len(a.clearances.sets) * ways},
		Standings:    Table{Size: len(a.standings.sets) * ways},
		Allowed:      a.allow.Len(),
		Banned:       a.people.Len() + a.machine.Len(),
		Mitigations:  len(a.orders.Load().list) + a.rules.Load().len(),
	}
	filled := [tables]*int{&st.Clients.Used, &st.Wider.Used, &st.Clearances.Used, &st.Standings.Used}
	for i := range a.counts.shard {
		s := &a.counts.shard[i]
		st.Evicted += s.evicted.Load()
		st.Answered += s.answered.Load()
		for t, n := range filled {
			*n += int(s.filled[t].Load())
		}
		for action := range s.decisions {
			for reason := range s.decisions[action] {
				st.Decisions[action][reason] += s.decisions[action][reason].Load()
				st.Would[action][reason] += s.would[action][reason].Load()
			}
		}
	}
	return st
}
