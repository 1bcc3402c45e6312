package enforce

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// Applier is whatever acts on mitigations. Applying an ID anew replaces it;
// withdrawing an unknown ID is no error. A mitigation.LeftOut says which do not act
// for want of room, the one applied or others.
type Applier interface {
	Apply(mitigation.Mitigation) error
	Withdraw(mitigation.ID) error
}

// How long to wait before trying again.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// Counts says how it went since the start.
type Counts struct {
	Applied   uint64 `json:"applied"`
	Withdrawn uint64 `json:"withdrawn"`
	Failed    uint64 `json:"failed"`
	Pending   int    `json:"pending"` // wanted but not yet done
}

// Failure is one attempt that did not work.
type Failure struct {
	ID    mitigation.ID
	Drop  bool // it was a withdrawal
	Tries int  // attempts so far
	Err   error
}

type item struct {
	m     mitigation.Mitigation
	drop  bool
	tries int
	next  clock.Instant
}

// Enforcer keeps what shall stand and what is still to be done about it.
type Enforcer struct {
	to       Applier
	standing map[mitigation.ID]mitigation.Mitigation // applied without error
	pending  map[mitigation.ID]*item
	counts   Counts
}

// New makes an Enforcer that acts through to.
func New(to Applier) *Enforcer {
	return &Enforcer{
		to:       to,
		standing: make(map[mitigation.ID]mitigation.Mitigation),
		pending:  make(map[mitigation.ID]*item),
	}
}

// Set wants m to stand. Nothing happens before Flush.
func (e *Enforcer) Set(m mitigation.Mitigation) {
	if s, ok := e.standing[m.ID]; ok && same(&s, &m) {
		delete(e.pending, m.ID)
		return
	}
	e.pending[m.ID] = &item{m: m}
}

// Drop wants the mitigation gone. Nothing happens before Flush.
func (e *Enforcer) Drop(id mitigation.ID) {
	_, stands := e.standing[id]
	if p, waits := e.pending[id]; !stands && (!waits || p.drop || p.tries == 0) {
		if waits && !p.drop {
			delete(e.pending, id)
		}
		return
	}
	e.pending[id] = &item{drop: true}
}

// Again forgets what is believed to stand, so that the next Flush applies
// everything anew: after a restart of whatever is behind the Applier.
func (e *Enforcer) Again() {
	for id, m := range e.standing {
		if _, ok := e.pending[id]; !ok {
			e.pending[id] = &item{m: m}
		}
		delete(e.standing, id)
	}
}

// Flush does what is due at now, withdrawals first, each in the order of IDs,
// and returns what failed.
func (e *Enforcer) Flush(now clock.Instant) []Failure {
	if len(e.pending) == 0 {
		return nil
	}
	due := make([]mitigation.ID, 0, len(e.pending))
	for id, p := range e.pending {
		if now >= p.next {
			due = append(due, id)
		}
	}
	slices.SortFunc(due, func(a, b mitigation.ID) int {
		if da, db := e.pending[a].drop, e.pending[b].drop; da != db {
			if da {
				return -1
			}
			return 1
		}
		return int(int64(a) - int64(b))
	})
	var failed []Failure
	for _, id := range due {
		p := e.pending[id]
		err := e.try(id, p)
		var left *mitigation.LeftOut
		if errors.As(err, &left) {
			for _, other := range e.displaced(left) {
				failed = append(failed, e.fail(now, other, e.pending[other], fmt.Errorf("apply mitigation #%d: %w", id, left)))
			}
			if !slices.Contains(left.IDs, id) {
				e.stand(id, p)
				err = nil
			}
		}
		if err == nil {
			delete(e.pending, id)
			continue
		}
		failed = append(failed, e.fail(now, id, p, err))
	}
	return failed
}

// fail notes an attempt that did not work, and when the next one is due.
func (e *Enforcer) fail(now clock.Instant, id mitigation.ID, p *item, err error) Failure {
	e.counts.Failed++
	p.next = now.Add(min(retryFirst<<min(p.tries, 10), retryMost))
	p.tries++
	return Failure{ID: id, Drop: p.drop, Tries: p.tries, Err: err}
}

// displaced lists those that stood and had to give way. They are pending again.
func (e *Enforcer) displaced(left *mitigation.LeftOut) (out []mitigation.ID) {
	for _, id := range left.IDs {
		m, stood := e.standing[id]
		delete(e.standing, id)
		if _, waits := e.pending[id]; stood && !waits {
			e.pending[id] = &item{m: m}
			out = append(out, id)
		}
	}
	return out
}

func (e *Enforcer) stand(id mitigation.ID, p *item) {
	e.standing[id] = p.m
	e.counts.Applied++
}

// try turns a panic into an error: one broken mitigation must not take the
// others along.
func (e *Enforcer) try(id mitigation.ID, p *item) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("enforce mitigation #%d: panic: %v", id, r)
		}
	}()
	if p.drop {
		if err := e.to.Withdraw(id); err != nil {
			return fmt.Errorf("withdraw mitigation #%d: %w", id, err)
		}
		delete(e.standing, id)
		e.counts.Withdrawn++
		return nil
	}
	if err := e.to.Apply(p.m); err != nil {
		return fmt.Errorf("apply mitigation #%d: %w", id, err)
	}
	e.stand(id, p)
	return nil
}

// Stands says whether the mitigation was applied without error.
func (e *Enforcer) Stands(id mitigation.ID) bool {
	_, ok := e.standing[id]
	return ok
}

// Counts tells how it went.
func (e *Enforcer) Counts() Counts {
	c := e.counts
	c.Pending = len(e.pending)
	return c
}

func same(a, b *mitigation.Mitigation) bool {
	return a.Action == b.Action && a.Until.Equal(b.Until) && a.By == b.By && a.Direct == b.Direct && a.Shadow == b.Shadow && a.Match.String() == b.Match.String()
}
