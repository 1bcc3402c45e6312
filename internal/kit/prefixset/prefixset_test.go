package prefixset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"seawall/internal/kit/clock"
)

func TestOverlaps(t *testing.T) {
	s := New[int](10)
	if s.Overlaps(netip.MustParsePrefix("0.0.0.0/0")) {
		t.Error("an empty set overlaps")
	}
	for _, p := range []string{"192.0.2.0/24", "2001:db8::7/128", "::ffff:198.51.100.0/120"} {
		if err := s.Insert(netip.MustParsePrefix(p), 0, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	for p, want := range map[string]bool{
		"192.0.2.7/32": true, "192.0.0.0/16": true, "192.0.3.0/24": false, "2001:db8::/64": true, "2001:db8::8/128": false,
		"198.51.100.1/32": true, "::ffff:192.0.2.1/128": true, "::/0": true, "10.0.0.0/8": false,
	} {
		if got := s.Overlaps(netip.MustParsePrefix(p)); got != want {
			t.Errorf("%s: %v", p, got)
		}
	}
	if s.Overlaps(netip.Prefix{}) {
		t.Error("no prefix overlaps")
	}
}

func TestLookUps(t *testing.T) {
	s := New[string](100)
	for p, until := range map[string]clock.Instant{
		"192.0.2.0/24":            0,
		"192.0.2.7/32":            50,
		"192.0.2.128/25":          0,
		"10.0.0.0/8":              50,
		"2001:db8::/32":           0,
		"2001:db8:1::/48":         50,
		"::ffff:198.51.100.0/120": 0,
	} {
		if err := s.Insert(netip.MustParsePrefix(p), p, until, 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		addr string
		now  clock.Instant
		want string // "" is not covered
	}{
		{"192.0.2.1", 10, "192.0.2.0/24"},
		{"192.0.2.7", 10, "192.0.2.7/32"},
		{"192.0.2.7", 49, "192.0.2.7/32"},
		{"192.0.2.7", 50, "192.0.2.0/24"}, // what ended does not hide what is wider
		{"192.0.2.200", 10, "192.0.2.128/25"},
		{"::ffff:192.0.2.1", 10, "192.0.2.0/24"},
		{"198.51.100.9", 10, "::ffff:198.51.100.0/120"},
		{"10.1.2.3", 10, "10.0.0.0/8"},
		{"10.1.2.3", 60, ""},
		{"203.0.113.1", 10, ""},
		{"2001:db8:1::5", 10, "2001:db8:1::/48"},
		{"2001:db8:1::5", 60, "2001:db8::/32"},
		{"2001:db8:2::5%eth0", 10, "2001:db8::/32"},
		{"2001:db9::", 10, ""},
	} {
		a := netip.MustParseAddr(c.addr)
		got, ok := s.Longest(a, c.now)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Longest(%s at %d) = %q %v, want %q", c.addr, c.now, got, ok, c.want)
		}
		if s.Covers(a, c.now) != ok {
			t.Errorf("Covers(%s at %d) = %v", c.addr, c.now, !ok)
		}
	}
	if s.Covers(netip.Addr{}, 10) {
		t.Error("the invalid address is covered")
	}
}

func TestAnyLooksPastTheUnwanted(t *testing.T) {
	s := New[string](10)
	s.Insert(netip.MustParsePrefix("192.0.2.0/24"), "wide", 0, 1)
	s.Insert(netip.MustParsePrefix("192.0.2.4/30"), "middle", 20, 1)
	s.Insert(netip.MustParsePrefix("192.0.2.7/32"), "narrow", 0, 1)
	not := func(n string) func(string) bool { return func(v string) bool { return v != n } }
	a := netip.MustParseAddr("192.0.2.7")
	if v, ok := s.Any(a, 10, not("narrow")); v != "middle" || !ok {
		t.Errorf("Any = %q %v", v, ok)
	}
	if v, ok := s.Any(a, 30, not("narrow")); v != "wide" || !ok {
		t.Errorf("after middle ended, Any = %q %v", v, ok)
	}
	if _, ok := s.Any(a, 30, func(string) bool { return false }); ok {
		t.Error("nothing was wanted, something found")
	}
}

func TestFullAndSweep(t *testing.T) {
	s := New[int](2)
	p := func(i int) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32) }
	for i, want := range []error{nil, nil, ErrFull} {
		if err := s.Insert(p(i), i, 100, 1); !errors.Is(err, want) {
			t.Fatalf("insert %d: %v, want %v", i, err, want)
		}
	}
	if err := s.Insert(p(1), 11, 200, 1); err != nil {
		t.Errorf("replacing in a full set: %v", err)
	}
	if v, ok := s.Get(p(1), 150); v != 11 || !ok {
		t.Errorf("Get = %d %v", v, ok)
	}
	if err := s.Insert(p(2), 2, 200, 100); err != nil {
		t.Errorf("an entry has ended, and still: %v", err)
	}
	if _, ok := s.Get(p(0), 50); ok {
		t.Error("the entry that made room is still there")
	}
	s.Sweep(500)
	if s.Len() != 0 {
		t.Errorf("%d entries after all ended", s.Len())
	}
	s.Insert(p(3), 3, 0, 500)
	s.Delete(p(3))
	if _, ok := s.Longest(p(3).Addr(), 500); ok || s.Len() != 0 {
		t.Error("deleted and still found")
	}
	if err := s.Insert(netip.Prefix{}, 1, 0, 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("the zero prefix: %v", err)
	}
	if err := s.Insert(netip.MustParsePrefix("::ffff:0.0.0.0/90"), 1, 0, 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("a prefix of half IPv4: %v", err)
	}
}

func TestAll(t *testing.T) {
	s := New[int](10)
	for range s.All(1) {
		t.Fatal("an empty set yields something")
	}
	s.Insert(netip.MustParsePrefix("192.0.2.0/24"), 1, 0, 1)
	s.Insert(netip.MustParsePrefix("2001:db8::/32"), 2, 10, 1)
	sum := 0
	for _, v := range s.All(20) {
		sum += v
	}
	if sum != 1 {
		t.Errorf("values sum to %d", sum)
	}
}

// Against the obvious way of doing it.
func TestAgainstAList(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	type item struct {
		p     netip.Prefix
		until clock.Instant
	}
	s := New[netip.Prefix](1000)
	list := map[netip.Prefix]item{}
	addr := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(4)), byte(r.IntN(8))})
	}
	for range 400 {
		p := netip.PrefixFrom(addr(), r.IntN(33)).Masked()
		until := clock.Instant(r.IntN(100))
		s.Insert(p, p, until, 0)
		list[p] = item{p, until}
	}
	for range 5000 {
		a, now := addr(), clock.Instant(r.IntN(110))
		var want netip.Prefix
		for _, it := range list {
			if (it.until == 0 || now < it.until) && it.p.Contains(a) && (!want.IsValid() || it.p.Bits() > want.Bits()) {
				want = it.p
			}
		}
		if got, ok := s.Longest(a, now); got != want || ok != want.IsValid() {
			t.Fatalf("Longest(%v at %d) = %v, want %v", a, now, got, want)
		}
	}
}

func TestReadersWhileWriting(t *testing.T) {
	s := New[int](100)
	stays := netip.MustParsePrefix("192.0.2.0/24")
	s.Insert(stays, 7, 0, 1)
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 500 {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(3 + w), byte(i)}), 32)
				s.Insert(p, i, 0, 1)
				s.Delete(p)
			}
		})
	}
	for range 2000 {
		if v, ok := s.Longest(stays.Addr(), 1); v != 7 || !ok {
			t.Error("lost what nobody touched")
			break
		}
	}
	wg.Wait()
	if s.Len() != 1 {
		t.Errorf("%d entries left", s.Len())
	}
}

func benchSet(n int) (*Set[int], []netip.Addr) {
	r := rand.New(rand.NewPCG(7, 8))
	s := New[int](n)
	var addrs []netip.Addr
	for i := range n {
		var p netip.Prefix
		if i%2 == 0 {
			p = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + r.IntN(220)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}), 32)
		} else {
			a := [16]byte{0x20, byte(r.IntN(4)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
			p = netip.PrefixFrom(netip.AddrFrom16(a), 64)
		}
		s.Insert(p, i, 0, 1)
		addrs = append(addrs, p.Addr())
	}
	r.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return s, addrs
}

func BenchmarkLongest(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		s, addrs := benchSet(n)
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := s.Longest(addrs[i], 1); !ok {
					b.Fatal("not found")
				}
				if i++; i == len(addrs) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkInsertDelete(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		s, _ := benchSet(n)
		s.max++
		p := netip.MustParsePrefix("198.51.100.7/32")
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Insert(p, 1, 0, 1)
				s.Delete(p)
			}
		})
	}
}

func TestReadersAllocateNothing(t *testing.T) {
	s := New[int](10)
	s.Insert(netip.MustParsePrefix("192.0.2.0/24"), 1, 0, 1)
	s.Insert(netip.MustParsePrefix("192.0.2.7/32"), 2, 5, 1)
	a := netip.MustParseAddr("192.0.2.7")
	if n := testing.AllocsPerRun(100, func() { s.Longest(a, 10); s.Covers(a, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
