package accuracy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"seawall/internal/traffic"
)

// pages are what the site has; a few are read most.
const pages = 24

// weight of a page: the most read has a fifth, as in ordinary logs the first few have
// half (elastic-apache, nasa-19950701).
func somePage(r *rand.Rand) string {
	i := int(math.Floor(math.Pow(pages+1, r.Float64()))) - 1
	if i == 0 {
		return "/"
	}
	return fmt.Sprintf("/news/%d", i)
}

// assetsOf are what a page needs: the site's own, and pictures of the page's.
func assetsOf(page string, r *rand.Rand) []ask {
	out := make([]ask, 0, 8)
	for _, p := range []string{"/static/site.css", "/static/site.js", "/static/logo.svg"} {
		out = append(out, ask{path: p, kind: traffic.KindAsset})
	}
	for i := range 1 + r.IntN(5) {
		out = append(out, ask{path: fmt.Sprintf("/static%s/%d.jpg", page, i), kind: traffic.KindAsset})
	}
	return out
}

// reads is somebody with a browser: a page with all that it needs, of which the site's
// own is asked for once.
func reads(c *client, r *rand.Rand) []ask {
	page := somePage(r)
	list := []ask{{path: page, kind: traffic.KindPage}}
	assets := assetsOf(page, r)
	if c.n > 0 {
		assets = assets[3:]
	}
	return append(list, assets...)
}

// only always asks for the same.
func only(a ask) func(*client, *rand.Rand) []ask {
	return func(*client, *rand.Rand) []ask { return []ask{a} }
}

// thinks is a pause that varies as people's do: most are short, some are long.
func thinks(mean time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(math.Exp(r.NormFloat64()*0.8-0.32) * float64(mean))
	}
}

// every is a pause of a program's, almost always the same.
func every(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(float64(d) * (0.95 + 0.1*r.Float64())) }
}

// leaves makes a visitor who reads so many pages and goes.
func leaves(after int, mean time.Duration) func(c *client, r *rand.Rand) []ask {
	return func(c *client, r *rand.Rand) []ask {
		if c.n+1 >= after {
			c.gone = true
		}
		return reads(c, r)
	}
}

// home is an address of somebody's line at home: of one of some networks, a country of
// most.
func (s *stage) home() (netip.Addr, uint32, traffic.Country) {
	return s.address(84, 24, traffic.Country{'G', 'B'}, 0.9)
}

// address draws one of a range of /16s, each a network; most are of one country.
func (s *stage) address(first byte, nets int, of traffic.Country, most float64) (netip.Addr, uint32, traffic.Country) {
	n := s.rng.IntN(nets)
	a := netip.AddrFrom4([4]byte{first + byte(n/200), byte(n % 200), byte(s.rng.IntN(256)), byte(1 + s.rng.IntN(254))})
	country := of
	if s.rng.Float64() >= most {
		others := [...]traffic.Country{{'I', 'E'}, {'U', 'S'}, {'D', 'E'}, {'F', 'R'}, {'I', 'N'}}
		country = others[n%len(others)]
	}
	return a, uint32(first)*1000 + uint32(n), country
}

// person is somebody who reads the site.
func (s *stage) person() *client {
	c := &client{ordinary: true, profile: s.browser(), cookie: s.rng.Float64() < 0.93, next: reads, gap: thinks(12 * time.Second)}
	c.addr, c.network, c.country = s.home()
	if s.rng.Float64() < 0.25 { // IPv6
		b := c.addr.As4()
		c.addr = netip.AddrFrom16([16]byte{0x2a, 0x02, b[0], b[1], b[2], b[3], 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	}
	return c
}

// crowd has people come within a time.
func (s *stage) crowd(n int, within time.Duration, change func(c *client)) {
	for range n {
		c := s.person()
		if change != nil {
			change(c)
		}
		s.come(c, within)
	}
}

// everyday is the traffic that the site always has: readers, and what is not a browser.
func (s *stage) everyday(readers int) {
	s.crowd(readers, 12*time.Second, nil)
	// Others come and go.
	var arrive func()
	gap := 12 * time.Second / time.Duration(max(readers/4, 1))
	arrive = func() {
		c := s.person()
		c.next = leaves(1+s.rng.IntN(4), 0)
		s.come(c, 0)
		s.after(thinks(gap)(s.rng), arrive)
	}
	s.after(gap, arrive)
	program := func(p profile, addr string, next func(*client, *rand.Rand) []ask, gap func(*rand.Rand) time.Duration) {
		s.come(&client{ordinary: true, addr: netip.MustParseAddr(addr), network: 64500, country: traffic.Country{'U', 'S'}, profile: p, next: next, gap: gap}, 5*time.Second)
	}
	program(tool("Googlebot"), "66.249.66.1", func(_ *client, r *rand.Rand) []ask { return []ask{{path: somePage(r), kind: traffic.KindAPI}} }, every(2*time.Second))
	program(tool("monitor"), "198.51.100.9", only(ask{method: "HEAD", path: "/", kind: traffic.KindAPI}), every(10*time.Second))
	for i := range max(readers/10, 2) {
		program(tool("reader"), fmt.Sprintf("198.51.100.%d", 20+i%200), only(ask{path: "/feed.xml", kind: traffic.KindFeed}), every(30*time.Second))
	}
}
