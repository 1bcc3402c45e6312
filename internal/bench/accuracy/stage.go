package accuracy

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// Door is what a request meets.
type Door interface {
	Decide(v *traffic.Visit) mitigation.Verdict
}

// World is a door and a loop on a clock that stands still until it is set.
type World struct {
	Clock *clock.Clock
	Door  Door
	Loop  *defense.Loop
	Wire  Wire // nil: there is no packet filter
	// Links, once set, tells the loop what became of connections, which Greeter meets and
	// Limits bound.
	Links   func() traffic.Links
	Greeter Greeter
	Limits  Limits
	Close   func() error
}

// glance is the time between two steps of the loop.
const glance = 100 * time.Millisecond

// stage is a site with people in front of it, for one scenario.
type stage struct {
	w      *World
	rng    *rand.Rand
	began  clock.Instant
	events events
	serial uint64
	site   site
	books  *books
	wires  *wires               // nil: there is no packet filter
	port   *listener            // nil: requests come without connections
	minted map[netip.Prefix]int // cookies given out in this minute
	minute int64
	nextID uint64
}

// event is something that happens at a moment; of two at the same, the one that was
// planned first goes first.
type event struct {
	at     clock.Instant
	serial uint64
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	(*e)[len(*e)-1] = event{}
	*e = (*e)[:len(*e)-1]
	return last
}

func newStage(seed uint64, world func(at time.Time, origin func() traffic.Origin, wired bool) (*World, error), wired bool) (*stage, error) {
	s := &stage{rng: rand.New(rand.NewPCG(seed, 0x5ea)), minted: map[netip.Prefix]int{}}
	s.site.init(s)
	w, err := world(time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC), s.site.gauges, wired)
	if err != nil {
		return nil, err
	}
	s.w, s.began = w, w.Clock.Now()
	if wired {
		s.wires = newWires(w.Wire, s.rng)
	}
	s.after(glance, s.step)
	return s, nil
}

// now is the time on the stage.
func (s *stage) now() clock.Instant { return s.w.Clock.Now() }

// after plans something.
func (s *stage) after(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.events, event{s.now().Add(d), s.serial, do})
}

// step has the loop work, ten times a second.
func (s *stage) step() {
	s.site.tick()
	s.w.Loop.Step()
	s.look()
	if s.wires != nil {
		s.lookAtPackets()
	}
	s.after(glance, s.step)
}

// run lets time pass.
func (s *stage) run(d time.Duration) {
	for end := s.now().Add(d); len(s.events) > 0 && s.events[0].at <= end; {
		e := heap.Pop(&s.events).(event)
		s.w.Clock.Set(e.at)
		e.do()
	}
}

// ask is one request that somebody wants to make.
type ask struct {
	method, path, query string
	kind                traffic.Kind
	cost                float64 // times the work of a page; 0: 1
	status              int     // of the site's answer; 0: 200
	on                  *manner // what it does on its connection; nil: nothing besides
}

// client is one source of requests.
type client struct {
	ordinary bool
	addr     netip.Addr
	network  uint32
	country  traffic.Country
	profile  profile
	cookie   bool                                // keeps them
	next     func(c *client, r *rand.Rand) []ask // a page with all that it needs
	gap      func(r *rand.Rand) time.Duration    // until the next

	gone   bool
	id     uint64 // of its clearance; 0 none
	issued time.Time
	in     *books // in which it was counted last
	met    bool   // a request of it was refused, in those
	slowed bool
	n      int
	line   *line     // nil until it was needed
	net    *presence // the same
}

// come has a client begin within a time.
func (s *stage) come(c *client, within time.Duration) {
	var act func()
	act = func() {
		if c.gone {
			return
		}
		list := c.next(c, s.rng)
		c.n++
		if s.wires != nil && c.ordinary && !unreachable.Contains(c.addr) {
			s.visits(c, len(list))
		}
		s.request(c, list[0], func() {
			// What a page needs is asked for once the page is there.
			d := time.Duration(60+s.rng.IntN(240)) * time.Millisecond
			for i, a := range list[1:] {
				s.after(d+time.Duration(i)*5*time.Millisecond, func() { s.request(c, a, nil) })
			}
		})
		if c.gap != nil {
			s.after(c.gap(s.rng), act)
		}
	}
	s.after(time.Duration(s.rng.Int64N(int64(within)+1)), act)
}

// request is one at the door. then is what follows once it was answered as it was meant to
// be; nil: nothing.
func (s *stage) request(c *client, a ask, then func()) {
	if s.port != nil && s.port.waits(c, func() { s.request(c, a, then) }) {
		return
	}
	at := s.now()
	p := &c.profile
	v := traffic.Visit{
		At: at, Peer: c.addr, Client: c.addr, Network: c.network, Country: c.country, Secure: true, Located: true,
		HTTP: p.http, JA4: p.ja4, OpeningHTTP2: p.opening, HeaderOrder: p.order,
		Method: a.method, Host: "campaign.example", Path: a.path, RawQuery: a.query, QueryShape: shapeOf(a.query), UserAgent: p.agent, Kind: a.kind,
	}
	if v.Method == "" {
		v.Method = "GET"
	}
	if v.Kind == traffic.KindAsset && p.assets != 0 {
		v.HeaderOrder = p.assets
	}
	if c.cookie && c.id != 0 {
		v.Clearance, v.ClearanceID, v.ClearanceAt = traffic.ClearanceProven, c.id, c.issued
	}
	d := s.w.Door.Decide(&v)
	s.books.decided(s, c, d)
	if s.port != nil {
		s.port.weigh(c, &v, d)
	}
	if d.Action == mitigation.Challenge {
		s.w.Loop.Record(&v, d, traffic.Outcome{Status: 307, Took: time.Microsecond})
		s.mint(c, &v)
		if c.ordinary || c.cookie {
			// A browser goes where it is sent to, and so does what keeps cookies as browsers
			// do; tools that flood do neither.
			s.after(time.Duration(20+s.rng.IntN(120))*time.Millisecond, func() { s.request(c, a, then) })
		}
		return
	}
	if !d.LetsIn() {
		s.w.Loop.Record(&v, d, traffic.Outcome{Status: 403, Took: time.Microsecond})
		return
	}
	j := &job{c: c, v: v, d: d, at: at, cost: max(a.cost, 0), status: a.status, then: then}
	if s.port != nil {
		s.port.take(j, a.on)
		return
	}
	s.site.arrive(j)
}

// answered is told what became of a request that was let in.
func (s *stage) answered(j *job, out traffic.Outcome) {
	if s.port != nil && s.port.answers(j, &out) {
		return
	}
	out.Took = s.now().Sub(j.at)
	s.w.Loop.Record(&j.v, j.d, out)
	if j.then != nil && out.Status > 0 && out.Status < 400 && !out.Shed {
		j.then()
	}
	if out.Status == 200 {
		s.mint(j.c, &j.v)
	}
	if j.c.ordinary && (out.Shed || out.Status >= 500) {
		s.books.unserved++
	}
}

// mint gives out a cookie with a page, thirty a minute for each /24.
func (s *stage) mint(c *client, v *traffic.Visit) {
	if c.id != 0 || v.Kind != traffic.KindPage || v.Method != "GET" {
		return
	}
	wall := s.w.Clock.Wall(s.now())
	if m := wall.Unix() / 60; m != s.minute {
		s.minute = m
		clear(s.minted)
	}
	p := traffic.PrefixOf(v.Client, traffic.LevelWide)
	if s.minted[p]++; s.minted[p] > 30 {
		return
	}
	s.nextID++
	c.id, c.issued = s.nextID, wall
}

// books are what is counted in a scenario.
type books struct {
	clients  map[bool]int // by whether they are ordinary
	requests map[bool]int
	refused  map[bool]int
	slowed   map[bool]int
	asked    int // ordinary requests challenged; not in requests, since each comes again
	touched  int // ordinary clients of whom a request was refused
	held     int // or slowed
	unserved int // ordinary requests that were let in, and not served

	floodAt   clock.Instant // when the flood begins; 0 none
	noticed   clock.Instant // when an attack, or its emergency, was first known
	mitigated clock.Instant // when something first stood against it
	alarms    int           // attacks noticed that are none
	vectors   []attack.Vector
	found     map[attack.Vector]clock.Instant // when what detectors find was first known
	seen      map[string]bool
	late      map[bool]int // of the flood: requests from a second after its beginning on, and of those refused
}

func newBooks() *books {
	return &books{
		clients: map[bool]int{}, requests: map[bool]int{}, refused: map[bool]int{}, slowed: map[bool]int{},
		seen: map[string]bool{}, late: map[bool]int{}, found: map[attack.Vector]clock.Instant{},
	}
}

func (b *books) decided(s *stage, c *client, d mitigation.Verdict) {
	if !c.ordinary || d.Action != mitigation.Challenge {
		b.requests[c.ordinary]++
	}
	if c.in != b {
		c.in, c.met, c.slowed = b, false, false
		b.clients[c.ordinary]++
	}
	late := !c.ordinary && b.floodAt != 0 && s.now().Sub(b.floodAt) >= time.Second
	if late {
		b.late[false]++
	}
	switch {
	case d.Action == mitigation.Challenge && c.ordinary:
		b.asked++
	case !d.LetsIn():
		b.refused[c.ordinary]++
		if late {
			b.late[true]++
		}
		if c.ordinary && !c.met {
			c.met = true
			b.touched++
		}
	case d.Action == mitigation.Slow:
		b.slowed[c.ordinary]++
		if c.ordinary && !c.slowed {
			c.slowed = true
			b.held++
		}
	}
}

// look asks the loop what it knows.
func (s *stage) look() {
	st := s.w.Loop.Status()
	b := s.books
	if st.Attack != nil && !b.seen[st.Attack.ID] {
		b.seen[st.Attack.ID] = true
		b.vectors = append(b.vectors, st.Attack.Vector)
		if b.floodAt == 0 {
			b.alarms++
		}
	}
	for i := range st.Findings {
		if v := st.Findings[i].Vector; b.found[v] == 0 {
			b.found[v] = s.now()
		}
	}
	if b.floodAt == 0 {
		return
	}
	if b.noticed == 0 && st.Attack != nil {
		b.noticed = s.now()
	}
	if b.mitigated == 0 && st.Active > 0 {
		b.mitigated = s.now()
	}
}
