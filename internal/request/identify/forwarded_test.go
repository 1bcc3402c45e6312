package identify

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sealed"
	"seawall/internal/request/identify/geo"
	"seawall/internal/traffic"
)

func newTest(t testing.TB, change func(*Config)) *Identify {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	places, err := geo.Open("", "")
	if err != nil {
		t.Fatal(err)
	}
	id, err := New(cfg, sealed.New([32]byte{1}), places, clock.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func trusting(names ...string) func(*Config) {
	return func(c *Config) { c.TrustedProxies = names }
}

func TestClientBehindTrustedProxies(t *testing.T) {
	id := newTest(t, trusting("10.0.0.0/8", "2001:db8:f::/48", "loopback"))
	const proxy = "10.0.0.1"
	for _, c := range []struct {
		name   string
		peer   string
		xff    []string
		fwd    []string
		client string
	}{
		{"no header", proxy, nil, nil, proxy},
		{"one hop", proxy, []string{"192.0.2.7"}, nil, "192.0.2.7"},
		{"spoofed by a stranger", "198.51.100.1", []string{"192.0.2.7"}, []string{"for=192.0.2.8"}, "198.51.100.1"},
		{"the client's own claim stands left", proxy, []string{"1.1.1.1, 192.0.2.7"}, nil, "192.0.2.7"},
		{"the claim names a trusted proxy", proxy, []string{"10.0.0.9, 192.0.2.7"}, nil, "192.0.2.7"},
		{"two trusted hops", proxy, []string{"1.1.1.1, 192.0.2.7,10.9.9.9"}, nil, "192.0.2.7"},
		{"several fields are one list", proxy, []string{"1.1.1.1", "192.0.2.7", "10.9.9.9"}, nil, "192.0.2.7"},
		{"only trusted ones", proxy, []string{"10.0.0.3, 10.0.0.2"}, nil, "10.0.0.3"},
		{"port", proxy, []string{"192.0.2.7:4711"}, nil, "192.0.2.7"},
		{"IPv6", proxy, []string{"2001:db8::1"}, nil, "2001:db8::1"},
		{"IPv6 in brackets with port", proxy, []string{"[2001:db8::1]:443"}, nil, "2001:db8::1"},
		{"4-in-6", proxy, []string{"::ffff:192.0.2.7"}, nil, "192.0.2.7"},
		{"4-in-6 of a trusted one", proxy, []string{"192.0.2.7, ::ffff:10.1.1.1"}, nil, "192.0.2.7"},
		{"blanks and tabs", proxy, []string{" \t192.0.2.7 \t"}, nil, "192.0.2.7"},
		{"empty elements", proxy, []string{"1.1.1.1,192.0.2.7, ,"}, nil, "192.0.2.7"},
		{"empty field", proxy, []string{""}, nil, proxy},
		{"malformed nearest", proxy, []string{"192.0.2.7, nonsense"}, nil, proxy},
		{"malformed further on", proxy, []string{"192.0.2.7, 999.1.1.1, 10.0.0.2"}, nil, "10.0.0.2"},
		{"unknown", proxy, []string{"192.0.2.7, unknown"}, nil, proxy},
		{"zone", proxy, []string{"fe80::1%eth0"}, nil, proxy},
		{"no address at all", proxy, []string{"0.0.0.0"}, nil, proxy},
		{"multicast", proxy, []string{"224.0.0.1"}, nil, proxy},
		{"bad port", proxy, []string{"192.0.2.7:http"}, nil, proxy},
		{"open bracket", proxy, []string{"[2001:db8::1"}, nil, proxy},
		{"bracketed IPv4", proxy, []string{"[192.0.2.7]"}, nil, proxy},
		{"too many hops", proxy, []string{"192.0.2.7" + strings.Repeat(",10.0.0.2", 40)}, nil, "10.0.0.2"},
		{"too long", proxy, []string{"192.0.2.7" + strings.Repeat(" ", 5000)}, nil, proxy},
		{"X-Forwarded-For goes first", proxy, []string{"192.0.2.7"}, []string{"for=192.0.2.8"}, "192.0.2.7"},

		{"Forwarded", proxy, nil, []string{"for=192.0.2.7;proto=https;by=203.0.113.43"}, "192.0.2.7"},
		{"Forwarded, quoted IPv6", proxy, nil, []string{`For="[2001:db8::17]:4711"`}, "2001:db8::17"},
		{"Forwarded, several", proxy, nil, []string{"for=1.1.1.1, for=192.0.2.7", "for=10.0.0.4;by=10.0.0.5"}, "192.0.2.7"},
		{"Forwarded, comma in quotes", proxy, nil, []string{`for=192.0.2.7;host="a,b;for=9.9.9.9"`}, "192.0.2.7"},
		{"Forwarded, the client opened a quotation", proxy, nil, []string{`for=9.9.9.9;by=", for=192.0.2.7`}, "192.0.2.7"},
		{"Forwarded, a quotation around a proxy's words", proxy, nil, []string{`for=9.9.9.9;by=", for=192.0.2.7;host="x"`}, "192.0.2.7"},
		{"Forwarded, escapes", proxy, nil, []string{`for=192.0.2.7;host="a\",\"b"`}, "192.0.2.7"},
		{"Forwarded, unknown", proxy, nil, []string{"for=192.0.2.7, for=unknown"}, proxy},
		{"Forwarded, hidden", proxy, nil, []string{"for=192.0.2.7, for=_SEVKISEK, for=10.0.0.2"}, "10.0.0.2"},
		{"Forwarded, no for", proxy, nil, []string{"for=192.0.2.7, proto=https"}, proxy},
		{"Forwarded, two fors", proxy, nil, []string{"for=192.0.2.7;for=192.0.2.8"}, proxy},
		{"Forwarded, trailing semicolon", proxy, nil, []string{"for=192.0.2.7;"}, proxy},
		{"Forwarded, no value", proxy, nil, []string{"for="}, proxy},
		{"Forwarded, junk after a value", proxy, nil, []string{`for="192.0.2.7"x`}, proxy},
		{"Forwarded, unquoted port", proxy, nil, []string{"for=192.0.2.7:80"}, "192.0.2.7"},
		{"trusted IPv6 proxy", "2001:db8:f::1", []string{"2001:db8:9::9"}, nil, "2001:db8:9::9"},
	} {
		h := http.Header{}
		if c.xff != nil {
			h["X-Forwarded-For"] = c.xff
		}
		if c.fwd != nil {
			h["Forwarded"] = c.fwd
		}
		v := traffic.Visit{Client: netip.MustParseAddr(c.peer), Peer: netip.MustParseAddr(c.peer)}
		id.Identify(&v, h)
		if v.Client.String() != c.client {
			t.Errorf("%s: client %v, want %s", c.name, v.Client, c.client)
		}
		if v.Peer.String() != c.peer {
			t.Errorf("%s: the peer was changed to %v", c.name, v.Peer)
		}
	}
}

func TestClientHeaderChoice(t *testing.T) {
	for choice, want := range map[string]string{
		HeaderAuto: "192.0.2.1", HeaderXFF: "192.0.2.1", HeaderForwarded: "192.0.2.2",
	} {
		id := newTest(t, func(c *Config) { c.TrustedProxies, c.ClientHeader = []string{"private"}, choice })
		got := id.client(netip.MustParseAddr("10.0.0.1"), http.Header{
			"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.2"}})
		if got.String() != want {
			t.Errorf("%s: %v, want %s", choice, got, want)
		}
	}
	// With X-Forwarded-For chosen, a client's Forwarded is nothing to believe.
	id := newTest(t, func(c *Config) { c.TrustedProxies, c.ClientHeader = []string{"private"}, HeaderXFF })
	peer := netip.MustParseAddr("10.0.0.1")
	if got := id.client(peer, http.Header{"Forwarded": {"for=192.0.2.2"}}); got != peer {
		t.Errorf("believed Forwarded: %v", got)
	}
}

func TestTrustedNames(t *testing.T) {
	for _, name := range []string{"loopback", "private", "cloudflare", "fastly", "192.0.2.1", "2001:db8::/32", "::ffff:192.0.2.1"} {
		if p, err := Prefixes([]string{name}); err != nil || len(p) == 0 {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	for _, name := range []string{"", "google", "0.0.0.0/0", "::/0", "fe80::1%eth0", "192.0.2.0/33", "::ffff:192.0.2.0/120"} {
		if p, err := Prefixes([]string{name}); err == nil {
			t.Errorf("%q was taken for %v", name, p)
		}
	}
	id := newTest(t, trusting("cloudflare"))
	for addr, want := range map[string]bool{"104.16.0.1": true, "2606:4700::1": true, "104.32.0.1": false, "127.0.0.1": false} {
		if got := id.trusted.has(netip.MustParseAddr(addr)); got != want {
			t.Errorf("cloudflare has %s: %v", addr, got)
		}
	}
}

// Whatever a stranger sends, the client is the peer or somebody whom an unbroken
// chain of trusted proxies vouches for. Here the proxy appends the truth, so no
// bytes before that may change the answer.
func FuzzXForwardedFor(f *testing.F) {
	f.Add("1.1.1.1")
	f.Add("10.0.0.2, [::1]:x,,,")
	f.Add("unknown, 10.0.0.1")
	id := newTest(f, trusting("10.0.0.0/8"))
	f.Fuzz(func(t *testing.T, claim string) {
		h := http.Header{"X-Forwarded-For": {claim + ", 192.0.2.7"}}
		if got := id.client(netip.MustParseAddr("10.0.0.1"), h); got.String() != "192.0.2.7" && len(claim) < maxHopBytes-64 {
			t.Fatalf("client %v after the claim %q", got, claim)
		}
		h = http.Header{"X-Forwarded-For": {claim}}
		if got := id.client(netip.MustParseAddr("10.0.0.1"), h); !got.IsValid() {
			t.Fatalf("no client for %q", claim)
		}
		if got := id.client(netip.MustParseAddr("192.0.2.1"), h); got.String() != "192.0.2.1" {
			t.Fatalf("a stranger is believed: %v", got)
		}
	})
}

func FuzzForwarded(f *testing.F) {
	f.Add(`for=9.9.9.9;by="`)
	f.Add(`for="[2001:db8::1]:80";proto=http, for=unknown`)
	f.Add(`for="a\`)
	id := newTest(f, trusting("10.0.0.0/8"))
	f.Fuzz(func(t *testing.T, claim string) {
		for _, truth := range []string{"for=192.0.2.7", `for="192.0.2.7:80";host="a,b"`} {
			h := http.Header{"Forwarded": {claim + ", " + truth}}
			got := id.client(netip.MustParseAddr("10.0.0.1"), h)
			if got.String() != "192.0.2.7" && len(claim) < maxHopBytes-64 {
				t.Fatalf("client %v after the claim %q", got, claim)
			}
		}
		h := http.Header{"Forwarded": {claim}}
		if got := id.client(netip.MustParseAddr("10.0.0.1"), h); !got.IsValid() {
			t.Fatalf("no client for %q", claim)
		}
	})
}

// Where a connection's client is, is looked up once for all its visits; where somebody
// is for whom a trusted proxy speaks, each time.
func TestLocatedOnce(t *testing.T) {
	id := newTest(t, trusting("10.0.0.0/8"))
	const known, other = 64500, "1.1.1.1" // an address that the tables know
	for _, c := range []struct {
		name, peer, forwarded string
		located               bool
		network               bool // is still the one of before
		after                 bool
	}{
		{"first visit", other, "", false, false, true},
		{"later visit", other, "", true, true, true},
		{"later visit for somebody", "10.0.0.1", other, true, false, false},
		{"first visit for somebody", "10.0.0.1", other, false, false, false},
	} {
		v := &traffic.Visit{Client: netip.MustParseAddr(c.peer), Network: known, Located: c.located}
		v.Peer = v.Client
		h := http.Header{}
		if c.forwarded != "" {
			h.Set("X-Forwarded-For", c.forwarded)
		}
		id.Identify(v, h)
		if v.Located != c.after || (v.Network == known) != c.network || v.Network == 0 {
			t.Errorf("%s: network %d, located %v", c.name, v.Network, v.Located)
		}
	}
}
