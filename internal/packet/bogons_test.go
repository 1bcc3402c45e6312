package packet

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

// special are the entries of IANA's registries of special-purpose addresses, with
// what becomes of packets from them when bogons are stopped. The narrowest counts;
// what is in none passes.
var special = map[string]filter.Reason{
	"0.0.0.0/8":          filter.StopSource, // stopped with the option or without
	"10.0.0.0/8":         filter.StopBogon,
	"100.64.0.0/10":      filter.StopBogon,
	"127.0.0.0/8":        filter.StopSource,
	"169.254.0.0/16":     filter.StopBogon,
	"172.16.0.0/12":      filter.StopBogon,
	"192.0.0.0/24":       filter.StopBogon,
	"192.0.0.0/29":       filter.StopBogon,
	"192.0.0.8/32":       filter.StopBogon,
	"192.0.0.9/32":       filter.PassOurs,
	"192.0.0.10/32":      filter.PassOurs,
	"192.0.0.170/31":     filter.StopBogon,
	"192.0.2.0/24":       filter.StopBogon,
	"192.31.196.0/24":    filter.PassOurs,
	"192.52.193.0/24":    filter.PassOurs,
	"192.88.99.0/24":     filter.PassOurs, // ended
	"192.88.99.2/32":     filter.StopBogon,
	"192.168.0.0/16":     filter.StopBogon,
	"192.175.48.0/24":    filter.PassOurs,
	"198.18.0.0/15":      filter.StopBogon,
	"198.51.100.0/24":    filter.StopBogon,
	"203.0.113.0/24":     filter.StopBogon,
	"224.0.0.0/4":        filter.StopSource, // of another registry: multicast
	"240.0.0.0/4":        filter.StopSource,
	"255.255.255.255/32": filter.StopSource,

	"::/128":            filter.StopSource,
	"::1/128":           filter.StopSource,
	"::ffff:0:0/96":     filter.StopSource,
	"64:ff9b::/96":      filter.PassOurs,
	"64:ff9b:1::/48":    filter.StopBogon,
	"100::/64":          filter.StopBogon,
	"100:0:0:1::/64":    filter.StopBogon,
	"2001::/23":         filter.StopBogon,
	"2001::/32":         filter.PassOurs, // says neither
	"2001:1::1/128":     filter.PassOurs,
	"2001:1::2/128":     filter.PassOurs,
	"2001:1::3/128":     filter.PassOurs,
	"2001:2::/48":       filter.StopBogon,
	"2001:3::/32":       filter.PassOurs,
	"2001:4:112::/48":   filter.PassOurs,
	"2001:10::/28":      filter.PassOurs, // ended
	"2001:20::/28":      filter.PassOurs,
	"2001:30::/28":      filter.PassOurs,
	"2001:db8::/32":     filter.StopBogon,
	"2002::/16":         filter.PassOurs, // says neither
	"2620:4f:8000::/48": filter.PassOurs,
	"3fff::/20":         filter.StopBogon,
	"5f00::/16":         filter.StopBogon,
	"fc00::/7":          filter.StopBogon,
	"fe80::/10":         filter.PassOurs, // left alone, though not reachable
	"ff00::/8":          filter.StopSource,
}

// registered is what the narrowest entry says of an address.
func registered(a netip.Addr) filter.Reason {
	want, bits := filter.PassOurs, -1
	for text, reason := range special {
		if p := netip.MustParsePrefix(text); p.Contains(a) && p.Bits() > bits {
			want, bits = reason, p.Bits()
		}
	}
	return want
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// edges are the first and the last address of each entry, and those beside it.
func edges() (out []netip.Addr) {
	for text := range special {
		p := netip.MustParsePrefix(text)
		first, last := p.Addr(), lastOf(p)
		for _, a := range []netip.Addr{first.Prev(), first, last, last.Next()} {
			if a.IsValid() && !a.Is4In6() { // which craft writes as IPv4; TestOddPackets has one in IPv6
				out = append(out, a)
			}
		}
	}
	return out
}

func withBogons(c *filter.Config) { c.Bogons = true }

// Sources that are not reachable from the internet are stopped where that is asked
// for, up to the first and the last address, and no others.
func TestBogons(t *testing.T) {
	on, off := load(t, withBogons), load(t, nil)
	dry := load(t, func(c *filter.Config) { c.Bogons, c.Malformed = true, filter.DryRun })
	for _, a := range edges() {
		want := registered(a)
		expect(t, on, picture{a.String(), ackFrom(a), want}, want == filter.PassOurs)
		if want != filter.StopBogon {
			continue
		}
		expect(t, off, picture{a.String() + " without the option", ackFrom(a), filter.PassOurs}, true)
		if done, would, passed := result(t, dry, ackFrom(a)); !passed || !slices.Equal(would, []filter.Reason{filter.StopBogon}) {
			t.Errorf("%v: on a dry run passed %v, counted %v, %v", a, passed, done, would)
		}
	}
}

// Examples, by which no mistake of the table above can hide.
func TestBogonsByName(t *testing.T) {
	f := load(t, withBogons)
	for _, a := range []string{
		"10.1.2.3", "172.31.255.1", "192.168.1.1", "100.100.100.100", "169.254.169.254", "198.19.7.7", "192.0.0.170",
		"fd00::1", "2001:db8::1", "3fff:fff::1", "5f00::1", "100::1", "100::1:0:0:0:1", "64:ff9b:1::1", "2001:2::1", "2001:1ff::1",
	} {
		if passes(t, f, a) {
			t.Errorf("%s passes", a)
		}
	}
	for _, a := range []string{
		"9.9.9.9", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1", "192.169.0.1", "100.63.0.1", "100.128.0.1", "192.0.0.9", "192.0.1.1",
		"fe80::1", "2001:0:1234::1", "2001:1::3", "2001:3::1", "2001:4:112::1", "2001:25::1", "2001:3f::1", "2001:200::1",
		"2002:c000:204::1", "2600::1", "2a00::1", "64:ff9b::1", "100:0:0:2::1", "3fff:1000::1", "fe00::1",
	} {
		if !passes(t, f, a) {
			t.Errorf("%s is stopped", a)
		}
	}
}

// Only packets for protected ports are judged, however they are wrapped; on
// loopback a machine meets its own address, whichever it is.
func TestBogonsElsewhere(t *testing.T) {
	f := load(t, withBogons)
	for _, p := range ordinary() {
		want := p.want // the ordinary client's addresses are for benchmarks and documentation
		if want == filter.PassOurs {
			want = filter.StopBogon
		}
		expect(t, f, picture{p.name, p.frame, want}, want != filter.StopBogon)
	}
	cfg := filter.DefaultConfig()
	cfg.Bogons, cfg.Connections = true, filter.Off
	g := guard()
	g.Loopback = true
	lo, err := filter.New(cfg, g, "")
	if err != nil {
		t.Fatal(err)
	}
	defer lo.Close()
	own := v4(craft.Frame{})
	own.Source, own.Dest = netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("10.0.0.5")
	expect(t, lo, picture{"a machine's own", own.Bytes(), filter.PassOurs}, true)
}

// Who is trusted or allowed passes from a private address, and nobody else does.
func TestBogonsSpareTheTrusted(t *testing.T) {
	p := working(t, withBogons)
	p.Always([]netip.Prefix{netip.MustParsePrefix("10.0.0.4/32"), netip.MustParsePrefix("fd00:1::/32")})
	p.must(t, p.filter.Allow(netip.MustParsePrefix("192.168.7.0/24"), time.Time{}))
	for a, want := range map[string]filter.Reason{
		"10.0.0.4": filter.PassAllowed, "10.0.0.5": filter.StopBogon,
		"192.168.7.1": filter.PassAllowed, "192.168.8.1": filter.StopBogon,
		"fd00:1::7": filter.PassAllowed, "fd00:2::7": filter.StopBogon,
	} {
		expect(t, p.filter, picture{a, ackFrom(netip.MustParseAddr(a)), want}, want == filter.PassAllowed)
	}
	p.must(t, p.filter.Renew(0)) // the lease is over, and everybody passes
	if !passes(t, p.filter, "10.0.0.5") {
		t.Error("stopped without a lease")
	}
}
