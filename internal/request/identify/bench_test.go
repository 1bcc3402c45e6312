package identify

import (
	"net/http"
	"net/netip"
	"testing"

	"seawall/internal/traffic"
)

// headers answers from a small list, as a connection loop keeps them.
type headers []struct {
	name   string
	values []string
}

func (h headers) Get(name string) string {
	if v := h.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (h headers) Values(name string) []string {
	for i := range h {
		if h[i].name == name {
			return h[i].values
		}
	}
	return nil
}

func browser(cookie string) headers {
	return headers{
		{"X-Forwarded-For", []string{"203.0.113.200, 198.51.100.7, 10.0.0.2"}},
		{"Sec-Fetch-Dest", []string{"document"}},
		{"Accept", []string{acceptChrome}},
		{"Accept-Language", []string{"en-GB"}},
		{"Cookie", []string{"session=0123456789abcdef; " + cookie + "; theme=dark"}},
	}
}

func benchVisit(id *Identify) traffic.Visit {
	peer := netip.MustParseAddr("10.0.0.1")
	return traffic.Visit{
		At: id.clock.Now(), Peer: peer, Client: peer, HeaderOrder: 7, Method: "GET", Host: "www.example.org:443",
		Path: "/news/2019/11/12", RawQuery: "utm_source=mail&utm_campaign=november&page=2",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
	}
}

func cookieFor(id *Identify, addr string) string {
	v := benchVisit(id)
	v.Client = netip.MustParseAddr(addr)
	set, _, _ := cut(id.Cookie(&v), ';')
	return set
}

func cut(s string, c byte) (string, string, bool) {
	for i := range len(s) {
		if s[i] == c {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func TestIdentifyAllocatesNothing(t *testing.T) {
	id := newTest(t, trusting("10.0.0.0/8", "cloudflare"))
	h := browser(cookieFor(id, "198.51.100.7"))
	v := benchVisit(id)
	id.Identify(&v, h)
	if v.Clearance != traffic.ClearanceProven || v.Client.String() != "198.51.100.7" || v.Kind != traffic.KindPage {
		t.Fatalf("%+v", v)
	}
	// A web server of Go keeps headers in a map; that must do as well.
	m := http.Header{}
	for _, f := range h {
		m[f.name] = f.values
	}
	feed := m.Clone()
	feed.Del("Sec-Fetch-Dest")
	feed.Del("Cookie")
	feed.Set("Accept", acceptFreshRSS)
	junk := http.Header{"X-Forwarded-For": {"unknown, _x, nonsense"}, "Cookie": {"seawall=" + h[4].values[0][40:]}, "Accept": {"*/*"}}
	long := http.Header{"Accept": {"application/graphql-response+json, application/vnd.something.very.long.indeed+json"}}
	for name, h := range map[string]traffic.Headers{"long": long, "list": h, "map": m, "feed": feed, "junk": junk} {
		if n := testing.AllocsPerRun(200, func() {
			v := benchVisit(id)
			id.Identify(&v, h)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkIdentify(b *testing.B) {
	id := newTest(b, trusting("10.0.0.0/8", "cloudflare"))
	for _, c := range []struct {
		name string
		h    traffic.Headers
	}{
		{"clearance and X-Forwarded-For", browser(cookieFor(id, "198.51.100.7"))},
		{"no clearance", browser("a=b")},
		{"nothing", headers(nil)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			base := benchVisit(id)
			for b.Loop() {
				v := base
				id.Identify(&v, c.h)
			}
		})
	}
}

func BenchmarkParts(b *testing.B) {
	id := newTest(b, trusting("10.0.0.0/8", "cloudflare"))
	var h traffic.Headers = browser(cookieFor(id, "198.51.100.7"))
	v := benchVisit(id)
	peer := v.Client
	id.Identify(&v, h)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"client", func() { id.client(peer, h) }},
		{"places", func() { id.places.Lookup(v.Client) }},
		{"query", func() { queryShape(v.RawQuery) }},
		{"kind", func() { kindOf(&v, h) }},
		{"clearance", func() { id.clearanceOf(&v, h) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.do()
			}
		})
	}
}
