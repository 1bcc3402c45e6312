package packet

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

// ackFrom is an ordinary packet from an address.
func ackFrom(a netip.Addr) []byte {
	f := v4(craft.Frame{})
	if a.Is6() {
		f = v6(craft.Frame{})
	}
	f.Source = a
	return f.Bytes()
}

func block(t testing.TB, f *filter.Filter, p netip.Prefix, person bool) {
	t.Helper()
	if err := f.Block(p, time.Time{}, person); err != nil {
		t.Fatal(err)
	}
}

func passes(t testing.TB, f *filter.Filter, address string) bool {
	t.Helper()
	_, _, passed := result(t, f, ackFrom(netip.MustParseAddr(address)))
	return passed
}

// Every prefix length stops what lies in the prefix and nothing beside it.
func TestBlockedPrefixes(t *testing.T) {
	for _, c := range []struct{ prefix, first, last, before, after string }{
		{"198.18.0.7/32", "198.18.0.7", "198.18.0.7", "198.18.0.6", "198.18.0.8"},
		{"198.18.4.0/24", "198.18.4.0", "198.18.4.255", "198.18.3.255", "198.18.5.0"},
		{"198.18.0.0/15", "198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"},
		{"16.0.0.0/4", "16.0.0.0", "31.255.255.255", "15.255.255.255", "32.0.0.0"},
		{"128.0.0.0/1", "128.0.0.0", "223.255.255.255", "126.255.255.255", "1.0.0.0"},
		{"2001:db8::7/128", "2001:db8::7", "2001:db8::7", "2001:db8::6", "2001:db8::8"},
		{"2001:db8::40/122", "2001:db8::40", "2001:db8::7f", "2001:db8::3f", "2001:db8::80"},
		{"2001:db8:1:2::/64", "2001:db8:1:2::", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:1:ffff::", "2001:db8:1:3::"},
		{"2001:db8:1::/48", "2001:db8:1::", "2001:db8:1:ffff::9", "2001:db8:0:ffff::", "2001:db8:2::"},
		{"2001:db8::/33", "2001:db8::", "2001:db8:7fff::9", "2001:db7:ffff::", "2001:db8:8000::"},
	} {
		f := load(t, nil)
		p := netip.MustParsePrefix(c.prefix)
		for range 2 { // blocked again after it was taken off
			block(t, f, p, false)
			if passes(t, f, c.first) || passes(t, f, c.last) {
				t.Errorf("%v: an address of it passes", p)
			}
			if !passes(t, f, c.before) || !passes(t, f, c.after) {
				t.Errorf("%v: an address beside it is stopped", p)
			}
			if err := f.Unblock(p); err != nil {
				t.Fatal(err)
			}
			if !passes(t, f, c.first) {
				t.Errorf("%v: still blocked", p)
			}
		}
	}
}

// A blocked source is stopped however its packets are wrapped, and keeps what
// is not protected.
func TestBlockedThroughWrappings(t *testing.T) {
	f := load(t, nil)
	block(t, f, netip.PrefixFrom(client4, 32), false)
	block(t, f, netip.PrefixFrom(client6, 64), false)
	for _, p := range ordinary() {
		want := p.want != filter.PassOurs
		if done, _, passed := result(t, f, p.frame); passed != want {
			t.Errorf("%s: passed %v (%v)", p.name, passed, done)
		}
	}
}

func TestBlockEnds(t *testing.T) {
	f := load(t, nil)
	p := netip.PrefixFrom(client4, 32)
	until := time.Now().Add(time.Second) // the next lines may take a while on a busy machine
	if err := f.Block(p, until, true); err != nil {
		t.Fatal(err)
	}
	if passes(t, f, client4.String()) {
		t.Error("passes at once")
	}
	time.Sleep(time.Until(until) + 200*time.Millisecond)
	if !passes(t, f, client4.String()) {
		t.Error("is stopped after its time")
	}
	if err := f.Block(p, time.Now().Add(-time.Hour), true); err != nil || !passes(t, f, client4.String()) {
		t.Errorf("stopped by a block that was over before it came, %v", err)
	}
}

// Who is on the allow list passes every rung.
func TestAllowWins(t *testing.T) {
	f := load(t, nil)
	block(t, f, netip.MustParsePrefix("198.18.0.0/15"), true)
	if err := f.Allow(netip.PrefixFrom(client4, 32), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if !passes(t, f, client4.String()) || passes(t, f, "198.18.0.8") {
		t.Error("the allowed address is stopped, or its neighbour is not")
	}
	for _, p := range odd()[filter.Malformed] {
		if p.want == filter.StopFlags {
			_, _, passed := result(t, f, p.frame)
			if is4 := p.frame[12] == 8 || p.frame[12] == 0x81; passed != is4 {
				t.Errorf("%s: passed %v", p.name, passed)
			}
		}
	}
	// An IPv6 packet that pretends to come from the allowed address.
	disguised := patched(v6(craft.Frame{}).Bytes(), ip4+8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 18, 0, 7)
	if _, _, passed := result(t, f, disguised); passed {
		t.Error("an IPv4 address in an IPv6 packet passes as allowed")
	}
	if err := f.Disallow(netip.PrefixFrom(client4, 32)); err != nil || passes(t, f, client4.String()) {
		t.Errorf("passes when allowed no more, %v", err)
	}
	if err := f.Allow(netip.PrefixFrom(client4, 32), time.Now().Add(-time.Second)); err != nil || passes(t, f, client4.String()) {
		t.Errorf("passes by an entry that is over, %v", err)
	}
}

// A narrow entry that is over does not hide a wider one that stands, whichever
// came first, and goes with the wider one.
func TestNarrowAllowEnds(t *testing.T) {
	wide, narrow := netip.MustParsePrefix("198.18.0.0/24"), netip.PrefixFrom(client4, 32)
	for name, first := range map[string]bool{"the narrow one first": true, "the wide one first": false} {
		f := load(t, nil)
		allow := func(p netip.Prefix, end time.Time) {
			t.Helper()
			if err := f.Allow(p, end); err != nil {
				t.Fatal(err)
			}
		}
		block(t, f, narrow, true)
		end := time.Now().Add(500 * time.Millisecond)
		if first {
			allow(narrow, end)
		}
		allow(wide, time.Time{})
		if !first {
			allow(narrow, end)
		}
		time.Sleep(time.Until(end) + 200*time.Millisecond)
		if !passes(t, f, client4.String()) {
			t.Errorf("%s: the network is allowed for ever, and a client in it is stopped", name)
		}
		if n, err := f.Sweep(); err != nil || n != 1 || !passes(t, f, client4.String()) {
			t.Errorf("%s: swept %d, %v, or it is stopped then", name, n, err)
		}
		allow(narrow, time.Now().Add(-time.Hour))
		if err := f.Disallow(wide); err != nil || passes(t, f, client4.String()) {
			t.Errorf("%s: passes when nothing is allowed any more, %v", name, err)
		}
		allow(narrow, time.Now().Add(time.Hour))
		if err := f.Disallow(wide); err != nil || !passes(t, f, client4.String()) {
			t.Errorf("%s: its own entry went with the wider one's, %v", name, err)
		}
	}
}

// A ban until a day that the kernel's clock cannot tell stands.
func TestFarDays(t *testing.T) {
	f := load(t, nil)
	for i, year := range []int{2100, 2318, 9999} {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(i + 1)}), 32)
		if err := f.Block(p, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), true); err != nil || passes(t, f, p.Addr().String()) {
			t.Errorf("banned until %d, and passes, %v", year, err)
		}
	}
}

// A list that is over its measure, which an earlier process's was larger, keeps
// what is on it.
func TestSmallerListKeeps(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a BPF file system needs root")
	}
	dir := bpffs(t)
	cfg := filter.DefaultConfig()
	cfg.Entries4 = 2700
	load := func() *filter.Filter {
		f, err := filter.New(cfg, guard(), dir)
		if errors.Is(err, filter.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := load()
	for i := range cfg.Entries4 {
		block(t, f, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32), true)
	}
	f.Close()
	cfg.Entries4 = 2000
	f = load()
	defer f.Close()
	block(t, f, netip.PrefixFrom(client4, 32), true)
	if passes(t, f, client4.String()) {
		t.Error("a client that was banned anew is not")
	}
	if err := f.Block(netip.MustParsePrefix("203.0.113.7/32"), time.Time{}, true); !errors.Is(err, filter.ErrFull) || !passes(t, f, "203.0.113.7") {
		t.Errorf("one more: %v", err)
	}
}

func TestListsSayWhatTheyCannot(t *testing.T) {
	f := load(t, func(c *filter.Config) { c.Entries4 = 1024 })
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::ffff:0:0/90")} {
		if !errors.Is(f.Block(bad, time.Time{}, true), filter.ErrPrefix) || !errors.Is(f.Allow(bad, time.Time{}), filter.ErrPrefix) {
			t.Errorf("%v was taken", bad)
		}
	}
	for i, p := range []string{"198.18.0.0/16", "198.18.0.0/17", "198.18.0.0/18", "198.18.0.0/19", "198.18.0.0/20"} {
		if err := f.Block(netip.MustParsePrefix(p), time.Time{}, false); errors.Is(err, filter.ErrFull) != (i == 4) {
			t.Errorf("%s: %v", p, err)
		}
	}
	var err error
	for i := 0; err == nil && i < 2000; i++ {
		err = f.Block(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), 32), time.Time{}, false)
	}
	if !errors.Is(err, filter.ErrFull) {
		t.Errorf("a full list says %v", err)
	}
	if err := f.Unblock(netip.MustParsePrefix("203.0.113.0/24")); err != nil {
		t.Errorf("taking off what was not on: %v", err)
	}
}

// As many clients as were configured find room, whatever their addresses, and
// none is mixed up with another.
func TestFullTables(t *testing.T) {
	cfg := filter.DefaultConfig()
	f := load(t, nil)
	random := rand.New(rand.NewPCG(1, 2))
	clients := map[netip.Prefix]bool{}
	for v4 := 0; v4 < cfg.Entries4; {
		a := netip.AddrFrom4([4]byte{198, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
		if p := netip.PrefixFrom(a, 32); !clients[p] {
			clients[p] = true
			v4++
		}
	}
	for v6 := 0; v6 < cfg.Entries6; {
		a := [16]byte{0x20, 1, 0x0d, 0xb8}
		binary.BigEndian.PutUint32(a[4:], random.Uint32())
		if p := netip.PrefixFrom(netip.AddrFrom16(a), 64); !clients[p] {
			clients[p] = true
			v6++
		}
	}
	for p := range clients {
		block(t, f, p, false)
	}
	for _, one := range []string{"203.0.113.1/32", "2001:db9::/64"} {
		if err := f.Block(netip.MustParsePrefix(one), time.Time{}, false); !errors.Is(err, filter.ErrFull) {
			t.Errorf("one more than configured: %v", err)
		}
	}
	shown := 0
	for p := range clients {
		if shown++; shown > 3000 {
			break
		}
		if passed, err := f.Try(ackFrom(p.Addr())); passed || err != nil {
			t.Fatalf("%v passes (%v)", p, err)
		}
		if next := p.Addr().Next(); p.Bits() == 32 && !clients[netip.PrefixFrom(next, 32)] {
			if passed, err := f.Try(ackFrom(next)); !passed || err != nil {
				t.Fatalf("%v, which is not blocked, is stopped (%v)", next, err)
			}
		}
	}
	for p := range clients {
		if err := f.Unblock(p); err != nil {
			t.Fatal(err)
		}
	}
	for p := range clients {
		if passed, err := f.Try(ackFrom(p.Addr())); !passed || err != nil {
			t.Fatalf("%v is still blocked (%v)", p, err)
		}
		if shown--; shown == 0 {
			break
		}
	}
}
