package listen

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/gcra"
)

// crowd is handshakes at a gate, each of which computes for a while.
type crowd struct {
	g       *gate
	now     atomic.Int32
	most    atomic.Int32
	done    [gateLines]atomic.Int32
	refused atomic.Int32
}

func (c *crowd) come(line int, takes time.Duration) {
	if !c.g.enter(line, 0) {
		c.refused.Add(1)
		return
	}
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	time.Sleep(takes)
	c.now.Add(-1)
	c.g.leave(line)
	c.done[line].Add(1)
}

func TestGateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowd{g: newGate(2)}
		for range 2*gateWaits + 2 {
			go c.come(gateStranger, time.Millisecond)
		}
		synctest.Wait()
		if c.now.Load() != 2 || c.refused.Load() != 0 {
			t.Errorf("%d strangers compute, %d refused", c.now.Load(), c.refused.Load())
		}
		if !c.g.pressed(0) || c.g.pressed(gatePressed) {
			t.Error("nobody says that there are too many")
		}
		go c.come(gateStranger, time.Millisecond)
		synctest.Wait()
		if c.refused.Load() != 1 {
			t.Errorf("%d refused", c.refused.Load())
		}
		go c.come(gateKnown, time.Millisecond)
		synctest.Wait()
		if c.now.Load() != 3 {
			t.Error("somebody known waits behind strangers")
		}
		time.Sleep(2 * gateWaits * time.Millisecond)
		synctest.Wait()
		if n := c.done[gateStranger].Load(); n != 2*gateWaits+2 || c.most.Load() != 3 || c.g.free != 3 || c.g.strangers != 0 || c.g.waiting != 0 {
			t.Errorf("%d done, at most %d at a time, left: %+v", n, c.most.Load(), c.g)
		}
	})
}

// TestGateOrder: whoever is known goes first, and strangers get their turn.
func TestGateOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowd{g: newGate(1)}
		for _, line := range []int{gateStranger, gateKnown, gateBegun} {
			for range 50 {
				go c.come(line, time.Millisecond)
			}
			synctest.Wait()
		}
		time.Sleep(24*time.Millisecond + time.Microsecond) // 48 by two places
		synctest.Wait()
		begun, strangers := c.done[gateBegun].Load(), c.done[gateStranger].Load()
		if begun < 30 || strangers < 8 || c.done[gateKnown].Load() > 2 {
			t.Errorf("begun %d, strangers %d, known %d", begun, strangers, c.done[gateKnown].Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if c.g.free != 2 || c.g.strangers != 0 {
			t.Errorf("left: %+v", c.g)
		}
	})
}

func TestPace(t *testing.T) {
	p, l := newPace(), gcra.New(1, 10)
	now := clock.Instant(time.Hour)
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	passed := 0
	for range 50 {
		if p.take(a, l, now, 1) {
			passed++
		}
	}
	if passed != 10 || !p.take(b, l, now, 1) {
		t.Errorf("%d passed, and the neighbour not", passed)
	}
	if now = now.Add(5 * time.Second); !p.take(a, l, now, 5) || p.take(a, l, now, 1) {
		t.Error("five seconds are worth five")
	}
	// What many strangers use up, others hardly feel.
	hurt := 0
	for i := range 5000 {
		src := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32)
		for p.take(src, l, now, 1) {
		}
	}
	for i := range 5000 {
		if !p.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), 32), l, now, 1) {
			hurt++
		}
	}
	if hurt > 150 { // (1 - e^(-5000/32768))^2 of 5000 are 100
		t.Errorf("%d of 5000 strangers have no budget left", hurt)
	}
}
