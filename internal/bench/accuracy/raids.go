package accuracy

import (
	"math/rand/v2"
	"time"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// raid is an attack on connections, at three strengths.
type raid struct {
	name   string
	vector attack.Vector // what it is
	n      [3]int        // connections at a time, or a second: weak, middling, strong
	begin  func(g *gang, n int)
}

// gang is the machines of an attack, and what they do together.
type gang struct {
	s        *stage
	profile  profile
	machines []client
	next     int
}

// gather finds machines: one for ten connections, in many networks.
func (g *gang) gather(n int, p profile) {
	g.machinesOf(wide(max(n/10, 20)), p)
}

func (g *gang) machinesOf(b botnet, p profile) {
	g.profile = p
	g.machines = make([]client, b.sources)
	for i := range g.machines {
		c := &g.machines[i]
		c.profile = p
		c.addr, c.network, c.country = g.s.address(170, b.nets, b.country, b.most)
	}
}

// dial opens a connection from the next machine; nil: we did not take it.
func (g *gang) dial() *link {
	c := g.machines[g.next%len(g.machines)]
	g.next++
	c.net = &presence{raids: true, trip: time.Duration(20+g.s.rng.IntN(180)) * time.Millisecond}
	k := g.s.port.accept(&c)
	c.net.now = k
	return k
}

// hold keeps so many connections open: one that ends is followed by another a little later.
func (g *gang) hold(n int, act func(k *link)) {
	const within = 3 * time.Second
	for range n {
		var open func()
		again := func() {
			g.s.after(200*time.Millisecond+time.Duration(g.s.rng.Int64N(int64(800*time.Millisecond))), open)
		}
		open = func() {
			k := g.dial()
			if k == nil {
				again()
				return
			}
			k.ended = again
			act(k)
		}
		g.s.after(time.Duration(g.s.rng.Int64N(int64(within))), open)
	}
}

// pour opens so many connections a second.
func (g *gang) pour(n int, act func(k *link)) {
	const every = 10 * time.Millisecond
	due := 0.0
	var open func()
	open = func() {
		for due += float64(n) * every.Seconds(); due >= 1; due-- {
			if k := g.dial(); k != nil {
				act(k)
			}
		}
		g.s.after(every, open)
	}
	open()
}

// leaves has the client close the connection after a time.
func (k *link) leaves(d time.Duration) { k.l.s.after(d, func() { k.l.close(k, byNobody) }) }

// greets sends a ClientHello, and does nothing after our answer but what then says.
func (k *link) greets(then func()) {
	k.l.s.after(k.c.net.trip, func() {
		if !k.over {
			k.l.hello(k, then)
		}
	})
}

// asks makes a request on the connection, once its handshake is made.
func (k *link) asks(a ask) {
	if len(k.streams) >= k.most() {
		k.odd(traffic.OddStreams, costRefused)
		return
	}
	k.l.s.request(k.c, a, nil)
}

// raids are the ways in which connections are attacked. What they are as a program is of no
// matter but for its protocol: h1 and h2 are those of common tools.
func raids() []raid {
	h1, h2 := python1, go2
	h1.agent, h2.agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36", "Mozilla/5.0 (X11; Linux x86_64)"
	held, rate, slow, frames := [3]int{600, 3000, 12_000}, [3]int{200, 1000, 4000}, [3]int{150, 1000, 5000}, [3]int{16, 64, 256}
	holds := func(p profile, act func(g *gang, k *link)) func(*gang, int) {
		return func(g *gang, n int) { g.gather(n, p); g.hold(n, func(k *link) { act(g, k) }) }
	}
	pours := func(p profile, act func(g *gang, k *link)) func(*gang, int) {
		return func(g *gang, n int) { g.gather(n, p); g.pour(n, func(k *link) { act(g, k) }) }
	}
	secured := func(then func(g *gang, k *link)) func(*gang, *link) {
		return func(g *gang, k *link) { k.l.secured(k, func() { then(g, k) }) }
	}
	nothing := func(*gang, *link) {}
	// A machine whose request is refused opens another connection.
	once := func(a func(g *gang) ask) func(*gang, *link) {
		return secured(func(g *gang, k *link) {
			if k.asks(a(g)); k.unwanted {
				k.leaves(k.c.net.trip)
			}
		})
	}
	// Of HTTP/2, so many requests on each connection, and another for each that is given up.
	many := func(a func(g *gang) ask) func(*gang, int) {
		const each = 10
		return func(g *gang, n int) {
			g.gather(n/each, h2)
			g.hold(n/each, func(k *link) {
				k.l.secured(k, func() {
					k.c.net.givenUp = func() { k.asks(a(g)) }
					for range each {
						if k.asks(a(g)); k.over || k.unwanted {
							k.leaves(k.c.net.trip)
							return
						}
					}
				})
			})
		}
	}
	// A byte every few seconds, of which there are to be many.
	trickles := func(g *gang) *manner {
		return &manner{sends: pace{bytes: 8000, piece: 1, every: between(g.s.rng, time.Second, 5*time.Second)}}
	}
	slowPost := func(g *gang) ask {
		return ask{method: "POST", path: "/donate", kind: traffic.KindPage, on: trickles(g)}
	}
	unread := func(g *gang) ask {
		return ask{path: "/static/report.pdf", kind: traffic.KindAsset, on: &manner{takes: pace{bytes: 1 << 20, piece: 1, every: between(g.s.rng, time.Hour, 2*time.Hour)}}}
	}
	// spends has each connection send frames of a kind, quickly.
	spends := func(each func(g *gang, k *link)) func(*gang, int) {
		const pause = 8 * time.Millisecond
		return holds(h2, secured(func(g *gang, k *link) {
			var next func()
			next = func() {
				if !k.over {
					each(g, k)
					g.s.after(pause, next)
				}
			}
			next()
		}))
	}
	few := botnet{4, 1, traffic.Country{'N', 'L'}, 1}

	return []raid{
		{"connections without a byte", attack.ConnectionFlood, held, holds(h1, nothing)},
		{"connections opened and closed", attack.ConnectionFlood, rate, pours(h1, func(g *gang, k *link) { k.leaves(k.c.net.trip + time.Duration(g.s.rng.IntN(200))*time.Millisecond) })},
		{"connections of one machine", attack.ConnectionFlood, held, func(g *gang, n int) {
			g.machinesOf(botnet{1, 1, traffic.Country{'N', 'L'}, 1}, h1)
			g.hold(n, func(*link) {})
		}},
		{"noise in place of a handshake", attack.ConnectionFlood, rate, pours(h1, func(g *gang, k *link) {
			k.l.s.after(k.c.net.trip, func() { k.l.close(k, byAbuse) })
		})},
		{"handshakes left half open", attack.HandshakeFlood, rate, pours(h1, func(_ *gang, k *link) { k.greets(func() { k.leaves(k.c.net.trip) }) })},
		{"handshakes made for nothing", attack.HandshakeFlood, rate, pours(h2, secured(func(_ *gang, k *link) { k.leaves(k.c.net.trip) }))},
		{"handshakes of a few machines", attack.HandshakeFlood, rate, func(g *gang, n int) {
			g.machinesOf(few, h2)
			g.pour(n, func(k *link) { k.l.secured(k, func() { k.leaves(k.c.net.trip) }) })
		}},
		{"half handshakes held", attack.HandshakeFlood, held, holds(h1, func(_ *gang, k *link) { k.greets(func() {}) })},
		{"whole handshakes held", attack.HandshakeFlood, held, holds(h2, secured(nothing))},
		{"slow heads", attack.SlowAttack, slow, holds(h1, secured(func(_ *gang, k *link) { k.head() }))},
		{"slow heads, HTTP/2", attack.SlowAttack, slow, holds(h2, secured(func(g *gang, k *link) { k.heads(2 * time.Second) }))},
		{"slow bodies", attack.SlowAttack, slow, holds(h1, once(slowPost))},
		{"slow bodies, HTTP/2", attack.SlowAttack, slow, many(slowPost)},
		{"answers that nobody takes", attack.SlowAttack, slow, holds(h1, once(unread))},
		{"answers that nobody takes, HTTP/2", attack.SlowAttack, slow, many(unread)},
		{"requests reset at once", attack.ProtocolAbuse, frames, spends(func(g *gang, k *link) {
			under := len(k.streams)
			k.asks(ask{path: somePage(g.s.rng), kind: traffic.KindPage, on: &manner{leaves: 1}})
			if !k.over && len(k.streams) == under { // it was refused already
				k.odd(traffic.OddResets, costReset)
			}
		})},
		{"pings", attack.ProtocolAbuse, frames, spends(func(_ *gang, k *link) { k.odd(traffic.OddPings, costPing) })},
		{"settings", attack.ProtocolAbuse, frames, spends(func(_ *gang, k *link) { k.odd(traffic.OddSettings, costSettings) })},
		{"field blocks without an end", attack.ProtocolAbuse, frames, holds(h2, secured(func(_ *gang, k *link) { k.heads(0) }))},
		{"malformed requests", attack.ProtocolAbuse, rate, pours(h1, secured(func(_ *gang, k *link) { k.garbled() }))},
	}
}

// between is a pause of any length from a to b.
func between(r *rand.Rand, a, b time.Duration) func() time.Duration {
	return func() time.Duration { return a + time.Duration(r.Int64N(int64(b-a))) }
}

// heads is a field block of HTTP/2 that does not end, a piece at a time.
func (k *link) heads(every time.Duration) {
	pieces := 0
	var next func()
	next = func() {
		if k.over {
			return
		}
		k.head()
		if pieces++; pieces > mostPieces {
			k.abused(traffic.OddFields)
			return
		}
		if pieces > 1 {
			k.odd(traffic.OddFields, costPiece)
		}
		k.l.s.after(every, next)
	}
	next()
}
