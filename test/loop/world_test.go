// Package loop holds floods and ordinary traffic against the real door, the real gate
// and the real control loop, in made-up time.
package loop

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/request/admit"
	"seawall/internal/request/proxy"
	"seawall/internal/traffic"
)

// step is how finely requests are spread over time.
const step = 4 * time.Millisecond

// world is a site behind the real door, the real gate and the real loop. What
// is made up: the network, the cookies (a number in place of a sealed text) and
// the origin, which has workers that each take a while. Time is synctest's.
type world struct {
	t    *testing.T
	clk  *clock.Clock
	door *admit.Admit
	gate *proxy.Gate
	loop *defense.Loop
	stop func()
	dir  string

	workers chan struct{} // of the origin
	work    atomic.Int64  // nanoseconds for a page
	down    atomic.Bool   // it answers 500 at once
	asked   atomic.Int64  // requests that reached it

	mu      sync.Mutex
	minted  map[netip.Prefix]int // cookies given out in this minute
	minute  int64
	nextID  uint64
	clients []*client
	rng     *rand.Rand
	broken  []string // what must never happen, and did

	books  groups
	began  time.Time
	always bool   // a person said that an attack runs
	later  []load // what pages need, once they have come
}

type stance struct {
	door   *admit.Admit
	always bool
}

func (s stance) UnderAttack(t time.Time) { s.door.UnderAttack(t) }
func (s stance) Crowded(t time.Time) {
	if !s.always {
		s.door.Crowded(t)
	}
}

func (s stance) Calm() {
	if !s.always {
		s.door.Calm()
	}
}

func newWorld(t *testing.T, always bool) *world {
	w := &world{
		t: t, clk: clock.New(), workers: make(chan struct{}, 5), dir: t.TempDir(),
		minted: map[netip.Prefix]int{}, books: groups{by: map[string]*tally{}}, rng: rand.New(rand.NewPCG(7, 11)), always: always, began: time.Now(),
	}
	w.work.Store(int64(10 * time.Millisecond))
	w.start()
	return w
}

// start begins a process: nothing of an earlier one is left but the folder.
func (w *world) start() {
	cfg := admit.DefaultConfig()
	cfg.Clients = 1 << 15
	var err error
	if w.door, err = admit.New(cfg, w.clk, nil); err != nil {
		w.t.Fatal(err)
	}
	w.gate = proxy.NewGate(0, 4096, 1024, w.clk)
	gate := w.gate
	w.loop, err = defense.New(defense.DefaultConfig(), defense.Deps{
		Clock: w.clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), DataDir: w.dir,
		Applier: w.door, Stance: stance{w.door, w.always}, SetOff: w.door.SetOff, Offences: w.door.Offences(), Trials: w.door.Trials,
		Origin: func() traffic.Origin {
			g := gate.Gauges()
			return traffic.Origin{InFlight: g.InFlight, Waiting: g.Waiting, Behind: g.Behind, Limit: g.Limit, Healthy: 1}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.always {
		w.door.UnderAttack(time.Now())
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done, loop := make(chan error, 1), w.loop
	go func() { done <- loop.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the loop ended: %v", err)
		}
	}
}

// ask is one request that a client wants to make.
type ask struct {
	method, path, query string
	kind                traffic.Kind
	cost                float64 // times the work of a page; 0: 1
}

// load is what a page needs, asked for when it has come.
type load struct {
	at   time.Time
	c    *client
	list []ask
}

// client is one source of requests.
type client struct {
	group   string
	addr    netip.Addr
	agent   string
	order   uint64
	cookie  bool                                // keeps them
	next    func(c *client, r *rand.Rand) []ask // a page with all that it needs
	rate    float64                             // requests a second, in the long run
	program bool                                // goes where it is sent to no more than it keeps cookies
	even    bool                                // at even distances rather than at random
	gone    bool

	id     uint64 // of its clearance; 0 none
	issued time.Time
	due    time.Time
	cached map[string]bool
	n      int
}

func (w *world) run(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(step)
		now := time.Now()
		for len(w.later) > 0 && !w.later[0].at.After(now) {
			l := w.later[0]
			w.later = w.later[1:]
			for _, a := range l.list {
				w.request(l.c, a)
			}
		}
		for _, c := range w.clients {
			if c.gone || c.rate <= 0 {
				continue
			}
			if c.due.IsZero() {
				c.due = now.Add(time.Duration(w.rng.Float64() / c.rate * float64(time.Second)))
			}
			for !c.due.After(now) {
				list := c.next(c, w.rng)
				gap := float64(len(list)) / c.rate
				if !c.even {
					gap *= 0.5 + w.rng.Float64()
				}
				c.due = c.due.Add(time.Duration(gap * float64(time.Second)))
				w.request(c, list[0])
				if len(list) > 1 {
					w.later = append(w.later, load{now.Add(60 * time.Millisecond), c, list[1:]})
				}
			}
		}
	}
}

func (w *world) request(c *client, a ask) {
	at := w.clk.Now()
	v := &traffic.Visit{
		At: at, Peer: c.addr, Client: c.addr, HeaderOrder: c.order, Method: a.method, Host: "campaign.example",
		Path: a.path, RawQuery: a.query, UserAgent: c.agent, Kind: a.kind,
	}
	if v.Method == "" {
		v.Method = "GET"
	}
	if a.query != "" {
		h := fnv.New64a()
		for _, p := range strings.Split(a.query, "&") {
			name, _, _ := strings.Cut(p, "=")
			h.Write([]byte(name + "&"))
		}
		v.QueryShape = h.Sum64()
	}
	w.mu.Lock()
	if c.cookie && c.id != 0 {
		v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceProven, c.id, c.issued
	}
	w.mu.Unlock()
	had := v.Clearance != traffic.ClearanceNone
	began := time.Now()
	d := w.door.Decide(v)
	w.books.mu.Lock()
	t := w.books.of(c.group)
	if d.Action != mitigation.Challenge { // it comes again
		t.offered++
	}
	t.reasons[d.Reason]++
	if had && !d.LetsIn() && (d.Reason == mitigation.ReasonMitigation || d.Reason == mitigation.ReasonBan) {
		w.broken = append(w.broken, fmt.Sprintf("%s was refused by #%d with a clearance", c.group, d.ID))
	}
	w.books.mu.Unlock()
	if d.Action == mitigation.Challenge {
		w.loop.Record(v, d, traffic.Outcome{Status: 307, Took: time.Microsecond})
		if !c.program {
			w.mint(c, v)
			w.later = append(w.later, load{time.Now().Add(60 * time.Millisecond), c, []ask{a}})
		}
		return
	}
	if !d.LetsIn() {
		w.loop.Record(v, d, traffic.Outcome{Status: 403, Took: time.Microsecond})
		return
	}
	loop, gate := w.loop, w.gate
	go func() {
		var slot proxy.Slot
		var out traffic.Outcome
		waited, err := gate.Acquire(context.Background(), d.Rank, v.Client, &slot)
		out.Waited = waited
		if err != nil {
			out.Shed, out.Status = true, 503
		} else {
			w.origin(v, a, &slot, &out)
		}
		out.Took = time.Since(began)
		loop.Record(v, d, out)
		w.books.mu.Lock()
		defer w.books.mu.Unlock()
		switch {
		case out.Shed:
			t.shed++
		case out.Status == 200:
			t.served++
			t.took = append(t.took, out.Took)
			w.mint(c, v)
		}
	}()
}

// origin works on a request.
func (w *world) origin(v *traffic.Visit, a ask, slot *proxy.Slot, out *traffic.Outcome) {
	w.asked.Add(1)
	sent, from := w.clk.Now(), time.Now()
	h := fnv.New32a()
	h.Write([]byte(a.path))
	out.Reached, out.Status = true, 200
	if w.down.Load() {
		out.Status, out.Failed = 502, true
	} else {
		w.workers <- struct{}{}
		cost := a.cost
		if cost == 0 {
			cost = 1
		}
		time.Sleep(time.Duration(cost*float64(w.work.Load())) + time.Duration(h.Sum32()%400)*time.Microsecond)
		<-w.workers
	}
	out.OriginTime = time.Since(from)
	slot.Observe(uint8(h.Sum32()), sent, out.OriginTime)
	slot.Release()
}

// mint gives out a cookie with a page, 30 a minute for each /24.
func (w *world) mint(c *client, v *traffic.Visit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.id != 0 || v.Kind != traffic.KindPage || v.Method != "GET" {
		return
	}
	if m := time.Now().Unix() / 60; m != w.minute {
		w.minute = m
		clear(w.minted)
	}
	p := traffic.PrefixOf(v.Client, traffic.LevelWide)
	if w.minted[p]++; w.minted[p] > perMinute {
		return
	}
	w.nextID++
	c.id, c.issued = w.nextID, time.Now()
}

const perMinute = 30

func (w *world) add(cs ...*client) { w.clients = append(w.clients, cs...) }

func (w *world) leave(group string) {
	w.clients = slices.DeleteFunc(w.clients, func(c *client) bool { return c.group == group })
}

// undone waits until nothing stands any more and says how long that took.
func (w *world) undone(most time.Duration) time.Duration {
	begin := time.Now()
	for time.Since(begin) < most {
		w.run(time.Second)
		if st := w.loop.Status(); st.Active == 0 && st.Attack == nil {
			return time.Since(begin)
		}
	}
	return most
}

// play runs a scenario in made-up time.
func play(t *testing.T, always bool, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, always)
		f(w)
		time.Sleep(15 * time.Second) // what waits in line is answered
		if t.Failed() || testing.Verbose() {
			w.dump()
		}
		for i, b := range w.broken {
			if i < 5 {
				t.Errorf("never: %s", b)
			}
		}
		w.stop()
	})
}
