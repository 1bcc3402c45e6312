package packet

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/packet/filter"
	"seawall/internal/traffic"
)

// working is a Packet over a loaded filter that is attached to nothing.
func working(t *testing.T, change func(*filter.Config)) *Packet {
	t.Helper()
	p := New(DefaultConfig(), slog.New(slog.DiscardHandler))
	p.filter = load(t, change)
	return p
}

func ordered(id mitigation.ID, prefix string, act mitigation.Action, by mitigation.By) mitigation.Mitigation {
	return mitigation.Mitigation{ID: id, Match: match.Client(netip.MustParsePrefix(prefix)), Action: act, By: by}
}

func (p *Packet) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Only what a person has said of a prefix reaches the kernel, and what the
// machine says of a client that it met at the other end of a connection: any
// other address may come from a header.
func TestOnlyProvenAddressesReachTheKernel(t *testing.T) {
	p := working(t, nil)
	path := mitigation.Mitigation{ID: 4, Match: match.All(must(match.OneOf(traffic.FieldPath, "/"))), Action: mitigation.Refuse, By: mitigation.ByOperator}
	dry := ordered(13, "198.18.0.7/32", mitigation.Refuse, mitigation.ByRule)
	dry.Shadow = true
	pathDirect := path
	pathDirect.ID, pathDirect.By, pathDirect.Direct = 9, mitigation.ByMachine, true
	for _, m := range []mitigation.Mitigation{
		ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByMachine),
		ordered(2, "198.18.0.7/32", mitigation.Refuse, mitigation.ByPeer),
		ordered(3, "198.18.0.7/32", mitigation.Slow, mitigation.ByOperator),
		path, pathDirect, dry,
		direct(5, "198.18.0.0/24", mitigation.Refuse),
		direct(6, "198.18.0.7/32", mitigation.Slow),
		direct(7, "198.18.0.7/32", mitigation.Admit),
		{ID: 8, Match: match.Client(netip.MustParsePrefix("198.18.0.7/32")), Action: mitigation.Refuse, By: mitigation.ByPeer, Direct: true},
	} {
		p.must(t, p.Apply(m))
		if !passes(t, p.filter, "198.18.0.7") || p.Blocks(m.ID) {
			t.Fatalf("%v stops packets", &m)
		}
	}
	for _, m := range []mitigation.Mitigation{
		ordered(10, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator),
		direct(11, "198.18.0.7/32", mitigation.Refuse),
		direct(12, "198.18.0.7/32", mitigation.Drop),
		ordered(14, "198.18.0.7/32", mitigation.Refuse, mitigation.ByRule),
	} {
		for range 2 {
			p.must(t, p.Apply(m))
			if passes(t, p.filter, "198.18.0.7") {
				t.Errorf("%v stops no packets", &m)
			}
		}
		for id := mitigation.ID(1); id < 10; id++ {
			p.must(t, p.Withdraw(id))
		}
		if passes(t, p.filter, "198.18.0.7") {
			t.Errorf("%v went with another mitigation", &m)
		}
		p.must(t, p.Withdraw(m.ID))
		p.must(t, p.Withdraw(m.ID))
		if !passes(t, p.filter, "198.18.0.7") {
			t.Errorf("stopped after %v was withdrawn", &m)
		}
	}
	if len(p.orders) > 0 || len(p.places) > 0 || p.people != 0 || p.machine != 0 {
		t.Errorf("left: %v, %v, %d and %d", p.orders, p.places, p.people, p.machine)
	}
}

// direct is a ban by the machine of a client that was met without a proxy.
func direct(id mitigation.ID, prefix string, act mitigation.Action) mitigation.Mitigation {
	m := ordered(id, prefix, act, mitigation.ByMachine)
	m.Direct = true
	return m
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Two orders about one prefix: it stands as long as one of them does.
func TestOrdersOverlap(t *testing.T) {
	p := working(t, nil)
	p.must(t, p.Apply(ordered(1, "198.18.0.0/24", mitigation.Refuse, mitigation.ByOperator)))
	p.must(t, p.Apply(ordered(2, "198.18.0.0/24", mitigation.Refuse, mitigation.ByOperator)))
	p.must(t, p.Withdraw(1))
	if passes(t, p.filter, "198.18.0.7") {
		t.Error("passes though one ban stands")
	}
	p.must(t, p.Apply(ordered(3, "198.18.0.7/32", mitigation.Admit, mitigation.ByOperator)))
	p.Always([]netip.Prefix{netip.MustParsePrefix("198.18.0.7/32"), netip.MustParsePrefix("198.18.0.9/32")})
	p.must(t, p.Withdraw(3))
	if !passes(t, p.filter, "198.18.0.7") || !passes(t, p.filter, "198.18.0.9") || passes(t, p.filter, "198.18.0.8") {
		t.Error("what the configuration allows does not pass, or all do")
	}
	p.Always([]netip.Prefix{netip.MustParsePrefix("198.18.0.9/32")})
	if passes(t, p.filter, "198.18.0.7") || !passes(t, p.filter, "198.18.0.9") {
		t.Error("a new configuration's list is not in force")
	}
	// The same order with another prefix and end.
	m := ordered(2, "198.18.1.0/24", mitigation.Refuse, mitigation.ByOperator)
	m.Until = time.Now().Add(time.Hour)
	p.must(t, p.Apply(m))
	if !passes(t, p.filter, "198.18.0.7") || passes(t, p.filter, "198.18.1.7") {
		t.Error("an order that was changed stands as it was")
	}
}

// What the kernel has no room for is counted, not tried for ever: the door has it.
func TestNoRoomIsNoError(t *testing.T) {
	p := working(t, func(c *filter.Config) { c.Entries4 = 1024 })
	for i := range 1030 {
		a := netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)})
		p.must(t, p.Apply(ordered(mitigation.ID(i+1), a.String()+"/32", mitigation.Refuse, mitigation.ByOperator)))
	}
	if st, ok := p.Stats(); !ok || st.Refused != 6 {
		t.Errorf("%d orders without room, %v", st.Refused, ok)
	}
}

// What there was no room for is put on the list when there is.
func TestRoomThatAppears(t *testing.T) {
	p := working(t, nil)
	for i, s := range []string{"198.18.0.0/16", "198.18.0.0/17", "198.18.0.0/18", "198.18.0.0/19"} {
		p.must(t, p.Apply(ordered(mitigation.ID(i+1), s, mitigation.Refuse, mitigation.ByOperator)))
	}
	for range 2 {
		p.must(t, p.Apply(ordered(9, "203.0.113.0/24", mitigation.Refuse, mitigation.ByOperator)))
		p.must(t, p.Apply(ordered(10, "203.0.112.0/24", mitigation.Refuse, mitigation.ByOperator)))
	}
	p.renew()
	if p.Blocks(9) || p.refused != 2 {
		t.Errorf("on the list, or refused %d times", p.refused)
	}
	p.must(t, p.Withdraw(10))
	p.must(t, p.Withdraw(1))
	p.renew()
	if passes(t, p.filter, "203.0.113.1") || !passes(t, p.filter, "203.0.112.1") || len(p.waiting) > 0 {
		t.Errorf("a length is free, and the ban is not in the kernel, or one that was lifted is; waiting: %v", p.waiting)
	}
}

// What the kernel can never have is said once, and is no error that the control
// loop would try again for ever.
func TestPrefixesThatCannotBe(t *testing.T) {
	p := working(t, nil)
	var said strings.Builder
	p.log = slog.New(slog.NewTextHandler(&said, nil))
	prefixes := []string{"0.0.0.0/32", "::/64", "0.0.0.0/0", "::/0"}
	for range 2 {
		for i, s := range prefixes {
			p.must(t, p.Apply(ordered(mitigation.ID(i+1), s, mitigation.Refuse, mitigation.ByOperator)))
		}
		p.renew()
	}
	if n := strings.Count(said.String(), "the door alone heeds it"); n != len(prefixes) || p.refused != uint64(n) {
		t.Errorf("%d of %d are told of, %d counted: %s", n, len(prefixes), p.refused, said.String())
	}
	for i := range prefixes {
		p.must(t, p.Withdraw(mitigation.ID(i+1)))
	}
	if len(p.waiting) > 0 || len(p.places) > 0 {
		t.Errorf("left: %v, %v", p.waiting, p.places)
	}
}

// Applying an ID anew replaces what it said, also by what is the door's alone.
func TestSoftenedOrderLifts(t *testing.T) {
	p := working(t, nil)
	p.must(t, p.Apply(ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)))
	p.must(t, p.Apply(ordered(1, "198.18.0.7/32", mitigation.Slow, mitigation.ByOperator)))
	if !passes(t, p.filter, "198.18.0.7") {
		t.Error("slowed by the door, and still stopped in the kernel")
	}
}

// Of two orders about a prefix the longer one counts.
func TestLongerOrderCounts(t *testing.T) {
	p := working(t, nil)
	short := ordered(2, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)
	short.Until = time.Now().Add(300 * time.Millisecond)
	p.must(t, p.Apply(ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)))
	p.must(t, p.Apply(short))
	time.Sleep(time.Until(short.Until) + 200*time.Millisecond)
	if passes(t, p.filter, "198.18.0.7") {
		t.Error("the ban for ever ended with the short one's time")
	}
}

// A lift that fails is an error each time, so that the control loop tries again
// until it is done.
func TestFailedLiftIsTriedAgain(t *testing.T) {
	p := working(t, nil)
	m := ordered(1, "198.18.0.0/24", mitigation.Refuse, mitigation.ByOperator)
	p.must(t, p.Apply(m))
	works, broken := p.filter, load(t, nil)
	broken.Close()
	p.filter = broken
	for range 2 {
		if p.Withdraw(1) == nil {
			t.Error("a lift that failed says that it is done")
		}
	}
	p.filter = works
	p.must(t, p.Withdraw(1))
	if !passes(t, p.filter, "198.18.0.7") || len(p.orders) > 0 {
		t.Error("not lifted")
	}
}

// Where nothing is to be filtered, everything is a quiet no.
func TestWithoutInterfaces(t *testing.T) {
	p := New(DefaultConfig(), slog.New(slog.DiscardHandler))
	p.Start([]uint16{80})
	p.must(t, p.Run(t.Context()))
	p.must(t, p.Apply(ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)))
	p.SetOff(true)
	p.must(t, p.Withdraw(1))
	if _, ok := p.Stats(); ok {
		t.Error("counts packets")
	}
	p.must(t, p.Close())
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) > 0 {
		t.Error(l)
	}
	c := DefaultConfig()
	c.Interfaces, c.Ports, c.Pins, c.Filter.ICMPRate = []string{"eth0", "no such"}, []uint16{443, 22}, "here", 0
	c.Fallback, c.ConfirmWithin = "iptables", time.Millisecond
	if l := c.Validate(); len(l) != 6 {
		t.Errorf("%v", l)
	}
}

// The machine's bans never meet a trusted proxy, a monitor, or what is allowed,
// and an allow entry wins, whenever it comes.
func TestMachineSparesTheTrusted(t *testing.T) {
	p := working(t, nil)
	stopped := func(when string, want ...bool) {
		t.Helper()
		for i, a := range []string{"198.18.0.7", "198.18.1.7", "2001:db8:1:2::7", "198.18.3.7"} {
			if passes(t, p.filter, a) == want[i] {
				t.Errorf("%s: %s is stopped: %v", when, a, !want[i])
			}
		}
	}
	p.Always([]netip.Prefix{netip.MustParsePrefix("198.18.1.0/24"), netip.MustParsePrefix("2001:db8:1:2::1/128"), netip.MustParsePrefix("127.0.0.0/8")})
	for i, prefix := range []string{"198.18.0.7/32", "198.18.1.7/32", "2001:db8:1:2::/64", "198.18.3.7/32"} {
		p.must(t, p.Apply(direct(mitigation.ID(i+1), prefix, mitigation.Refuse)))
	}
	stopped("at first", true, false, false, true)
	if st, _ := p.Stats(); st.Machine != 2 || st.People != 0 {
		t.Errorf("%d and %d on the list", st.Machine, st.People)
	}
	// Loopback is no address of a packet from outside, but a proxy's may be one.
	p.must(t, p.Apply(direct(5, "127.0.0.1/32", mitigation.Refuse)))
	if p.places[place{netip.MustParsePrefix("127.0.0.1/32"), false}].on || p.always[netip.MustParsePrefix("127.0.0.0/8")] {
		t.Error("a trusted proxy on loopback is on a list")
	}
	p.Always([]netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")})
	stopped("another configuration", false, true, true, true)
	p.must(t, p.Apply(ordered(6, "198.18.3.0/24", mitigation.Admit, mitigation.ByOperator)))
	stopped("allowed later", false, true, true, false)
	p.must(t, p.Withdraw(6))
	stopped("and no more", false, true, true, true)
	p.must(t, p.LetGo(2))
	stopped("people were found", false, false, true, true)
	p.must(t, p.Apply(direct(2, "198.18.1.7/32", mitigation.Refuse)))
	stopped("applied anew", false, true, true, true)
	// Met behind a proxy only, it says now.
	p.must(t, p.Apply(ordered(2, "198.18.1.7/32", mitigation.Refuse, mitigation.ByMachine)))
	stopped("no longer direct", false, false, true, true)
	p.Always([]netip.Prefix{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("0.0.0.0/0")})
	stopped("everybody is trusted", false, false, false, false)
}

// A ban ends in the kernel when it ends, is put off with it, and the person's
// goes before the machine's.
func TestBansFollowTheirTimes(t *testing.T) {
	p := working(t, nil)
	m := direct(1, "198.18.0.7/32", mitigation.Refuse)
	m.Until = time.Now().Add(time.Second)
	p.must(t, p.Apply(m))
	if passes(t, p.filter, "198.18.0.7") {
		t.Fatal("passes at once")
	}
	time.Sleep(time.Until(m.Until) + 200*time.Millisecond)
	if !passes(t, p.filter, "198.18.0.7") {
		t.Error("stopped after its time")
	}
	m.Until = time.Now().Add(time.Hour)
	p.must(t, p.Apply(m))
	if passes(t, p.filter, "198.18.0.7") {
		t.Error("passes though it was put off")
	}
	short := ordered(2, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)
	short.Until = time.Now().Add(time.Minute)
	p.must(t, p.Apply(short))
	p.must(t, p.filter.Renew(0)) // the lease is over: a person's ban holds
	if passes(t, p.filter, "198.18.0.7") {
		t.Error("a person's ban went with the lease")
	}
	p.must(t, p.Withdraw(2))
	if !passes(t, p.filter, "198.18.0.7") {
		t.Error("a ban by the machine outlasts the lease")
	}
	p.must(t, p.filter.Renew(filter.LeaseTime))
	if passes(t, p.filter, "198.18.0.7") {
		t.Error("a ban by the machine went with a person's")
	}
}

// What one more ban costs does not depend on how many there are.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1000, 20_000} {
		b.Run(fmt.Sprintf("among %d", n), func(b *testing.B) {
			p := New(DefaultConfig(), slog.New(slog.DiscardHandler))
			p.filter = load(b, nil)
			var trusted []netip.Prefix
			for i := range 64 {
				trusted = append(trusted, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(i), 0, 0}), 20))
			}
			p.Always(trusted)
			ban := func(i int) mitigation.Mitigation {
				m := direct(mitigation.ID(i+1), netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)}).String()+"/32", mitigation.Refuse)
				m.Until = time.Now().Add(time.Hour)
				return m
			}
			bans := make([]mitigation.Mitigation, n+1024)
			for i := range bans {
				bans[i] = ban(i)
				if i < n {
					if err := p.Apply(bans[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := bans[n+i%1024]
				if err := p.Apply(m); err != nil {
					b.Fatal(err)
				}
				if err := p.Withdraw(m.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
