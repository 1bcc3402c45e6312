package packet

import (
	"log/slog"
	"net/netip"
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

// Only what a person has said of a prefix reaches the kernel: what the machine
// knows of an address may come from a header.
func TestOnlyPeoplesBansReachTheKernel(t *testing.T) {
	p := working(t, nil)
	for _, m := range []mitigation.Mitigation{
		ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByMachine),
		ordered(2, "198.18.0.7/32", mitigation.Refuse, mitigation.ByPeer),
		ordered(3, "198.18.0.7/32", mitigation.Slow, mitigation.ByOperator),
		{ID: 4, Match: match.All(must(match.OneOf(traffic.FieldPath, "/"))), Action: mitigation.Refuse, By: mitigation.ByOperator},
	} {
		p.must(t, p.Apply(m))
		if !passes(t, p.filter, "198.18.0.7") {
			t.Fatalf("%v stops packets", &m)
		}
	}
	p.must(t, p.Apply(ordered(5, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)))
	if passes(t, p.filter, "198.18.0.7") {
		t.Error("a person's ban does not")
	}
	for id := mitigation.ID(1); id < 5; id++ {
		p.must(t, p.Withdraw(id))
	}
	if passes(t, p.filter, "198.18.0.7") {
		t.Error("a person's ban went with another mitigation")
	}
	p.must(t, p.Withdraw(5))
	p.must(t, p.Withdraw(5))
	if !passes(t, p.filter, "198.18.0.7") {
		t.Error("stopped after the ban was withdrawn")
	}
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
	if l := c.Validate(); len(l) != 4 {
		t.Errorf("%v", l)
	}
}
