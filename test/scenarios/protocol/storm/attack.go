package storm

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Needs is what a target must speak for an attack to make sense.
type Needs int

// What may be needed.
const (
	Clear  Needs = iota // HTTP/1.1 in clear text
	Secure              // TLS, with whatever inside
	HTTP2               // by TLS
	HTTP3
)

// Attack is one kind of attack, with its usual intensity.
type Attack struct {
	Name string
	What string // in one line
	Needs
	Unit string // what Rate counts and Sent.Units says

	Conns int     // connections at a time
	Dials float64 // new connections a second at most
	Rate  float64 // units a second at most, of all connections together

	run func(s *storm, c *line) error
}

// Sent is what an attack did.
type Sent struct {
	Units    uint64
	Conns    uint64 // connections made
	Failed   uint64 // that could not be made, or not to the point where the attack begins
	Ended    uint64 // that the other side ended before the attack was over
	Held     uint64 // that were still open at the end
	BytesOut uint64 // after TLS
	BytesIn  uint64
	Kinds    map[string]uint64 // units by kind, where an attack has several
}

func (s Sent) String() string {
	text := fmt.Sprintf("%d connections (%d failed, %d ended by the other side, %d held), %.1f MB out, %.1f MB in",
		s.Conns, s.Failed, s.Ended, s.Held, float64(s.BytesOut)/1e6, float64(s.BytesIn)/1e6)
	for _, k := range slices.Sorted(maps.Keys(s.Kinds)) {
		text += fmt.Sprintf(", %s %d", k, s.Kinds[k])
	}
	return text
}

// Attacks lists all of them.
func Attacks() []Attack {
	return slices.Concat(
		http1Attacks(), socketAttacks(), smuggleAttacks(),
		tlsAttacks(),
		streamAttacks(), frameAttacks(), headAttacks(), slowAttacks(), http2SmuggleAttacks(),
		quicAttacks(),
	)
}

// Run attacks for as long as ctx lasts, factor times as hard as usual, and returns
// what was done when all of its connections are closed.
func (a Attack) Run(ctx context.Context, to Target, factor float64) (Sent, error) {
	if err := to.check(); err != nil {
		return Sent{}, err
	}
	s := &storm{
		ctx: ctx, to: to, attack: a,
		units: newPace(a.Rate * factor), dials: newPace(a.Dials * factor),
		kinds: map[string]uint64{},
	}
	// Nobody is to pay for what an earlier attack did from the same address.
	s.number.Store(rand.Uint64() >> 32)
	if err := s.prepare(); err != nil {
		return Sent{}, fmt.Errorf("%s: %w", a.Name, err)
	}
	var all sync.WaitGroup
	for range max(1, int(float64(a.Conns)*factor)) {
		all.Go(s.work)
	}
	all.Wait()
	return s.sent(), nil
}

// storm is an attack that is under way.
type storm struct {
	ctx          context.Context
	to           Target
	attack       Attack
	units, dials *pace
	hello        []byte // a ClientHello

	number, made, failed, ended, held, did, out, in atomic.Uint64

	mu    sync.Mutex
	kinds map[string]uint64
}

// work keeps one connection under attack, and replaces it when it ends.
func (s *storm) work() {
	for s.dials.wait(s.ctx, 1) {
		c, err := s.dial()
		if err != nil {
			if s.ctx.Err() == nil {
				s.failed.Add(1)
			}
			continue
		}
		s.made.Add(1)
		err = s.attack.run(s, c)
		switch {
		case s.ctx.Err() != nil && err == nil:
			s.held.Add(1)
		case s.ctx.Err() == nil && err != nil:
			s.ended.Add(1)
		}
		c.close()
	}
}

// may waits until n more units may be sent, and counts them; false when the attack
// is over.
func (s *storm) may(n int) bool {
	if !s.units.wait(s.ctx, n) {
		return false
	}
	s.did.Add(uint64(n))
	return true
}

// kind counts units by kind.
func (s *storm) kind(name string, n int) {
	s.mu.Lock()
	s.kinds[name] += uint64(n)
	s.mu.Unlock()
}

// pause waits; false when the attack is over.
func (s *storm) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (s *storm) sent() Sent {
	return Sent{
		Units: s.did.Load(), Conns: s.made.Load(), Failed: s.failed.Load(), Ended: s.ended.Load(), Held: s.held.Load(),
		BytesOut: s.out.Load(), BytesIn: s.in.Load(), Kinds: s.kinds,
	}
}

// pace lets so many through a second, evenly. What was missed because the machine
// was busy is not caught up with, but for a moment's worth.
type pace struct {
	each time.Duration
	mu   sync.Mutex
	next time.Time
}

const moment = 20 * time.Millisecond

func newPace(rate float64) *pace {
	return &pace{each: time.Duration(float64(time.Second) / rate)}
}

// wait waits for the turn of n; false when ctx ended.
func (p *pace) wait(ctx context.Context, n int) bool {
	now := time.Now()
	p.mu.Lock()
	if p.next.Before(now.Add(-moment)) {
		p.next = now.Add(-moment)
	}
	at := p.next
	p.next = at.Add(time.Duration(n) * p.each)
	p.mu.Unlock()
	if d := at.Sub(now); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return ctx.Err() == nil
}
