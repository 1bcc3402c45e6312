package accuracy

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"seawall/internal/traffic"
)

// background is what every address of the internet gets besides: scans of the port, of the
// versions of TLS that are spoken, and what is no HTTP.
func (s *stage) background() {
	strange := func(every time.Duration, p profile, act func(k *link)) {
		var next func()
		next = func() {
			c := &client{ordinary: true, profile: p, net: &presence{raids: true, trip: 80 * time.Millisecond}}
			c.addr, c.network, c.country = s.address(45, 40, traffic.Country{'U', 'S'}, 0.5)
			if k := s.port.accept(c); k != nil {
				k.spare = true
				act(k)
			}
			s.after(thinks(every)(s.rng), next)
		}
		s.after(thinks(every)(s.rng), next)
	}
	strange(3*time.Second, python1, func(k *link) { k.leaves(k.c.net.trip) })
	strange(6*time.Second, go1, func(k *link) { k.greets(func() { k.leaves(k.c.net.trip) }) })
	strange(15*time.Second, python1, func(k *link) { k.l.secured(k, k.garbled) })
}

// peace is what connections do that may be taken for an attack on them.
type peace struct {
	name  string
	begin func(s *stage)
}

func peaces() []peace {
	people := func(n int, within time.Duration, change func(s *stage, c *client)) func(*stage) {
		return func(s *stage) {
			s.crowd(n, within, func(c *client) {
				c.next = leaves(1+s.rng.IntN(4), 0)
				change(s, c)
			})
		}
	}
	// after a page somebody asks for a.
	after := func(c *client, a func() ask) {
		c.next = func(c *client, r *rand.Rand) []ask {
			if c.n == 0 {
				return reads(c, r)
			}
			c.gone = true
			return []ask{a()}
		}
	}
	// mobile is a bad line: pieces come and go at some pace, and one in twelve late.
	mobile := func(s *stage, bytes, piece int, usually time.Duration) pace {
		return pace{bytes: bytes, piece: piece, every: func() time.Duration {
			d := time.Duration((0.5 + s.rng.Float64()) * float64(usually))
			if s.rng.IntN(12) == 0 {
				d += time.Second + time.Duration(s.rng.Int64N(int64(3*time.Second)))
			}
			return d
		}}
	}
	// phones are apps that do something on a connection again and again.
	phones := func(n int, p profile, every time.Duration, act func(s *stage, k *link)) func(*stage) {
		return func(s *stage) {
			for range n {
				c := &client{ordinary: true, profile: p}
				c.addr, c.network, c.country = s.home()
				var next func()
				next = func() {
					again := *c
					again.net = &presence{raids: true, trip: 100 * time.Millisecond}
					if k := s.port.accept(&again); k != nil {
						again.net.now = k
						act(s, k)
					}
					s.after(thinks(every)(s.rng), next)
				}
				s.after(time.Duration(s.rng.Int64N(int64(every))), next)
			}
		}
	}
	return []peace{
		{"connections of an ordinary day", func(*stage) {}},
		{"forms sent from bad mobile lines", people(250, 12*time.Second, func(s *stage, c *client) {
			c.net = &presence{trip: time.Duration(200+s.rng.IntN(600)) * time.Millisecond, beside: usually}
			after(c, func() ask {
				return ask{method: "POST", path: "/donate", kind: traffic.KindPage, on: &manner{sends: mobile(s, 40_000+s.rng.IntN(200_000), 8000, 300*time.Millisecond)}}
			})
			c.gap = thinks(4 * time.Second)
		})},
		{"a large file on bad mobile lines", people(200, 12*time.Second, func(s *stage, c *client) {
			c.net = &presence{trip: time.Duration(200+s.rng.IntN(600)) * time.Millisecond, beside: usually}
			after(c, func() ask {
				return ask{path: "/static/report.pdf", kind: traffic.KindAsset, on: &manner{takes: mobile(s, 2<<20, 40_000, 400*time.Millisecond)}}
			})
			c.gap = thinks(3 * time.Second)
		})},
		{"a live page that each reader keeps open", people(2000, 10*time.Second, func(_ *stage, c *client) {
			after(c, func() ask { return ask{path: "/live", kind: traffic.KindAPI, cost: 0.2, on: &manner{stays: true}} })
			c.gap = thinks(time.Second)
		})},
		{"people who connect all at once", people(1500, 2*time.Second, func(*stage, *client) {})},
		{"browsers that connect beforehand", people(900, 8*time.Second, func(s *stage, c *client) {
			c.net = &presence{trip: time.Duration(20+s.rng.IntN(130)) * time.Millisecond, beside: 0.9}
		})},
		{"an app that takes requests back", func(s *stage) {
			for range 60 {
				c := &client{ordinary: true, profile: tool("app"), gap: every(time.Second)}
				c.addr, c.network, c.country = s.home()
				c.next = func(_ *client, r *rand.Rand) []ask {
					a := ask{path: "/api/live", kind: traffic.KindAPI, cost: 0.2}
					if r.IntN(3) == 0 {
						a.on = &manner{leaves: time.Duration(1 + r.Int64N(int64(30*time.Millisecond)))}
					}
					return []ask{a}
				}
				s.come(c, 3*time.Second)
			}
		}},
		{"an app with an old certificate", phones(200, go1, 10*time.Second, func(_ *stage, k *link) {
			k.greets(func() { k.leaves(k.c.net.trip) })
		})},
		{"checks that only connect", phones(10, python1, time.Second, func(_ *stage, k *link) { k.leaves(k.c.net.trip) })},
		{"a survey of TLS", func(s *stage) {
			c := client{ordinary: true, profile: go1, addr: netip.MustParseAddr("45.9.9.9"), network: 45009, country: traffic.Country{'U', 'S'}}
			for i := range 400 {
				s.after(time.Duration(i)*25*time.Millisecond, func() {
					again := c
					again.net = &presence{raids: true, trip: 30 * time.Millisecond}
					if k := s.port.accept(&again); k != nil {
						k.l.secured(k, func() { k.leaves(k.c.net.trip) })
					}
				})
			}
		}},
		{"an office whose browsers connect", people(300, 10*time.Second, func(s *stage, c *client) {
			c.addr = netip.AddrFrom4([4]byte{84, 3, 3, 1})
			c.net = &presence{trip: 20 * time.Millisecond, beside: 0.5}
		})},
	}
}
