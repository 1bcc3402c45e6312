package defense

import (
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// The simulated site: a door that does what it is told, in front of an origin
// with five workers of 10 ms each. Time moves in steps of 10 ms (synctest).
const (
	step    = 10 * time.Millisecond
	workers = 5
	longest = 1024 // most that wait in line
)

// client is one source of requests.
type client struct {
	addr   netip.Addr
	since  time.Time // of its cookie; zero: it has none
	order  uint64
	agent  string
	page   string // asks for nothing else, when set
	kind   traffic.Kind
	keeps  bool    // cookies, and fetches assets
	rate   float64 // requests a second
	due    float64
	turn   int
	tokens float64
	filled time.Time

	pages, assets, cleared, over int // what the door saw
	first                        time.Time

	offered, served int
	slowest         time.Duration
}

type job struct {
	c    *client
	v    traffic.Visit
	d    mitigation.Verdict
	from time.Time
}

type sim struct {
	clk  *clock.Clock
	loop *Loop

	mu       sync.Mutex
	standing map[mitigation.ID]mitigation.Mitigation
	since    time.Time // under attack since
	off      bool
	offences chan mitigation.Offence

	filter *simFilter // nil: there is none

	// The kernel, where packets are filtered: who is banned there sends packets
	// that vanish, as many a second as this for each client.
	vanish  float64
	banned  map[netip.Addr]mitigation.ID
	stopped float64 // packets, since the loop last asked

	clients []*client
	lines   [mitigation.Ranks][]job
	waiting int

	firstMitigated time.Time
	floodReached   int // of the flood, since countFrom
	countFrom      time.Time
}

func (s *sim) Apply(m mitigation.Mitigation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing[m.ID] = m
	if p, ok := m.Banned(); ok && m.Direct {
		s.banned[p.Addr()] = m.ID
	}
	if s.firstMitigated.IsZero() && m.By == mitigation.ByMachine {
		s.firstMitigated = time.Now()
	}
	return nil
}

func (s *sim) Withdraw(id mitigation.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.standing[id].Match.OnlyClient(); ok && s.banned[p.Addr()] == id {
		delete(s.banned, p.Addr())
	}
	delete(s.standing, id)
	return nil
}

func (s *sim) UnderAttack(since time.Time) { s.mu.Lock(); s.since = since; s.mu.Unlock() }
func (s *sim) Crowded(since time.Time)     { s.mu.Lock(); s.since = since; s.mu.Unlock() }
func (s *sim) Calm()                       { s.mu.Lock(); s.since = time.Time{}; s.mu.Unlock() }
func (s *sim) setOff(off bool)             { s.mu.Lock(); s.off = off; s.mu.Unlock() }

func (s *sim) line() traffic.Origin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return traffic.Origin{InFlight: min(s.waiting, workers), Waiting: s.waiting, Limit: workers, Healthy: 1}
}

// packets is what the filter counted since it was last asked.
func (s *sim) packets() traffic.Packets {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(s.stopped)
	s.stopped -= float64(n)
	return traffic.Packets{Filtered: s.vanish > 0, Reasons: map[string]traffic.Counted{"blocked": {Packets: n}}}
}

// vanishes says whether the kernel stops what a client sends.
func (s *sim) vanishes(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vanish == 0 || s.banned[c.addr] == 0 || s.off {
		return false
	}
	s.stopped += s.vanish * step.Seconds()
	return true
}

func newSim(t *testing.T, dir string) *sim {
	return newSimWith(t, dir, nil)
}

func newSimRules(t *testing.T, dir string, rules []decide.Rule) *sim {
	return newSimOf(t, dir, nil, rules)
}

func newSimWith(t *testing.T, dir string, filter *simFilter) *sim {
	return newSimOf(t, dir, filter, nil)
}

func newSimOf(t *testing.T, dir string, filter *simFilter, rules []decide.Rule) *sim {
	s := &sim{clk: clock.New(), standing: map[mitigation.ID]mitigation.Mitigation{}, banned: map[netip.Addr]mitigation.ID{}, offences: make(chan mitigation.Offence, 1024), filter: filter}
	packets, yet := s.packets, func() (none [traffic.PacketKinds]uint64) { return none }
	if filter != nil {
		packets = func() traffic.Packets { return filter.cut(s) }
		yet = func() [traffic.PacketKinds]uint64 { return filter.yet(s) }
	}
	var err error
	s.loop, err = New(DefaultConfig(), Deps{
		Clock: s.clk, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), DataDir: dir,
		Applier: s, Stance: s, SetOff: s.setOff, Origin: s.line, Offences: s.offences, Packets: packets, PacketsYet: yet,
		Rules: rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var browsers = []string{
	"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "Mozilla/5.0 (Windows NT 10.0) Chrome/139.0",
	"Mozilla/5.0 (Macintosh) Safari/18.5", "Mozilla/5.0 (Windows NT 10.0) Edge/139.0",
}

func visitors(n int, rate float64, net byte) []*client {
	var out []*client
	for i := range n {
		out = append(out, &client{
			addr: netip.AddrFrom4([4]byte{198, 51, net, byte(i)}), agent: browsers[i%3], order: 0xa0 + uint64(i%3),
			keeps: true, rate: rate, due: -float64(i%50) / 10,
		})
	}
	return out
}

func bots(n int, rate float64) []*client {
	var out []*client
	for i := range n {
		out = append(out, &client{
			addr: netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), agent: browsers[i%4], order: 0xa0 + uint64(i%3),
			page: "/", rate: rate, due: float64(i%100) / 100,
		})
	}
	return out
}

var pages = []string{"/", "/news", "/donate", "/about", "/news/1", "/news/2", "/poster", "/contact"}
var assets = []string{"/app.css", "/app.js", "/logo.svg"}

func (c *client) visit(now clock.Instant) traffic.Visit {
	v := traffic.Visit{At: now, Peer: c.addr, Client: c.addr, HeaderOrder: c.order, Method: "GET", Host: "campaign.example", UserAgent: c.agent, Country: traffic.Country{'R', 'U'}}
	if c.keeps {
		v.Country = traffic.Country{'D', 'E'}
	}
	switch {
	case c.page != "":
		v.Path, v.Kind = c.page, c.kind
	case c.turn%4 == 0:
		v.Path = pages[(c.turn/4+int(c.addr.As4()[3]))%len(pages)]
	default:
		v.Path, v.Kind = assets[c.turn%3], traffic.KindAsset
	}
	c.turn++
	return v
}

// decide is the door.
func (s *sim) decide(c *client, v *traffic.Visit, now time.Time) mitigation.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.since.IsZero() {
		v.Clearance = traffic.ClearanceProven
		if !s.since.IsZero() && c.since.Before(s.since) {
			v.Clearance = traffic.ClearanceKnown
		}
		c.cleared++
	}
	if c.first.IsZero() {
		c.first, c.filled, c.tokens = now, now, 150
	}
	switch v.Kind {
	case traffic.KindPage:
		c.pages++
	case traffic.KindAsset:
		c.assets++
	}
	switch {
	case c.over >= 50:
		v.Standing = traffic.StandingGreedy
	case c.pages >= 3 && c.cleared == 0 && c.assets*16 < c.pages:
		v.Standing = traffic.StandingShy
	case now.Sub(c.first) > 10*time.Second && c.assets+c.cleared > 0:
		v.Standing = traffic.StandingGood
	}
	rank := mitigation.RankNewcomer
	switch {
	case v.Clearance == traffic.ClearanceKnown:
		rank = mitigation.RankKnown
	case v.Clearance == traffic.ClearanceProven || v.Standing == traffic.StandingGood:
		rank = mitigation.RankProven
	}
	d := mitigation.Verdict{Rank: rank}
	if s.off {
		return d
	}
	c.tokens = min(c.tokens+now.Sub(c.filled).Seconds()*20, 150)
	c.filled = now
	if c.tokens < 1 {
		c.over++
		often := 200
		if s.vanish > 0 {
			often = 20 // as at the real door
		}
		if c.over%often == 0 {
			select {
			case s.offences <- mitigation.Offence{Prefix: netip.PrefixFrom(c.addr, 32), Refused: uint32(often), Direct: s.vanish > 0}:
			default:
			}
		}
		return mitigation.Verdict{Action: mitigation.Refuse, Reason: mitigation.ReasonClientBudget, Rank: rank}
	}
	c.tokens--
	if rank > mitigation.RankProven {
		for id, m := range s.standing {
			if m.Action != mitigation.Admit && m.Match.Hits(v) && m.Action >= d.Action {
				d = mitigation.Verdict{Action: m.Action, Reason: mitigation.ReasonMitigation, ID: id, Rank: mitigation.RankSuspect}
				if _, ban := m.Banned(); ban {
					d.Reason = mitigation.ReasonBan
				}
			}
		}
	}
	return d
}

// step lets 10 ms pass: requests come, the origin works.
func (s *sim) step() {
	time.Sleep(step)
	now := time.Now()
	at := s.clk.Now()
	for _, c := range s.clients {
		if s.vanishes(c) {
			continue
		}
		for c.due += c.rate * step.Seconds(); c.due >= 1; c.due-- {
			v := c.visit(at)
			d := s.decide(c, &v, now)
			c.offered++
			if !d.LetsIn() {
				s.loop.Record(&v, d, traffic.Outcome{Status: 403, Took: time.Microsecond})
				continue
			}
			s.mu.Lock()
			full := s.waiting >= longest && !s.evict(d.Rank)
			if !full {
				s.lines[d.Rank] = append(s.lines[d.Rank], job{c, v, d, now})
				s.waiting++
			}
			s.mu.Unlock()
			if full {
				s.loop.Record(&v, d, traffic.Outcome{Status: 503, Shed: true, Took: time.Microsecond})
			}
		}
	}
	for free := workers; free > 0; free-- {
		if !s.serve(now) {
			break
		}
	}
	for r := range s.lines { // patience
		for len(s.lines[r]) > 0 && now.Sub(s.lines[r][0].from) > 3*time.Second {
			s.shed(mitigation.Rank(r), 0, now)
		}
	}
}

// evict sends the last of a worse rank away. The caller holds mu.
func (s *sim) evict(than mitigation.Rank) bool {
	for r := mitigation.Ranks - 1; r > than; r-- {
		if n := len(s.lines[r]); n > 0 {
			j := s.lines[r][n-1]
			s.lines[r] = s.lines[r][:n-1]
			s.waiting--
			s.loop.Record(&j.v, j.d, traffic.Outcome{Status: 503, Shed: true})
			return true
		}
	}
	return false
}

func (s *sim) shed(r mitigation.Rank, i int, now time.Time) {
	s.mu.Lock()
	j := s.lines[r][i]
	s.lines[r] = slices.Delete(s.lines[r], i, i+1)
	s.waiting--
	s.mu.Unlock()
	s.loop.Record(&j.v, j.d, traffic.Outcome{Status: 503, Shed: true, Took: now.Sub(j.from)})
}

func (s *sim) serve(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.lines {
		if len(s.lines[r]) == 0 {
			continue
		}
		j := s.lines[r][0]
		s.lines[r] = s.lines[r][1:]
		s.waiting--
		took := now.Sub(j.from) + step
		j.c.served++
		j.c.slowest = max(j.c.slowest, took)
		if j.c.keeps && j.c.since.IsZero() {
			j.c.since = now
		}
		if j.c.page != "" && !s.countFrom.IsZero() && now.After(s.countFrom) {
			s.floodReached++
		}
		s.loop.Record(&j.v, j.d, traffic.Outcome{Status: 200, Reached: true, OriginTime: 10*time.Millisecond + time.Duration(len(j.v.Path))*100*time.Microsecond, Waited: took - step, Took: took, BytesOut: 1000})
		return true
	}
	return false
}

func (s *sim) run(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.step()
	}
}

func (s *sim) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.standing)
}

func (s *sim) calm() bool  { s.mu.Lock(); defer s.mu.Unlock(); return s.since.IsZero() }
func (s *sim) isOff() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.off }

func (s *sim) mitigatedAt() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.firstMitigated }

// share tells which share of their requests clients got answered.
func share(cs []*client) float64 {
	offered, served := 0, 0
	for _, c := range cs {
		offered += c.offered
		served += c.served
	}
	return float64(served) / float64(max(offered, 1))
}

func offered(cs []*client) (n int) {
	for _, c := range cs {
		n += c.offered
	}
	return n
}
