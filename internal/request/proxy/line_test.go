package proxy

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

// A client that fills the line makes room for others of its rank, and not they for
// it: neither at once nor when the line has stood for long.
func TestLineIsShared(t *testing.T) {
	const places = 8
	g := NewGate(1, 1, places, clock.New())
	var held Slot
	if _, err := g.Acquire(t.Context(), mitigation.RankNewcomer, netip.Addr{}, &held); err != nil {
		t.Fatal(err)
	}
	greedy, modest := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.1.1")
	bucket := func(a netip.Addr) uint16 { b, _ := g.fair.who(a, mitigation.RankNewcomer); return b }
	for bucket(greedy) == bucket(modest) { // by chance
		modest = modest.Next()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ends := map[netip.Addr]chan error{greedy: make(chan error, 100), modest: make(chan error, 100)}
	come := func(who netip.Addr) {
		before := len(ends[who]) + g.Gauges().Waiting
		go func() {
			var s Slot
			_, err := g.Acquire(ctx, mitigation.RankNewcomer, who, &s)
			ends[who] <- err
		}()
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if len(ends[greedy])+len(ends[modest])+g.Gauges().Waiting > before || len(ends[who]) > 0 {
				return
			}
		}
	}
	for range places {
		come(greedy)
	}
	for _, pause := range []time.Duration{0, 2 * standing} {
		time.Sleep(pause)
		come(modest)
		if err := <-ends[greedy]; !errors.Is(err, errFull) {
			t.Fatalf("after %v one of those who fill the line ends with %v", pause, err)
		}
		come(greedy)
		if err := <-ends[greedy]; !errors.Is(err, errFull) {
			t.Fatalf("after %v the next of them ends with %v", pause, err)
		}
	}
	if n := len(ends[modest]); n != 0 || g.Gauges().Waiting != places {
		t.Errorf("%d of the others were sent away; %d wait", n, g.Gauges().Waiting)
	}
	held.Release()
}
