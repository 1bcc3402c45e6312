package admit

import (
	"math/bits"
	"net/netip"
	"sync"
	"testing"
	"time"
	"unsafe"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func TestSizesInMemory(t *testing.T) {
	for name, c := range map[string]struct{ got, want uintptr }{
		"head":                 {unsafe.Sizeof(head{}), 64},
		"set of prefixes":      {unsafe.Sizeof(set[prefixCell]{}), 64 + 8*32},
		"set of clearances":    {unsafe.Sizeof(set[clearanceCell]{}), 64 + 8*24},
		"set of standings":     {unsafe.Sizeof(set[standingCell]{}), 64 + 8*24},
		"a client, all in all": {(unsafe.Sizeof(set[prefixCell]{})*3/2 + unsafe.Sizeof(set[standingCell]{}) + unsafe.Sizeof(set[clearanceCell]{})/2) / ways, BytesPerClient},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, c.got, c.want)
		}
	}
}

func TestNewcomersGoOldestFirst(t *testing.T) {
	var h head
	for key := range uint64(ways) {
		if i, r := h.place(key, 100+uint32(key)); r != roomEmpty || i < 0 {
			t.Fatalf("key %d: %d %d", key, i, r)
		}
	}
	for key := range uint64(pinnable + 1) {
		h.pin(int(key), true)
	}
	if n := bits.OnesCount8(h.pinned); n != pinnable {
		t.Fatalf("%d cells are safe", n)
	}
	// 6 and 7 are the newcomers; 6 is the older one, then 7, then again.
	for n, want := range []int{6, 7, 6, 7} {
		if i, r := h.place(uint64(1000+n), 200+uint32(n)); i != want || r != roomPushed {
			t.Errorf("newcomer %d takes cell %d, want %d", n, i, want)
		}
	}
	// Nobody is safe for ever.
	if i, _ := h.place(2000, 100+forget+10); i > 5 {
		t.Errorf("an hour later a newcomer takes cell %d", i)
	}
	h.pinned = 0xff
	for i := range h.last {
		h.last[i] = 5000
	}
	if i, r := h.place(3000, 5001); r != roomNone || i >= 0 {
		t.Errorf("all safe, and a newcomer takes cell %d", i)
	}
}

func TestPrefixesAndKeys(t *testing.T) {
	s := &seeds{1, 2, 3, 4}
	seen := map[uint64]string{}
	for _, addr := range []string{"192.0.2.7", "192.0.3.7", "0.0.0.0", "::", "2001:db8:1:2::3", "2001:db8:1:3::3", "2001:db8:1:102::3", "2001:db8:2::"} {
		a := addressOf(netip.MustParseAddr(addr))
		if p := traffic.PrefixOf(netip.MustParseAddr(addr), traffic.LevelClient); a.prefix() != p {
			t.Errorf("%s is written back as %s, want %s", addr, a.prefix(), p)
		}
		for l := range traffic.Levels {
			p := traffic.PrefixOf(netip.MustParseAddr(addr), l)
			if !p.IsValid() {
				continue
			}
			k := a.hash(s, l)
			if old, there := seen[k]; there && old != p.String() {
				t.Errorf("%s and %s share a key", p, old)
			}
			seen[k] = p.String()
			if again := addressOf(p.Addr()).hash(s, l); again != k {
				t.Errorf("%s at level %d: two keys for one prefix", addr, l)
			}
		}
	}
}

// Whatever is sent, memory stays what it was, and those who have proven
// themselves are still remembered.
func TestSpoofedFloodPushesOutNobodyProven(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Clients = 8192 })
	people := make([]netip.Addr, 300)
	issued := s.wall().Add(-time.Hour)
	for i := range people {
		people[i] = netip.AddrFrom4([4]byte{100, 64, byte(i), 1})
	}
	visit := func(i int, kind traffic.Kind) *traffic.Visit {
		v := cleared(page(people[i]), uint64(i+1), issued)
		v.At, v.Kind = s.now, kind
		return v
	}
	for n := range 40 {
		for i := range people {
			s.Decide(visit(i, traffic.Kind(n%2)))
		}
		s.pass(time.Second)
	}
	for i := range 100_000 {
		v := page(v6(0x2a00<<48 | uint64(i)*0x9E3779B97F4A7C15>>16))
		by(v, i).At = s.now
		s.Decide(v)
		if i%1000 == 0 {
			s.pass(time.Second)
		}
	}
	good := 0
	for i := range people {
		v := visit(i, traffic.KindPage)
		if s.Decide(v); v.Standing == traffic.StandingGood {
			good++
		}
	}
	if good < len(people)*99/100 {
		t.Errorf("%d of %d are still remembered as good", good, len(people))
	}
}

// Everything at once, for the race detector, and no visit is lost or counted
// twice.
func TestConcurrent(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Clients = 1024 })
	const workers, each = 4, 3000
	issued := s.wall().Add(-time.Hour)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				v := page(netip.AddrFrom4([4]byte{10, 0, byte(i >> 6), byte(i)}))
				v.At = s.now.Add(time.Duration(i) * time.Millisecond)
				if (i+w)%3 == 0 {
					cleared(v, uint64(i%50), issued)
				}
				s.Decide(v)
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			s.Apply(mitigation.Mitigation{ID: 1, Match: match.All(is(traffic.FieldPath, "/")), Action: mitigation.Slow, By: mitigation.ByMachine})
			s.Apply(mitigation.Mitigation{ID: 2, Match: match.Client(netip.MustParsePrefix("10.0.1.0/24")), Action: mitigation.Refuse, By: mitigation.ByMachine})
			s.UnderAttack(issued)
			s.Withdraw(1)
			s.Withdraw(2)
			s.Calm()
			s.SetOff(i%50 == 49)
			s.tidy()
			s.Recent(1)
			s.Stats()
		}
	})
	wg.Wait()
	total := uint64(0)
	st := s.Stats()
	for a := range st.Decisions {
		for r := range st.Decisions[a] {
			total += st.Decisions[a][r]
		}
	}
	if total != workers*each {
		t.Errorf("%d decisions counted, %d made", total, workers*each)
	}
}
