package loop

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"seawall/internal/traffic"
)

const quiet = 12 * time.Second

// each makes a page view of one request.
func each(f func(c *client, r *rand.Rand) ask) func(*client, *rand.Rand) []ask {
	return func(c *client, r *rand.Rand) []ask { return []ask{f(c, r)} }
}

// rotate gives the client another program with every request.
func rotate(c *client, r *rand.Rand) {
	c.agent = fmt.Sprintf("Mozilla/5.0 (X%d) Any/%d", r.IntN(1000), r.IntN(1000))
	c.order = r.Uint64() | 1
}

// keepers are bots that do as browsers do: each keeps its cookie and fetches
// what its pages need.
func keepers(n int, rate float64) []*client {
	out := bots(n, rate, nil)
	for _, c := range out {
		c.cookie, c.next = true, view
	}
	return out
}

// pace sets the rate of the whole flood.
func (w *world) pace(all float64) {
	var fs []*client
	for _, c := range w.clients {
		if c.group == "flood" {
			fs = append(fs, c)
		}
	}
	for _, c := range fs {
		if c.rate = all / float64(len(fs)); all == 0 {
			c.due = time.Time{}
		}
	}
}

// ramp goes from 80 requests a second to 4,000 within a minute and a half.
func ramp(w *world) {
	for i := range 90 {
		w.pace(80 + float64(i)/90*3920)
		w.run(time.Second)
	}
}

func page(*world) []*client { return bots(2000, 2, only(ask{path: "/"})) }

// What visitors who were there before a flood get of what they ask for, and
// those who come in its midst; what is done about it, and that it ends.
func TestFloods(t *testing.T) {
	long := func(w *world) { w.run(40 * time.Second) }
	for _, f := range []struct {
		name   string
		quiet  time.Duration
		flood  func(w *world) []*client
		during func(w *world) // nil: 20 s, with newcomers
		served float64        // of the visitors' requests, at least
		new    float64        // of newcomers', at least
		attack bool           // it must be called one
		always bool           // a person said that an attack runs
	}{
		{"few and heavy", quiet, func(*world) []*client { return bots(200, 50, only(ask{path: "/"})) }, nil, 0.995, 0.97, true, false},
		{"wide and low", quiet, page, nil, 0.99, 0.97, true, false},
		{"wide and low, a person said so", quiet, page, nil, 0.99, 0.97, true, true},
		{"cookies and assets", quiet, func(*world) []*client { return keepers(2000, 2) }, nil, 0.99, 0, false, false},
		{"cookies and assets, fewer and faster", quiet, func(*world) []*client { return keepers(200, 15) }, nil, 0.99, 0, false, false},
		{"cookies, one page", quiet, func(w *world) []*client {
			out := page(w)
			for _, c := range out {
				c.cookie = true
			}
			return out
		}, nil, 0.99, 0.75, true, false},
		{"another program with every request", quiet, func(*world) []*client {
			return bots(2000, 2, each(func(c *client, r *rand.Rand) ask { rotate(c, r); return ask{path: "/"} }))
		}, nil, 0.99, 0.95, true, false},
		{"everything at random", quiet, func(*world) []*client {
			return bots(2000, 2, each(func(c *client, r *rand.Rand) ask {
				rotate(c, r)
				return ask{path: fmt.Sprintf("/x/%x", r.Uint64())}
			}))
		}, nil, 0.99, 0.95, true, false},
		{"pages that visitors read", quiet, func(*world) []*client {
			return bots(2000, 2, each(func(_ *client, r *rand.Rand) ask { return ask{path: pages[r.IntN(len(pages))]} }))
		}, nil, 0.99, 0.95, true, false},
		{"random queries", quiet, func(*world) []*client {
			return bots(2000, 2, each(func(_ *client, r *rand.Rand) ask {
				return ask{path: "/", query: fmt.Sprintf("p%d=%d", r.IntN(10000), r.IntN(1000))}
			}))
		}, nil, 0.99, 0.95, true, false},
		{"forms", quiet, func(*world) []*client {
			return bots(500, 4, only(ask{method: "POST", path: "/donate", cost: 2}))
		}, nil, 0.99, 0.95, true, false},
		{"assets without pages", quiet, func(*world) []*client {
			return bots(2000, 2, each(func(_ *client, r *rand.Rand) ask {
				return ask{path: fmt.Sprintf("/static/img/%d.jpg", r.IntN(30)), kind: traffic.KindAsset}
			}))
		}, nil, 0.99, 0.9, true, false},
		{"the feed", quiet, func(*world) []*client {
			return bots(2000, 2, only(ask{path: "/feed.xml", kind: traffic.KindFeed}))
		}, nil, 0.99, 0.95, true, false},
		{"few requests for what costs much", quiet, func(*world) []*client { return bots(20, 1, only(ask{path: "/poster", cost: 10})) }, nil, 0.99, 0.95, false, false},
		{"OPTIONS", quiet, func(*world) []*client {
			return bots(2000, 2, only(ask{method: "OPTIONS", path: "/", kind: traffic.KindAPI}))
		}, nil, 0.99, 0.95, true, false},
		{"ten pulses", quiet, page, func(w *world) {
			for range 10 {
				w.pace(4000)
				w.run(5 * time.Second)
				w.pace(0)
				w.run(10 * time.Second)
			}
		}, 0.99, 0, true, false},
		{"slow ramp", quiet, page, ramp, 0.99, 0, true, false},
		{"slow ramp with cookies and assets", 3 * time.Minute, func(*world) []*client { return keepers(2000, 0.04) }, ramp, 0.97, 0, false, false},
		{"from the first second", 0, page, long, 0.9, 0, true, false},
		{"from the fourth second", 3 * time.Second, page, long, 0.99, 0, true, false},
		{"from the visitors' own /24s", quiet, func(w *world) []*client {
			out := bots(1000, 4, only(ask{path: "/"}))
			for i, c := range out {
				c.addr = v4(84, 1, i%5<<8|(60+i/5%190))
			}
			return out
		}, nil, 0.99, 0.95, true, false},
		{"from behind the visitors' own addresses", quiet, func(*world) []*client {
			out := bots(200, 50, only(ask{path: "/"}))
			for i := range 20 {
				out[i].addr = v4(84, 1, i/9<<8|i%9*7)
			}
			return out
		}, nil, 0.99, 0.95, true, false},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			play(t, f.always, func(w *world) {
				w.add(visitors("visitors", 40, 2, 1)...)
				w.run(f.quiet)
				w.books.reset()
				w.add(f.flood(w)...)
				if f.during != nil {
					f.during(w)
				} else {
					w.run(5 * time.Second)
					w.add(visitors("new", 8, 2, 9)...)
					w.run(15 * time.Second)
				}
				w.tell("flood")
				w.atLeast("visitors", f.served)
				w.atLeast("new", f.new)
				if got := w.attacks() > 0; got != f.attack {
					t.Errorf("called an attack: %v, want %v", got, f.attack)
				}
				w.leave("flood")
				w.run(5 * time.Second) // what waited in line has been answered
				w.books.reset()
				took := w.undone(120*time.Second) + 5*time.Second
				w.tell("after")
				t.Logf("undone after %v", took)
				w.run(10 * time.Second)
				if took > time.Minute {
					t.Errorf("undone only after %v", took)
				}
				w.atLeast("visitors", 0.99)
			})
		})
	}
}

// A new process in the middle of it knows what was decided, and from their
// cookies who was there before.
func TestRestartUnderFlood(t *testing.T) {
	for _, f := range []struct {
		name  string
		flood func() []*client
	}{
		{"wide and low", func() []*client { return page(nil) }},
		{"everything at random", func() []*client {
			return bots(2000, 2, each(func(c *client, r *rand.Rand) ask {
				rotate(c, r)
				return ask{path: fmt.Sprintf("/x/%x", r.Uint64())}
			}))
		}},
		{"cookies and assets", func() []*client { return keepers(2000, 2) }},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			play(t, false, func(w *world) {
				w.add(visitors("visitors", 40, 2, 1)...)
				w.run(30 * time.Second)
				w.add(f.flood()...)
				w.run(8 * time.Second)
				w.tell("before")
				w.stop()
				w.start()
				w.books.reset()
				w.run(12 * time.Second)
				w.tell("flood")
				// The door has forgotten who was here first, and what they bring along
				// tells it: the loop knows since when more was wanted.
				w.atLeast("visitors", 0.95)
				w.books.reset()
				w.run(10 * time.Second)
				w.tell("later")
				w.atLeast("visitors", 0.95)
				w.leave("flood")
				if took := w.undone(2 * time.Minute); took > 75*time.Second {
					t.Errorf("undone only after %v", took)
				}
				w.tell("after")
			})
		})
	}
}
