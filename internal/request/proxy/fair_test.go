package proxy

import (
	"context"
	"math"
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
// that asks for twice as much as the others gets hardly more of the origin's time.
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
		if least == 0 || most > least*4/3 {
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

// Who gives up in line, or is sent away, owes nothing for it; what is owed fades.
func TestNothingServedNothingOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.New()
		g := NewGate(1, 1, 2, clk)
		g.fair.typical = 1 // a second
		from := netip.MustParseAddr("198.18.0.1")
		_, flow := g.fair.who(from, mitigation.RankNewcomer)
		var held Slot
		began := time.Now()
		if _, err := g.Acquire(t.Context(), mitigation.RankNewcomer, from, &held); err != nil {
			t.Fatal(err)
		}
		see := func(when string, want float64) {
			t.Helper()
			synctest.Wait()
			g.mu.Lock()
			defer g.mu.Unlock()
			if owes := g.fair.due(&g.fair.done[flow], clk.Now()); math.Abs(owes-want) > 0.02*want+1e-9 {
				t.Errorf("%s: owes %v, want %v", when, owes, want)
			}
		}
		left := func() float64 { return math.Exp2(-time.Since(began).Seconds() / fades.Seconds()) }
		for _, stays := range []time.Duration{time.Millisecond, time.Hour} { // leaves; its patience ends
			for range 4 { // two of them find the line full
				ctx, cancel := context.WithTimeout(t.Context(), stays)
				defer cancel()
				go func() { _, _ = g.Acquire(ctx, mitigation.RankNewcomer, from, new(Slot)) }()
			}
			time.Sleep(4 * time.Millisecond)
			if stays < time.Second {
				see("who left", left())
			}
		}
		time.Sleep(4 * time.Second)
		g.mu.Lock()
		// The charges of those who waited have faded a little when they were taken back.
		owes := g.fair.due(&g.fair.done[flow], clk.Now())
		g.mu.Unlock()
		if owes > left() {
			t.Errorf("who waited in vain owes %v", owes)
		}
		time.Sleep(6 * time.Second)
		held.Release()
		g.mu.Lock()
		owes = g.fair.due(&g.fair.done[flow], clk.Now())
		g.mu.Unlock()
		if owes < 9 || owes > 10.1 { // the second that was charged has faded meanwhile
			t.Errorf("owes %v for ten seconds at the origin", owes)
		}
		time.Sleep(fades)
		see("later", owes/2)
	})
}

// Where the line is full, who had most of the origin makes room, and comes in vain; those
// who never had anything stay.
func TestFullLineSparesFirstComers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 16
		clk := clock.New()
		g := NewGate(1, 4, places, clk)
		g.fair.typical = 0.1
		taken := map[int32]bool{}
		bots := make([]netip.Addr, 3*places)
		for i := range bots {
			bots[i] = client(g, taken, i)
			_, flow := g.fair.who(bots[i], mitigation.RankNewcomer)
			g.fair.done[flow] = account{ahead: 100, at: clk.Now()}
		}
		var held Slot
		_, _ = g.Acquire(t.Context(), mitigation.RankNewcomer, client(g, taken, 201), &held)
		come := func(from netip.Addr) chan error {
			c := make(chan error, 1)
			go func() {
				var s Slot
				_, err := g.Acquire(t.Context(), mitigation.RankNewcomer, from, &s)
				c <- err
				s.Release()
			}()
			synctest.Wait()
			return c
		}
		for i := range places {
			come(bots[i])
		}
		time.Sleep(2 * standing)
		first := come(client(g, taken, 200))
		for i := places; i < len(bots); i++ {
			come(bots[i])
			time.Sleep(time.Millisecond)
		}
		select {
		case err := <-first:
			t.Fatalf("who came for the first time is sent away: %v", err)
		default:
		}
		held.Release()
		if err := <-first; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}
