package loop

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// spread are visitors from all over the place.
func spread(group string, n int, rate float64, net byte) []*client {
	out := visitors(group, n, rate, net)
	for i, c := range out {
		c.addr = v4(91, net, i*17)
	}
	return out
}

func pollers(n int) []*client {
	var out []*client
	for i := range n {
		out = append(out, &client{
			group: "pollers", addr: v4(91, 3, i*17), agent: "app/3.1", order: 0xb1, rate: 0.5, even: true,
			next: each(func(c *client, _ *rand.Rand) ask {
				c.n++
				return ask{path: []string{"/api/v1/items", "/api/v1/me", "/api/v1/feed"}[c.n%3], kind: traffic.KindAPI}
			}),
		})
	}
	return out
}

// feeds are readers that ask once.
func feeds(n int) []*client {
	var out []*client
	for i := range n {
		out = append(out, &client{
			group: "feeds", addr: v4(91, 7, i*17), agent: fmt.Sprintf("Feeder/%d", i%20), order: 0xc0 + uint64(i%20), rate: 0.5,
			next: each(func(c *client, _ *rand.Rand) ask {
				c.rate = 0.001
				return ask{path: "/feed.xml", kind: traffic.KindFeed}
			}),
		})
	}
	return out
}

func crawler(rate float64) *client {
	return &client{
		group: "crawler", addr: v4(66, 249, 1), agent: "Mozilla/5.0 (compatible; Bot/2.1)", order: 0xd1, rate: rate, even: true,
		next: each(func(c *client, _ *rand.Rand) ask { c.n++; return ask{path: fmt.Sprintf("/archive/%d", c.n)} }),
	}
}

// conference are people behind one address.
func conference(n, from int) []*client {
	var out []*client
	for i := range n {
		out = append(out, &client{
			group: "conference", addr: v4(195, 7, 1), agent: browsers[(from+i)%4], order: 0xa0 + uint64((from+i)%5),
			cookie: true, rate: 0.3, next: view,
		})
	}
	return out
}

// Ordinary traffic of unusual shape: nobody calls it an attack, nothing stands
// against it, and it gets what it asks for as far as the origin can give it.
func TestOrdinary(t *testing.T) {
	for _, o := range []struct {
		name   string
		run    func(w *world)
		served map[string]float64 // by group, at least
	}{
		{"a newsletter to a quiet site", func(w *world) {
			w.add(visitors("usual", 1, 1.0/60, 1)...)
			w.run(5 * time.Minute)
			for i := range 10 {
				w.add(spread("readers", 12, 0.5, byte(40+i))...)
				w.run(time.Second)
			}
			w.run(30 * time.Second)
		}, map[string]float64{"readers": 0.99}},
		{"a newsletter that all open at once", func(w *world) {
			w.add(visitors("usual", 1, 1.0/60, 1)...)
			w.run(5 * time.Minute)
			w.add(spread("readers", 240, 0.25, 40)...)
			w.run(30 * time.Second)
		}, map[string]float64{"readers": 0.99}},
		{"programs that poll twice as often, and again", func(w *world) {
			w.add(pollers(200)...)
			for _, rate := range []float64{0.5, 1, 2} {
				for _, c := range w.clients {
					c.rate = rate
				}
				w.run(40 * time.Second)
			}
		}, map[string]float64{"pollers": 0.99}},
		{"feeds on the hour", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			for range 2 {
				w.run(40 * time.Second)
				w.add(feeds(300)...)
				w.run(5 * time.Second)
				w.leave("feeds")
			}
		}, map[string]float64{"visitors": 0.99, "feeds": 0.99}},
		{"a crawler of 20/s", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			w.run(quiet)
			w.add(crawler(20))
			w.run(40 * time.Second)
		}, map[string]float64{"visitors": 0.99, "crawler": 0.99}},
		{"somebody who reloads", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			w.run(quiet)
			all := []ask{{path: "/"}}
			for i := range 5 {
				all = append(all, ask{path: fmt.Sprintf("/static/%d.css", i), kind: traffic.KindAsset})
			}
			w.add(&client{
				group: "reloader", addr: v4(84, 9, 1), agent: browsers[0], order: 0xa0, cookie: true, rate: 18,
				next: func(*client, *rand.Rand) []ask { return all },
			})
			w.run(10 * time.Second)
		}, map[string]float64{"visitors": 0.99, "reloader": 0.99}},
		{"480 people behind one address", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			w.run(quiet)
			for i := range 60 {
				w.add(conference(8, i)...)
				w.run(time.Second)
			}
			w.run(30 * time.Second)
		}, map[string]float64{"visitors": 0.99, "conference": 0.9}},
		{"an origin that is slow for a while", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			w.run(30 * time.Second)
			w.work.Store(int64(80 * time.Millisecond)) // 62 requests a second
			w.run(30 * time.Second)
			w.work.Store(int64(10 * time.Millisecond))
			w.run(20 * time.Second)
		}, map[string]float64{"visitors": 0.75}},
		{"an origin that hangs for a while", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			w.run(30 * time.Second)
			w.work.Store(int64(2 * time.Second))
			w.run(30 * time.Second)
			w.work.Store(int64(10 * time.Millisecond))
			w.run(30 * time.Second)
		}, nil},
		{"an origin that is down for a while", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			w.run(30 * time.Second)
			w.down.Store(true)
			w.run(30 * time.Second)
			w.down.Store(false)
			w.books.reset()
			w.run(20 * time.Second)
		}, map[string]float64{"visitors": 0.99}},
		{"ten times the visitors within 30 s", func(w *world) {
			w.add(visitors("visitors", 40, 1, 1)...)
			w.run(quiet)
			for i := range 30 {
				w.add(spread("crowd", 12, 1, byte(40+i))...)
				w.run(time.Second)
			}
			w.run(20 * time.Second)
		}, map[string]float64{"visitors": 0.99, "crowd": 0.99}},
		{"three times as many visitors as the origin can serve", func(w *world) {
			w.add(visitors("visitors", 40, 2, 1)...)
			w.run(quiet)
			for i := range 30 {
				w.add(spread("crowd", 26, 2, byte(40+i))...)
				w.run(time.Second)
			}
			w.run(20 * time.Second)
		}, map[string]float64{"visitors": 0.99, "crowd": 0.25}},
		{"the first seconds of all", func(w *world) {
			for i := range 4 {
				w.add(visitors("visitors", 10, 2, byte(i))...)
				w.run(time.Second)
			}
			w.run(20 * time.Second)
			if n := len(w.loop.Status().Records); n > 0 {
				w.t.Errorf("%d records of an ordinary beginning", n)
			}
		}, map[string]float64{"visitors": 0.99}},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			play(t, false, func(w *world) {
				o.run(w)
				w.tell("after")
				for group, least := range o.served {
					w.atLeast(group, least)
				}
				if w.attacks() > 0 {
					t.Error("it was called an attack")
				}
				if st := w.loop.Status(); st.Active > 0 || len(st.Records) > 12 {
					t.Errorf("%d mitigations stand, %d records", st.Active, len(st.Records))
				}
			})
		})
	}
}

// Visitors find nothing different where a person said that an attack runs and
// none does; programs and people behind one address have a smaller budget.
func TestAlwaysUnderAttack(t *testing.T) {
	play(t, true, func(w *world) {
		w.add(crawler(4), &client{group: "monitor", addr: v4(66, 250, 1), agent: "Uptime/1.0", order: 0xd2, rate: 1, even: true, next: only(ask{path: "/"})})
		for i := range 10 {
			w.add(visitors("visitors", 4, 2, byte(i))...)
			w.run(3 * time.Second)
		}
		w.run(30 * time.Second)
		w.tell("after")
		w.atLeast("visitors", 0.99)
		w.atLeast("crawler", 0.99)
		w.atLeast("monitor", 0.99)
	})
}

// What is ordinary and goes on while a flood runs.
func TestOrdinaryUnderFlood(t *testing.T) {
	play(t, false, func(w *world) {
		w.add(visitors("visitors", 40, 2, 1)...)
		w.add(crawler(4),
			&client{group: "monitor", addr: v4(66, 250, 1), agent: "Uptime/1.0", order: 0xd2, rate: 1, even: true, next: only(ask{path: "/"})},
			&client{group: "feed", addr: v4(66, 251, 1), agent: "Feeder/1.0", order: 0xd3, rate: 0.5, even: true, next: only(ask{path: "/feed.xml", kind: traffic.KindFeed})})
		w.run(time.Minute)
		w.books.reset()
		w.add(page(w)...)
		for i := range 20 {
			w.add(conference(4, i)...)
			w.run(time.Second)
		}
		w.run(10 * time.Second)
		w.tell("flood")
		w.atLeast("visitors", 0.99)
		w.atLeast("crawler", 0.85)
		w.atLeast("monitor", 0.85)
		w.atLeast("feed", 0.85)
		w.atLeast("conference", 0.6)
	})
}
