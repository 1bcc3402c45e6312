package admit

import (
	"sync/atomic"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// shade counts what a mitigation on a dry run would have met, in shards as all
// counters here: a flood would have processors fight over one.
type shade [shards]struct {
	met     atomic.Uint64
	cleared atomic.Uint64 // of them, with a clearance
	_       [48]byte      // a cache line each
}

// count notes the visit. It allocates nothing and waits for nobody.
func (s *shade) count(m *meeting) {
	c := &s[(m.client>>20)%shards]
	c.met.Add(1)
	if m.v.Clearance != traffic.ClearanceNone {
		c.cleared.Add(1)
	}
}

// spare notes what would have happened to the visit, in watch mode. The first thing
// counts, since it would have been the end, or a place behind everybody else.
func (m *meeting) spare(action mitigation.Action, why mitigation.Reason, id mitigation.ID) {
	if m.would.Action == mitigation.Admit || m.would.Action == mitigation.Slow && action > mitigation.Slow {
		m.would = mitigation.Would{Action: action, Reason: why, ID: id}
	}
}

// take returns what was counted since it was last called.
func (s *shade) take() (met, cleared uint64) {
	for i := range s {
		met += s[i].met.Swap(0)
		cleared += s[i].cleared.Swap(0)
	}
	return met, cleared
}

// Shadows tells what each mitigation on a dry run would have met since Shadows was
// last called: visits, and how many of them came with a clearance. Those it did
// not meet are left out. It is for one caller alone.
func (a *Admit) Shadows(tell func(id mitigation.ID, met, cleared uint64)) {
	for _, o := range []*orders{a.rules.Load(), a.orders.Load()} {
		for i := range o.len() {
			e := &o.list[i]
			if e.shade == nil {
				continue
			}
			if met, cleared := e.shade.take(); met > 0 {
				tell(e.id, met, cleared)
			}
		}
	}
}

// len is how many there are; of nil, none.
func (o *orders) len() int {
	if o == nil {
		return 0
	}
	return len(o.list)
}
