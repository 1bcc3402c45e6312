package accuracy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"seawall/internal/traffic"
)

// calm is something that happens to a site and is no attack.
type calm struct {
	name    string
	readers int // of the everyday traffic
	begin   func(s *stage)
}

// calms are the ordinary days, and the extraordinary ones that hurt nobody on purpose.
func calms() []calm {
	// rush has people come to read.
	rush := func(n int, within time.Duration, change func(s *stage, c *client)) func(*stage) {
		return func(s *stage) {
			s.crowd(n, within, func(c *client) {
				c.next = leaves(1+s.rng.IntN(5), 0)
				if change != nil {
					change(s, c)
				}
			})
		}
	}
	lands := func(a ask) func(*stage, *client) { // everybody comes to one page first
		return func(_ *stage, c *client) {
			next := c.next
			c.next = func(c *client, r *rand.Rand) []ask {
				list := next(c, r)
				if c.n == 0 {
					list[0] = a
				}
				return list
			}
		}
	}
	programs := func(n int, within time.Duration, make func(s *stage, i int) *client) func(*stage) {
		return func(s *stage) {
			for i := range n {
				c := make(s, i)
				c.ordinary = true
				if !c.addr.IsValid() {
					c.addr, c.network, c.country = s.home()
				}
				s.come(c, within)
			}
		}
	}
	behind := func(prefix [3]byte, addrs int) func(*stage, *client) {
		return func(s *stage, c *client) {
			c.addr = netip.AddrFrom4([4]byte{prefix[0], prefix[1], prefix[2], byte(1 + s.rng.IntN(addrs))})
		}
	}
	once := func(list []ask) func(*client, *rand.Rand) []ask {
		return func(c *client, _ *rand.Rand) []ask { c.gone = true; return list }
	}
	return []calm{
		{"an ordinary day", 60, func(*stage) {}},
		{"a small site's day", 5, func(*stage) {}},
		{"a busy site's day", 600, func(*stage) {}},
		{"flash crowd, three times", 100, rush(500, 15*time.Second, nil)},
		{"flash crowd, ten times", 60, rush(1500, 15*time.Second, nil)},
		{"flash crowd within two seconds", 60, rush(800, 2*time.Second, nil)},
		{"flash crowd at a small site", 4, rush(400, 10*time.Second, nil)},
		{"a newsletter goes out", 60, rush(900, 20*time.Second, lands(ask{path: "/news/7", query: "utm_source=mail&utm_campaign=nov", kind: traffic.KindPage}))},
		{"a viral page", 60, rush(1200, 20*time.Second, lands(ask{path: "/news/3", kind: traffic.KindPage}))},
		{"on television", 60, rush(2500, 30*time.Second, lands(ask{path: "/", kind: traffic.KindPage}))},
		{"a petition", 60, rush(600, 20*time.Second, func(_ *stage, c *client) {
			c.next = func(c *client, r *rand.Rand) []ask {
				if c.n == 0 {
					return append([]ask{{path: "/petition", kind: traffic.KindPage}}, assetsOf("/petition", r)...)
				}
				c.gone = true
				return []ask{{method: "POST", path: "/petition", kind: traffic.KindPage, cost: 2}}
			}
		})},
		{"a crawler", 60, programs(1, 0, func(*stage, int) *client {
			return &client{addr: netip.MustParseAddr("66.249.66.7"), profile: tool("Googlebot"), gap: every(100 * time.Millisecond),
				next: each(func(_ *client, r *rand.Rand) ask { return ask{path: somePage(r), kind: traffic.KindAPI} })}
		})},
		{"several crawlers", 60, programs(8, 10*time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("66.249.%d.7", 60+i)), profile: tool("Googlebot"), gap: every(300 * time.Millisecond),
				next: each(func(_ *client, r *rand.Rand) ask { return ask{path: somePage(r), kind: traffic.KindAPI} })}
		})},
		{"a monitoring service", 60, programs(12, time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", 100+i)), profile: tool("monitor"), gap: every(time.Second),
				next: only(ask{method: "HEAD", path: "/", kind: traffic.KindAPI})}
		})},
		{"feed readers on the hour", 60, programs(700, 10*time.Second, func(_ *stage, _ int) *client {
			return &client{profile: tool("reader"), next: once([]ask{{path: "/feed.xml", kind: traffic.KindFeed}})}
		})},
		{"an office behind one address", 60, rush(150, 20*time.Second, behind([3]byte{84, 3, 3}, 1))},
		{"a school opens one page", 60, rush(60, 3*time.Second, func(s *stage, c *client) {
			behind([3]byte{84, 4, 4}, 1)(s, c)
			lands(ask{path: "/news/2", kind: traffic.KindPage})(s, c)
		})},
		{"a mobile network behind few addresses", 60, rush(600, 20*time.Second, behind([3]byte{84, 5, 5}, 30))},
		{"Tor", 60, rush(120, 20*time.Second, func(s *stage, c *client) {
			behind([3]byte{185, 220, 101}, 6)(s, c)
			c.cookie = false
		})},
		{"people who keep no cookies", 60, rush(500, 20*time.Second, func(_ *stage, c *client) { c.cookie = false })},
		{"a deploy that breaks caching", 100, func(s *stage) {
			s.crowd(150, 10*time.Second, func(c *client) {
				c.next = func(c *client, r *rand.Rand) []ask {
					page := somePage(r)
					list := append([]ask{{path: page, kind: traffic.KindPage}}, assetsOf(page, r)...)
					for i := range list[1:] {
						list[1+i].query = "v=2"
					}
					return list
				}
			})
		}},
		{"a slow origin", 100, func(s *stage) { s.site.work *= 12 }},
		{"an origin that is down", 100, func(s *stage) {
			s.site.down = true
			s.after(10*time.Second, func() { s.site.down = false })
		}},
		{"an app that polls", 60, programs(300, 5*time.Second, func(s *stage, _ int) *client {
			return &client{profile: tool("app"), gap: every(5 * time.Second), next: only(ask{path: "/api/live", kind: traffic.KindAPI, cost: 0.2})}
		})},
		{"link previews", 60, programs(150, 3*time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("69.63.%d.%d", i%8, 1+i)), profile: tool("preview"), next: once([]ask{{path: "/news/5", kind: traffic.KindPage}})}
		})},
		{"a picture shown elsewhere", 60, programs(900, 15*time.Second, func(s *stage, _ int) *client {
			return &client{profile: s.browser(), next: once([]ask{{path: "/static/news/3/0.jpg", kind: traffic.KindAsset}})}
		})},
		{"payments that call back", 60, programs(2, time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", 150+i)), profile: tool("webhook"), gap: every(150 * time.Millisecond),
				next: only(ask{method: "POST", path: "/hooks/payment", kind: traffic.KindAPI})}
		})},
		{"a podcast comes out", 60, programs(500, 10*time.Second, func(_ *stage, _ int) *client {
			return &client{profile: tool("podcast"), next: once([]ask{{path: "/podcast.rss", kind: traffic.KindFeed}, {path: "/static/episode-12.mp3", kind: traffic.KindAsset}})}
		})},
		{"the morning comes", 60, func(s *stage) {
			for i := range 20 {
				s.after(time.Duration(i)*time.Second, func() { s.crowd(12, time.Second, nil) })
			}
		}},
	}
}
