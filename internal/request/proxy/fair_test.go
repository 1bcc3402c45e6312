package proxy

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// client is a client's address, each with an account of its own.
func client(g *Gate, taken map[int32]bool, i int) netip.Addr {
	for a := netip.AddrFrom4([4]byte{198, 18, byte(i), 1}); ; a = a.Next() {
		if _, flow := g.fair.who(a, mitigation.RankNewcomer); !taken[flow] {
			taken[flow] = true
			return a
		}
	}
}

// Clients that ask for dear pages as often as they are answered stand in line; whoever
// comes for the first time is served before them, however many come after, and a client
// that asks for twice as much as the others gets no more of the origin's time.
func TestFirstComersPassHeavyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const heavies, places, holds = 40, 4, 100 * time.Millisecond
		g := NewGate(places, 1, 1024, clock.New())
		taken := map[int32]bool{}
		ctx, cancel := context.WithCancel(t.Context())
		var had [heavies]atomic.Int64
		for i := range heavies {
			from := client(g, taken, i)
			for range 1 + i%2 { // every other one asks twice at a time
				go func() {
					for ctx.Err() == nil {
						var s Slot
						if _, err := g.Acquire(ctx, mitigation.RankNewcomer, from, &s); err == nil {
							time.Sleep(holds)
							had[i].Add(1)
							s.Release()
						}
						time.Sleep(time.Millisecond)
					}
				}()
			}
		}
		time.Sleep(15 * time.Second)
		for i := range had {
			had[i].Store(0)
		}
		const newcomers = 40
		for i := range newcomers {
			time.Sleep(370 * time.Millisecond)
			var s Slot
			if took, err := g.Acquire(ctx, mitigation.RankNewcomer, client(g, taken, heavies+i), &s); err != nil || took > holds {
				t.Errorf("newcomer %d waited for %v: %v", i, took, err)
			}
			time.Sleep(holds / 10)
			s.Release()
		}
		var least, most int64 = had[0].Load(), 0
		for i := range had {
			least, most = min(least, had[i].Load()), max(most, had[i].Load())
		}
		if least == 0 || most > least+2 {
			t.Errorf("in the same time one got %d answers and another %d", least, most)
		}
		cancel()
		synctest.Wait()
		time.Sleep(time.Minute)
		if s := g.Gauges(); s.InFlight != 0 || s.Waiting != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}

// Who gives up in line, or is sent away, owes nothing for it.
func TestNothingServedNothingOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 1, 2, clock.New())
		g.fair.typical = 1 // a second
		from := netip.MustParseAddr("198.18.0.1")
		_, flow := g.fair.who(from, mitigation.RankNewcomer)
		var held Slot
		if _, err := g.Acquire(t.Context(), mitigation.RankNewcomer, from, &held); err != nil {
			t.Fatal(err)
		}
		owes := func() float64 {
			synctest.Wait()
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.fair.done[flow]
		}
		before := owes()
		for _, stays := range []time.Duration{time.Millisecond, time.Hour} { // leaves; its patience ends
			for range 4 { // two of them find the line full
				ctx, cancel := context.WithTimeout(t.Context(), stays)
				defer cancel()
				go func() { _, _ = g.Acquire(ctx, mitigation.RankNewcomer, from, new(Slot)) }()
			}
			time.Sleep(time.Minute)
		}
		if now := owes(); now != before {
			t.Errorf("owes %v, and %v before", now, before)
		}
		held.Release()
		if now := owes(); now != 2*60 {
			t.Errorf("owes %v for two minutes", now)
		}
	})
}
