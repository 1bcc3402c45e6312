package observe

import (
	"net/netip"
	"sync"
	"testing"

	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// TestLinks: who did what on connections, and the counts as differences.
func TestLinks(t *testing.T) {
	o := New(SmallConfig(), clock.New())
	o.CutLinks(traffic.Links{Counted: true, Opened: 1000, Closed: 900, Open: 100})
	for i := range 40 {
		o.Linked(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), "", traffic.LinkOpened)
	}
	o.Linked(netip.MustParseAddr("2001:db8:1:2::7"), "", traffic.LinkOpened)
	for range 5 {
		o.Linked(netip.MustParseAddr("203.0.113.7"), "t13d1516h2_8daaf6152771_02713d6af862", traffic.LinkBegun)
	}
	o.Linked(netip.MustParseAddr("198.51.100.1"), "", traffic.LinkSlow)
	o.Linked(netip.Addr{}, "", traffic.LinkSlow)

	got := o.CutLinks(traffic.Links{Counted: true, Opened: 1041, Closed: 940, Open: 101, Most: 8192,
		Handshakes: traffic.Handshakes{Begun: 5}, Slow: [traffic.Waits]uint64{traffic.WaitHead: 1}})
	if got.Opened != 41 || got.Closed != 40 || got.Open != 101 || got.Most != 8192 || got.Handshakes.Begun != 5 || got.Slow[traffic.WaitHead] != 1 {
		t.Errorf("counts %+v", got)
	}
	if got.Clients < 39 || got.Clients > 43 {
		t.Errorf("%d clients, not about 41", got.Clients)
	}
	if n := got.Networks[traffic.LinkOpened]; len(n) != 2 || n[0] != (traffic.Heavy{Key: "203.0.113.0/24", Count: 40}) || n[1].Key != "2001:db8:1::/48" {
		t.Errorf("networks %v", n)
	}
	if c := got.Of[traffic.LinkBegun]; len(c) != 1 || c[0] != (traffic.Heavy{Key: "203.0.113.7/32", Count: 5}) {
		t.Errorf("clients that began a handshake %v", c)
	}
	if c := got.Of[traffic.LinkSlow]; len(c) != 1 || c[0].Key != "198.51.100.1/32" {
		t.Errorf("slow clients %v", c)
	}
	if len(got.JA4) != 1 || got.JA4[0].Count != 5 {
		t.Errorf("fingerprints %v", got.JA4)
	}
	if next := o.CutLinks(traffic.Links{Counted: true, Opened: 1041}); next.Opened != 0 || next.Clients != 0 || next.Of[traffic.LinkSlow] != nil {
		t.Errorf("the next window begins with %+v", next)
	}
}

// TestLinksWhileCut: events of many goroutines are in one window or the other, or
// counted as lost.
func TestLinksWhileCut(t *testing.T) {
	o := New(SmallConfig(), clock.New())
	const each, workers = 2000, 4
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for range each {
				o.Linked(netip.AddrFrom4([4]byte{10, 0, 0, byte(w)}), "", traffic.LinkOpened)
			}
		})
	}
	seen := uint64(0)
	count := func() {
		w := o.CutLinks(traffic.Links{})
		seen += w.Lost
		for _, h := range w.Of[traffic.LinkOpened] {
			seen += h.Count
		}
	}
	for range 50 {
		count()
	}
	all.Wait()
	count()
	if seen != each*workers {
		t.Errorf("%d events seen, %d happened", seen, each*workers)
	}
}

func TestLinkedAllocatesNothing(t *testing.T) {
	o := New(DefaultConfig(), clock.New())
	i := uint32(0)
	n := testing.AllocsPerRun(1000, func() {
		i++
		o.Linked(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), "t13d1516h2_8daaf6152771_02713d6af862", traffic.LinkBegun)
	})
	if n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func BenchmarkLinked(b *testing.B) {
	b.ReportAllocs()
	o := New(DefaultConfig(), clock.New())
	i := uint32(0)
	for b.Loop() {
		i++
		o.Linked(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), "", traffic.LinkOpened)
	}
}

func BenchmarkCutLinks(b *testing.B) {
	b.ReportAllocs()
	o := New(DefaultConfig(), clock.New())
	for i := range uint32(100000) {
		o.Linked(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), "", traffic.LinkOpened)
	}
	for b.Loop() {
		o.CutLinks(traffic.Links{})
	}
}
