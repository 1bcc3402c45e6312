package accuracy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// calm is something that happens to a site and is no attack.
type calm struct {
	name    string
	readers int // of the everyday traffic
	begin   func(s *stage)
	finds   attack.Vector // what is to be found, though it is no attack
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
	list := []calm{
		{name: "an ordinary day", readers: 60, begin: func(*stage) {}},
		{name: "a small site's day", readers: 5, begin: func(*stage) {}},
		{name: "a busy site's day", readers: 600, begin: func(*stage) {}},
		{name: "flash crowd, three times", readers: 100, begin: rush(500, 15*time.Second, nil)},
		{name: "flash crowd, ten times", readers: 60, begin: rush(1500, 15*time.Second, nil)},
		{name: "flash crowd within two seconds", readers: 60, begin: rush(800, 2*time.Second, nil)},
		{name: "flash crowd at a small site", readers: 4, begin: rush(400, 10*time.Second, nil)},
		{name: "a newsletter goes out", readers: 60, begin: rush(900, 20*time.Second, lands(ask{path: "/news/7", query: "utm_source=mail&utm_campaign=nov", kind: traffic.KindPage}))},
		{name: "a push message for a new page", readers: 60, begin: rush(1000, time.Second, lands(ask{path: "/news/now", kind: traffic.KindPage}))},
		{name: "a new page that takes long, read by many", readers: 60, begin: rush(1000, 24*time.Second, lands(ask{path: "/results", kind: traffic.KindPage, cost: 8}))},
		{name: "a viral page", readers: 60, begin: rush(1200, 20*time.Second, lands(ask{path: "/news/3", kind: traffic.KindPage}))},
		{name: "on television", readers: 60, begin: rush(2500, 30*time.Second, lands(ask{path: "/", kind: traffic.KindPage}))},
		{name: "a petition", readers: 60, begin: rush(600, 20*time.Second, func(_ *stage, c *client) {
			c.next = func(c *client, r *rand.Rand) []ask {
				if c.n == 0 {
					return append([]ask{{path: "/petition", kind: traffic.KindPage}}, assetsOf("/petition", r)...)
				}
				c.gone = true
				return []ask{{method: "POST", path: "/petition", kind: traffic.KindPage, cost: 2}}
			}
		})},
		{name: "a crawler", readers: 60, begin: programs(1, 0, func(*stage, int) *client {
			return &client{addr: netip.MustParseAddr("66.249.66.7"), profile: tool("Googlebot"), gap: every(100 * time.Millisecond),
				next: each(func(_ *client, r *rand.Rand) ask { return ask{path: somePage(r), kind: traffic.KindAPI} })}
		})},
		{name: "several crawlers", readers: 60, begin: programs(8, 10*time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("66.249.%d.7", 60+i)), profile: tool("Googlebot"), gap: every(300 * time.Millisecond),
				next: each(func(_ *client, r *rand.Rand) ask { return ask{path: somePage(r), kind: traffic.KindAPI} })}
		})},
		{name: "a monitoring service", readers: 60, begin: programs(12, time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", 100+i)), profile: tool("monitor"), gap: every(time.Second),
				next: only(ask{method: "HEAD", path: "/", kind: traffic.KindAPI})}
		})},
		{name: "feed readers on the hour", readers: 60, begin: programs(700, 10*time.Second, func(_ *stage, _ int) *client {
			return &client{profile: tool("reader"), next: once([]ask{{path: "/feed.xml", kind: traffic.KindFeed}})}
		})},
		{name: "an office behind one address", readers: 60, begin: rush(150, 20*time.Second, behind([3]byte{84, 3, 3}, 1))},
		{name: "a school opens one page", readers: 60, begin: rush(60, 3*time.Second, func(s *stage, c *client) {
			behind([3]byte{84, 4, 4}, 1)(s, c)
			lands(ask{path: "/news/2", kind: traffic.KindPage})(s, c)
		})},
		{name: "a mobile network behind few addresses", readers: 60, begin: rush(600, 20*time.Second, behind([3]byte{84, 5, 5}, 30))},
		{name: "Tor", readers: 60, begin: rush(120, 20*time.Second, func(s *stage, c *client) {
			behind([3]byte{185, 220, 101}, 6)(s, c)
			c.cookie = false
		})},
		{name: "people who keep no cookies", readers: 60, begin: rush(500, 20*time.Second, func(_ *stage, c *client) { c.cookie = false })},
		{name: "a deploy that breaks caching", readers: 100, begin: func(s *stage) {
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
		{name: "a slow origin", readers: 100, begin: func(s *stage) { s.site.work *= 12 }},
		{name: "an origin that is down", readers: 100, begin: func(s *stage) {
			s.site.down = true
			s.after(10*time.Second, func() { s.site.down = false })
		}},
		{name: "an app that polls", readers: 60, begin: programs(300, 5*time.Second, func(s *stage, _ int) *client {
			return &client{profile: tool("app"), gap: every(5 * time.Second), next: only(ask{path: "/api/live", kind: traffic.KindAPI, cost: 0.2})}
		})},
		{name: "link previews", readers: 60, begin: programs(150, 3*time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("69.63.%d.%d", i%8, 1+i)), profile: tool("preview"), next: once([]ask{{path: "/news/5", kind: traffic.KindPage}})}
		})},
		{name: "a picture shown elsewhere", readers: 60, begin: programs(900, 15*time.Second, func(s *stage, _ int) *client {
			return &client{profile: s.browser(), next: once([]ask{{path: "/static/news/3/0.jpg", kind: traffic.KindAsset}})}
		})},
		{name: "payments that call back", readers: 60, begin: programs(2, time.Second, func(_ *stage, i int) *client {
			return &client{addr: netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", 150+i)), profile: tool("webhook"), gap: every(150 * time.Millisecond),
				next: only(ask{method: "POST", path: "/hooks/payment", kind: traffic.KindAPI})}
		})},
		{name: "a podcast comes out", readers: 60, begin: programs(500, 10*time.Second, func(_ *stage, _ int) *client {
			return &client{profile: tool("podcast"), next: once([]ask{{path: "/podcast.rss", kind: traffic.KindFeed}, {path: "/static/episode-12.mp3", kind: traffic.KindAsset}})}
		})},
		{name: "the morning comes", readers: 60, begin: func(s *stage) {
			for i := range 20 {
				s.after(time.Duration(i)*time.Second, func() { s.crowd(12, time.Second, nil) })
			}
		}},
	}
	return append(list, curious(programs)...)
}

// curious are programs that people want to know of, and that nobody is refused for.
func curious(programs func(n int, within time.Duration, make func(s *stage, i int) *client) func(*stage)) []calm {
	words := [...]string{"admin", "old", "test", "backup", "new", "db", "mail", "shop", "forum", "stats", "panel", "portal"}
	return []calm{
		{name: "a scanner", readers: 60, finds: attack.Scanning, begin: programs(1, 0, func(s *stage, _ int) *client {
			return &client{profile: tool("Go"), gap: every(200 * time.Millisecond), next: each(func(c *client, r *rand.Rand) ask {
				return ask{path: fmt.Sprintf("/%s%d/%s.php", words[r.IntN(len(words))], r.IntN(10), words[r.IntN(len(words))]), kind: traffic.KindAPI, status: 404}
			})}
		})},
		{name: "a scraper", readers: 60, finds: attack.Scraping, begin: programs(1, 0, func(s *stage, _ int) *client {
			return &client{profile: tool("curl"), gap: every(250 * time.Millisecond), next: each(func(c *client, _ *rand.Rand) ask {
				return ask{path: fmt.Sprintf("/archive/%d", c.n), kind: traffic.KindAPI}
			})}
		})},
		{name: "passwords, slowly", readers: 60, finds: attack.PasswordGuessing, begin: programs(40, 10*time.Second, func(s *stage, _ int) *client {
			return &client{profile: s.browser(), gap: every(12 * time.Second), next: only(ask{method: "POST", path: "/login", kind: traffic.KindPage, cost: 3, status: 401})}
		})},
	}
}
