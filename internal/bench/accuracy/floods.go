package accuracy

import (
	"fmt"
	"math/rand/v2"
	"time"

	"seawall/internal/traffic"
)

// botnet is where the sources of a flood are: so many, in so many networks.
type botnet struct {
	sources, nets int
	country       traffic.Country
	most          float64 // share of the country
}

// wide is a botnet of many hijacked lines, in two countries mostly.
func wide(sources int) botnet {
	return botnet{sources, 60, traffic.Country{'R', 'U'}, 0.6}
}

// bots has the sources of a flood ask for rate requests a second together.
func (s *stage) bots(b botnet, rate float64, change func(c *client)) []*client {
	out := make([]*client, b.sources)
	for i := range out {
		c := &client{profile: s.browser(), next: only(ask{path: "/", kind: traffic.KindPage})}
		c.addr, c.network, c.country = s.address(170, b.nets, b.country, b.most)
		c.gap = paced(rate / float64(b.sources))
		if change != nil {
			change(c)
		}
		out[i] = c
		// Each begins somewhere within its first pause, so that all together begin at
		// once.
		s.come(c, min(time.Duration(float64(b.sources)/rate*float64(time.Second)), time.Second))
	}
	return out
}

// paced is a bot's pause at a rate.
func paced(rate float64) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		return time.Duration((0.5 + r.Float64()) / rate * float64(time.Second))
	}
}

// each makes a page view of one request.
func each(f func(c *client, r *rand.Rand) ask) func(*client, *rand.Rand) []ask {
	return func(c *client, r *rand.Rand) []ask { return []ask{f(c, r)} }
}

// withAsset has a bot ask for an asset that the site has after every second page: it looks
// like a visitor to whoever asks only whether there was one.
func withAsset(f func(c *client, r *rand.Rand) ask) func(*client) {
	return func(c *client) {
		c.next = each(func(c *client, r *rand.Rand) ask {
			if c.n%3 == 2 {
				return ask{path: "/static/site.css", kind: traffic.KindAsset}
			}
			return f(c, r)
		})
	}
}

// vector is a way of flooding, at a rate.
type vector struct {
	name  string
	begin func(s *stage, rate float64)
	// costly floods need fewer requests.
	scale float64
	lasts time.Duration // 0: as most do
}

// vectors are the ways in which a site is flooded by requests.
func vectors() []vector {
	page := func(sources func(rate float64) int, change func(*client)) func(*stage, float64) {
		return func(s *stage, rate float64) { s.bots(wide(sources(rate)), rate, change) }
	}
	low := func(rate float64) int { return int(rate / 2) }
	third := func(rate float64) int { return int(rate / 3) }
	forty := func(float64) int { return 40 }
	some := func(rate float64) int { return int(rate / 10) }
	asks := func(f func(c *client, r *rand.Rand) ask) func(*client) {
		return func(c *client) { c.next = each(f) }
	}
	return []vector{
		{"few and heavy", page(func(float64) int { return 20 }, nil), 1, 0},
		{"two hundred sources", page(func(float64) int { return 200 }, nil), 1, 0},
		{"wide and low", page(low, nil), 1, 0},
		{"wide and low, kept cookies", page(low, func(c *client) { c.cookie = true }), 1, 0},
		{"many pages", page(low, asks(func(_ *client, r *rand.Rand) ask { return ask{path: somePage(r), kind: traffic.KindPage} })), 1, 0},
		{"paths that are not there", page(low, asks(func(_ *client, r *rand.Rand) ask {
			return ask{path: fmt.Sprintf("/%x", r.Uint32()), kind: traffic.KindPage}
		})), 1, 0},
		{"cache busting", page(low, asks(func(_ *client, r *rand.Rand) ask {
			return ask{path: "/", query: fmt.Sprintf("%d", r.Uint32()), kind: traffic.KindPage}
		})), 1, 0},
		{"cache busting, one name", page(some, asks(func(_ *client, r *rand.Rand) ask {
			return ask{path: "/search", query: fmt.Sprintf("q=%x", r.Uint32()), kind: traffic.KindPage}
		})), 1, 0},
		{"rotating user agents", page(low, asks(func(c *client, r *rand.Rand) ask {
			c.profile.agent = fmt.Sprintf("Mozilla/5.0 (Windows NT %d.%d) Any/%d", r.IntN(12), r.IntN(5), r.IntN(1000))
			return ask{path: "/", kind: traffic.KindPage}
		})), 1, 0},
		{"rotating user agents and header orders", page(low, asks(func(c *client, r *rand.Rand) ask {
			c.profile.agent, c.profile.order = fmt.Sprintf("Mozilla/5.0 (X%d) Any/%d", r.IntN(1000), r.IntN(1000)), r.Uint64()|1
			return ask{path: somePage(r), kind: traffic.KindPage}
		})), 1, 0},
		{"a tool", page(some, func(c *client) { c.profile = tool("Go"); c.next = only(ask{path: "/", kind: traffic.KindAPI}) }), 1, 0},
		{"forms", page(some, asks(func(*client, *rand.Rand) ask {
			return ask{method: "POST", path: "/donate", kind: traffic.KindPage, cost: 2}
		})), 0.5, 0},
		{"logins", page(low, asks(func(*client, *rand.Rand) ask {
			return ask{method: "POST", path: "/login", kind: traffic.KindPage, cost: 3}
		})), 0.35, 0},
		{"a costly page", page(some, asks(func(*client, *rand.Rand) ask { return ask{path: "/poster", kind: traffic.KindPage, cost: 10} })), 0.15, 0},
		{"the feed", page(low, asks(func(*client, *rand.Rand) ask { return ask{path: "/feed.xml", kind: traffic.KindFeed} })), 1, 0},
		{"the API", page(some, asks(func(_ *client, r *rand.Rand) ask {
			return ask{path: fmt.Sprintf("/api/events/%d", r.IntN(50)), kind: traffic.KindAPI}
		})), 1, 0},
		{"assets without pages", page(low, asks(func(_ *client, r *rand.Rand) ask {
			return ask{path: fmt.Sprintf("/static/news/%d/0.jpg", 1+r.IntN(pages)), kind: traffic.KindAsset}
		})), 3, 0},
		{"OPTIONS", page(low, asks(func(*client, *rand.Rand) ask { return ask{method: "OPTIONS", path: "/", kind: traffic.KindAPI} })), 1, 0},
		{"one rented network", func(s *stage, rate float64) {
			s.bots(botnet{int(rate / 10), 1, traffic.Country{'N', 'L'}, 1}, rate, nil)
		}, 1, 0},
		{"pulses", pulses(2*time.Second, 2*time.Second), 1, 0},
		{"pulses a minute apart", pulses(5*time.Second, time.Minute), 1, 140 * time.Second},
		{"pulses two minutes apart", pulses(5*time.Second, 2*time.Minute), 1, 260 * time.Second},
		{"few for a page that is very costly", page(forty, asks(func(*client, *rand.Rand) ask { return ask{path: "/poster", kind: traffic.KindPage, cost: 50} })), 1. / 30, 0},
		{"few passwords that are wrong", page(forty, asks(func(*client, *rand.Rand) ask {
			return ask{method: "POST", path: "/login", kind: traffic.KindPage, cost: 10, status: 401}
		})), 1. / 30, 0},
		{"few new queries", page(forty, asks(func(_ *client, r *rand.Rand) ask {
			return ask{path: "/search", query: fmt.Sprintf("q=%x", r.Uint32()), kind: traffic.KindPage, cost: 5}
		})), 1. / 20, 0},
		{"wide, with an asset", page(third, withAsset(func(_ *client, r *rand.Rand) ask { return ask{path: somePage(r), kind: traffic.KindPage} })), 1, 0},
		{"new queries, with an asset", page(third, withAsset(func(_ *client, r *rand.Rand) ask {
			return ask{path: "/search", query: fmt.Sprintf("q=%x", r.Uint32()), kind: traffic.KindPage, cost: 5}
		})), 1. / 20, 0},
		{"wrong passwords, with an asset", page(third, withAsset(func(*client, *rand.Rand) ask {
			return ask{method: "POST", path: "/login", kind: traffic.KindPage, cost: 10, status: 401}
		})), 1. / 20, 0},
		{"another page every five seconds", func(s *stage, rate float64) {
			s.bots(wide(low(rate)), rate, asks(func(*client, *rand.Rand) ask {
				return ask{path: fmt.Sprintf("/news/%d", 1+s.now().Sub(s.books.floodAt)/(5*time.Second)), kind: traffic.KindPage}
			}))
		}, 1, 0},
		{"two at once", func(s *stage, rate float64) {
			s.bots(wide(low(rate/2)), rate/2, nil)
			s.bots(botnet{int(rate / 20), 3, traffic.Country{'B', 'R'}, 1}, rate/2, func(c *client) {
				c.profile = tool("curl")
				c.next = each(func(_ *client, r *rand.Rand) ask {
					return ask{path: "/search", query: fmt.Sprintf("q=%x", r.Uint32()), kind: traffic.KindAPI}
				})
			})
		}, 1, 0},
	}
}

// pulses are some seconds of a flood, and some of nothing.
func pulses(on, off time.Duration) func(*stage, float64) {
	all := on + off
	return func(s *stage, rate float64) {
		s.bots(wide(int(rate/2)), rate, func(c *client) {
			gap := c.gap
			c.gap = func(r *rand.Rand) time.Duration {
				d := gap(r)
				if at := s.now().Add(d).Sub(s.books.floodAt) % all; at >= on {
					d += all - at + time.Duration(r.Int64N(int64(on/10)))
				}
				return d
			}
		})
	}
}
