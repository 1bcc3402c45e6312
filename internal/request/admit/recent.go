package admit

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"seawall/internal/kit/clock"
)

// keepRecent is how long a raw prefix is kept after it was refused.
const keepRecent = time.Hour

// recent is a ring of client prefixes that were refused, newest over oldest.
// It is the only place of the door that holds addresses.
type recent struct {
	mu    sync.Mutex
	ring  []refusal
	next  int
	short func(netip.Prefix) uint64
}

// refusal is one entry; at is 0 in an empty one.
type refusal struct {
	addr address
	at   clock.Instant
}

func (r *recent) init(n int, short func(netip.Prefix) uint64) {
	r.ring, r.short = make([]refusal, n), short
}

// note remembers a refused client. It never waits: when somebody else holds the
// ring, this one is left out.
func (r *recent) note(a address, now clock.Instant) {
	if !r.mu.TryLock() {
		return
	}
	r.ring[r.next] = refusal{a, now}
	r.next = (r.next + 1) % len(r.ring)
	r.mu.Unlock()
}

// Recent finds the client prefix that a reference code means, if it was refused
// within the last hour and not too many others were since. It looks through the
// whole ring, so it is for a person's question, not for the hot path.
func (a *Admit) Recent(hash uint64) (netip.Prefix, bool) {
	r, now := &a.recent, a.clk.Now()
	if r.short == nil {
		return netip.Prefix{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.ring { // newest first
		e := &r.ring[((r.next-1-i)%len(r.ring)+len(r.ring))%len(r.ring)]
		if e.at == 0 || now.Sub(e.at) > keepRecent {
			continue
		}
		if p := e.addr.prefix(); r.short(p) == hash {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func (r *recent) erase(now clock.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.ring {
		if now.Sub(r.ring[i].at) > keepRecent {
			r.ring[i] = refusal{}
		}
	}
}

// Run cleans up once a minute until ctx ends: raw prefixes older than an hour
// are erased, and lists give back the memory of what has ended. Decide does not
// depend on it.
func (a *Admit) Run(ctx context.Context) {
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			a.tidy()
		}
	}
}

func (a *Admit) tidy() {
	now := a.clk.Now()
	a.recent.erase(now)
	a.drop(now)
	a.allow.Sweep(now)
	a.people.Sweep(now)
	a.machine.Sweep(now)
	a.milder.Sweep(now)
}
