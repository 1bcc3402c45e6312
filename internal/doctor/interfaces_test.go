package doctor

import (
	"errors"
	"strings"
	"testing"
)

func TestBlocked(t *testing.T) {
	bits := func(set ...int) string {
		b := []byte(strings.Repeat("0", 128))
		for _, n := range set {
			b[n] = '1'
		}
		return string(b)
	}
	for _, c := range []struct {
		name string
		link func(*Link)
		what string // "" where nothing is in the way
		do   string
	}{
		{"a card that can", func(*Link) {}, "", ""},
		{"one that cannot", func(l *Link) { l.Features.Basic = false }, "no native mode", "ask the host"},
		{"one that does not tell", func(l *Link) { l.Features = Features{} }, "", ""},
		{"jumbo frames", func(l *Link) { l.MTU = 9000 }, "takes up to 3400", "sudo ip link set dev eth0 mtu 1500"},
		{"jumbo frames in several buffers", func(l *Link) { l.MTU, l.Features.Frags = 9000, true }, "", ""},
		{"virtio, offloads switchable", func(l *Link) { l.Driver, l.Virtio = "virtio_net", bits(1, 2, 7, 8) }, "", ""},
		{"virtio, offloads fixed", func(l *Link) { l.Driver, l.Virtio = "virtio_net", bits(0, 7) }, "guest offloads", "tso4='off'"},
		{"virtio, checksums fixed", func(l *Link) { l.Driver, l.Virtio = "virtio_net", bits(1) }, "guest offloads", "csum='off'"},
		{"virtio without offloads", func(l *Link) { l.Driver, l.Virtio = "virtio_net", bits(0, 5, 32) }, "", ""},
		{"virtio that tells nothing", func(l *Link) { l.Driver = "virtio_net" }, "", ""},
		{"ena, jumbo frames", func(l *Link) { l.Driver, l.MTU = "ena", 9001 }, "takes up to 3498", "sudo ip link set dev eth0 mtu 1500"},
		{"ena, all channels", func(l *Link) { l.Driver, l.Channels = "ena", Channels{true, 8, 8} }, "8 of 8 channels", "sudo ethtool -L eth0 combined 2"},
		{"ena, half of them", func(l *Link) { l.Driver, l.Channels = "ena", Channels{true, 4, 8} }, "", ""},
		{"gve, joined packets", func(l *Link) { l.Driver, l.LRO, l.Channels = "gve", true, Channels{true, 2, 8} }, "joins packets", "sudo ethtool -K eth0 lro off"},
		{"gve, jumbo frames", func(l *Link) { l.Driver, l.MTU = "gve", 8896 }, "takes up to 2032", "mtu 1500"},
		{"mlx5, joined packets", func(l *Link) { l.Driver, l.LRO = "mlx5_core", true }, "joins packets", "sudo ethtool -K eth0 lro off"},
		{"a VLAN", func(l *Link) { l.Kind, l.Below = "vlan", "eth7" }, "a VLAN has generic mode only", "name eth7"},
		{"a bridge", func(l *Link) { l.Kind = "bridge" }, "a bridge has generic mode only", "the interface below it"},
		{"PPP", func(l *Link) { l.Ethernet = false }, "no Ethernet header", "name the interface below"},
		{"loopback", func(l *Link) { l.Loopback = true }, "generic mode only", "packet.interfaces"},
		{"a bond", func(l *Link) { l.Kind = "bond" }, "", ""},
	} {
		l := wire()
		c.link(&l)
		b := l.blocked(2)
		if c.what == "" && b.what != "" || !contains(b.what, c.what) || !contains(b.do, c.do) {
			t.Errorf("%s: %q, do %q", c.name, b.what, b.do)
		}
	}
}

func TestInterfaces(t *testing.T) {
	e := healthy()
	one := func(change func(*Link)) []Finding {
		l := wire()
		change(&l)
		e.Links = func() ([]Link, error) { return []Link{l}, nil }
		links, err := e.links()
		return interfaces(e, links, err, false)
	}
	list := one(func(*Link) {})
	allGood(t, list)
	expect(t, list, Good, "eth0 (igb, MTU 1500): native mode can be had")
	expect(t, list, Good, "2 receive queues for 2 processors")
	expect(t, one(func(l *Link) { l.Features.Known = false }), Missing, "whether the driver has native mode is not known")
	expect(t, one(func(l *Link) { l.Ethernet = false }), Missing, "the filter refuses it")
	expect(t, one(func(l *Link) { l.Up = false }), Poor, "eth0 is down")
	expect(t, one(func(l *Link) { l.Kind, l.Driver = "veth", "veth" }), Poor, "one end of a virtual pair")

	// A program that is there already.
	taken := func(l *Link) { l.XDP, l.XDPOwner = Native, 7 }
	e.Kernel = stub{name: "seawall", ours: true}
	expect(t, one(taken), Good, "Seawall's filter is attached in native mode")
	expect(t, one(func(l *Link) { l.XDP, l.XDPOwner = Generic, 7 }), Poor, "Seawall's filter is attached in generic mode")
	e.Kernel = stub{name: "cil_xdp_entry"}
	f := expect(t, one(taken), Poor, `another XDP program, "cil_xdp_entry", is attached in native mode`)
	if !contains(f.Do, "sudo ip link set dev eth0 xdp off") {
		t.Error(f.Do)
	}
	e.Kernel = stub{program: errors.New("not permitted")}
	expect(t, one(taken), Missing, "an XDP program (number 7) is attached")

	// Queues.
	e.Kernel, e.CPUs = stub{}, 8
	f = expect(t, one(func(l *Link) { l.Channels = Channels{true, 2, 4} }), Poor, "2 receive queues for 8 processors")
	if !contains(f.Do, "sudo ethtool -L eth0 combined 4") {
		t.Error(f.Do)
	}
	f = expect(t, one(func(l *Link) { l.Driver = "virtio_net" }), Poor, "2 receive queues for 8 processors")
	if !contains(f.Do, "queues='16'") || !contains(f.Do, "echo ff |") {
		t.Error(f.Do)
	}
	expect(t, one(func(l *Link) { l.Driver, l.Channels = "ena", Channels{true, 4, 8} }), Good, "4 receive queues for 8 processors")

	// What the configuration says.
	e.Site.Interfaces = []string{"eth1"}
	list = one(func(*Link) {})
	expect(t, list, Missing, "eth1, which the configuration names, is no interface")
	expect(t, list, Poor, "eth0 leads outside, and the configuration does not filter it")
	e.Site.Interfaces = nil
	expect(t, one(func(*Link) {}), Poor, "no interface is filtered")
	write(e.Proc, "net/route", "")
	write(e.Proc, "net/ipv6_route", "")
	expect(t, one(func(l *Link) { l.Addrs = nil }), Missing, "no interface has a public address")
	expect(t, interfaces(e, nil, errors.New("no netlink"), false), Missing, "cannot be listed: no netlink")
}

// Native mode is tried only when asked, and never where a program is attached.
func TestAttach(t *testing.T) {
	tried := 0
	e := healthy()
	e.Kernel = stub{tried: &tried}
	l := wire()
	e.Links = func() ([]Link, error) { return []Link{l}, nil }
	look := func(attach bool) []Finding {
		links, err := e.links()
		return interfaces(e, links, err, attach)
	}
	look(false)
	if tried != 0 {
		t.Fatal("tried without being asked")
	}
	expect(t, look(true), Good, "native mode was tried, and the driver takes it")
	e.Kernel = stub{tried: &tried, try: errors.New("operation not supported")}
	expect(t, look(true), Poor, "tried and refused: operation not supported")
	if tried != 2 {
		t.Fatal(tried)
	}
	l.XDP = Native
	look(true)
	l.XDP, l.Ethernet = None, false
	look(true)
	if tried != 2 {
		t.Error("tried where that can only disturb")
	}
}

func TestDefaultRoutes(t *testing.T) {
	if got := defaultRoutes(healthyProc()); len(got) != 1 || got[0] != "eth0" {
		t.Errorf("the way out leads to %q", got)
	}
}

func TestUplink(t *testing.T) {
	e := healthy()
	links, err := e.links()
	if err != nil {
		t.Fatal(err)
	}
	list := uplink(e, links, nil)
	allGood(t, list)
	expect(t, list, Good, "a line of 1 Gbit/s: a flood of that size, or of 1,500,000 packets/s, fills it")
	f := expect(t, list, Good, "larger than the line")
	for _, want := range []string{"abuse desk", "upstream", "null-route", "CERT"} {
		if !contains(f.Do, want) {
			t.Errorf("whom to call does not speak of %q", want)
		}
	}
	expect(t, uplink(e, links, &Measured{Drop: 10e6}), Good, "takes 0.15 of a processor")
	links[1].Speed = 100_000
	expect(t, uplink(e, links, &Measured{Drop: 10e6}), Poor, "more small packets than 2 processors can drop (14.9 processors' work)")
	links[1].Speed = 0
	expect(t, uplink(e, links, nil), Missing, "eth0 does not say how fast its line is")
	expect(t, uplink(e, nil, nil), Missing, "which interface leads outside")
}
