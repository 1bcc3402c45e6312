package carpet

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/clock"
	"seawall/internal/traffic"
)

// second is what comes in a second, besides ordinary visitors from everywhere.
type second struct {
	visitors int // each with a page and two assets, from networks of their own
	flood    int // requests
	networks int // from so many networks
	each     int // and so many addresses of each
	assets   bool
	opened   int // connections from there
	packets  int // packets to as many of our addresses, from everywhere
	from     int // packets from there
}

type maker struct{ at clock.Instant }

func client(network, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{203, byte(network >> 8), byte(network), byte(host)})
}

func (m *maker) window(s second) *traffic.Window {
	m.at = m.at.Add(time.Second)
	w := &traffic.Window{At: m.at, Span: time.Second, Offered: uint64(3*s.visitors + s.flood)}
	add := func(a netip.Addr, k traffic.Kind) {
		w.Samples = append(w.Samples, traffic.Sample{Visit: traffic.Visit{Client: a, Kind: k}})
	}
	for i := range s.visitors {
		a := netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 7})
		add(a, traffic.KindPage)
		add(a, traffic.KindAsset)
		add(a, traffic.KindAsset)
	}
	for i := range s.flood {
		k := traffic.KindPage
		if s.assets && i%3 > 0 {
			k = traffic.KindAsset
		}
		add(client(i%s.networks, i/s.networks%s.each), k)
	}
	l := &w.Links
	l.Counted, l.Opened = true, uint64(s.visitors+s.opened)
	l.Did[traffic.LinkOpened] = l.Opened
	if s.opened > 0 {
		for n := range min(s.networks, 20) {
			l.Networks[traffic.LinkOpened] = append(l.Networks[traffic.LinkOpened], traffic.Heavy{Key: traffic.PrefixOf(client(n, 0), traffic.LevelWide).String(), Count: uint64(s.opened / s.networks)})
		}
		for h := range min(s.each, 20) {
			l.Of[traffic.LinkOpened] = append(l.Of[traffic.LinkOpened], traffic.Heavy{Key: traffic.PrefixOf(client(0, h), traffic.LevelClient).String(), Count: uint64(max(s.opened/s.networks/s.each, 1))})
		}
	}
	p := &w.Packets
	p.Filtered, p.Every = true, 20
	p.Passed.Packets = uint64(30*s.visitors + s.packets + s.from)
	for i := range 30 * s.visitors / 20 {
		p.Samples = append(p.Samples, traffic.Packet{Source: netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 7}), Dest: netip.AddrFrom4([4]byte{192, 0, 2, 1})})
	}
	for i := range s.packets / 20 {
		p.Samples = append(p.Samples, traffic.Packet{Source: netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 7}), Dest: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % max(s.each, 1))})})
	}
	for i := range s.from / 20 {
		p.Samples = append(p.Samples, traffic.Packet{Source: client(i%s.networks, i/s.networks%s.each), Dest: netip.AddrFrom4([4]byte{192, 0, 2, 1})})
	}
	return w
}

// site is a campaign's website on an ordinary evening.
func site() *traffic.Normal {
	n := &traffic.Normal{Learned: time.Hour, Requests: 100, Peak: 120, AssetShare: 0.66}
	n.Links = traffic.LinkNormal{Learned: time.Hour, Opened: traffic.Rates{Usual: 30, Peak: 40}}
	n.Packets = traffic.PacketNormal{Learned: time.Hour, Packets: traffic.Rates{Usual: 1000, Peak: 1200}}
	for i := range 500 {
		n.Ordinary = append(n.Ordinary, traffic.Sample{Visit: traffic.Visit{Client: netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 0})}})
	}
	return n
}

// campus is the same site, most of whose visitors come from a few networks.
func campus() *traffic.Normal {
	n := site()
	for i := range n.Ordinary {
		n.Ordinary[i].Visit.Client = client(i%4, 0)
	}
	return n
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name   string
		normal *traffic.Normal
		second second
		want   string // what is found
	}{
		{"quiet", site(), second{visitors: 30}, ""},
		{"a crowd from everywhere", site(), second{visitors: 600}, ""},
		{"one network", site(), second{visitors: 30, flood: 1500, networks: 1, each: 200}, "requests from 200 addresses or more in 203.0.0.0/24"},
		{"one network, nothing known", nil, second{visitors: 30, flood: 1500, networks: 1, each: 200}, "requests from 200 addresses or more in 203.0.0.0/24"},
		{"twelve networks", site(), second{visitors: 30, flood: 1500, networks: 12, each: 60}, "12 networks, the heaviest 203.0.0.0/24"},
		{"from everywhere it is no carpet", site(), second{visitors: 30, flood: 1500, networks: 500, each: 3}, ""},
		{"one address is no carpet", site(), second{visitors: 30, flood: 1500, networks: 1, each: 1}, ""},
		{"four addresses are none", site(), second{visitors: 30, flood: 1500, networks: 1, each: 4}, ""},
		{"a campus that reads the news", site(), second{visitors: 30, flood: 1500, networks: 4, each: 200, assets: true}, ""},
		{"whose networks usually come", campus(), second{visitors: 30, flood: 330, networks: 4, each: 200}, ""},
		{"too little", site(), second{visitors: 10, flood: 150, networks: 1, each: 100}, ""},
		{"connections", site(), second{visitors: 30, opened: 1000, networks: 1, each: 250}, "connections from 250 addresses or more in 203.0.0.0/24"},
		{"connections of one address", site(), second{visitors: 30, opened: 1000, networks: 1, each: 1}, ""},
		{"packets to all of ours", site(), second{visitors: 30, packets: 30000, each: 64}, "packets to 64 addresses or more in 192.0.2.0/24"},
		{"packets to one of ours", site(), second{visitors: 30, packets: 30000, each: 1}, ""},
		{"packets from a network", site(), second{visitors: 30, from: 30000, networks: 2, each: 200}, "packets from 400 addresses or more in 2 networks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
			got := ""
			if fs := d.Detect(m.window(c.second), c.normal); len(fs) > 0 {
				f := fs[0]
				if got = f.What; f.Vector != attack.CarpetBombing || f.Confidence <= 0 || f.Confidence > 0.99 || f.Since != m.at.Add(-time.Second) || f.Rate < 1000 {
					t.Errorf("finding %+v", f)
				}
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	for i := range 20 {
		if len(d.Detect(m.window(second{visitors: 30, flood: 1500, networks: 2, each: 200}), site())) != 1 {
			t.Fatalf("second %d: nothing", i)
		}
	}
	calm := 0
	for {
		fs := d.Detect(m.window(second{visitors: 30}), site())
		if len(fs) == 0 {
			break
		}
		if calm++; calm > 20 || fs[0].Rate != 0 || !strings.Contains(fs[0].What, "2 networks") {
			t.Fatalf("calm second %d: %+v", calm, fs[0])
		}
	}
	if calm != 9 {
		t.Errorf("ended after %d calm seconds", calm+1)
	}
}

func TestConfig(t *testing.T) {
	if l := DefaultConfig().Validate(); len(l) != 0 {
		t.Error(l)
	}
	if l := (Config{}).Validate(); len(l) != 4 {
		t.Errorf("an empty configuration has the problems %v", l)
	}
}

func BenchmarkDetect(b *testing.B) {
	b.ReportAllocs()
	d, m := New(DefaultConfig()), &maker{at: clock.Instant(time.Hour)}
	w, n := m.window(second{visitors: 30, flood: 1900, networks: 12, each: 60, packets: 60000}), site()
	for b.Loop() {
		d.Detect(w, n)
	}
}
